"""Opening a file of embeddings: what is read and what is refused, which columns are the vector, which one names its rows.

Parquet: the vectors are the only column of lists of numbers, or the columns with one name and a number behind it (``f0``, ``f1``,
...). Other numbers are never taken for a part of a vector: a table that holds the attribute as a code beside its vectors would
read it at AUC 1. npy: an array [N, D], whose rows a table beside it names. Nothing is unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastrace.audit.readers.vectors import Vectors, is_list, reading
from fastrace.audit.request import embeddings_files
from fastrace.cohort.key_columns import choose_keys
from fastrace.cohort.tables import cell_text, read_table
from fastrace.cohort.vocabulary import KEYS, names_rows, plain
from fastrace.digest import bytes_hash, file_hash
from fastrace.errors import UsageError

OWN_KEYS = ("image_key", "study_key", "patient_key")
"""Columns of a dataset's index, hashes already: who embedded the images of a dataset needs no salt."""
MOST_DIMENSIONS = 16384

Kind = tuple[str, str]  # what names rows, and the column


def open_vectors(text: str, keys: Sequence[str] = ()) -> Vectors:
    """Open a file of embeddings and read its ids.

    Parameters
    ----------
    text : str
        ``FILE.parquet``, ``FILE.npy`` beside its table ``FILE.csv`` or ``FILE.parquet``, or ``FILE.npy=KEYS``.
    keys : sequence of str
        ``KIND=COLUMN`` or ``COLUMN``; those of which the file has no column are another file's.

    Raises
    ------
    UsageError
        Not such a file, no vectors in it, nothing that names its rows.
    """
    file, table = embeddings_files(text)
    with reading(file), file.open("rb") as opened:
        start = opened.read(8)
    if start.startswith(b"\x93NUMPY"):
        return _npy(file, table, keys)
    if start.startswith(b"PAR1"):
        return _parquet(file, keys)
    raise UsageError(f"--embeddings {file}: {_other(file, start)}")


def files_digest(text: str) -> str:
    """BLAKE2b-256 of a file of embeddings; with the table of its rows, of both digests.

    Raises
    ------
    UsageError
        One of them cannot be read.
    """
    file, table = embeddings_files(text)
    with reading(file):
        digest = file_hash(file)
    beside = [table] if table else [file.with_suffix(".csv"), file.with_suffix(".parquet")]
    for one in beside if file.suffix.lower() == ".npy" else []:
        if table or one.is_file():
            with reading(one):
                digest = bytes_hash((digest + file_hash(one)).encode())
    return digest


def _parquet(file: Path, keys: Sequence[str]) -> Vectors:
    with reading(file), pq.ParquetFile(file, memory_map=True, pre_buffer=False) as opened:
        schema, rows = opened.schema_arrow, opened.metadata.num_rows
        ids = [name for name in schema.names if _names_rows(name, keys)]
        columns, left = _columns(file, schema, ids)
        dimensions = len(columns)
        if rows and is_list(schema.field(columns[0]).type):
            (first,) = next(opened.iter_batches(batch_size=1, columns=list(columns))).column(0)
            dimensions = len(first) if first.is_valid else 0
        _check_shape(file, rows, dimensions)
        (kind, column), others = _keys(file, [name for name in schema.names if name not in columns], keys)
        cells = {name: _texts(opened.read([name]).column(0).to_pylist()) for _, name in ((kind, column), *others)}
    named = {one: cells[one[1]] for one in others}
    return Vectors(file, kind, column, cells[column], named, dimensions, columns, left)


def _npy(file: Path, table: Path | None, keys: Sequence[str]) -> Vectors:
    with reading(file):
        array = np.lib.format.open_memmap(file, mode="r") if file.stat().st_size else np.empty(0)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise UsageError(
            f"--embeddings {file}: an array of {array.dtype} of shape {array.shape}; expected numbers, [rows, dimensions]"
        )
    _check_shape(file, *array.shape)
    table = table or _beside(file)
    read = read_table(table, lambda name: _names_rows(name, keys)).cells
    if len(read) != len(array):
        raise UsageError(
            f"{table}: has {len(read)} rows, {file.name} has {len(array)}; expected one for each, in the same order"
        )
    (kind, column), others = _keys(table, list(read.columns), keys)
    named = {one: _texts(read[one[1]]) for one in others}
    return Vectors(file, kind, column, _texts(read[column]), named, int(array.shape[1]))


def _beside(file: Path) -> Path:
    """The table of an array, where none is named."""
    found = [one for one in (file.with_suffix(".csv"), file.with_suffix(".parquet")) if one.is_file()]
    if len(found) != 1:
        what = "both are there" if found else "neither is there"
        raise UsageError(
            f"--embeddings {file}: the table that names its rows is {file.stem}.csv or {file.stem}.parquet beside it, and "
            f"{what}; name it with --embeddings {file}=KEYS"
        )
    return found[0]


def _keys(file: Path, names: Sequence[str], keys: Sequence[str]) -> tuple[Kind, list[Kind]]:
    """What names the rows, and what else could; the most specific that a dataset has, or what the user named."""
    given = [text for text in keys if _column_of(text) in names]
    own = [name for name in OWN_KEYS if name in (given or names)]
    if own:
        return (own[0], own[0]), []
    held = [name for name in names if given or plain(name) not in KEYS["accession"]]
    chosen = choose_keys(file, held if any(map(names_rows, held)) else names, given)
    if chosen.kind == "accession":
        raise UsageError(
            f"{file}: its rows are named by accession ({chosen.column!r}), which no dataset holds; name images, studies or "
            "patients with --key KIND=COLUMN"
        )
    return (chosen.kind, chosen.column), [one for one in chosen.others if one[0] != "accession"]


def _columns(file: Path, schema: pa.Schema, ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that hold the vectors, and other columns of numbers."""
    if len(set(schema.names)) < len(schema.names):
        raise UsageError(f"--embeddings {file}: two of its columns have the same name; rename one")
    lists = [field.name for field in schema if is_list(field.type) and _is_number(field.type.value_type)]
    numbers = [field.name for field in schema if _is_number(field.type) and field.name not in ids]
    if len(lists) == 1:
        return tuple(lists), tuple(numbers)
    series: dict[str, list[str]] = {}
    for name in numbers:
        if (found := re.fullmatch(r"(.*?)\d+", name, re.DOTALL)) is not None:
            series.setdefault(found[1], []).append(name)
    if lists or len(series) != 1:
        there = [repr(name) for name in lists] or [
            f"{stem!r} and a number ({len(names)})" for stem, names in series.items()
        ]
        kinds = ", ".join(f"{field.name!r} {field.type}" for field in schema if field.name not in ids)
        said = (
            "several could be: " + ", ".join(there[:4])
            if there
            else f"none holds lists of numbers, or is numbered: {kinds[:200]}"
        )
        raise UsageError(
            f"--embeddings {file}: which of its columns are the vector cannot be told ({said}); make it one column of lists, or "
            "columns f0, f1, ... beside which no other is named so"
        )
    (columns,) = series.values()
    return tuple(columns), tuple(name for name in numbers if name not in columns)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _check_shape(file: Path, rows: int, dimensions: int) -> None:
    if not rows or not dimensions:
        raise UsageError(f"--embeddings {file}: holds no vectors ({rows} rows of {dimensions} numbers)")
    if dimensions > MOST_DIMENSIONS:
        raise UsageError(f"--embeddings {file}: {dimensions} numbers a row; at most {MOST_DIMENSIONS} are read")


def _other(file: Path, start: bytes) -> str:
    """What it is instead, and how it becomes one that is read."""
    ending, read = file.suffix.lower(), "Parquet and .npy are read"
    if ending == ".npz":
        return f"several arrays; {read}: numpy.save('{file.stem}.npy', numpy.load('{file.name}')[NAME])"
    if ending in (".pt", ".pth", ".pkl", ".pickle") or start.startswith(b"\x80"):
        return f"a pickle, which may run code when it is read; {read}"
    if ending in (".csv", ".tsv", ".txt"):
        made = f"pandas.read_csv('{file.name}', dtype={{'ID': str}}).to_parquet('{file.stem}.parquet')"
        return f"text, several times as large and as slow; {read}: {made}, ID being the column of ids"
    return f"{read}, and by its first bytes it is neither" if start else "is empty"


def _names_rows(name: str, keys: Sequence[str]) -> bool:
    return name in OWN_KEYS or names_rows(name) or name in map(_column_of, keys)


def _column_of(text: str) -> str:
    kind, equals, column = text.partition("=")
    return column if equals and kind in KEYS else text


def _texts(cells: object) -> tuple[str, ...]:
    return tuple(cell_text(cell).strip() for cell in cells)  # type: ignore[attr-defined]
