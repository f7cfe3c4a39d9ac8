"""``--bins COLUMN=EDGES``: classes of a number, so that age or BMI can be a target: ``age=40,60`` gives <40, 40-60 and >=60."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fastrace.errors import UsageError

# The vocabulary of tables is imported where it is used: it loads pydicom, which commands that are refused do not need.


@dataclass(frozen=True)
class Bins:
    """Classes of a number.

    Attributes
    ----------
    column : str
        Of the table, or a number of the index such as ``age_years``; as typed, see `source_of`.
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


def table_column(typed: str, columns: Iterable[str]) -> str | None:
    """The column of the table that is meant: the one of that name, else of the same letters and digits (``Age`` for ``age``)."""
    from fastrace.cohort.vocabulary import plain

    listed = list(columns)
    return typed if typed in listed else next((name for name in listed if plain(name) == plain(typed)), None)


def numbers() -> tuple[str, ...]:
    """Columns of the index that can be cut into classes; days since the first study are known after all images only."""
    from fastrace.dataset import ACQUISITION_NUMBERS  # pandas, which workers do not load

    of_acquisition = [name for name in ACQUISITION_NUMBERS if name != "days_since_first_study"]
    return ("age_years", "bits_stored", "source_rows", "source_columns", "mm_per_pixel", *of_acquisition)


def source_of(typed: str, labels: Iterable[str], facts: Mapping[str, str]) -> str | None:
    """Where the numbers of ``--bins`` are: ``label:COLUMN`` of the table, or a column of the index; None if nowhere.

    Parameters
    ----------
    typed : str
    labels : iterable of str
        Label columns of the table.
    facts : mapping
        Column of the table -> column of the index that it describes.
    """
    from fastrace.cohort.vocabulary import FACTS, plain

    kept = list(labels)
    if (found := table_column(typed, [*kept, *facts])) is not None:
        return facts.get(found, f"label:{found}")
    if typed in numbers():
        return typed
    return "age_years" if plain(typed) in FACTS["age_years"] else None


def check_sources(bins: Sequence[Bins], labels: Iterable[str], facts: Mapping[str, str]) -> None:
    """Refuse a column that is nowhere, or one of the index that is no number.

    Raises
    ------
    UsageError
        Naming what there is.
    """
    kept = list(labels)
    for one in bins:
        source = source_of(one.column, kept, facts)
        if source is None or not (source.startswith("label:") or source in numbers()):
            of_table = f"; of the table: {', '.join(map(repr, [*kept, *facts]))}" if kept or facts else ""
            what = "no such column" if source is None else f"{source} is no number"
            raise UsageError(f"--bins {one.column}: {what}; numbers of the index: {', '.join(numbers())}{of_table}")
