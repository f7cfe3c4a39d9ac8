"""Which encoding a text table is in: recognised from its bytes and named in a note, since nobody knows it of a file from Excel.

UTF-8 and UTF-16 prove themselves: a byte order mark, or bytes that decode. Windows-1252 does not, since any bytes decode: it is
taken where nothing else fits, and the note lets a reader of the values see whether it was right.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from pathlib import Path

from fastrace.errors import UsageError

MOST_BYTES = 4 << 30
"""Of a table once unpacked; a longer one is refused before it fills the memory."""

_GZIP = b"\x1f\x8b"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", None),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)


def read_bytes(file: Path) -> bytes:
    """The bytes of a file, unpacked where it is gzip (as PhysioNet ships its tables).

    Raises
    ------
    UsageError
        Unreadable, damaged, or larger than `MOST_BYTES`.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"{file}: larger than {MOST_BYTES >> 30} GiB; keep the columns that are needed")
        raw = file.read_bytes()
        if not raw.startswith(_GZIP):
            return raw
        with gzip.open(file) as packed:
            raw = packed.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{file}: damaged gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{file}: unpacks to more than {MOST_BYTES >> 30} GiB; keep the columns that are needed")
    return raw


def decode(file: Path, raw: bytes) -> tuple[str, str | None]:
    """Text, and the name of its encoding where that is not UTF-8.

    Raises
    ------
    UsageError
        Bytes that are no text, or almost UTF-8.
    """
    for mark, encoding, name in _MARKS:
        if raw.startswith(mark):
            try:
                return raw[len(mark) :].decode(encoding), name
            except UnicodeDecodeError as error:
                said = name or "UTF-8"
                raise UsageError(
                    f"{file}: byte {error.start + len(mark)} is not {said}, which its first bytes promise; "
                    "save the table as UTF-8"
                ) from error
    if b"\0" in raw:
        return _without_mark(file, raw), "UTF-16"
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return _one_byte(file, raw, error)


LEAST_USUAL = 0.05


def _without_mark(file: Path, raw: bytes) -> str:
    """UTF-16 without a byte order mark: of both orders the one with more of a table's usual characters."""
    found = []
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        usual = len(re.findall(r"[ -~\t\r\n]", text))
        # A table has separators, digits and line ends in any language; one zero byte in ASCII makes Chinese of all of it.
        if "\0" not in text and usual >= LEAST_USUAL * len(text):
            found.append((usual, text))
    if not found:
        raise UsageError(
            f"{file}: holds zero bytes and is no UTF-16 text: no table; save it as CSV (UTF-8), Excel or Parquet"
        )
    return max(found)[1]


def _one_byte(file: Path, raw: bytes, error: UnicodeDecodeError) -> tuple[str, str]:
    # Text that is UTF-8 but for a few bytes (two files pasted together) would become "Ã©" throughout.
    text = raw.decode("utf-8", "surrogateescape")
    wrong = len(re.findall(r"[\udc80-\udcff]", text))
    right = len(re.findall(r"[^\x00-\x7f\udc80-\udcff]", text))
    if right >= wrong:
        raise UsageError(
            f"{file}: byte {error.start} is not UTF-8, though {right} other characters beyond ASCII are; save the table as UTF-8"
        ) from error
    try:
        return raw.decode("cp1252"), "Windows-1252 (Latin-1)"
    except UnicodeDecodeError:  # five bytes that Windows-1252 leaves undefined
        return raw.decode("latin-1"), "Latin-1 (ISO 8859-1)"
