"""Embeddings computed elsewhere as a reader: a file of vectors joined to the patients of an audit, as a label table is.

fastrace did not see the images through them, so they answer for unchanged images alone. `joining` makes them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fastrace.audit.document import Cell, Estimate, FeatureSet, Named
from fastrace.audit.partition import Partition
from fastrace.audit.readers.owners import NOBODY
from fastrace.audit.readers.vectors import Vectors
from fastrace.audit.subjects import Subjects, patient_means
from fastrace.run_folder import writing
from fastrace.statistics import MIN_CELL


@dataclass(frozen=True)
class Embedding:
    """Vectors of patients of an audit.

    Attributes
    ----------
    vectors : Vectors
    digest : str
        `fastrace.audit.readers.vector_files.files_digest`.
    subjects : Subjects
        The patients who have one, and their images that have one.
    everyone : Subjects
        All patients of the audit.
    covered : ndarray [N] bool
        Which of their images have one.
    owner : ndarray [R] int64
        Patient of each row, -1 for none.
    weight : ndarray [R] float64
        Of each row in the mean of its patient.
    file : Path
        Where `build` puts the means.
    """

    vectors: Vectors
    digest: str
    subjects: Subjects
    everyone: Subjects
    covered: NDArray[np.bool_]
    owner: NDArray[np.int64]
    weight: NDArray[np.float64]
    file: Path

    @property
    def name(self) -> str:
        """In tables: the stem of the file."""
        return self.vectors.name

    @property
    def missing(self) -> NDArray[np.int64]:  # [K]
        """Patients of each class who have none."""
        classes = len(self.everyone.classes)
        every, own = (np.bincount(one.labels, minlength=classes) for one in (self.everyone, self.subjects))
        return np.asarray(every - own, dtype=np.int64)

    @property
    def partly(self) -> NDArray[np.int64]:  # [K]
        """Patients of each class some of whose images have one, and some have none."""
        shares = patient_means(self.covered, self.everyone.owner, self.everyone.weight, len(self.everyone))
        some = (shares > 0) & (shares < 1 - 1e-9)
        return np.bincount(self.everyone.labels[some], minlength=len(self.everyone.classes))

    @property
    def few(self) -> bool:
        """Whether the patients who lack one, or one of an image, are so few that nothing may tell how many they are."""
        return any(bool(((one > 0) & (one < MIN_CELL)).any()) for one in (self.missing, self.partly))

    @property
    def who(self) -> str:
        """Whose vectors it has."""
        missing, partly = self.missing, self.partly
        if not missing.any():
            who = "all patients"
        elif self.few:
            who = "the patients who have a vector"
        else:
            of = np.bincount(self.everyone.labels, minlength=len(missing))
            groups = ", ".join(
                f"{name} {k - m:,} of {k:,}" for name, k, m in zip(self.everyone.classes, of, missing, strict=True)
            )
            who = f"the {len(self.subjects):,} of {len(self.everyone):,} patients who have a vector ({groups})"
        if not partly.any():
            return who
        some = "some" if self.few else f"{int(partly.sum()):,}"
        return f"{who}; of {some} of them not all images have one"

    @property
    def limit(self) -> str | None:
        """What the report says of those whom it lacks, as a sentence; None if it lacks nobody."""
        if self.covered.all():
            return None
        rest = ": it says nothing of the others" if self.missing.any() else ""
        return f"The reader {self.name} was asked of {self.who}{rest}."

    @property
    def facts(self) -> FeatureSet:
        """For the report."""
        who = self.who
        return FeatureSet(
            name=self.name,
            dimensions=self.vectors.dimensions,
            learned_from_labels=False,
            evaluation=f"cross-fitted over {who}; too high if the model behind it learned the attribute from them",
            sees=f"what the model behind {self.vectors.file.name} (BLAKE2b {self.digest[:16]}) computed elsewhere",
            blind_to="what that model did not keep; no degraded image was shown to it, so nothing is said of where",
        )

    def partition(self, seed: int) -> Partition:
        """Cross-fitting over the patients who have a vector."""
        return self.subjects.partition(seed)

    def table(self) -> NDArray[np.float32]:  # [P, D]
        """Means of the patients of ``subjects``; `build` makes them."""
        found: NDArray[np.float32] = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return found

    def build(self) -> None:
        """Write the means to disk; memory is one piece of the file.

        Raises
        ------
        UsageError
            The file changed since it was joined.
        RunError
            No room.
        """
        shape = (len(self.subjects), self.vectors.dimensions)
        with writing(self.file):
            table = np.lib.format.open_memmap(self.file, mode="w+", dtype=np.float32, shape=shape)
            with self.file.open("r+b") as opened:  # a full disk is an error here, and a crash where a map is written
                os.posix_fallocate(opened.fileno(), 0, table.offset + table.nbytes)
        for first, column, piece in self.vectors.pieces():
            of = self.owner[first : first + len(piece)]
            used = np.flatnonzero(of != NOBODY)
            if len(used):
                patients, local = np.unique(of[used], return_inverse=True)
                means = patient_means(piece[used], local, self.weight[first + used], len(patients))
                table[patients, column : column + means.shape[1]] += means
        table.flush()

    def discreet(self, cell: Cell) -> Cell:
        """A cell of this reader, without numbers of patients where they would tell how few have no vector."""
        if not self.few:
            return cell
        return msgspec.structs.replace(
            cell,
            estimate=_uncounted(cell.estimate),
            classes=tuple(_uncounted_row(one) for one in cell.classes),
            pairs=tuple(_uncounted_row(one) for one in cell.pairs),
        )


def _uncounted(estimate: Estimate) -> Estimate:
    return msgspec.structs.replace(estimate, n_patients=None, n_positive=None, n_images=None)


def _uncounted_row(row: Named) -> Named:
    return msgspec.structs.replace(row, estimate=_uncounted(row.estimate))
