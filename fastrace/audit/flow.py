"""From the files to the patients audited: what was left out, and why.

Small groups, and totals from which they could be computed, are suppressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from fastrace.audit.document import Flow, LeftOut
from fastrace.audit.subjects import Subjects
from fastrace.dataset import Dataset
from fastrace.statistics import MIN_CELL, hidden


def flow(dataset: Dataset, subjects: Subjects) -> tuple[Flow, ...]:
    """The boxes of the flow diagram."""
    counts = dataset.meta["counts"]
    rejected = [LeftOut(str(reason), int(n), None) for reason, n in (counts.get("rejected") or {}).items()]
    left_out = [LeftOut(why, n["images"], n["patients"]) for why, n in subjects.cohort.left_out.items()]
    steps = [
        _step("inputs read", int(counts["inputs"]), None, rejected),
        _step("in the dataset", int(counts["indexed"]), int(counts["patients"]), left_out),
        _step("audited", len(subjects.cohort.rows), len(subjects), []),
    ]
    # A suppressed total must not follow from the totals above it.
    for above, below in reversed(list(pairwise(range(len(steps))))):
        if steps[below].suppressed and not steps[above].suppressed:
            steps[above] = msgspec.structs.replace(steps[above], images=None, patients=None, suppressed=True)
    return tuple(steps)


def _step(label: str, images: int | None, patients: int | None, parts: Sequence[LeftOut]) -> Flow:
    # Where patients are not known, images are an upper bound of them.
    people = [part.patients if part.patients is not None else part.images or 0 for part in parts]
    small = [n < MIN_CELL for n in people]
    listed = tuple(
        LeftOut(part.reason, None, None, suppressed=True) if hide else part
        for part, hide in zip(parts, small, strict=True)
    )
    # The total minus the parts shown gives the suppressed ones: below eleven patients together, the total is suppressed too.
    missing = sum(n for n, hide in zip(people, small, strict=True) if hide)
    hide_total = any(small) and (missing < MIN_CELL or sum(small) == 1)
    if hide_total:
        images = patients = None
    return Flow(label, images, patients, hide_total, listed)


def patients_by(subjects: Subjects, column: str) -> dict[str, int | None]:
    """Patients by the value of a column of the index, None where suppressed."""
    counts = subjects.cohort.frame.groupby(column)["patient_key"].nunique()
    few = hidden({str(name): int(n) for name, n in counts.items()})
    return {str(name): None if str(name) in few else int(n) for name, n in counts.items()}
