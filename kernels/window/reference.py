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


def window_reference(
    images: Sequence[Image],  # [h, w] each
    transfers: Sequence[Transfer],
    size: tuple[int, int] | None = None,
    *,
    crops: Sequence[Box | None] | None = None,
    boxes: Sequence[Box | None] | None = None,
    flips: Sequence[bool] | None = None,
    dtype: torch.dtype | None = torch.uint16,
) -> NDArray[np.generic]:  # [N, H, W]
    """What `window` computes, in float64; ``dtype=None`` returns the display values before rounding."""
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
            average = area_shares(crop.height, box.height) @ average
        if crop.width != box.width:
            average = average @ area_shares(crop.width, box.width).T
        canvas[n, box.top : box.top + box.height, box.left : box.left + box.width] = average
    if dtype is None:
        return canvas
    if dtype in (torch.uint8, torch.uint16):  # round half up
        kind = np.uint8 if dtype == torch.uint8 else np.uint16
        return np.floor(canvas * np.iinfo(kind).max + 0.5).astype(kind)
    return canvas.astype(np.float16 if dtype == torch.float16 else np.float32)
