"""Stored words of a frame: what the header states about them, checked before anything is allocated, and the words themselves.

PS3.3 C.7.6.3 (Image Pixel) and PS3.5 8. A word is one uint8 or uint16 as allocated; which of its bits are the value, and
whether that is signed, is a `Words`. Words are handed on untouched: masking and sign extension happen in the window
kernel. Not read: colour (unless it is grey in colour's form, `fastrace.dicom.colour`), 1-bit and 32-bit pixels, float
pixels; each is rejected with its own reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset

from fastrace.dicom import codecs
from fastrace.dicom.clamp import clamped
from fastrace.dicom.codestream import Codestream
from fastrace.dicom.colour import PHOTOMETRIC, check_photometric
from fastrace.dicom.notes import Note
from fastrace.dicom.reduced import decode_reduced, halvings
from fastrace.dicom.source import Bytes, PixelElement, frame_ranges
from fastrace.dicom.spelling import spelling_note, term
from fastrace.dicom.values import attribute, integer, value
from fastrace.dicom.vocabulary import shown
from fastrace.dicom.words import Words
from fastrace.errors import RejectedInput

_NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)


@dataclass(frozen=True)
class Layout:
    """How the pixel data of a file is laid out, from its header.

    Parameters
    ----------
    rows, columns, frames : int
        Size of a frame, and how many there are.
    allocated : int
        Bits Allocated, 8 or 16.
    words : Words
        Which bits are the value, by the header.
    syntax : str
        Transfer Syntax UID.
    big_endian : bool
        Byte order of native words.
    photometric : str
        Photometric Interpretation, as the standard spells it.
    samples : int
        Samples per Pixel, 1 or 3.
    planar : bool
        Whether native channels come one after the other (Planar Configuration 1).
    notes : tuple of Note
        What was missing and assumed.
    """

    rows: int
    columns: int
    frames: int
    allocated: int
    words: Words
    syntax: str
    big_endian: bool
    photometric: str = "MONOCHROME2"
    samples: int = 1
    planar: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def samples_per_frame(self) -> int:
        """Stored samples of one native frame; 4:2:2 has one pair of chrominances for two pixels."""
        pixels = self.rows * self.columns
        return 2 * pixels if self.photometric == "YBR_FULL_422" else self.samples * pixels


def read_layout(ds: Dataset, syntax: str, max_pixels: int) -> Layout:
    """Read and check the Image Pixel attributes.

    Raises
    ------
    RejectedInput
        ``bad_header`` (missing, malformed, contradictory), ``color``, ``too_large``, ``unsupported_bits``.
    """
    notes: list[Note] = []
    photometric = term(ds, "PhotometricInterpretation", PHOTOMETRIC)
    samples = integer_or_reject(ds, "SamplesPerPixel", default=1)
    check_photometric(photometric, samples)
    assert photometric is not None
    spelling = spelling_note(ds, "PhotometricInterpretation", photometric)
    if spelling is not None:
        notes.append(spelling)
    if value(ds, "SamplesPerPixel") is None:
        notes.append(Note("assumed", f"{attribute('SamplesPerPixel')} is missing, taken as 1"))
    rows, columns = _size(ds, "Rows"), _size(ds, "Columns")
    if rows * columns * samples > max_pixels:
        raise RejectedInput(
            "too_large",
            f"{attribute('Rows')} x {attribute('Columns')} = {rows} x {columns} pixels, more than {max_pixels}; "
            "raise --max-pixels if that is right",
        )
    frames = integer_or_reject(ds, "NumberOfFrames", default=1)
    if frames < 1:
        frames = 1
        notes.append(Note("assumed", f"{attribute('NumberOfFrames')} is below 1, taken as 1"))
    words, allocated = _read_words(ds)
    if words.shift:
        notes.append(
            Note(
                "high_bit",
                f"{attribute('HighBit')} is {words.bits + words.shift - 1} with {attribute('BitsStored')} = {words.bits}: "
                f"bits {words.shift} to {words.bits + words.shift - 1} are the value",
            )
        )
    big_endian = not ds.original_encoding[1]
    planar = samples == 3 and integer_or_reject(ds, "PlanarConfiguration", default=0) == 1
    return Layout(
        rows, columns, frames, allocated, words, syntax, big_endian, photometric, samples, planar, tuple(notes)
    )


def locate_frames(
    ds: Dataset, source: Bytes, element: PixelElement, layout: Layout
) -> list[list[tuple[int, int]]] | None:
    """Check the pixel data against the layout; return the fragments of each frame, None for native pixel data.

    Raises
    ------
    RejectedInput
        ``truncated`` (fewer bytes than the header claims), ``bad_header``, ``unknown_syntax``.
    """
    syntax = uid.UID(layout.syntax)
    if syntax in _NATIVE:
        needed = layout.samples_per_frame * layout.frames * layout.allocated // 8
        if element.length is None:
            raise RejectedInput("bad_header", f"{attribute('PixelData')} is compressed, {_named(syntax)} is not")
        available = min(element.length, source.size - element.offset)
        if available < needed:
            raise RejectedInput(
                "truncated",
                f"{attribute('PixelData')} has {available} bytes, {layout.rows} x {layout.columns} pixels in "
                f"{layout.frames} frame(s) need {needed}: fetch the file again",
            )
        return None
    if syntax not in codecs.DECODER_DEPENDENCIES:
        raise RejectedInput("unknown_syntax", f"{_named(syntax)} is none that is read; transcode the file")
    if element.length is not None:
        raise RejectedInput("bad_header", f"{attribute('PixelData')} is not in fragments, {_named(syntax)} demands it")
    tables = (value(ds, "ExtendedOffsetTable"), value(ds, "ExtendedOffsetTableLengths"))
    extended = tables if all(isinstance(t, bytes) for t in tables) else None
    return frame_ranges(source, element, layout.frames, extended)


def native_frame(source: Bytes, element: PixelElement, layout: Layout, index: int) -> np.ndarray:
    """Read the words of one uncompressed frame, uint8 or uint16 in native byte order: [rows, columns], or [rows, columns, 3]."""
    stored = _native_words(source, element, layout, index)
    rows, columns = layout.rows, layout.columns
    if layout.samples == 1:
        return stored.reshape(rows, columns)
    if layout.photometric == "YBR_FULL_422":  # Y Y Cb Cr of each two pixels (PS3.3 C.7.6.3.1.2)
        if columns % 2:
            raise RejectedInput(
                "bad_header", f"{attribute('Columns')} is {columns}, YBR_FULL_422 demands an even number"
            )
        fours = stored.reshape(rows, columns // 2, 4)
        chrominance = fours[..., None, 2:].repeat(2, 2)
        return np.concatenate([fours[..., :2, None], chrominance], 3).reshape(rows, columns, 3)
    if layout.planar:
        return np.moveaxis(stored.reshape(3, rows, columns), 0, -1)
    return stored.reshape(rows, columns, 3)


def _native_words(source: Bytes, element: PixelElement, layout: Layout, index: int) -> np.ndarray:
    length = layout.samples_per_frame * layout.allocated // 8
    start = element.offset + index * length
    if layout.allocated == 16:
        words = source.read_array(start, length).view(">u2" if layout.big_endian else "<u2")
        return words.astype(np.uint16, copy=False)
    if layout.big_endian and element.vr == "OW":
        # Bytes in big-endian 16-bit words come swapped in pairs (PS3.5 7.3), and a frame may begin inside a pair.
        odd = index * length % 2
        pairs = source.read_array(start - odd, (length + odd + 1) // 2 * 2)
        return pairs.view(">u2").astype("<u2").view(np.uint8)[odd : odd + length]
    return source.read_array(start, length)


def compressed_frame(
    ds: Dataset,
    source: Bytes,
    fragments: list[tuple[int, int]],
    layout: Layout,
    reduce_to: tuple[int, int] | None = None,
) -> tuple[np.ndarray, Words, list[Note]]:
    """Decode one compressed frame; ``reduce_to`` as in `fastrace.dicom.open_frames`.

    Returns
    -------
    (numpy.ndarray, Words, list of Note)
        Words [rows, columns] or [rows, columns, 3], which of their bits are the value (a codestream may state them better than
        the header), notes.

    Raises
    ------
    RejectedInput
        ``truncated`` or ``decode_failed``.
    """
    parts = [source.read(*fragment) for fragment in fragments]
    stream = parts[0] if len(parts) == 1 else b"".join(parts)
    notes: list[Note] = []
    try:
        shape = (layout.rows, layout.columns)
        found = codecs.check_codestream(layout.syntax, stream, *shape, layout.samples)
        reduced = None if reduce_to is None or found is None else _reduced(layout, stream, found, reduce_to)
        if reduced is not None:
            samples, note = reduced
            notes.append(note)
        elif codecs.is_available(layout.syntax):
            samples = codecs.decode_samples(layout.syntax, stream, *shape, layout.allocated // 8, layout.samples)
        else:
            samples, plugin = codecs.decode_with_pydicom(layout.syntax, stream, _description(layout))
            notes.append(Note("fallback", f"decoded by pydicom's {plugin} plugin: this imagecodecs lacks the codec"))
    except EOFError as error:
        raise RejectedInput("truncated", f"{attribute('PixelData')}: {error}: fetch the file again") from error
    except ValueError as error:
        raise RejectedInput("decode_failed", f"{attribute('PixelData')}: {error}") from error
    words = layout.words
    if found is not None:
        words = _reconciled(words, found, layout.syntax, samples, notes)
        samples = clamped(samples, words, found, layout.syntax, ds, notes)
    if samples.dtype.itemsize == 1 and words.bits + words.shift > 8:
        samples = samples.astype(np.int16)  # fewer bits in the codestream than the header stores
    return samples.view(f"u{samples.dtype.itemsize}"), words, notes


def _reduced(layout: Layout, stream: bytes, found: Codestream, size: tuple[int, int]) -> tuple[np.ndarray, Note] | None:
    """The frame at a half, a quarter ... of its size, where its codestream holds that; else None."""
    if (
        layout.samples != 1 or found.signed != layout.words.signed
    ):  # two's complement as unsigned samples has no average
        return None
    times = halvings(found.rows, found.columns, size, found.levels)
    samples = decode_reduced(layout.syntax, stream, found, times) if times else None
    if samples is None:
        return None
    return samples, Note("reduced", f"decoded at 1/{2**times} of its rows and columns (--decode reduced)")


def integer_or_reject(ds: Dataset, keyword: str, default: int | None = None) -> int:
    """Return an integer attribute; missing without default, or no whole number, is ``bad_header``."""
    try:
        found = integer(ds, keyword)
    except ValueError as error:
        raise RejectedInput("bad_header", f"{attribute(keyword)} is {error}, expected a whole number") from error
    if found is None and default is None:
        raise RejectedInput("bad_header", _missing(keyword, "it is required"))
    return default if found is None else found  # type: ignore[return-value]


def _size(ds: Dataset, keyword: str) -> int:
    found = integer_or_reject(ds, keyword)
    if found < 1:
        raise RejectedInput("bad_header", f"{attribute(keyword)} is {found}, expected at least 1")
    return found


def _read_words(ds: Dataset) -> tuple[Words, int]:
    allocated = integer_or_reject(ds, "BitsAllocated")
    stored = integer_or_reject(ds, "BitsStored")
    high = integer_or_reject(ds, "HighBit", default=stored - 1)
    representation = integer_or_reject(ds, "PixelRepresentation")
    if allocated not in (8, 16):
        raise RejectedInput("unsupported_bits", f"{attribute('BitsAllocated')} is {allocated}, expected 8 or 16")
    if not 1 <= stored <= allocated:
        raise RejectedInput("bad_header", f"{attribute('BitsStored')} is {stored}, expected 1 to {allocated}")
    if not stored - 1 <= high < allocated:
        raise RejectedInput("bad_header", f"{attribute('HighBit')} is {high}, expected {stored - 1} to {allocated - 1}")
    if representation not in (0, 1):
        raise RejectedInput("bad_header", f"{attribute('PixelRepresentation')} is {representation}, expected 0 or 1")
    return Words(stored, high + 1 - stored, representation == 1), allocated


def _reconciled(words: Words, found: Codestream, syntax: str, samples: np.ndarray, notes: list[Note]) -> Words:
    """Settle sign and position of the value between header and codestream."""
    scaled = syntax in (*codecs.JPEG_2000, *codecs.HTJ2K, *codecs.JPEG_LS)
    if words.shift and found.precision == words.bits:
        words = replace(words, shift=0)  # the encoder took the value out of its word
    if not scaled:
        return words
    if found.signed and not words.signed:
        if found.precision > words.bits and not _fits_signed(samples, words.bits):
            return words  # written as signed words with room for every unsigned value
        # Samples below zero were given to the encoder: the header is the one that is wrong (pydicom #1149).
        held = "the codestream holds signed samples: read as signed"
        notes.append(Note("signed", f"{attribute('PixelRepresentation')} is 0, {held}"))
        return replace(words, signed=True)
    if words.signed and not found.signed and found.precision < words.bits + words.shift:
        # Two's complement written as unsigned samples: its sign is the top bit of the codestream's precision.
        return Words(min(words.bits, found.precision), 0, True)
    return words


def _fits_signed(samples: np.ndarray, bits: int) -> bool:
    low, high = int(samples.min()), int(samples.max())
    return low < 0 and high < 1 << (bits - 1)


def _description(layout: Layout) -> dict[str, Any]:
    return {
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "pixel_keyword": "PixelData",
        "rows": layout.rows,
        "columns": layout.columns,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.words.bits,
        "pixel_representation": int(layout.words.signed),
        "photometric_interpretation": layout.photometric,
    }


def _missing(keyword: str, expected: str) -> str:
    return f"{attribute(keyword)} is missing: {expected}"


def _named(syntax: uid.UID) -> str:
    known = syntax.name != syntax  # else its name is itself
    return f"{attribute('TransferSyntaxUID')} = {syntax.name if known else shown('TransferSyntaxUID', str(syntax))}"
