r"""Band-pass as matrix products: a folded DFT in Triton, for squares of even n up to 254. Shipped, but not used: see `FOLDED`.

A radial gain is even in ky and in kx, so the filter does not mix what is even with what is odd along an axis. Folding an
image about row 0 and column 0 (h = n / 2) gives four quadrants of at most (h + 1)^2 numbers,

    even: (x[j] + x[n - j]) / sqrt 2,  and x[0], x[h] as they are        odd: (x[j] - x[n - j]) / sqrt 2

and each is filtered alone by real orthonormal transforms that are their own inverses, ``y = A (M * (A x B)) B`` with A, B
out of E (DCT-I, h + 1) and O (DST-I, h - 1). M is the gain at natural frequencies, so band, notch and high-pass are gains of
coefficients. 4 n^3 multiplications for all of it instead of the FFT's few, but on tensor cores; where a filter ends at
radius r, only the first r rows and columns of coefficients take part (`BLOCKS`).

Tensor cores multiply float16. Every operand is the sum of two of them (22 bits), and of the four products the smallest is
left out: error 1e-6 of the largest input value, the class of a float32 FFT. Operands are scaled by powers of two so that
the low parts are normal numbers; display values may therefore be up to `LARGEST` in magnitude, beyond which the result is
NaN, not wrong.

Source of the split: Markidis et al., IPDPSW 2018. DCT-I and DST-I: Britanak, Yip, Rao, Discrete Cosine and Sine Transforms.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from fastrace.errors import UsageError
from fastrace.kernels.bandpass.gain import IDEAL, NO_EDGE, SHAPES, check_cutoffs, gain, scaled_edge

# The gate: no dispatch may choose this kernel until a recorded run on an H100 shows it at least 1.5 times as fast as cuFFT
# with callbacks at r <= 32, or no slower at any radius. Predicted 0.25 - 0.7 us per image of 224 x 224; not measured.
# `python -m fastrace.bench.gpu` times it by calling `folded` itself.
FOLDED = False

SIDE = 128  # of a quadrant in the products: h + 1 <= 128
LARGEST_N = 254
BLOCKS = (32, 64, 128)  # coefficients per axis that take part
TOLERANCE = 2e-6  # of the largest input value, against float64; seen 1.2e-6
# Rows of the image, then columns of coefficients, in registers at a time, with eight warps: larger steps or four warps
# spill on sm_80, sm_90 or gfx942 (`bench/resources.py`).
STEPS = {32: 32, 64: 16, 128: 16}
WARPS = 8
ROWS = 8  # folded rows per program of the second kernel
# Powers of two: of the pixels (coefficients reach n times a pixel, and float16 65504) and of the bases (entries below 1).
PIXEL_SCALE, BASIS_SCALE = 32.0, 32.0
LARGEST = 8.0
DIMMEST = 1 / 256  # largest value of an image from which on the tolerance is relative; below, low parts lose bits: 3e-9
TYPES = {torch.uint16: "*u16", torch.float16: "*fp16", torch.float32: "*fp32", torch.bfloat16: "*bf16"}
PIXELS = (torch.uint16, torch.float16, torch.float32)
RESULTS = (torch.float16, torch.bfloat16, torch.float32)


@triton.jit
def _split(x):  # type: ignore[no-untyped-def]
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _product(a_high, a_low, b_high, b_low, product):  # type: ignore[no-untyped-def]
    product = tl.dot(a_low, b_high, product)
    product = tl.dot(a_high, b_low, product)
    return tl.dot(a_high, b_high, product)


@triton.jit
def fold_kernel(  # type: ignore[no-untyped-def]
    image_ptr,  # [N, n, n]
    basis_ptr,  # [2, 2, SIDE, SIDE] float16: even or odd, high or low part
    gain_ptr,  # [BLOCK, BLOCK] float32
    quadrant_ptr,  # [N, 4, h + 1, pitch] float32
    n,
    pitch,
    scale,
    unscale,
    BLOCK: tl.constexpr,
    SIDE: tl.constexpr,
    STEP: tl.constexpr,
):
    """Fold one quadrant of one image, filter it, and write it folded."""
    program = tl.program_id(0)
    image = (program // 4).to(tl.int64)
    quadrant = program % 4
    half = n // 2
    odd_rows = quadrant // 2
    odd_columns = quadrant % 2
    side, block, part = tl.arange(0, SIDE), tl.arange(0, BLOCK), tl.arange(0, STEP)
    rows = basis_ptr + odd_rows * 2 * SIDE * SIDE
    columns = basis_ptr + odd_columns * 2 * SIDE * SIDE
    at = image_ptr + image * n * n
    row_sign = 1.0 - 2.0 * odd_rows.to(tl.float32)
    column_sign = 1.0 - 2.0 * odd_columns.to(tl.float32)
    j = side[None, :]
    mirror_j = tl.where(j == 0, 0, n - j)
    # Rows and columns 0 and h are their own mirror images.
    weight_j = tl.where((j == 0) | (j == half), 0.5, 0.7071067811865476) * scale

    # Along the columns of the image, some rows of it at a time: what is folded at once fits into registers.
    t = tl.zeros((BLOCK, SIDE), tl.float32)
    for first in tl.range(0, SIDE, STEP):
        i = first + part[:, None]
        inside = (i <= half) & (j <= half)
        mirror_i = tl.where(i == 0, 0, n - i)
        x = tl.load(at + i * n + j, mask=inside, other=0).to(tl.float32)
        x += row_sign * tl.load(at + mirror_i * n + j, mask=inside, other=0).to(tl.float32)
        y = tl.load(at + i * n + mirror_j, mask=inside, other=0).to(tl.float32)
        y += row_sign * tl.load(at + mirror_i * n + mirror_j, mask=inside, other=0).to(tl.float32)
        weight = tl.where((i == 0) | (i == half), 0.5, 0.7071067811865476) * weight_j
        x_high, x_low = _split((x + column_sign * y) * weight)
        basis = rows + block[:, None] * SIDE + first + part[None, :]
        t = _product(tl.load(basis), tl.load(basis + SIDE * SIDE), x_high, x_low, t)

    # Along its rows, forth and back, some columns of coefficients at a time.
    t_high, t_low = _split(t * unscale)
    filtered = tl.zeros((SIDE, SIDE), tl.float32)
    back = rows + side[:, None] * SIDE + block[None, :]
    for first in tl.range(0, BLOCK, STEP):
        forth = columns + side[:, None] * SIDE + first + part[None, :]
        c = _product(t_high, t_low, tl.load(forth), tl.load(forth + SIDE * SIDE), tl.zeros((BLOCK, STEP), tl.float32))
        c *= tl.load(gain_ptr + block[:, None] * BLOCK + first + part[None, :]) * unscale
        c_high, c_low = _split(c)
        u = _product(tl.load(back), tl.load(back + SIDE * SIDE), c_high, c_low, tl.zeros((SIDE, STEP), tl.float32))
        u_high, u_low = _split(u * unscale)
        basis = columns + (first + part[:, None]) * SIDE + side[None, :]
        filtered = _product(u_high, u_low, tl.load(basis), tl.load(basis + SIDE * SIDE), filtered)
    out = quadrant_ptr + program.to(tl.int64) * (half + 1) * pitch
    # Up to the pitch, zeros beyond h: a mask that ends at a multiple of 16 keeps the accesses wide.
    tl.store(out + side[:, None] * pitch + j, filtered, mask=(side[:, None] <= half) & (j < pitch))


@triton.jit
def unfold_kernel(  # type: ignore[no-untyped-def]
    quadrant_ptr,  # [N, 4, h + 1, pitch] float32
    out_ptr,  # [N, n, n]
    n,
    pitch,
    chunks,
    unscale,
    ROWS: tl.constexpr,
    SIDE: tl.constexpr,
):
    """Write some rows of an image and their mirror images from the four quadrants, each read once."""
    program = tl.program_id(0)
    image = (program // chunks).to(tl.int64)
    half = n // 2
    i = (program % chunks) * ROWS + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, SIDE)[None, :]
    inside = (i <= half) & (j <= half)
    held = (i <= half) & (j < pitch)
    size = (half + 1) * pitch
    at = quadrant_ptr + image * 4 * size + i * pitch + j
    even_even = tl.load(at, mask=held, other=0.0)
    even_odd = tl.load(at + size, mask=held, other=0.0)
    odd_even = tl.load(at + 2 * size, mask=held, other=0.0)
    odd_odd = tl.load(at + 3 * size, mask=held, other=0.0)
    inner_i = (i > 0) & (i < half)
    inner_j = (j > 0) & (j < half)
    weight = tl.where(inner_i, 0.7071067811865476, 1.0) * tl.where(inner_j, 0.7071067811865476, 1.0) * unscale
    same, other = (even_even + odd_even) * weight, (even_odd + odd_odd) * weight
    mirror_same, mirror_other = (even_even - odd_even) * weight, (even_odd - odd_odd) * weight
    out = out_ptr + image * n * n
    kind = out_ptr.dtype.element_ty
    tl.store(out + i * n + j, (same + other).to(kind), mask=inside)
    tl.store(out + i * n + n - j, (same - other).to(kind), mask=inside & inner_j)
    tl.store(out + (n - i) * n + j, (mirror_same + mirror_other).to(kind), mask=inside & inner_i)
    tl.store(out + (n - i) * n + n - j, (mirror_same - mirror_other).to(kind), mask=inside & inner_i & inner_j)


def bases(n: int) -> NDArray[np.float64]:
    """Return E and O at natural indices, [2, SIDE, SIDE] float64, zero outside: symmetric, each its own inverse."""
    half = n // 2
    both = np.zeros((2, SIDE, SIDE))
    angle = np.pi / half * (np.outer(np.arange(half + 1), np.arange(half + 1)) % n)
    ends = np.ones(half + 1)
    ends[[0, half]] = math.sqrt(0.5)
    both[0, : half + 1, : half + 1] = math.sqrt(2 / half) * np.outer(ends, ends) * np.cos(angle)
    both[1, 1:half, 1:half] = math.sqrt(2 / half) * np.sin(angle[1:half, 1:half])
    return both


@lru_cache(maxsize=16)
def _bases(n: int, device: torch.device) -> Tensor:
    exact = bases(n) * BASIS_SCALE
    high = exact.astype(np.float16)
    low = (exact - high).astype(np.float16)
    return torch.from_numpy(np.stack([high, low], axis=1)).to(device)


def block_of(n: int, high: float, complement: bool, shape: int) -> int:
    """Return how many coefficients per axis take part: all, unless an ideal filter ends before."""
    needed = n // 2 + 1
    if shape == IDEAL and not complement and scaled_edge(high, 1, 1) != NO_EDGE:
        needed = min(needed, math.isqrt(max(scaled_edge(high, 1, 1) - 1, 0)) + 1)
    return next(block for block in BLOCKS if block >= needed)


@lru_cache(maxsize=64)
def _gains(
    n: int, block: int, low: float, high: float, complement: bool, shape: int, order: int, device: torch.device
) -> Tensor:
    gains = np.zeros((block, block), np.float32)
    part = gain(n, n, low, high, complement, shape, order)[: n // 2 + 1, : n // 2 + 1][:block, :block]
    gains[: len(part), : len(part)] = part
    return torch.from_numpy(gains).to(device)


def folded(
    images: Tensor,  # [N, n, n] uint16, float16 or float32, contiguous
    low: float,
    high: float,
    *,
    complement: bool = False,
    shape: str = "ideal",
    order: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Tensor:  # [N, n, n] of dtype
    """Filter display values (uint16: stored, 65535 is 1) with one radial filter for all images; see `bandpass`.

    On a GPU, or on the CPU where Triton interprets. Not for graphs before a first call: bases and gains are made then.
    """
    if images.ndim != 3 or images.shape[1] != images.shape[2] or images.dtype not in PIXELS:
        raise UsageError(f"folded takes [N, n, n] uint16, float16 or float32, not {list(images.shape)} {images.dtype}")
    count, n, _ = images.shape
    if n % 2 or not 2 <= n <= LARGEST_N:
        raise UsageError(f"folded takes images of an even side from 2 to {LARGEST_N}, not {n}; bandpass takes any")
    if dtype not in RESULTS:
        raise UsageError(f"folded gives float32, float16 or bfloat16, not {dtype}")
    check_cutoffs(low, high)
    block = block_of(n, high, complement, SHAPES[shape])
    pitch = -(-(n // 2 + 1) // 16) * 16  # so that rows of quadrants are read 16 bytes at a time
    gains = _gains(n, block, float(low), float(high), complement, SHAPES[shape], order, images.device)
    quadrants = torch.empty((count, 4, n // 2 + 1, pitch), device=images.device)
    out = torch.empty((count, n, n), dtype=dtype, device=images.device)
    scale = PIXEL_SCALE / (65535.0 if images.dtype == torch.uint16 else 1.0)
    if count == 0:
        return out
    basis = _bases(n, images.device)
    sizes = {"BLOCK": block, "SIDE": SIDE, "STEP": STEPS[block], "num_warps": WARPS, "num_stages": 1}
    fold_kernel[(4 * count,)](images.contiguous(), basis, gains, quadrants, n, pitch, scale, 1 / BASIS_SCALE, **sizes)
    chunks = -(-(n // 2 + 1) // ROWS)
    # The last product is still scaled by its basis.
    undo = 1 / (BASIS_SCALE * PIXEL_SCALE)
    unfold_kernel[(count * chunks,)](quadrants, out, n, pitch, chunks, undo, ROWS=ROWS, SIDE=SIDE, num_warps=4)
    return out


def offline_cases() -> list[dict[str, Any]]:
    """Return every configuration of both kernels for compilation without a GPU; see ``bench/resources.py``."""
    cases: list[dict[str, Any]] = []
    for block in BLOCKS:
        for pixel in PIXELS if block == BLOCKS[-1] else PIXELS[:1]:
            signature = {"image_ptr": TYPES[pixel], "basis_ptr": "*fp16", "gain_ptr": "*fp32", "quadrant_ptr": "*fp32"}
            signature |= {"n": "i32", "pitch": "i32", "scale": "fp32", "unscale": "fp32"}
            cases.append(
                {
                    "name": f"folded {block} coefficients {str(pixel).removeprefix('torch.')}",
                    "fn": fold_kernel,
                    "signature": signature | dict.fromkeys(("BLOCK", "SIDE", "STEP"), "constexpr"),
                    "constexprs": {"BLOCK": block, "SIDE": SIDE, "STEP": STEPS[block]},
                    "divisible_by_16": ("image_ptr", "basis_ptr", "gain_ptr", "quadrant_ptr", "n", "pitch"),
                    "options": {"num_warps": WARPS, "num_stages": 1},
                    "access_bits": 128,
                    "store_bits": 128,
                }
            )
    for result in RESULTS:
        signature = {"quadrant_ptr": "*fp32", "out_ptr": TYPES[result]}
        signature |= {"n": "i32", "pitch": "i32", "chunks": "i32", "unscale": "fp32"}
        cases.append(
            {
                "name": f"unfold {str(result).removeprefix('torch.')}",
                "fn": unfold_kernel,
                "signature": signature | {"ROWS": "constexpr", "SIDE": "constexpr"},
                "constexprs": {"ROWS": ROWS, "SIDE": SIDE},
                "divisible_by_16": ("quadrant_ptr", "out_ptr", "n", "pitch"),
                "options": {"num_warps": 4},
                "access_bits": 128,
            }
        )
    return cases
