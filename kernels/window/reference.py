"""`window` in numpy float64, to be read: the answer that every kernel is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fastrace.kernels.window.plan import Image, canvas_size
from fastrace.kernels.window.transfer import Box, Transfer


def display_values(words: NDArray[np.generic], transfer: Transfer) -> NDArray[np.float64]:
    """Display value in [0, 1] of every stored word (any shape)."""
    pattern = (words.astype(np.int64) >> transfer.shift) & ((1 << transfer.bits) - 1)
    if transfer.table is not None:
        return transfer.table.astype(np.float64)[pattern]
    sign = 1 << (transfer.bits - 1)
    value = (pattern ^ sign) - sign if transfer.signed else pattern
    return np.clip(transfer.scale * value + transfer.offset, 0.0, 1.0)


def area_shares(source: int, target: int) -> NDArray[np.float64]:  # [target, source]
    """Share of every source pixel in every target pixel along one axis; each row sums to 1.

    Target pixel i covers [i, i + 1) * source / target. In units of 1 / target the edges are integers, hence exact.
    """
    i, x = np.arange(target)[:, None], np.arange(source)[None, :]
    overlap = np.minimum((i + 1) * source, (x + 1) * target) - np.maximum(i * source, x * target)
    return np.maximum(overlap, 0) / source


def lanczos_shares(source: int, target: int) -> NDArray[np.float64]:  # [target, source]
    """Weight of every source pixel in every target pixel along one axis; each row sums to 1.

    Lanczos-3, sinc(t) sinc(t / 3) with t the distance of the centres; where the axis shrinks the kernel is stretched by
    source / target, which is what antialiases. Pixels beyond the border have no weight: the others' weights are scaled up.
    """
    if source == target:
        return np.eye(target)
    centre = (np.arange(target) + 0.5)[:, None] * source / target
    t = (np.arange(source) + 0.5 - centre) / max(1.0, source / target)
    weights = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def window_reference(
    images: Sequence[Image],  # [h, w] each
    transfers: Sequence[Transfer],
    size: tuple[int, int] | None = None,
    *,
    crops: Sequence[Box | None] | None = None,
    boxes: Sequence[Box | None] | None = None,
    flips: Sequence[bool] | None = None,
    dtype: torch.dtype | None = torch.uint16,
    resize: str = "area",
) -> NDArray[np.generic]:  # [N, H, W]
    """What `window` computes, in float64; ``dtype=None`` returns the display values before rounding.

    numpy has no bfloat16: with it the display values come back as float32 that bfloat16 holds.
    """
    shares = {"area": area_shares, "lanczos": lanczos_shares}[resize]
    height, width = canvas_size(images, crops, size)
    canvas = np.zeros((len(images), height, width))
    for n, (image, transfer) in enumerate(zip(images, transfers, strict=True)):
        words = np.asarray(image)
        crop = (crops[n] if crops else None) or Box(0, 0, *words.shape)
        box = (boxes[n] if boxes else None) or Box(0, 0, height, width)
        display = display_values(words[crop.top :, crop.left :][: crop.height, : crop.width], transfer)
        if flips and flips[n]:
            display = display[:, ::-1]
        average = display
        if crop.height != box.height:
            average = shares(crop.height, box.height) @ average
        if crop.width != box.width:
            average = average @ shares(crop.width, box.width).T
        if resize == "lanczos":
            average = np.clip(average, 0.0, 1.0)  # its negative lobes overshoot at edges
        canvas[n, box.top : box.top + box.height, box.left : box.left + box.width] = average
    if dtype is None:
        return canvas
    if dtype in (torch.uint8, torch.uint16):  # round half up
        kind = np.uint8 if dtype == torch.uint8 else np.uint16
        return np.floor(canvas * np.iinfo(kind).max + 0.5).astype(kind)
    if dtype == torch.bfloat16:
        return nearest_bfloat16(canvas)
    return canvas.astype(np.float16 if dtype == torch.float16 else np.float32)


def nearest_bfloat16(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The nearest number with 8 significant bits, halves to even, of normal numbers."""
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.rint(fraction * 256) / 256, exponent).astype(np.float32)
