"""Which line of a table names its columns: exports of hospitals put a title, a date and a blank line above it.

A later line than the first is taken only where it cannot be anything else: it has more cells than any line above, all of them
different and no numbers, and one of them is a column that names images or patients, which none above is. Where that much is not
known, the user is told which line it seems to be. No cell is quoted: what stands there may be a patient.

A first line of one cell may be a title although that is a usual name ("Study"), padded with blanks or not: then a later line that
has two such names counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from fastrace.cohort.vocabulary import is_column_word
from fastrace.errors import UsageError

Recognised = Callable[[str], bool]
"""Whether a cell is the name of a column that names images or patients, or one that the user has typed."""

MOST_LINES = 30
"""Below so many lines no table begins."""

# A number or a date: something that a row holds and no column is called.
_NO_NAME = re.compile(r"[+-]?\d+(?:[.,:/-]\d+)*(?:[ T]\d+(?::\d+)*)?")


def names_of(row: Sequence[str]) -> list[str]:
    """The cells of a line as names of columns."""
    return [cell.strip() or f"column {number}" for number, cell in enumerate(row, 1)]


def header_line(rows: Sequence[Sequence[str]], recognised: Recognised) -> int:
    """The place in `rows` of the line that names the columns; its first line with cells, where no other is unmistakable."""
    places = [place for place, row in enumerate(rows[:MOST_LINES]) if any(cell.strip() for cell in row)]
    if not places:
        return 0
    stated = any(map(recognised, names_of(rows[places[0]])))
    if stated and not _may_be_title(rows[places[0]]):
        return places[0]
    widest = 0
    for place in places:
        cells = [cell.strip() for cell in rows[place] if cell.strip()]
        plain = len(set(cells)) == len(cells) > max(widest, 1) and not any(map(_NO_NAME.fullmatch, cells))
        usual = sum(recognised(cell) or is_column_word(cell) for cell in cells)
        if plain and any(map(recognised, cells)) and usual > stated:
            return place
        widest = max(widest, len(cells))
    return places[0]


def _may_be_title(row: Sequence[str]) -> bool:
    """Whether a line has one cell, and that a usual name rather than one that the user has typed."""
    cells = [cell.strip() for cell in row if cell.strip()]
    return len(cells) == 1 and is_column_word(cells[0])


def check_names(file: Path, rows: Sequence[Sequence[str]], lines: Sequence[int], recognised: Recognised) -> None:
    """Refuse rows whose first names no columns.

    Parameters
    ----------
    file : Path
    rows : sequence of sequence of str
        From the line that is taken for the names of the columns.
    lines : sequence of int
        Where each stands in the file, from 1.
    recognised : callable

    Raises
    ------
    UsageError
        The first line is a title above a wider line, or has numbers and no name that is known.
    """
    if not rows or any(map(recognised, names_of(rows[0]))):
        return
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows[:MOST_LINES]]
    widest = max(filled)
    if filled[0] == 1 and widest > 1:
        line = lines[filled.index(widest)]
        raise UsageError(
            f"{file}: the names of the columns seem to be in line {line}, not in line {lines[0]}, which has one cell: delete the "
            "lines above them"
        )
    if any(_NO_NAME.fullmatch(cell.strip()) for cell in rows[0]):
        raise UsageError(
            f"{file}: line {lines[0]} has numbers and no column known to name a patient, study, accession, image or path: "
            "write the names of the columns above the rows, or, if it has them, name one with --key"
        )
