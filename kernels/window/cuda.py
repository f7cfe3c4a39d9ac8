"""The CUDA kernels of `window`, in Triton: one launch for a batch of images of different sizes.

Two programs, because they are bound by different things. `_same_kernel` maps pixels one to one: 16-byte loads and stores,
nothing else. `_resized_kernel` owns 32 x 16 outputs: it adds weighted source rows into a 32 x 64 tile (wide loads, all
arithmetic in float32) and multiplies that tile by the 64 x 16 matrix of column shares. The product is a matrix product
because that is Triton's only cheap way to sum runs of uneven length across lanes; as three TF32 products it costs a few
per cent of the tile and keeps float32's accuracy (2^-21), which `input_precision="ieee"` would reach with 500 shared
loads per thread instead. Area averages and Lanczos differ in weights and number of rows; which of them is decided when it is
compiled, so that the sine costs area averages no register.

Numbers come from `geometry` (one row per image), so that sizes never recompile. Offsets into the batch are 64 bit.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import wrap_triton

from fastrace.kernels.window.plan import COLUMNS, LANCZOS, SAME, WHOLE, WIDE

# 4096 pixels, 32 per thread of 4 warps: four 16-byte loads in flight each, which is what hides HBM latency.
SAME_PIXELS = 4096
SAME_BLOCK = 1024
# 32 x 64 words are two 16-byte loads per thread and row; 16 outputs are the least a matrix product takes.
AREA = {"ROWS": 32, "COLUMNS": 16, "CHUNK": 64, "UNROLL": 4, "LANCZOS": False}
LANCZOS_AREA = {**AREA, "UNROLL": 2, "LANCZOS": True}  # its weights take registers: four rows at a time would spill
WARPS = 4

_FULL_SCALE = {torch.uint8: 255.0, torch.uint16: 65535.0}  # of the others: 1


@triton.jit
def _display(words, affine, tables, image, bits, shift, signed, table, keep, TABLES: tl.constexpr):
    pattern = (words.to(tl.int32) >> shift) & ((1 << bits) - 1)
    scale = tl.load(affine + image * 3)
    origin = tl.load(affine + image * 3 + 1).to(tl.int32)
    residual = tl.load(affine + image * 3 + 2)
    sign = signed << (bits - 1)
    value = ((pattern ^ sign) - (sign + origin)).to(tl.float32)
    display = tl.minimum(tl.maximum(value * scale + residual, 0.0), 1.0)
    if TABLES:  # noqa: SIM102  decided when compiled; the next one, when run
        if table >= 0:
            display = tl.load(tables + table + pattern, mask=keep, other=0.0)
    return display


@triton.jit
def _store(out, display, keep, FULL: tl.constexpr):
    display = tl.minimum(display, 1.0)  # an average may exceed 1 by a rounding error
    if FULL == 255.0:  # half up
        tl.store(out, (display * FULL + 0.5).to(tl.int32).to(tl.uint8), mask=keep)
    elif FULL == 65535.0:  # halves to even, as on the CPU (csrc/window.cpp says why): adding 2^23 rounds the last bits
        rounded = (display * FULL + 8388608.0).to(tl.int32, bitcast=True)
        tl.store(out, (rounded & 0xFFFF).to(tl.uint16), mask=keep)
    else:
        tl.store(out, display.to(out.dtype.element_ty), mask=keep)


@triton.jit
def _same_kernel(
    words, geometry, affine, tables, out, height, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, FULL: tl.constexpr,
    TABLES: tl.constexpr, WHOLE: tl.constexpr, WIDE: tl.constexpr, FIELDS: tl.constexpr,
):  # fmt: skip
    across = tl.cdiv(width, BLOCK)
    down = tl.cdiv(height, ROWS)
    tile = tl.program_id(0)
    image = tile // (across * down)
    row = geometry + image * FIELDS
    offset, stride = tl.load(row + 1), tl.load(row + 2)
    if WIDE:
        offset, stride = tl.multiple_of(offset, 8), tl.multiple_of(stride, 8)
    box_height, box_width = tl.load(row + 7).to(tl.int32), tl.load(row + 8).to(tl.int32)
    if WHOLE:
        box_width = width  # the same number, but one whose divisibility the compiler knows
    y = (tile // across % down) * ROWS + tl.arange(0, ROWS)
    x = (tile % across) * BLOCK + tl.arange(0, BLOCK)
    keep = (y < box_height)[:, None] & (x < box_width)[None, :]
    # With WIDE the words up to the next multiple of 8 belong to the buffer; only then can eight share one condition.
    loaded = (y < box_height)[:, None] & (x < (box_width + 7) // 8 * 8)[None, :] if WIDE else keep
    start = words + offset + y.to(tl.int64)[:, None] * stride
    if tl.load(row + 9) != 0:  # a branch: mirrored addresses would cost the others their wide loads
        stored = tl.load(start + (box_width - 1 - x)[None, :], mask=keep, other=0)
    else:
        stored = tl.load(start + x[None, :], mask=loaded, other=0)
    bits, shift = tl.load(row + 10).to(tl.int32), tl.load(row + 11).to(tl.int32)
    signed, table = tl.load(row + 12).to(tl.int32), tl.load(row + 13)
    display = _display(stored, affine, tables, image, bits, shift, signed, table, keep, TABLES)
    canvas = out + image.to(tl.int64) * height * width
    if WHOLE:
        at = canvas + y[:, None] * width + x[None, :]
    else:
        at = canvas + (y + tl.load(row + 5))[:, None] * width + (x + tl.load(row + 6))[None, :]
    _store(at, display, keep, FULL)


@triton.jit
def _sine(x):
    """sin(pi * x) for |x| <= 1/2: the series, because tl.sin keeps a slow path with a stack for large angles."""
    u = x * x
    sum = -0.0073704309 + u * 0.00046630281
    sum = 0.082145887 + u * sum
    sum = -0.59926453 + u * sum
    sum = 2.5501640 + u * sum
    sum = -5.1677128 + u * sum
    return x * (3.1415927 + u * sum)


@triton.jit
def _lanczos(n, d):
    """sinc(t) * sinc(t / 3) with t = n / d, integers; 0 from |t| = 3 on. Angles are reduced before float32 rounds them."""
    n = tl.abs(n)
    turns, thirds = (2 * n + d) // (2 * d), (2 * n + 3 * d) // (6 * d)
    inner = _sine((n - turns * d).to(tl.float32) / d)
    outer = _sine((n - thirds * 3 * d).to(tl.float32) / (3 * d))
    t = tl.maximum(n, 1).to(tl.float32) / d
    value = tl.where((turns + thirds) % 2 == 1, -inner, inner) * outer * (0.30396355 / (t * t))  # 3 / pi^2
    return tl.where(n == 0, 1.0, tl.where(n < 3 * d, value, 0.0))


@triton.jit
def _resized_kernel(
    words, geometry, affine, tables, out, height, width,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr, UNROLL: tl.constexpr, FULL: tl.constexpr,
    LANCZOS: tl.constexpr, TABLES: tl.constexpr, WIDE: tl.constexpr, FIELDS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    across = tl.cdiv(width, COLUMNS)
    down = tl.cdiv(height, ROWS)
    tile = tl.program_id(0)
    image = tile // (across * down)
    row = geometry + image * FIELDS
    offset, stride = tl.load(row + 1), tl.load(row + 2)
    # Loads start at a multiple of 8 words; the columns before the crop get no share.
    phase = (offset % 8).to(tl.int32)
    base = offset // 8 * 8
    if WIDE:
        stride = tl.multiple_of(stride, 8)
    crop_height, crop_width = tl.load(row + 3).to(tl.int32), tl.load(row + 4).to(tl.int32)
    box_height, box_width = tl.load(row + 7).to(tl.int32), tl.load(row + 8).to(tl.int32)
    bits, shift = tl.load(row + 10).to(tl.int32), tl.load(row + 11).to(tl.int32)
    signed, table = tl.load(row + 12).to(tl.int32), tl.load(row + 13)

    i = (tile // across % down) * ROWS + tl.arange(0, ROWS)
    first_column = (tile % across) * COLUMNS
    j = first_column + tl.arange(0, COLUMNS)
    if LANCZOS:  # centres of pixels in units of 1 / (2 * box_height) source rows (columns alike): exact integers
        unit_y, unit_x = 2 * tl.maximum(crop_height, box_height), 2 * tl.maximum(crop_width, box_width)
        centre_y, centre_x = (2 * i + 1) * crop_height, (2 * j + 1) * crop_width
        top = tl.maximum(centre_y - 3 * unit_y, 0) // (2 * box_height)
        bottom = tl.minimum((centre_y + 3 * unit_y) // (2 * box_height) + 1, crop_height)
        rows = tl.max(tl.where(i < box_height, bottom - top, 0), axis=0)
        left = tl.maximum((2 * first_column + 1) * crop_width - 3 * unit_x, 0) // (2 * box_width)
        last_column = tl.minimum(first_column + COLUMNS, box_width) - 1
        right = tl.minimum(((2 * last_column + 1) * crop_width + 3 * unit_x) // (2 * box_width) + 1, crop_width)
        across_sum = tl.zeros((COLUMNS,), dtype=tl.float32)
    else:  # edges in units of 1 / box_height source rows and 1 / box_width source columns: exact integers
        begin = i * crop_height
        top = begin // box_height
        rows = tl.max(tl.where(i < box_height, (begin + crop_height - 1) // box_height - top + 1, 0), axis=0)
        left = first_column * crop_width // box_width
        right = tl.minimum(((first_column + COLUMNS) * crop_width - 1) // box_width + 1, crop_width)
    right = tl.where(first_column < box_width, right, 0)

    average = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range((left + phase) // 8 * 8, right + phase, CHUNK):
        at = start + tl.arange(0, CHUNK)
        x = at - phase
        inside = (x >= left) & (x < right)  # what else is loaded has no share
        loaded = at < (right + phase + 7) // 8 * 8 if WIDE else inside
        sums = tl.zeros((ROWS, CHUNK), dtype=tl.float32)
        if LANCZOS:
            down_sum = tl.zeros((ROWS,), dtype=tl.float32)
        for k in range(0, rows, UNROLL):
            part = tl.zeros((ROWS, CHUNK), dtype=tl.float32)  # short sums first: thousands of rows must not drift
            for u in tl.static_range(UNROLL):
                y = top + k + u
                if LANCZOS:
                    used = (i < box_height) & (y < bottom)
                    weight = tl.where(used, _lanczos((2 * y + 1) * box_height - centre_y, unit_y), 0.0)
                    down_sum += weight
                else:
                    covered = tl.minimum(begin + crop_height, (y + 1) * box_height) - tl.maximum(begin, y * box_height)
                    covered = tl.where(i < box_height, tl.maximum(covered, 0), 0)
                    used = covered > 0
                keep = used[:, None] & loaded[None, :]
                source = words + base + y.to(tl.int64)[:, None] * stride + at[None, :]
                stored = tl.load(source, mask=keep, other=0)
                display = _display(stored, affine, tables, image, bits, shift, signed, table, keep, TABLES)
                if not LANCZOS:  # here, where ptxas takes the registers that it took for area averages alone
                    weight = covered.to(tl.float32) / crop_height
                part += weight[:, None] * display
            sums += part
        if LANCZOS:  # weights inside the image are scaled to sum to 1
            sums /= tl.where(i < box_height, down_sum, 1.0)[:, None]
            share = _lanczos((2 * x + 1)[:, None] * box_width - centre_x[None, :], unit_x)
            share = tl.where(inside[:, None], share, 0.0)
            across_sum += tl.sum(share, axis=0)
        else:
            share = tl.minimum((j + 1)[None, :] * crop_width, (x + 1)[:, None] * box_width)
            share -= tl.maximum(j[None, :] * crop_width, x[:, None] * box_width)
            share = tl.where(inside[:, None], tl.maximum(share, 0), 0).to(tl.float32) / crop_width
        average += tl.dot(sums, share, input_precision=PRECISION)
    if LANCZOS:
        average = tl.maximum(average / tl.where(j < box_width, across_sum, 1.0)[None, :], 0.0)

    keep = (i < box_height)[:, None] & (j < box_width)[None, :]
    j = tl.where(tl.load(row + 9) != 0, box_width - 1 - j, j)
    canvas = out + image.to(tl.int64) * height * width
    _store(canvas + (i + tl.load(row + 5))[:, None] * width + (j + tl.load(row + 6))[None, :], average, keep, FULL)


def launch(
    words: Tensor,  # [M] uint8 or uint16, the packed batch
    geometry: Tensor,  # [N, 14] int64
    affine: Tensor,  # [N, 3] float32
    tables: Tensor,  # [T] float32
    height: int,
    width: int,
    dtype: torch.dtype,
    hints: int,
) -> Tensor:  # [N, height, width]
    """Allocate the canvas and fill it; `hints` are the flags of `plan`."""
    shape = (geometry.shape[0], height, width)
    make = torch.empty if hints & WHOLE else torch.zeros
    out = make(shape, dtype=dtype, device=words.device)
    if 0 not in shape:
        fill(out, words, geometry, affine, tables, hints)
    return out


def fill(out: Tensor, words: Tensor, geometry: Tensor, affine: Tensor, tables: Tensor, hints: int) -> None:
    """Write every box of the canvas [N, H, W] with the kernel that suffices by the hints."""
    n, height, width = out.shape
    arguments = (words, geometry, affine, tables, out, height, width)
    full = _FULL_SCALE.get(out.dtype, 1.0)
    flags: dict[str, Any] = {
        "TABLES": tables.numel() > 0,
        "WIDE": bool(hints & WIDE),
        "FIELDS": len(COLUMNS),
        "num_warps": WARPS,
    }
    if hints & SAME:
        block = min(SAME_BLOCK, triton.next_power_of_2(width))
        rows = SAME_PIXELS // block
        grid = (n * triton.cdiv(height, rows) * triton.cdiv(width, block),)
        flags |= {"ROWS": rows, "BLOCK": block, "WHOLE": bool(hints & WHOLE)}
        _bind(_same_kernel)[grid](*arguments, FULL=full, **flags)
    else:
        tile = LANCZOS_AREA if hints & LANCZOS else AREA
        grid = (n * triton.cdiv(height, tile["ROWS"]) * triton.cdiv(width, tile["COLUMNS"]),)
        flags |= {**tile, "PRECISION": "ieee" if torch.version.hip else "tf32x3"}
        _bind(_resized_kernel)[grid](*arguments, FULL=full, **flags)


def offline_cases() -> list[dict[str, Any]]:
    """Return the configurations that launches choose, for compilation without a GPU; see ``bench/resources.py``."""
    same = {"ROWS": SAME_PIXELS // SAME_BLOCK, "BLOCK": SAME_BLOCK, "WHOLE": True}
    tensor_cores, plain = {**AREA, "PRECISION": "tf32x3"}, {**AREA, "PRECISION": "ieee"}
    lanczos = {**LANCZOS_AREA, "PRECISION": "tf32x3"}
    return [
        _case("window same uint16 float16", _same_kernel, "u16", "fp16", 1.0, same),
        _case("window same uint16 uint8", _same_kernel, "u16", "u8", 255.0, same),
        _case("window same uint16 bfloat16", _same_kernel, "u16", "bf16", 1.0, same),
        _case("window same uint16 uint16 table", _same_kernel, "u16", "u16", 65535.0, same, tables=True),
        _case("window area uint16 uint16", _resized_kernel, "u16", "u16", 65535.0, tensor_cores),
        _case("window area uint16 uint16 table", _resized_kernel, "u16", "u16", 65535.0, tensor_cores, tables=True),
        _case("window area uint8 float16", _resized_kernel, "u8", "fp16", 1.0, tensor_cores),
        _case("window area uint16 uint16 ieee", _resized_kernel, "u16", "u16", 65535.0, plain),
        _case("window lanczos uint16 uint16", _resized_kernel, "u16", "u16", 65535.0, lanczos),
        _case("window lanczos uint16 bfloat16 table", _resized_kernel, "u16", "bf16", 1.0, lanczos, tables=True),
        _case(
            "window lanczos uint16 uint16 ieee",
            _resized_kernel,
            "u16",
            "u16",
            65535.0,
            {**lanczos, "PRECISION": "ieee"},
        ),
    ]


def _case(
    name: str, kernel: Any, word: str, out: str, full: float, constants: dict[str, Any], *, tables: bool = False
) -> dict[str, Any]:
    pointers = {"words": f"*{word}", "geometry": "*i64", "affine": "*fp32", "tables": "*fp32", "out": f"*{out}"}
    constexprs = {**constants, "FULL": full, "TABLES": tables, "WIDE": True, "FIELDS": len(COLUMNS)}
    types = {**pointers, "height": "i32", "width": "i32", **dict.fromkeys(constexprs, "constexpr")}
    return {
        "name": name,
        "fn": kernel,
        "signature": {argument: types[argument] for argument in kernel.arg_names},
        "constexprs": constexprs,
        "divisible_by_16": (*pointers, "width"),
        "options": {"num_warps": WARPS},
        "access_bits": 128 if word == "u16" else 64,
        # The other stores single averages, since every image has its own box.
        "store_bits": 128 if kernel is _same_kernel else 0,
    }


def _bind(kernel: Any) -> Any:
    # wrap_triton shows the launch to torch.compile; kernels that Triton interprets are called as they are.
    return wrap_triton(kernel) if isinstance(kernel, triton.JITFunction) else kernel
