"""Streams that were cut short and closed with an end marker: a decoder fills what is missing and says nothing.

CharLS and OpenJPEG refuse such streams themselves. For the others the stream is looked at, in this order, because each look
costs more than the one before:

1. JPEG 2000 and HTJ2K: each tile-part states its length (Psot, ITU-T T.800 A.4.2); together they must end at the end marker.
2. JPEG: every component has its scans, and those of a progressive image reach bit 0 of all 64 coefficients (T.81 G.1.1.1);
   where restart intervals are declared, all of them are there (T.81 E.1.3).
3. JPEG, sequential: libjpeg shows blocks and rows that are missing in the middle of the range; the rest of the row in which a
   lossless image was cut it reads as zero bits, which then are fewer in the stream than the row needs. An image that does not
   end so is whole, but for less than its last block, or less than its last row where that row and the ones above
   it are flat.
4. Else the stream is decoded again with other bytes before the end marker. A whole stream has no use for them; a cut one
   takes them for the samples that it lacks, and the image changes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import numpy as np

_SEQUENTIAL_DCT, _PROGRESSIVE, _LOSSLESS = (0xC0, 0xC1), 0xC2, 0xC3
_SOF = (*_SEQUENTIAL_DCT, _PROGRESSIVE, _LOSSLESS)
_DHT, _SOS, _DRI, _SOT = 0xC4, 0xDA, 0xDD, b"\xff\x90"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in entropy-coded data: neither a stuffed byte nor a restart
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_LONGEST_ROW = 1 << 18  # bytes: 65535 samples of at most 32 bits
_FILL = np.random.default_rng(20261129).integers(1, 255, 192, np.uint8).tobytes()  # any bytes but 0xFF


@dataclass
class _Jpeg:
    """Headers of a JPEG stream: its frame, and its scans as (components, Ss, Se, Ah, Al, first byte, end)."""

    process: int = 0
    precision: int = 0
    rows: int = 0
    columns: int = 0
    components: dict[int, tuple[int, int]] = field(default_factory=dict)  # id -> sampling factors
    interval: int = 0
    zeros: list[tuple[int, int]] = field(
        default_factory=list
    )  # per Huffman table: what zero bits stand for, and how many
    scans: list[tuple[list[int], int, int, int, int, int, int]] = field(default_factory=list)


def jpeg_is_cut(stream: bytes, samples: np.ndarray, decode: Callable[[bytes], np.ndarray]) -> bool:
    """Tell whether a JPEG stream lacks a part of the samples that were decoded from it.

    Parameters
    ----------
    stream : bytes
        One image with its end marker.
    samples : numpy.ndarray
        What `decode` made of it, [rows, columns] or [rows, columns, components].
    decode : callable
        The decoder.
    """
    found = _read_headers(stream)
    if found.process not in _SOF or not found.scans:
        return False  # a process that libjpeg does not decode
    if not _all_scans(found) or not _all_intervals(found, stream):
        return True
    if not found.interval and not _may_be_filled(found, stream, samples):
        return False
    end = found.scans[-1][6]
    try:
        again = decode(stream[:end].rstrip(b"\xff") + _FILL + stream[end:])  # a single 0xFF would make a marker of them
    except Exception:  # each codec has its own error type
        return True
    return not np.array_equal(samples, again)


def jpeg_2000_is_cut(stream: bytes) -> bool:
    """Tell whether the tile-parts of a JPEG 2000 or HTJ2K codestream do not end at its end marker."""
    start = stream.find(b"\xff\x4f\xff\x51")  # behind the boxes of a JP2 file
    end = stream.rfind(b"\xff\xd9")
    position = start + 2
    while stream[position : position + 2] != _SOT:  # segments of the main header
        if position + 4 > end:
            return True
        position += 2 + struct.unpack_from(">H", stream, position + 2)[0]
    while position + 12 <= end and stream[position : position + 2] == _SOT:
        length = struct.unpack_from(">I", stream, position + 6)[0]
        if length == 0:  # the last tile-part, which reaches to the end marker
            return False
        position += length
    return position != end


def _read_headers(stream: bytes) -> _Jpeg:
    found, position = _Jpeg(), 2
    while position + 4 <= len(stream):
        marker = stream[position + 1]
        if stream[position] != 0xFF:
            break
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            break
        length = struct.unpack_from(">H", stream, position + 2)[0]
        body = stream[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in _SOF and len(body) >= 6:
            found.process, found.precision = marker, body[0]
            found.rows, found.columns = struct.unpack_from(">HH", body, 1)
            found.components = {
                body[i]: (body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body) - 2, 3) if body[i + 1]
            }
        elif marker == _DHT:
            while len(body) > 17:
                length = next((n for n in range(1, 17) if body[n]), 16)
                found.zeros.append((body[17], length))
                body = body[17 + sum(body[1:17]) :]
        elif marker == _DRI and len(body) >= 2:
            found.interval = struct.unpack(">H", body[:2])[0]
        elif marker == _SOS and body and len(body) >= 4 + 2 * body[0]:
            named = [body[1 + 2 * i] for i in range(body[0])]
            first, last, approximation = body[1 + 2 * body[0] :][:3]
            end = stream.rfind(b"\xff\xd9", position)
            if found.process == _PROGRESSIVE or len(found.components) > 1:  # there may be more scans
                following = _MARKER.search(stream, position)
                end = following.start() if following else end
            end = len(stream) if end < 0 else end
            scan = (named, first, last, approximation >> 4, approximation & 15, position, end)
            found.scans.append(scan)
            position = end
    return found


def _all_scans(found: _Jpeg) -> bool:
    if found.process != _PROGRESSIVE:
        seen = {component for scan in found.scans for component in scan[0]}
        return seen >= set(found.components)
    reached = {component: [-1] * 64 for component in found.components}  # bit down to which each coefficient is known
    for named, first, last, _, low, _, _ in found.scans:
        for component in named:
            for coefficient in range(first, min(last, 63) + 1):
                reached.setdefault(component, [-1] * 64)[coefficient] = low
    return all(bit == 0 for known in reached.values() for bit in known)


def _all_intervals(found: _Jpeg, stream: bytes) -> bool:
    if not found.interval:
        return True
    named, *_, start, end = found.scans[-1]
    side = 1 if found.process == _LOSSLESS else 8
    # A scan of one component has one block a unit; an interleaved one as many as the sampling factors say (T.81 A.2).
    most = [max(factors[i] for factors in found.components.values()) for i in (0, 1)] if found.components else [1, 1]
    if len(named) == 1:
        own = found.components.get(named[0], (1, 1))
        across, down = (
            ceil(ceil(size * own[i] / most[i]) / side) for i, size in enumerate((found.columns, found.rows))
        )
    else:
        across, down = ceil(found.columns / (side * most[0])), ceil(found.rows / (side * most[1]))
    expected = ceil(across * down / found.interval) - 1
    return sum(1 for _ in _RESTART.finditer(stream, start, end)) >= expected


def _may_be_filled(found: _Jpeg, stream: bytes, samples: np.ndarray) -> bool:
    """Tell whether the last block or sample of a sequential image is one that libjpeg may have filled in."""
    middle = 1 << max(found.precision - 1, 0)
    if found.process in _SEQUENTIAL_DCT and samples.ndim == 2:
        rows, columns = samples.shape
        block = samples[(rows - 1) // 8 * 8 :, (columns - 1) // 8 * 8 :]
        return bool((block == middle).all())
    if found.process in _SEQUENTIAL_DCT and samples.ndim == 3 and samples.shape[2] == 3:
        return bool((np.abs(samples[-1, -1].astype(np.int64) - middle) <= 1).all())
    if found.process != _LOSSLESS or samples.ndim != 2 or min(samples.shape) < 2:
        return True
    selection, shift, end = found.scans[-1][1], found.scans[-1][4], found.scans[-1][6]
    if samples[-1, -1] >> shift == middle >> shift:
        return True
    differences = _last_differences(samples[-2:].astype(np.int32) >> shift, selection)
    if differences is None or len(found.zeros) != 1:
        return True
    (category, length), *_ = found.zeros
    # n bits that are all 0 are the difference 1 - 2**n (T.81 H.1.2.2), and all is modulo 2**16.
    filled = (differences - 1 + (1 << category)) & 0xFFFF == 0
    run = len(filled) if filled.all() else int(filled[::-1].argmin())
    return run > 0 and _zero_bits(stream[max(0, end - _LONGEST_ROW) : end]) < run * (length + category)


def _last_differences(rows: np.ndarray, selection: int) -> np.ndarray | None:
    """What the last of two rows adds to its predictions, but for its first sample (T.81 H.1.2.1)."""
    left, above, beside = rows[1, :-1], rows[0, 1:], rows[0, :-1]
    predictions = {
        1: left,
        2: above,
        3: beside,
        4: left + above - beside,
        5: left + (above - beside >> 1),
        6: above + (left - beside >> 1),
        7: left + above >> 1,
    }
    return rows[1, 1:] - predictions[selection] if selection in predictions else None


def _zero_bits(data: bytes) -> int:
    """How many bits before the padding (up to 7 bits that are 1) are 0."""
    data = data.rstrip(b"\xff")
    if data.endswith(b"\xff\0"):  # a stuffed byte
        return 0
    ones = 0
    last = data[-1] if data else 0
    while ones < 7 and last & 1:
        last, ones = last >> 1, ones + 1
    if last:
        return (last & -last).bit_length() - 1
    body = data[:-1]
    kept = body.rstrip(b"\0")
    zeros = 8 - ones + 8 * (len(body) - len(kept))
    if kept.endswith(b"\xff") and len(kept) < len(body):  # the first of these zero bytes was stuffed
        zeros -= 8
    return zeros + ((kept[-1] & -kept[-1]).bit_length() - 1 if kept else 0)
