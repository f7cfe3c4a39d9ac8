"""An AUC with its interval, what stands behind it, and the mark that says how far to trust it.

Intervals are taken on the logit scale. In a rare class whose patients nearly all rank high, the sample variance misses the
few that do not, and plain logit intervals of an AUC of .95 with 30 against 1,000 patients cover 90 %. One pseudo-patient on
either side brings that to 94 %. Its placement deviates from the AUC A as a guess would, by A - 1/2, but at most as a coin
of mean A does, by sqrt(A (1 - A)); it vanishes at 1/2, where nothing is missed, and with 500 patients it widens an interval by
less than 1 %. It enters intervals only, never a covariance.

Where the logit scale has no meaning (an AUC of exactly 0 or 1, no variance) the limits are Clopper-Pearson's for
min(positive, negative patients) independent pairs (Obuchowski and Lieber, Academic Radiology 2002): conservative, and never a
point.

An interval is marked approximate where few patients of the smaller class rank on the wrong side, and where scores come from
cross-fitting: simulated coverage leaves 93-97 % there (docs/coverage.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit, logit, ndtri
from scipy.stats import beta

MIN_CLASS_PATIENTS = 30  # with fewer the interval is no evidence, and carries the mark
NOT_ENOUGH = "not enough evidence"
APPROXIMATE = "approximate"
CONSTANT = "constant scores"
MIN_MISPLACED = 3.0  # patients of the smaller class times min(AUC, 1 - AUC); with fewer the interval is approximate
ROUNDING = 1e-12  # a variance below it is rounding error

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
        Patients, and patients of the class (of the smallest class for a mean over classes or a pair of them).
    n_images : int
    unit : "patient" | "image"
        What one row of the ranking was. Patients are the clusters in both.
    level : float
        Nominal coverage of the interval.
    method : str
        How the interval was made.
    status : str
        ``ok``, ``not enough evidence`` (fewer than 30 patients in a class), ``approximate`` (the interval may cover less
        than 93 % or more than 97 %), ``undefined: ...`` or ``constant scores``.
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


def interval(
    value: float,
    variance: float,
    counts: tuple[int, int],
    unit: Literal["patient", "image"],
    *,
    constant: bool = False,
    cross_fitted: bool = False,
    level: float = 0.95,
) -> tuple[float, float, str, str]:
    """Limits, method and status of one AUC.

    Parameters
    ----------
    value, variance : float
        NaN where undefined.
    counts : (int, int)
        Patients on either side.
    unit : "patient" | "image"
    constant : bool
        Whether all scores are equal.
    cross_fitted : bool
        As in `Ranking`.
    level : float
    """
    if np.isnan(value):
        return np.nan, np.nan, NONE, f"undefined: no patients {'in' if counts[0] == 0 else 'outside'} the class"
    if constant:
        return np.nan, np.nan, NONE, CONSTANT
    few = min(counts) * min(value, 1 - value) < MIN_MISPLACED
    status = APPROXIMATE if few or cross_fitted else "ok"
    status = status if min(counts) >= MIN_CLASS_PATIENTS else NOT_ENOUGH
    if variance > ROUNDING and ROUNDING < value < 1 - ROUNDING:
        limits = logit_interval(value, variance + pseudo_variance(value, counts), level)
        return *limits, DELONG if unit == "patient" else CLUSTERS, status
    return *pairs_interval(value, min(counts), level), PAIRS, status


def pseudo_variance(value: float, counts: tuple[int, int]) -> float:
    """What one pseudo-patient on either side adds to the variance of an AUC; the sides have at least two patients."""
    return min((value - 0.5) ** 2, value * (1 - value)) * sum(1 / (count * (count - 1)) for count in counts)


def logit_interval(value: float, variance: float, level: float = 0.95) -> tuple[float, float]:
    """Normal limits on the logit scale, by the delta method."""
    half = ndtri(0.5 + level / 2) * np.sqrt(variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def pairs_interval(value: float, pairs: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson limits, as if so many independent pairs of patients had been compared."""
    won = min(max(value * pairs, 0.0), float(pairs))
    tail = (1 - level) / 2
    low = 0.0 if won <= 0 else float(beta.ppf(tail, won, pairs - won + 1))
    high = 1.0 if won >= pairs else float(beta.ppf(1 - tail, won + 1, pairs - won))
    return low, high
