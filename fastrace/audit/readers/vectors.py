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

    def pieces(self) -> Iterator[tuple[int, F32]]:
        """The number of the first row of a piece, and its vectors [n, D].

        Raises
        ------
        UsageError
            A value that is missing or not finite, a vector of another length, a damaged file.
        """
        rows = max(1, PIECE_BYTES // (8 * self.dimensions))
        with reading(self.file), np.errstate(over="ignore"):  # what is too large for float32 is refused as infinite
            for first, piece in self._of_parquet(rows) if self.columns else self._of_npy(rows):
                self._check(first, piece)
                yield first, piece

    def _check(self, first: int, piece: F32) -> None:
        finite = np.isfinite(piece)
        if finite.all():
            return
        row, at = (int(one) for one in np.argwhere(~finite)[0])
        where = f"column {self.columns[at]!r}" if len(self.columns) > 1 else f"number {at + 1} of its vector"
        raise UsageError(
            f"--embeddings {self.file}: row {first + row + 1}, {where}: missing, not finite or too large; leave "
            "that row out"
        )

    def _of_npy(self, rows: int) -> Iterator[tuple[int, F32]]:
        array = np.load(self.file, mmap_mode="r", allow_pickle=False)
        for first in range(0, len(array), rows):
            yield first, np.asarray(array[first : first + rows], dtype=np.float32)

    def _of_parquet(self, rows: int) -> Iterator[tuple[int, F32]]:
        first = 0
        with pq.ParquetFile(self.file, memory_map=True, pre_buffer=False) as opened:
            for batch in opened.iter_batches(batch_size=rows, columns=list(self.columns)):
                columns = [batch.column(name) for name in self.columns]
                if is_list(columns[0].type):
                    piece = self._lists(columns[0], first)
                else:
                    piece = np.stack([_numbers(column) for column in columns], axis=1)
                yield first, piece
                first += len(piece)

    def _lists(self, column: Any, first: int) -> F32:
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != self.dimensions)
        if len(wrong):
            length = int(lengths[wrong[0]])
            what = "has no vector" if length < 0 else f"has {length} numbers, the first row {self.dimensions}"
            raise UsageError(f"--embeddings {self.file}: row {first + int(wrong[0]) + 1} {what}; leave it out")
        return _numbers(column.flatten()).reshape(-1, self.dimensions)


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of a column are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(column: Any) -> F32:
    """As float32, NaN where one is missing."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float32)


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
