"""Texts in the forms in which they are compared with what identifies somebody: without case, accents and order of words.

``MÜLLER``, ``MUELLER`` and ``MULLER`` are one; two letters are a name only as a word of their own, titles are none.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from fastrace.dicom.readings import counts_in_doubt


def words_in(text: str) -> frozenset[str]:
    """The words of a text that is a list of them."""
    return frozenset(text.split())


# Titles, and what de-identification writes instead of a name: in every file, so no sign of anybody.
NO_NAMES = words_in(
    """
    DR MD MR MS MRS PROF PHD RT JR SR II III IV ANON ANONYM ANONYMOUS ANONYMIZED ANONYMISED UNKNOWN NONE REMOVED
    DEIDENTIFIED PATIENT SUBJECT TEST ADMIN USER TECH SERVICE OPERATOR PHANTOM XX XXX XXXX
    """
)
_EXPANDED = str.maketrans(
    {
        "Ä": "AE",
        "Ö": "OE",
        "Ü": "UE",
        "Æ": "AE",
        "Œ": "OE",
        "Ø": "OE",
        "Å": "AA",
        "Ł": "L",
        "Đ": "D",
        "Ð": "D",
        "Þ": "TH",
    }
)
_DOUBLED = re.compile("([AOU])E|AA")
WORD = re.compile(r"[^\W\d_]+")


@lru_cache(4096)
def name_form(text: str) -> str:
    """Upper case without accents; an umlaut, its two letters and its plain letter become the same."""
    upper = composed(text).upper().translate(_EXPANDED)
    plain = "".join(c for c in unicodedata.normalize("NFKD", upper) if not unicodedata.combining(c))
    while (shorter := _DOUBLED.sub(lambda match: match[1] or "A", plain)) != plain:
        plain = shorter
    return plain


def composed(text: str) -> str:
    """An accent and its letter as one character, so that words are not cut at it."""
    return unicodedata.normalize("NFKC", text)


def folded_words(text: str, doubtful: bool = False) -> list[str]:
    """The words of a text in the form of `name_form`; of a doubtful reading only those that count."""
    words = [(word, name_form(word)) for word in WORD.findall(composed(text))]
    return [folded for word, folded in words if not doubtful or counts_in_doubt(word, folded)]


@lru_cache(4096)
def name_words(name: str, doubtful: bool = False) -> frozenset[str]:
    """Words of a Person Name (PS3.5 6.2.1): three groups of spelling, five components; not prefix and suffix."""
    found: set[str] = set()
    for group in name.split("="):
        for component in group.split("^")[:3]:
            parts = [word for word in folded_words(component, doubtful) if word not in NO_NAMES]
            found.update(word for word in parts if len(word) > 1 or not word.isascii())
            if len("".join(parts)) >= 5:
                found.add("".join(parts))
    return frozenset(found)


@lru_cache(4096)
def full_name(text: str) -> str:
    """The words of a name in alphabetical order, in the form of `name_form`; empty for a single word."""
    words = sorted(word for word in folded_words(text) if word not in NO_NAMES)
    return " ".join(words) if len(words) > 1 else ""


@lru_cache(4096)
def full_names(name: str) -> frozenset[str]:
    """A Person Name as `full_name` has it, of each group of spelling: with and without the middle name."""
    parts = [group.split("^") for group in name.split("=")]
    return frozenset(full_name(" ".join(several[:count])) for several in parts for count in (2, 3)) - {""}


@lru_cache(4096)
def initials_of(name: str) -> frozenset[str]:
    """Given name first, or family name first; with and without the middle name."""
    found: set[str] = set()
    for group in name.split("="):
        family, *given = [folded_words(component) for component in group.split("^")[:3]]
        for several in (given, given[:1]):
            first = "".join(word[0] for words in several for word in words)
            last = "".join(word[0] for word in family)
            if first and last:
                found |= {first + last, last + first}
    return frozenset(found)


@lru_cache(4096)
def squeezed(text: str) -> str:
    """Letters and digits alone, in the form of `name_form`."""
    return re.sub(r"[\W_]+", "", name_form(text))
