"""Plain detectors, one for each kind of leak: each measures the feature that its leak changes, on the displayed image.

They estimate parameters that the ideal observer is given, and so their AUC stays below its AUC.

    texture      power in the band against power on both sides of it, whitened by r^3, inside the tissue
    phase        kurtosis of the band, whitened, inside the tissue
    patch        whitened power of the band inside the region against that in the rest of the tissue
    intensity    mean display value of the feature (gland, lungs) against that of the rest of the body, from their known places
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage, stats

from fastrace.phantom.texture import multiplicity, radius_cycles, ring

Size = tuple[int, int]
F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]


def interior(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
) -> F32:  # [H, W], 0 .. 1
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


def _interior_spectrum(image: NDArray[np.floating]) -> tuple[Size, F32, C64]:
    """Size, interior and real FFT of the image inside its interior, without the mean."""
    size = (image.shape[0], image.shape[1])
    weight = interior(image)
    if not weight.any():
        raise ValueError(f"no tissue in this {size[0]}x{size[1]} image: its interior is empty")
    values = np.asarray(image, dtype=np.float32)
    return size, weight, fft.rfft2((values - np.average(values, weights=weight)) * weight)


def band_score(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
    band_cycles: tuple[float, float],
) -> float:
    """Log ratio of the whitened power in the band to that beside it, for one image.

    Whitened: multiplied by r^3. Beside it: from 0.4 to 0.95 of the low edge and from 1.05 to 2 of the high edge, pooled, so that
    the contrast of the image does not matter. Only the interior of the tissue counts, because the skin line has power in
    every band and differs between patients. Edges are in cycles along the long side of this image.
    """
    low, high = band_cycles
    size, _, spectrum = _interior_spectrum(image)
    count = np.broadcast_to(multiplicity(size), spectrum.shape)
    power = (spectrum.real**2 + spectrum.imag**2) * count * radius_cycles(size) ** 3
    inside = ring(size, band_cycles)
    beside = ring(size, (0.4 * low, 0.95 * low)) | ring(size, (1.05 * high, 2 * high))
    mean_inside, mean_beside = (power[part].sum() / count[part].sum() for part in (inside, beside))
    return float(np.log(mean_inside / mean_beside))


def _band_of(image: NDArray[np.floating], band_cycles: tuple[float, float]) -> tuple[F32, F32]:
    """Interior, and the band of the image in it, whitened by r^1.5 so that all its waves count alike."""
    size, weight, spectrum = _interior_spectrum(image)
    gain = np.where(ring(size, band_cycles), radius_cycles(size) ** 1.5, 0.0).astype(np.float32)
    return weight, np.asarray(fft.irfft2(spectrum * gain, s=size), dtype=np.float32)


def kurtosis_score(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
    band_cycles: tuple[float, float],
) -> float:
    """Kurtosis of the band, where the interior weighs more than a half; 3 for Gaussian texture."""
    weight, band = _band_of(image, band_cycles)
    values = band[weight > 0.5].astype(np.float64)
    square = values**2
    return float((square**2).mean() / square.mean() ** 2)


def patch_score(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
    band_cycles: tuple[float, float],
    patch: F32,  # [H, W], 0 .. 1
) -> float:
    """Log ratio of the whitened power of the band inside the region to that in the rest of the interior.

    0 where the tissue does not reach into the region, or not beyond it.
    """
    weight, band = _band_of(image, band_cycles)
    power = band**2
    inside, outside = patch * weight**2, (1.0 - patch) * weight**2
    if min(inside.sum(), outside.sum()) <= 0:
        return 0.0
    mean_inside, mean_outside = ((power * part).sum() / (part * weight**2).sum() for part in (inside, outside))
    return float(np.log(mean_inside / mean_outside))


def feature_score(
    image: NDArray[np.floating],  # [H, W], display values 0 .. 1
    feature: F32,  # [H, W], 0 .. 1
    body: F32,  # [H, W], 0 .. 1
) -> float:
    """Mean display value of the feature minus that of the rest of the body."""
    rest = np.maximum(body - feature, 0.0)
    return float((image * feature).sum() / feature.sum() - (image * rest).sum() / rest.sum())


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
    """Image-level AUC of the plain detector of kind ``texture`` for group B against A, on display images.

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
