"""The CUDA kernels of `patches`, in Triton: responses live in registers, pieces are summed there, and cells from pieces.

`pieces_kernel` owns one piece of one image (at most 32 x 32 positions) and up to 128 filters. For tiles of 64 positions it
normalises the patches, 16 pixels at a time, and multiplies them by the filters on the tensor cores, as three TF32 products,
which keep 21 of float32's 24 bits; the two sides are summed over the tile before the next one. Filters are the rows of the
product and positions its columns, so that this sum stays within four lanes of a warp. `cells_kernel` adds the pieces of each
cell, in double and in one order: no atomics, the same bits in every run.

Every pixel of a patch is read twice, first for the mean: from the first-level cache, since patches overlap. A variance
from one pass would lose digits where the first pixel, which others are taken relative to, is the outlier of its patch.

No GPU has run this yet: 1 to 2 us an image of 50 x 50 with 256 filters of 6 x 6 are predicted for an H100 (150 MFLOP of TF32).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastrace.kernels.patches.plan import COLUMNS, Plan

TILE = 64  # positions; with 128 filters 32 sums per thread of eight warps
FILTERS = 128  # at most; each further block of them normalises the patches again
PIXELS = 16  # of a patch at a time: two steps of the tensor cores
CHANNELS = 128
WARPS = 4
WIDE_WARPS = 8  # for 128 filters: four warps take 255 registers, and spill on sm_80


@triton.jit(do_not_specialize=["down", "across", "blocks", "threshold", "epsilon"])
def pieces_kernel(
    images, filters, rows, columns, sums, height, width, down, across, blocks, threshold, epsilon,
    SIDE: tl.constexpr, PADDED: tl.constexpr, PIXELS: tl.constexpr, TILE: tl.constexpr, FILTERS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the sums of one piece: sums[image, row, column, side, filter]."""
    program = tl.program_id(0)
    piece = program // blocks
    row, column, image = piece // across % down, piece % across, piece // (down * across)
    top, left = tl.load(rows + row).to(tl.int32), tl.load(columns + column).to(tl.int32)
    wide = tl.load(columns + column + 1).to(tl.int32) - left
    area = (tl.load(rows + row + 1).to(tl.int32) - top) * wide
    start = images + image.to(tl.int64) * height * width + top * width + left
    k = (program % blocks) * FILTERS + tl.arange(0, FILTERS)

    above = tl.zeros((FILTERS,), dtype=tl.float32)
    below = tl.zeros((FILTERS,), dtype=tl.float32)
    for begin in range(0, area, TILE):
        position = begin + tl.arange(0, TILE)
        inside = position < area
        position = tl.where(inside, position, 0)
        corner = start + (position // wide * width + position % wide)
        first = tl.load(corner)

        mean = tl.zeros((TILE,), dtype=tl.float32)
        for at in range(0, PADDED, PIXELS):
            i = at + tl.arange(0, PIXELS)
            pixel = tl.where(i < SIDE * SIDE, i // SIDE * width + i % SIDE, 0)  # what pads it is the first, and adds 0
            mean += tl.sum(tl.load(corner[None, :] + pixel[:, None]) - first[None, :], axis=0)
        mean *= 1.0 / (SIDE * SIDE)

        variance = tl.zeros((TILE,), dtype=tl.float32)
        z = tl.zeros((FILTERS, TILE), dtype=tl.float32)
        for at in range(0, PADDED, PIXELS):
            i = at + tl.arange(0, PIXELS)
            used = i < SIDE * SIDE
            pixel = tl.where(used, i // SIDE * width + i % SIDE, 0)
            x = tl.load(corner[None, :] + pixel[:, None]) - first[None, :] - mean[None, :]
            x = tl.where(used[:, None], x, 0.0)
            variance += tl.sum(x * x, axis=0)
            weights = tl.load(filters + k[:, None] * PADDED + i[None, :])
            z = tl.dot(weights, x, z, input_precision=PRECISION)
        variance = variance * (1.0 / (SIDE * SIDE)) + epsilon
        # Beyond the piece z becomes 0, which is below the threshold; where float32 cannot hold the variance, NaN.
        factor = tl.where(variance < float("inf"), tl.rsqrt(variance), float("nan"))
        z *= tl.where(inside, factor, 0.0)[None, :]
        above += tl.sum(tl.maximum(z - threshold, 0.0, propagate_nan=tl.PropagateNan.ALL), axis=1)
        below += tl.sum(tl.maximum(-z - threshold, 0.0, propagate_nan=tl.PropagateNan.ALL), axis=1)

    out = sums + piece.to(tl.int64) * (2 * FILTERS * blocks) + k
    tl.store(out, above)
    tl.store(out + FILTERS * blocks, below)


@triton.jit(do_not_specialize=["down", "across", "blocks", "count", "many"])
def cells_kernel(
    sums, rows, columns, cells, out, down, across, blocks, count, many, padded,
    CHANNELS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write the mean of one cell of one side, over its pieces."""
    program = tl.program_id(0)
    k = (program % blocks) * CHANNELS + tl.arange(0, CHANNELS)
    side = (program // blocks) % 2
    cell = (program // (2 * blocks)) % count
    image = (program // (2 * blocks * count)).to(tl.int64)
    fields = cells + cell * COLUMNS
    top, bottom = tl.load(fields).to(tl.int32), tl.load(fields + 1).to(tl.int32)
    left, right = tl.load(fields + 2).to(tl.int32), tl.load(fields + 3).to(tl.int32)
    at, step = tl.load(fields + 4).to(tl.int32), tl.load(fields + 5).to(tl.int32)
    total = tl.zeros((CHANNELS,), dtype=tl.float64)
    for row in range(top, bottom):
        for column in range(left, right):
            piece = image * (down * across) + (row * across + column)
            total += tl.load(sums + (piece * 2 + side) * padded + k, mask=k < many, other=0.0).to(tl.float64)
    area = (tl.load(rows + bottom) - tl.load(rows + top)) * (tl.load(columns + right) - tl.load(columns + left))
    mean = total.to(tl.float32) / area.to(tl.float32)
    first = image * 2 * many * count + 2 * many * at + (cell - at)
    tl.store(out + first + (side * many + k) * step, mean, mask=k < many)


def block_of(many: int) -> int:
    """Return how many filters a program takes: no more than are there, in powers of two."""
    return min(FILTERS, max(16, triton.next_power_of_2(many)))


def warps_of(block: int) -> int:
    """Return the warps of a program that takes `block` filters."""
    return WIDE_WARPS if block == FILTERS else WARPS


def padded(filters: Tensor) -> Tensor:  # [K, p, p] -> [K in whole blocks, pixels in 16s]
    """Fill the filters up with zeros to whole blocks and steps."""
    many, side = filters.shape[0], filters.shape[1]
    block = block_of(many)
    flat = filters.reshape(many, side * side)
    return torch.nn.functional.pad(flat, (0, -side * side % PIXELS, 0, -many % block)).contiguous()


def launch(
    images: Tensor,  # [N, H, W] float32, contiguous
    filters: Tensor,  # [K, p, p] float32, without their mean
    threshold: float,
    epsilon: float,
    plan: Plan,  # on the device of the images
) -> Tensor:  # [N, 2 K cells]
    """Allocate sums of pieces and the result, and fill them."""
    (count, height, width), (many, side, _) = images.shape, filters.shape
    if height * width >= 2**31:
        raise ValueError(f"patches on a GPU takes images of fewer than 2^31 pixels, not {height} x {width}")
    cells = len(plan.cells)
    out = images.new_empty((count, 2 * many * cells))
    if out.numel() == 0:
        return out
    weights = padded(filters)
    sums = images.new_empty((count, len(plan.rows) - 1, len(plan.columns) - 1, 2, len(weights)))
    fill(images, weights, threshold, epsilon, plan, sums, out, many, side)
    return out


def fill(
    images: Tensor, weights: Tensor, threshold: float, epsilon: float, plan: Plan, sums: Tensor, out: Tensor,
    many: int, side: int,
) -> None:  # fmt: skip
    """Write the sums of pieces [N, rows, columns, 2, filters] and from them the result; `weights` are `padded`."""
    count, down, across, _, filled = sums.shape
    block, cells = block_of(many), len(plan.cells)
    blocks = filled // block
    pieces_kernel[(count * down * across * blocks,)](
        images, weights, plan.rows, plan.columns, sums, images.shape[1], images.shape[2], down, across, blocks,
        threshold, epsilon, SIDE=side, PADDED=weights.shape[1], PIXELS=PIXELS, TILE=TILE, FILTERS=block,
        PRECISION="ieee" if torch.version.hip else "tf32x3", num_warps=warps_of(block),
    )  # fmt: skip
    channels = min(CHANNELS, triton.next_power_of_2(many))
    blocks = triton.cdiv(many, channels)
    cells_kernel[(count * cells * 2 * blocks,)](
        sums, plan.rows, plan.columns, plan.cells, out, down, across, blocks, cells, many, filled,
        CHANNELS=channels, COLUMNS=len(COLUMNS), num_warps=WARPS,
    )  # fmt: skip


def offline_cases() -> list[dict[str, Any]]:
    """Return the configurations that launches choose, for compilation without a GPU; see ``bench/resources.py``."""
    cases = [
        _pieces(f"patches {name}", side, block, precision)
        for name, side, block, precision in (
            ("6x6 128 filters", 6, 128, "tf32x3"),
            ("12x12 128 filters", 12, 128, "tf32x3"),
            ("5x5 16 filters", 5, 16, "tf32x3"),
            ("6x6 128 filters ieee", 6, 128, "ieee"),
        )
    ]
    pointers = {"sums": "*fp32", "rows": "*i64", "columns": "*i64", "cells": "*i64", "out": "*fp32"}
    constants = {"CHANNELS": CHANNELS, "COLUMNS": len(COLUMNS)}
    return [*cases, _case("patches cells", cells_kernel, pointers, {}, constants, ("padded",), WARPS, load=32)]


def _pieces(name: str, side: int, block: int, precision: str) -> dict[str, Any]:
    pointers = {"images": "*fp32", "filters": "*fp32", "rows": "*i64", "columns": "*i64", "sums": "*fp32"}
    constants = {
        "SIDE": side, "PADDED": -(-side * side // PIXELS) * PIXELS, "PIXELS": PIXELS, "TILE": TILE, "FILTERS": block,
        "PRECISION": precision,
    }  # fmt: skip
    floats = {"threshold": "fp32", "epsilon": "fp32"}
    # Filters come in as 16 bytes (16 of them are only 8 a thread); pixels one by one, from every position.
    load = 128 if block == FILTERS else 64
    return _case(name, pieces_kernel, pointers, floats, constants, (), warps_of(block), load=load)


def _case(
    name: str,
    kernel: Any,
    pointers: dict[str, str],
    floats: dict[str, str],
    constants: dict[str, Any],
    divisible: tuple[str, ...],
    warps: int,
    *,
    load: int,
) -> dict[str, Any]:
    types = {**pointers, **floats, **dict.fromkeys(constants, "constexpr")}
    return {
        "name": name,
        "fn": kernel,
        "signature": {argument: types.get(argument, "i32") for argument in kernel.arg_names},
        "constexprs": constants,
        "divisible_by_16": (*pointers, *divisible),
        "options": {"num_warps": warps},
        "access_bits": load,
    }
