"""A band that holds a whole curve of AUCs at once: wider than the interval at each point, narrower than Bonferroni's.

All points are measured on the same patients, so their errors are correlated. With g the influence of each patient on the logit
of each AUC, the errors are, for many patients, jointly normal with covariance g'g; multiplying every patient's influences
by a standard normal draw gives exactly that law, so it is drawn directly. The critical value is the 95 % quantile
of max |t| over the points (max-t band; multiplier bootstrap).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtri

from fastrace.statistics.estimate import ROUNDING
from fastrace.statistics.ranking import Floats

DRAWS = 50_000  # the critical value of 20 points is then known to about .01


def simultaneous_band(
    points: Sequence[tuple[float, ArrayLike]],
    pointwise: Sequence[tuple[float, float]] | None = None,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Floats, float]:
    """Simultaneous limits of AUCs of the same patients.

    Parameters
    ----------
    points : sequence of (float, array [P])
        AUC and per-patient influence of each point, from `influence` or `macro_influence`; patients in the same order.
    pointwise : sequence of (float, float), optional
        Interval of each point, of the same level. The band is nowhere narrower than that times critical / normal quantile.
        Points without a place on the logit scale (AUC 0 or 1, constant scores, undefined) keep it; they are no part of
        the band's guarantee. Without it their limits are NaN.
    level : float
        Probability that the band holds all its points.
    draws, seed : int

    Returns
    -------
    band : ndarray [C, 2] float64
    critical : float
        Standard errors to either side: at least the normal quantile of one point, at most Bonferroni's. NaN without a point.
    """
    values = np.array([value for value, _ in points], dtype=np.float64)
    band = np.full((len(points), 2), np.nan)
    if pointwise is not None:
        band[:] = np.asarray(pointwise, dtype=np.float64).reshape(len(points), 2)
    effects = [np.asarray(effect, dtype=np.float64) for _, effect in points]
    usable = [
        c
        for c, effect in enumerate(effects)
        if ROUNDING < values[c] < 1 - ROUNDING and np.isfinite(effect).all() and (effect**2).sum() > ROUNDING
    ]
    if not usable:
        return band, float("nan")
    if len({len(effects[c]) for c in usable}) > 1:
        raise ValueError("the points of a band must be measured on the same patients")
    value = values[usable]
    g = np.stack([effects[c] for c in usable], axis=1) / (value * (1 - value))  # [P, C], on the logit scale
    error = np.sqrt((g**2).sum(axis=0))
    critical = _critical(g / error, level, draws, seed)
    if pointwise is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            given = np.ptp(logit(band[usable]), axis=1) / 2 / ndtri(0.5 + level / 2)
        error = np.fmax(error, np.where(np.isfinite(given), given, 0.0))
    band[usable] = expit(logit(value)[:, None] + critical * error[:, None] * np.array([-1.0, 1.0]))
    return band, critical


def _critical(unit: Floats, level: float, draws: int, seed: int) -> float:
    # unit' unit is the correlation of the points; its square root turns independent draws into correlated ones.
    _, scale, axes = np.linalg.svd(unit, full_matrices=False)
    rng = np.random.default_rng(seed)
    t = rng.standard_normal((draws, len(scale))) @ (scale[:, None] * axes)
    found = float(np.quantile(np.abs(t).max(axis=1), level))
    one, bonferroni = ndtri(0.5 + level / 2), ndtri(1 - (1 - level) / 2 / unit.shape[1])
    return float(np.clip(found, one, bonferroni))
