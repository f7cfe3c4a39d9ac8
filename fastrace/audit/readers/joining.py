"""A file of embeddings joined to the patients of an audit: who has a vector, and what each row weighs in the mean of a patient.

Patients without a vector are left out of this reader's cells; below half of the patients the file is refused, as ids that are
written otherwise are the likelier reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from fastrace.audit.readers.embeddings import Embedding
from fastrace.audit.readers.owners import NOBODY, Archive, Owners
from fastrace.audit.readers.vectors import Vectors
from fastrace.audit.subjects import Subjects, image_weights
from fastrace.cohort.selection import MIN_COHORT
from fastrace.console.progress import Progress
from fastrace.console.words import plural
from fastrace.errors import UsageError
from fastrace.statistics import MIN_CELL

LEAST_SHARE = 0.5


def join(vectors: Vectors, digests: Mapping[str, str], archive: Archive, folder: Path, progress: Progress) -> Embedding:
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
    if not covered.all() and (digits := archive.padded(vectors, int(covered.sum()))):
        raise UsageError(
            f"--embeddings {vectors.file}: column {vectors.column!r} as {vectors.kind} has numbers without the zeros before "
            f"them: {int(covered.sum()):,} of {len(covered):,} images have a vector, and more would with ids of {digits} digits; "
            "write them as text"
        )
    if len(patients) < max(LEAST_SHARE * len(subjects), MIN_COHORT):
        raise UsageError(
            f"--embeddings {vectors.file}: {len(patients):,} of {len(subjects):,} patients ({int(covered.sum()):,} of "
            f"{len(covered):,} images) of this audit have a vector, by column {vectors.column!r} as {vectors.kind}; "
            f"at least half are needed; {archive.offers(vectors)}"
        )
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
    nameless = sum(not one for one in vectors.ids)
    repeated = len(owner_of_rows := owners.of_row[owners.of_row != NOBODY]) - len(np.unique(owner_of_rows))
    left = f"; {plural(nameless, 'row')} without an id" if nameless else ""
    if stray := int((owners.of_row == NOBODY).sum()) - nameless:
        left += f"; {plural(stray, 'row')} of nobody in this audit"
    if repeated and vectors.kind in ("study", "study_key", "patient", "patient_key"):
        left += f"; {repeated:,} rows more of a {vectors.kind.removesuffix('_key')} that has one: their mean is taken"
    left += f"; not used: {', '.join(map(repr, vectors.left[:6]))}" if vectors.left else ""
    have = f"{int(covered.sum()):,} of {len(covered):,} images and {len(patients):,} of {len(subjects):,} patients have one"
    progress.line(
        f"embeddings: {vectors.name}: {len(owner):,} rows of {vectors.dimensions:,} numbers by {vectors.column!r} "
        f"({vectors.kind}); {have}{left}"
    )
    place = folder / f"{vectors.name}.npy"
    return Embedding(vectors, digests[vectors.name], part, subjects, covered, owner, weight, place)


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
