"""Intervals from resampling patients with all their images, where the logit interval of `delong` is not wanted.

One sort per class serves all replicates: a replicate is a whole-number weight per patient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.stats import norm

from fastrace.statistics.delong import CLUSTERS, DELONG, ClassAucs, Estimate, Floats, Ranking, class_aucs, influence

CHUNK = 100  # replicates at a time: 40,000 rows are then 32 MB, not 640


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
    replicates, seed : int
    method : "bca" | "percentile"
    level : float
    """
    exact = class_aucs(ranking, level)
    effects = np.stack([influence(ranking, k)[1] for k in range(ranking.scores.shape[1])], axis=1)
    draws = _replicates(ranking, replicates, seed)  # [B, K]
    name = "BCa bootstrap of patients" if method == "bca" else "percentile bootstrap of patients"

    def interval(one: Estimate, draw: Floats, effect: Floats) -> Estimate:
        if one.method not in (DELONG, CLUSTERS):
            return one
        shares = np.array([(1 - level) / 2, (1 + level) / 2])
        if method == "bca":
            below = (draw < one.value).mean() + (draw == one.value).mean() / 2
            bias = norm.ppf(np.clip(below, 0.5 / len(draw), 1 - 0.5 / len(draw)))
            acceleration = (effect**3).sum() / (6 * (effect**2).sum() ** 1.5)
            z = bias + norm.ppf(shares)
            shares = norm.cdf(bias + z / (1 - acceleration * z))
        low, high = np.quantile(draw, shares)
        return replace(one, low=float(low), high=float(high), method=name)

    classes = tuple(interval(one, draws[:, k], effects[:, k]) for k, one in enumerate(exact.classes))
    defined = [k for k, one in enumerate(exact.classes) if not np.isnan(one.value)]
    macro = exact.macro
    if defined:
        macro = interval(macro, draws[:, defined].mean(axis=1), effects[:, defined].mean(axis=1))
    return ClassAucs(classes, macro, exact.covariance)


def _replicates(ranking: Ranking, replicates: int, seed: int) -> Floats:
    """AUCs under multinomial patient weights; one sort per class serves all replicates."""
    rng = np.random.default_rng(seed)
    owner_label = np.zeros(int(ranking.patients.max(initial=-1)) + 1, dtype=np.int64)
    owner_label[ranking.patients] = ranking.labels
    weights = np.zeros((replicates, len(owner_label)))
    for label in np.unique(ranking.labels):
        members = np.flatnonzero(owner_label == label)
        if len(members):
            share = np.full(len(members), 1 / len(members))
            weights[:, members] = rng.multinomial(len(members), share, size=replicates)
    out = np.full((replicates, ranking.scores.shape[1]), np.nan)
    for k in range(out.shape[1]):
        order = np.argsort(ranking.scores[:, k], kind="stable")
        ties = np.flatnonzero(np.diff(ranking.scores[order, k], prepend=-np.inf))
        owner, mine = ranking.patients[order], ranking.labels[order] == k
        for start in range(0, replicates, CHUNK):
            rows = weights[start : start + CHUNK, owner]
            positive = np.add.reduceat(np.where(mine, rows, 0.0), ties, axis=1)
            negative = np.add.reduceat(np.where(mine, 0.0, rows), ties, axis=1)
            below = np.cumsum(negative, axis=1) - negative / 2
            pairs = positive.sum(axis=1) * negative.sum(axis=1)
            with np.errstate(invalid="ignore"):  # a class without patients: 0 / 0
                out[start : start + CHUNK, k] = (positive * below).sum(axis=1) / pairs
    return out
