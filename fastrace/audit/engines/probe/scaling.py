"""Features in units of their spread, once for all folds: no label is used, so it is the same for every permutation.

Mean and spread are those of all patients from whom some fold learns. Per fold they would be those of four fifths of them: folds
would then have nothing to share, at four times the cost, for AUCs that differ by less than .001 (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.partition import Ints

Table = NDArray[np.floating]


class Rows(Protocol):
    """A table of which rows are read: an array, or a `fastrace.audit.readers.beside.Beside`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Patients and columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        ...

    def __getitem__(self, rows: Ints, /) -> Table:
        """Some rows."""
        ...


MOST_SPREADS = 6.0
"""Standardised features are clipped there. A feature that hardly varies among clean images would otherwise determine the
ranking of noisy ones alone."""
ROWS = 1024
"""Patients at a time: in double precision a table of 50,000 would not fit beside itself."""


@dataclass(frozen=True)
class Standardised:
    """A feature table of an audit, ready for regressions.

    Attributes
    ----------
    train : ndarray [P, D] float32 or float64
        Without columns that are undefined for a patient or the same for all; rows of patients of no fold are 0.
    test : ndarray [P, D]
        What is scored: the same table, or that of other images of the same patients in the same units.
    group : ndarray [D] str
        Family of a column; every family has the same total variance, so that 300 pixels do not outweigh one power.
    """

    train: Table
    test: Table
    group: NDArray[np.str_]


def standardise(
    train: Rows,  # [P, D]
    group: NDArray[np.str_],  # [D]
    learned: Ints,
    scored: Ints,
    test: Rows | None = None,  # [P, D]
) -> Standardised:
    """Centre, scale and clip the features of patients.

    Parameters
    ----------
    train, group
    learned, scored : ndarray of int64
        Patients from whom some fold learns, and patients who are scored by some fold.
    test : ndarray, optional
        Other features of the same patients to score; the default is the same.
    """
    both = np.union1d(learned, scored) if test is None else learned
    usable = _finite(train, both)
    if test is not None:
        usable &= _finite(test, scored)
    mean, spread, largest = _moments(train, learned)
    usable &= spread > 1e-7 * (1e-30 + largest)  # False where it is NaN
    columns = np.flatnonzero(usable)
    group = group[columns]
    _, family, size = np.unique(group, return_inverse=True, return_counts=True)
    scale = 1 / (spread[columns] * np.sqrt(size[family])) if len(columns) else np.ones(0)
    limit = MOST_SPREADS * spread[columns]

    def scaled(table: Rows, rows: Ints) -> Table:
        kind = np.float32 if table.dtype == np.float32 else np.float64
        out = np.zeros((table.shape[0], len(columns)), dtype=kind)
        for some in _some(rows):
            values = np.asarray(table[some], dtype=np.float64)[:, columns] - mean[columns]
            out[some] = np.clip(values, -limit, limit) * scale
        return out

    if test is None:
        one = scaled(train, both)
        return Standardised(one, one, group)
    return Standardised(scaled(train, learned), scaled(test, scored), group)


def _some(rows: Ints) -> list[Ints]:
    return np.array_split(rows, max(1, -(-len(rows) // ROWS)))


def _finite(table: Rows, rows: Ints) -> NDArray[np.bool_]:
    found = np.ones(table.shape[1], dtype=bool)
    for some in _some(rows):
        found &= np.isfinite(table[some]).all(axis=0)
    return found


def _moments(
    table: Rows, rows: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # [D] each
    """Mean, standard deviation and largest absolute value of every column."""
    total, largest = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values: the column is left out
        for some in _some(rows):
            total += table[some].sum(axis=0, dtype=np.float64)
            largest = np.maximum(largest, np.abs(table[some]).max(axis=0, initial=0.0))
        mean = total / max(len(rows), 1)
        squares = np.zeros(table.shape[1])
        for some in _some(rows):
            squares += ((table[some] - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(squares / max(len(rows), 1)), largest
