"""AUC of every class against the rest, and their mean, with intervals whose unit is the patient.

AUC = P(score of a positive > score of a negative) + P(equal) / 2. Each observation has a placement value: for a positive the
share of negatives below it, for a negative the share of positives above it (DeLong, DeLong and Clarke-Pearson, Biometrics
1988; `fastrace.kernels.ranking`). Summed over a patient's images the placements give Obuchowski's variance for clustered data
(Biometrics 1997), which is DeLong's where every patient has one row. Kept per patient and class, the same sums give one
covariance of all class AUCs, hence the interval of their mean.

Cross-fitted scores are compared within folds (`Ranking.folds`): with m positives and n negatives in a fold

    AUC = sum of m n AUC_fold / sum of m n
    influence of a positive = n (placement - AUC) / sum of m n, of a negative m (placement - AUC) / sum of m n

(LeDell, Petersen and van der Laan, Electronic Journal of Statistics 2015, with weights). Placements are centred on the AUC of
all folds: centred on those of the folds, a fold of two positives would hide half of their variance.

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
    owners, groups = ranking.patients, ranking.compared
    total = int(owners.max(initial=-1)) + 1
    if used is not None:
        groups = [rows[used[rows]] for rows in groups]
    count = len(positive)
    placement, weight = np.zeros(positive.shape), np.zeros(positive.shape)
    ordered, every = np.zeros(count), np.zeros(count)
    for rows in groups:
        side = positive[:, rows]
        found, placed = placements(np.ascontiguousarray(scores[rows].T), side)
        m = side.sum(axis=1, dtype=np.float64)
        n = len(rows) - m
        both = m * n > 0
        every += m * n
        ordered[both] += (m * n * found.numpy())[both]
        placement[:, rows] = np.where(both[:, None], placed.numpy(), 0.0)
        weight[:, rows] = np.where(both[:, None], np.where(side, n[:, None], m[:, None]), 0.0)
    with np.errstate(invalid="ignore"):
        values = ordered / every
    effects = np.zeros((total, count))
    for c in range(count):
        factors = np.zeros(positive.shape[1])
        enough = True
        for rows in (~positive[c], positive[c]):
            clusters = np.count_nonzero(np.bincount(owners[rows & (weight[c] > 0)]))
            enough = enough and bool(clusters >= 2)  # no variance can be estimated from one patient
            factors[rows] = np.sqrt(clusters / max(clusters - 1, 1))
        if not enough:
            effects[:, c] = np.nan
            continue
        parts = factors * weight[c] / every[c] * (placement[c] - values[c])
        effects[:, c] = np.bincount(owners, parts, minlength=total)
    return values, effects


def class_aucs(ranking: Ranking, level: float = 0.95) -> ClassAucs:
    """Every class against the rest and the macro mean, with logit intervals from the per-patient covariance.

    The macro mean is over the classes for which an AUC is defined; its status names how many are not. If one of them is
    exactly 0 or 1, its variance is 0, and the limits of the mean are the means of the class limits, as if all errors
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
    if edge.any() or any(is_constant(ranking, ranking.scores[:, k : k + 1]) for k in np.flatnonzero(defined)):
        total = np.full(len(effects), np.nan)
    return float(values[defined].mean()), total


def is_constant(ranking: Ranking, scores: Floats, used: NDArray[np.bool_] | None = None) -> bool:
    """Whether all scores that are compared are equal, in every column."""
    groups = ranking.compared if used is None else [rows[used[rows]] for rows in ranking.compared]
    return all((np.ptp(scores[rows], axis=0) == 0).all() for rows in groups if len(rows))


def _one_vs_rest(ranking: Ranking) -> NDArray[np.bool_]:
    return ranking.labels[None] == np.arange(ranking.scores.shape[1])[:, None]


def _class_estimate(
    ranking: Ranking, k: int, positive: NDArray[np.bool_], value: float, variance: float, level: float
) -> Estimate:
    counts = ranking.patients_of(positive), ranking.patients_of(~positive)
    constant = len(ranking.scores) > 0 and is_constant(ranking, ranking.scores[:, k : k + 1])
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
