"""Files that claim much and cost little: what each is, and how it must end. None of them needs its claimed size on disk."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from dicom_files import encode, smooth, write
from PIL import Image
from pydicom import uid

VALUES = smooth()
Make = Callable[[Path], Any]


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One explicit little-endian element of a VR with four bytes of length."""
    return (
        struct.pack("<HH", group, number)
        + vr
        + b"\0\0"
        + struct.pack("<I", len(value) if length is None else length)
        + value
    )


def before_pixels(path: Path, added: bytes, skip: int = 0, **options: Any) -> None:
    """Put bytes, and `skip` bytes that are not on the disk, before the pixel data of a good file."""
    content = write(path, VALUES, **options).read_bytes()
    place = content.rindex(b"\xe0\x7f\x10\x00O")
    with path.open("wb") as file:
        file.write(content[:place] + added)
        file.seek(skip, os.SEEK_CUR)
        file.write(content[place:])


def sparse(path: Path, size: int) -> None:
    os.truncate(path, size)


def fragments(path: Path, streams: list[bytes], **options: Any) -> None:
    write(path, VALUES, TransferSyntaxUID=uid.JPEGLosslessSV1, codestreams=streams, **options)


def private_of_2_gib(path: Path) -> None:
    before_pixels(path, element(0x0009, 0x1001, b"UN", b"", (1 << 31) - 2), (1 << 31) - 2)


def text_of_2_gib(path: Path) -> None:
    before_pixels(path, element(0x0020, 0x4000, b"SV", b"", (1 << 31) - 2), (1 << 31) - 2)


def sequence_of_zeros(path: Path) -> None:
    before_pixels(path, element(0x5200, 0x9230, b"SQ", b"\0" * (1 << 20)))


def many_items(path: Path) -> None:
    before_pixels(path, element(0x5200, 0x9230, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 300_000))


def long_lut(path: Path) -> None:
    """16 million entries, which would be half a gibibyte of numbers."""
    inner = struct.pack("<HH2sH3H", 0x0028, 0x3002, b"US", 6, 0, 0, 16) + element(
        0x0028, 0x3006, b"OW", bytes(30 << 20)
    )
    value = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    before_pixels(path, element(0x0028, 0x3010, b"SQ", value))


def nested(path: Path, *, defined: bool) -> None:
    value = b""
    for _ in range(3000):
        end = b"" if defined else struct.pack("<HHIHHI", 0xFFFE, 0xE0DD, 0, 0xFFFE, 0xE00D, 0)
        inner = element(0x0028, 0x3010, b"SQ", value, None if defined else 0xFFFFFFFF) + end
        value = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner) if defined else 0xFFFFFFFF) + inner
    end = b"" if defined else struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    before_pixels(path, element(0x0028, 0x3010, b"SQ", value + end, None if defined else 0xFFFFFFFF))


def deflated_zeros(path: Path) -> None:
    content = write(path, VALUES, TransferSyntaxUID=uid.DeflatedExplicitVRLittleEndian).read_bytes()
    end = 144 + struct.unpack_from("<I", content, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(content[:end] + b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush())


def deflated_claim(path: Path) -> None:
    """Says far behind the place where it is looked for that it is deflated: pydicom would inflate all of it."""
    deflated_zeros(path)
    content = path.read_bytes()
    end = 144 + struct.unpack_from("<I", content, 140)[0]
    padded = element(0x0002, 0x0001, b"OB", bytes(5000)) + content[144:end]
    path.write_bytes(content[:140] + struct.pack("<I", len(padded)) + padded + content[end:])


def fragment_of_3_gib(path: Path) -> None:
    fragments(path, [encode(uid.JPEGLosslessSV1, VALUES, 12)])
    content = path.read_bytes()
    item = content.rindex(b"\xfe\xff\x00\xe0")
    path.write_bytes(content[: item + 4] + struct.pack("<I", 3 << 30) + content[item + 8 :])
    sparse(path, item + 8 + (3 << 30))


def empty_fragments(path: Path) -> None:
    fragments(path, [encode(uid.JPEGLosslessSV1, VALUES, 12)])
    content = path.read_bytes()
    item = content.rindex(b"\xfe\xff\x00\xe0")
    path.write_bytes(content[:item] + b"\xfe\xff\x00\xe0\0\0\0\0" * 2_000_000 + content[item:])


def frames_of_one_pixel(path: Path) -> None:
    write(path, VALUES, Rows=1, Columns=1, NumberOfFrames=2147483647)
    sparse(path, 5 << 30)


def j2k(path: Path, change: Callable[[bytearray], None]) -> None:
    stream = bytearray(encode(uid.JPEG2000Lossless, VALUES, 12))
    change(stream)
    write(path, VALUES, TransferSyntaxUID=uid.JPEG2000Lossless, codestreams=[bytes(stream)])


def large_j2k(path: Path) -> None:
    """16384 x 16384 pixels, which OpenJPEG would hold in 2 GiB."""
    stream = bytearray(encode(uid.JPEG2000Lossless, VALUES, 12))
    struct.pack_into(">II", stream, 8, 16384, 16384)
    struct.pack_into(">II", stream, 24, 16384, 16384)
    options: dict[str, Any] = {"TransferSyntaxUID": uid.JPEG2000Lossless, "codestreams": [bytes(stream)]}
    write(path, VALUES, Rows=16384, Columns=16384, **options)


def tiny_tiles(stream: bytearray) -> None:
    struct.pack_into(">II", stream, 8, 16384, 16384)
    struct.pack_into(">II", stream, 24, 16, 16)


def layers(stream: bytearray) -> None:
    coding = stream.find(b"\xff\x52")
    struct.pack_into(">H", stream, coding + 6, 65535)
    struct.pack_into(">II", stream, 8, 4000, 4000)
    struct.pack_into(">II", stream, 24, 4000, 4000)
    levels = stream[coding + 9]
    stream[coding + 4] |= 1  # precincts of its own: 4 x 4 pixels
    struct.pack_into(">H", stream, coding + 2, 13 + levels)
    stream[coding + 14 : coding + 14] = b"\x22" * (levels + 1)


def tiff(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    described = [
        (256, 3, 1, 40),
        (257, 3, 1, 20),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (279, 4, 1, 800),
    ]
    tags = sorted([*(t for t in described if t[0] not in {e[0] for e in entries}), *entries])
    return (
        struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0) + bytes(range(200)) * 4
    )  # fmt: skip


def png_with_bombs(path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray((VALUES >> 4).astype(np.uint8)).save(content, format="PNG")
    body = b"name\0\0" + zlib.compress(bytes(8 << 20), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    png = content.getvalue()
    path.write_bytes(png[:33] + chunk * 900 + png[33:])


def many_scans(path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray((VALUES >> 4).astype(np.uint8)).save(content, format="JPEG", progressive=True)
    jpeg = content.getvalue()
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    path.write_bytes(jpeg[:-2] + scan * 3000 + b"\xff\xd9")


# Name -> (how it is made, the reason of its rejection or None where the image is still there to be read, part of the message).
HOSTILE: dict[str, tuple[Make, str | None, str]] = {
    "private element of 2 GiB": (private_of_2_gib, None, ""),
    "text of 2 GiB": (text_of_2_gib, "bad_header", "(0020,4000) claims 2147483646 bytes"),
    "sequence of a mebibyte of zeros": (sequence_of_zeros, "bad_header", "(5200,9230) is no sequence"),
    "300,000 items": (many_items, "bad_header", "(5200,9230) is no sequence of at most 65536 items"),
    "a LUT of 16 million entries": (long_lut, "bad_header", "LUT Data (0028,3006) in VOI LUT Sequence"),
    "nested 3,000 deep": (lambda path: nested(path, defined=False), "bad_header", "RecursionError"),
    "a gibibyte of zeros, deflated": (deflated_zeros, "too_large", "more than 196608 elements"),
    "deflated, as is said too late": (deflated_claim, "bad_header", "its meta information is damaged"),
    "fragment of 3 GiB": (fragment_of_3_gib, "bad_header", "a compressed frame of 24 x 31 pixels has 3221225472 bytes"),
    "2,000,000 fragments": (empty_fragments, "too_large", "has more than 262144 fragments"),
    "2^31 frames": (frames_of_one_pixel, "too_large", "Number of Frames (0028,0008) is 2147483647"),
    "JPEG 2000 of 2 GiB": (large_j2k, "too_large", "would need 2048 MiB of memory"),
    "a million tiles": (lambda path: j2k(path, tiny_tiles), "decode_failed", ""),
    "65535 layers": (lambda path: j2k(path, layers), "decode_failed", ""),
    "60,000 samples": (lambda path: path.write_bytes(tiff((277, 3, 1, 60000))), "bad_header", "60000 samples"),
    "60,000 samples, said first": (
        lambda path: path.write_bytes(tiff((277, 3, 1, 60000), (277, 3, 1, 60001))), "bad_header", "tag 277 is there twice",
    ),
    "60,000 samples as a signed number": (lambda path: path.write_bytes(tiff((277, 8, 1, 30000))), "bad_header", "tag 277"),
    "a volume": (lambda path: path.write_bytes(tiff((32997, 4, 1, 1 << 20))), "bad_header", "ImageDepth"),
    "a tile of 1 GiB": (
        lambda path: path.write_bytes(tiff((322, 4, 1, 1 << 15), (323, 4, 1, 1 << 15), (324, 4, 1, 8), (325, 4, 1, 800))),
        "too_large", "tiles claim 1024 MiB",
    ),
    # Two and three pages of 40 x 56 pixels became 0.7 and 2.8 GB: libtiff takes the image's own side for the missing one.
    "a tile's width without its length": (
        lambda path: path.write_bytes(tiff((322, 4, 1, 16777217))), "bad_header", "one of TileWidth and TileLength",
    ),
    "a tile's length without its width": (
        lambda path: path.write_bytes(tiff((323, 4, 1, 16777217))), "bad_header", "one of TileWidth and TileLength",
    ),
    "a TIFF of 90 GiB": (lambda path: (path.write_bytes(tiff()), sparse(path, 90 << 30)), "too_large", "raster file"),
    "900 texts of 8 MiB in a PNG": (png_with_bombs, None, ""),
    "a PNG of 2^32 pixels": (
        lambda path: path.write_bytes(imagecodecs.png_encode(np.ones((2, 2), np.uint8)).replace(
            struct.pack(">II", 2, 2), struct.pack(">II", 1 << 16, 1 << 16), 1)), "too_large", "65536 x 65536",
    ),
    "3,000 scans": (many_scans, "bad_header", "scans, more than 64"),
}  # fmt: skip
