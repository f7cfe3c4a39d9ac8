"""The one degradation call on a GPU, on both paths of its filter: the CPU's result, eager, compiled, in streams and graphs.

What Inductor schedules for it is in tests/test_degrade_compiled.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fastrace.degrade.operations import NetworkInput, apply
from fastrace.degrade.parser import parse
from fastrace.kernels.bandpass import TOLERANCE
from fastrace.kernels.noise import NORMAL_ERROR

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("path")]
pytest.importorskip("cupy")
pytest.importorskip("triton")

# Two noises in a row: the first in the store of the filter in an eager call, the second the noise kernel's.
TEXTS = [
    "lowpass:9",
    "notch:3:9+clip:0.6",
    "clip:0.8+lowpass:9+patch:keep:4",
    "band:0.1:0.4lp/mm+noise:gaussian:0.1+clip:0.5+clip:0.9",
    "lowpass:9+highpass:2+noise:speckle:0.2+noise:gaussian:0.1",
    "lowpass:9+noise:salt_pepper:0.3+resolution:20",
]
STEP = {torch.float32: 2.0**-22, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}  # where one rounds up, one down
NETWORKS = [None, *(NetworkInput(0.2, 0.3, dtype) for dtype in STEP)]


def batch(count: int, dtype: torch.dtype = torch.uint16) -> tuple[Tensor, Tensor, Tensor]:
    values = torch.from_numpy(np.random.default_rng(0).random((count, 41, 50)))
    pixels = values if dtype.is_floating_point else (values * torch.iinfo(dtype).max).to(torch.int32)
    return pixels.to(dtype), torch.arange(count) * -7_000_000_001 + 5, torch.linspace(0.5, 1, count)


def call(text: str, pixels: Tensor, ids: Tensor, mm: Tensor, network: NetworkInput | None, epoch: int = 2) -> Tensor:
    return apply(parse(text), pixels, ids, mm, seed=2**63 + 11, epoch=epoch, network=network)


def allowed(expected: Tensor, network: NetworkInput | None) -> float:
    # A filter of at most three, in display units, and the noise; then the rounding of the type, of the largest value.
    std, dtype = (1.0, torch.float32) if network is None else (network.std, network.dtype)
    return (8 * TOLERANCE[torch.float32] + NORMAL_ERROR) / std + STEP[dtype] * float(expected.abs().max())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_it_is_the_cpus(text: str, network: NetworkInput | None, compiled: bool) -> None:
    torch._dynamo.reset()
    way = torch.compile(call, fullgraph=True) if compiled else call
    for dtype in (torch.uint8, torch.uint16, torch.float16, torch.float32):
        pixels, ids, mm = batch(5, dtype)
        expected = call(text, pixels, ids, mm, network).float()
        got = way(text, pixels.cuda(), ids.cuda(), mm, network)
        assert got.dtype == (torch.float32 if network is None else network.dtype)
        assert got.shape == expected.shape
        assert got.is_contiguous()
        assert (got.cpu().float() - expected).abs().max() <= allowed(expected, network)


def test_poisson_counts_are_the_cpus_but_for_those_on_a_step() -> None:
    pixels, ids, mm = batch(5)
    expected = call("lowpass:9+noise:poisson:0.5", pixels, ids, mm, None)
    difference = (call("lowpass:9+noise:poisson:0.5", pixels.cuda(), ids.cuda(), mm, None).cpu() - expected).abs()
    assert difference.max() <= 1.01 / 500
    assert (difference > 1e-5).double().mean() < 2e-3


def test_another_epoch_is_other_noise_and_the_same_epoch_the_same() -> None:
    pixels, ids, mm = batch(3)
    for text in ("lowpass:9+noise:gaussian:0.1", "lowpass:9+noise:salt_pepper:0.5"):
        first, again, other = (call(text, pixels.cuda(), ids.cuda(), mm, None, epoch) for epoch in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_gradients_go_through_it() -> None:
    pixels, ids, mm = batch(3, torch.float32)
    images, upstream = pixels.cuda().requires_grad_(), torch.rand(3, 41, 50, device="cuda")
    (gradient,) = torch.autograd.grad(call("lowpass:9", images, ids.cuda(), mm, None), images, upstream)
    expected = call("lowpass:9", upstream.cpu(), ids, mm, None)
    assert (gradient.cpu() - expected).abs().max() <= 2 * TOLERANCE[torch.float32]


def test_two_streams_do_not_disturb_each_other(on_two_streams: Callable[..., None]) -> None:
    pixels, ids, mm = batch(64, torch.float32)
    keys, network = ids.cuda(), NetworkInput(0.2, 0.3, torch.bfloat16)
    text = "band:2:9+noise:gaussian:0.1+clip:0.6"
    on_two_streams(lambda images: call(text, images, keys, mm, network), pixels.cuda(), 1 - pixels.cuda())


@pytest.mark.parametrize("text", ["band:2:9+noise:gaussian:0.1+clip:0.6", "lowpass:0.4lp/mm+clip:0.6"])
def test_a_cuda_graph_replays_it(text: str, in_a_graph: Callable[..., None]) -> None:
    pixels, ids, mm = batch(8, torch.float32)
    keys, network = ids.cuda(), NetworkInput(0.2, 0.3, torch.bfloat16)
    in_a_graph(lambda images: call(text, images, keys, mm, network), pixels.cuda(), 1 - pixels.cuda())
