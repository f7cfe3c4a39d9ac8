"""How much memory one frame may need, compared with a limit before any of it is asked for.

A hostile header costs nothing to write: 136 bytes of TIFF can claim 60,000 samples per pixel, a sparse file gigabytes of one
fragment. So what a frame needs is estimated from what its header claims and refused above the limit. The worker process also
has this limit from the system (`fastrace.execute.limits`), for what a library asks for beyond the estimate.

Rule: one file may need 1 GiB, or 4 bytes for each pixel of ``--max-pixels`` where that is more. A raw or JPEG frame of
``--max-pixels`` fits into it; OpenJPEG holds 8 bytes a pixel, so a JPEG 2000 frame fits up to half as many pixels.
"""

from __future__ import annotations

import struct

from pydicom import uid

from fastrace.dicom.values import attribute
from fastrace.errors import RejectedInput

LEAST_MEMORY = 1 << 30
_BYTES_PER_PIXEL = 4
MOST_FRAMES = 1 << 16
# Bytes a pixel that decoders hold at their peak, the samples included and the stream not: measured on 3000 x 3000, 12 bit, with
# imagecodecs 2026.3 (JPEG 2000 7.2, HTJ2K 3.2, JPEG, JPEG-LS and PNG 2.1).
_J2K_BYTES, _HTJ2K_BYTES, _OTHER_BYTES = 8, 4, 3
_JPEG_2000 = frozenset({uid.JPEG2000Lossless, uid.JPEG2000})
_HTJ2K = frozenset({uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K})
# No coder of images makes more of them than this many times their size, and some bytes of its header.
_LARGEST_EXPANSION, _LARGEST_HEADER = 4, 1 << 20

# JPEG 2000: what OpenJPEG keeps for each tile, code-block and packet, rounded up.
_TILE_BYTES, _PRECINCT_BYTES, _BLOCK_BYTES, _PACKET_BYTES = 8192, 256, 512, 2
_LARGEST_STRUCTURE = 256 << 20
_COD, _COC, _SOT = 0xFF52, 0xFF53, 0xFF90
_MOST_LEVELS = 32
# Progressive JPEG: each scan goes over the whole frame again, and costs the file a dozen bytes. Encoders write about ten.
MOST_SCANS = 64
_PROGRESSIVE, _NO_FRAME, _SOS = frozenset({0xC2, 0xC6, 0xCA, 0xCE}), frozenset({0xC4, 0xC8, 0xCC}), 0xDA


def memory_limit(max_pixels: int) -> int:
    """Return the bytes that one file may need, above what a process has before its first file."""
    return max(LEAST_MEMORY, _BYTES_PER_PIXEL * max_pixels)


def check_memory(what: str, needed: int, max_pixels: int) -> None:
    """Compare an estimate with the limit.

    Raises
    ------
    RejectedInput
        ``too_large``; `what` begins its message.
    """
    limit = memory_limit(max_pixels)
    if needed > limit:
        raise RejectedInput(
            "too_large",
            f"{what} would need {needed >> 20} MiB of memory, more than {limit >> 20} MiB; raise --max-pixels (4 bytes of "
            "memory for each) if that is right",
        )


def check_frame_count(frames: int) -> None:
    """Refuse a number of frames that no examination has; each would become a row.

    Raises
    ------
    RejectedInput
        ``too_large``.
    """
    if frames > MOST_FRAMES:
        raise RejectedInput("too_large", f"{attribute('NumberOfFrames')} is {frames}, at most {MOST_FRAMES} are read")


def check_frame(syntax: str, rows: int, columns: int, stream: int, max_pixels: int, samples: int = 1) -> None:
    """Refuse a frame whose compressed bytes are more than its pixels can need, or that needs too much memory decoded.

    Parameters
    ----------
    syntax : str
        Transfer Syntax UID.
    rows, columns : int
        As the header claims them.
    stream : int
        Bytes of its fragments, not read yet.
    max_pixels : int
    samples : int
        Samples per pixel.

    Raises
    ------
    RejectedInput
        ``bad_header`` or ``too_large``.
    """
    plausible = _LARGEST_EXPANSION * 2 * samples * rows * columns + _LARGEST_HEADER
    if stream > plausible:
        raise RejectedInput(
            "bad_header", f"a compressed frame of {rows} x {columns} pixels has {stream} bytes, more than {plausible}"
        )
    each = _J2K_BYTES if syntax in _JPEG_2000 else _HTJ2K_BYTES if syntax in _HTJ2K else _OTHER_BYTES
    check_memory(f"a frame of {rows} x {columns} pixels", each * samples * rows * columns + stream, max_pixels)


def check_structure(stream: bytes) -> None:
    """Refuse a codestream whose structure costs more than its pixels: tiles, precincts and layers of JPEG 2000, scans of JPEG.

    Raises
    ------
    ValueError
        With what there is too much of.
    """
    if stream[:2] == b"\xff\xd8":
        # Others have one scan for each component, and libjpeg refuses more. The marker cannot occur inside entropy-coded data.
        if _is_progressive(stream) and (scans := stream.count(b"\xff\xda")) > MOST_SCANS:
            raise ValueError(f"{scans} scans, more than {MOST_SCANS}")
        return
    start = stream.find(b"\xff\x4f\xff\x51", 0, 65536)
    if start < 0:
        return
    try:
        _check_jpeg_2000(stream, start)
    except struct.error:
        raise ValueError("the main header of the codestream ends too early") from None


def _is_progressive(stream: bytes) -> bool:
    """Tell whether a frame header before the first scan is progressive, or of several components."""
    position = 2
    while position + 10 <= len(stream) and stream[position] == 0xFF and stream[position + 1] != _SOS:
        marker = stream[position + 1]
        if marker in _PROGRESSIVE or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME and stream[position + 9] > 1):
            return True
        fill = marker == 0xFF or marker in (0x01, 0xD8)
        position += (1 if marker == 0xFF else 2) if fill else 2 + struct.unpack_from(">H", stream, position + 2)[0]
    return False


def _check_jpeg_2000(stream: bytes, start: int) -> None:
    """Estimate what OpenJPEG keeps besides samples, from SIZ and COD (ITU-T T.800 A.5.1, A.6.1)."""
    length = struct.unpack_from(">H", stream, start + 4)[0]
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top = struct.unpack_from(
        ">8I", stream, start + 8
    )
    width, height = right - left, bottom - top
    if min(width, height, tile_width, tile_height) < 1 or tile_left > left or tile_top > top:
        raise ValueError("the codestream has no valid size")
    tiles = _divided(right - tile_left, tile_width) * _divided(bottom - tile_top, tile_height)
    tile = (min(tile_width, width), min(tile_height, height))
    needed = tiles * _TILE_BYTES
    position = start + 4 + length
    while position + 4 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, position)
        if marker == _SOT or length < 2:  # the end of the main header
            break
        if marker in (_COD, _COC):
            needed += _coding_bytes(stream[position : position + 2 + length], marker, tile)
        position += 2 + length
    if needed > _LARGEST_STRUCTURE:
        raise ValueError(f"tiles, precincts and layers would need {needed >> 20} MiB")


def _coding_bytes(segment: bytes, marker: int, tile: tuple[int, int]) -> int:
    """Of one tile, by its coding style default (COD), or that of its only component (COC)."""
    if marker == _COD:
        style, layers, parameters = segment[4], struct.unpack_from(">H", segment, 6)[0], 9
    else:
        style, layers, parameters = segment[5], 1, 6
    levels, *block = struct.unpack_from("BBB", segment, parameters)
    if levels > _MOST_LEVELS:
        raise ValueError(f"{levels} decomposition levels, at most {_MOST_LEVELS} are allowed")
    sizes = segment[parameters + 5 : parameters + 6 + levels] if style & 1 else b"\xff" * (levels + 1)
    precincts, blocks, most = 0, 0, 0
    for level, exponents in enumerate(sizes):
        width, height = (_divided(side, 1 << (levels - level)) for side in tile)
        across, down = 1 << (exponents & 0xF), 1 << (exponents >> 4)
        here = _divided(width, across) * _divided(height, down)
        precincts, most = precincts + here, max(most, here)
        blocks += here + _divided(width, min(4 << (block[0] & 0xF), across)) * _divided(
            height, min(4 << (block[1] & 0xF), down)
        )
    return precincts * _PRECINCT_BYTES + blocks * _BLOCK_BYTES + most * (levels + 1) * layers * _PACKET_BYTES


def _divided(size: int, by: int) -> int:
    return -(-size // by)
