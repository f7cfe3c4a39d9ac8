"""RLE read to the last sample, whatever follows it; never past the end."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from dicom_files import rle, smooth, write
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from fastrace.dicom import open_frames
from fastrace.dicom.rle import decode_rle
from fastrace.errors import RejectedInput


def padded(stream: bytes, padding: bytes) -> bytes:
    """Put bytes behind every segment."""
    count, *offsets = struct.unpack_from("<16I", stream)
    ends = [*offsets[1:count], len(stream)]
    segments = [stream[start:end] + padding for start, end in zip(offsets[:count], ends, strict=True)]
    starts = [64 + sum(map(len, segments[:number])) for number in range(count)]
    return struct.pack("<16I", count, *starts, *[0] * (15 - count)) + b"".join(segments)


PADDINGS = [b"", b"\0", b"\x20", b"\xff", b"\x80", b"\0\0", b"\x7f\x7f\x7f", b"\x81\xff\x20\0", b"\xff" * 40]


@pytest.mark.parametrize("padding", PADDINGS, ids=lambda p: p.hex() or "none")
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_padding_of_any_bytes_and_length_is_passed_over(tmp_path: Path, bits: int, padding: bytes) -> None:
    values = smooth(21, 33, bits)
    words = values.astype(np.uint8 if bits <= 8 else np.uint16)
    stream = padded(rle(words), padding)
    np.testing.assert_array_equal(decode_rle(stream, 21, 33, words.itemsize)[0], words)
    path = write(tmp_path / "image", values, bits=bits, TransferSyntaxUID=uid.RLELossless, codestreams=[stream])
    np.testing.assert_array_equal(open_frames(path).frame(0).pixels, words)


@given(st.binary(max_size=200))
def test_any_bytes_give_the_size_asked_for_or_an_error(content: bytes) -> None:
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    with contextlib.suppress(EOFError, ValueError):
        assert decode_rle(header + content, 7, 9, 1).shape == (1, 7, 9)


def test_a_segment_that_ends_too_early_is_truncated(tmp_path: Path) -> None:
    values = smooth(21, 33)
    stream = rle(values.astype(np.uint16))
    path = write(tmp_path / "image", values, TransferSyntaxUID=uid.RLELossless, codestreams=[stream[:-30]])
    with pytest.raises(RejectedInput) as caught:
        open_frames(path).frame(0)
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("header", [(2, 64, 70), (1, 10), (0,)])
def test_a_header_that_does_not_fit_is_refused(header: tuple[int, ...]) -> None:
    stream = struct.pack("<16I", *header, *[0] * (16 - len(header))) + bytes(100)
    with pytest.raises(ValueError, match="segments"):
        decode_rle(stream, 3, 3, 1)
