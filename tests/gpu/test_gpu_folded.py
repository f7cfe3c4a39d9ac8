"""The folded band-pass on a GPU: float64 parity with real tensor cores, streams, graphs. It is not chosen by anything yet."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from fastrace.kernels.bandpass import bandpass_reference
from fastrace.kernels.bandpass.folded import PIXELS, RESULTS, TOLERANCE, folded
from fastrace.kernels.bandpass.gain import SHAPES

pytestmark = pytest.mark.gpu

INF = math.inf


def images(count: int, n: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((count, n, n), dtype=np.float32))


@pytest.mark.parametrize("n", [2, 14, 64, 128, 222, 224, 254])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_agrees_with_float64(n: int, shape: str) -> None:
    batch = images(5, n)
    for low, high in ((0, 1), (0, 31.5), (10, 50), (50, INF), (0, INF)):
        for complement in (False, True):
            got = folded(batch.cuda(), low, high, complement=complement, shape=shape).double().cpu().numpy()
            expected = bandpass_reference(batch.numpy(), low, high, complement=complement, shape=shape)
            assert np.abs(got - expected).max() <= TOLERANCE, (low, high, complement)


@pytest.mark.parametrize("pixel", PIXELS)
@pytest.mark.parametrize("dtype", RESULTS)
def test_every_type_agrees_with_float64(pixel: torch.dtype, dtype: torch.dtype) -> None:
    batch = (images(3, 96) * 65535).to(torch.int32).to(pixel) if pixel == torch.uint16 else images(3, 96).to(pixel)
    exact = batch.double().numpy() / (65535 if pixel == torch.uint16 else 1)
    step = {torch.float32: 0.0, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}[dtype]
    got = folded(batch.cuda(), 1, 20, dtype=dtype).double().cpu().numpy()
    assert np.abs(got - bandpass_reference(exact, 1, 20)).max() <= TOLERANCE + step


def test_nan_stays_in_its_image() -> None:
    batch = images(3, 32).cuda()
    batch[1, 3, 3] = float("nan")
    got = folded(batch, 2, 9)
    assert got[1].isnan().all()
    assert got[[0, 2]].isfinite().all()


def test_two_streams_do_not_disturb_each_other(on_two_streams: Callable[..., None]) -> None:
    batch = images(64, 112).cuda()
    on_two_streams(lambda x: folded(x, 5, 20), batch, 1 - batch)


def test_a_cuda_graph_replays_it(in_a_graph: Callable[..., None]) -> None:
    batch = images(8, 64).cuda()
    in_a_graph(lambda x: folded(x, 5, 20, dtype=torch.float16), batch, 1 - batch)
