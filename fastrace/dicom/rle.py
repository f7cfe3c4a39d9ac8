"""RLE Lossless (PS3.5 annex G) decoded to the last sample, whatever bytes follow it.

A segment has an even length, so a byte of padding may end it. The standard says zero; encoders write others, or several, and
imagecodecs then refuses the frame. Here a segment is read until its plane is full. Slower than imagecodecs, hence only the
second chance: a loop over runs, whose bytes are copied at once.
"""

from __future__ import annotations

import struct

import numpy as np

from fastrace.dicom.values import Unusable

_HEADER = 64  # bytes: the number of segments, and 15 offsets


def decode_rle(stream: bytes, rows: int, columns: int, bytes_allocated: int, samples: int = 1) -> np.ndarray:
    """Decode one frame.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 [samples, rows, columns].

    Raises
    ------
    EOFError
        If a segment ends before its plane is full.
    ValueError
        If the header does not fit.
    """
    if len(stream) < _HEADER:
        raise EOFError("the RLE header ends too early")
    count, *offsets = struct.unpack_from("<16I", stream)
    if count != bytes_allocated * samples:
        raise Unusable(f"{count} RLE segments, expected {bytes_allocated * samples}")
    starts = offsets[:count]
    if starts != sorted(starts) or starts[0] < _HEADER:
        raise Unusable("the offsets of the RLE segments are not in order")
    planes = np.empty((samples, bytes_allocated, rows, columns), np.uint8)
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(stream)], strict=True)):
        plane = _unpack(memoryview(stream)[start:end], rows * columns)
        # The most significant byte comes first (PS3.5 G.2).
        planes[number // bytes_allocated, bytes_allocated - 1 - number % bytes_allocated] = plane.reshape(rows, columns)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).view(f"<u{bytes_allocated}")[..., 0]


def _unpack(segment: memoryview, size: int) -> np.ndarray:
    """Decode one segment to `size` bytes by PackBits; what follows is padding."""
    plane = bytearray(size)
    filled, position, end = 0, 0, len(segment)
    while filled < size:
        if position + 1 >= end:
            raise EOFError(f"an RLE segment ends after {filled} of {size} bytes")
        control = segment[position]
        if control < 128:
            taken = min(control + 1, size - filled)
            if position + 1 + taken > end:
                raise EOFError(f"an RLE segment ends after {filled} of {size} bytes")
            plane[filled : filled + taken] = segment[position + 1 : position + 1 + taken]
            position += 2 + control
            filled += taken
        elif control > 128:
            taken = min(257 - control, size - filled)
            plane[filled : filled + taken] = bytes((segment[position + 1],)) * taken
            position += 2
            filled += taken
        else:  # 128 stands for nothing
            position += 1
    return np.frombuffer(plane, np.uint8)
