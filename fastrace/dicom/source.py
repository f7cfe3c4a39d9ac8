"""One DICOM file as bytes: its data set without the pixels, where the pixels lie, and where each compressed frame lies.

The data set is parsed up to the pixel data (`fastrace.dicom.parse`; 0.7 ms for a mammogram); nothing of the pixels is read until
a frame is requested, and then only that frame. No file stays open in between, so a million of these cost no descriptors.
Everything that a header claims about lengths is compared with the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from fastrace.dicom.bounds import MOST_FRAMES
from fastrace.dicom.deflated import LARGEST_RATIO, Inflating
from fastrace.dicom.parse import parse
from fastrace.dicom.sop_class import check_object
from fastrace.dicom.values import attribute, value
from fastrace.errors import RejectedInput

_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = {b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN"}
_META_START = 132  # preamble and "DICM"
_LARGEST_META = 1 << 20
# Fragments of all frames: encoders write one a frame, some one for each 64 KiB.
_MOST_FRAGMENTS = 4 * MOST_FRAMES

PIXEL_DATA, FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)


@dataclass(frozen=True)
class Bytes:
    """Random access to a file, inflated where the file itself was deflated; holds no open file.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Length in bytes; of a deflated file the most that it can hold.
    inflating : Inflating or None
        The content of a deflated file; it goes on where it was read last.
    """

    path: Path
    size: int
    inflating: Inflating | None = None

    def open(self) -> BinaryIO:
        """Open for reading from the beginning; the caller closes."""
        return self.path.open("rb") if self.inflating is None else io.BufferedReader(self.inflating.again())

    def read(self, offset: int, count: int) -> bytes:
        """Read `count` bytes at `offset`; raises as `read_array` does."""
        if self.inflating is not None:
            return self.read_array(offset, count).tobytes()
        self._check(offset, count)
        with self.path.open("rb") as file:
            file.seek(offset)
            found = file.read(count)
        if len(found) != count:
            raise RejectedInput("truncated", _cut_short(count - len(found)))
        return found

    def read_array(self, offset: int, count: int) -> np.ndarray:
        """Read `count` bytes at `offset` into one new array, uint8 [count]; nothing is zeroed or copied in between.

        Raises
        ------
        RejectedInput
            ``truncated`` if they are not there (any more).
        """
        self._check(offset, count)
        buffer = np.empty(count, np.uint8)
        if self.inflating is not None:
            found = self.inflating.read_at(offset, buffer)
        else:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                found = _fill(file, buffer.data)
        if found != count:
            raise RejectedInput("truncated", _cut_short(count - found))
        return buffer

    def _check(self, offset: int, count: int) -> None:
        if offset + count > self.size:
            raise RejectedInput("truncated", _cut_short(offset + count - self.size))


@dataclass(frozen=True)
class PixelElement:
    """Where the value of Pixel Data (7FE0,0010) lies.

    Parameters
    ----------
    offset : int
        First byte of the value in the file.
    length : int or None
        Declared length in bytes; None = undefined length, that is encapsulated (compressed) frames.
    vr : str
        "OB", "OW", or "" with implicit VR.
    """

    offset: int
    length: int | None
    vr: str


def read_dataset(path: Path, size: int) -> tuple[FileDataset, Bytes, PixelElement]:
    """Parse everything before the pixel data and find the pixel data.

    Raises
    ------
    RejectedInput
        ``bad_header``, ``other_object``, ``truncated``, ``no_pixel_data``, ``float_pixels``, ``too_large`` (an absurd header).
    """
    source = _source(path, size)
    with source.open() as file:
        ds, position = parse(file, source.size)
        check_object(ds)
        file.seek(position)
        head = file.read(12)
    implicit, little_endian = ds.original_encoding
    order = "<" if little_endian else ">"
    if len(head) < 8:
        raise _without_pixels(ds, source.size)
    group, element = struct.unpack_from(order + "HH", head)
    tag = group << 16 | element
    if tag in FLOAT_PIXELS:
        raise RejectedInput("float_pixels", f"{attribute('FloatPixelData')}: only integer Pixel Data can be windowed")
    if tag != PIXEL_DATA:
        raise _without_pixels(ds, source.size)
    return ds, source, _pixel_element(head, position, order, bool(implicit))


def frame_ranges(
    source: Bytes, element: PixelElement, frames: int, offsets: tuple[bytes, bytes] | None
) -> list[list[tuple[int, int]]]:
    """Return for each frame the (offset, length) of its fragments.

    Follows PS3.5 A.4: by the Extended or Basic Offset Table where there is one, one fragment a frame where the counts
    agree, all fragments for a single frame, and else by the first bytes of a codestream.

    Parameters
    ----------
    source, element
        The file and its encapsulated pixel data.
    frames : int
        Number of Frames.
    offsets : (bytes, bytes) or None
        Extended Offset Table (7FE0,0001) and its Lengths (7FE0,0002), as stored.

    Raises
    ------
    RejectedInput
        ``truncated`` if a fragment ends behind the file or frames are missing, ``bad_header`` if the items are damaged
        or do not divide into frames.
    """
    table, fragments = _items(source, element.offset, frames)
    if frames == 1 and fragments:
        return [fragments]
    if len(fragments) < frames:
        raise RejectedInput(
            "truncated",
            f"{attribute('PixelData')} has {len(fragments)} compressed frames, {attribute('NumberOfFrames')} "
            f"is {frames}: fetch the file again",
        )
    starts = _frame_starts(table, offsets, frames)
    grouped = _split(fragments, [f[0] - fragments[0][0] in starts for f in fragments])
    if len(grouped) == frames:
        return grouped
    if len(fragments) == frames:
        return [[f] for f in fragments]
    return _split_at_codestreams(source, fragments, frames)


def _frame_starts(table: bytes, offsets: tuple[bytes, bytes] | None, frames: int) -> set[int]:
    """Offsets of the frames, counted from the item tag of the first fragment; empty where no table lists them all."""
    if offsets is not None and len(offsets[0]) == 8 * frames:
        return set(struct.unpack(f"<{frames}Q", offsets[0]))
    if len(table) == 4 * frames:
        return set(struct.unpack(f"<{frames}I", table))
    return set()


def _split(fragments: list[tuple[int, int]], is_first: list[bool]) -> list[list[tuple[int, int]]]:
    grouped: list[list[tuple[int, int]]] = []
    for fragment, first in zip(fragments, is_first, strict=True):
        if first or not grouped:
            grouped.append([])
        grouped[-1].append(fragment)
    return grouped


def _items(source: Bytes, offset: int, frames: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Walk the items of encapsulated pixel data: the Basic Offset Table, then (offset, length) of each fragment.

    A table that does not list every frame is not read, and empty fragments are left out.
    """
    fragments: list[tuple[int, int]] = []
    table: tuple[int, int] | None = None
    with source.open() as file:
        file.seek(offset)
        number = 0
        while len(head := file.read(8)) == 8:
            group, element, length = struct.unpack("<HHI", head)
            position = file.tell()
            if (group, element) == (0xFFFE, 0xE0DD):
                break
            if (group, element) != (0xFFFE, 0xE000) or length == _UNDEFINED:
                raise RejectedInput(
                    "bad_header", f"{attribute('PixelData')}: fragment {number} does not start with an item tag"
                )
            if position + length > source.size:
                raise RejectedInput("truncated", _cut_short(position + length - source.size))
            number += 1
            if number > _MOST_FRAGMENTS:
                raise RejectedInput("too_large", f"{attribute('PixelData')} has more than {_MOST_FRAGMENTS} fragments")
            if table is None:
                table = (position, length)
            elif length:
                fragments.append((position, length))
            file.seek(position + length)
    if table is None:
        raise RejectedInput("truncated", f"{attribute('PixelData')} holds no compressed frame")
    return source.read(*table) if table[1] == 4 * frames else b"", fragments


def _split_at_codestreams(source: Bytes, fragments: list[tuple[int, int]], frames: int) -> list[list[tuple[int, int]]]:
    with source.open() as file:
        starts = []
        for offset, _ in fragments:
            file.seek(offset)
            starts.append(file.read(2) in (b"\xff\xd8", b"\xff\x4f"))  # SOI of JPEG, SOC of JPEG 2000
    grouped = _split(fragments, starts)
    if len(grouped) != frames:
        raise RejectedInput(
            "bad_header",
            f"{attribute('PixelData')}: {len(fragments)} fragments do not divide into {frames} frames, and there is no "
            "offset table",
        )
    return grouped


def _source(path: Path, size: int) -> Bytes:
    """The file, or its inflated content if its meta information (never deflated, PS3.5 A.5) names that syntax."""
    with path.open("rb") as file:
        start = file.read(4096)
    deflated = DeflatedExplicitVRLittleEndian.encode()
    if deflated not in start:
        return Bytes(path, size)
    # (0002,0000) UL 4: the length of the meta information that follows it.
    if start[_META_START : _META_START + 8] != b"\x02\0\0\0UL\x04\0":
        raise RejectedInput("bad_header", f"{attribute('FileMetaInformationGroupLength')} is missing")
    end = _META_START + 12 + int(struct.unpack_from("<I", start, _META_START + 8)[0])
    if end > min(size, _LARGEST_META):
        raise RejectedInput("bad_header", f"{attribute('FileMetaInformationGroupLength')} does not fit the file")
    with path.open("rb") as file:
        meta = file.read(end)
    meta = meta.replace(deflated, deflated[:-3].ljust(len(deflated), b"\0"))  # the same syntax, not deflated
    return Bytes(path, end + LARGEST_RATIO * (size - end), Inflating(path, end, meta))


def _pixel_element(head: bytes, position: int, order: str, implicit: bool) -> PixelElement:
    # pydicom reads a data set as it is encoded, whatever its meta information says, but reports what that says. As the length
    # of implicit VR, "OW\0\0" would be an odd number, which the standard forbids (PS3.5 7.1.1): the two cannot be confused.
    explicit = len(head) == 12 and head[4:6] in _LONG_VRS and (not implicit or head[6:8] == b"\0\0")
    length = struct.unpack_from(order + "I", head, 8 if explicit else 4)[0]
    return PixelElement(
        position + (12 if explicit else 8),
        None if length == _UNDEFINED else length,
        head[4:6].decode() if explicit else "",
    )


def _without_pixels(ds: FileDataset, size: int) -> RejectedInput:
    if "DirectoryRecordSequence" in ds:
        return RejectedInput("no_pixel_data", "a DICOMDIR: an index of other files, which are read themselves")
    if _ends_inside_an_element(ds, size):
        return RejectedInput("truncated", "the file ends inside its header: fetch it again")
    return RejectedInput("no_pixel_data", f"{attribute('PixelData')} is missing: not an image, or cut off before it")


def _ends_inside_an_element(ds: FileDataset, size: int) -> bool:
    try:
        last: Any = ds.get_item(list(ds.keys())[-1])
    except Exception:  # no element at all, or one whose VR is none
        return True
    if isinstance(last, RawDataElement) and last.length != _UNDEFINED:
        cut = isinstance(last.value, bytes) and len(last.value) < last.length
        return cut or bool(last.value_tell + last.length > size)
    return value(ds, "SOPClassUID") is None


def _cut_short(missing: int) -> str:
    return f"{attribute('PixelData')} ends {missing} bytes too early: fetch the file again"


def _fill(file: Any, view: memoryview) -> int:
    """Read until `view` is full or the file ends; one call of the system reads at most 2 GiB."""
    done = 0
    while done < len(view) and (found := file.readinto(view[done:])):
        done += found
    return done
