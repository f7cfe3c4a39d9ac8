"""Tables in their usual forms: text with any usual separator and encoding, Excel, OpenDocument, Parquet; and category maps.

Every cell is text: patient 007 stays 007. What a file is, its bytes say, not its name.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fastrace.cohort.encodings import decode, read_bytes
from fastrace.cohort.spreadsheet import MAGIC, read_sheet
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


def read_table(file: Path) -> Table:
    """Read a CSV, TSV, Excel, OpenDocument or Parquet table; CSV and TSV also packed with gzip.

    Raises
    ------
    UsageError
        Unreadable, empty, a column twice, a row of another length.
    """
    raw = read_bytes(file)
    if raw.startswith(b"PAR1") or file.suffix.lower() in (".parquet", ".pq"):
        return Table(_parquet(file, raw))
    if raw.startswith(MAGIC):
        rows, notes = read_sheet(file, raw)
    else:
        text, encoding = decode(file, raw)
        rows = _text_rows(file, text)
        notes = [] if encoding is None else [f"labels: the table is read as {encoding}"]
    return Table(_framed(file, rows), tuple(notes))


def _text_rows(file: Path, text: str) -> list[list[str]]:
    stated = re.match(r'"?sep=(.)"?[ \t]*(\r\n|\r|\n)', text)  # Excel writes and reads this line
    if stated:
        text = text[stated.end() :]
    header = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0])
    separator = stated[1] if stated else max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return list(reader)
    except csv.Error as error:  # not strict, a quote that is never closed would make one label of all rows after it
        raise UsageError(f"{file}: line {reader.line_num}: {error}; is a quote not closed?") from error


def _framed(file: Path, rows: list[list[str]]) -> pd.DataFrame:
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise UsageError(f"{file}: the table is empty; its first line must name the columns")
    names = [name.strip() or f"column {number}" for number, name in enumerate(rows[0], 1)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{file}: column {repeated[0]!r} occurs twice in the first line")
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
        {str(name): [_cell_text(cell) for cell in table[name].to_pylist()] for name in table.column_names}, dtype=str
    )


def _cell_text(cell: Any) -> str:
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
