"""The one degradation call as it runs on a GPU, where a filter takes in its neighbours: the same degradation, step by step.

Only the device of the images is stated here: a GPU. What follows is the operation that they would go to: first the
composition that defines it, which must give the same bits, then its CUDA text and launcher, on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host import install
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fastrace.degrade import operations
from fastrace.degrade.operations import NetworkInput, apply
from fastrace.degrade.parser import parse
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import TOLERANCE, callbacks, choice

TEXTS = [
    "none",
    "lowpass:5",
    "notch:3:9+clip:0.6",
    "lowpass:9+highpass:2+clip:0.3+noise:gaussian:0.05",
    "band:0.1:0.4lp/mm+noise:gaussian:0.1+clip:0.5+clip:0.9",
    "highpass:2+noise:speckle:0.2+noise:salt_pepper:0.3",
    "lowpass:5+noise:salt_pepper:0.4+patch:remove:4",
    "clip:0.8+lowpass:5+patch:keep:4",
    "blur:1+lowpass:4+resolution:12",
]
PIXELS = [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32]
NETWORKS = [None, NetworkInput(0.2, 0.3, torch.float32), NetworkInput(0.2, 0.3, torch.bfloat16)]


def batch(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    values = torch.from_numpy(np.random.default_rng(0).random((5, 24, 31)))
    pixels = (values * torch.iinfo(dtype).max).to(torch.int32) if not dtype.is_floating_point else values
    return pixels.to(dtype), torch.arange(5) * -7_000_000_001 + 5, torch.linspace(0.5, 1, 5)


def call(
    text: str, inputs: tuple[Tensor, Tensor, Tensor], network: NetworkInput | None = None, epoch: int = 2
) -> Tensor:
    return apply(parse(text), *inputs, seed=2**63 + 11, epoch=epoch, network=network)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(operations, "_fuses", lambda images: True)
    return monkeypatch


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("pixel", PIXELS)
@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_the_same_degradation_bit_for_bit(
    text: str, pixel: torch.dtype, network: NetworkInput | None, as_on_a_gpu: pytest.MonkeyPatch
) -> None:
    inputs = batch(pixel)
    fused = call(text, inputs, network)
    as_on_a_gpu.undo()
    expected = call(text, inputs, network)
    assert (fused.dtype, fused.shape) == (expected.dtype, expected.shape)
    assert torch.equal(fused, expected)


@pytest.mark.parametrize("text", TEXTS)
def test_compiled_it_is_one_graph_at_any_batch_size_epoch_and_network(
    text: str, as_on_a_gpu: pytest.MonkeyPatch
) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    for count, epoch, mean in ((5, 1, 0.2), (3, 2, 0.25), (0, 3, 0.3)):
        pixels, ids, mm = (tensor[:count] for tensor in batch(torch.uint16))
        network = NetworkInput(mean, 0.3, torch.bfloat16)
        expected = call(text, (pixels, ids, mm), network, epoch)
        assert torch.equal(compiled(text, (pixels, ids, mm), network, epoch), expected)


def test_errors_are_those_of_the_call_elsewhere(as_on_a_gpu: pytest.MonkeyPatch) -> None:
    pixels, ids, mm = batch(torch.uint16)
    with pytest.raises(UsageError, match="uint8, uint16 or floats, not"):
        call("lowpass:5", (pixels.to(torch.int32), ids, mm))
    with pytest.raises(UsageError, match="mm per pixel"):
        apply(parse("lowpass:1lp/mm"), pixels, ids, None, seed=0)


# ---- its CUDA text and launcher, on the host --------------------------------------------------------------------------


class OnTheHost(TorchDispatchMode):
    """Calls what is registered for CUDA."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation is torch.ops.fastrace.bandpass_fused.default:
            return callbacks._fused_on_cuda(*args)
        return operation(*args, **(kwargs or {}))


@pytest.fixture(params=[choice.CALLBACKS, choice.PLAIN])
def on_the_host(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> OnTheHost:
    install(monkeypatch, tmp_path_factory.getbasetemp())
    monkeypatch.setitem(choice._choices, None, choice.Choice(request.param, "as tested here"))
    monkeypatch.setattr(operations, "_fuses", lambda images: True)
    return OnTheHost()


@pytest.mark.parametrize("text", [text for text in TEXTS if "lowpass" in text or "band" in text])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_cuda_text_computes_it(text: str, network: NetworkInput | None, on_the_host: OnTheHost) -> None:
    inputs = batch(torch.uint16)
    expected = call(text, inputs, network)
    with on_the_host:
        got = call(text, inputs, network)
    std = 1.0 if network is None else network.std
    step = 2.0**-7 * expected.abs().max() if expected.dtype == torch.bfloat16 else 2.0**-22
    assert got.dtype == expected.dtype
    assert (got.float() - expected.float()).abs().max() <= 4 * TOLERANCE[torch.float32] / std + step


def test_the_store_replaces_the_pixels_that_the_noise_kernel_replaces(
    on_the_host: OnTheHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Salt and pepper shows the words themselves: which pixels, and 0 or 1, by image, seed and epoch."""
    inputs, text = batch(torch.uint16), "lowpass:0.5+noise:salt_pepper:0.5"
    with on_the_host:
        got = [call(text, inputs, epoch=epoch) for epoch in (0, 7)]
    monkeypatch.setattr(operations, "_fuses", lambda images: False)
    for epoch, result in zip((0, 7), got, strict=True):
        expected = call(text, inputs, epoch=epoch)
        replaced = (expected == 0) | (expected == 1)  # a mean is neither
        assert 0.4 < replaced.double().mean() < 0.6
        assert torch.equal((result == 0) | (result == 1), replaced)
        assert torch.equal(result[replaced], expected[replaced])
    assert not torch.equal(got[0], got[1])
