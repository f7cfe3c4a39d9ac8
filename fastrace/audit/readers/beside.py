"""Tables of the same patients beside one another, of which only the requested rows are read: 50,000 patients are 800 MB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Beside:
    """Columns of several tables.

    Attributes
    ----------
    tables : sequence of ndarray [P, D_i] float32
        May be files in memory maps.
    columns : sequence of ndarray of int64
        Of each table, ascending.
    """

    tables: Sequence[F32]
    columns: Sequence[NDArray[np.int64]]

    @property
    def shape(self) -> tuple[int, int]:
        """Patients and columns."""
        return len(self.tables[0]), sum(map(len, self.columns))

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.int64]) -> F32:
        """Some rows, [R, D]."""
        found = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        first = 0
        for table, columns in zip(self.tables, self.columns, strict=True):
            last = first + len(columns)
            if len(columns) and columns[-1] - columns[0] == len(columns) - 1:  # neighbours, in ascending order
                found[:, first:last] = table[:, columns[0] : columns[-1] + 1][rows]
            else:
                found[:, first:last] = table[rows][:, columns]
            first = last
        return found

    def chosen(self, inside: NDArray[np.bool_]) -> Beside:
        """Some of the columns, [D]."""
        each = np.split(inside, np.cumsum([len(columns) for columns in self.columns])[:-1])
        return Beside(self.tables, [columns[some] for columns, some in zip(self.columns, each, strict=True)])
