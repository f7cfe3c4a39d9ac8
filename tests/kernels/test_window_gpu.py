"""`window` on a GPU as programs use it: on a stream of their own, in a captured graph, under torch.compile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastrace.kernels.window import CUDA_TOLERANCE, Transfer, window, window_reference
from fastrace.kernels.window.plan import Plan, make_plan

pytestmark = pytest.mark.gpu
SIZE = (64, 48)


def batch(seed: int) -> tuple[list[np.ndarray], list[Transfer]]:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 4096, shape, np.uint16) for shape in ((300, 200), (417, 333))]
    return images, [Transfer(12, scale=1 / 3000, offset=-0.1), Transfer(12, table=rng.random(4096, np.float32))]


def arguments(plan: Plan) -> tuple[object, ...]:
    return (plan.words, plan.geometry, plan.affine, plan.tables, plan.height, plan.width, plan.dtype, plan.hints)


def planned(seed: int, dtype: torch.dtype) -> tuple[Plan, np.ndarray]:
    images, transfers = batch(seed)
    on_gpu = [torch.from_numpy(image).cuda() for image in images]
    plan = make_plan(on_gpu, transfers, SIZE, None, None, None, dtype)
    return plan, window_reference(images, transfers, SIZE, dtype=None)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32], ids=str)
def test_the_operation_is_registered_as_torch_wants_it(dtype: torch.dtype) -> None:
    torch.library.opcheck(torch.ops.fastrace.window.default, arguments(planned(0, dtype)[0]))


def test_two_streams_do_not_disturb_each_other() -> None:
    streams = [torch.cuda.Stream() for _ in range(2)]
    results = []
    for seed, stream in enumerate(streams):
        with torch.cuda.stream(stream):
            images, transfers = batch(seed)
            on_gpu = [torch.from_numpy(image).cuda() for image in images]
            results.append(window(on_gpu, transfers, SIZE, dtype=torch.float32))
    torch.cuda.synchronize()
    for seed, result in enumerate(results):
        exact = window_reference(*batch(seed), SIZE, dtype=None)
        np.testing.assert_allclose(result.cpu().numpy(), exact, rtol=0, atol=CUDA_TOLERANCE)


def test_a_captured_graph_repeats_the_window_on_new_words() -> None:
    plan, exact = planned(0, torch.float32)
    torch.ops.fastrace.window(*arguments(plan))  # compiled before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = torch.ops.fastrace.window(*arguments(plan))
    other, _ = planned(1, torch.float32)
    plan.words[0].copy_(other.words[0])
    plan.tables.copy_(other.tables)
    graph.replay()
    torch.cuda.synchronize()
    changed = window_reference(*batch(1), SIZE, dtype=None)
    np.testing.assert_allclose(out.cpu().numpy(), changed, rtol=0, atol=CUDA_TOLERANCE)
    assert np.abs(changed - exact).max() > 0.1


def test_compile_traces_through_and_agrees() -> None:
    plan, exact = planned(0, torch.float32)

    def step(words: torch.Tensor) -> torch.Tensor:
        _, *rest = arguments(plan)
        return torch.ops.fastrace.window([words], *rest) * 2

    result = torch.compile(step, fullgraph=True)(plan.words[0])
    np.testing.assert_allclose(result.cpu().numpy(), exact * 2, rtol=0, atol=2 * CUDA_TOLERANCE)
