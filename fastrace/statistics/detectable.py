"""The smallest AUC that a test would have found, and the patients it would need.

A test finds an AUC when it exceeds c = 1/2 + z(alpha) s(1/2), where s(1/2) is its standard deviation without a signal. It does so
with the stated power where

    A - z(power) s(A) = c

s(A) is the standard deviation *at that AUC*, not without a signal: s(1/2) times the ratio that Hanley and McNeil (Radiology 1982)
give for their exponential model, with the patients of either side.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

POWER = 0.8
LARGEST = 0.995
"""Above it nothing is promised: such an AUC is nearly a separation."""


def standard_error(auc: float, counts: tuple[float, float]) -> float:
    """Standard error of an AUC of scores that were not fitted to these patients, by Hanley and McNeil's model.

    Parameters
    ----------
    auc : float
    counts : (float, float)
        Patients of either side.
    """
    m, n = counts
    one, other = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    total = auc * (1 - auc) + (m - 1) * (one - auc**2) + (n - 1) * (other - auc**2)
    return float(np.sqrt(max(total, 0.0) / (m * n)))


def detectable_auc(null_deviation: float, counts: tuple[float, float], alpha: float, power: float = POWER) -> float:
    """The AUC that a one-sided test of level alpha finds with this power; NaN where none below `LARGEST` is.

    Parameters
    ----------
    null_deviation : float
        Standard deviation of the AUC without a signal, such as that of AUCs of permuted labels.
    counts : (float, float)
        Patients of either side; for a mean over classes, those of the smallest and the rest.
    alpha : float
        After the correction for many tests.
    power : float
    """
    critical = 0.5 - ndtri(alpha) * null_deviation
    scale = null_deviation / standard_error(0.5, counts)

    def missing(auc: float) -> float:
        return float(auc - ndtri(power) * scale * standard_error(auc, counts) - critical)

    if not np.isfinite(critical) or missing(LARGEST) < 0:
        return float("nan")
    return float(brentq(missing, 0.5, LARGEST)) if missing(0.5) < 0 else 0.5
