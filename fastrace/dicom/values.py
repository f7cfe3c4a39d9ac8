"""Reading header values that may be anything: missing, empty, of another VR, not numbers, not finite.

pydicom converts a value when it is read and raises where the text does not fit its VR; hospital archives hold such
files. The functions here return a plain Python value or raise `ValueError` with a reason, never anything else.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

_LONGEST_TEXT = 64  # characters: the limit of an LO, so that a damaged length cannot carry a page of text onwards


def attribute(keyword: str) -> str:
    """Return an attribute as messages name it, e.g. ``Window Width (0028,1051)``."""
    tag = _tag(keyword)
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def value(ds: Dataset, keyword: str | int) -> Any:
    """Return the value of a keyword or tag as pydicom reads it, its raw bytes where pydicom cannot, None where empty."""
    tag = _tag(keyword) if isinstance(keyword, str) else keyword
    present = ds.keys()  # 0.1 us where `tag in ds`, which makes a tag of anything, takes 3
    if tag not in present:
        return None
    try:
        found = ds[tag].value
    except Exception:  # whatever a wrong VR makes pydicom's converters raise
        try:
            found = getattr(ds.get_item(tag), "value", None)
        except Exception:  # a VR that is none
            found = None
    if found is None or (hasattr(found, "__len__") and len(found) == 0):
        return None
    return found


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """Return all values as finite floats, an empty tuple where the attribute is absent or empty.

    Raises
    ------
    ValueError
        If a value is not a finite number; the message is the text of the value.
    """
    found = value(ds, keyword)
    if found is None:
        return ()
    if isinstance(found, bytes):
        found = _from_bytes(found, keyword)
    if isinstance(found, str):
        found = found.strip(" \0").split("\\")
    elif not isinstance(found, Iterable):
        found = [found]
    return tuple(_number(part) for part in found)


def number(ds: Dataset, keyword: str) -> float | None:
    """Return the first value as a finite float, None where absent; raises `ValueError` as `numbers` does."""
    found = numbers(ds, keyword)
    return found[0] if found else None


def integer(ds: Dataset, keyword: str) -> int | None:
    """Return the first value as an int, None where absent; raises `ValueError` if it is no whole number."""
    found = number(ds, keyword)
    if found is None:
        return None
    if found != int(found):
        raise ValueError(f"{found:g}")
    return int(found)


def text(ds: Dataset, keyword: str) -> str | None:
    """Return the first value as printable text of at most 64 characters, None where absent or blank. Never raises."""
    return next(texts(ds, keyword), None) or None


def texts(ds: Dataset, keyword: str) -> Iterator[str]:
    """Yield every value as printable text of at most 64 characters, blank ones as empty text. Never raises."""
    found = value(ds, keyword)
    if isinstance(found, bytes):
        found = found.decode("ascii", "replace")
    if found is None:
        return
    try:
        for one in found if isinstance(found, Iterable) and not isinstance(found, str) else str(found).split("\\"):
            plain = "".join(c if c.isprintable() else " " for c in str(one)).split("\\")[0]
            yield plain.strip()[:_LONGEST_TEXT]
    except Exception:  # a value whose own conversion to text fails
        return


def items(ds: Dataset, keyword: str | int) -> list[Dataset]:
    """Return the items of a sequence (keyword or tag), an empty list where it is absent, empty or no sequence. Never raises."""
    found = value(ds, keyword)
    if found is None or isinstance(found, str | bytes) or not isinstance(found, Iterable):
        return []
    return [item for item in found if isinstance(item, Dataset)]


@lru_cache(1024)
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise AssertionError(f"not a DICOM keyword: {keyword}")
    return int(tag)


def _number(part: Any) -> float:
    try:
        found = float(part.strip(" \0") if isinstance(part, str) else part)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(_shown(part)) from None
    if not math.isfinite(found):
        raise ValueError(_shown(part))
    return found


def _from_bytes(raw: bytes, keyword: str) -> Any:
    # A wrong VR: a number declared OB or UN. Two bytes of what the dictionary calls a short are a little-endian
    # short; anything else can only be the text of a decimal or integer string.
    vr = dictionary_VR(_tag(keyword))
    if vr[:2] in ("US", "SS") and len(raw) == 2:
        return struct.unpack("<h" if vr == "SS" else "<H", raw)
    return raw.decode("ascii", "replace")


def _shown(part: Any) -> str:
    return repr(str(part)[:24])
