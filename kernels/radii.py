"""What a radius is, and which radii a filter keeps: squared radii and cut-offs as exact integers; in NumPy, without torch.

The band-pass kernels are tested against it, and all other code with radii in a spectrum (rings, planted bands) uses it, so that
all of them put a coefficient on the same side of an edge. `Filter` is what the degradation language makes of ``band:10:50`` and
what every kernel takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastrace.errors import UsageError

if TYPE_CHECKING:  # the language of degradations is read without torch
    from torch import Tensor

NO_EDGE = 2**63 - 1  # int64: beyond every squared radius
MAX_PIXELS = 2**31  # of one image: its squared radii stay below 2^62


@dataclass(frozen=True)
class Filter:
    """Which frequencies pass: ``low <= r < high``, or as a complement (notch) all others.

    Attributes
    ----------
    low, high : float, or Tensor or array [N]
        Cut-offs in cycles/image, ``0 <= low < high``, high up to ``inf``: numbers for all images, or one value per image
        (what a cut-off in lp/mm comes to differs per image). Values in tensors are read on the host, so keep them on the CPU.
    complement : bool
        Reject that band instead.

    Raises
    ------
    UsageError
        For numbers that keep nothing or are none; values of images are checked where they are read.
    """

    low: float | Tensor | NDArray[np.floating]
    high: float | Tensor | NDArray[np.floating]
    complement: bool = False

    def __post_init__(self) -> None:
        if not self.per_image and not 0.0 <= self.low < self.high:  # that also refuses NaN and an infinite low
            raise UsageError(
                f"a band keeps low <= r < high in cycles/image: low {self.low} has to be finite, 0 or more, and below "
                f"high {self.high}"
            )

    @property
    def per_image(self) -> bool:
        """Whether images have cut-offs of their own."""
        return not (isinstance(self.low, int | float) and isinstance(self.high, int | float))

    def times(self, unit_cycles: Tensor) -> Filter:  # [N]
        """Return the same filter per image, its cut-offs being multiples of a unit that images have their own of."""
        return Filter(unit_cycles * self.low, unit_cycles * self.high, self.complement)

    def of_images(self, count: int) -> list[Filter]:
        """Return the filter of each of `count` images, in numbers; `ValueError` for another number of cut-offs."""
        lows, highs = (np.broadcast_to(np.asarray(edge, np.float64), count).tolist() for edge in (self.low, self.high))
        return [Filter(low, high, self.complement) for low, high in zip(lows, highs, strict=True)]

    def edges(self, height: int, width: int) -> tuple[int, int]:
        """Return the cut-offs as integers: scaled squares from the first on and below the second lie in the band."""
        return _edges(float(self.low), float(self.high), height, width)

    def gain(self, height: int, width: int) -> NDArray[np.float64]:
        """Return the transfer function over the coefficients of ``fft2``, [H, W]: 0 and 1."""
        squares = scaled_squares(height, width)
        low, high = self.edges(height, width)
        return np.asarray(((squares >= low) & (squares < high)) != self.complement, np.float64)


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

    For an integer q, ``q < t^2 P^2`` and ``q < ceil(t^2 P^2)`` are the same. Fractions, because the square of a float is
    no float: 3-4-5 triangles lie exactly on integer radii and decide whether an edge is right.
    """
    if math.isinf(radius_cycles):
        return NO_EDGE
    return min(math.ceil((Fraction(radius_cycles) * min(height, width)) ** 2), NO_EDGE)


@lru_cache(maxsize=1024)
def _edges(low: float, high: float, height: int, width: int) -> tuple[int, int]:
    return scaled_edge(low, height, width), scaled_edge(high, height, width)
