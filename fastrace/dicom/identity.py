"""Whether a text repeats anything that identifies somebody in a header, however it is spelled.

Technologists type names, numbers and birth dates into fields of the device: ``QXMUELLER09_1933`` in a model name,
``03.09.1933`` in a body part. A text is therefore compared with every word of every name, every number and every date of its
own header: in upper and lower case, with and without accents (``MÜLLER``, ``MUELLER`` and ``MULLER`` are one), glued to
other letters or digits, spaced apart, cut off, backwards; a date in every order of day, month and year, or any date at all.

Three answers, since letters meet by chance (Ann in SCANNER): what *stands* as a word or a number of its own, what is *glued*
to other letters or digits, and what is *shared*, a word of an identifier (the HOSPITAL of HOSPITAL-0815) rather than of a
name. A text where a name stands is never kept; one of the other two only where many patients have it
(`fastrace.preprocess.vocabulary`). Two letters are a name only as a word of their own. Other scripts are compared as they are.
What a header holds is collected by `fastrace.dicom.identity_of`.

A cell of a label table is compared as a whole too (`Identity.found_in_cell`): with names, institutions, issuers and ids, however
short, with initials, and with dates as spreadsheets number their days. What stands there of a *place* is told from what stands of
a person, since a place is that of all its patients; what is a small number and an *id* counts where most cells are.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from fastrace.dicom.name_forms import WORD, composed, full_name, name_form, squeezed
from fastrace.errors import RejectedInput

Found = Literal["stands", "place", "glued", "shared", "id"]
_ORDER: tuple[Found, ...] = ("stands", "glued", "shared")
_MONTH = "(?:JAN|FEB|MAR|MRZ|APR|MAY|MAI|JUN|JUL|AUG|SEP|OCT|OKT|NOV|DEC|DEZ)"
_DAY, _MON, _YEAR, _SEP = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:18|19|20)\d\d", r"[-./_\s]{1,2}"
_ANY_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}(?:{_SEP}{_MON}{_SEP}{_DAY}|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))|{_DAY}{_SEP}{_MON}{_SEP}{_YEAR}|"
    rf"{_MON}{_SEP}{_DAY}{_SEP}{_YEAR}|(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2]){_YEAR}|"
    rf"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]){_YEAR})(?!\d)|"
    rf"(?<!\d){_DAY}[-./_\s]{{0,2}}{_MONTH}[A-Z]*[-./_\s]{{0,2}}(?:{_YEAR}|\d\d)(?!\d)|"
    rf"(?<![A-Z]){_MONTH}[A-Z]*[-./_\s]{{0,2}}(?:{_DAY}[-./_,\s]{{1,3}})?{_YEAR}(?!\d)"
)
_ATTRIBUTE = re.compile(r"((?:[A-Z][\w'/-]* )+\([0-9A-F]{4},[0-9A-F]{4}\))")
# A date with its separators is one token; so are digits glued to letters.
_TOKEN = re.compile(r"[^\s'\"(),;:]*\w")
_HIDDEN = "(withheld)"
_DAY_0, _DAYS_TO_1904 = datetime.date(1899, 12, 30).toordinal(), 1462
_SERIAL = re.compile(r"(?<!\d)\d{5}(?!\d)")
_INITIALS = re.compile(r"(?:[^\W\d_][.\s-]{0,2}){2,4}")
_THREE_NUMBERS = re.compile(r"(?<!\d)(\d{1,4})\D{1,3}(\d{1,2})\D{1,3}(\d{1,4})(?!\d)")


class Withheld(NamedTuple):
    """A value that repeats something of its header: column of the index, how, and the value, which stays here."""

    column: str
    found: Found
    value: str


@dataclass(frozen=True)
class Identity:
    """Words, numbers and dates that stand for the people of one header. It never leaves the machine.

    Attributes
    ----------
    words : frozenset of str
        Of names and addresses, in the form of `name_form`.
    labels : frozenset of str
        Words in identifiers.
    numbers : frozenset of str
        Digits of identifiers, dates and UIDs, without leading zeros.
    dates : frozenset of (int, int, int)
        Day, month, year.
    places : frozenset of str
        Those of ``words`` that are of places alone.
    names : frozenset of str
        Whole names of two words or more, in the form of `full_name`.
    initials : frozenset of str
        Of the patient.
    whole_ids, whole_places : frozenset of str
        Whole identifiers, and whole names of institutions and issuers, in the form of `squeezed`.
    """

    words: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    dates: frozenset[tuple[int, int, int]] = frozenset()
    places: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    initials: frozenset[str] = frozenset()
    whole_ids: frozenset[str] = frozenset()
    whole_places: frozenset[str] = frozenset()

    def found_in_cell(self, text: str, *, known: bool = False) -> Found | None:
        """How a cell of a label table repeats something of this header; of a known term, only whether it is a whole name."""
        if full_name(text) in self.names:
            return "stands"
        if known:
            return None
        whole = squeezed(text)
        if (
            whole in self.whole_ids
            or self._initials(text)
            or any(self.serial(int(day)) for day in _SERIAL.findall(text))
        ):
            return "stands"
        if whole in self.whole_places:
            return "place"
        how = self.found_in(text)
        if how == "stands" and self.places and replace(self, words=self.words - self.places).found_in(text) != "stands":
            return "place"
        return how

    def serial(self, number: int) -> bool:
        """Whether a number is a date of this header as spreadsheets number their days, from 1900 or from 1904."""
        return 10_000 <= number < 100_000 and any(_same_day(date, number) for date in self.dates)

    def _initials(self, text: str) -> bool:
        """J.D. or J. Q. D.; without points it may be any code: *pos* was a Mr Paul Otto Schmidt, and missing for all."""
        return "." in text and _INITIALS.fullmatch(text) is not None and squeezed(text) in self.initials

    def found_in(self, text: str) -> Found | None:
        """How a text repeats something of this header; None if it does not, or not that one could see."""
        both = (self._found(text), self._found(_read_as_utf8(text)))
        return next((how for how in _ORDER if how in both), None)

    def _found(self, text: str) -> Found | None:
        shape = _shape(text)
        if shape.dated or shape.words & self.words or shape.numbers & self.numbers or self._same_date(shape):
            return "stands"
        if any(self._word_glued(word, shape) for word in self.words) or self._number_glued(shape):
            return "glued"
        if any(word in shape.words or self._word_glued(word, shape) for word in self.labels):
            return "shared"
        return None

    def hidden_in(self, message: str) -> str:
        """The message without the words and long numbers of this header: messages reach terminals and logs.

        Attributes with their tag stay as they are.
        """
        parts = _ATTRIBUTE.split(message)
        return "".join(part if n % 2 else _TOKEN.sub(self._hidden, part) for n, part in enumerate(parts))

    def _hidden(self, match: re.Match[str]) -> str:
        token = match[0]
        long = len(token) >= (5 if token.isdecimal() else 3 if token.isascii() else 1)
        return _HIDDEN if long and self.found_in(token) in ("stands", "glued") else token

    def holds(self, number: float) -> bool:
        """Whether a measurement is rather an identifier or a date of this header: the same four or more digits."""
        digits = f"{number:.0f}" if number == int(number) else ""
        return len(digits) >= 4 and digits in self.numbers

    def _same_date(self, shape: _Shape) -> bool:
        return any(
            sorted(triple) in (sorted(date), sorted((date[0], date[1], date[2] % 100)))
            for triple in shape.triples
            for date in self.dates
        )

    def _word_glued(self, word: str, shape: _Shape) -> bool:
        if not word.isascii():
            return word in shape.letters
        if len(word) < 3:
            return False
        if any(word in run for run in shape.words) or word in shape.backwards:
            return True
        if len(word) >= 4 and any(word in run for run in shape.backwards):
            return True
        if len(word) < 5:  # across the spaces of a text four letters meet too often
            return False
        cut_off = any(len(run) >= 5 and word.startswith(run) for run in shape.words)
        return cut_off or word in shape.letters or (len(word) >= 7 and word[:6] in shape.letters)

    def _number_glued(self, shape: _Shape) -> bool:
        for number in self.numbers:
            if len(number) >= 4 and any(number in run for run in shape.numbers):
                return True
            if len(number) >= 5 and (number in shape.digits or number in shape.digits[::-1]):
                return True
        return False


class _Shape(NamedTuple):
    words: frozenset[str]
    backwards: frozenset[str]
    letters: str  # of all words
    numbers: frozenset[str]
    digits: str  # of all numbers
    triples: tuple[tuple[int, int, int], ...]
    dated: bool


@lru_cache(4096)
def _shape(text: str) -> _Shape:
    """A text taken apart once: device texts repeat."""
    plain = composed(text)
    words = WORD.findall(plain)
    camel = WORD.findall(re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", plain))
    joined = "".join(words)
    runs = re.findall(r"\d+", plain)
    return _Shape(
        frozenset(map(name_form, (*words, *camel))),
        frozenset(name_form(word[::-1]) for word in (*words, joined)),
        name_form(joined),
        frozenset(run.lstrip("0") for run in runs if run.lstrip("0")),
        "".join(runs),
        tuple((int(a), int(b), int(c)) for a, b, c in _THREE_NUMBERS.findall(plain)),
        _ANY_DATE.search(plain.upper()) is not None,
    )


@contextmanager
def nobody_in_messages(identity: Callable[[], Identity]) -> Iterator[None]:
    """Take what identifies somebody out of the message of a rejection; ``identity`` is called only where there is one."""
    try:
        yield
    except RejectedInput as error:
        raise RejectedInput(error.reason, identity().hidden_in(error.message)) from error


def _same_day(date: tuple[int, int, int], serial: int) -> bool:
    try:
        days = datetime.date(date[2], date[1], date[0]).toordinal() - _DAY_0
    except ValueError:  # 31 February
        return False
    return serial in (days, days - _DAYS_TO_1904)


def _read_as_utf8(text: str) -> str:
    """What a Code String says in a file of UTF-8: its repertoire is ASCII (PS3.5 6.2), so an umlaut is read as two letters."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
