"""Embeddings computed elsewhere as a reader: a file of vectors joined to the patients of an audit, as a label table is.

fastrace did not see the images through them, so they answer for unchanged images alone. Patients without a vector are left out
of this reader's cells; below half of the patients it is refused, as ids that are written otherwise are the likelier reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from fastrace.audit.document import Cell, Estimate, FeatureSet, Named
from fastrace.audit.partition import Partition
from fastrace.audit.readers.owners import NOBODY, Archive, Owners
from fastrace.audit.readers.vectors import Vectors, reading
from fastrace.audit.request import embeddings_files
from fastrace.audit.subjects import Subjects, image_weights, patient_means
from fastrace.cohort.selection import MIN_COHORT
from fastrace.console.progress import Progress
from fastrace.digest import bytes_hash, file_hash
from fastrace.errors import UsageError
from fastrace.run_folder import writing
from fastrace.statistics import MIN_CELL

LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Embedding:
    """Vectors of patients of an audit.

    Attributes
    ----------
    vectors : Vectors
    digest : str
        `files_digest`.
    subjects : Subjects
        The patients who have one, and their images that have one.
    missing : ndarray [K] int64
        Patients of each class who have none.
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
    missing: NDArray[np.int64]
    owner: NDArray[np.int64]
    weight: NDArray[np.float64]
    file: Path

    @property
    def name(self) -> str:
        """In tables: the stem of the file."""
        return self.vectors.name

    @property
    def few(self) -> bool:
        """Whether the patients who have none are so few that nothing may tell how many they are."""
        return bool(((self.missing > 0) & (self.missing < MIN_CELL)).any())

    @property
    def facts(self) -> FeatureSet:
        """For the report."""
        who = "all patients"
        if self.missing.any():
            n, total = len(self.subjects), len(self.subjects) + int(self.missing.sum())
            who = "the patients who have a vector" if self.few else f"the {n:,} of {total:,} patients who have a vector"
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


def embedding(
    vectors: Vectors, digests: Mapping[str, str], archive: Archive, folder: Path, progress: Progress
) -> Embedding:
    """Join a file and read it once, so that what is wrong with it is known before anything is computed.

    Parameters
    ----------
    vectors : Vectors
    digests : mapping
        Name of a reader -> digest of its files.
    archive : Archive
    folder : Path
        For the means of patients.

    Raises
    ------
    UsageError
    """
    subjects = archive.subjects
    owners = archive.owners(vectors)
    covered = owners.of_image != NOBODY
    patients = np.unique(subjects.owner[covered])
    if len(patients) < max(LEAST_SHARE * len(subjects), MIN_COHORT):
        raise UsageError(
            f"--embeddings {vectors.file}: {len(patients):,} of {len(subjects):,} patients ({int(covered.sum()):,} of "
            f"{len(covered):,} images) of this audit have a vector, by column {vectors.column!r} as {vectors.kind}; "
            f"at least half are needed; {archive.offers(vectors)}"
        )
    missing = np.bincount(subjects.labels, minlength=len(subjects.classes))
    missing = missing - np.bincount(subjects.labels[patients], minlength=len(subjects.classes))
    of_class = np.bincount(subjects.labels[patients], minlength=len(subjects.classes))
    if of_class.min() < MIN_CELL:
        name = subjects.classes[int(of_class.argmin())]
        raise UsageError(
            f"--embeddings {vectors.file}: fewer than {MIN_CELL} patients of {name!r} have a vector; leave the class out with "
            "--class, or compute the others"
        )
    part = subjects if covered.all() else _part(subjects, covered)
    owner, weight = _rows(owners, subjects, part, covered)
    if vectors.kind in ("image", "path", "image_key"):
        _check_repeated(vectors, owners.of_row)
    else:
        for _ in vectors.pieces():
            pass
    left = f"; not used: {', '.join(map(repr, vectors.left[:6]))}" if vectors.left else ""
    have = f"{int(covered.sum()):,} of {len(covered):,} images and {len(patients):,} of {len(subjects):,} patients have one"
    progress.line(
        f"embeddings: {vectors.name}: {len(owner):,} rows of {vectors.dimensions:,} numbers by {vectors.column!r} "
        f"({vectors.kind}); {have}{left}"
    )
    return Embedding(vectors, digests[vectors.name], part, missing, owner, weight, folder / f"{vectors.name}.npy")


def files_digest(text: str) -> str:
    """BLAKE2b-256 of a file of embeddings; with the table of its rows, of both digests.

    Raises
    ------
    UsageError
        One of them cannot be read.
    """
    file, table = embeddings_files(text)
    with reading(file):
        digest = file_hash(file)
    beside = [table] if table else [file.with_suffix(".csv"), file.with_suffix(".parquet")]
    for one in beside if file.suffix.lower() == ".npy" else []:
        if table or one.is_file():
            with reading(one):
                digest = bytes_hash((digest + file_hash(one)).encode())
    return digest


def _part(subjects: Subjects, covered: NDArray[np.bool_]) -> Subjects:
    """The patients and images that are covered."""
    patients, owner = np.unique(subjects.owner[covered], return_inverse=True)
    cohort = subjects.cohort.take(covered)
    return Subjects(
        cohort,
        subjects.keys[patients],
        subjects.labels[patients],
        owner.reshape(-1),
        image_weights(cohort, owner.reshape(-1)),
    )


def _rows(
    owners: Owners, subjects: Subjects, part: Subjects, covered: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Patient and weight of each row: what its images weigh together, shared by the rows of the same unit."""
    unit = owners.of_image[covered]
    total = np.bincount(unit, part.weight)
    patient = np.full(len(total), NOBODY, dtype=np.int64)
    patient[unit] = part.owner
    rows = np.bincount(owners.of_row[owners.of_row != NOBODY], minlength=len(total))
    used = owners.of_row != NOBODY
    owner = np.full(len(used), NOBODY, dtype=np.int64)
    weight = np.zeros(len(used))
    owner[used] = patient[owners.of_row[used]]
    weight[used] = total[owners.of_row[used]] / rows[owners.of_row[used]]
    return owner, weight


def _check_repeated(vectors: Vectors, unit: NDArray[np.int64]) -> None:
    """Several rows of one image must be the same: of two vectors, which one is the image's cannot be known.

    Raises
    ------
    UsageError
    """
    several = np.isin(unit, np.flatnonzero(np.bincount(unit[unit != NOBODY]) > 1))
    before: dict[tuple[int, int], tuple[int, bytes]] = {}  # unit and column of a piece -> the first row of the unit
    for start, column, piece in vectors.pieces():
        for row in np.flatnonzero(several[start : start + len(piece)]):
            digest = xxhash.xxh3_128_digest(np.ascontiguousarray(piece[row]).data)
            first, known = before.setdefault((int(unit[start + row]), column), (start + int(row), digest))
            if known != digest:
                raise UsageError(
                    f"--embeddings {vectors.file}: rows {first + 1} and {start + int(row) + 1} name the same image and differ; "
                    "leave one out, or name frames of one file by the image_key of index.parquet"
                )


def _uncounted(estimate: Estimate) -> Estimate:
    return msgspec.structs.replace(estimate, n_patients=None, n_positive=None, n_images=None)


def _uncounted_row(row: Named) -> Named:
    return msgspec.structs.replace(row, estimate=_uncounted(row.estimate))
