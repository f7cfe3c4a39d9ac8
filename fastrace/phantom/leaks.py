"""What group B carries, by kind; the Gaussian fields themselves are in ``texture``.

``phase``: both groups carry a field E in the band, of strength^2 times the background's power, on top of it. The amplitudes
|E_k| are Rayleigh distributed and drawn alike in both groups; only the phases differ:

    group A    uniform and independent: E is Gaussian
    group B    those of sum_j exp(-2 pi i k x_j), a few dots at random places x_j, new for each image: E is spiky

So the power of each coefficient has the same distribution in both groups, jointly for all coefficients: no power spectrum
separates the groups (Oppenheim and Lim, Proc. IEEE 69, 1981, on how much of an image is in its phases). Each dot lies anywhere
in a cell of its own, in a grid that lies anywhere: the field is stationary, so the *mean* power is equal through the tissue
mask as well. Its spread between images would be larger in B if dots gathered inside the breast or outside it, which would lower
the mean of the logarithm of the power; one dot in each cell leaves little of it.

``patch``: texture multiplied by `patch_weight`. ``intensity``: `intensity_amount` times the feature of the anatomy. A gland is a
Gaussian blob and stays below 3 cycles; lungs have edges, whose power differs measurably up to 20 cycles, although 95 % of
the energy of the difference lies below 7.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fastrace.phantom.anatomy import AERATION, GLAND

DOTS_PER_SQUARE = 40
"""Dots in a square whose side is the long side of the image (30 at 512x384, a dozen of them in the breast)."""

SOFT_SHARE = 0.2
"""Share of each side of a patch over which its weight rises from 0 to 1, at either end."""

Size = tuple[int, int]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def dot_grid(size: Size) -> tuple[int, int]:
    """Rows and columns of cells with one dot each; at least one."""
    per_side = math.sqrt(DOTS_PER_SQUARE) / max(size)
    return max(1, round(per_side * size[0])), max(1, round(per_side * size[1]))


def dot_image(size: Size, rng: np.random.Generator) -> F32:  # [H, W]
    """Draw dots of value 1: one anywhere in each cell of a grid that lies anywhere (the image is periodic)."""
    image = np.zeros(size, dtype=np.float32)
    rows, columns = dot_grid(size)
    place = np.mgrid[:rows, :columns].reshape(2, -1) + rng.random((2, rows * columns))
    place = (place / np.array([[rows], [columns]]) + rng.random((2, 1))) % 1.0
    row, column = ((place[axis] * size[axis]).astype(np.int64) % size[axis] for axis in (0, 1))
    np.add.at(image, (row, column), 1.0)
    return image


def phase_field(
    power: F64,  # [H, W // 2 + 1]
    size: Size,
    rng: np.random.Generator,
    rng_dots: np.random.Generator | None,
) -> F32:  # [H, W]
    """Draw a field with Rayleigh amplitudes of the given variance per coefficient.

    Parameters
    ----------
    power : numpy.ndarray [H, W // 2 + 1] float64
        Variance per coefficient, display units squared, as `fastrace.phantom.texture.leak_power` gives it.
    size : (int, int)
        Rows and columns.
    rng : numpy.random.Generator
        Decides the amplitudes, and the phases of group A: the same state gives the same power in both groups.
    rng_dots : numpy.random.Generator or None
        Decides the places of the dots; None: uniform phases, group A.
    """
    gain = np.sqrt(power * (size[0] * size[1])).astype(np.float32)
    spectrum = fft.rfft2(rng.standard_normal(size, dtype=np.float32)) * gain
    if rng_dots is not None:
        of_dots = fft.rfft2(dot_image(size, rng_dots))
        length = np.abs(of_dots)
        # Where the dots cancel the phase is undefined: 0 is used.
        phase = np.where(length > 1e-6, of_dots / np.maximum(length, 1e-6), np.complex64(1))
        spectrum = np.abs(spectrum) * phase
    return np.asarray(fft.irfft2(spectrum, s=size), dtype=np.float32)


def _soft_box(count: int, first: float, last: float) -> F64:
    """0 outside [first, last] (fractions), 1 in the middle, raised cosines between."""
    place = (np.arange(count) + 0.5) / count
    inward = np.minimum(place - first, last - place) / (SOFT_SHARE * (last - first))
    return np.asarray(0.5 - 0.5 * np.cos(math.pi * np.clip(inward, 0, 1)), dtype=np.float64)


@lru_cache(maxsize=8)
def patch_weight(
    size: Size,
    patch: tuple[float, float, float, float],
    mirrored: bool = False,
) -> F32:  # [H, W], 0 .. 1
    """Amplitude of a patch: 0 outside top, bottom, left, right (fractions of height and width), soft edges within."""
    top, bottom, left, right = patch
    weight = np.outer(_soft_box(size[0], top, bottom), _soft_box(size[1], left, right))
    return np.ascontiguousarray(weight[:, ::-1] if mirrored else weight, dtype=np.float32)


def intensity_amount(modality: str, strength: float) -> float:
    """Display units by which the feature of group B differs: gland darker (< 0), lungs brighter (> 0).

    ``strength`` is in standard deviations between patients. The signs keep bright tissue from being clipped at white, which
    would take texture away and so leak in every band.
    """
    low, high = GLAND if modality == "mammo" else AERATION
    sd = (high - low) / math.sqrt(12)
    return strength * (-sd if modality == "mammo" else sd)
