"""Enumerated values (CS, PS3.5 6.2) as files spell them: ``monochrome2``, ``Inverse``, ``linear exact``.

A CS is in capitals. What differs from a known term only in case, spaces or punctuation is that term, with a note; anything
else is no term, and is never repeated in a message: a name was met in Photometric Interpretation.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from fastrace.dicom.notes import Note
from fastrace.dicom.values import attribute, text

UNKNOWN = "a term that is not known"


def term(ds: Dataset, keyword: str, known: Iterable[str]) -> str | None:
    """Return the known term that an attribute holds, `UNKNOWN` for any other text, None where it is absent or blank."""
    found = text(ds, keyword)
    if found is None:
        return None
    plain = _plain(found)
    return next((one for one in known if _plain(one) == plain), UNKNOWN)


def spelling_note(ds: Dataset, keyword: str, taken: str | None) -> Note | None:
    """A note where the attribute is not written as the term that was taken for it."""
    found = text(ds, keyword)
    if found is None or taken in (None, UNKNOWN) or found == taken:
        return None
    return Note("spelling", f"{attribute(keyword)} is not written {taken} but was taken as that")


def _plain(value: str) -> str:
    return "".join(c for c in value.upper() if c.isalnum())
