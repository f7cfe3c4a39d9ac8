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
FAR = 20.0
"""Spreads from the middle, by the 5th and 95th percentile, at which features are clipped before mean and spread are taken, since
few rows far out would otherwise make a column constant for all others. Three vectors of 1,000, multiplied by 1e5, brought an AUC
of .89 down to .44, and the audit said that it would have found .56."""
MIDDLE = 512
"""Patients of whom these percentiles are taken, at even distances."""
_NORMAL = 3.29  # spreads of a normal distribution between these percentiles
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
    low, high = _bounds(train, learned)
    mean, spread, largest = _moments(train, learned, low, high)
    usable &= spread > 1e-7 * (1e-30 + largest)  # False where it is NaN
    columns = np.flatnonzero(usable)
    group = group[columns]
    _, family, size = np.unique(group, return_inverse=True, return_counts=True)
    scale = 1 / (spread[columns] * np.sqrt(size[family])) if len(columns) else np.ones(0)
    low = np.maximum(low, mean - MOST_SPREADS * spread)[columns]
    high = np.minimum(high, mean + MOST_SPREADS * spread)[columns]

    def scaled(table: Rows, rows: Ints) -> Table:
        kind = np.float32 if table.dtype == np.float32 else np.float64
        out = np.zeros((table.shape[0], len(columns)), dtype=kind)
        for some in _some(rows):
            values = np.asarray(table[some], dtype=np.float64)[:, columns]
            out[some] = (np.clip(values, low, high) - mean[columns]) * scale
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


def _bounds(table: Rows, rows: Ints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # [D] each
    """`FAR` spreads below and above the middle; infinite where the percentiles are equal, as of a column that is mostly zero."""
    if not len(rows):
        return np.full(table.shape[1], -np.inf), np.full(table.shape[1], np.inf)
    some = rows[np.arange(min(len(rows), MIDDLE)) * len(rows) // min(len(rows), MIDDLE)]
    values = np.sort(np.ascontiguousarray(table[some].T), axis=1)
    n = len(some)
    fifth, middle, last = (values[:, int(share * (n - 1))].astype(np.float64) for share in (0.05, 0.5, 0.95))
    with np.errstate(invalid="ignore", over="ignore"):
        spread = (last - fifth) / _NORMAL
        far = np.where(spread > 0, FAR * spread, np.inf)
        return middle - far, middle + far


def _moments(
    table: Rows, rows: Ints, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # [D] each
    """Mean, standard deviation and largest absolute value of every column, of values clipped at low and high."""
    total, largest = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values: the column is left out
        for some in _some(rows):
            values = np.clip(table[some], low, high)
            total += values.sum(axis=0, dtype=np.float64)
            largest = np.maximum(largest, np.abs(values).max(axis=0, initial=0.0))
        mean = total / max(len(rows), 1)
        squares = np.zeros(table.shape[1])
        for some in _some(rows):
            squares += ((np.clip(table[some], low, high) - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(squares / max(len(rows), 1)), largest
