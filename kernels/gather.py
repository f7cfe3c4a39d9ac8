"""gather: images picked from memory-mapped shards, some mirrored, all cropped alike, to one contiguous batch.

    out[i, y, x] = shards[shard[i]][row[i], top[i] + y, left[i] + x]                 flip[i] false
    out[i, y, x] = shards[shard[i]][row[i], top[i] + y, left[i] + w - 1 - x]         flip[i] true: the crop is mirrored

An image is copied bit for bit, so there is no tolerance. The pass that copies also crops and mirrors. The interpreter lock is not
held meanwhile: a thread that reads ahead costs the training loop nothing.

A shard is memory that the operating system fills from its file when it is touched. A file that is cut short while it is mapped
ends the process (SIGBUS) at the first touch of what is gone; no check in here could be sure to come before that. Whoever maps
files compares their size with the map (`fastrace.dataset` does so for each batch). A file that is deleted or replaced by
renaming stays whole as long as it is mapped.

Reading order: the function, the reference, the operation that torch knows; `csrc/gather.cpp` is the CPU kernel. There is none
for a GPU: batches are gathered into pinned memory and copied, or the whole dataset lies on the device and a batch is
one `index_select` (`fastrace.train.batches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastrace.errors import UsageError
from fastrace.kernels import _extension
from fastrace.kernels._readonly import for_torch

__all__ = ["Crops", "as_shard", "gather", "gather_reference"]

Shard = NDArray[np.generic] | Tensor
Array = ArrayLike | Tensor


@dataclass(frozen=True)
class Crops:
    """Boxes of one size, at a place of its own in each image.

    Attributes
    ----------
    height, width : int
        In pixels.
    top, left : [N] int
        First line and first column of each image's box.
    """

    height: int
    width: int
    top: Array
    left: Array


def gather(
    shards: Sequence[Shard],  # [n, H, W] each
    shard: Array,  # [N] int
    row: Array,  # [N] int
    *,
    flip: Array | None = None,  # [N] bool
    crops: Crops | None = None,
    out: Tensor | None = None,  # [N, h, w]
    pin: bool = False,
) -> Tensor:  # [N, h, w]
    """Copy image ``row[i]`` of shard ``shard[i]`` to place i of a batch.

    Parameters
    ----------
    shards : sequence of arrays or tensors
        [n, H, W] of one H x W and one dtype of 1, 2 or 4 bytes; n may differ. Neighbouring columns lie side by side in
        memory. Read-only arrays (``np.load(..., mmap_mode="r")``) are read where they lie; see `as_shard`.
    shard, row : array or tensor of int
        [N], from 0 on; images may repeat.
    flip : array or tensor of bool, optional
        [N], which images to mirror left to right (after cropping).
    crops : Crops, optional
        All of H x W if not given.
    out : Tensor, optional
        Where to put the batch: contiguous, on the CPU, of the shards' dtype; it must not overlap a shard.
    pin : bool
        Whether a new batch lies in page-locked memory, from which a GPU copies by itself. torch keeps such memory for the
        next batch and hands it out again only after the copies from it have ended.

    Returns
    -------
    Tensor
        [N, h, w], ``out`` or new.

    Raises
    ------
    IndexError
        A shard, row or crop that is not there; names the first.
    UsageError
        Shapes or dtypes that do not fit.
    BackendMissing
        Where the C++ kernels are neither installed nor can be compiled.
    """
    opened = [one if isinstance(one, Tensor) else as_shard(one) for one in shards]
    if not opened or opened[0].ndim != 3:
        raise UsageError(f"gather: shards must be [n, H, W], not {_describe(opened[0]) if opened else 'none at all'}")
    numbers, places = _integers(shard, "shard"), _integers(row, "row")
    size, corner = tuple(opened[0].shape[1:]), None
    if crops is not None:
        size, corner = (crops.height, crops.width), _corners(crops)
    if min(size) < 0:
        raise UsageError(f"gather: crops of {size[0]} x {size[1]}")
    mirrored = None if flip is None else _tensor(flip).contiguous()
    if out is None:
        out = torch.empty((len(numbers), *size), dtype=opened[0].dtype, pin_memory=pin)
    # Not by the operation written in Python, where nobody traces: that takes 10 us more.
    plain = type(out) is Tensor and not torch.compiler.is_compiling()
    try:
        (_gather_now if plain else torch.ops.fastrace.gather)(opened, numbers, places, mirrored, corner, out)
    except RuntimeError:  # the kernel checks everything, in 1 us; which of its checks it was is found out here
        _explain(opened, numbers, places, mirrored, corner, size, out)
        raise
    return out


def as_shard(array: NDArray[np.generic]) -> Tensor:
    """A tensor over an array's memory, without the warning that `torch.from_numpy` gives for an array that cannot be written.

    For reading only: writing to a tensor over a read-only map ends the process. The array is kept alive.

    Raises
    ------
    UsageError
        An array whose dtype (another byte order, for one) or strides torch does not know.
    """
    try:
        return torch.from_numpy(for_torch(array))
    except (TypeError, ValueError) as error:
        raise UsageError(f"gather: an array of {array.dtype.str} with strides {array.strides}: {error}") from error


def _tensor(values: Array) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))


def _integers(values: Array, name: str) -> Tensor:
    tensor = _tensor(values)
    whole = not (tensor.is_floating_point() or tensor.dtype == torch.bool) or tensor.numel() == 0  # [] is float64
    if tensor.ndim != 1 or not whole:
        raise UsageError(f"gather: {name} is {_describe(tensor)}, not [N] int")
    return tensor.to(torch.int64).contiguous()


def _corners(crops: Crops) -> Tensor:  # [N, 2] int64
    top, left = _integers(crops.top, "top"), _integers(crops.left, "left")
    if len(top) != len(left):
        raise UsageError(f"gather: {len(top)} values of top, {len(left)} of left")
    return torch.stack([top, left], dim=1)


def _describe(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {tensor.dtype} on {tensor.device}"


def _explain(
    shards: Sequence[Tensor],
    shard: Tensor,
    row: Tensor,
    flip: Tensor | None,
    corner: Tensor | None,
    size: tuple[int, ...],
    out: Tensor,
) -> None:
    """Raise what is wrong with the arguments, if anything is."""
    first, n = shards[0], len(shard)
    for number, one in enumerate(shards):
        if one.ndim != 3 or one.shape[1:] != first.shape[1:] or one.dtype != first.dtype or not one.is_cpu:
            raise UsageError(
                f"gather: shard {number} is {_describe(one)}, shard 0 {_describe(first)}; all must be [n, H, W] of one size "
                "and dtype, on the CPU"
            )
        if one.numel() and one.shape[2] > 1 and one.stride(2) != 1:
            raise UsageError(
                f"gather: neighbouring columns of shard {number} lie {one.stride(2)} elements apart, not 1"
            )
    if first.element_size() not in (1, 2, 4):
        raise UsageError(f"gather: shards of {first.dtype}; elements must have 1, 2 or 4 bytes")
    if len(row) != n or (corner is not None and len(corner) != n):
        raise UsageError(f"gather: {n} shard numbers, {len(row)} rows, {n if corner is None else len(corner)} crops")
    if flip is not None and (flip.dtype != torch.bool or flip.shape != (n,)):
        raise UsageError(f"gather: flip is {_describe(flip)}, not [{n}] bool")
    if out.shape != (n, *size) or out.dtype != first.dtype or not out.is_contiguous() or not out.is_cpu:
        raise UsageError(f"gather: out is {_describe(out)}, not {[n, *size]} {first.dtype} on the CPU, contiguous")
    room = [full - side for full, side in zip(first.shape[1:], size, strict=True)]
    for i, (number, place) in enumerate(zip(shard.tolist(), row.tolist(), strict=True)):
        if not 0 <= number < len(shards):
            raise IndexError(f"gather: image {i} asks for shard {number}; there are {len(shards)}")
        if not 0 <= place < len(shards[number]):
            raise IndexError(
                f"gather: image {i} asks for row {place} of shard {number}, which has {len(shards[number])}"
            )
        top, left = (0, 0) if corner is None else corner[i].tolist()
        if not (0 <= top <= room[0] and 0 <= left <= room[1]):
            raise IndexError(
                f"gather: the crop of image {i}, {size[0]} x {size[1]} at ({top}, {left}), leaves its image, "
                f"{first.shape[1]} x {first.shape[2]}"
            )


# ---- reference -------------------------------------------------------------------------------------------------------


def gather_reference(
    shards: Sequence[NDArray[np.generic]],
    shard: ArrayLike,
    row: ArrayLike,
    flip: ArrayLike | None = None,
    crops: Crops | None = None,
) -> NDArray[np.generic]:
    """Image by image, as one writes it with NumPy."""
    numbers, places = np.asarray(shard, dtype=np.int64), np.asarray(row, dtype=np.int64)
    height, width = shards[0].shape[1:]
    box = crops or Crops(height, width, np.zeros_like(numbers), np.zeros_like(numbers))
    tops, lefts = np.asarray(box.top, dtype=np.int64), np.asarray(box.left, dtype=np.int64)
    mirrored = np.zeros(len(numbers), dtype=bool) if flip is None else np.asarray(flip, dtype=bool)
    out = np.empty((len(numbers), box.height, box.width), dtype=shards[0].dtype)
    for i, (number, place, top, left) in enumerate(zip(numbers, places, tops, lefts, strict=True)):
        image = shards[number][place, top : top + box.height, left : left + box.width]
        out[i] = image[:, ::-1] if mirrored[i] else image
    return out


# ---- operation -------------------------------------------------------------------------------------------------------


def _gather_now(
    shards: Sequence[Tensor], shard: Tensor, row: Tensor, flip: Tensor | None, corner: Tensor | None, out: Tensor
) -> None:
    _extension.load()
    torch.ops.fastrace.gather_cpu(shards, shard, row, flip, corner, out)


_gather = torch.library.custom_op("fastrace::gather", _gather_now, mutates_args=("out",), device_types="cpu")


@_gather.register_fake
def _gather_fake(
    shards: Sequence[Tensor], shard: Tensor, row: Tensor, flip: Tensor | None, corner: Tensor | None, out: Tensor
) -> None:
    return None
