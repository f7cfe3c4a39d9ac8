"""The directories of a TIFF file: size and sample form of each page, before anything is decoded (TIFF 6.0, BigTIFF).

libtiff allocates what the tags claim: pixels x samples x depth, and one tile. What decides that is read here, and refused where
libtiff might read it otherwise: a tag that is there twice, without a value, or of a form that is no whole number.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from fastrace.errors import RejectedInput

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_PAGES, _MOST_ENTRIES = 4096, 1024
_MOST_SAMPLES = 4  # red, green, blue, opacity
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 258, 259, 262, 277, 284
_TILE_WIDTH, _TILE_LENGTH, _FORMAT, _DEPTH, _TILE_DEPTH = 322, 323, 339, 32997, 32998
_READ = frozenset(range(256, 260)) | {
    _PHOTOMETRIC,
    _SAMPLES,
    _PLANAR,
    _TILE_WIDTH,
    _TILE_LENGTH,
    _FORMAT,
    _DEPTH,
    _TILE_DEPTH,
}
_JPEG = (6, 7)  # Compression: libtiff gives four samples of eight bits
_YCBCR = 6  # PhotometricInterpretation: as for JPEG
_LARGEST_TILE = 64 << 20
_FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8


@dataclass(frozen=True)
class Directory:
    """One page.

    Parameters
    ----------
    rows, columns, samples : int
        ImageLength, ImageWidth, SamplesPerPixel.
    bits : int
        BitsPerSample of the first sample.
    photometric : int
        0 white is zero, 1 black is zero, 2 RGB, 3 palette.
    sample_format : int
        1 unsigned, 2 signed, 3 floating point.
    planar : bool
        Whether the samples of a pixel lie in planes of their own.
    as_rgb : bool
        Whether libtiff gives it as four samples of eight bits: JPEG or YCbCr inside.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    photometric: int
    sample_format: int
    planar: bool = False
    as_rgb: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array that libtiff fills."""
        if self.as_rgb:
            return (self.rows, self.columns, 4)
        if self.samples == 1:
            return (self.rows, self.columns)
        return (self.samples, self.rows, self.columns) if self.planar else (self.rows, self.columns, self.samples)

    @property
    def bytes(self) -> int:
        """Of that array."""
        return math.prod(self.shape) * (1 if self.as_rgb else max(1, self.bits // 8))


def read_directories(content: bytes) -> tuple[Directory, ...]:
    """Walk the chain of image file directories.

    Raises
    ------
    RejectedInput
        ``truncated`` if the chain leaves the file, ``bad_header`` if it runs in a circle or is ambiguous, ``too_large``.
    """
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    pages: list[Directory] = []
    seen: set[int] = set()
    try:
        position = struct.unpack_from(order + ("Q" if big else "I"), content, 8 if big else 4)[0]
        while position:
            if position in seen:
                raise RejectedInput("bad_header", "TIFF directories run in a circle: the file is damaged")
            if len(seen) >= _MOST_PAGES:
                raise RejectedInput("too_large", f"TIFF with more than {_MOST_PAGES} pages: divide it")
            seen.add(position)
            page, position = _read_directory(content, position, order, big)
            pages.append(page)
    except struct.error:
        raise RejectedInput("truncated", "TIFF directory outside the file: fetch the file again") from None
    if not pages:
        raise RejectedInput("bad_header", "TIFF without a page")
    return tuple(pages)


def _read_directory(content: bytes, position: int, order: str, big: bool) -> tuple[Directory, int]:
    count = struct.unpack_from(order + ("Q" if big else "H"), content, position)[0]
    position += 8 if big else 2
    entry = 20 if big else 12
    if position + count * entry > len(content):
        raise struct.error
    if count > _MOST_ENTRIES:
        raise RejectedInput("bad_header", f"TIFF directory with {count} tags: the file is damaged")
    found: dict[int, int] = {}
    for start in range(position, position + count * entry, entry):
        tag, form, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), content, start)
        if tag not in _READ:
            continue
        if tag in found or form not in _FORMS or not number:
            raise RejectedInput(
                "bad_header", f"TIFF tag {tag} is there twice, or is no whole number: the file is damaged"
            )
        inline = struct.calcsize(_FORMS[form]) * number <= (8 if big else 4)
        where = start + (12 if big else 8)
        if not inline:
            where = struct.unpack_from(order + ("Q" if big else "I"), content, where)[0]
        found[tag] = struct.unpack_from(order + _FORMS[form], content, where)[0]
    following = struct.unpack_from(order + ("Q" if big else "I"), content, position + count * entry)[0]
    return _page(found), following


def _page(found: dict[int, int]) -> Directory:
    page = Directory(
        rows=found.get(_LENGTH, 0),
        columns=found.get(_WIDTH, 0),
        samples=found.get(_SAMPLES, 1),
        bits=found.get(_BITS, 1),
        photometric=found.get(_PHOTOMETRIC, 1),
        sample_format=found.get(_FORMAT, 1),
        planar=found.get(_PLANAR, 1) == 2,
        as_rgb=found.get(_COMPRESSION, 1) in _JPEG or found.get(_PHOTOMETRIC, 1) == _YCBCR,
    )
    if not 1 <= page.samples <= _MOST_SAMPLES:
        raise RejectedInput("bad_header", f"TIFF with {page.samples} samples per pixel, expected 1 to {_MOST_SAMPLES}")
    if max(found.get(_DEPTH, 1), found.get(_TILE_DEPTH, 1)) > 1:
        raise RejectedInput("bad_header", "TIFF with ImageDepth above 1: a volume, expected one plane a page")
    if (_TILE_WIDTH in found) != (_TILE_LENGTH in found):  # libtiff takes the image's own for the other one
        raise RejectedInput("bad_header", "TIFF with one of TileWidth and TileLength: the file is damaged")
    tile = found.get(_TILE_WIDTH, 1) * found.get(_TILE_LENGTH, 1) * page.samples * max(1, page.bits // 8)
    if tile > max(_LARGEST_TILE, 4 * page.bytes):
        raise RejectedInput("too_large", f"TIFF whose tiles claim {tile >> 20} MiB each: the file is damaged")
    return page
