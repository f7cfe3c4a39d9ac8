"""A data set without its pixels, by pydicom, from a file that may claim anything.

pydicom reads what a length says: a private element of 2 GiB before the pixel data would be read into memory, and a data set that
names itself deflated would be inflated as a whole. Here it reads through `_Header`, which counts. Large bulk data (private
elements, overlays, documents) is passed over without being read; nothing that an image is read by is that large.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial, read_sequence
from pydicom.tag import BaseTag

from fastrace.dicom.values import LONG_SEQUENCE, check_items
from fastrace.errors import RejectedInput

LARGEST_HEADER = 32 << 20
"""Bytes of all elements that are read before the pixel data; an enhanced CT of 5,000 frames has about 15 MiB."""
_MOST_READS = 3 << 17  # two for each element, four for each item
_MOST_DISORDER = 256  # tags ascend (PS3.5 7.1); some writers put a few at the end
_LARGE = 1 << 20
_DEFLATED = "Transfer Syntax UID (0002,0010) is Deflated Explicit VR Little Endian"
_UNDEFINED = 0xFFFFFFFF
_STOP = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_BULK = {"OB", "OW", "OD", "OF", "OL", "OV", "UN", "UT", "UC", "UR"}


class _Header:
    """The file as pydicom may read it: never more than is there, and never more than a header."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        left, reads = LARGEST_HEADER, _MOST_READS
        read_file, tell = file.read, file.tell

        def read(count: int = -1) -> bytes:
            nonlocal left, reads
            if count < 0:  # pydicom does this only to inflate all that follows; such files do not come here
                raise RejectedInput("bad_header", f"{_DEFLATED}, but its meta information is damaged")
            if count > 64:
                count = max(0, min(count, size - tell()))
            left -= count
            reads -= 1
            if left < 0:
                raise RejectedInput(
                    "too_large", f"the header holds more than {LARGEST_HEADER >> 20} MiB: not an image's"
                )
            if reads < 0:
                raise RejectedInput(
                    "too_large", f"the header holds more than {_MOST_READS // 2} elements: not an image's"
                )
            return read_file(count)

        self.read, self.seek, self.tell = read, file.seek, tell  # closures: pydicom reads twice for each element


def parse(file: BinaryIO, size: int) -> tuple[FileDataset, int]:
    """Parse a data set up to its pixel data.

    Parameters
    ----------
    file : BinaryIO
        At its beginning.
    size : int
        Bytes that it has at most.

    Returns
    -------
    (FileDataset, int)
        The data set without large bulk data, and where the pixel data, or the end, is.

    Raises
    ------
    RejectedInput
        ``bad_header``, ``too_large``, and what `fastrace.dicom.deflated` raises.
    """
    header = _Header(file, size)
    large: list[tuple[BaseTag, str | None, int, int]] = []
    last, disorder = 0, 0

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal last, disorder
        number = int(tag)  # pydicom's tags compare in Python: 6 % of the time of a header
        if number in _STOP:
            return True
        if number <= last:
            disorder += 1
            if disorder > _MOST_DISORDER:
                raise RejectedInput("bad_header", "the elements are in no order: is the file damaged?")
        last = number
        if length > LONG_SEQUENCE:
            large.append((tag, vr, length, file.tell()))
        return False

    try:
        ds = read_partial(header, stop, defer_size=_LARGE, force=True)  # type: ignore[arg-type]
        position = file.tell()
        for element in large:
            _settle(ds, header, *element)
    except (RejectedInput, MemoryError):
        raise
    except Exception as error:  # pydicom raises many types on damaged input; none may end a scan of an archive
        raise RejectedInput(
            "bad_header", f"the data set cannot be parsed ({type(error).__name__}): is the file damaged?"
        ) from error
    return ds, position


def _settle(ds: FileDataset, header: _Header, tag: BaseTag, vr: str | None, length: int, position: int) -> None:
    """Read a large sequence and count its items, pass over large bulk data, refuse anything else that is so large."""
    stored: Any = ds._dict.get(tag)
    if not isinstance(stored, RawDataElement):
        return  # a sequence of undefined length, and read
    known = _vr(tag)
    skipped = stored.value is None
    if length != _UNDEFINED and "SQ" in (vr, known):
        if skipped:
            header.seek(position)
            stored = ds._dict[tag] = stored._replace(value=header.read(length))
        if stored.value[4:8] == b"\xff\xff\xff\xff":  # items of undefined length: counted while they are taken apart
            counted: Any = _Header(io.BytesIO(stored.value), length)
            implicit, little_endian = stored.is_implicit_VR, stored.is_little_endian
            items = read_sequence(counted, implicit, little_endian, length, ds._character_set, position)
            ds._dict[tag] = DataElement(tag, "SQ", items, position)
        check_items(ds._dict[tag])
    elif skipped and (tag.is_private or vr in _BULK or known in _BULK or length == _UNDEFINED):
        del ds[tag]
    elif skipped:
        raise RejectedInput("bad_header", f"{_named(tag)} claims {length} bytes: is the file damaged?")


def _vr(tag: BaseTag) -> str | None:
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return None


def _named(tag: BaseTag) -> str:
    return f"({tag.group:04X},{tag.element:04X})"
