"""The marks of answers: one word for the strength of evidence, from an interval and a corrected p."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from fastrace.audit.document import Cell, FeatureSet
from fastrace.statistics import CONSTANT, NOT_ENOUGH

NOT_RUN = "not run"
NOT_SHOWN = "not shown"
NO_CONCLUSION = "no conclusion"
GAVE_NOTHING = "gave nothing"
"""Of a reader that gives every patient the same score: no answer, and no fault of the patients."""
LEARNED_NOTHING = "learned nothing"
"""Of a network whose training failed: its mark and the status of its estimates, in place of "not shown", which is evidence."""
COVERAGE = "coverage differs"
"""Of embeddings, where which images and patients have a vector goes with the group: what is read may be that."""
STRONG, CLEAR = 0.75, 0.6
"""Lower limits from which a finding is called strong, or clear; else weak. A convention, not a threshold of harm."""


def mark(cell: Cell) -> str:
    """One word for a cell."""
    if few(cell):
        return NOT_ENOUGH
    if cell.estimate.status in (LEARNED_NOTHING, COVERAGE):
        return cell.estimate.status
    if cell.estimate.status == CONSTANT:
        return GAVE_NOTHING
    if not cell.finding or cell.estimate.low is None:
        return NOT_SHOWN
    return strength(cell.estimate.low if cell.band is None else cell.band[0])


def strength(low: float) -> str:
    """The word for a finding whose size is at least ``low``."""
    return "strong" if low >= STRONG else "clear" if low >= CLEAR else "weak"


def few(cell: Cell) -> bool:
    """Whether a class has too few patients for any conclusion."""
    return cell.estimate.status.startswith(NOT_ENOUGH)


def unequal(cell: Cell, differ: Collection[str]) -> Cell:
    """The cell, with the status `COVERAGE` and no finding, if it is of one of these readers."""
    if cell.features not in differ or few(cell):
        return cell
    return msgspec.structs.replace(cell, finding=None, estimate=msgspec.structs.replace(cell.estimate, status=COVERAGE))


def silenced(cell: Cell, features: Sequence[FeatureSet]) -> Cell:
    """The cell, with the status `LEARNED_NOTHING` where it found nothing and its network had learned nothing."""
    own = next((one for one in features if one.name == cell.features), None)
    if own is None or own.training is None or own.training.learned or cell.finding or few(cell):
        return cell
    return msgspec.structs.replace(cell, estimate=msgspec.structs.replace(cell.estimate, status=LEARNED_NOTHING))
