"""Label tables in their usual forms: text with commas, semicolons or tabs, or Parquet; and category maps. Every cell is text."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.errors import UsageError


def read_table(file: Path) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet table.

    Returns
    -------
    DataFrame
        Of str; a missing cell is empty.

    Raises
    ------
    UsageError
        Unreadable, empty, a column twice, a row of another length.
    """
    if file.suffix.lower() in (".parquet", ".pq"):
        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise UsageError(f"{file}: not a readable Parquet file ({error})") from error
        return table.astype(object).map(_cell_text).rename(columns=str)
    lines = _text(file)
    header = lines.split("\n", 1)[0]
    separator = max((",", ";", "\t"), key=header.count)
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=separator, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:  # not strict, a quote that is never closed would make one label of all rows after it
        raise UsageError(f"{file}: line {reader.line_num}: {error}; is a quote not closed?") from error
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise UsageError(f"{file}: the table is empty; its first line must name the columns")
    names = [name.strip() for name in rows[0]]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{file}: column {repeated[0]!r} occurs twice in the first line")
    body = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    for number, row in enumerate(body, 2):
        if len(row) != len(names):
            raise UsageError(f"{file}: row {number} has {len(row)} cells, the first line has {len(names)} columns")
    return pd.DataFrame(body, columns=names, dtype=str)


def read_categories(file: Path) -> dict[str, str]:
    """Read a category map: lines ``"value in the table" = Category``; quotes optional, ``#`` starts a comment line.

    White space inside values is collapsed before comparing, as public tables carry strings such as
    ``African American  or Black`` with two blanks. ``* = Category`` names the rest.
    """
    mapping: dict[str, str] = {}
    for number, line in enumerate(_text(file).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'("(?P<quoted>[^"]*)"|(?P<plain>[^"=]+?))\s*=\s*"?(?P<category>[^"]+?)"?', line)
        if match is None:
            raise UsageError(f'{file}, line {number}: expected  "value" = Category  but found {line!r}')
        value = re.sub(r"\s+", " ", (match["quoted"] if match["quoted"] is not None else match["plain"]).strip())
        category = match["category"].strip()
        if mapping.setdefault(value.lower(), category) != category:
            raise UsageError(f"{file}, line {number}: {value!r} is mapped twice, to {mapping[value.lower()]!r} before")
    return mapping


def _cell_text(cell: Any) -> str:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: byte {error.start} is not UTF-8; save the table as UTF-8") from error
