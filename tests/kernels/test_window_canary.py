"""The Triton kernels of `window` between canaries: nothing outside the images decides, nothing outside the boxes is written.

The interpreter does not notice an access out of bounds, so the tests put a NaN, or different junk, where one would land.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastrace.kernels.window import Box, Transfer, window_reference
from fastrace.kernels.window.plan import COLUMNS, make_plan

triton = pytest.importorskip("triton")
cuda = pytest.importorskip("fastrace.kernels.window.cuda")
pytestmark = pytest.mark.skipif(
    isinstance(cuda._same_kernel, triton.JITFunction),
    reason="Triton does not interpret here: the CUDA variants run instead",
)

GUARD = 4096
NAN = float("nan")
CANARY = {torch.uint8: 137, torch.uint16: 54321, torch.float16: NAN, torch.bfloat16: NAN, torch.float32: NAN}
CASES = {
    "same, wide": {"shapes": [(9, 48), (9, 48)], "size": None},
    "same, narrow rows": {"shapes": [(5, 13)], "size": None},
    "same, boxes": {"shapes": [(5, 13), (7, 3)], "size": (9, 16), "boxes": [Box(2, 1, 5, 13), Box(0, 13, 7, 3)]},
    "same, crops": {"shapes": [(12, 40)], "size": (6, 24), "crops": [Box(3, 9, 6, 24)]},
    "area, wide": {"shapes": [(40, 64), (33, 16)], "size": (8, 16)},
    "area, narrow rows": {"shapes": [(37, 53)], "size": (33, 19)},
    "area, boxes": {"shapes": [(37, 53), (3, 70)], "size": (12, 20), "boxes": [Box(1, 2, 9, 15), Box(0, 0, 12, 7)]},
    "area, crops": {"shapes": [(40, 70)], "size": (7, 5), "crops": [Box(3, 11, 30, 50)]},
    "enlarging": {"shapes": [(5, 7)], "size": (40, 33)},
    "lanczos": {"shapes": [(40, 70), (9, 13)], "size": (7, 5), "crops": [Box(3, 11, 30, 50), None], "resize": "lanczos"},
    "lanczos, boxes": {"shapes": [(13, 11)], "size": (20, 24), "boxes": [Box(3, 2, 16, 17)], "resize": "lanczos"},
}  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.parametrize("dtype", list(CANARY), ids=str)
@pytest.mark.parametrize("name", CASES)
def test_canaries_survive_and_decide_nothing(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    rng = np.random.default_rng(11)
    images = [rng.integers(0, 65536, shape, np.uint16) for shape in case["shapes"]]
    table = rng.random(1 << 12, np.float32)
    transfers = [Transfer(12, 2, True, 1 / 3000, 0.5), Transfer(12, table=table)][: len(images)]
    flips = [n % 2 == 0 for n in range(len(images))]
    rest = {"crops": case.get("crops"), "boxes": case.get("boxes"), "flips": flips}
    resize = case.get("resize", "area")
    plan = make_plan(images, transfers, case["size"], *rest.values(), dtype, resize=resize, one_buffer=True)
    exact = window_reference(images, transfers, case["size"], **rest, dtype=None, resize=resize)

    results = []
    for junk in (0, 65535):
        # Words: junk before, after, and in the padding of the rows.
        words = torch.full((plan.words[0].numel() + 2 * GUARD,), junk, dtype=torch.uint16)
        inner = words[GUARD:-GUARD]
        for row in plan.geometry.tolist():
            offset, stride, h, w = (row[COLUMNS.index(c)] for c in ("offset", "stride", "crop_height", "crop_width"))
            inner.as_strided((h, w), (stride, 1), offset + inner.storage_offset()).copy_(
                plan.words[0].as_strided((h, w), (stride, 1), offset)
            )
        tables = torch.full((plan.tables.numel() + 2 * GUARD,), float("nan"))
        tables[GUARD:-GUARD] = plan.tables
        affine = torch.full((plan.affine.shape[0] + 2, 3), float("nan"))
        affine[1:-1] = plan.affine
        n, height, width = exact.shape
        out = torch.empty(n * height * width + 2 * GUARD, dtype=dtype)
        out.view(torch.uint8).fill_(0)
        out.copy_(torch.full(out.shape, CANARY[dtype], dtype=torch.float64).to(dtype))
        canvas = out[GUARD:-GUARD].view(n, height, width)
        cuda.fill(canvas, inner, plan.geometry, affine[1:-1], tables[GUARD : GUARD + plan.tables.numel()], plan.hints)
        results.append((out.float() if dtype == torch.bfloat16 else out).numpy().copy())

    np.testing.assert_array_equal(results[0], results[1])
    guards = np.concatenate([results[0][:GUARD], results[0][-GUARD:]]).astype(float)
    np.testing.assert_array_equal(guards, np.full(2 * GUARD, CANARY[dtype], float))
    written = results[0][GUARD:-GUARD].reshape(exact.shape).astype(float)
    scale = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    for k in range(len(images)):
        box = (rest["boxes"] or [None] * 2)[k] or Box(0, 0, height, width)
        inside = np.zeros((height, width), bool)
        inside[box.top : box.top + box.height, box.left : box.left + box.width] = True
        np.testing.assert_array_equal(written[k][~inside], np.full((~inside).sum(), CANARY[dtype], float))
        limit = {torch.float16: 6e-4, torch.bfloat16: 4e-3, torch.float32: 6e-7}.get(dtype, 0.5 + 0.04)
        assert np.abs(written[k] - exact[k] * scale)[inside].max() <= limit
