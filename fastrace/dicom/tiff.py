"""The directories of a TIFF file: size and sample form of each page, before anything is decoded (TIFF 6.0, BigTIFF)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fastrace.errors import RejectedInput

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_PAGES = 100_000
_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT = 256, 257, 258, 262, 277, 339
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
    """

    rows: int
    columns: int
    samples: int
    bits: int
    photometric: int
    sample_format: int


def read_directories(content: bytes) -> tuple[Directory, ...]:
    """Walk the chain of image file directories.

    Raises
    ------
    RejectedInput
        ``truncated`` if the chain leaves the file, ``bad_header`` if it runs in a circle.
    """
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    pages: list[Directory] = []
    seen: set[int] = set()
    try:
        position = struct.unpack_from(order + ("Q" if big else "I"), content, 8 if big else 4)[0]
        while position:
            if position in seen or len(seen) >= _MOST_PAGES:
                raise RejectedInput("bad_header", "TIFF directories run in a circle: the file is damaged")
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
    found: dict[int, int] = {}
    for start in range(position, position + count * entry, entry):
        tag, form, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), content, start)
        if form in _FORMS and number:
            inline = struct.calcsize(_FORMS[form]) * number <= (8 if big else 4)
            where = start + (12 if big else 8)
            if not inline:
                where = struct.unpack_from(order + ("Q" if big else "I"), content, where)[0]
            if tag in (_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT):
                found[tag] = struct.unpack_from(order + _FORMS[form], content, where)[0]
    following = struct.unpack_from(order + ("Q" if big else "I"), content, position + count * entry)[0]
    page = Directory(
        rows=found.get(_LENGTH, 0),
        columns=found.get(_WIDTH, 0),
        samples=found.get(_SAMPLES, 1),
        bits=found.get(_BITS, 1),
        photometric=found.get(_PHOTOMETRIC, 1),
        sample_format=found.get(_FORMAT, 1),
    )
    return page, following
