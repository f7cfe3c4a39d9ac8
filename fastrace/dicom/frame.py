"""``open_frames``: a file of any kind -> its frames, one at a time.

The content decides what a file is, never its name: DICOM with its preamble, DICOM without one whose first elements make
sense, PNG, JPEG or TIFF. Opening parses the header and finds everything that is wrong with it; pixels are read and
decoded when a frame is requested, one frame at a time, so memory is one frame whatever the file. Every failure is one
`RejectedInput` with a reason and one line that names the attribute; no path and no identifying value is in it.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from fastrace.dicom import raster
from fastrace.dicom.archives import HEAD, archive_kind
from fastrace.dicom.bounds import check_frame, check_frame_count, check_memory
from fastrace.dicom.colour import grey_channel
from fastrace.dicom.display import Display, with_robust_range
from fastrace.dicom.header import Header, read_header, read_selection
from fastrace.dicom.identity import nobody_in_messages
from fastrace.dicom.identity_of import identity_of
from fastrace.dicom.notes import Note
from fastrace.dicom.pixels import (
    Layout,
    compressed_frame,
    locate_frames,
    native_frame,
    read_layout,
)
from fastrace.dicom.select import (
    EVERY_FRAME,
    OF_DISPLAY,
    OF_SELECTION,
    VoiChoice,
    differ,
    select_display,
)
from fastrace.dicom.source import Bytes, PixelElement, read_dataset
from fastrace.dicom.values import attribute, text
from fastrace.dicom.voi import VoiOption, parse_vois
from fastrace.dicom.words import is_constant, unused_bits_note
from fastrace.errors import RejectedInput

if TYPE_CHECKING:
    from fastrace.kernels.window import Transfer

MAX_PIXELS = 1 << 28  # 16384 x 16384: four times the largest radiograph, 512 MiB of words
_PREAMBLE = 128
_FIRST_GROUPS = (0x0002, 0x0008)  # file meta information, or the first group of any data set
_LONG_VRS = {vr.encode() for vr in EXPLICIT_VR_LENGTH_32}
_STANDARD_VRS = {vr.value.encode() for vr in VR}


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: stored words, how to show them, and what is known of it.

    Parameters
    ----------
    pixels : numpy.ndarray
        Stored words [rows, columns], uint8 or uint16, native byte order, bits as allocated.
    display : Display
        Stored values -> display values.
    header : Header
        The allow-listed header fields.
    index : int
        0-based place in the file.
    notes : tuple of Note
        What was odd and how it was taken.
    """

    pixels: np.ndarray
    display: Display
    header: Header
    index: int
    notes: tuple[Note, ...] = ()

    @property
    def transfer(self) -> Transfer:
        """The display as the window kernel takes it."""
        return self.display.transfer()


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of one file; holds no open file and no pixels.

    Parameters
    ----------
    header : Header
        Of the first frame; where frames differ, of the object: what holds for all of them.
    read : callable
        Reads the frame of an index; raises `RejectedInput` for that frame.
    voi_source : str
        Where the display of the first frame comes from; ``none`` where it has none, so that `display_of` refuses it.
    display_of : callable
        Where the display of the frame of an index comes from; raises `RejectedInput` as `read` will, without pixels.
    look : callable or None
        Where frames differ in kind, body part or display (enhanced objects): the header and the VOI source of the frame of an
        index, without its pixels and without what decides nothing (`fastrace.dicom.header.read_selection`); raises
        `RejectedInput` for that frame. None where they are alike.
    """

    header: Header
    read: Callable[[int], Frame]
    voi_source: str
    display_of: Callable[[int], str]
    look: Callable[[int], tuple[Header, str]] | None = None

    def __len__(self) -> int:
        return self.header.frames

    def frame(self, index: int) -> Frame:
        """Read and decode one frame.

        Raises
        ------
        IndexError
            If there is no such frame.
        RejectedInput
            If this frame cannot be read; others of the file may be readable.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self.read(index)

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(len(self)))


def open_frames(
    path: str | os.PathLike[str],
    *,
    voi: VoiOption | str | Sequence[VoiOption | str] | None = None,
    preset_window: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    selection: bool = False,
    reduce_to: tuple[int, int] | None = None,
) -> Frames:
    """Open a DICOM, PNG, JPEG or TIFF file.

    Parameters
    ----------
    path : path-like
        Any regular file; its name is not looked at.
    voi : VoiOption, str or a sequence of them, optional
        ``--voi`` (see `fastrace.dicom.voi`), the first that a frame can have; None = ``auto``: the preset's window, else what
        the file stores, else the robust range.
    preset_window : (float, float), optional
        Centre and width in output units of the modality transform (HU for CT). Raster files have no such units and
        ignore it.
    max_pixels : int
        Largest rows x columns accepted; checked against the header before anything is allocated.
    selection : bool
        Read of the header only what decides whether an image belongs (`fastrace.dicom.header.read_selection`).
    reduce_to : (int, int), optional
        Rows and columns to which frames will be resized: JPEG 2000 and HTJ2K are then decoded at a half, a quarter ... of their
        size, as far as twice these remain (`fastrace.dicom.reduced`). ``Frame.header`` keeps the size of the file.

    Returns
    -------
    Frames

    Raises
    ------
    RejectedInput
        If the file as a whole cannot be used.
    UsageError
        If `voi` is text that does not parse.
    """
    path = Path(path)
    choice = VoiChoice(parse_vois(voi), preset_window)
    head, size = _read_head(path)
    if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return _open_dicom(path, size, choice, max_pixels, selection, reduce_to)
    if raster.is_raster(head):
        return _open_raster(path, size, choice, max_pixels)
    if _starts_like_dicom(head, size):
        return _open_dicom(path, size, choice, max_pixels, selection, reduce_to)
    packed = archive_kind(head)
    if packed is not None:
        raise RejectedInput(
            "packed", f"packed ({packed}) by its content: unpack it, and name the folder with its files"
        )
    raise RejectedInput("not_an_image", "neither DICOM nor PNG, JPEG or TIFF by its content")


def _read_head(path: Path) -> tuple[bytes, int]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
            raise RejectedInput("unreadable", "not a regular file")
        with path.open("rb") as file:
            head = file.read(max(_PREAMBLE + 132, HEAD))
    except OSError as error:
        raise RejectedInput("unreadable", f"{error.strerror or type(error).__name__}: check its permissions") from error
    if not head:
        raise RejectedInput("empty", "the file has 0 bytes: fetch it again")
    return head, status.st_size


def _starts_like_dicom(head: bytes, size: int) -> bool:
    """Tell whether a file without preamble begins with two or more data elements, in ascending order, that fit in it."""
    for order in "<>":
        tags: list[tuple[int, int]] = []
        position = 0
        while position + 12 <= min(len(head), size) and len(tags) < 3:
            group, element, vr, short, long = struct.unpack_from(order + "HH2sHI", head, position)
            implicit = struct.unpack_from(order + "I", head, position + 4)[0]
            length = (4 + long if vr in _LONG_VRS else short) if vr in _STANDARD_VRS else implicit
            position += 8 + length
            if position > size or (tags and (group, element) <= tags[-1]):
                tags = []
                break
            tags.append((group, element))
        if tags and tags[0][0] in _FIRST_GROUPS and (len(tags) > 1 or position > len(head)):
            return True
    return False


def _open_dicom(
    path: Path,
    size: int,
    choice: VoiChoice,
    max_pixels: int,
    selection: bool,
    reduce_to: tuple[int, int] | None,
) -> Frames:
    # pydicom warns of non-conforming values, quoting them: a name or a date could end in a log.
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        ds, source, element = read_dataset(path, size)
        with nobody_in_messages(lambda: identity_of(ds)):
            syntax = _syntax(ds, source, element)
            layout = read_layout(ds, syntax, max_pixels)
            layout = replace(layout, notes=(*layout.notes, *_encoding_notes(syntax, element)))
            check_frame_count(layout.frames)
            windows_differ = differ(ds, OF_DISPLAY)
            frames_differ = windows_differ or differ(ds, OF_SELECTION)
            judged = EVERY_FRAME if frames_differ else 0
            header = (read_selection if selection else read_header)(ds, layout, UID(syntax).name, judged)
            fragments = locate_frames(ds, source, element, layout)
            # A window that cannot be used is known before anything is decoded; one of a frame costs that frame.
            voi_source = "none" if windows_differ else _voi_source(ds, 0, layout, choice)

    def look(index: int) -> tuple[Header, str]:
        with warnings.catch_warnings(), nobody_in_messages(lambda: header.identity):
            warnings.simplefilter("ignore")
            return read_selection(ds, layout, UID(syntax).name, index), _voi_source(ds, index, layout, choice)

    def read(index: int) -> Frame:
        with warnings.catch_warnings(), nobody_in_messages(lambda: header.identity):
            warnings.simplefilter("ignore")
            if fragments is not None:
                stream = sum(length for _, length in fragments[index])
                check_frame(layout.syntax, layout.rows, layout.columns, stream, max_pixels, layout.samples)
            of_frame = header
            if index or frames_differ:
                of_frame = read_header(ds, layout, UID(syntax).name, index)
            return _read_dicom_frame(ds, source, element, layout, fragments, choice, of_frame, index, reduce_to)

    def display_of(index: int) -> str:
        with warnings.catch_warnings(), nobody_in_messages(lambda: header.identity):
            warnings.simplefilter("ignore")
            return select_display(ds, index, layout.words, choice)[0].voi_source

    return Frames(header, read, voi_source, display_of, look if frames_differ else None)


def _voi_source(ds: FileDataset, index: int, layout: Layout, choice: VoiChoice) -> str:
    try:
        return select_display(ds, index, layout.words, choice)[0].voi_source
    except RejectedInput as error:
        if error.reason != "not_hu":  # said of frames that belong to the preset: others have a better reason
            raise
    return "none"


def _read_dicom_frame(
    ds: FileDataset,
    source: Bytes,
    element: PixelElement,
    layout: Layout,
    fragments: list[list[tuple[int, int]]] | None,
    choice: VoiChoice,
    header: Header,
    index: int,
    reduce_to: tuple[int, int] | None,
) -> Frame:
    notes = list(layout.notes)
    words = layout.words
    if fragments is None:
        pixels = native_frame(source, element, layout, index)
    else:
        pixels, words, more = compressed_frame(ds, source, fragments[index], layout, reduce_to)
        notes += more
    display, more_notes = select_display(ds, index, words, choice)
    notes += more_notes
    if layout.samples == 3:
        pixels, note = grey_channel(pixels, layout.photometric, words.bits)
        notes.append(note)
    unused = unused_bits_note(pixels, words, ds)
    if unused:
        notes.append(unused)
    return _finished(pixels, display, header, index, [*header.notes, *notes])


def _open_raster(path: Path, size: int, choice: VoiChoice, max_pixels: int) -> Frames:
    # Read as a whole, and copied once to see whether it was cut short; the fuzz run met 39 MiB beside it.
    check_memory("a raster file of this size", 2 * size + (64 << 20), max_pixels)
    content = Bytes(path, size).read(0, size)
    info = raster.read_info(content, max_pixels)
    display = raster.select_display(info, choice)
    header = Header(
        photometric=info.photometric,
        rows=info.rows,
        columns=info.columns,
        bits_stored=info.words.bits,
        frames=info.pages,
    )

    def read(index: int) -> Frame:
        pixels, page, notes = raster.read_page(content, info, index, max_pixels)
        of_page = replace(header, rows=page.rows, columns=page.columns)
        return _finished(pixels, display, of_page, index, notes)

    return Frames(header, read, display.voi_source, lambda index: display.voi_source)


def _finished(pixels: np.ndarray, display: Display, header: Header, index: int, notes: list[Note]) -> Frame:
    if is_constant(pixels):
        raise RejectedInput("constant", f"all pixels of frame {index + 1} are {int(pixels[0, 0])}")
    if display.voi is None:
        display = with_robust_range(display, pixels)
    return Frame(pixels, display, header, index, tuple(notes))


def _syntax(ds: FileDataset, source: Bytes, element: PixelElement) -> str:
    """Return the Transfer Syntax UID; where the file has none, the native one in which it was parsed."""
    if source.inflating is not None:
        return str(DeflatedExplicitVRLittleEndian)
    stated = text(ds.file_meta, "TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    if stated:
        return stated
    if element.length is None:
        raise RejectedInput(
            "unknown_syntax", f"{attribute('TransferSyntaxUID')} is missing and the pixel data is compressed"
        )
    implicit, little_endian = ds.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian)


def _encoding_notes(syntax: str, element: PixelElement) -> list[Note]:
    """Of a native data set whose encoding is not the one that its meta information names (pydicom reads what is there)."""
    stated = {str(ImplicitVRLittleEndian): "implicit", str(ExplicitVRLittleEndian): "explicit"}.get(syntax)
    found = "explicit" if element.vr else "implicit"
    if stated in (None, found) or element.length is None:
        return []
    return [
        Note(
            "syntax", f"{attribute('TransferSyntaxUID')} says {stated} VR, the data set is in {found} VR: read as that"
        )
    ]
