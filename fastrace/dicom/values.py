"""Reading header values that may be anything: missing, empty, of another VR, not numbers, not finite.

pydicom converts a value when it is read and raises where the text does not fit its VR; hospital archives hold such
files. The functions here return a plain Python value or raise `Unusable` with a reason, never anything else.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from fastrace.errors import RejectedInput

_TEXTS = frozenset({"AS", "CS", "DA", "DS", "IS", "LO", "SH", "TM", "UI"})
_LARGEST_INTEGER = 1 << 53  # of which a float holds every one
LONG_SEQUENCE = 1 << 14
"""Bytes of a sequence above which its items are counted before it is taken apart."""
_MOST_ITEMS = 1 << 16
_LONGEST_TEXT = 64  # characters: the limit of an LO, so that a damaged length cannot carry a page of text onwards
_LONGEST_ID = 1024  # characters: two ids that begin alike are two, also where a pseudonym is longer than its VR allows


class Unusable(ValueError):
    """A value or a stream that cannot be used; its own text quotes no text of the file, so it may be shown."""


@cache
def attribute(keyword: str) -> str:
    """Return an attribute as messages name it, e.g. ``Window Width (0028,1051)``."""
    tag = _tag(keyword)
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def stored(ds: Dataset, tag: int) -> Any:
    """Return an element as it was parsed, None where it is absent; never raises.

    The keys of pydicom's dictionary are tags, which are whole numbers. Its own ``get_item`` takes ten times as long, and a
    header is asked for a hundred attributes that are mostly absent.
    """
    return ds._dict.get(tag)  # type: ignore[call-overload]


def value(ds: Dataset, keyword: str | int) -> Any:
    """Return the value of a keyword or tag as pydicom reads it, its raw bytes where pydicom cannot, None where empty."""
    tag = _tag(keyword) if isinstance(keyword, str) else keyword
    element = stored(ds, tag)
    if element is None:
        return None
    try:
        found = ds[tag].value
    except Exception:  # whatever a wrong VR makes pydicom's converters raise
        found = getattr(element, "value", None)
    if found is None or (hasattr(found, "__len__") and len(found) == 0):
        return None
    return found


def _plain(ds: Dataset, keyword: str) -> str | int | None:
    """A short text or one unsigned short as it is stored, else None: `value` finds the same in ten times the time.

    An empty text is returned as one; it stands for an absent attribute.
    """
    tag = _tag(keyword)
    raw = stored(ds, tag)
    if not isinstance(raw, RawDataElement) or not isinstance(raw.value, bytes):
        return None
    vr = raw.VR or _standard_vr(tag)
    if vr in _TEXTS and raw.value.isascii() and b"\x1b" not in raw.value:  # ESC begins another character set
        return raw.value.decode("ascii").strip(" \0")
    if vr == "US" and len(raw.value) == 2:
        return int.from_bytes(raw.value, "little" if raw.is_little_endian else "big")
    return None


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """Return all values as finite floats, an empty tuple where the attribute is absent or empty.

    Raises
    ------
    Unusable
        If a value is not a finite number; the message says what it is instead, and quotes no text.
    """
    found: Any = _plain(ds, keyword)
    if found is None:
        found = value(ds, keyword)
    if found is None or found == "":
        return ()
    if isinstance(found, bytes):
        found = _from_bytes(found, keyword)
    if isinstance(found, str):
        found = found.strip(" \0").split("\\")
    elif not isinstance(found, Iterable):
        found = [found]
    return tuple(_number(part) for part in found)


def number(ds: Dataset, keyword: str) -> float | None:
    """Return the first value as a finite float, None where absent; raises `Unusable` as `numbers` does."""
    found = numbers(ds, keyword)
    return found[0] if found else None


def integer(ds: Dataset, keyword: str) -> int | None:
    """Return the first value as an int, None where absent; raises `Unusable` if it is no whole number."""
    found = number(ds, keyword)
    if found is None:
        return None
    if found != int(found) or abs(found) > _LARGEST_INTEGER:
        raise Unusable(f"{found:g}")
    return int(found)


def text(ds: Dataset, keyword: str) -> str | None:
    """Return the first value as printable text of at most 64 characters, None where absent or blank. Never raises."""
    return next(texts(ds, keyword), None) or None


def identifier(ds: Dataset, keyword: str) -> str | None:
    """Return the whole of an identifier as printable text, all its values; None where absent or blank. Never raises.

    One of more than 1024 characters is returned as its digest: nothing is cut, so that no two become one.
    """
    whole = "\\".join(_printable(ds, keyword)).strip("\\")
    if len(whole) > _LONGEST_ID:
        return f"blake2b:{hashlib.blake2b(whole.encode('utf-8', 'surrogateescape'), digest_size=16).hexdigest()}"
    return whole or None


def texts(ds: Dataset, keyword: str) -> Iterator[str]:
    """Yield every value as printable text of at most 64 characters, blank ones as empty text. Never raises."""
    for one in _printable(ds, keyword):
        yield one[:_LONGEST_TEXT]


def _printable(ds: Dataset, keyword: str) -> Iterator[str]:
    found: Any = _plain(ds, keyword)
    if found is None:
        found = value(ds, keyword)
    if isinstance(found, bytes):
        found = found.decode("ascii", "replace")
    if found is None or found == "":
        return
    try:
        for one in found if isinstance(found, Iterable) and not isinstance(found, str) else str(found).split("\\"):
            plain = str(one)
            if not plain.isprintable():
                plain = "".join(c if c.isprintable() else " " for c in plain)
            plain = plain.split("\\")[0]
            yield plain.strip()
    except Exception:  # a value whose own conversion to text fails
        return


def items(ds: Dataset, keyword: str | int) -> list[Dataset]:
    """Return the items of a sequence (keyword or tag), an empty list where it is absent, empty or no sequence.

    Raises
    ------
    RejectedInput
        As `check_items` does; nothing else.
    """
    tag = _tag(keyword) if isinstance(keyword, str) else keyword
    element = stored(ds, tag)
    if element is None:
        return []
    check_items(element)
    found = value(ds, tag)
    if found is None or isinstance(found, str | bytes) or not isinstance(found, Iterable):
        return []
    return [item for item in found if isinstance(item, Dataset)]


def why(error: Exception) -> str:
    """Return one line about an exception: the text of ours, the type of a library's, and the text too where a codec wrote it.

    Codecs put fixed words and numbers into theirs; pydicom, numpy and the interpreter quote values of the file.
    """
    if isinstance(error, Unusable):
        return str(error)
    name = type(error).__name__
    if type(error).__module__.split(".")[0] != "imagecodecs":
        return name
    lines = str(error).splitlines() or [""]
    return f"{name}: {''.join(c for c in lines[0] if ' ' <= c <= '~')[:120]}"


def stored_bytes(ds: Dataset, keyword: str) -> int:
    """Return how many bytes an attribute has as it is stored, 0 where it is absent or was converted already."""
    found = stored(ds, _tag(keyword))
    return len(found.value) if isinstance(found, RawDataElement) and isinstance(found.value, bytes) else 0


def check_items(element: Any) -> None:
    """Count the items of a long sequence that pydicom has not taken apart: each becomes a data set of about 1.5 KB.

    pydicom takes any eight bytes for an item: a mebibyte of zeros would become 131,072 data sets.

    Raises
    ------
    RejectedInput
        ``bad_header`` if there are too many, or something else than items.
    """
    stored = getattr(element, "value", None)
    if not isinstance(element, RawDataElement) or not isinstance(stored, bytes) or len(stored) <= LONG_SEQUENCE:
        return
    form = "<HHI" if element.is_little_endian else ">HHI"
    place = count = 0
    while place + 8 <= len(stored):
        group, number, length = struct.unpack_from(form, stored, place)
        count += 1
        undefined = length == 0xFFFFFFFF  # its end is found by taking it apart
        too_many = count + (len(stored) - place) // 8 if undefined else count
        if (group, number) != (0xFFFE, 0xE000) or too_many > _MOST_ITEMS:
            tag = f"({element.tag >> 16:04X},{element.tag & 0xFFFF:04X})"
            raise RejectedInput(
                "bad_header", f"{tag} is no sequence of at most {_MOST_ITEMS} items: is the file damaged?"
            )
        if undefined:
            return
        place += 8 + length


@cache
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise AssertionError(f"not a DICOM keyword: {keyword}")
    return int(tag)


@cache
def _standard_vr(tag: int) -> str | None:
    """As implicit VR is read: by the dictionary."""
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return None


def _number(part: Any) -> float:
    try:
        found = float(part.strip(" \0") if isinstance(part, str) else part)
    except (TypeError, ValueError, OverflowError):
        raise Unusable("no number") from None
    if not math.isfinite(found):
        raise Unusable(f"{found:g}")
    return found


def _from_bytes(raw: bytes, keyword: str) -> Any:
    # A wrong VR: a number declared OB or UN. Two bytes of what the dictionary calls a short are a little-endian
    # short; anything else can only be the text of a decimal or integer string.
    vr = dictionary_VR(_tag(keyword))
    if vr[:2] in ("US", "SS") and len(raw) == 2:
        return struct.unpack("<h" if vr == "SS" else "<H", raw)
    return raw.decode("ascii", "replace")
