"""The results from which questions are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastrace.audit.document import Cell, Location


@dataclass(frozen=True)
class Findings:
    """The corrected cells of an audit, those of the headline feature set first, and the location of the signal.

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

    The order is fixed beforehand: the largest of several AUCs would be biased upwards.
    """
    primary = [cell for cell in cells if cell.family == "primary"]
    return next((cell for cell in primary if cell.finding), primary[0])
