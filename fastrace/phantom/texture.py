"""Gaussian random fields: the texture of tissue, and the leak in it.

Tissue has power ~ 1/f^3 (f^-2.8 to f^-3 in mammograms: Burgess, Jacobson and Judy, Med. Phys. 28, 2001). Here, with r in
cycles along the long side of the stored image and the rolling-off `CORNER_CYCLES` keeping the largest waves finite,

    P(r) = rms^2 * (r^2 + corner^2)^(-3/2) / sum over all coefficients        (variance per DFT coefficient)

A leak of kind ``texture`` is a field of its own with strength^2 * (P(r) + Q) in the ring low <= r < high and nothing
elsewhere; Q is the power of the quantum noise, flat over all coefficients. A new one is drawn for each image: it is
more power in a band, not a pattern that could be subtracted.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

CORNER_CYCLES = 3.0
TEXTURE_RMS = 0.075
"""Display units: the rms of the tissue texture where the tissue mask is 1."""
QUANTUM_RMS = 0.014
"""Display units per pixel at display value 1, at 512x384: see `quantum_rms`."""

Size = tuple[int, int]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@lru_cache(maxsize=8)
def radius_cycles(
    size: Size,
) -> F64:  # [H, W // 2 + 1]
    """Radius of each coefficient of a real FFT, in cycles along the long side.

    The squares are compared as exact integers elsewhere in fastrace; here an edge may fall either way by one rounding,
    which moves the planted band by nothing that can be measured.
    """
    height, width = size
    ky = fft.fftfreq(height, 1 / height)[:, None] / height
    kx = np.arange(width // 2 + 1)[None, :] / width
    return np.hypot(ky, kx) * max(size)


def multiplicity(
    size: Size,
) -> F64:  # [1, W // 2 + 1]
    """How many coefficients of the full DFT each column of the real FFT stands for: 1 or 2."""
    columns = np.full(size[1] // 2 + 1, 2.0)
    columns[0] = 1.0
    if size[1] % 2 == 0:
        columns[-1] = 1.0
    return columns[None, :]


def ring(
    size: Size,
    band_cycles: tuple[float, float],
) -> NDArray[np.bool_]:  # [H, W // 2 + 1]
    """Coefficients with low <= r < high."""
    radius = radius_cycles(size)
    return (radius >= band_cycles[0]) & (radius < band_cycles[1])


def quantum_rms(size: Size) -> float:
    """Noise per pixel at display value 1, in display units.

    The same dose on the same area gives the same power per coefficient however finely it is sampled, so a pixel's rms grows
    with the root of the number of pixels; not beyond 0.025, where detectors blur.
    """
    return min(QUANTUM_RMS * math.sqrt(size[0] * size[1] / (512 * 384)), 0.025)


@lru_cache(maxsize=8)
def tissue_power(
    size: Size,
) -> F64:  # [H, W // 2 + 1], display units squared per coefficient
    """Variance per coefficient of the tissue texture; sums to ``TEXTURE_RMS ** 2`` over the full DFT, without the mean."""
    power = (radius_cycles(size) ** 2 + CORNER_CYCLES**2) ** -1.5
    power[0, 0] = 0.0
    return TEXTURE_RMS**2 * power / float((power * multiplicity(size)).sum())


@lru_cache(maxsize=8)
def leak_power(
    size: Size,
    band_cycles: tuple[float, float],
    strength: float,
) -> F64:  # [H, W // 2 + 1], display units squared per coefficient
    """Variance per coefficient of the leak: strength^2 times that of everything else, inside the band.

    The quantum noise is that of tissue at display value 0.5.
    """
    quantum = 0.5 * quantum_rms(size) ** 2 / (size[0] * size[1])
    return np.where(ring(size, band_cycles), strength**2 * (tissue_power(size) + quantum), 0.0)


def gaussian_field(
    power: F64,  # [H, W // 2 + 1]
    size: Size,
    rng: np.random.Generator,
) -> F32:  # [H, W]
    """Draw one zero-mean, stationary (periodic) Gaussian field with the given variance per coefficient."""
    white = rng.standard_normal(size, dtype=np.float32)
    # White noise has variance 1/(H*W) per coefficient in units where the coefficients' variances sum to the pixel's.
    gain = np.sqrt(power * (size[0] * size[1])).astype(np.float32)
    return np.asarray(fft.irfft2(fft.rfft2(white) * gain, s=size), dtype=np.float32)
