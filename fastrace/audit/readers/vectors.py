"""A file of embeddings, opened: one vector a row, computed elsewhere, and the ids of the rows.

Vectors are read a piece at a time, so that memory does not grow with the file. `vector_files` opens them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fastrace.errors import UsageError

F32 = NDArray[np.float32]
PIECE_BYTES = 1 << 25
"""Of one piece as float64, which the means over a patient's images are."""
COLUMNS_AT_ONCE = 64
"""Of a table with a column for each number: every column that is read holds a page of 1 MB in memory, 2,048 of them 2.1 GB."""

Piece = tuple[int, int, F32]  # first row, first number of the vectors, [n, d]


@dataclass(frozen=True)
class Vectors:
    """A file of vectors: its ids are read, its numbers are not.

    Attributes
    ----------
    file : Path
    kind, column : str
        What names a row: ``path``, ``image``, ``study``, ``patient`` or a column of the index, and the column of the file.
    ids : tuple of str
        Of each row, empty where it has none.
    others : mapping
        Kind and column of what else could name the rows -> its ids.
    dimensions : int
    columns : tuple of str
        Of a Parquet file, that hold the vectors; empty: npy.
    left : tuple of str
        Columns of numbers that are no part of them.
    """

    file: Path
    kind: str
    column: str
    ids: tuple[str, ...]
    others: Mapping[tuple[str, str], tuple[str, ...]]
    dimensions: int
    columns: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the reader: the file's, without its folder and ending."""
        return self.file.stem

    def pieces(self) -> Iterator[Piece]:
        """Blocks of the vectors, by rows; of a table with many columns, by columns and in them by rows.

        Raises
        ------
        UsageError
            A value that is missing or not finite, a vector of another length, a damaged file.
        """
        numbers = 0
        with reading(self.file):
            for row, column, piece in self._of_parquet() if self.columns else self._of_npy():
                self._check(row, column, piece)
                numbers += piece.size
                yield row, column, piece
        if numbers != len(self.ids) * self.dimensions:  # rows that are missing would be vectors of zeros
            raise UsageError(
                f"--embeddings {self.file}: holds {numbers:,} numbers, {len(self.ids):,} ids and {self.dimensions:,} numbers "
                "each were expected; it is damaged, or was changed while it was read"
            )

    def _check(self, first: int, column: int, piece: F32) -> None:
        finite = np.isfinite(piece)
        if finite.all():
            return
        row, at = (int(one) for one in np.argwhere(~finite)[0])
        raise UsageError(  # by its place: in a table that was turned, the name of a column may be a patient's
            f"--embeddings {self.file}: row {first + row + 1}, number {column + at + 1} of its vector: missing, not finite or "
            "too large; leave that row out"
        )

    def _of_npy(self) -> Iterator[Piece]:
        rows = _rows_of(self.dimensions)
        array = np.load(self.file, mmap_mode="r", allow_pickle=False)
        for first in range(0, len(array), rows):
            yield first, 0, _float32(array[first : first + rows])

    def _of_parquet(self) -> Iterator[Piece]:
        with pq.ParquetFile(self.file, memory_map=True, pre_buffer=False) as opened:
            lists = is_list(opened.schema_arrow.field(self.columns[0]).type)
            for column in range(0, len(self.columns), COLUMNS_AT_ONCE):
                names, first = list(self.columns[column : column + COLUMNS_AT_ONCE]), 0
                rows = _rows_of(self.dimensions if lists else len(names))
                for batch in opened.iter_batches(batch_size=rows, columns=names):
                    piece = (
                        self._lists(batch.column(names[0]), first)
                        if lists
                        else np.stack([_numbers(batch.column(name)) for name in names], axis=1)
                    )
                    yield first, column, piece
                    first += len(piece)

    def _lists(self, column: Any, first: int) -> F32:
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != self.dimensions)
        if len(wrong):
            length = int(lengths[wrong[0]])
            what = "has no vector" if length < 0 else f"has {length} numbers, the first row {self.dimensions}"
            raise UsageError(f"--embeddings {self.file}: row {first + int(wrong[0]) + 1} {what}; leave it out")
        return _numbers(column.flatten()).reshape(-1, self.dimensions)


def _rows_of(columns: int) -> int:
    """Of one piece."""
    return max(1, PIECE_BYTES // (8 * columns))


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of a column are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(column: Any) -> F32:
    """As float32, NaN where one is missing."""
    return _float32(column.to_numpy(zero_copy_only=False))


def _float32(numbers: NDArray[np.generic]) -> F32:
    """What is too large becomes infinite, and is refused as that."""
    with np.errstate(over="ignore"):
        return np.asarray(numbers, dtype=np.float32)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Whatever a damaged file raises, in one line.

    Raises
    ------
    UsageError
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(f"--embeddings {file}: no such file") from error
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        OverflowError,
        LookupError,
        MemoryError,
        pa.ArrowException,
    ) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--embeddings {file}: cannot be read ({reason[:120]})") from error
