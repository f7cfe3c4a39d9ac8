"""Lookup tables of a data set: Modality LUT, VOI LUT and palettes (PS3.3 C.11.1.1, C.7.6.3.1.5), and what files make of them."""

from __future__ import annotations

import struct

import numpy as np
from pydicom.dataset import Dataset

from fastrace.dicom.display import Lut
from fastrace.dicom.values import Unusable, attribute, numbers, stored_bytes, value, why
from fastrace.errors import RejectedInput

_LARGEST_LUT_BYTES = 1 << 18  # twice the largest


def read_lut(
    item: Dataset, named: str, *, signed: bool, descriptor: str = "LUTDescriptor", data: str = "LUTData"
) -> Lut | None:
    """Read one LUT; None where both descriptor and data are empty (an item that was cleaned out).

    Parameters
    ----------
    item : Dataset
        What holds the two attributes.
    named : str
        Keyword of the sequence or attribute that a message names.
    signed : bool
        Whether the input of the table is signed.
    descriptor, data : str
        Keywords of the two attributes.

    Raises
    ------
    RejectedInput
        ``bad_header``.
    """
    if stored_bytes(item, data) > _LARGEST_LUT_BYTES:  # as numbers of Python they would be ten times as large
        raise RejectedInput("bad_header", f"{attribute(data)} in {attribute(named)} has more than 65536 entries")
    stored = value(item, data)
    try:
        described = _descriptor(item, descriptor)
        if not described and stored is None:
            return None
        if len(described) != 3 or stored is None:
            raise Unusable(f"{len(described)} of 3 values, LUT Data {'missing' if stored is None else 'present'}")
        count = described[0] or 1 << 16  # 65536 does not fit the two bytes (C.11.1.1)
        # The second value has the sign of its input; files write -1024 as 64512 where the VR is unsigned.
        first = described[1] - (1 << 16) if signed and described[1] >= 1 << 15 else described[1]
        entries = _entries(item, stored, count)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise RejectedInput(
            "bad_header", f"{attribute(descriptor)} in {attribute(named)} does not fit: {why(error)}"
        ) from error
    bits = described[2]
    if not 8 <= bits <= 16 or int(entries.max()) >> bits:
        bits = max(8, int(entries.max()).bit_length())  # the third value is wrong; the entries show what they need
    return Lut(first, entries, bits)


def _descriptor(item: Dataset, keyword: str) -> list[int]:
    raw = value(item, keyword)
    if isinstance(raw, bytes):  # a VR of bytes instead of US or SS
        return list(struct.unpack("<3H", raw[:6]))
    found = [int(v) for v in numbers(item, keyword)]
    # Read as SS, 65535 entries and 16 bits come out negative; only the second value may be (C.11.1.1).
    return [v & 0xFFFF if i != 1 else v for i, v in enumerate(found)]


def _entries(item: Dataset, data: object, count: int) -> np.ndarray:
    """Return `count` entries as uint16: 16-bit words, or bytes packed two to a word."""
    if isinstance(data, bytes):
        order = ">" if item.original_encoding[1] is False else "<"
        words = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype(np.uint16)
    else:
        listed = np.array(data if isinstance(data, int) else list(data), np.int64).reshape(-1)  # type: ignore[call-overload]
        words = (listed & 0xFFFF).astype(np.uint16)
    if len(words) >= count:
        return words[:count]
    packed = words.astype("<u2").view(np.uint8)  # the first entry is the low byte of the first word
    if len(packed) in (count, count + 1):
        return packed[:count].astype(np.uint16)
    raise Unusable(f"{count} entries declared, {len(words)} present")
