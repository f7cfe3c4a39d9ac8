"""AUC of every class against the rest, and their mean, with intervals whose unit is the patient.

AUC = P(score of a positive > score of a negative) + P(equal) / 2. Each observation has a placement value: for a positive the
share of negatives below it, for a negative the share of positives above it (DeLong, DeLong and Clarke-Pearson, Biometrics
1988; `fastrace.kernels.ranking`). Summed over a patient's images the placements give Obuchowski's variance for clustered data
(Biometrics 1997), which is DeLong's where every patient has one row. Kept per patient and class, the same sums give one
covariance of all class AUCs, hence the interval of their mean.

Intervals are those of `estimate`: logit, or Clopper-Pearson at 0 and 1. They are conditional on the trained model.
docs/coverage.md shows by simulation how often they cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrace.kernels.ranking import placements
from fastrace.statistics.estimate import (
    APPROXIMATE,
    CLUSTERS,
    CONSTANT,
    DELONG,
    LIMITS,
    MIN_CLASS_PATIENTS,
    NONE,
    NOT_ENOUGH,
    Estimate,
    interval,
    logit_interval,
    pseudo_variance,
)
from fastrace.statistics.ranking import Floats, Ranking, rank_images, rank_patients

__all__ = [
    "MIN_CLASS_PATIENTS",
    "NOT_ENOUGH",
    "ClassAucs",
    "Estimate",
    "Ranking",
    "auc",
    "class_aucs",
    "influence",
    "macro_influence",
    "rank_images",
    "rank_patients",
]


@dataclass(frozen=True)
class ClassAucs:
    """The AUCs of one set of scores: ``classes[k]`` against the rest, their ``macro`` mean, and their covariance."""

    classes: tuple[Estimate, ...]
    macro: Estimate
    covariance: Floats  # [K, K]


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve; NaN where one of the two groups is empty.

    Parameters
    ----------
    scores : array [R] float
    positive : array [R] bool
    """
    return float(placements(np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool))[0])


def influence(ranking: Ranking, k: int) -> tuple[float, Floats]:
    """AUC of class k, and the influence of each patient on it, [P]; the squares sum to the variance.

    Obuchowski's small-sample factor I / (I - 1) is applied to positives and negatives separately, which is exact when no
    patient has both, as everywhere in this program. Without two patients on either side the influences are NaN.
    """
    values, effects = influences(ranking, ranking.scores[:, k : k + 1], (ranking.labels == k)[None])
    return float(values[0]), effects[:, 0]


def influences(
    ranking: Ranking, scores: Floats, positive: NDArray[np.bool_], used: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """AUC of each column, [C], and the influence of each patient on it, [P, C].

    Parameters
    ----------
    ranking : Ranking
        Only its patients are used.
    scores : ndarray [R, C] float64
    positive : ndarray [C, R] bool
    used : ndarray [R] bool, optional
        Rows that take part; patients without such a row have no influence.
    """
    owners = ranking.patients
    total = int(owners.max(initial=-1)) + 1
    if used is not None:
        scores, positive, owners = scores[used], positive[:, used], owners[used]
    found, placed = placements(np.ascontiguousarray(scores.T), positive)
    values, placement = found.numpy(), placed.numpy()
    effects = np.zeros((total, len(values)))
    for c, side in enumerate(positive):
        factors = []
        for rows in (~side, side):
            clusters = np.count_nonzero(np.bincount(owners[rows]))
            if clusters < 2:  # no variance can be estimated from one patient
                break
            factors.append(np.sqrt(clusters / (clusters - 1)) / np.count_nonzero(rows))
        if len(factors) < 2:
            effects[:, c] = np.nan
            continue
        weights = np.where(side, factors[1], factors[0]) * (placement[c] - values[c])
        effects[:, c] = np.bincount(owners, weights, minlength=total)
    return values, effects


def class_aucs(ranking: Ranking, level: float = 0.95) -> ClassAucs:
    """Every class against the rest and the macro mean, with logit intervals from the per-patient covariance.

    The macro mean is over the classes for which an AUC is defined; its status names how many are not. If one of them is
    exactly 0 or 1, its variance says nothing, and the limits of the mean are the means of the class limits, as if all errors
    went together.

    Parameters
    ----------
    ranking : Ranking
        From `rank_patients` or `rank_images`.
    level : float
        Nominal coverage.
    """
    positive = _one_vs_rest(ranking)
    values, effects = influences(ranking, ranking.scores, positive)
    covariance = effects.T @ effects
    classes = tuple(
        _class_estimate(ranking, k, rows, float(values[k]), float(covariance[k, k]), level)
        for k, rows in enumerate(positive)
    )
    return ClassAucs(classes, _macro(ranking, classes, covariance, level), covariance)


def macro_influence(ranking: Ranking) -> tuple[float, Floats]:
    """The macro mean of `class_aucs` and the influence of each patient on it, [P], for bands and differences.

    The influences are NaN where that function gives no logit interval.
    """
    positive = _one_vs_rest(ranking)
    values, effects = influences(ranking, ranking.scores, positive)
    defined = ~np.isnan(values)
    if not defined.any():
        return np.nan, np.full(len(effects), np.nan)
    total = effects[:, defined].mean(axis=1)
    edge = (values[defined] <= 0) | (values[defined] >= 1)
    if edge.any() or (np.ptp(ranking.scores[:, defined], axis=0) == 0).any():
        total = np.full(len(effects), np.nan)
    return float(values[defined].mean()), total


def _one_vs_rest(ranking: Ranking) -> NDArray[np.bool_]:
    return ranking.labels[None] == np.arange(ranking.scores.shape[1])[:, None]


def _class_estimate(
    ranking: Ranking, k: int, positive: NDArray[np.bool_], value: float, variance: float, level: float
) -> Estimate:
    counts = ranking.patients_of(positive), ranking.patients_of(~positive)
    constant = bool(np.ptp(ranking.scores[:, k]) == 0) if len(ranking.scores) else False
    low, high, method, status = interval(
        value, variance, counts, ranking.unit, constant=constant, cross_fitted=ranking.cross_fitted, level=level
    )
    return Estimate(
        value, low, high, ranking.n_patients, counts[0], ranking.n_images, ranking.unit, method, status, level
    )


def _macro(ranking: Ranking, classes: Sequence[Estimate], covariance: Floats, level: float) -> Estimate:
    defined = [k for k, one in enumerate(classes) if not np.isnan(one.value)]
    smallest = min((one.n_positive for one in classes), default=0)
    facts = (ranking.n_patients, smallest, ranking.n_images, ranking.unit)
    if not defined:
        status = classes[0].status if classes else "undefined: no classes"
        return Estimate(np.nan, np.nan, np.nan, *facts, NONE, status, level)
    value = float(np.mean([classes[k].value for k in defined]))
    variance = float(covariance[np.ix_(defined, defined)].mean())
    methods = {classes[k].method for k in defined}
    if methods <= {DELONG, CLUSTERS}:
        # Pseudo-patients of different classes as if they were the same one: with two classes, exactly that of either.
        counts = [(classes[k].n_positive, ranking.n_patients - classes[k].n_positive) for k in defined]
        added = [pseudo_variance(classes[k].value, count) for k, count in zip(defined, counts, strict=True)]
        (low, high), method = (
            logit_interval(value, variance + float(np.mean(np.sqrt(added)) ** 2), level),
            methods.pop(),
        )
    else:
        low = float(np.mean([classes[k].low for k in defined]))
        high = float(np.mean([classes[k].high for k in defined]))
        method = NONE if np.isnan(low) else LIMITS
    statuses = [classes[k].status for k in defined]
    status = next((s for s in (CONSTANT, NOT_ENOUGH, APPROXIMATE) if s in statuses), "ok")
    if len(defined) < len(classes):
        status += f" (mean of {len(defined)} of {len(classes)} classes: the others are undefined)"
    return Estimate(value, low, high, *facts, method, status, level)
