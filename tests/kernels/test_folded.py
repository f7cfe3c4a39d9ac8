"""Band-pass as matrix products, interpreted: against float64, against DCT and DST as scipy has them, and the gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import torch

pytest.importorskip("triton", reason="triton comes with the CUDA build of torch")

from fastrace.errors import UsageError
from fastrace.kernels.bandpass import bandpass_reference
from fastrace.kernels.bandpass import folded as module
from fastrace.kernels.bandpass.folded import BLOCKS, DIMMEST, FOLDED, LARGEST, SIDE, TOLERANCE, bases, block_of, folded
from fastrace.kernels.bandpass.gain import SHAPES, gain

INF = math.inf
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BANDS = [(0, 1), (0, 31.5), (10, 50), (50, INF), (0, INF)]


def images(count: int, n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, n, n), dtype=np.float32)).to(DEVICE)


def error(got: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.abs(got.double().cpu().numpy() - expected).max())


@pytest.mark.no_cover
@pytest.mark.parametrize("n", [2, 14, 64, 224, 254])
def test_it_agrees_with_the_float64_reference(n: int) -> None:
    batch = images(1, n)
    for low, high in BANDS:
        expected = bandpass_reference(batch.cpu().numpy(), low, high)
        assert error(folded(batch, low, high), expected) <= TOLERANCE, (low, high)


@pytest.mark.no_cover
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("complement", [False, True])
def test_every_shape_of_filter_is_a_gain_of_coefficients(shape: str, complement: bool) -> None:
    batch = images(3, 30)
    for low, high in ((0, 4), (3, 9), (6, INF)):
        got = folded(batch, low, high, complement=complement, shape=shape, order=3)
        expected = bandpass_reference(batch.cpu().numpy(), low, high, complement=complement, shape=shape, order=3)
        assert error(got, expected) <= TOLERANCE


@pytest.mark.parametrize(("n", "ky", "kx", "radius"), [(64, 6, 8, 10), (224, 30, 40, 50), (28, 3, 4, 5)])
def test_a_wave_on_the_edge_belongs_to_the_band_above_it(n: int, ky: int, kx: int, radius: int) -> None:
    y, x = np.mgrid[:n, :n]
    wave = torch.from_numpy(np.cos(2 * np.pi * (ky * y - kx * x) / n + 0.3)[None].astype(np.float32)).to(DEVICE)
    assert folded(wave, 0, radius).abs().max() <= TOLERANCE
    assert (folded(wave, radius, INF) - wave).abs().max() <= TOLERANCE


@pytest.mark.no_cover
@pytest.mark.parametrize("pixel", module.PIXELS)
@pytest.mark.parametrize("dtype", module.RESULTS)
def test_it_reads_stored_pixels_and_writes_what_a_network_reads(pixel: torch.dtype, dtype: torch.dtype) -> None:
    values = images(2, 20).cpu()
    batch = (values * 65535).to(torch.int32).to(pixel) if pixel == torch.uint16 else values.to(pixel)
    exact = batch.double().numpy() / (65535 if pixel == torch.uint16 else 1)
    got = folded(batch.to(DEVICE), 1, 6, dtype=dtype)
    # The interpreter truncates to bfloat16 where a GPU rounds: one unit in the last place.
    step = {torch.float32: 0.0, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-7}[dtype]
    assert got.dtype == dtype
    assert error(got, bandpass_reference(exact, 1, 6)) <= TOLERANCE + step


def test_dim_and_bright_images_have_the_same_relative_error() -> None:
    for level in (DIMMEST, 1.0, LARGEST):
        batch = images(1, 64) * level
        assert error(folded(batch, 2, 20), bandpass_reference(batch.cpu().numpy(), 2, 20)) <= TOLERANCE * level


@pytest.mark.no_cover
def test_nan_and_what_float16_cannot_hold_become_nan_in_their_image_alone() -> None:
    for bad in (float("nan"), INF, 1e4):
        batch = images(3, 16)
        batch[1, 3, 4] = bad
        for low, high in ((0, 3), (3, 9), (500, INF)):
            got = folded(batch, low, high)
            assert not got[1].isfinite().any()
            assert got[[0, 2]].isfinite().all()


def test_nothing_outside_of_the_images_is_read_or_written(monkeypatch: pytest.MonkeyPatch) -> None:
    n, empty = 18, torch.empty
    around: list[torch.Tensor] = []

    def guarded(shape: tuple[int, ...], **named: object) -> torch.Tensor:
        count = math.prod(shape)
        buffer = torch.full((count + 4096,), 7.0, dtype=named.get("dtype", torch.float32), device=named["device"])  # type: ignore[call-overload]
        around.append(buffer)
        return buffer[2048 : 2048 + count].view(shape)

    source = torch.full((2 * n * n + 4096,), float("nan"), device=DEVICE)
    batch = source[2048 : 2048 + 2 * n * n].view(2, n, n).copy_(images(2, n))
    monkeypatch.setattr(torch, "empty", guarded)
    got = folded(batch, 2, 6)
    monkeypatch.setattr(torch, "empty", empty)
    assert error(got, bandpass_reference(batch.cpu().numpy(), 2, 6)) <= TOLERANCE
    assert len(around) == 2
    for buffer in around:
        assert (buffer[:2048] == 7).all()
        assert (buffer[-2048:] == 7).all()


@pytest.mark.parametrize("n", [2, 4, 14, 224, 254])
def test_the_bases_are_scipys_and_their_own_inverses(n: int) -> None:
    half, both = n // 2, bases(n)
    cosine = scipy.fft.dct(np.eye(half + 1), type=1, norm="ortho", orthogonalize=True, axis=0)
    assert np.abs(both[0, : half + 1, : half + 1] - cosine).max() < 1e-13
    if half > 1:
        sine = scipy.fft.dst(np.eye(half - 1), type=1, norm="ortho", axis=0)
        assert np.abs(both[1, 1:half, 1:half] - sine).max() < 1e-13
    for basis, size in zip(both, (half + 1, half - 1), strict=True):
        assert np.trace(basis @ basis) == pytest.approx(size, abs=1e-9)
        assert np.array_equal(basis, basis.T)
        assert np.count_nonzero(basis[half + 1 :]) == 0


@pytest.mark.parametrize("n", [64, 224, 254])
def test_as_many_coefficients_take_part_as_the_filter_has(n: int) -> None:
    for low, high, complement in ((0, 1, False), (0, 32, False), (0, 32.01, False), (5, 64, False), (0, 10, True)):
        block = block_of(n, high, complement, SHAPES["ideal"])
        kept = np.argwhere(gain(n, n, low, high, complement)[: n // 2 + 1, : n // 2 + 1] > 0).max() + 1
        assert kept <= block <= SIDE
        assert block == BLOCKS[0] or kept > block // 2
    assert block_of(n, 5, False, SHAPES["gaussian"]) >= n // 2 + 1


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match=r"even side from 2 to 254, not 15; bandpass takes any"):
        folded(torch.zeros(1, 15, 15), 0, 3)
    with pytest.raises(UsageError, match="even side from 2 to 254, not 256"):
        folded(torch.zeros(1, 256, 256), 0, 3)
    with pytest.raises(UsageError, match=r"\[N, n, n\] uint16, float16 or float32, not"):
        folded(torch.zeros(1, 16, 18), 0, 3)
    with pytest.raises(UsageError, match="gives float32, float16 or bfloat16, not"):
        folded(torch.zeros(1, 16, 16), 0, 3, dtype=torch.float64)
    with pytest.raises(UsageError, match="low <= r < high"):
        folded(torch.zeros(1, 16, 16), 3, 3)
    assert folded(torch.zeros(0, 16, 16), 0, 3).shape == (0, 16, 16)


def test_it_is_shipped_disabled() -> None:
    """Until a committed run on an H100 shows that it wins; then this test names that run."""
    assert FOLDED is False
