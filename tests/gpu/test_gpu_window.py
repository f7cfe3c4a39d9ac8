"""Window on a GPU beyond its numbers (tests/kernels/test_window.py has those): compiled, on two streams, in a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fastrace.kernels.window import TOLERANCE, Box, Transfer, window, window_reference
from fastrace.kernels.window.plan import make_plan

pytestmark = pytest.mark.gpu
pytest.importorskip("triton")

TABLE = np.linspace(1, 0, 1 << 12, dtype=np.float32) ** 2
TRANSFERS = [Transfer(12, scale=1 / 4095), Transfer(12, table=TABLE), Transfer(14, 2, True, 1 / 9000, 0.4)]
SIZES = [(1, 1), (1, 37), (41, 1), (97, 101), (128, 96), (223, 225)]


def word_batch(sizes: list[tuple[int, int]], dtype: type = np.uint16) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 1 << 16, size).astype(dtype) for size in sizes]


@pytest.mark.parametrize("to", [(1, 1), (7, 5), (64, 64), (224, 224), (300, 113)])
def test_a_ragged_batch_agrees_with_the_float64_reference(to: tuple[int, int]) -> None:
    words, transfers = word_batch(SIZES), (TRANSFERS * 2)[: len(SIZES)]
    expected = window_reference(words, transfers, to)
    got = window([torch.from_numpy(w).cuda() for w in words], transfers, to, dtype=torch.float32)
    assert np.abs(got.cpu().numpy() - expected).max() < TOLERANCE


def test_one_image_none_resized_and_parts_of_rows() -> None:
    (words,) = word_batch([(97, 131)])
    on_device = torch.from_numpy(words).cuda()
    crop, flipped = Box(3, 5, 80, 101), {"flips": [True], "dtype": torch.float32}
    got = window([on_device], TRANSFERS[:1], crops=[crop], **flipped).cpu().numpy()
    part = words[3:83, 5:106]
    assert np.abs(got - window_reference([part], TRANSFERS[:1], (80, 101), flips=[True])).max() < TOLERANCE
    view = on_device[3:83, 5:106]
    assert torch.equal(window([view], TRANSFERS[:1], **flipped).cpu(), torch.from_numpy(got))
    columns = on_device.t()[5:106, 3:83]
    straight = window([columns.contiguous()], TRANSFERS[:1], dtype=torch.uint16)
    assert torch.equal(window([columns], TRANSFERS[:1], dtype=torch.uint16).cpu(), straight.cpu())


def operation(
    to: tuple[int, int] | None,
) -> tuple[Callable[[torch.Tensor], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """The operation with everything but the words fixed, and two inputs for it."""
    first, second = (torch.from_numpy(np.stack(word_batch([(128, 96)] * n)[-8:])).cuda() for n in (8, 16))
    plan = make_plan(list(first), [TRANSFERS[0]] * 8, to, None, None, None, torch.uint16)

    def run(words: torch.Tensor) -> torch.Tensor:
        flat = [words.view(-1)]
        return torch.ops.fastrace.window(
            flat, plan.geometry, plan.affine, plan.tables, plan.height, plan.width, plan.dtype, plan.hints
        ).to(torch.int32)

    return run, (first, second)


@pytest.mark.parametrize("to", [None, (64, 50)])
def test_two_streams_do_not_disturb_each_other(to: tuple[int, int] | None, on_two_streams: Callable[..., None]) -> None:
    run, inputs = operation(to)
    on_two_streams(run, *inputs)


@pytest.mark.parametrize("to", [None, (64, 50)])
def test_a_cuda_graph_replays_it(to: tuple[int, int] | None, in_a_graph: Callable[..., None]) -> None:
    run, inputs = operation(to)
    in_a_graph(run, *inputs)


@pytest.mark.parametrize("to", [(128, 96), (64, 50)])
def test_the_operation_passes_opcheck(to: tuple[int, int]) -> None:
    words = [torch.from_numpy(w).cuda() for w in word_batch([(128, 96)] * 2)]
    plan = make_plan(words, TRANSFERS[:2], to, None, None, None, torch.float32)
    torch.library.opcheck(
        torch.ops.fastrace.window,
        (plan.words, plan.geometry, plan.affine, plan.tables, plan.height, plan.width, plan.dtype, plan.hints),
    )


def test_torch_compile_traces_through_without_a_break() -> None:
    run, (words, _) = operation((64, 50))
    compiled = torch.compile(lambda batch: run(batch).float() * 2 - 1, fullgraph=True)
    assert torch.allclose(compiled(words), run(words).float() * 2 - 1)
