"""window: stored words -> display values -> network size, in one pass over the input.

For each image, with v the value of a stored word (DICOM PS3.3 C.7.6.3):

    display(v) = table[v]  or  clip(scale * v + offset, 0, 1)                                  in [0, 1]
    out(i, j)  = sum over (y, x) of  share_i(y) * share_j(x) * display(y, x)                   area average
    share_i(y) = length of [y, y + 1) within [i, i + 1) * h / H, divided by h / H              exact coverage

and integers are written as floor(out * full scale + 1/2), with full scale 255 or 65535. Averaging *display* values, not
stored ones, is what a viewer followed by a resize does; it differs from the reverse wherever the window clips. The same
formula enlarges: an output then lies in one pixel, or on the border of two.

A box aliases, and `resize="lanczos"` shows whether a result depends on that: a sensitivity check, correct first.

    out(i, j)  = clip(sum over (y, x) of  l_i(y) * l_j(x) * display(y, x), 0, 1)
    l_i(y)     = L((y + 1/2 - (i + 1/2) * h / H) / max(1, h / H)) / the sum of the same over y
    L(t)       = sinc(t) * sinc(t / 3) for |t| < 3, else 0

Stretched where it shrinks, the kernel antialiases; at the border the weights inside are scaled to sum to 1, and an axis
that keeps its size is left alone: as Pillow's LANCZOS. Its lobes overshoot at edges, hence the clip, at the end only.

Reading order: `transfer.py` the parameters of an image, `reference.py` the formula in float64, `plan.py` checks and layout,
`../csrc/window.cpp` the CPU kernel, `cuda.py` the Triton kernels. Below: the operation registered with torch, and `window`.

Tolerance: area kernels sum in float32 and err by at most 4e-7 (measured 1.6e-7), a fortieth of a step of 16 bits. Integers
therefore equal the rounded reference except where that lies so close to a rounding edge, and there by one step: up to
0.4 % of the pixels in 16 bits, as often up as down. The CPU gives the same bits on every x86-64 processor and with any
number of threads. On CUDA the bound is 1.5e-6, and 4e-6 for sums over more than 500 rows. bfloat16 keeps 8 bits, rounded
to nearest even. Lanczos weights are not all positive and sum to 1.5 in magnitude along an axis: 1e-6 on the CPU.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor

from fastrace.errors import BackendMissing
from fastrace.kernels import _extension
from fastrace.kernels.window.plan import Image, make_plan
from fastrace.kernels.window.reference import window_reference
from fastrace.kernels.window.transfer import Box, Transfer

__all__ = [
    "CUDA_TOLERANCE",
    "LANCZOS_TOLERANCE",
    "TOLERANCE",
    "Box",
    "Transfer",
    "offline_cases",
    "window",
    "window_reference",
]

TOLERANCE = 4e-7  # of display values, against the float64 reference, on the CPU: measured 1.6e-7
LANCZOS_TOLERANCE = 1e-6  # the same for resize="lanczos": measured 2.9e-7, by Triton's interpreter 3.7e-7
CUDA_TOLERANCE = 1.5e-6  # three TF32 products keep 21 bits; predicted, until a GPU has measured it


def window(
    images: Sequence[Image],  # [h, w] each
    transfers: Sequence[Transfer],
    size: tuple[int, int] | None = None,
    *,
    crops: Sequence[Box | None] | None = None,
    boxes: Sequence[Box | None] | None = None,
    flips: Sequence[bool] | None = None,
    dtype: torch.dtype = torch.uint16,
    resize: Literal["area", "lanczos"] = "area",
) -> Tensor:  # [N, H, W]
    """Window a batch of images and resize them.

    Parameters
    ----------
    images : sequence of numpy arrays or tensors
        [h, w] uint8 or uint16 stored words, of any sizes, all on one device. Rows may lie any distance apart; columns
        that do not lie side by side are copied first.
    transfers : sequence of Transfer
        One per image.
    size : (int, int), optional
        Rows and columns of the output; without it, the size that all (cropped) images share.
    crops : sequence of Box, optional
        The part of each image that is used, in input pixels; None is the whole image.
    boxes : sequence of Box, optional
        The part of the output that each image fills, in output pixels; None is all of it. Outside, the output is 0.
    flips : sequence of bool, optional
        Whether to mirror the image left-right within its box.
    dtype : torch.dtype
        uint8 or uint16 (display times 255 or 65535, rounded to nearest), float16, bfloat16 or float32 (display).
    resize : "area" | "lanczos"
        Exact area averages, or Lanczos-3 for sensitivity checks; nothing is resampled where a crop has its box's size.

    Returns
    -------
    Tensor
        [N, H, W] of `dtype`, on the device of the images.

    Raises
    ------
    ValueError, TypeError
        Where shapes, types or numbers do not fit; the message names the image.
    BackendMissing
        Where the CPU kernel is neither installed nor can be compiled, or CUDA images meet a torch without Triton.
    """
    plan = make_plan(images, transfers, size, crops, boxes, flips, dtype, resize=resize)
    arguments = (plan.words, plan.geometry, plan.affine, plan.tables, plan.height, plan.width, plan.dtype, plan.hints)
    if plan.geometry.is_cuda or torch.compiler.is_compiling():
        result: Tensor = torch.ops.fastrace.window(*arguments)
    else:  # not by the operation written in Python: that takes 16 us more, and a mammogram takes 500
        _load_cpu()
        result = torch.ops.fastrace.window_cpu(*arguments)
    return result


def offline_cases() -> list[dict[str, Any]]:
    """Return the Triton kernels' configurations for compilation without a GPU; see ``bench/resources.py``."""
    cases: list[dict[str, Any]] = _triton().offline_cases()
    return cases


def _window(
    words: list[Tensor],
    geometry: Tensor,
    affine: Tensor,
    tables: Tensor,
    height: int,
    width: int,
    dtype: torch.dtype,
    hints: int,
) -> Tensor:
    if geometry.is_cuda:
        if len(words) != 1:
            raise ValueError(f"on a GPU the batch must lie in one buffer, not {len(words)}; see plan.py")
        result: Tensor = _triton().launch(words[0], geometry, affine, tables, height, width, dtype, hints)
    else:
        _load_cpu()
        result = torch.ops.fastrace.window_cpu(words, geometry, affine, tables, height, width, dtype, hints)
    return result


def _window_fake(
    words: list[Tensor],
    geometry: Tensor,
    affine: Tensor,
    tables: Tensor,
    height: int,
    width: int,
    dtype: torch.dtype,
    hints: int,
) -> Tensor:
    return geometry.new_empty((geometry.shape[0], height, width), dtype=dtype)


_SCHEMA = (
    "(Tensor[] words, Tensor geometry, Tensor affine, Tensor tables, int height, int width, ScalarType dtype, int hints)"
    " -> Tensor"
)
_cpu_loaded = False
_once = threading.Lock()


def _load_cpu() -> None:
    global _cpu_loaded
    if _cpu_loaded:
        return
    with _once:
        if not _cpu_loaded:
            _extension.load()
            torch.library.register_fake("fastrace::window_cpu", _window_fake)
            _cpu_loaded = True


def _triton() -> ModuleType:
    try:
        from fastrace.kernels.window import cuda
    except ImportError as error:
        raise BackendMissing("windowing on a GPU needs Triton: pip install triton, or a CUDA build of torch") from error
    return cuda


# With a GPU, triton_op: Inductor then compiles the Triton kernel with the rest. Importing what triton_op needs takes a
# second, though, which every decoding process on a CPU machine would wait for, without a use.
if torch.cuda.is_available():
    torch.library.triton_op("fastrace::window", _window, mutates_args=(), schema=_SCHEMA)
else:
    torch.library.custom_op("fastrace::window", _window, mutates_args=(), schema=_SCHEMA).register_fake(_window_fake)
