"""Byte orders, missing preambles, offsets: where the pixels lie in a file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import encode, smooth, write
from pydicom import uid

from fastrace.dicom import Frames, open_frames
from fastrace.errors import RejectedInput

NATIVE = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]


def values_of(frames: Frames) -> np.ndarray:
    found = [f.display.words.values()[f.display.words.patterns(f.pixels)] for f in frames]
    return np.stack(found)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda s: s.keyword)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "high_bit"), [(6, 5), (8, 7), (10, 9), (12, 11), (12, 15), (16, 15)])
def test_native_words_in_every_byte_order_and_position(
    tmp_path: Path, syntax: uid.UID, bits: int, high_bit: int, signed: bool
) -> None:
    values = np.stack([smooth(7, 9, bits, signed, seed) for seed in range(3)])
    path = write(tmp_path / "image", values, bits=bits, signed=signed, HighBit=high_bit, TransferSyntaxUID=syntax)
    frames = open_frames(path)
    np.testing.assert_array_equal(values_of(frames), values)
    assert frames.header.transfer_syntax == syntax.name
    assert frames.frame(0).pixels.dtype.isnative


def test_bytes_in_big_endian_words_are_swapped_in_pairs_even_where_a_frame_begins_inside_one(tmp_path: Path) -> None:
    values = np.stack([smooth(5, 7, 8, seed=seed) for seed in range(3)])  # 35 bytes a frame
    stored = values.astype(np.uint8).tobytes() + b"\0"
    swapped = np.frombuffer(stored, "<u2").astype(">u2").tobytes()
    path = write(tmp_path / "a", values, bits=8, TransferSyntaxUID=uid.ExplicitVRBigEndian, PixelData=swapped)
    ds = pydicom.dcmread(path)
    ds["PixelData"].VR = "OW"
    ds.save_as(tmp_path / "b", implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(values_of(open_frames(tmp_path / "b")), values)


@pytest.mark.parametrize("syntax", NATIVE[:3], ids=lambda s: s.keyword)
@pytest.mark.parametrize("keep_meta", [False, True])
def test_a_file_without_preamble_is_read_by_its_content(tmp_path: Path, syntax: uid.UID, keep_meta: bool) -> None:
    values = smooth()
    path = write(tmp_path / "picture.jpg", values, TransferSyntaxUID=syntax)  # a wrong name
    content = path.read_bytes()
    path.write_bytes(content[132 if keep_meta else 144 + struct.unpack_from("<I", content, 140)[0] :])
    frames = open_frames(path)
    np.testing.assert_array_equal(values_of(frames)[0], values)
    assert frames.header.transfer_syntax == syntax.name


def test_sign_extension_is_no_content_outside_the_stored_bits(tmp_path: Path) -> None:
    values = smooth(bits=12, signed=True)
    extended = values.astype("<i2").tobytes()
    frame = open_frames(write(tmp_path / "image", values, signed=True, PixelData=extended)).frame(0)
    assert frame.notes == ()
    np.testing.assert_array_equal(values_of(open_frames(tmp_path / "image"))[0], values)


@pytest.mark.parametrize("declared", [False, True])
def test_bits_above_the_value_are_reported_unless_they_are_a_declared_overlay(tmp_path: Path, declared: bool) -> None:
    values = smooth(bits=12)
    words = (values | (values > 2000) << 12).astype("<u2")
    path = write(tmp_path / "image", values, PixelData=words.tobytes())
    if declared:
        ds = pydicom.dcmread(path)
        ds.add_new((0x6000, 0x0100), "US", 16)
        ds.add_new((0x6000, 0x0102), "US", 12)
        ds.save_as(path)
    frame = open_frames(path).frame(0)
    assert [("bits 0x1000 outside" in note.text) for note in frame.notes] == ([] if declared else [True])
    np.testing.assert_array_equal(values_of(open_frames(path))[0], values)


def test_missing_samples_per_pixel_and_frames_below_one_are_taken_as_one_and_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "image", smooth(), SamplesPerPixel=None, NumberOfFrames=0)
    notes = open_frames(path).frame(0).notes
    assert [note.text.split(" is ")[0] for note in notes] == [
        "Samples per Pixel (0028,0002)",
        "Number of Frames (0028,0008)",
    ]


def test_frames_are_read_one_by_one_and_counted(tmp_path: Path) -> None:
    values = np.stack([smooth(seed=seed) for seed in range(3)])
    frames = open_frames(write(tmp_path / "image", values))
    assert len(frames) == 3
    assert [frame.index for frame in frames] == [0, 1, 2]
    with pytest.raises(IndexError, match="frame 3 of 3"):
        frames.frame(3)
    (tmp_path / "image").write_bytes((tmp_path / "image").read_bytes()[:-10])  # shortened after it was opened
    frames.frame(1)
    with pytest.raises(RejectedInput) as caught:
        frames.frame(2)
    assert caught.value.reason == "truncated"


def test_a_frame_that_is_damaged_leaves_the_others_readable(tmp_path: Path) -> None:
    values = np.stack([smooth(seed=seed) for seed in range(3)])
    streams = [encode(uid.JPEG2000Lossless, v, 12) for v in values]
    streams[1] = streams[1][:60] + b"\0" * (len(streams[1]) - 60)
    path = write(tmp_path / "image", values, TransferSyntaxUID=uid.JPEG2000Lossless, codestreams=streams)
    frames = open_frames(path)
    for index in (0, 2):
        np.testing.assert_array_equal(frames.frame(index).pixels, values[index])
    with pytest.raises(RejectedInput) as caught:
        frames.frame(1)
    assert caught.value.reason == "truncated"


def fragmented(path: Path, change: str) -> Path:
    """Write one JPEG Lossless frame and damage its items."""
    stream = encode(uid.JPEGLosslessSV1, smooth(), 12)
    options: dict[str, Any] = {"TransferSyntaxUID": uid.JPEGLosslessSV1, "codestreams": [stream]}
    content = write(path, smooth(), **options).read_bytes()
    item = content.rindex(b"\xfe\xff\x00\xe0")
    delimiter = content.rindex(b"\xfe\xff\xdd\xe0")
    changed = {
        "no delimiter": content[:delimiter],
        "no item tag": content[:item] + b"\1\2\3\4" + content[item + 4 :],
        "undefined item": content[: item + 4] + b"\xff\xff\xff\xff" + content[item + 8 :],
        "item too long": content[: item + 4] + struct.pack("<I", 1 << 30) + content[item + 8 :],
        "no items": content[: content.index(b"\xfe\xff\x00\xe0")],
        "no end of image": content.replace(b"\xff\xd9", b"\0\0"),
    }
    path.write_bytes(changed[change])
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("no item tag", "bad_header"),
        ("undefined item", "bad_header"),
        ("item too long", "truncated"),
        ("no items", "truncated"),
        ("no end of image", "truncated"),
    ],
)
def test_damaged_fragments_are_refused(tmp_path: Path, change: str, reason: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        open_frames(fragmented(tmp_path / "image", change)).frame(0)
    assert caught.value.reason == reason


def test_a_missing_sequence_delimiter_alone_is_no_damage(tmp_path: Path) -> None:
    frames = open_frames(fragmented(tmp_path / "image", "no delimiter"))
    np.testing.assert_array_equal(values_of(frames)[0], smooth())
