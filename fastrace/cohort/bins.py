"""``--bins COLUMN=EDGES``: classes of a number, so that age or BMI can be a target: ``age=40,60`` gives <40, 40-60 and >=60."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fastrace.errors import UsageError


@dataclass(frozen=True)
class Bins:
    """Classes of a number.

    Attributes
    ----------
    column : str
        Of the table, or a number of the index such as ``age_years``.
    edges : tuple of float
        Ascending; a number on an edge belongs to the class above it.
    texts : tuple of str
        The edges as typed.
    """

    column: str
    edges: tuple[float, ...]
    texts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the label column of the classes."""
        return f"{self.column}_bin"

    @property
    def classes(self) -> tuple[str, ...]:
        """From the lowest; ``40-60`` holds 40 and not 60."""
        inner = [f"{low}-{high}" for low, high in pairwise(self.texts)]
        return (f"<{self.texts[0]}", *inner, f">={self.texts[-1]}")

    def of(self, number: float | None) -> str:
        """The class of a number; ``unknown`` without one."""
        if number is None or math.isnan(number):
            return "unknown"
        return self.classes[bisect_right(self.edges, number)]


def parse_bins(text: str) -> Bins:
    """Read ``COLUMN=EDGE,EDGE...``.

    Raises
    ------
    UsageError
        No column, no edges, edges that do not ascend.
    """
    column, _, listed = text.rpartition("=")
    texts = tuple(part.strip() for part in listed.split(","))
    if not column.strip() or not all(re.fullmatch(r"-?\d+(\.\d+)?", part) for part in texts):
        raise UsageError(
            f"--bins {text}: expected COLUMN=EDGE,EDGE... with a decimal point, for example --bins age=40,60"
        )
    edges = tuple(map(float, texts))
    if any(low >= high for low, high in pairwise(edges)):
        raise UsageError(f"--bins {text}: the edges must ascend")
    return Bins(column.strip(), edges, texts)


def check_bins(texts: Sequence[str]) -> tuple[Bins, ...]:
    """All of them, one for each column."""
    found = tuple(map(parse_bins, texts))
    columns = [one.column for one in found]
    for column in columns:
        if columns.count(column) > 1:
            raise UsageError(f"--bins {column}: given {columns.count(column)} times")
    return found
