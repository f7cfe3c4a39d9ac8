"""Pairs of patients in the right order, for many columns at once: every column of scores against its own positives.

Pairs are added over folds; their sum by the sum of all pairs is the AUC. Ties count one half.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from fastrace.audit.engines import F64
from fastrace.kernels.threads import NUMBA_CACHE, for_ranges


def pairs(positive: NDArray[np.bool_]) -> F64:  # [T, C] -> [C]
    """All pairs of a positive and a negative."""
    m = positive.sum(axis=0, dtype=np.float64)
    return np.asarray(m * (len(positive) - m))


def rank_pairs(ranks: F64, positive: NDArray[np.bool_]) -> F64:  # [T], [T, C] -> [C]
    """Pairs in the right order, of one column of midranks against many positives."""
    m = positive.sum(axis=0, dtype=np.float64)
    return np.asarray(ranks @ positive - m * (m + 1) / 2)


def column_pairs(scores: F64, positive: NDArray[np.bool_]) -> F64:
    """Pairs in the right order, of every column of scores [T, C] against its own positives [T, C].

    The class is stored in the last bit of the score, so that sorting numbers, which NumPy does with SIMD instructions, replaces
    sorting an index: 2.8 times as fast at 1,000 rows. Scores that differ in that bit alone count as ties.
    """
    out = np.zeros(scores.shape[1])

    def work(first: int, last: int) -> None:
        bits = np.ascontiguousarray(scores[:, first:last].T + 0.0).view(np.int64)  # no negative zero
        bits ^= (bits >> 63) & np.int64(2**63 - 1)  # integers in the order of the floats
        bits &= -2
        bits |= positive[:, first:last].T
        bits.sort(axis=1)
        _count(bits, out[first:last])

    for_ranges(work, len(out), 20 * len(scores))
    return out


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _count(columns, out):  # type: ignore[no-untyped-def]
    """Pairs of each sorted row of 2 x score + class."""
    count, n = columns.shape
    for c in range(count):
        column = columns[c]
        below = 0  # negatives with a smaller score
        twice = 0  # the pairs that are in order, ties once
        start = 0
        while start < n:
            score = column[start] >> 1
            negative = positive = 0
            while start < n and column[start] >> 1 == score:
                positive += column[start] & 1
                negative += 1 - (column[start] & 1)
                start += 1
            twice += positive * (2 * below + negative)
            below += negative
        out[c] = 0.5 * twice
