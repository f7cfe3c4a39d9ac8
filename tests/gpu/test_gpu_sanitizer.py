"""Every kernel once, on odd and small sizes: what compute-sanitizer runs, since it is a hundred times slower than the GPU.

`python -m fastrace.bench.gpu` runs this file under memcheck and racecheck, without torch's cache of memory, in which a kernel
could read beyond a tensor unseen. Run plainly, it is a quick test of the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

pytest.importorskip("triton")
pytest.importorskip("cupy")

from fastrace.kernels.bandpass import Filter, bandpass, bandpass_reference, bandpass_sweep, jit
from fastrace.kernels.bandpass.callbacks import FULL_SCALE, NoiseSpec, apply_fused
from fastrace.kernels.noise import KINDS, noise, noise_reference
from fastrace.kernels.patches import CUDA_TOLERANCE, patches, patches_reference, scale
from fastrace.kernels.window import Transfer, window, window_reference

pytestmark = pytest.mark.gpu

INF = math.inf
AMOUNTS = {"gaussian": 0.1, "poisson": 0.25, "speckle": 0.2, "salt_pepper": 0.3}


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("to", [None, (5, 7), (32, 24), (41, 50)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
def test_window(to: tuple[int, int] | None, dtype: torch.dtype) -> None:
    sizes = [(33, 37)] * 2 if to is None else [(33, 37), (1, 1), (40, 9)]
    words = [(random(*size) * 4095).astype(np.uint16) for size in sizes]
    transfers = [Transfer(12, scale=1 / 4095), Transfer(12, table=np.linspace(1, 0, 4096, dtype=np.float32) ** 2)]
    transfers = (transfers * 2)[: len(words)]
    got = window([torch.from_numpy(w).cuda() for w in words], transfers, to, dtype=dtype)
    scale = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    expected = window_reference(words, transfers, to, dtype=None) * scale
    assert np.abs(got.cpu().double().numpy() - expected).max() <= (0.51 if scale > 1 else 1e-3)


@pytest.mark.parametrize("size", [(2, 7, 9), (3, 16, 20), (1, 1, 5)])
def test_bandpass(size: tuple[int, int, int], path: str) -> None:
    images = random(*size)
    lows, highs = torch.arange(size[0]) * 0.5, torch.arange(size[0]) * 0.5 + 4
    for dtype in (torch.float32, torch.float64):
        batch = torch.from_numpy(images).to("cuda", dtype)
        got = bandpass(batch, Filter(1, 5)).double().cpu().numpy()
        assert np.abs(got - bandpass_reference(images, Filter(1, 5))).max() < 4e-6
        got = bandpass(batch, Filter(lows, highs)).double().cpu().numpy()
        assert np.abs(got - bandpass_reference(images, Filter(lows.numpy(), highs.numpy()))).max() < 4e-6
        filters = [Filter(0, 2), Filter(1, 5), Filter(3, INF)]
        got = bandpass_sweep(batch, filters).double().cpu().numpy()
        expected = np.stack([bandpass_reference(images, filter) for filter in filters], 1)
        assert np.abs(got - expected).max() < 4e-6


@pytest.mark.parametrize("pixel", jit.PIXELS)
@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_fused(pixel: torch.dtype, dtype: torch.dtype, path: str) -> None:
    values = torch.from_numpy(random(3, 7, 9) * FULL_SCALE[pixel])
    images = values.to(torch.int32).to(pixel) if FULL_SCALE[pixel] > 1 else values.to(pixel)
    ids = torch.arange(3)
    for kind, amount in AMOUNTS.items():
        drawn = NoiseSpec(kind, amount, 5, 6)
        last = {"clamp": (0, 1), "normalise": (0.5, 2.0)}
        got = apply_fused(images.cuda(), Filter(0, INF), noise=drawn, ids=ids.cuda(), dtype=dtype, **last)
        expected = apply_fused(images, Filter(0, INF), noise=drawn, ids=ids, **last)
        assert (got.cpu().float() - expected).abs().max() <= (
            0.01 if dtype == torch.bfloat16 or kind == "poisson" else 1e-3
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(2, 7, 9), (1, 33, 32), (3, 1, 1)])
def test_noise(kind: str, size: tuple[int, int, int]) -> None:
    images, ids = random(*size), np.arange(size[0])
    got = noise(torch.from_numpy(images).cuda(), torch.from_numpy(ids).cuda(), kind, AMOUNTS[kind], seed=1)
    expected = noise_reference(images, ids, kind, AMOUNTS[kind], seed=1)
    assert np.abs(got.cpu().numpy() - expected).max() <= (0.0041 if kind == "poisson" else 1e-5)


@pytest.mark.parametrize("size", [(2, 7, 9, 3, 4), (1, 13, 6, 140, 6), (1, 12, 38, 17, 1)])
@pytest.mark.parametrize("grids", [(1, 3), (4,)])
def test_patches(size: tuple[int, int, int, int, int], grids: tuple[int, ...]) -> None:
    count, height, width, many, side = size
    images, filters = random(count, height, width), random(many, side, side) / side
    got = patches(torch.from_numpy(images).cuda(), torch.from_numpy(filters).cuda(), 0.1, 1e-4, grids)
    expected = patches_reference(images, filters, 0.1, 1e-4, grids)
    assert np.abs(got.cpu().double().numpy() - expected).max() <= CUDA_TOLERANCE * scale(torch.from_numpy(filters), 0.1)
