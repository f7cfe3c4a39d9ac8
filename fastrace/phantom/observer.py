"""How well the leak can be read: exactly before display, by Monte Carlo after it.

**Before display.** In the band a coefficient of group A is Gaussian with variance s0^2, one of group B with
s1^2 = s0^2 (1 + strength^2), the same ratio in each of the n independent real coefficients. The likelihood ratio of the
two grows with the sum S of squared, whitened coefficients, S/s^2 is chi-square with n degrees of freedom, and so

    AUC = P(S_B > S_A) = P(F(n, n) < 1 + strength^2)

with Fisher's F (Barrett and Myers, Foundations of Image Science, 2004, chapter 13, for the two-variance task). It knows the
background's spectrum and level and the tissue mask; nothing that sees only the image does better.

**After display**, `observer_auc` scores images with a plain detector: power in the band against power on both sides of it,
whitened by r^3, inside the tissue. It estimates what the ideal observer knows, and so it stays below.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage, stats

from fastrace.phantom.texture import multiplicity, radius_cycles, ring

Size = tuple[int, int]


def coefficients_in_band(size: Size, band_cycles: tuple[float, float]) -> int:
    """Count the independent real coefficients of a real image of this size with low <= r < high.

    A complex coefficient and its conjugate twin are two real numbers, so it is the number of coefficients in the full DFT.
    """
    return int((ring(size, band_cycles) * multiplicity(size)).sum())


def effective_share(
    mask: NDArray[np.float32],  # [H, W], 0 .. 1
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
    """AUC of the ideal observer that knows the background, for one image or for several taken together.

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


def interior(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
) -> NDArray[np.float32]:  # [H, W], 0 .. 1
    """Weight 1 well inside the tissue, 0 in air, on the skin line and at the border of the image, smooth between.

    Tissue is where the display, averaged over 5 % of the long side, is above a fifth of its maximum.
    """
    long_side = max(image.shape)
    local = ndimage.uniform_filter(np.asarray(image, dtype=np.float32), round(0.05 * long_side) | 1)
    tissue = (local > 0.2 * local.max()).astype(np.float32)
    weight = ndimage.minimum_filter(tissue, round(0.08 * long_side) | 1, mode="constant")
    for _ in range(3):  # three boxes make a bell without side lobes that would mix bands
        weight = ndimage.uniform_filter(weight, round(0.04 * long_side) | 1, mode="constant")
    return np.asarray(weight, dtype=np.float32)


def band_score(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
    band_cycles: tuple[float, float],
) -> float:
    """Log ratio of the whitened power in the band to that beside it, for one image.

    Whitened: multiplied by r^3. Beside it: from 0.4 to 0.95 of the low edge and from 1.05 to 2 of the high edge, pooled, so that
    the contrast of the image does not matter. Only the interior of the tissue counts, because the skin line has power in
    every band and differs between patients. Edges are in cycles along the long side of this image.
    """
    size = (image.shape[0], image.shape[1])
    low, high = band_cycles
    weight = interior(image)
    if not weight.any():
        raise ValueError(f"no tissue in this {size[0]}x{size[1]} image: its interior is empty")
    values = np.asarray(image, dtype=np.float32)
    spectrum = fft.rfft2((values - np.average(values, weights=weight)) * weight)
    count = np.broadcast_to(multiplicity(size), spectrum.shape)
    power = (spectrum.real**2 + spectrum.imag**2) * count * radius_cycles(size) ** 3
    inside = ring(size, band_cycles)
    beside = ring(size, (0.4 * low, 0.95 * low)) | ring(size, (1.05 * high, 2 * high))
    mean_inside, mean_beside = (power[part].sum() / count[part].sum() for part in (inside, beside))
    return float(np.log(mean_inside / mean_beside))


def auc(
    scores: ArrayLike,  # [N]
    is_positive: ArrayLike,  # [N] bool
) -> float:
    """P(score of a positive > score of a negative), ties counted half."""
    flags = np.asarray(is_positive, dtype=bool)
    ranks = stats.rankdata(np.asarray(scores, dtype=np.float64))
    positives = int(flags.sum())
    negatives = flags.size - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"both groups are needed; got {positives} positive and {negatives} negative scores")
    return float((ranks[flags].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def observer_auc(
    images: NDArray[np.floating],  # [N, H, W] display values, or a sequence of [H, W]
    groups: ArrayLike,  # [N] "A" | "B"
    band_cycles: tuple[float, float],
) -> float:
    """Image-level AUC of the plain band-energy detector for group B against A, on display images.

    Parameters
    ----------
    images : numpy.ndarray [N, H, W] or sequence of [H, W], float
        Display values; size and gain do not matter, the field of view does.
    groups : array of str [N]
        "A" or "B".
    band_cycles : (float, float)
        Edges in cycles along the long side of these images.

    Returns
    -------
    float
        About 0.5 for a control phantom.
    """
    return auc([band_score(image, band_cycles) for image in images], np.asarray(groups) == "B")
