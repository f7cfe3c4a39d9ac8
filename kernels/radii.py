"""What a radius is: squared radii as exact integers, cut-offs as integers among them, the gain of a coefficient; in NumPy.

The band-pass kernels are held against it, and whoever else speaks of radii in a spectrum (rings, planted bands) uses it, so that
all of them put a coefficient on the same side of an edge.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastrace.errors import UsageError

NO_EDGE = 2**63 - 1  # int64: beyond every squared radius
MAX_PIXELS = 2**31  # of one image: its squared radii stay below 2^62


def scaled_squares(height: int, width: int) -> NDArray[np.int64]:
    """Return the squared radius of every coefficient of ``fft2`` times ``min(H, W)^2``: exact integers [H, W].

    With ``M = max(H, W)`` the radius in cycles/image is ``M hypot(ky / H, kx / W)``, so its square times ``min(H, W)^2``
    is ``(ky W)^2 + (kx H)^2``.
    """
    rows, columns = np.arange(height, dtype=np.int64), np.arange(width, dtype=np.int64)
    ky, kx = np.minimum(rows, height - rows), np.minimum(columns, width - columns)
    return np.asarray((ky[:, None] * width) ** 2 + (kx[None, :] * height) ** 2)


def scaled_edge(radius_cycles: float, height: int, width: int) -> int:
    """Return the smallest integer that is not below ``radius^2 min(H, W)^2``, or `NO_EDGE`.

    For an integer q, ``q < t^2 P^2`` and ``q < ceil(t^2 P^2)`` say the same. Fractions, because the square of a float is
    no float: 3-4-5 triangles lie exactly on integer radii and decide whether an edge is right.
    """
    if math.isinf(radius_cycles):
        return NO_EDGE
    return min(math.ceil((Fraction(radius_cycles) * min(height, width)) ** 2), NO_EDGE)


def check_cutoffs(low: float, high: float) -> None:
    """Raise `UsageError` unless ``0 <= low < high``; that also refuses NaN and an infinite low."""
    if not 0.0 <= low < high:
        raise UsageError(
            f"a band keeps low <= r < high in cycles/image: low {low} has to be finite, 0 or more, and below high {high}"
        )


def read_cutoffs(low: Tensor, high: Tensor) -> tuple[list[float], list[float]]:
    """Return cut-offs given as tensors [F] on the host as numbers; `UsageError` as `check_cutoffs`."""
    lows, highs = low.tolist(), high.tolist()
    for a, b in zip(lows, highs, strict=True):
        check_cutoffs(a, b)
    return lows, highs


def gain(height: int, width: int, low: float, high: float, complement: bool = False) -> NDArray[np.float64]:
    """Return the transfer function over the coefficients of ``fft2``, [H, W]."""
    squares = scaled_squares(height, width)
    inside = (squares >= scaled_edge(low, height, width)) & (squares < scaled_edge(high, height, width))
    return np.asarray(inside != complement, np.float64)
