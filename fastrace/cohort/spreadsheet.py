"""Excel and OpenDocument tables, by python-calamine. Excel keeps no text of a number: it is turned back as far as possible.

A whole number is written without ``.0``; a date as in ISO 8601. Leading zeros that the sheet only displays are not in the file
(``--match zeros`` then joins), and of ids with more than 15 digits Excel has lost the rest: both are noted.
"""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

from fastrace.cohort.header_line import MOST_LINES, Recognised, header_line, names_of
from fastrace.errors import UsageError

MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # zip: xlsx, xlsb, ods; compound file: xls
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
_EXACT = 10**15  # Excel keeps 15 digits


def read_sheet(
    file: Path, raw: bytes, recognised: Recognised | None = None
) -> tuple[list[list[str]], list[int], list[str]]:
    """Rows of the first sheet with a column that is `recognised`, else of the first with cells; the line of each; notes.

    Hidden sheets come last: nobody who looks at the workbook sees them.

    Raises
    ------
    UsageError
        Not a workbook that can be read, or an empty one.
    """
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        hidden = {one.name for one in book.sheets_metadata if one.visible != SheetVisibleEnum.Visible}
        names = sorted(book.sheet_names, key=lambda name: name in hidden)
        read = {name: book.get_sheet_by_name(name) for name in names}
        sheets = {name: sheet.to_python(skip_empty_area=True) for name, sheet in read.items()}
    except (CalamineError, ValueError, OSError) as error:
        raise UsageError(
            f"{file}: not a readable Excel or OpenDocument table ({error}); save it as CSV (UTF-8)"
        ) from error
    filled = {name: cells for name, cells in sheets.items() if any(_text(cell) for row in cells for cell in row)}
    if not filled:
        raise UsageError(f"{file}: the table is empty; its first line must name the columns")
    begins = {name: [[_text(cell) for cell in row] for row in cells[:MOST_LINES]] for name, cells in filled.items()}
    first = {name: 0 if recognised is None else header_line(rows, recognised) for name, rows in begins.items()}
    known = [
        name for name in filled if recognised is not None and any(map(recognised, names_of(begins[name][first[name]])))
    ]
    name = next(iter(known or filled))
    notes = []
    if len(filled) > 1:
        others = ", ".join(f"{one!r}{' (hidden)' if one in hidden else ''}" for one in filled if one != name)
        why = " with a column that names patients or images" if known else ""
        notes.append(
            f"labels: sheet {name!r} is read, the first of {len(filled)}{why} (others: {others}); save another as its own file"
        )
    if name in hidden:
        notes.append(f"labels: sheet {name!r} is hidden in the workbook: is it the right one?")
    start = (read[name].start or (0, 0))[0]
    rows = [[_text(cell) for cell in row] for row in filled[name]]
    lines = [start + place for place in range(1, len(rows) + 1)]
    return rows, lines, [*notes, *_losses(filled[name][first[name] :])]


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat(" ") if isinstance(cell, datetime.datetime) else cell.isoformat()
    return "" if str(cell) in _ERRORS else str(cell)


def _losses(cells: list[list[Any]]) -> list[str]:
    """What Excel may have changed, by column."""
    notes = []
    for name, *column in zip(*cells, strict=True):
        dates = sum(isinstance(cell, datetime.date) for cell in column)
        if dates and any(isinstance(cell, str) and cell.strip() for cell in column):
            notes.append(
                f"labels: column {_text(name)!r} has {dates} dates among texts: Excel turns ids such as 1-2 into dates"
            )
        if any(isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) >= _EXACT for cell in column):
            notes.append(
                f"labels: column {_text(name)!r} has numbers of more than 15 digits, of which Excel keeps 15; "
                "ids must be text there"
            )
    return notes
