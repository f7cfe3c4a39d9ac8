"""The marks of answers: one word for the strength of evidence, from an interval and a corrected p."""

from __future__ import annotations

from fastrace.audit.document import Cell
from fastrace.statistics import NOT_ENOUGH

NOT_RUN = "not run"
NOT_SHOWN = "not shown"
NO_CONCLUSION = "no conclusion"
STRONG, CLEAR = 0.75, 0.6
"""Lower limits from which a finding is called strong, or clear; else weak. A convention, not a threshold of harm."""


def mark(cell: Cell) -> str:
    """One word for a cell."""
    if few(cell):
        return NOT_ENOUGH
    if not cell.finding or cell.estimate.low is None:
        return NOT_SHOWN
    return strength(cell.estimate.low)


def strength(low: float) -> str:
    """The word for a finding whose size is at least ``low``."""
    return "strong" if low >= STRONG else "clear" if low >= CLEAR else "weak"


def few(cell: Cell) -> bool:
    """Whether a class has too few patients for any conclusion."""
    return cell.estimate.status.startswith(NOT_ENOUGH)
