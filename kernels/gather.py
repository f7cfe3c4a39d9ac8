"""gather: images picked from memory-mapped shards, to one contiguous batch.

    out[i, y, x] = shards[shard[i]][row[i], y, x]

An image is copied bit for bit, so there is no tolerance. The interpreter lock is not held meanwhile: a thread that reads ahead
costs the training loop nothing.

A shard is memory that the operating system fills from its file when it is touched. A file that is cut short while it is mapped
ends the process (SIGBUS) at the first touch of what is gone; a check in here could come too late. The code that maps
files compares their size with the map (`fastrace.dataset` does so for each batch). A file that is deleted or replaced by
renaming stays whole as long as it is mapped.

Reading order: the function, the reference, the operation in torch; `csrc/gather.cpp` is the CPU kernel. There is none for
a GPU: batches are gathered into pinned memory and copied, or the whole dataset lies on the device and a batch is
one `index_select` (`fastrace.train.batches`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastrace.errors import UsageError
from fastrace.kernels import _extension

__all__ = ["as_shard", "gather", "gather_reference"]

Shard = NDArray[np.generic] | Tensor
Array = ArrayLike | Tensor


def gather(
    shards: Sequence[Shard],  # [n, H, W] each
    shard: Array,  # [N] int
    row: Array,  # [N] int
    *,
    out: Tensor | None = None,  # [N, H, W]
) -> Tensor:  # [N, H, W]
    """Copy image ``row[i]`` of shard ``shard[i]`` to place i of a batch.

    Parameters
    ----------
    shards : sequence of arrays or tensors
        [n, H, W] of one H x W and one dtype of 1, 2 or 4 bytes; n may differ. Neighbouring columns lie side by side in
        memory. Read-only arrays (``np.load(..., mmap_mode="r")``) are read where they lie; see `as_shard`.
    shard, row : array or tensor of int
        [N], from 0 on; images may repeat.
    out : Tensor, optional
        Where to put the batch: contiguous, on the CPU, of the shards' dtype; it must not overlap a shard.

    Returns
    -------
    Tensor
        [N, H, W], ``out`` or new.

    Raises
    ------
    IndexError
        A shard or row that is not there; names the first.
    UsageError
        Shapes or dtypes that do not fit.
    BackendMissing
        Where the C++ kernels are neither installed nor can be compiled.
    """
    opened = [one if isinstance(one, Tensor) else as_shard(one) for one in shards]
    if not opened or opened[0].ndim != 3:
        raise UsageError(f"gather: shards must be [n, H, W], not {_describe(opened[0]) if opened else 'none at all'}")
    numbers, places = _integers(shard, "shard"), _integers(row, "row")
    if out is None:
        out = torch.empty((len(numbers), *opened[0].shape[1:]), dtype=opened[0].dtype)
    # Not by the operation written in Python, where nothing traces: that takes 10 us more.
    plain = type(out) is Tensor and not torch.compiler.is_compiling()
    try:
        (_gather_now if plain else torch.ops.fastrace.gather)(opened, numbers, places, out)
    except RuntimeError:  # the kernel checks everything, in 1 us; which of its checks it was is found out here
        _explain(opened, numbers, places, out)
        raise
    return out


def as_shard(array: NDArray[np.generic]) -> Tensor:
    """A tensor over an array's memory, without the warning that `torch.from_numpy` gives for an array that cannot be written.

    For reading only: writing to a tensor over a read-only map ends the process. The array is kept alive.

    Raises
    ------
    UsageError
        An array whose dtype (another byte order, for one) or strides torch does not have.
    """
    seen = _Readable(array) if not array.flags.writeable else None
    try:
        return torch.from_numpy(array if seen is None else np.asarray(seen))
    except (TypeError, ValueError) as error:
        raise UsageError(f"gather: an array of {array.dtype.str} with strides {array.strides}: {error}") from error


class _Readable:
    """An array's memory declared as writable. NumPy keeps this object, and with it the array."""

    def __init__(self, array: NDArray[np.generic]) -> None:
        self._array = array
        facts = array.__array_interface__
        self.__array_interface__ = {**facts, "data": (facts["data"][0], False)}


def _integers(values: Array, name: str) -> Tensor:
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    whole = not (tensor.is_floating_point() or tensor.dtype == torch.bool) or tensor.numel() == 0  # [] is float64
    if tensor.ndim != 1 or not whole:
        raise UsageError(f"gather: {name} is {_describe(tensor)}, not [N] int")
    return tensor.to(torch.int64).contiguous()


def _describe(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {tensor.dtype} on {tensor.device}"


def _explain(shards: Sequence[Tensor], shard: Tensor, row: Tensor, out: Tensor) -> None:
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
    if len(row) != n:
        raise UsageError(f"gather: {n} shard numbers, {len(row)} rows")
    size = first.shape[1:]
    if out.shape != (n, *size) or out.dtype != first.dtype or not out.is_contiguous() or not out.is_cpu:
        raise UsageError(f"gather: out is {_describe(out)}, not {[n, *size]} {first.dtype} on the CPU, contiguous")
    for i, (number, place) in enumerate(zip(shard.tolist(), row.tolist(), strict=True)):
        if not 0 <= number < len(shards):
            raise IndexError(f"gather: image {i} is of shard {number}; there are {len(shards)}")
        if not 0 <= place < len(shards[number]):
            raise IndexError(f"gather: image {i} is row {place} of shard {number}, which has {len(shards[number])}")


# ---- reference -------------------------------------------------------------------------------------------------------


def gather_reference(shards: Sequence[NDArray[np.generic]], shard: ArrayLike, row: ArrayLike) -> NDArray[np.generic]:
    """Image by image, in NumPy."""
    numbers, places = np.asarray(shard, dtype=np.int64), np.asarray(row, dtype=np.int64)
    out = np.empty((len(numbers), *shards[0].shape[1:]), dtype=shards[0].dtype)
    for i, (number, place) in enumerate(zip(numbers, places, strict=True)):
        out[i] = shards[number][place]
    return out


# ---- operation -------------------------------------------------------------------------------------------------------


def _gather_now(shards: Sequence[Tensor], shard: Tensor, row: Tensor, out: Tensor) -> None:
    _extension.load()
    torch.ops.fastrace.gather_cpu(shards, shard, row, out)


_gather = torch.library.custom_op("fastrace::gather", _gather_now, mutates_args=("out",), device_types="cpu")


@_gather.register_fake
def _gather_fake(shards: Sequence[Tensor], shard: Tensor, row: Tensor, out: Tensor) -> None:
    return None
