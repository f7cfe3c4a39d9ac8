"""Damaged, hostile and unusable files: one `RejectedInput` with the right reason, never another exception."""

from __future__ import annotations

import os
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import encode, smooth, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset

from fastrace.dicom import Frame, open_frames
from fastrace.errors import RejectedInput


def refused(path: Path, **options: Any) -> RejectedInput:
    with pytest.raises(RejectedInput) as caught:
        open_frames(path, **options).frame(0)
    assert "\n" not in caught.value.message
    assert str(path) not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 not an image", "not_an_image"),
        (b"patient_id,race\n1,A\n" * 20, "not_an_image"),
        (os.urandom(4096), "not_an_image"),
        (b"\0" * 5000, "not_an_image"),
        (b"\0" * 128 + b"DICM", "truncated"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 300, "truncated"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert refused(tmp_path / "file").reason == reason


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").reason == "unreadable"  # and does not wait for a writer
    assert refused(tmp_path).reason == "unreadable"
    assert refused(tmp_path / "absent").reason == "unreadable"


VALUES = smooth()


@pytest.mark.parametrize(
    ("options", "reason", "part"),
    [
        ({"BitsStored": None}, "bad_header", "Bits Stored (0028,0101) is missing"),
        ({"BitsAllocated": None}, "bad_header", "Bits Allocated (0028,0100) is missing"),
        ({"PixelRepresentation": None}, "bad_header", "Pixel Representation (0028,0103) is missing"),
        ({"Rows": None}, "bad_header", "Rows (0028,0010) is missing"),
        ({"Rows": 0}, "bad_header", "Rows (0028,0010) is 0"),
        ({"PhotometricInterpretation": None}, "bad_header", "Photometric Interpretation (0028,0004) is missing"),
        ({"BitsStored": 17}, "bad_header", "Bits Stored (0028,0101) is 17, expected 1 to 16"),
        ({"HighBit": 3}, "bad_header", "High Bit (0028,0102) is 3, expected 11 to 15"),
        ({"PixelRepresentation": 2}, "bad_header", "Pixel Representation (0028,0103) is 2"),
        ({"PixelData": None}, "no_pixel_data", "Pixel Data (7FE0,0010) is missing"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "color", "is PALETTE COLOR"),
        ({"PhotometricInterpretation": "RGB"}, "color", "is RGB with 1 samples"),
        ({"SamplesPerPixel": 3}, "color", "MONOCHROME2 with 3 samples"),
        ({"BitsAllocated": 32}, "unsupported_bits", "Bits Allocated (0028,0100) is 32"),
        ({"BitsAllocated": 64}, "unsupported_bits", "is 64"),
        ({"NumberOfFrames": 3}, "truncated", "in 3 frame(s) need"),
        ({"Rows": 60000, "Columns": 60000}, "too_large", "60000 x 60000 pixels, more than 268435456"),
        ({"PixelData": b"\0\1" * 100}, "truncated", "has 200 bytes"),
        ({"PixelData": np.full((24, 31), 7, "<u2").tobytes()}, "constant", "are 7"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, options: dict[str, Any], reason: str, part: str
) -> None:
    error = refused(write(tmp_path / "image", VALUES, **options))
    assert error.reason == reason
    assert part in error.message


def with_syntax(path: Path, syntax: str) -> Path:
    """Change the Transfer Syntax UID of a file and nothing else, which no writer allows."""
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 140)[0]
    meta, rest = content[144 : 144 + length], content[144 + length :]
    start = meta.index(b"\x02\x00\x10\x00UI")
    old = struct.unpack_from("<H", meta, start + 6)[0]
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = meta[: start + 6] + struct.pack("<H", len(new)) + new + meta[start + 8 + old :]
    path.write_bytes(content[:140] + struct.pack("<I", len(meta)) + meta + rest)
    return path


@pytest.mark.parametrize(
    ("syntax", "reason", "part"),
    [
        ("1.2.840.10008.1.2.4.100", "unknown_syntax", "MPEG2"),
        ("1.2.3.4.5", "unknown_syntax", "a text that is no known term"),
        ("1.2.840.10008.9.9.9", "unknown_syntax", "1.2.840.10008.9.9.9"),
        (uid.JPEGLosslessSV1, "bad_header", "is not in fragments"),
    ],
)
def test_a_syntax_that_is_unknown_or_does_not_fit(tmp_path: Path, syntax: str, reason: str, part: str) -> None:
    error = refused(with_syntax(write(tmp_path / "image", VALUES), syntax))
    assert error.reason == reason
    assert part in error.message


def test_compressed_pixels_under_an_uncompressed_syntax(tmp_path: Path) -> None:
    stream = encode(uid.RLELossless, VALUES, 12)
    path = write(tmp_path / "image", VALUES, TransferSyntaxUID=uid.RLELossless, codestreams=[stream])
    error = refused(with_syntax(path, uid.ExplicitVRLittleEndian))
    assert error.reason == "bad_header"
    assert "is compressed" in error.message


def test_compressed_pixels_without_a_syntax(tmp_path: Path) -> None:
    stream = encode(uid.RLELossless, VALUES, 12)
    path = write(tmp_path / "image", VALUES, TransferSyntaxUID=uid.RLELossless, codestreams=[stream])
    content = path.read_bytes()
    path.write_bytes(
        content[144 + struct.unpack_from("<I", content, 140)[0] :]
    )  # neither preamble nor meta information
    error = refused(path)
    assert error.reason == "unknown_syntax"
    assert "Transfer Syntax UID (0002,0010) is missing" in error.message


@pytest.mark.parametrize(("rows", "columns", "reason"), [(65535, 65535, "too_large"), (40000, 6000, "truncated")])
def test_a_header_that_claims_a_huge_image_allocates_nothing(
    tmp_path: Path, rows: int, columns: int, reason: str
) -> None:
    path = write(tmp_path / "image", VALUES, Rows=rows, Columns=columns)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(path).reason == reason
    assert refused(path, max_pixels=1 << 40).reason == "truncated"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 65536  # KiB


def test_a_header_of_ten_to_the_five_by_ten_to_the_five_is_refused(tmp_path: Path) -> None:
    """Two bytes cannot hold 10^5; decimal text under a wrong VR can."""
    path = write(tmp_path / "image", VALUES, TransferSyntaxUID=uid.ExplicitVRLittleEndian)
    content = path.read_bytes()
    for element, number in ((0x0010, VALUES.shape[0]), (0x0011, VALUES.shape[1])):
        old = struct.pack("<HH2sHH", 0x0028, element, b"US", 2, number)
        assert content.count(old) == 1
        content = content.replace(old, struct.pack("<HH2sH", 0x0028, element, b"IS", 6) + b"100000")
    path.write_bytes(content)
    error = refused(path)
    assert error.reason == "too_large"
    assert "100000 x 100000" in error.message


def test_float_pixel_data(tmp_path: Path) -> None:
    path = write(tmp_path / "image", VALUES, PixelData=None, FloatPixelData=b"\0\0\0\0" * VALUES.size)
    assert refused(path).reason == "float_pixels"


def test_a_dicomdir_is_an_index_and_no_image(tmp_path: Path) -> None:
    path = write(tmp_path / "DICOMDIR", VALUES, PixelData=None, DirectoryRecordSequence=[Dataset()])
    error = refused(path)
    assert error.reason == "no_pixel_data"
    assert "DICOMDIR" in error.message


def test_a_deflated_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    path = write(tmp_path / "image", VALUES, TransferSyntaxUID=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    end = 144 + struct.unpack_from("<I", content, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(64)) + packer.flush()
    path.write_bytes(content[:end] + bomb)
    assert refused(path, max_pixels=1 << 20).reason == "too_large"


@pytest.mark.parametrize("cut", [1, 60, 300])
def test_a_deflated_file_that_ends_early_is_refused(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "image", VALUES, TransferSyntaxUID=uid.DeflatedExplicitVRLittleEndian)
    assert len(open_frames(path)) == 1
    path.write_bytes(path.read_bytes()[:-cut])
    assert refused(path).reason == "truncated"


@pytest.mark.parametrize(("number", "expected"), [("A1", "A1"), ("", None)])
def test_a_value_representation_that_is_none_never_raises(tmp_path: Path, number: str, expected: str | None) -> None:
    """pydicom raises NotImplementedError for it, for an empty value even where only the raw element is read."""
    path = write(tmp_path / "image", VALUES, AccessionNumber=number)
    content = path.read_bytes()
    assert content.count(b"\x08\0\x50\0SH") == 1
    path.write_bytes(content.replace(b"\x08\0\x50\0SH", b"\x08\0\x50\0S\xff"))
    header = open_frames(path).frame(0).header
    assert (header.accession, header.patient_id) == (expected, "somebody")


SYNTAXES = [
    uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.HTJ2KLossless,
    uid.JPEGBaseline8Bit,
]  # fmt: skip


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("small")
    found = {}
    for syntax in SYNTAXES:
        bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
        values = smooth(bits=bits)
        options: dict[str, Any] = {"bits": bits, "TransferSyntaxUID": syntax, "WindowCenter": 90, "WindowWidth": 90}
        if uid.UID(syntax).is_encapsulated:
            options["codestreams"] = [encode(syntax, values, bits)]
        found[syntax] = write(folder / syntax, values, **options).read_bytes()
    return found


def outcome(path: Path) -> Frame | RejectedInput:
    """Return the first frame or the rejection; anything else that is raised fails the test."""
    try:
        frame = open_frames(path).frame(0)
    except RejectedInput as error:
        return error
    table = frame.display.table()
    assert np.isfinite(table).all()
    assert table.min() >= 0
    assert table.max() <= 1
    assert frame.pixels.ndim == 2
    return frame


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.9999), syntax=st.sampled_from(SYNTAXES))
def test_no_truncation_goes_unnoticed(share: float, syntax: str, small_files: dict[str, bytes], tmp_path: Path) -> None:
    content = small_files[syntax]
    (tmp_path / "cut").write_bytes(content[: int(share * (len(content) - 9))])  # 8 bytes: the sequence delimiter
    found = outcome(tmp_path / "cut")
    assert isinstance(found, RejectedInput)
    # other_object: the file ends inside its SOP Class UID, and what is left of it is the UID of nothing that is known.
    reasons = {"empty", "not_an_image", "truncated", "no_pixel_data", "bad_header", "decode_failed", "other_object"}
    assert found.reason in reasons


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from(SYNTAXES),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    in_header=st.booleans(),
)
def test_no_change_of_bytes_raises_anything_else(
    syntax: str, changes: list[tuple[float, int]], in_header: bool, small_files: dict[str, bytes], tmp_path: Path
) -> None:
    content = bytearray(small_files[syntax])
    reach = min(len(content), 900) - 128 if in_header else len(content) - 128
    for place, byte in changes:
        content[128 + int(place * reach)] = byte
    (tmp_path / "changed").write_bytes(content)
    outcome(tmp_path / "changed")


@pytest.mark.parametrize("name", ["GH184.dcm", "GH227.dcm", "dx_image.dcm", "emri_small_big_endian.dcm"])
def test_small_real_files_survive_truncation_and_changes(test_data: Path, tmp_path: Path, name: str) -> None:
    content = (test_data / "dicom" / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(25):
        (tmp_path / "file").write_bytes(content[: rng.integers(0, len(content))])
        outcome(tmp_path / "file")
        changed = bytearray(content)
        for place in rng.integers(128, min(len(content), 4000), 8):
            changed[place] = rng.integers(0, 256)
        (tmp_path / "file").write_bytes(changed)
        outcome(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04rest", "ZIP"), (b"\x1f\x8b\x08rest", "gzip"), (b"a.dcm".ljust(257, b"\0") + b"ustar\x0000", "tar"),
     (b"7z\xbc\xaf\x27\x1crest", "7-Zip"), (b"BZh91AY", "bzip2"), (b"Rar!\x1a\x07\0", "RAR")],
)  # fmt: skip
def test_a_packed_file_is_named_as_such(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(content)
    with pytest.raises(RejectedInput, match=rf"packed \({kind}\) by its content: unpack it") as caught:
        open_frames(path)
    assert caught.value.reason == "packed"  # a reason of its own: among letters and lists nobody saw it


@pytest.mark.parametrize(
    ("stated", "implicit"), [(uid.ImplicitVRLittleEndian, False), (uid.ExplicitVRLittleEndian, True)]
)
def test_a_data_set_in_another_encoding_than_its_meta_information_says(
    tmp_path: Path, stated: uid.UID, implicit: bool
) -> None:
    path = write(
        tmp_path / "image",
        VALUES,
        TransferSyntaxUID=uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian,
    )
    content = path.read_bytes()
    old = (uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian).encode()
    width = max(len(old), len(stated)) + 1 & ~1
    start = content.index(old, 132) - 8
    length = int.from_bytes(content[start + 6 : start + 8], "little")
    new = (
        content[: start + 6]
        + width.to_bytes(2, "little")
        + stated.encode().ljust(width, b"\0")
        + content[start + 8 + length :]
    )
    group = int.from_bytes(new[140:144], "little") + width - length  # File Meta Information Group Length
    path.write_bytes(new[:140] + group.to_bytes(4, "little") + new[144:])
    frame = open_frames(path).frame(0)
    np.testing.assert_array_equal(frame.pixels, VALUES)
    assert [note.kind for note in frame.notes] == ["syntax"]
