"""Band-pass on the CPU: real transforms of scipy, the mask in numba, and no work on columns that the filter leaves alone.

Order of work for one image: real transform of every row; complex transform of the columns, mask, back; real transform
back of every row. Beyond the outer edge of an ideal filter a column of the half spectrum has one gain for all rows, 0 or
1, so its transform forth and back would be wasted: only the first ``k`` columns take that trip. That is exact.

Chosen by measurement (one AVX-512 core, float32, ms, median): both transforms and no mask at 224 / 512 / 1024 are 0.51 /
2.2 / 7.3 by scipy's rfft2 + irfft2, 0.45 / 2.2 / 9.4 by torch (MKL), 0.44 / 1.4 / 6.0 by scipy in this order and in
place, and with a quarter of the columns 0.37 / 1.1 / 4.5. torch is faster on rows of 224 alone, but its transforms start
threads of their own, also inside one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from fastrace.kernels._threads import NUMBA_CACHE, for_ranges
from fastrace.kernels.bandpass.gain import GAUSSIAN, IDEAL, inverse_square, scaled_edge

# Images go through scipy together up to this many pixels: a call costs 10 us; four of 224 x 224 gain 15 % over one.
PIXELS_PER_CALL = 1 << 18


@dataclass(frozen=True)
class Filter:
    """A filter for one image size."""

    low: float  # cycles/image
    high: float
    low_edge: int  # see gain.scaled_edge
    high_edge: int
    complement: bool
    shape: int
    order: int
    columns: int  # of the half spectrum that the mask has to see; from there on the gain is
    constant: float


@lru_cache(maxsize=1024)
def make_filter(low: float, high: float, height: int, width: int, complement: bool, shape: int, order: int) -> Filter:
    """Return the filter with its exact edges for images of one size."""
    edges = low_edge, high_edge = scaled_edge(low, height, width), scaled_edge(high, height, width)
    columns, constant = width // 2 + 1, 0.0
    if shape == IDEAL:
        largest = ((height // 2) * width) ** 2 + ((width // 2) * height) ** 2
        bounded = high_edge <= largest
        # A band ends at its upper edge; a high-pass is 1 from its lower edge on.
        squares = (np.arange(columns, dtype=np.int64) * height) ** 2
        columns = int(np.searchsorted(squares, high_edge if bounded else low_edge))
        constant = float(bounded == complement)
        if low_edge > largest:  # nothing is that fine
            columns, constant = 0, float(complement)
    return Filter(low, high, *edges, complement, shape, order, columns, constant)


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def mask_ideal(spectrum, height, width, low_edge, high_edge, complement):  # type: ignore[no-untyped-def]
    """Zero what an ideal filter rejects in spectrum [count, H, columns], the first columns of the half spectrum."""
    columns = spectrum.shape[2]
    # Radii grow along a row: it keeps columns first .. last - 1 (as a complement, all others). They also grow with ky,
    # so both ends only move down from one ky to the next.
    first = last = columns
    for ky in range(height // 2 + 1):
        y = np.int64(ky * width) * np.int64(ky * width)
        while first > 0 and y + np.int64((first - 1) * height) * np.int64((first - 1) * height) >= low_edge:
            first -= 1
        while last > 0 and y + np.int64((last - 1) * height) * np.int64((last - 1) * height) >= high_edge:
            last -= 1
        for image in range(spectrum.shape[0]):
            for row in (ky, (height - ky) % height):
                if complement:
                    spectrum[image, row, first:last] = 0
                else:
                    spectrum[image, row, : min(first, last)] = 0
                    spectrum[image, row, last:] = 0


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def mask_smooth(spectrum, gains, height, width, low, high, complement, gaussian, order):  # type: ignore[no-untyped-def]
    """Multiply spectrum [count, H, columns] by a smooth gain; low, high: 1 / cut-off^2, negative for a cut-off of 0.

    `gains` is a row of scratch in the precision of the spectrum.
    """
    columns = spectrum.shape[2]
    unit = 1.0 / np.float64(min(height, width)) ** 2
    x = (np.arange(columns) * np.float64(height)) ** 2 * unit
    upper, lower = np.ones(columns), np.zeros(columns)
    x_upper, x_lower = np.exp(-0.5 * x * high), np.exp(-0.5 * x * max(low, 0.0))
    for ky in range(height // 2 + 1):
        y = (ky * np.float64(width)) ** 2 * unit
        if gaussian:
            upper[:] = np.exp(-0.5 * y * high) * x_upper
            if low >= 0:
                lower[:] = np.exp(-0.5 * y * low) * x_lower
        else:
            upper[:] = 1.0
            lower[:] = 1.0
            for _ in range(order):
                for column in range(columns):
                    upper[column] *= (y + x[column]) * high
                    lower[column] *= (y + x[column]) * low
            for column in range(columns):
                upper[column] = 1.0 / (1.0 + upper[column])
                lower[column] = 1.0 / (1.0 + lower[column]) if low >= 0 else 0.0
        for column in range(columns):
            value = upper[column] - lower[column]
            gains[column] = 1.0 - value if complement else value
        for image in range(spectrum.shape[0]):
            for step in range(1 if 2 * ky % height == 0 else 2):
                row = height - ky if step == 1 else ky
                for column in range(columns):
                    spectrum[image, row, column] *= gains[column]


def apply(images: NDArray[Any], out: NDArray[Any], chosen: Filter) -> None:
    """Filter images [count, H, W] into `out` with one filter."""
    _, height, width = images.shape
    if chosen.columns == 0:
        np.multiply(images, chosen.constant, out=out)
        return
    spectrum = scipy.fft.rfft(images, axis=2)
    part = spectrum[:, :, : chosen.columns]
    turned = scipy.fft.fft(part, axis=1, overwrite_x=True)
    if chosen.shape == IDEAL:
        mask_ideal(turned, height, width, chosen.low_edge, chosen.high_edge, chosen.complement)
    else:
        inverse = inverse_square(chosen.low), inverse_square(chosen.high)
        gains = np.empty(chosen.columns, images.dtype)
        smooth = chosen.complement, chosen.shape == GAUSSIAN, chosen.order
        mask_smooth(turned, gains, height, width, *inverse, *smooth)
    turned = scipy.fft.ifft(turned, axis=1, overwrite_x=True)
    if not np.may_share_memory(turned, spectrum):
        part[...] = turned
    if chosen.constant == 0.0:
        spectrum[:, :, chosen.columns :] = 0
    out[...] = scipy.fft.irfft(spectrum, n=width, axis=2, overwrite_x=True)


def launch(images: NDArray[Any], filters: list[Filter]) -> NDArray[Any]:
    """Filter contiguous images [N, H, W] with one filter for all or one for each."""
    count, height, width = images.shape
    out = np.empty_like(images)
    together = max(1, PIXELS_PER_CALL // max(1, height * width)) if len(filters) == 1 else 1

    def work(first: int, last: int) -> None:
        for start in range(first, last, together):
            stop = min(start + together, last)
            apply(images[start:stop], out[start:stop], filters[start if len(filters) > 1 else 0])

    if images.size > 0:
        for_ranges(work, count, height * width)
    return out
