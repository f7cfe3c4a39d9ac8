"""The frame header of a compressed frame, read before any decoder is called.

A hostile or damaged codestream can claim 65535 x 65535 samples inside a file whose header states 512 x 512; decoders
allocate that much. So size, precision and sign come from here first: SOF of JPEG and JPEG-LS (ITU-T T.81 B.2.2, T.87 C.2.2),
SIZ and COD of JPEG 2000 and HTJ2K (T.800 A.5.1, A.6.1). Nothing is decoded here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Frame headers: Huffman and arithmetic SOFs (C4, C8 and CC are other segments), and SOF55 of JPEG-LS.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_LOSSLESS, _JPEG_LS = 0xC3, 0xF7
_WITHOUT_LENGTH = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_SOS, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
_COD, _MAIN_HEADER_ENDS = 0x52, frozenset({0x90, 0xD9})  # start of a tile-part, end of the codestream


@dataclass(frozen=True)
class Codestream:
    """The shape of the samples in one compressed frame.

    Parameters
    ----------
    rows, columns, components : int
        As the stream claims them.
    precision : int
        Bits per sample.
    signed : bool
        True only for JPEG 2000 streams of signed samples; JPEG and JPEG-LS do not hold it.
    complete : bool
        Whether the end-of-image marker is there. libjpeg fills what is missing with grey and CharLS may not return.
    lossy : bool
        Whether the stream says that its samples are not exact: a DCT, NEAR above 0 in JPEG-LS, the irreversible wavelet (9-7).
    levels : int
        Of the wavelet decomposition, JPEG 2000 and HTJ2K: the image is also there at 1/2, 1/4 ... 1/2**levels; else 0.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool
    complete: bool
    lossy: bool = False
    levels: int = 0


def read_codestream(stream: bytes) -> Codestream | None:
    """Return its frame header, None if it is neither JPEG, JPEG-LS nor JPEG 2000."""
    try:
        if stream[:2] == b"\xff\xd8":
            return _read_jpeg(stream)
        if stream[:4] == b"\xff\x4f\xff\x51":
            return _read_siz(stream, 0)
        if stream[4:8] == b"jP  ":  # a JP2 file instead of the bare codestream that PS3.5 A.4.4 requires
            start = stream.find(b"\xff\x4f\xff\x51", 0, 65536)
            return _read_siz(stream, start) if start >= 0 else None
    except (struct.error, IndexError):  # ended inside a header
        return None
    return None


def _read_jpeg(stream: bytes) -> Codestream | None:
    position, size, process, lossy = 2, None, 0, True
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            return None
        marker = stream[position + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # fill byte, or a marker without segment
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _SOF:
            size = struct.unpack_from(">BHHB", stream, position + 4)
            process = marker
        if marker == _SOS:
            near = position + 5 + 2 * stream[position + 4]  # behind the components (T.87 C.2.3)
            lossy = stream[near : near + 1] != b"\0" if process == _JPEG_LS else process != _LOSSLESS
            break
        position += 2 + struct.unpack_from(">H", stream, position + 2)[0]
    if size is None:
        return None
    precision, rows, columns, components = size
    # The marker cannot occur inside entropy-coded data, and an EOI before SOS is a thumbnail's.
    return Codestream(rows, columns, components, precision, False, stream.rfind(_END_OF_IMAGE) > position, lossy)


def _read_siz(stream: bytes, start: int) -> Codestream | None:
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", stream, start + 8)
    components, depth, step_x, step_y = struct.unpack_from(">HBBB", stream, start + 40)
    if 0 in (tile_width, tile_height, step_x, step_y):  # OpenJPH divides by them
        return None
    complete = stream.rfind(_END_OF_IMAGE) > start  # the same two bytes end a JPEG 2000 codestream
    levels, reversible = _read_cod(stream, start + 4 + struct.unpack_from(">H", stream, start + 4)[0])
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        complete=complete,
        lossy=not reversible,
        levels=levels,
    )


def _read_cod(stream: bytes, position: int) -> tuple[int, bool]:
    """Decomposition levels, and whether the wavelet is the reversible one: COD of the main header (T.800 A.6.1)."""
    while stream[position : position + 1] == b"\xff" and stream[position + 1] not in _MAIN_HEADER_ENDS:
        if stream[position + 1] == _COD:
            levels, wavelet = stream[position + 9], stream[position + 13]
            return levels, wavelet == 1
        position += 2 + struct.unpack_from(">H", stream, position + 2)[0]
    raise struct.error  # PS3.5 A.4.4 has it: without it nothing can be decoded
