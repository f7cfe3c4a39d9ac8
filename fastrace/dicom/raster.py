"""PNG, JPEG and TIFF: the forms in which the public sets come (MIMIC-CXR-JPG, CheXpert, EMBED).

A raster file has no modality units and no VOI of its own, so it is shown as it is: 0 is black, the largest value of its
bits white (or the reverse where a TIFF holds WhiteIsZero). Colour is accepted only where the three channels are equal,
alpha only where it is opaque. Sizes are read from the file's own header and checked before anything is decoded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import imagecodecs
import numpy as np

from fastrace.dicom.bounds import check_memory, check_structure
from fastrace.dicom.codestream import read_codestream
from fastrace.dicom.cut import jpeg_is_cut
from fastrace.dicom.display import Display, Rescale, Window, between
from fastrace.dicom.notes import Note
from fastrace.dicom.select import VoiChoice, source_of
from fastrace.dicom.tiff import TIFF_MAGIC, Directory, read_directories
from fastrace.dicom.values import why
from fastrace.dicom.voi import VoiOption
from fastrace.dicom.words import Words
from fastrace.errors import RejectedInput

# By colour type: grey, colour, palette, grey with alpha, colour with alpha; a transparent value (tRNS) adds one.
_PNG_SAMPLES = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_MOST_CHUNKS = 1 << 18
_PNG_MAGIC, _JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


@dataclass(frozen=True)
class RasterInfo:
    """What the header of a raster file holds.

    Parameters
    ----------
    kind : {"PNG", "JPEG", "TIFF"}
    rows, columns : int
        Of the first page.
    pages : int
        1 but for TIFF.
    words : Words
        8 or 16 bits, unsigned (12 in a 12-bit JPEG).
    photometric : str
        MONOCHROME2, or MONOCHROME1 for a TIFF in which white is zero.
    directories : tuple of Directory
        TIFF pages.
    samples : int
        Channels of the first page, at most.
    """

    kind: str
    rows: int
    columns: int
    pages: int
    words: Words
    photometric: str = "MONOCHROME2"
    directories: tuple[Directory, ...] = ()
    samples: int = 1


def is_raster(head: bytes) -> bool:
    """Decide by the first bytes whether a file is PNG, JPEG or TIFF."""
    return head.startswith((_PNG_MAGIC, _JPEG_MAGIC, *TIFF_MAGIC))


def read_info(content: bytes, max_pixels: int) -> RasterInfo:
    """Read the header of a raster file. What decoding it needs is compared with the limit of memory (`fastrace.dicom.bounds`).

    Raises
    ------
    RejectedInput
        ``truncated``, ``bad_header``, ``too_large``, ``unsupported_bits`` or ``float_pixels``.
    """
    if content.startswith(_PNG_MAGIC):
        info = _png_info(content)
    elif content.startswith(_JPEG_MAGIC):
        info = _jpeg_info(content)
    else:
        info = _tiff_info(content)
    if info.words.bits not in (8, 12, 16):
        raise RejectedInput("unsupported_bits", f"{info.kind} with {info.words.bits} bits, expected 8 or 16")
    _check_size(info, max_pixels)
    return info


def select_display(info: RasterInfo, choice: VoiChoice) -> Display:
    """Return the identity display, or that of ``--voi``, in stored values.

    Raises
    ------
    RejectedInput
        ``bad_window`` if ``--voi`` names a stored window or LUT: a raster file has none.
    """
    identity = Display(info.words, Rescale(), None, "full_range", inverted=info.photometric == "MONOCHROME1")
    for option in choice.options or (VoiOption("auto"),):
        source = source_of(option, choice.options)
        if option.kind in ("auto", "full"):
            source = "full_range" if option.kind == "auto" else source
            return replace(identity, voi=between(*identity.output_range), voi_source=source)
        if option.kind == "robust":
            return replace(identity, voi_source=source)
        if option.kind == "values":
            window = Window(option.center, option.width, option.function)
            return replace(identity, voi=window, voi_source=source)
    asked = ", ".join(map(str, choice.options))
    raise RejectedInput("bad_window", f"--voi {asked}: a {info.kind} file stores no window; use robust or full")


def read_page(
    content: bytes, info: RasterInfo, index: int, max_pixels: int
) -> tuple[np.ndarray, RasterInfo, list[Note]]:
    """Decode one page to words [rows, columns], uint8 or uint16, with what was odd.

    Raises
    ------
    RejectedInput
        ``decode_failed``, ``truncated``, ``color``, ``too_large`` (a later page of a TIFF), ``unsupported_bits``.
    """
    page = info if index == 0 else _tiff_page(info, index)
    _check_size(page, max_pixels)
    _check_memory(content, page, index, max_pixels)
    try:
        if info.kind == "PNG":
            decoded = imagecodecs.png_decode(_needed_chunks(content))
        elif info.kind == "JPEG":
            decoded = imagecodecs.jpeg8_decode(content)
        else:
            directory = info.directories[index]
            # libtiff fills what is given; left to itself it would ask for what it reads from the tags, and not clear it.
            out = np.zeros(directory.shape, np.uint8 if directory.as_rgb or directory.bits == 8 else np.uint16)
            decoded = imagecodecs.tiff_decode(content, index=index, out=out)
    except MemoryError:
        raise
    except Exception as error:  # each codec has its own error types
        raise RejectedInput("decode_failed", f"{info.kind} page {index + 1}: {why(error)}") from error
    if info.kind == "JPEG" and jpeg_is_cut(content, decoded, imagecodecs.jpeg8_decode):
        raise RejectedInput("truncated", "JPEG that was cut short before its end marker: fetch the file again")
    pixels, notes = _single_channel(decoded, info.kind)
    if pixels.shape != (page.rows, page.columns):
        raise RejectedInput("decode_failed", f"{info.kind} page {index + 1} decodes to {pixels.shape}")
    if pixels.dtype != (np.uint8 if page.words.bits == 8 else np.uint16):
        raise RejectedInput("unsupported_bits", f"{info.kind} page {index + 1} decodes to {pixels.dtype}")
    return pixels, page, notes


def _single_channel(decoded: np.ndarray, kind: str) -> tuple[np.ndarray, list[Note]]:
    if decoded.ndim == 2:
        return np.ascontiguousarray(decoded), []
    if decoded.ndim != 3 or decoded.shape[2] not in (1, 2, 3, 4):
        raise RejectedInput("decode_failed", f"{kind} decodes to an array of shape {decoded.shape}")
    channels = [decoded[:, :, i] for i in range(decoded.shape[2])]
    if len(channels) == 4 and kind == "JPEG":
        raise RejectedInput("color", "JPEG of four channels (CMYK), expected grey")
    opaque = np.iinfo(decoded.dtype).max if decoded.dtype.kind == "u" else 0
    if len(channels) in (2, 4) and not (channels.pop() == opaque).all():
        raise RejectedInput("color", f"{kind} with transparent pixels: what lies behind them is not known")
    if any(not np.array_equal(channels[0], other) for other in channels[1:]):
        raise RejectedInput("color", f"{kind} in colour, expected grey (three equal channels are accepted)")
    notes = [Note("grey_of_colour", f"{kind} of three equal channels: read as grey")] if len(channels) == 3 else []
    return np.ascontiguousarray(channels[0]), notes


def _check_size(info: RasterInfo, max_pixels: int) -> None:
    if info.rows < 1 or info.columns < 1:
        raise RejectedInput("bad_header", f"{info.kind} of {info.rows} x {info.columns} pixels")
    if info.rows * info.columns > max_pixels:
        raise RejectedInput(
            "too_large",
            f"{info.kind} claims {info.rows} x {info.columns} pixels, more than {max_pixels}; raise --max-pixels if "
            "that is right",
        )


def _check_memory(content: bytes, info: RasterInfo, index: int, max_pixels: int) -> None:
    """The whole file, what its decoder fills, and the grey channel taken out of that."""
    if info.kind == "TIFF":
        decoded = info.directories[index].bytes
    else:
        decoded = info.rows * info.columns * info.samples * (1 if info.words.bits == 8 else 2)
    grey = info.rows * info.columns * 2 if info.samples > 1 else 0
    check_memory(f"{info.kind} of {info.rows} x {info.columns} pixels", len(content) + decoded + grey, max_pixels)


def _needed_chunks(content: bytes) -> bytes:
    """A PNG file without its texts, profiles and animations: libpng inflates each of them, 8 MB at a time."""
    kept, place, first, chunks = [], 8, 0, 0
    while place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        chunks += 1
        if chunks > _MOST_CHUNKS:
            raise RejectedInput("bad_header", f"PNG with more than {_MOST_CHUNKS} chunks: the file is damaged")
        following = place + 12 + length
        if name not in _PNG_CHUNKS:
            kept.append(content[first:place])
            first = following
        place = following
    return b"".join([*kept, content[first:]]) if kept else content


def _png_info(content: bytes) -> RasterInfo:
    if len(content) < 33 or content[12:16] != b"IHDR":
        raise RejectedInput("truncated", "PNG without its header: fetch the file again")
    columns, rows, depth, color = struct.unpack_from(">IIBB", content, 16)
    samples = _PNG_SAMPLES.get(color, 4) + (b"tRNS" in content[: content.find(b"IDAT")])
    return RasterInfo(
        "PNG", rows, columns, 1, Words(max(8, depth)), samples=samples
    )  # 1, 2 and 4 bits are expanded to 8


def _jpeg_info(content: bytes) -> RasterInfo:
    found = read_codestream(content)
    if found is None:
        raise RejectedInput("bad_header", "JPEG without a frame header: is the file damaged?")
    if not found.complete:
        raise RejectedInput("truncated", "JPEG without its end: fetch the file again")
    if not 1 <= found.components <= 4:
        raise RejectedInput("bad_header", f"JPEG with {found.components} components, expected 1 to 4")
    try:
        check_structure(content)
    except ValueError as error:
        raise RejectedInput("bad_header", f"JPEG: {error}") from error
    return RasterInfo("JPEG", found.rows, found.columns, 1, Words(found.precision), samples=found.components)


def _tiff_info(content: bytes) -> RasterInfo:
    directories = read_directories(content)
    return _of_directory(RasterInfo("TIFF", 0, 0, len(directories), Words(8), directories=directories), 0)


def _tiff_page(info: RasterInfo, index: int) -> RasterInfo:
    page = _of_directory(info, index)
    if (page.words, page.photometric) != (info.words, info.photometric):
        raise RejectedInput("bad_header", f"TIFF page {index + 1} has other bits or another polarity than page 1")
    return page


def _of_directory(info: RasterInfo, index: int) -> RasterInfo:
    page = info.directories[index]
    if page.sample_format == 3:
        raise RejectedInput("float_pixels", "TIFF with floating-point samples: only unsigned integers can be windowed")
    if page.sample_format != 1:
        raise RejectedInput("unsupported_bits", f"TIFF with SampleFormat {page.sample_format}, expected 1 (unsigned)")
    if page.bits not in (8, 16):
        raise RejectedInput("unsupported_bits", f"TIFF with {page.bits} bits per sample, expected 8 or 16")
    if page.photometric == 3:
        raise RejectedInput("color", "TIFF with a palette, expected grey")
    photometric = "MONOCHROME1" if page.photometric == 0 else "MONOCHROME2"
    words, samples = Words(page.bits), 4 if page.as_rgb else page.samples
    return replace(info, rows=page.rows, columns=page.columns, words=words, photometric=photometric, samples=samples)
