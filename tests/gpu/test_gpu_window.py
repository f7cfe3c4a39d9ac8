"""Window on a GPU beyond its numbers (tests/kernels/test_window.py has those for every variant): ragged batches in one
launch, memory that is misaligned or not side by side, two streams, a CUDA graph, torch.compile.

Sizes are small, so that compute-sanitizer runs through them too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fastrace.kernels.window import CUDA_TOLERANCE, Box, Transfer, window, window_reference
from fastrace.kernels.window.plan import WIDE, Plan, make_plan

pytestmark = pytest.mark.gpu
pytest.importorskip("triton")

TABLE = np.linspace(1, 0, 1 << 12, dtype=np.float32) ** 2
TRANSFERS = [Transfer(12, scale=1 / 4095), Transfer(12, table=TABLE), Transfer(14, 2, True, 1 / 9000, 0.4)]
SIZES = [(1, 1), (1, 37), (41, 1), (97, 101), (128, 96), (223, 225)]
CROPS = [None, Box(0, 5, 1, 31), Box(7, 0, 29, 1), Box(3, 9, 80, 64), Box(0, 8, 128, 80), None]
FLIPS = [True, False] * 3
DTYPES = (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32)
BOUND = {"area": CUDA_TOLERANCE, "lanczos": 2 * CUDA_TOLERANCE}


def word_batch(sizes: list[tuple[int, int]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 1 << 16, size).astype(np.uint16) for size in sizes]


def on_gpu(words: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(image).cuda() for image in words]


def largest_error(got: torch.Tensor, exact: np.ndarray) -> float:
    """In display units, less the rounding of the output type."""
    steps = {torch.uint8: 255, torch.uint16: 65535}.get(got.dtype, 1)
    half = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}.get(got.dtype)
    values = got.cpu()
    values = values.float() if got.dtype == torch.bfloat16 else values
    error = np.abs(values.numpy().astype(np.float64) / steps - exact)
    return float((error - (0.5 / steps if half is None else half * exact + 2.0**-25)).max())


def arguments(plan: Plan) -> tuple[Any, ...]:
    return plan.words, plan.geometry, plan.affine, plan.tables, plan.height, plan.width, plan.dtype, plan.hints


@pytest.mark.parametrize("resize", ["area", "lanczos"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("to", [(1, 1), (7, 5), (64, 64), (224, 224), (300, 113)])
def test_a_ragged_batch_agrees_with_the_float64_reference(to: tuple[int, int], dtype: torch.dtype, resize: Any) -> None:
    words, transfers = word_batch(SIZES), (TRANSFERS * 2)[: len(SIZES)]
    boxes = [None, None, Box(0, 0, 1, 1), None, Box(to[0] // 2, to[1] // 3, to[0] - to[0] // 2, to[1] // 3 + 1), None]
    rest: dict[str, Any] = {"crops": CROPS, "boxes": boxes, "flips": FLIPS, "resize": resize}
    exact = window_reference(words, transfers, to, **rest, dtype=None)
    got = window(on_gpu(words), transfers, to, **rest, dtype=dtype)
    assert largest_error(got, exact) <= BOUND[resize]
    for n, box in enumerate(boxes):
        if box is not None:
            outside = torch.ones(to, dtype=torch.bool)
            outside[box.top : box.top + box.height, box.left : box.left + box.width] = False
            assert not np.count_nonzero(got[n].cpu().float().numpy()[outside.numpy()])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_not_resized_agrees_with_the_float64_reference(dtype: torch.dtype) -> None:
    sizes = [(65, 131), (65, 136), (70, 150)]
    crops = [Box(0, 0, 65, 120), Box(0, 16, 65, 120), Box(5, 7, 65, 120)]
    words = word_batch(sizes)
    for some in ([0], [1], [0, 1, 2]):
        pick: dict[str, Any] = {"crops": [crops[n] for n in some], "flips": [FLIPS[n] for n in some]}
        images, transfers = [words[n] for n in some], [TRANSFERS[n] for n in some]
        exact = window_reference(images, transfers, **pick, dtype=None)
        assert largest_error(window(on_gpu(images), transfers, **pick, dtype=dtype), exact) <= CUDA_TOLERANCE


def test_sums_over_many_rows_stay_within_their_wider_bound() -> None:
    words = word_batch([(2001, 700)])
    exact = window_reference(words, TRANSFERS[:1], (3, 5), dtype=None)
    assert largest_error(window(on_gpu(words), TRANSFERS[:1], (3, 5), dtype=torch.float32), exact) <= 4e-6


@pytest.mark.parametrize("to", [None, (33, 29)])
@pytest.mark.parametrize("first", [1, 3, 8])
def test_words_that_begin_off_the_sixteen_byte_grid_are_read_right(first: int, to: tuple[int, int] | None) -> None:
    (words,) = word_batch([(40, 64)])
    storage = torch.zeros(first + 40 * 64 + 16, dtype=torch.uint16).cuda()
    view = storage[first : first + 40 * 64].view(40, 64)
    view.copy_(torch.from_numpy(words))
    exact = window_reference([words], TRANSFERS[:1], to, dtype=None)
    plan = make_plan([view], TRANSFERS[:1], to, None, None, None, torch.float32)
    assert plan.words[0].data_ptr() == view.data_ptr()  # read where it lies
    assert plan.hints & WIDE
    for resize in ("area", "lanczos"):
        got = window([view], TRANSFERS[:1], to, dtype=torch.float32, resize=resize)
        expected = (
            exact if resize == "area" else window_reference([words], TRANSFERS[:1], to, dtype=None, resize=resize)
        )
        assert largest_error(got, expected) <= BOUND[resize]


def test_parts_of_rows_and_transposed_images_are_read_right() -> None:
    (words,) = word_batch([(97, 131)])
    whole = torch.from_numpy(words).cuda()
    part = window_reference([words[3:83, 5:106]], TRANSFERS[:1], flips=[True], dtype=None)
    rest: dict[str, Any] = {"flips": [True], "dtype": torch.float32}
    assert largest_error(window([whole], TRANSFERS[:1], crops=[Box(3, 5, 80, 101)], **rest), part) <= CUDA_TOLERANCE
    assert largest_error(window([whole[3:83, 5:106]], TRANSFERS[:1], **rest), part) <= CUDA_TOLERANCE
    turned = window_reference([words.T[5:106, 3:83]], TRANSFERS[:1], dtype=None)
    assert largest_error(window([whole.t()[5:106, 3:83]], TRANSFERS[:1], dtype=torch.uint16), turned) <= CUDA_TOLERANCE
    every_other = window_reference([words[::2, ::3]], TRANSFERS[1:2], (20, 20), dtype=None)
    got = window([whole[::2, ::3]], TRANSFERS[1:2], (20, 20), dtype=torch.float32)
    assert largest_error(got, every_other) <= CUDA_TOLERANCE


KINDS = [(None, "area"), ((64, 50), "area"), ((64, 50), "lanczos")]


def operation(
    to: tuple[int, int] | None, resize: str
) -> tuple[Callable[[torch.Tensor], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """The operation with everything but the words fixed, and two inputs for it."""
    first, second = (torch.from_numpy(np.stack(word_batch([(128, 96)] * 8, seed))).cuda() for seed in (0, 1))
    plan = make_plan(list(first), (TRANSFERS * 3)[:8], to, None, None, FLIPS[:2] * 4, torch.uint16, resize=resize)

    def run(words: torch.Tensor) -> torch.Tensor:
        _, *rest = arguments(plan)
        return torch.ops.fastrace.window([words.view(-1)], *rest).to(torch.int32)

    return run, (first, second)


@pytest.mark.parametrize(("to", "resize"), KINDS)
def test_two_streams_do_not_disturb_each_other(
    to: tuple[int, int] | None, resize: str, on_two_streams: Callable[..., None]
) -> None:
    run, inputs = operation(to, resize)
    on_two_streams(run, *inputs)


@pytest.mark.parametrize(("to", "resize"), KINDS)
def test_a_cuda_graph_replays_it(to: tuple[int, int] | None, resize: str, in_a_graph: Callable[..., None]) -> None:
    run, inputs = operation(to, resize)
    in_a_graph(run, *inputs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("to", "resize"), [((128, 96), "area"), ((64, 50), "area"), ((64, 50), "lanczos")])
def test_the_operation_passes_opcheck(to: tuple[int, int], resize: str, dtype: torch.dtype) -> None:
    words = on_gpu(word_batch([(128, 96)] * 2))
    plan = make_plan(words, TRANSFERS[:2], to, None, None, None, dtype, resize=resize)
    torch.library.opcheck(torch.ops.fastrace.window.default, arguments(plan))


@pytest.mark.parametrize(("to", "resize"), KINDS)
def test_torch_compile_traces_through_without_a_break(to: tuple[int, int] | None, resize: str) -> None:
    run, (words, _) = operation(to, resize)
    compiled = torch.compile(lambda batch: run(batch).float() * 2 - 1, fullgraph=True)
    assert torch.allclose(compiled(words), run(words).float() * 2 - 1)
