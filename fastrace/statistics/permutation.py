"""The null hypothesis that labels and scores are independent, by shuffling the labels of patients.

A patient keeps all rows; only the labels of patients are exchanged, within strata where they are given. Midranks do not depend on
labels, so they are computed once: with S the sum of the midranks of m positives among R rows, AUC = (S - m (m + 1) / 2) /
(m (R - m)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from fastrace.statistics.bootstrap import labels_of_patients, require_no_folds
from fastrace.statistics.ranking import Floats, Ints, Ranking

CHUNK = 4_000_000  # labels shuffled at a time: 32 MB
ENOUGH = 50
"""Draws that reach the observed value: p is then known to 14 %."""
_ROUNDING = 1e-12  # draws that differ from the observed value by less are equal to it


def permutation_p(observed: float, draws: ArrayLike) -> float:
    """One-sided p: (1 + number of draws at least as large) / (1 + number of draws).

    Never 0 (Phipson and Smyth, 2010). Undefined draws are left out; NaN where the observed value or all draws are undefined.

    Parameters
    ----------
    observed : float
    draws : array [B] float
        The same statistic under the null hypothesis, such as `permuted_aucs`.
    """
    values = np.asarray(draws, dtype=np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    if np.isnan(observed) or not len(values):
        return float("nan")
    return float((1 + np.count_nonzero(values >= observed - _ROUNDING)) / (1 + len(values)))


def sequential_p(observed: float, draws: ArrayLike, enough: int = ENOUGH) -> tuple[float, bool]:
    """One-sided p of a test that ends when so many draws have reached the observed value (Besag and Clifford 1991).

    If that happens at draw l, p = enough / l, whatever follows; else it is `permutation_p` so far. Both are valid as they are, so
    that a test may end early where p is large, but not because a small p has been reached.

    Parameters
    ----------
    observed : float
    draws : array [B] float
        In the order in which they were drawn.
    enough : int

    Returns
    -------
    (float, bool)
        p, and whether the test has ended.
    """
    values = np.asarray(draws, dtype=np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    if np.isnan(observed) or not len(values):
        return float("nan"), True
    reached = np.flatnonzero(values >= observed - _ROUNDING)
    if len(reached) >= enough:
        return float(enough / (reached[enough - 1] + 1)), True
    return permutation_p(observed, values), False


def permuted_aucs(ranking: Ranking, replicates: int, seed: int, within: ArrayLike | None = None) -> Floats:
    """Macro AUCs, as `class_aucs` defines them, after shuffling the labels of patients.

    The scores stay as they are, so this is the null of a model that was trained on other patients. Scores made by
    cross-fitting depend on the labels of one another's folds: shuffling labels under them understates the spread (up to
    twofold in variance; docs/coverage.md), and the models have to be fitted anew for every shuffle.

    Parameters
    ----------
    ranking : Ranking
    replicates, seed : int
    within : array [R], optional
        Stratum (or fold, or site) of each row, the same for all rows of a patient; labels are shuffled within it.

    Returns
    -------
    ndarray [B] float64
        NaN where no class has an AUC.

    Raises
    ------
    ValueError
        If a patient lies in more than one stratum, or the ranking has folds.
    """
    require_no_folds(ranking)
    rows = len(ranking.scores)
    labels = labels_of_patients(ranking)
    strata = np.zeros(len(labels), dtype=np.int64)
    if within is not None:
        of_row = np.unique(np.asarray(within), return_inverse=True)[1].reshape(-1)
        if len(of_row) != rows:
            raise ValueError(f"within has {len(of_row)} values for {rows} rows")
        strata[ranking.patients] = of_row
        if (strata[ranking.patients] != of_row).any():
            raise ValueError("a patient lies in more than one stratum")
    members = [np.flatnonzero((strata == one) & (labels >= 0)) for one in np.unique(strata)]
    size = np.bincount(ranking.patients, minlength=len(labels)).astype(np.float64)
    ranks: Floats = np.stack(
        [
            np.bincount(ranking.patients, rankdata(column), len(labels)).astype(np.float64)
            for column in ranking.scores.T
        ],
        axis=1,
    )  # [P, K]
    rng = np.random.default_rng(seed)
    out = np.full(replicates, np.nan)
    chunk = max(1, CHUNK // max(1, len(labels)))
    for start in range(0, replicates, chunk):
        permuted = np.tile(labels, (min(chunk, replicates - start), 1))
        for patients in members:
            permuted[:, patients] = rng.permuted(permuted[:, patients], axis=1)
        out[start : start + chunk] = _macro(permuted, ranks, size)
    return out


def _macro(labels: Ints, ranks: Floats, size: Floats) -> Floats:
    """Macro AUCs of label vectors [B, P], from the rank sums [P, K] and rows [P] of the patients."""
    rows, values = size.sum(), []
    for k in range(ranks.shape[1]):
        mine = (labels == k).astype(np.float64)
        m = mine @ size
        with np.errstate(invalid="ignore"):  # a class without patients, or with all: 0 / 0
            values.append((mine @ ranks[:, k] - m * (m + 1) / 2) / (m * (rows - m)))
    defined = [value for value in values if not np.isnan(value).any()]  # the same classes in every shuffle
    return np.mean(defined, axis=0) if defined else np.full(len(labels), np.nan)
