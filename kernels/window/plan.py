"""From a Python call to the numbers the kernels read: all checks, and one row of integers per image.

A batch is ragged: a list of word buffers, and for each image its place in them. On the CPU every image is its own buffer,
where it already lies, because packing a mammogram (17 MB) would cost as much as the kernel. On CUDA the images are packed
into one buffer with rows of 16 bytes' pitch, unless they already lie in one storage: one launch can then address them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.kernels.window.transfer import Box, Transfer

Image: TypeAlias = NDArray[Any] | Tensor

# One int64 row of `geometry`. The C++ and Triton kernels read these by position.
COLUMNS = (
    "source",  # index of the buffer
    "offset",  # words to the first pixel of the crop
    "stride",  # words from row to row
    "crop_height",
    "crop_width",
    "box_top",
    "box_left",
    "box_height",
    "box_width",
    "flip",
    "bits",
    "shift",
    "signed",
    "table",  # first entry in `tables`, -1 for the affine map
)

# What holds for the whole batch, passed to the CUDA launcher because the numbers themselves lie on the device.
SAME = 1  # every crop has the size of its box: nothing is resized
WHOLE = 2  # every box is the whole canvas: nothing is left to be zeroed
WIDE = 4  # rows (and, with SAME, crops) begin at multiples of 16 bytes
# An option of the whole batch; the C++ kernel reads this flag and none of the others.
LANCZOS = 8  # resize by Lanczos-3 instead of area averages

PITCH_WORDS = 8
_DTYPES = (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32)
_RESIZES = ("area", "lanczos")


@dataclass(frozen=True)
class Plan:
    """The arguments of the operation `fastrace::window`."""

    words: list[Tensor]
    geometry: Tensor  # [N, 14] int64
    affine: Tensor  # [N, 3] float32: scale, origin, residual
    tables: Tensor  # [T] float32
    height: int
    width: int
    dtype: torch.dtype
    hints: int


def make_plan(
    images: Sequence[Image],
    transfers: Sequence[Transfer],
    size: tuple[int, int] | None,
    crops: Sequence[Box | None] | None,
    boxes: Sequence[Box | None] | None,
    flips: Sequence[bool] | None,
    dtype: torch.dtype,
    *,
    resize: str = "area",
    one_buffer: bool | None = None,
) -> Plan:
    """Check everything that `window` was given and lay it out, on a GPU in one buffer; see `window` for the errors."""
    if dtype not in _DTYPES:
        raise ValueError(f"dtype is {dtype}; uint8, uint16, float16, bfloat16 and float32 are written")
    if resize not in _RESIZES:
        raise ValueError(f"resize is {resize!r}; choose one of {', '.join(_RESIZES)}")
    # What the kernels count in: pixels of the box times pixels of the crop, for Lanczos half ones and three to each side.
    margin, most = (32, 2**28) if resize == "lanczos" else (0, 2**31)
    for name, given in (("transfers", transfers), ("crops", crops), ("boxes", boxes), ("flips", flips)):
        if given is not None and len(given) != len(images):
            raise ValueError(f"{len(given)} {name} for {len(images)} images; one each is needed")
    tensors = [_as_words(n, image) for n, image in enumerate(images)]
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        raise ValueError(f"the images lie on several devices ({', '.join(map(str, devices))}); move them to one")
    if devices and not {device.type for device in devices} <= {"cpu", "cuda"}:
        raise ValueError(f"the images lie on {devices.pop()}; window runs on cpu and cuda")
    height, width = canvas_size(images, crops, size)
    device = devices.pop() if devices else torch.device("cpu")
    words, places = _buffers(tensors, device.type != "cpu" if one_buffer is None else one_buffer)
    tables = _Tables()
    # Python numbers, not arrays: torch.compile can then follow a call of `window` from end to end.
    geometry: list[tuple[int, ...]] = []
    affine: list[tuple[float, float, float]] = []
    for n, (tensor, transfer) in enumerate(zip(tensors, transfers, strict=True)):
        crop = (crops[n] if crops else None) or Box(0, 0, *tensor.shape)
        box = (boxes[n] if boxes else None) or Box(0, 0, height, width)
        if not crop.inside(*tensor.shape):
            raise ValueError(
                f"image {n}: crop {crop} does not lie inside its {tensor.shape[0]} x {tensor.shape[1]} pixels"
            )
        if not box.inside(height, width):
            raise ValueError(f"image {n}: box {box} does not lie inside the {height} x {width} canvas")
        if transfer.shift + transfer.bits > 8 * tensor.element_size():
            raise ValueError(
                f"image {n}: {transfer.bits} bits at shift {transfer.shift} do not fit its {8 * tensor.element_size()}-bit words"
            )
        if max((crop.height + margin) * (box.height + 32), (crop.width + margin) * (box.width + 32)) >= most:
            raise ValueError(f"image {n}: {crop} to {box} is more than the kernels can count in 32 bits")
        source, start, stride = places[n]
        crop_at = start + crop.top * stride + crop.left
        rectangles = (crop.height, crop.width, box.top, box.left, box.height, box.width)
        flip = int(bool(flips[n])) if flips else 0
        value = (transfer.bits, transfer.shift, int(transfer.signed), tables.place(transfer.table))
        geometry.append((source, crop_at, stride, *rectangles, flip, *value))
        affine.append(_centred(transfer.scale, transfer.offset))
    return Plan(
        words=words,
        geometry=_matrix(geometry, len(COLUMNS), np.int64, device),
        affine=_matrix(affine, 3, np.float32, device),
        tables=tables.joined() if device.type == "cpu" else tables.joined().to(device, non_blocking=True),
        height=height,
        width=width,
        dtype=dtype,
        hints=hints_of(geometry, [len(buffer) for buffer in words], height, width)
        | (LANCZOS if resize == "lanczos" else 0),
    )


def canvas_size(
    images: Sequence[Image], crops: Sequence[Box | None] | None, size: tuple[int, int] | None
) -> tuple[int, int]:
    """Rows and columns of the output: `size`, or the size that all (cropped) images share."""
    if size is not None:
        height, width = (int(n) for n in size)
        if height < 1 or width < 1:
            raise ValueError(f"size is {height} x {width}; both must be at least 1")
        return height, width
    shapes = {tuple(map(int, image.shape)) for image in images}
    if crops is not None:
        pairs = zip(images, crops, strict=True)
        shapes = {(c.height, c.width) if c else tuple(map(int, image.shape)) for image, c in pairs}
    if len(shapes) != 1:
        many = ", ".join(f"{h} x {w}" for h, w in sorted(shapes)[:4]) or "no image"
        raise ValueError(f"without a size all images must have one size, but there are: {many}")
    height, width = shapes.pop()
    return height, width


def _matrix(rows: Sequence[tuple[float, ...]], columns: int, dtype: type[np.generic], device: torch.device) -> Tensor:
    """Rows of numbers on a device. On a CPU by NumPy, which takes 3 us where `torch.tensor` takes 10."""
    if device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.from_numpy(np.array(rows, dtype=dtype).reshape(-1, columns))
    kind = torch.int64 if dtype is np.int64 else torch.float32
    return torch.tensor(rows, dtype=kind).reshape(-1, columns).to(device, non_blocking=True)


def _centred(scale: float, offset: float) -> tuple[float, float, float]:
    """scale * value + offset as scale * (value - origin) + residual, with origin the integer nearest to display 1/2.

    Where it matters, display in [0, 1], both terms are then about 1/2 and float32 errs by 1e-7; with a large offset (a
    narrow CT window) it would err by several steps of 16 bits. What float32 loses of the scale acts in opposite
    directions in dark and bright pixels. An origin out of every value's reach may as well be near.
    """
    origin = 0
    if scale and abs(0.5 - offset) < 1e6 * abs(scale):
        origin = min(max(round((0.5 - offset) / scale), -65536), 131072)
    return scale, float(origin), min(max(offset + scale * origin, -1e30), 1e30)


def _as_words(n: int, image: Image) -> Tensor:
    """The image as a tensor with columns side by side, over the same memory if that is possible."""
    if isinstance(image, np.ndarray):
        if image.dtype not in (np.uint8, np.uint16):
            raise TypeError(f"image {n} is {image.dtype}; stored words are uint8 or uint16 in native byte order")
        item = image.itemsize
        if image.ndim == 2 and (image.strides[1] != item or image.strides[0] < 0 or image.strides[0] % item):
            image = np.ascontiguousarray(image)
        tensor = torch.from_numpy(image if image.flags.writeable else _lent(image))
    elif isinstance(image, Tensor):
        tensor = image
        if tensor.dtype not in (torch.uint8, torch.uint16):
            raise TypeError(f"image {n} is {tensor.dtype}; stored words are torch.uint8 or torch.uint16")
    else:
        raise TypeError(f"image {n} is a {type(image).__name__}; numpy arrays and tensors are accepted")
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise ValueError(f"image {n} has shape {list(tensor.shape)}; rows x columns are needed, both at least 1")
    return tensor if tensor.stride(1) == 1 else tensor.contiguous()


class _Lent:
    """Shows a read-only array to torch, which has no read-only tensors, as writable. No kernel writes to its input."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array  # kept alive by the view
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def _lent(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(_Lent(array))


Place: TypeAlias = tuple[int, int, int]  # buffer, first word, words per row


def _buffers(tensors: list[Tensor], one: bool) -> tuple[list[Tensor], list[Place]]:
    if not one:
        return tensors, [(n, 0, _row_words(tensor)) for n, tensor in enumerate(tensors)]
    storages = {(tensor.untyped_storage().data_ptr(), tensor.dtype) for tensor in tensors}
    if len(storages) == 1:
        starts = [int(tensor.storage_offset()) for tensor in tensors]
        words = tensors[0].untyped_storage().nbytes() // tensors[0].element_size()  # to its end: loads may be wide
        buffer = tensors[0].as_strided((words - min(starts),), (1,), min(starts))
        return [buffer], [(0, s - min(starts), _row_words(t)) for s, t in zip(starts, tensors, strict=True)]
    return _pack(tensors)


def _pack(tensors: list[Tensor]) -> tuple[list[Tensor], list[Place]]:
    """Copy the images into one buffer, rows at a pitch of eight words."""
    if not tensors:
        return [torch.empty(0, dtype=torch.uint16)], []
    dtype = torch.uint8 if all(tensor.dtype == torch.uint8 for tensor in tensors) else torch.uint16
    pitches = [-(-tensor.shape[1] // PITCH_WORDS) * PITCH_WORDS for tensor in tensors]
    starts = np.cumsum([0, *(p * t.shape[0] for p, t in zip(pitches, tensors, strict=True))]).tolist()
    buffer = torch.empty(starts[-1], dtype=dtype, device=tensors[0].device)
    for start, pitch, tensor in zip(starts[:-1], pitches, tensors, strict=True):
        buffer[start : start + pitch * tensor.shape[0]].view(-1, pitch)[:, : tensor.shape[1]].copy_(tensor)
    return [buffer], [(0, start, pitch) for start, pitch in zip(starts[:-1], pitches, strict=True)]


def _row_words(tensor: Tensor) -> int:
    return tensor.stride(0) if tensor.shape[0] > 1 else tensor.shape[1]


class _Tables:
    """The tables of a batch end to end, each array once."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[np.float32]] = []
        self._places: dict[int, int] = {}
        self._length = 0

    def place(self, table: NDArray[np.float32] | None) -> int:
        if table is None:
            return -1
        if id(table) not in self._places:
            self._places[id(table)] = self._length
            self._arrays.append(table)
            self._length += table.size
        return self._places[id(table)]

    def joined(self) -> Tensor:
        return torch.from_numpy(np.concatenate(self._arrays)) if self._arrays else torch.empty(0)


def hints_of(geometry: Sequence[Sequence[int]], lengths: Sequence[int], height: int, width: int) -> int:
    """What holds for the whole batch: SAME, WHOLE, WIDE. `lengths` are the words in each buffer."""
    same, whole, wide = True, True, True
    for source, offset, stride, crop_height, crop_width, _, _, box_height, box_width, *_ in geometry:
        same &= crop_height == box_height and crop_width == box_width
        whole &= box_height == height and box_width == width
        # A wide load may reach the next multiple of eight words, which must still lie in the buffer.
        end = offset + (crop_height - 1) * stride + crop_width
        wide &= stride % PITCH_WORDS == 0 and -(-end // PITCH_WORDS) * PITCH_WORDS <= lengths[source]
    wide &= not same or all(row[1] % PITCH_WORDS == 0 for row in geometry)
    return SAME * same | WHOLE * whole | WIDE * wide
