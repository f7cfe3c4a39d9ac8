"""Whether p-values are uniform where nothing is to be found, although a permutation test gives them in steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fastrace.statistics.permutation import ENOUGH


def steps(permutations: int) -> NDArray[np.float64]:
    """The values that `fastrace.statistics.permutation_p` can take, ascending: 1 / (B + 1), ..., 1."""
    return np.arange(1, permutations + 2) / (permutations + 1)


def sequential_steps(permutations: int) -> NDArray[np.float64]:
    """The values that `fastrace.statistics.sequential_p` can take, ascending: as `steps`, then `ENOUGH` / l of an early end."""
    return np.concatenate([steps(permutations)[:ENOUGH], ENOUGH / np.arange(permutations, ENOUGH - 1, -1)])


def uniformity(p: ArrayLike, support: NDArray[np.float64] | None = None) -> float:
    """The p of a Kolmogorov-Smirnov test that values are uniform.

    Parameters
    ----------
    p : array [N] float
    support : ndarray [S] float64, optional
        The values that they can take, ascending. Each is spread evenly down to the one below it, so that a p that is below each
        value as often as it should becomes uniform. None: they are continuous.
    """
    values = np.asarray(p, dtype=np.float64)
    if support is not None:
        at = np.abs(values[:, None] - support).argmin(axis=1)
        below = np.r_[0.0, support][at]
        values = values - np.random.default_rng(0).random(len(values)) * (support[at] - below)
    return float(stats.kstest(values, "uniform").pvalue)
