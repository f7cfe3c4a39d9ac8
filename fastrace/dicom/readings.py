"""What bytes of a text may say where its character set is missing or wrong.

Specific Character Set (0008,0005) is forgotten, or written by one device and ignored by the next (PS3.3 C.12.1.1.2): a name in
UTF-8, CP1251 or GBK is then read as Latin letters that nobody typed into a label table. Each code page of `_CODE_PAGES` in which
the bytes are text is one more reading. Of a reading that is probably wrong only words with a letter beyond ASCII count, and no
two Latin letters, which ``MÃ¼ller`` leaves of Müller and which are codes of places: the ASCII words are those of any reading.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# Those that hospitals have without declaring them: UTF-8, Windows, KOI8 and DOS for Cyrillic, the multi-byte ones of East Asia.
_CODE_PAGES = (
    "utf-8", "cp1252", "cp1250", "cp1251", "koi8-r", "cp866", "iso8859-5", "cp1253", "cp1254", "cp1255", "cp1256", "iso8859-6",
    "cp1257", "cp874", "gb18030", "big5", "cp932", "euc_jp", "cp949",
)  # fmt: skip
_ESCAPED = ("iso2022_jp_2",)  # whose escapes Python reads; others are taken out, and their bytes read by a code page
_ESCAPE = re.compile(rb"\x1b[$()*+,\-./]{1,2}[0-~]")
_LONGEST_BYTES = 1024


def raw_of(ds: Dataset, found: Any) -> bytes | None:
    """The bytes of a text that is not plain ASCII; None where it is, or where they are not known any more."""
    several = found if isinstance(found, MultiValue | list | tuple) else (found,)
    raw = b"\\".join(one for one in (_bytes(ds, value) for value in several) if one is not None)[:_LONGEST_BYTES]
    return None if raw.isascii() and b"\x1b" not in raw else raw


def _bytes(ds: Dataset, value: Any) -> bytes | None:
    original = getattr(value, "original_string", value)  # a Person Name keeps what it was read from
    if isinstance(original, bytes):
        return original
    if not isinstance(original, str) or original.isascii():
        return None
    for encoding in ("latin-1", *_declared(ds)):  # a text that was read already: back to its bytes
        try:
            return original.encode(encoding)
        except (UnicodeError, LookupError):
            continue
    return None


def _declared(ds: Dataset) -> list[str]:
    try:
        return convert_encodings(ds.original_character_set)
    except Exception:  # a character set that nobody defined
        return []


@lru_cache(1024)
def other_readings(raw: bytes) -> tuple[tuple[str, bool], ...]:
    """Each text that the bytes may be, and whether it is the likely one: hardly any other text is UTF-8 by chance.

    The end may be cut within a character, as a limit in bytes does. 0.5 ms for the first of equal names.
    """
    found: dict[str, bool] = {}
    pages: tuple[str, ...] = _CODE_PAGES
    if b"\x1b" in raw:
        pages = (*_ESCAPED, *pages)
    plain = _ESCAPE.sub(b"", raw)
    for page in pages:
        try:
            text = codecs.getincrementaldecoder(page)().decode(raw if page in _ESCAPED else plain)
        except UnicodeError:
            continue
        if text.isprintable():
            found.setdefault(text, page == "utf-8" or page in _ESCAPED)
    return tuple(found.items())


def counts_in_doubt(word: str, folded: str) -> bool:
    """Whether a word of an unlikely reading is one: see the text above.

    Parameters
    ----------
    word : str
        As it was read.
    folded : str
        Without accents.
    """
    if word.isascii():
        return False
    if folded.isascii():
        return len(folded) > 2
    return len(word) > 1 or ord(word) >= 0x2E80  # an ideograph is a name, one letter of an alphabet is none
