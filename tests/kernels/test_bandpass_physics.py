"""Band-pass: what must hold of any radial filter, through the public call, at every size that decides how it is transformed.

Powers of two, even, odd, prime and products of large primes, one row or column, two pixels. Nothing here depends on how it is
transformed. The tolerances follow from one bound: each value is within `TOLERANCE` times the largest input of the exact result.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.kernels.bandpass import TOLERANCE, Filter, bandpass

INF = math.inf
SQUARES = [(n, n) for n in (1, 2, 7, 64, 223, 224, 225, 254, 255, 256, 512, 1023)]
RECTANGLES = [
    (1, 2), (2, 1), (7, 1), (1, 223), (64, 7), (7, 64), (223, 224), (225, 224), (254, 225), (64, 255), (256, 254),
    (512, 7), (2, 512), (64, 1023), (1023, 7),
]  # fmt: skip
DTYPES = list(TOLERANCE)

every_size = pytest.mark.parametrize("size", SQUARES + RECTANGLES, ids=lambda size: f"{size[0]}x{size[1]}")
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))


def images(n: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Positive images, as radiographs are: the mean is most of their energy."""
    return torch.from_numpy(np.random.default_rng(size).random((n, *size))).to(dtype)


def cuts(size: tuple[int, int]) -> tuple[float, float]:
    """Two cut-offs that no frequency meets: which side of an edge counts is tested elsewhere."""
    low, high = max(size) / 10 + 0.0137, max(size) / 4 + 0.0137
    assert np.abs(radii(size)[..., None] - [low, high]).min() > 1e-6
    return low, high


def filters(size: tuple[int, int]) -> list[Filter]:
    """Low-pass, band, high-pass and notch."""
    low, high = cuts(size)
    return [Filter(0.0, low), Filter(low, high), Filter(high, INF), Filter(low, high, complement=True)]


def radii(size: tuple[int, int]) -> NDArray[np.float64]:
    """Of every coefficient of ``fft2``, in cycles/image."""
    rows, columns = np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1])
    return np.hypot(rows[:, None], columns[None, :]) * max(size)


def largest(x: Tensor) -> float:
    return float(x.abs().max())


@every_size
@every_dtype
def test_no_energy_outside_the_band_and_all_of_it_inside(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = images(1, size, dtype)
    energy, pixels = float((x.double() ** 2).sum()), x.numel()
    spectrum = np.fft.fft2(x[0].double().numpy())
    for one in filters(size):
        outside = ((radii(size) >= one.low) & (radii(size) < one.high)) == one.complement
        kept = np.fft.fft2(bandpass(x, one)[0].double().numpy())
        # Energies of the image, by Parseval. The kernel's error is at most TOLERANCE in each pixel.
        leaked, missing = (
            float((np.abs(part) ** 2).sum()) / pixels for part in (kept[outside], (kept - spectrum)[~outside])
        )
        assert leaked < 1e-6 * energy, one
        assert leaked + missing <= pixels * (TOLERANCE[dtype] * largest(x)) ** 2, one


@every_size
@every_dtype
def test_the_mean_is_kept_from_zero_on_and_removed_above(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = images(2, size, dtype)
    mean = x.double().mean((1, 2))
    for one in filters(size):
        got = bandpass(x, one).double().mean((1, 2))
        expected = mean if (one.low == 0) != one.complement else torch.zeros(2, dtype=torch.float64)
        assert largest(got - expected) <= TOLERANCE[dtype] * largest(x), one


@every_size
@every_dtype
def test_linear(size: tuple[int, int], dtype: torch.dtype) -> None:
    x, y = images(2, size, dtype).unbind()
    both = 2 * x - 3 * y
    # The three results, weighted as they are added; the rounding of the sums is a tenth of it.
    bound = 1.1 * TOLERANCE[dtype] * (largest(both) + 2 * largest(x) + 3 * largest(y))
    for one in filters(size):
        f = [bandpass(image, one) for image in (both, x, y)]
        assert largest(f[0] - (2 * f[1] - 3 * f[2])) <= bound, one


@every_size
@every_dtype
def test_low_and_high_pass_add_up_to_the_image(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = images(1, size, dtype)
    for cut in cuts(size):
        together = bandpass(x, Filter(0, cut)) + bandpass(x, Filter(cut, INF))
        assert largest(together - x) <= 2.1 * TOLERANCE[dtype] * largest(x), cut  # two results and a sum


@every_size
@every_dtype
def test_a_shifted_image_gives_the_shifted_result(size: tuple[int, int], dtype: torch.dtype) -> None:
    x, shift = images(1, size, dtype), (size[0] // 3 + 1, -(size[1] // 2) - 1)
    for one in filters(size):
        there = bandpass(x.roll(shift, (1, 2)), one)
        here = bandpass(x, one).roll(shift, (1, 2))
        assert largest(there - here) <= 2 * TOLERANCE[dtype] * largest(x), one


@pytest.mark.parametrize("size", SQUARES, ids=lambda size: f"{size[0]}x{size[1]}")
@every_dtype
def test_a_turned_square_gives_the_turned_result(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = images(1, size, dtype)
    for one in filters(size):
        turned, result = x.rot90(1, (1, 2)), bandpass(x, one)
        assert largest(bandpass(turned, one) - result.rot90(1, (1, 2))) <= 2 * TOLERANCE[dtype] * largest(x), one


@pytest.mark.parametrize("size", RECTANGLES, ids=lambda size: f"{size[0]}x{size[1]}")
@every_dtype
def test_a_transposed_rectangle_gives_the_transposed_result(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = images(1, size, dtype)
    for one in filters(size):
        there, here = bandpass(x.mT, one), bandpass(x, one).mT
        assert largest(there - here) <= 2 * TOLERANCE[dtype] * largest(x), one


@every_size
@every_dtype
def test_the_filter_twice_is_the_filter_once(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = images(1, size, dtype)
    for one in filters(size):
        once = bandpass(x, one)
        # The filter takes the part outside the band from the error of the first, so its root mean square cannot grow.
        error = float((bandpass(once, one) - once).double().square().mean().sqrt())
        assert error <= TOLERANCE[dtype] * (largest(x) + largest(once)), one


@every_size
@every_dtype
def test_self_adjoint(size: tuple[int, int], dtype: torch.dtype) -> None:
    x, y = images(2, size, dtype).unbind()
    bound = TOLERANCE[dtype] * (largest(x) * float(y.double().sum()) + largest(y) * float(x.double().sum()))
    for one in filters(size):
        fx, fy = (bandpass(image, one).double() for image in (x, y))
        difference = float((fx * y.double()).sum() - (x.double() * fy).sum())
        assert abs(difference) <= bound, one


@every_size
@every_dtype
def test_no_image_and_one_image_are_batches(size: tuple[int, int], dtype: torch.dtype) -> None:
    three = images(3, size, dtype)
    for one in filters(size):
        none = bandpass(three[:0], one)
        assert none.shape == (0, *size)
        assert none.dtype == dtype
        assert torch.equal(bandpass(three[1:2], one)[0], bandpass(three, one)[1]), one
