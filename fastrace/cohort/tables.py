"""Tables in their usual forms: text with any usual separator and encoding, Excel, OpenDocument, Parquet; and category maps.

Every cell is text: patient 007 stays 007. What a file is, its bytes say, not its name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fastrace.cohort.encodings import decode, read_bytes
from fastrace.cohort.header_line import MOST_LINES, Recognised, check_names, header_line, names_of
from fastrace.cohort.spreadsheet import MAGIC, read_sheet
from fastrace.cohort.vocabulary import is_column_word
from fastrace.errors import UsageError

_SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes
    ----------
    cells : DataFrame
        Of str; a missing cell is empty.
    notes : tuple of str
        What was recognised: encoding, sheet, what Excel may have changed.
    """

    cells: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_table(file: Path, recognised: Recognised | None = None) -> Table:
    """Read a CSV, TSV, Excel, OpenDocument or Parquet table; CSV and TSV also packed with gzip.

    Parameters
    ----------
    file : Path
    recognised : callable, optional
        Finds the line and the sheet with the names of the columns (`fastrace.cohort.header_line`). Default: the first line.

    Raises
    ------
    UsageError
        Unreadable, empty, a column twice, a row of another length, a first line that is a title or a row.
    """
    raw = read_bytes(file)
    if raw.startswith(b"PAR1") or file.suffix.lower() in (".parquet", ".pq"):
        return Table(_parquet(file, raw))
    if raw.startswith(MAGIC):
        rows, lines, notes = read_sheet(file, raw, recognised)
    else:
        text, encoding = decode(file, raw)
        rows, lines = _text_rows(file, text, recognised)
        notes = [] if encoding is None else [f"labels: the table is read as {encoding}"]
    filled = [(row, line) for row, line in zip(rows, lines, strict=True) if any(cell.strip() for cell in row)]
    rows, lines = [row for row, _ in filled], [line for _, line in filled]
    if recognised is not None:
        first = header_line(rows, recognised)
        rows, lines = rows[first:], lines[first:]
        if first:
            notes.append(
                f"labels: the names of the columns are read from line {lines[0]}; what is above is no part of the table"
            )
        check_names(file, rows, lines, recognised)
    return Table(_framed(file, rows), tuple(notes))


def _text_rows(file: Path, text: str, recognised: Recognised | None) -> tuple[list[list[str]], list[int]]:
    """Rows, and the line in which each begins."""
    stated = re.match(r'"?sep=(.)"?[ \t]*(\r\n|\r|\n)', text)  # Excel writes and reads this line
    if stated:
        text = text[stated.end() :]
    separator = stated[1] if stated else _separator(text, recognised)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, lines, before = [], [], 0
    try:
        for row in reader:
            rows.append(row)
            lines.append(before + (2 if stated else 1))
            before = reader.line_num
    except csv.Error as error:  # not strict, a quote that is never closed would make one label of all rows after it
        raise UsageError(f"{file}: line {reader.line_num}: {error}; is a quote not closed?") from error
    return rows, lines


def _separator(text: str, recognised: Recognised | None) -> str:
    """That of the first line; where that names no columns, that of the line which does, else the most frequent below it."""
    header = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0])
    usual = max(_SEPARATORS, key=header.count)
    if recognised is None:
        return usual
    beginnings = {one: _beginning(text, one) for one in (usual, *_SEPARATORS)}
    for separator, rows in beginnings.items():
        if rows and any(map(recognised, names_of(rows[header_line(rows, recognised)]))):
            return separator
    return usual if header.count(usual) else max(beginnings, key=lambda one: sum(map(len, beginnings[one])))


def _beginning(text: str, separator: str) -> Sequence[list[str]]:
    reader = csv.reader(io.StringIO(text[:100_000], newline=""), delimiter=separator)
    try:
        return [row for _, row in zip(range(MOST_LINES), reader, strict=False)]
    except csv.Error:
        return []


def _framed(file: Path, rows: list[list[str]]) -> pd.DataFrame:
    if not rows:
        raise UsageError(f"{file}: the table is empty; its first line must name the columns")
    names = names_of(rows[0])
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        one = next(filter(is_column_word, repeated), repeated[0])
        places = " and ".join(str(place) for place, name in enumerate(names, 1) if name == one)
        what = f"column {one!r} occurs twice" if is_column_word(one) else f"columns {places} have the same name"
        raise UsageError(f"{file}: {what} in the line that names the columns; is that line one of the rows?")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise UsageError(f"{file}: row {number} has {len(row)} cells, the first line has {len(names)} columns")
    return pd.DataFrame(rows[1:], columns=names, dtype=str)


def _parquet(file: Path, raw: bytes) -> pd.DataFrame:
    try:
        table = pq.read_table(io.BytesIO(raw))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{file}: not a readable Parquet file ({error})") from error
    # Not through pandas: whole numbers beside a missing one would become floats, exact to 2^53 only.
    return pd.DataFrame(
        {str(name): [cell_text(cell) for cell in table[name].to_pylist()] for name in table.column_names}, dtype=str
    )


def cell_text(cell: Any) -> str:
    """A cell of a typed column as text: 7.0 is the id 7, a missing one is empty."""
    if cell is None or (isinstance(cell, float | Decimal) and cell != cell):
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def read_categories(file: Path) -> dict[str, str]:
    """Read a category map: lines ``"value in the table" = Category``; quotes optional, ``#`` starts a comment line.

    White space inside values is collapsed before comparing, as public tables carry strings such as
    ``African American  or Black`` with two blanks. ``* = Category`` names the rest.
    """
    mapping: dict[str, str] = {}
    text, _ = decode(file, read_bytes(file))
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'("(?P<quoted>[^"]*)"|(?P<plain>[^"=]+?))\s*=\s*"?(?P<category>[^"]+?)"?', line)
        if match is None:
            raise UsageError(f'{file}, line {number}: expected  "value" = Category')
        value = re.sub(r"\s+", " ", (match["quoted"] if match["quoted"] is not None else match["plain"]).strip())
        category = match["category"].strip()
        if mapping.setdefault(value.lower(), category) != category:
            raise UsageError(f"{file}, line {number}: its value is mapped twice, to {mapping[value.lower()]!r} before")
    return mapping
