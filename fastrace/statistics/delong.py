"""AUC of every class against the rest, and their mean, with intervals whose unit is the patient.

AUC = P(score of a positive > score of a negative) + P(equal) / 2, computed from midranks. Each observation has a placement
value: for a positive the share of negatives below it, for a negative the share of positives above it (DeLong, DeLong and
Clarke-Pearson, Biometrics 1988; midranks: Sun and Xu, IEEE Signal Processing Letters 2014). Summed over a patient's images
the placements give Obuchowski's variance for clustered data (Biometrics 1997), which is DeLong's where every patient has
one row. Kept per patient and class, the same sums give one covariance of all class AUCs, hence the interval of their mean.

Intervals are taken on the logit scale. Where that has no meaning (an AUC of exactly 0 or 1, no variance) the limits are
Clopper-Pearson's for min(positive, negative patients) independent pairs (Obuchowski and Lieber, Academic Radiology 2002):
conservative, and never a point. They are conditional on the trained model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import beta, norm, rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_PATIENTS = 30  # in a class; with fewer the interval carries the mark
NOT_ENOUGH = "not enough evidence"
_ROUNDING = 1e-12  # variance below it is rounding error

DELONG = "logit DeLong"
CLUSTERS = "logit DeLong, patients as clusters"
PAIRS = "Clopper-Pearson on independent pairs"
LIMITS = "means of the class limits"
NONE = "none"


@dataclass(frozen=True)
class Estimate:
    """An AUC with its interval and what stands behind it.

    Attributes
    ----------
    value, low, high : float
        In [0, 1]; NaN where undefined.
    n_patients, n_positive : int
        Patients, and patients of the class (of the smallest class for a macro mean).
    n_images : int
    unit : "patient" | "image"
        What one row of the ranking was. Patients are the clusters in both.
    level : float
        Nominal coverage of the interval.
    method : str
        How the interval was made.
    status : str
        ``ok``, ``not enough evidence`` (fewer than 30 patients in a class), ``undefined: ...`` or ``constant scores``.
    """

    value: float
    low: float
    high: float
    n_patients: int
    n_positive: int
    n_images: int
    unit: Literal["patient", "image"]
    method: str
    status: str
    level: float = 0.95

    def to_json(self) -> dict[str, Any]:
        """A dictionary in which undefined numbers are None."""
        return {
            key: None if isinstance(value, float) and np.isnan(value) else value for key, value in asdict(self).items()
        }


@dataclass(frozen=True)
class ClassAucs:
    """The AUCs of one set of scores: ``classes[k]`` against the rest, their ``macro`` mean, and their covariance."""

    classes: tuple[Estimate, ...]
    macro: Estimate
    covariance: Floats  # [K, K]


@dataclass(frozen=True)
class Ranking:
    """Scores to be ranked: one row per patient or per image.

    Attributes
    ----------
    scores : ndarray [R, K] float64
    labels : ndarray [R] int64
        0 .. K-1; K and above: in the rest of every class.
    patients : ndarray [R] int64
        0 .. P-1, the cluster of a row.
    n_images : int
    unit : "patient" | "image"
    """

    scores: Floats
    labels: Ints
    patients: Ints
    n_images: int
    unit: Literal["patient", "image"]

    def __post_init__(self) -> None:
        if not np.isfinite(self.scores).all():
            raise ValueError("scores must be finite numbers")

    @property
    def n_patients(self) -> int:
        """Clusters."""
        return len(np.unique(self.patients))

    def patients_of(self, positive: NDArray[np.bool_]) -> int:
        """Clusters with at least one such row."""
        return len(np.unique(self.patients[positive]))


def rank_images(scores: ArrayLike, labels: ArrayLike, patients: ArrayLike) -> Ranking:
    """One row per image, patients as clusters. Shapes: [N, K], [N], [N]."""
    matrix = np.asarray(scores, dtype=np.float64)
    clusters = np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1)
    return Ranking(matrix, np.asarray(labels, dtype=np.int64), clusters, len(matrix), "image")


def rank_patients(
    scores: ArrayLike, labels: ArrayLike, patients: ArrayLike, studies: ArrayLike | None = None
) -> Ranking:
    """One row per patient: scores averaged over the images of a study, then over the studies of a patient.

    Parameters
    ----------
    scores : array [N, K]
    labels : array [N] int
        The same for all images of a patient.
    patients, studies : array [N]
        Names or numbers. Without studies the mean is over images.

    Raises
    ------
    ValueError
        If a patient has more than one label.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    label = np.asarray(labels, dtype=np.int64)
    clusters = np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1)
    first = np.unique(clusters, return_index=True)[1]
    if (label != label[first][clusters]).any():
        raise ValueError("a patient has more than one label; patients can then not be ranked")
    rows, owners = matrix, clusters
    if studies is not None:
        # The pair, so that a study number used by two patients stays two studies.
        names = np.unique(np.asarray(studies), return_inverse=True)[1].reshape(-1)
        pairs, study = np.unique(np.stack([clusters, names]), axis=1, return_inverse=True)
        rows, owners = _means(matrix, study.reshape(-1)), pairs[0]
    means = _means(rows, owners)
    return Ranking(means, label[first], np.arange(len(means)), len(matrix), "patient")


def _means(rows: Floats, groups: Ints) -> Floats:
    count = np.bincount(groups)
    columns = [np.bincount(groups, weights=column) / count for column in rows.T]
    return np.stack(columns, axis=1) if columns else np.empty((len(count), 0))


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve; NaN where one of the two groups is empty.

    Parameters
    ----------
    scores : array [R] float
    positive : array [R] bool
    """
    return _placements(np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool))[0]


def _placements(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, Floats]:
    """AUC, and for each row its placement minus the AUC."""
    m = int(positive.sum())
    n = len(positive) - m
    if m == 0 or n == 0:
        return np.nan, np.full(len(scores), np.nan)
    rank = rankdata(scores)
    within = np.empty(len(scores))
    within[positive] = rankdata(scores[positive])
    within[~positive] = rankdata(scores[~positive])
    # A positive's overall midrank minus its rank among positives counts the negatives below it, ties as one half.
    placement = np.where(positive, (rank - within) / n, 1.0 - (rank - within) / m)
    value = float(placement[positive].mean())
    return value, placement - value


def influence(ranking: Ranking, k: int) -> tuple[float, Floats]:
    """AUC of class k, and the influence of each patient on it; the squares sum to the variance.

    Obuchowski's small-sample factor I / (I - 1) is applied to positives and negatives separately, which is exact when no
    patient has both, as everywhere in this program.
    """
    positive = ranking.labels == k
    value, centred = _placements(ranking.scores[:, k], positive)
    total = np.zeros(int(ranking.patients.max(initial=-1)) + 1)
    for side in (positive, ~positive):
        clusters = ranking.patients_of(side)
        if clusters < 2:
            total[:] = np.nan  # no variance can be estimated from one patient
            break
        factor = np.sqrt(clusters / (clusters - 1)) / side.sum()
        total += factor * np.bincount(ranking.patients[side], centred[side], minlength=len(total))
    return value, total


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
    k_all = ranking.scores.shape[1]
    parts = [influence(ranking, k) for k in range(k_all)]
    values = np.array([value for value, _ in parts])
    effects = np.stack([total for _, total in parts], axis=1)  # [P, K]
    covariance = effects.T @ effects
    classes = tuple(_class_estimate(ranking, k, values[k], float(covariance[k, k]), level) for k in range(k_all))
    return ClassAucs(classes, _macro(ranking, classes, covariance, level), covariance)


def _class_estimate(ranking: Ranking, k: int, value: float, variance: float, level: float) -> Estimate:
    positive = ranking.labels == k
    counts = ranking.patients_of(positive), ranking.patients_of(~positive)
    status = "ok" if min(counts) >= MIN_PATIENTS else NOT_ENOUGH
    method = DELONG if ranking.unit == "patient" else CLUSTERS
    if np.isnan(value):
        low = high = np.nan
        method, status = NONE, f"undefined: no patients {'in' if counts[0] == 0 else 'outside'} the class"
    elif np.ptp(ranking.scores[:, k]) == 0:
        low = high = np.nan
        method, status = NONE, "constant scores"
    elif variance > _ROUNDING and _ROUNDING < value < 1 - _ROUNDING:
        low, high = _logit_interval(value, variance, level)
    else:
        low, high = _pairs_interval(value, min(counts), level)
        method = PAIRS
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
        (low, high), method = _logit_interval(value, variance, level), methods.pop()
    else:
        low = float(np.mean([classes[k].low for k in defined]))
        high = float(np.mean([classes[k].high for k in defined]))
        method = NONE if np.isnan(low) else LIMITS
    statuses = [classes[k].status for k in defined]
    status = next((s for s in ("constant scores", NOT_ENOUGH) if s in statuses), "ok")
    if len(defined) < len(classes):
        status += f" (mean of {len(defined)} of {len(classes)} classes: the others are undefined)"
    return Estimate(value, low, high, *facts, method, status, level)


def _logit_interval(value: float, variance: float, level: float) -> tuple[float, float]:
    centre = logit(value)
    half = norm.ppf(0.5 + level / 2) * np.sqrt(variance) / (value * (1 - value))
    return float(expit(centre - half)), float(expit(centre + half))


def _pairs_interval(value: float, pairs: int, level: float) -> tuple[float, float]:
    won = min(max(value * pairs, 0.0), float(pairs))
    tail = (1 - level) / 2
    low = 0.0 if won <= 0 else float(beta.ppf(tail, won, pairs - won + 1))
    high = 1.0 if won >= pairs else float(beta.ppf(1 - tail, won + 1, pairs - won))
    return low, high
