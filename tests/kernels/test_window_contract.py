"""What `window` guarantees besides the numbers: what it refuses, what it does not copy, what torch can do with it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fastrace.kernels.window import Box, Transfer, window, window_reference
from fastrace.kernels.window.plan import COLUMNS, SAME, WHOLE, WIDE, make_plan

PLAIN = Transfer(16, scale=1 / 65535)
IMAGE = np.arange(20, dtype=np.uint16).reshape(4, 5)
TABLE = np.linspace(0, 1, 4096, dtype=np.float32)


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transfer(0), "bits is 0"),
        (lambda: Transfer(17), "BitsStored must be 1 to 16"),
        (lambda: Transfer(12, shift=5), "must be 0 to 4"),
        (lambda: Transfer(12, scale=float("nan")), "both must be finite"),
        (lambda: Transfer(12, offset=float("inf")), "both must be finite"),
        (lambda: Transfer(12, scale=1e10), "give it as a table"),
        (lambda: Transfer(12, table=TABLE[:-1]), "4096 entries are expected"),
        (lambda: Transfer(12, table=TABLE.astype(np.float64)), "float32 array, not float64"),
        (lambda: Transfer(12, table=TABLE * 2), r"not in \[0, 1\]"),
        (lambda: Transfer(12, table=np.full(4096, np.nan, np.float32)), r"not in \[0, 1\]"),
        (lambda: Transfer(12, table=[0.0] * 4096), "float32 array, not list"),  # type: ignore[arg-type]
    ],
)
def test_a_transfer_that_means_nothing_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: window([IMAGE.astype(np.int16)], [PLAIN]), TypeError, "image 0 is int16"),
        (lambda: window([IMAGE.astype(">u2")], [PLAIN]), TypeError, "native byte order"),
        (lambda: window([torch.zeros(4, 5)], [PLAIN]), TypeError, "image 0 is torch.float32"),
        (lambda: window([[[1, 2]]], [PLAIN]), TypeError, "image 0 is a list"),
        (lambda: window([IMAGE[0]], [PLAIN], (2, 2)), ValueError, r"image 0 has shape \[5\]"),
        (lambda: window([IMAGE[:0]], [PLAIN], (2, 2)), ValueError, "both at least 1"),
        (lambda: window([IMAGE, IMAGE], [PLAIN]), ValueError, "1 transfers for 2 images"),
        (lambda: window([IMAGE], [PLAIN], flips=[]), ValueError, "0 flips for 1 images"),
        (lambda: window([IMAGE, IMAGE.T], [PLAIN] * 2), ValueError, "one size, but there are: 4 x 5, 5 x 4"),
        (lambda: window([], []), ValueError, "no image"),
        (lambda: window([IMAGE], [PLAIN], (0, 3)), ValueError, "size is 0 x 3"),
        (
            lambda: window([IMAGE], [PLAIN], (9, 9), crops=[Box(0, 1, 4, 5)]),
            ValueError,
            "image 0: crop .* its 4 x 5 pixels",
        ),
        (lambda: window([IMAGE], [PLAIN], (9, 9), crops=[Box(0, 1, 0, 2)]), ValueError, "image 0: crop"),
        (lambda: window([IMAGE], [PLAIN], (9, 9), boxes=[Box(-1, 0, 4, 5)]), ValueError, "the 9 x 9 canvas"),
        (lambda: window([IMAGE.astype(np.uint8)], [Transfer(9)]), ValueError, "do not fit its 8-bit words"),
        (lambda: window([IMAGE], [PLAIN], dtype=torch.int16), ValueError, "dtype is torch.int16"),
        (
            lambda: window([IMAGE], [PLAIN], resize="cubic"),
            ValueError,
            "resize is 'cubic'; choose one of area, lanczos",
        ),
    ],
)
def test_a_call_that_does_not_fit_is_refused_and_names_the_image(
    call: Callable[[], object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_the_operation_itself_looks_at_bounds() -> None:
    plan = make_plan([IMAGE], [Transfer(12, table=TABLE)], (2, 2), None, None, None, torch.uint8)
    window([IMAGE], [PLAIN])  # loads the library

    def call(column: str, value: int) -> object:
        geometry = plan.geometry.clone()
        geometry[0, COLUMNS.index(column)] = value
        return torch.ops.fastrace.window_cpu(plan.words, geometry, plan.affine, plan.tables, 2, 2, torch.uint8, 0)

    for column, value in (
        ("source", 1), ("source", -1), ("offset", -1), ("offset", 1), ("stride", 6), ("stride", -5), ("crop_height", 5),
        ("crop_width", 0), ("crop_width", 2**40), ("box_top", 1), ("box_width", 3), ("box_height", 0), ("bits", 17),
        ("bits", 0), ("shift", 5), ("shift", -1), ("table", 1),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="window: "):
            call(column, value)
    assert torch.equal(call("flip", 0), window([IMAGE], [Transfer(12, table=TABLE)], (2, 2), dtype=torch.uint8))


# ---- memory --------------------------------------------------------------------------------------------------------


def test_images_are_read_where_they_lie() -> None:
    big = np.zeros((50, 60), np.uint16)
    frozen = np.zeros((9, 9), np.uint8)
    frozen.flags.writeable = False
    tensor = torch.zeros(7, 8, dtype=torch.uint16)
    images = [big, big[3:20, 5:40], frozen, tensor[:, 2:], np.broadcast_to(big[:1], (5, 60))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = make_plan(images, [Transfer(8)] * 5, (4, 4), None, None, None, torch.uint8)
        assert window(images, [Transfer(8)] * 5, (4, 4)).shape == (5, 4, 4)
    for image, words in zip(images, plan.words, strict=True):
        address = image.data_ptr() if isinstance(image, torch.Tensor) else image.__array_interface__["data"][0]
        assert words.data_ptr() == address


def test_columns_that_do_not_lie_side_by_side_are_copied() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 65535, (31, 29), np.uint16)
    record = np.zeros((4, 5), [("a", "u1"), ("b", "<u2")])
    record["b"] = IMAGE
    for image in (
        base.T,
        base[:, ::-1],
        base[::-1],
        base[:, ::3],
        base[::2, 1:],
        record["b"],
        torch.from_numpy(base).T,
    ):
        expected = window_reference([np.asarray(image)], [PLAIN], (5, 6), dtype=None)
        got = window([image], [PLAIN], (5, 6), dtype=torch.float32)
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-7)


def test_one_row_and_one_column_have_no_stride_to_speak_of() -> None:
    base = np.arange(40, dtype=np.uint16).reshape(5, 8)
    for image in (base[:1, :], base[:, :1], base[2:3, 1:7], base.T[:, :1]):
        np.testing.assert_array_equal(window([image], [PLAIN]).numpy()[0], image)


def test_an_empty_batch_is_an_empty_tensor() -> None:
    out = window([], [], (3, 4), dtype=torch.float16)
    assert out.shape == (0, 3, 4)
    assert out.dtype == torch.float16


def test_inputs_are_never_written() -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(0, 65535, (64, 65), np.uint16)
    before = words.copy()
    window([words], [Transfer(9, 2, True, 1 / 100, 0.5)], (9, 9), flips=[True])
    np.testing.assert_array_equal(words, before)


# ---- layout for one launch -----------------------------------------------------------------------------------------


def test_a_batch_for_one_launch_lies_in_one_buffer_at_a_pitch_of_eight_words() -> None:
    rng = np.random.default_rng(2)
    images = [
        rng.integers(0, 255, (h, w), np.uint8).astype(kind) for h, w, kind in ((3, 5, np.uint8), (2, 17, np.uint16))
    ]
    plan = make_plan(images, [Transfer(8)] * 2, (4, 4), None, None, None, torch.uint8, one_buffer=True)
    (words,) = plan.words
    assert words.dtype == torch.uint16
    for image, row in zip(images, plan.geometry.tolist(), strict=True):
        offset, stride = row[COLUMNS.index("offset")], row[COLUMNS.index("stride")]
        assert offset % 8 == stride % 8 == 0
        seen = torch.as_strided(words, image.shape, (stride, 1), offset)
        np.testing.assert_array_equal(seen.numpy(), image)
    assert plan.hints == WHOLE | WIDE


def test_views_of_one_storage_are_not_packed_again() -> None:
    stack = torch.zeros(3, 6, 16, dtype=torch.uint16)
    plan = make_plan(list(stack[1:]), [PLAIN] * 2, None, None, None, None, torch.uint8, one_buffer=True)
    assert plan.words[0].data_ptr() == stack[1].data_ptr()
    assert plan.geometry[:, COLUMNS.index("offset")].tolist() == [0, 96]
    assert plan.hints == SAME | WHOLE | WIDE


@pytest.mark.parametrize(
    ("shape", "crop", "wide"),
    [
        ((4, 16), None, True),
        ((4, 12), None, False),
        ((4, 16), Box(0, 8, 4, 8), True),
        ((4, 16), Box(1, 3, 3, 5), False),  # begins off the 16-byte grid
        ((4, 16), Box(1, 8, 3, 5), True),
    ],
)
def test_wide_loads_are_promised_only_where_rows_allow_them(
    shape: tuple[int, int], crop: Box | None, wide: bool
) -> None:
    stack = torch.zeros(shape, dtype=torch.uint16)
    plan = make_plan([stack], [PLAIN], None, [crop], None, None, torch.uint8, one_buffer=True)
    assert bool(plan.hints & WIDE) == wide


def test_wide_loads_do_not_reach_past_the_buffer() -> None:
    short = torch.zeros(16 * 3 + 5, dtype=torch.uint16).as_strided((4, 5), (16, 1))
    plan = make_plan([short], [PLAIN], None, None, None, None, torch.uint8, one_buffer=True)
    assert not plan.hints & WIDE


def test_tables_are_stored_once_however_many_images_share_them() -> None:
    shared, other = Transfer(12, table=TABLE), Transfer(12, table=TABLE**2)
    plan = make_plan([IMAGE] * 4, [shared, other, shared, PLAIN], None, None, None, None, torch.uint8)
    assert plan.tables.shape == (8192,)
    assert plan.geometry[:, COLUMNS.index("table")].tolist() == [0, 4096, 0, -1]


# ---- torch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_the_operations_are_registered_as_torch_requires(dtype: torch.dtype) -> None:
    plan = make_plan([IMAGE, IMAGE.T], [PLAIN, Transfer(12, table=TABLE)], (3, 2), None, None, [True, False], dtype)
    arguments = (plan.words, plan.geometry, plan.affine, plan.tables, 3, 2, dtype, plan.hints)
    torch.library.opcheck(torch.ops.fastrace.window.default, arguments)
    torch.library.opcheck(torch.ops.fastrace.window_cpu.default, arguments)


def test_compile_traces_through_window_without_a_break() -> None:
    transfer, curved = Transfer(16, scale=1 / 30000, offset=-0.2), Transfer(12, table=TABLE**2)

    def step(image: torch.Tensor, gain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        display = window([image], [transfer], (5, 7), dtype=torch.float32, flips=[True])
        small = window([image], [curved], (3, 3), dtype=torch.uint16, resize="lanczos")
        return (display * gain).clamp(0, 1).sqrt(), small

    compiled = torch.compile(step, fullgraph=True)
    for n in (1, 2):
        image = torch.from_numpy(np.random.default_rng(n).integers(0, 65535, (31, 40), np.uint16))
        for ours, eager in zip(compiled(image, torch.tensor(1.1)), step(image, torch.tensor(1.1)), strict=True):
            torch.testing.assert_close(ours, eager, rtol=0, atol=1e-7 if ours.is_floating_point() else 0)


def test_on_a_gpu_the_compiler_sees_the_triton_kernel() -> None:
    # Needs no GPU, only a process in which Triton does not interpret: the tensors are fake.
    script = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from fastrace.kernels.window import _SCHEMA, _window
operation = torch.library.triton_op("fastrace_test::window", _window, mutates_args=(), schema=_SCHEMA)
def call(words, geometry, affine, tables):
    return torch.ops.fastrace_test.window([words], geometry, affine, tables, 32, 32, torch.float16, 0)
from torch._functorch.aot_autograd import aot_function
graphs = []
with FakeTensorMode():
    make = lambda *shape, dtype: torch.empty(shape, dtype=dtype, device="cuda")
    arguments = (make(4096, dtype=torch.uint16), make(1, 14, dtype=torch.int64), make(1, 3, dtype=torch.float32),
                 make(0, dtype=torch.float32))
    aot_function(call, lambda graph, _: graphs.append(graph.code) or graph)(*arguments)
assert "triton_kernel_wrapper" in graphs[0], graphs[0]
print("seen")
"""
    pytest.importorskip("triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "seen", done.stderr[-2000:]
