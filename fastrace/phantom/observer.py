"""The AUC at which the leak can be read before display, by an ideal observer: it has every parameter of the images.

``texture``, in closed form. In the band a coefficient of group A is Gaussian with variance s0^2, one of group B with
s1^2 = s0^2 (1 + strength^2), the same ratio in each of the n independent real coefficients. The likelihood ratio of the
two grows with the sum S of squared, whitened coefficients, S/s^2 is chi-square with n degrees of freedom, and so

    AUC = P(S_B > S_A) = P(F(n, n) < 1 + strength^2)

with Fisher's F (Barrett and Myers, Foundations of Image Science, 2004, chapter 13, for the two-variance task). It is given
the background's spectrum and level and the tissue mask; a reader of the image alone cannot exceed its AUC.

``patch``, by Monte Carlo: the same likelihood ratio where the variance ratio 1 + (strength * w)^2 follows the weight w of the
region, in cells of one weight each, taken as locally stationary.

``phase``, by quadrature: the observer is given the places of the dots, unlike a reader of the image: this is an upper bound.
With the dots' phase turned to 0, x = a + t with a Rayleigh, E a^2 = strength^2, and t complex Gaussian, E |t|^2 = 1, against
x complex Gaussian of the same power. With u + iv = x * strength / sqrt(1 + strength^2) the log likelihood ratio of one
complex coefficient is

    log(e^(-u^2) + sqrt(pi) u (1 + erf u)) - v^2,        u, v ~ N(0, strength^2 / 2) in group A

(integrate the Rayleigh density of a against the Gaussian one of x - a). Its mean and variance are found by Gauss-Hermite
quadrature in both groups, and the sum over n / 2 coefficients is taken as normal.

``intensity``, in closed form: the feature is uniform between patients, so a shift of t ranges is read with AUC
1 - (1 - t)^2 / 2; the image holds no more information on the group than the feature itself, nor do more images of a patient.

Not here: detectors that see only the displayed image (``detector``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from fastrace.phantom.detector import auc
from fastrace.phantom.texture import multiplicity, ring

PATCH_DRAWS = 50_000
"""Draws per group for kind ``patch``: a standard error of at most 0.002."""

_NODES = 160

Size = tuple[int, int]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def coefficients_in_band(size: Size, band_cycles: tuple[float, float]) -> int:
    """Count the independent real coefficients of a real image of this size with low <= r < high.

    A complex coefficient and its conjugate twin are two real numbers, so it is the number of coefficients in the full DFT.
    """
    return int((ring(size, band_cycles) * multiplicity(size)).sum())


def effective_share(
    mask: F32,  # [H, W], 0 .. 1
) -> float:
    """Share of the coefficients that stay independent when a field is seen through a mask, in (0, 1].

    (sum m^2)^2 / (N sum m^4): the degrees of freedom of the energy of a masked stationary field (Satterthwaite's
    approximation), 1 for a mask of ones.
    """
    square = mask.astype(np.float64) ** 2
    return float(square.sum() ** 2 / (square.size * (square**2).sum()))


def ideal_auc(
    strength: float,
    coefficients: float,
) -> float:
    """AUC of the ideal observer of kind ``texture``, for one image or for several taken together.

    Parameters
    ----------
    strength : float
        rms of the leak / rms of the background inside the band, >= 0.
    coefficients : float
        Independent real coefficients in the band, > 0; those of several images of a patient add up.

    Returns
    -------
    float
        In [0.5, 1].
    """
    return float(stats.f.cdf(1.0 + strength**2, coefficients, coefficients))


def ideal_auc_patch(
    strength: float,
    coefficients: F64,  # [cells]
    weight: F64,  # [cells]
) -> float:
    """AUC of the ideal observer of kind ``patch``, by Monte Carlo with a seed of its own.

    Parameters
    ----------
    strength : float
        rms of the leak / rms of the background inside the band where the weight is 1, >= 0.
    coefficients : numpy.ndarray [cells] float64
        Independent real coefficients of each cell, >= 0.
    weight : numpy.ndarray [cells] float64
        Amplitude of the leak in each cell, 0 to 1.
    """
    ratio = 1.0 + (strength * weight) ** 2
    used = (coefficients > 0) & (ratio > 1)
    if not used.any():
        return 0.5
    degrees, ratio = coefficients[used], ratio[used]
    rng = np.random.default_rng(20_010)
    of_a, of_b = (rng.chisquare(degrees, (PATCH_DRAWS, degrees.size)) for _ in range(2))
    scores = np.concatenate([of_a @ (1 - 1 / ratio), of_b @ (ratio - 1)])
    return auc(scores, np.repeat([False, True], PATCH_DRAWS))


def phase_log_ratio(u: F64, v: F64) -> F64:
    """Log likelihood ratio of one complex coefficient of kind ``phase`` in the units of this module's docstring."""
    below = np.minimum(u, 0.0)
    # For u < 0 the two terms cancel; erfcx keeps the digits: e^(-u^2) (1 - sqrt(pi) |u| erfcx|u|).
    left = np.log1p(np.sqrt(math.pi) * below * special.erfcx(-below)) - below**2
    above = np.maximum(u, 0.0)
    right = np.log(np.exp(-(above**2)) + np.sqrt(math.pi) * above * (1 + special.erf(above)))
    return np.asarray(np.where(u < 0, left, right) - v**2, dtype=np.float64)


def ideal_auc_phase(strength: float, coefficients: float) -> float:
    """AUC of the observer of kind ``phase``, which is given the places of the dots; arguments as in `ideal_auc`."""
    if strength == 0:
        return 0.5
    node, weight = np.polynomial.hermite.hermgauss(_NODES)
    u, v = (axis * strength for axis in np.meshgrid(node, node))
    of_a = np.outer(weight, weight) / math.pi
    value = phase_log_ratio(u, v)
    of_b = of_a * np.exp(value)
    of_b /= of_b.sum()
    mean_a, mean_b = (float((part * value).sum()) for part in (of_a, of_b))
    variance = sum(float((part * (value - mean) ** 2).sum()) for part, mean in ((of_a, mean_a), (of_b, mean_b)))
    return float(stats.norm.cdf((mean_b - mean_a) * math.sqrt(coefficients / 2 / variance)))


def ideal_auc_intensity(strength: float) -> float:
    """AUC of the feature itself: uniform between patients, shifted by ``strength`` of its standard deviations."""
    return 1.0 - 0.5 * max(0.0, 1.0 - strength / math.sqrt(12)) ** 2
