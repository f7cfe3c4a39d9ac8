"""How a kernel is tried on a GPU beyond its numbers: two streams at once, inside a CUDA graph, on each path."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Kernel = Callable[[Tensor], Tensor]


@pytest.fixture
def on_two_streams() -> Callable[[Kernel, Tensor, Tensor], None]:
    """Run a kernel on two streams at once, many times; each result must be the one of a single stream."""

    def check(kernel: Kernel, first: Tensor, second: Tensor) -> None:
        expected = kernel(first), kernel(second)
        torch.cuda.synchronize()
        streams = torch.cuda.Stream(), torch.cuda.Stream()
        results: list[tuple[Tensor, Tensor]] = []
        for _ in range(50):
            got = []
            for stream, images in zip(streams, (first, second), strict=True):
                with torch.cuda.stream(stream):
                    got.append(kernel(images))
            results.append((got[0], got[1]))
        torch.cuda.synchronize()
        for pair in results:
            assert torch.equal(pair[0], expected[0])
            assert torch.equal(pair[1], expected[1])

    return check


@pytest.fixture
def in_a_graph() -> Callable[[Kernel, Tensor, Tensor], None]:
    """Capture a kernel in a CUDA graph and replay it on another input."""

    def check(kernel: Kernel, first: Tensor, second: Tensor) -> None:
        expected, stream = kernel(second), torch.cuda.Stream()
        buffer = first.clone()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            kernel(buffer)  # plans and modules are made before the capture, on its stream
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            result = kernel(buffer)
        for _ in range(3):
            buffer.copy_(second)
            result.zero_()
            graph.replay()
            torch.cuda.synchronize()
            assert torch.equal(result, expected)

    return check


@pytest.fixture(params=["plain", "callbacks"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each path of the band-pass in turn; callbacks only where a trial has chosen them, else with the reason."""
    choice = pytest.importorskip("fastrace.kernels.bandpass.choice")
    chosen = choice.choose(0)
    if request.param == choice.CALLBACKS and chosen.path != choice.CALLBACKS:
        pytest.skip(chosen.reason)
    monkeypatch.setitem(choice._choices, 0, choice.Choice(request.param, "as tested here"))
    name: str = request.param
    return name
