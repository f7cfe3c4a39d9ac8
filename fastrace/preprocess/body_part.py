"""Whether the body part that an image names belongs to the modality.

Body Part Examined (0018,0015) has defined terms (PS3.16 annex L: CHEST, BREAST, HAND, CSPINE), but consoles write other
values: "C SPINE", "PORT CHEST", "CHEST_TO_PELVIS", "Thorax". Values are therefore compared by letters and digits alone,
without case and accents, and a value belongs if one of its words begins with a term of the modality, with or without the
side before it ("L HAND", "RHAND"). A term with a star may also stand inside a word (``*CHEST``: NECKCHESTABDPELV); without
one, CSPINE would be found in "THORACIC SPINE" and HAND in "BEHANDLUNG".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from fastrace.errors import RejectedInput, UsageError
from fastrace.modality import Modality


def names_a_part(value: str | None) -> bool:
    """Whether a value names a body part at all."""
    from fastrace.dicom.anatomy import names_a_part as named  # not at import: it loads pydicom

    return named(value)


def belongs(value: str | None, kept: Collection[str]) -> bool:
    """Whether an image with this value is kept: no part named, no terms to keep to, or one of the terms in it."""
    return not kept or not names_a_part(value) or any(_found(term, value or "") for term in kept)


def _found(term: str, value: str) -> bool:
    begin = "" if term.startswith("*") else r"(?<![^\W\d_])(?:LEFT|RIGHT|LT|RT|L|R)?[\W_]*"
    letters = r"[\W_]*".join(map(re.escape, _plain(term)))
    return re.search(begin + letters, _folded(value)) is not None


def check(value: str | None, source: str, modality: str, kept: Collection[str]) -> None:
    """Reject a contradicting value; ``source`` names where the value was read.

    Raises
    ------
    RejectedInput
        ``other_body_part``.
    """
    if belongs(value, kept):
        return
    from fastrace.dicom.vocabulary import QUOTE, is_listed, shown  # not at import: it loads pydicom

    known = value is not None and is_listed("BodyPartExamined", value)
    raise RejectedInput(
        "other_body_part",
        f"{source} is {shown('BodyPartExamined', value, QUOTE)}; --modality {modality} keeps "
        f"{', '.join(kept).replace('*', '')}; to keep it too: --body-part {f'{QUOTE}{value}{QUOTE}' if known else 'VALUE'}, "
        "or --body-part any for every part",
    )


def terms(preset: Modality, given: Sequence[str]) -> tuple[str, ...]:
    """The modality's terms and those that the user adds; empty: every body part.

    Raises
    ------
    UsageError
        A value that names no body part, or one more where all are kept.
    """
    for value in given:
        if not names_a_part(value):
            raise UsageError(f"--body-part {value!r}: names no body part; images that name none are kept without it")
    added = {_plain(value) for value in given}
    if added - {"ANY"} and not preset.body_parts:
        raise UsageError(f"--body-part: --modality {preset.name} keeps every body part; leave the option out")
    if "ANY" in added or not preset.body_parts:
        return ()
    return (*preset.body_parts, *sorted(added.difference(preset.body_parts)))


def _plain(value: str | None) -> str:
    return "".join(letter for letter in _folded(value or "") if letter.isalnum())


def _folded(value: str) -> str:
    """Upper case, without accents."""
    decomposed = unicodedata.normalize("NFKD", value)
    return "".join(letter for letter in decomposed.upper() if not unicodedata.combining(letter))
