"""Intervals from resampling patients with all their images, an alternative to the logit interval of `delong`.

One sort per class serves all replicates: a replicate is a whole-number weight per patient (`fastrace.kernels.ranking`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from fastrace.kernels.ranking import bootstrap_auc
from fastrace.statistics.delong import ClassAucs, class_aucs, influence
from fastrace.statistics.estimate import CLUSTERS, DELONG, Estimate
from fastrace.statistics.ranking import Floats, Ints, Ranking


def bootstrap(
    ranking: Ranking,
    *,
    replicates: int = 2000,
    seed: int = 0,
    method: Literal["bca", "percentile"] = "bca",
    level: float = 0.95,
) -> ClassAucs:
    """Intervals from resampling patients with all their rows; an alternative to `class_aucs`.

    Patients are drawn within each class, so no replicate loses one. BCa (Efron 1987) takes its acceleration from the same
    per-patient influence values. An interval is NaN where `class_aucs` gives none. An AUC of 0 or 1 keeps that function's
    interval, since every replicate repeats it.

    Parameters
    ----------
    ranking : Ranking
        Without folds: a resample would have to deal patients and fit again.
    replicates, seed : int
    method : "bca" | "percentile"
    level : float
    """
    exact = class_aucs(ranking, level)
    require_no_folds(ranking)
    effects = np.stack([influence(ranking, k)[1] for k in range(ranking.scores.shape[1])], axis=1)
    draws = replicated_aucs(ranking, replicates, seed)  # [B, K]
    name = "BCa bootstrap of patients" if method == "bca" else "percentile bootstrap of patients"

    def interval(one: Estimate, draw: Floats, effect: Floats) -> Estimate:
        if one.method not in (DELONG, CLUSTERS):
            return one
        low, high = bootstrap_limits(one.value, draw, effect, method, level)
        return replace(one, low=low, high=high, method=name)

    classes = tuple(interval(one, draws[:, k], effects[:, k]) for k, one in enumerate(exact.classes))
    defined = [k for k, one in enumerate(exact.classes) if not np.isnan(one.value)]
    macro = exact.macro
    if defined:
        macro = interval(macro, draws[:, defined].mean(axis=1), effects[:, defined].mean(axis=1))
    return ClassAucs(classes, macro, exact.covariance)


def bootstrap_limits(
    value: float, draw: Floats, effect: Floats, method: Literal["bca", "percentile"], level: float = 0.95
) -> tuple[float, float]:
    """Limits from replicates [B] of an AUC and the influence [P] of each patient on it."""
    shares = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        below = (draw < value).mean() + (draw == value).mean() / 2
        bias = ndtri(np.clip(below, 0.5 / len(draw), 1 - 0.5 / len(draw)))
        acceleration = (effect**3).sum() / (6 * (effect**2).sum() ** 1.5)
        z = bias + ndtri(shares)
        shares = ndtr(bias + z / (1 - acceleration * z))
    low, high = np.quantile(draw, shares)
    return float(low), float(high)


def require_no_folds(ranking: Ranking) -> None:
    """Refuse scores that were fitted on one another's patients.

    Raises
    ------
    ValueError
    """
    if ranking.folds is not None:
        raise ValueError(
            "a ranking with folds cannot be resampled or shuffled: its scores depend on the other folds' labels"
        )


def replicated_aucs(ranking: Ranking, replicates: int, seed: int) -> Floats:
    """Class AUCs of samples of patients, drawn with replacement within each class, [B, K]; NaN where undefined."""
    positive = ranking.labels[None] == np.arange(ranking.scores.shape[1])[:, None]
    scores = np.ascontiguousarray(ranking.scores.T)
    return bootstrap_auc(scores, positive, ranking.patients, labels_of_patients(ranking), replicates, seed).numpy().T


def labels_of_patients(ranking: Ranking) -> Ints:
    """[P] labels; -1 for a number that no row has."""
    labels = np.full(int(ranking.patients.max(initial=-1)) + 1, -1, dtype=np.int64)
    labels[ranking.patients] = ranking.labels
    return labels
