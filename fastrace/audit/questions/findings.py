"""What a question is answered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastrace.audit.document import Cell, Location


@dataclass(frozen=True)
class Findings:
    """The cells of an audit, corrected, the feature set that answers first; and where the signal was located.

    Attributes
    ----------
    cells : tuple of Cell
    location : Location
    """

    cells: tuple[Cell, ...]
    location: Location

    @property
    def headline(self) -> Cell:
        """The primary cell that answers Q1."""
        return headline(self.cells)


def headline(cells: Sequence[Cell]) -> Cell:
    """The primary cell that answers Q1: the built-in features, or, where they find nothing, the first set that does.

    An order fixed beforehand: the largest of several AUCs would be too large.
    """
    primary = [cell for cell in cells if cell.family == "primary"]
    return next((cell for cell in primary if cell.finding), primary[0])
