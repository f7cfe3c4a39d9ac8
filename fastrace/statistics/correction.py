"""p-values adjusted for the number of tests: Holm for primary families, Benjamini-Yekutieli for grids.

A test without a p-value (NaN) is no member of the family: it stays NaN and the others are corrected without it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastrace.statistics.ranking import Floats


def holm(p: ArrayLike) -> Floats:
    """Adjusted p-values that bound the chance of any false finding, under any dependence (Holm 1979).

    Parameters
    ----------
    p : array [M] float
        In [0, 1], or NaN.

    Returns
    -------
    ndarray [M] float64
    """
    values, valid = _family(p)
    family = values[valid]
    order = np.argsort(family, kind="stable")
    steps = np.maximum.accumulate((len(family) - np.arange(len(family))) * family[order])
    family[order] = np.minimum(steps, 1.0)
    values[valid] = family
    return values


def benjamini_yekutieli(p: ArrayLike) -> Floats:
    """Adjusted p-values that bound the share of false findings, under any dependence (Benjamini and Yekutieli 2001).

    Parameters
    ----------
    p : array [M] float
        In [0, 1], or NaN.

    Returns
    -------
    ndarray [M] float64
    """
    values, valid = _family(p)
    family = values[valid]
    order = np.argsort(family, kind="stable")
    rank = np.arange(1, len(family) + 1)
    steps = family[order] * len(family) * (1 / rank).sum() / rank
    family[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    values[valid] = family
    return values


def _family(p: ArrayLike) -> tuple[Floats, np.ndarray]:
    values = np.array(p, dtype=np.float64).reshape(-1)
    valid = ~np.isnan(values)
    if ((values[valid] < 0) | (values[valid] > 1)).any():
        raise ValueError("p-values must lie in [0, 1]")
    return values, valid
