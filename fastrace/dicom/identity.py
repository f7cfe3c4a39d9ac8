"""What identifies somebody in a header, and whether a text repeats any of it, however it is spelled.

Technologists type names, numbers and birth dates into fields of the device: ``QXMUELLER09_1933`` in a model name,
``03.09.1933`` in a body part. A text is therefore compared with every word of every name, every number and every date of its
own header: in upper and lower case, with and without accents (``MÜLLER``, ``MUELLER`` and ``MULLER`` are one), glued to
other letters or digits, spaced apart, cut off, backwards; a date in every order of day, month and year, or any date at all.

Three answers, since letters meet by chance (Ann in SCANNER): what *stands* as a word or a number of its own, what is *glued*
to other letters or digits, and what is *shared*, a word of an identifier (the HOSPITAL of HOSPITAL-0815) rather than of a
name. A text where a name stands is never kept; one of the other two only where many patients have it
(`fastrace.preprocess.vocabulary`). Attributes: PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.7.5.1 (serial numbers), all of
VR PN, DA and DT. Two letters are a name only as a word of their own. Other scripts are compared as they are.

A cell of a label table is compared as a whole too (`Identity.found_in_cell`): with names, institutions, issuers and ids, however
short, with initials, and with dates as spreadsheets number their days. What stands there of a *place* is told from what stands of
a person, since a place is that of all its patients; what is a small number and an *id* counts where most cells are.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from fastrace.dicom.readings import counts_in_doubt, other_readings, raw_of
from fastrace.dicom.values import items, stored, value
from fastrace.errors import RejectedInput

Found = Literal["stands", "place", "glued", "shared", "id"]
_ORDER: tuple[Found, ...] = ("stands", "glued", "shared")

_MOST_VALUES, _LONGEST = 64, 256  # of one attribute, and characters of each: a damaged length must not cost time
_DEPTH, _MOST_ITEMS = 3, 8


def _tags(keywords: str) -> frozenset[int]:
    return frozenset(int(tag) for word in keywords.split() if (tag := tag_for_keyword(word)) is not None)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _of_vr(*vrs: str) -> frozenset[int]:
    return frozenset(int(tag) for tag, entry in DicomDictionary.items() if entry[0] in vrs)


_NAMES = _of_vr("PN") | {0x00100012}  # Name to Use, which the dictionary of pydicom may not know yet
_PLACES = _tags("PatientAddress InstitutionName InstitutionAddress ResponsibleOrganization ReferringPhysicianAddress")
_STATIONS = _tags("StationName InstitutionalDepartmentName")  # words of many devices too, so that they may be shared
_NUMBERS = _tags(
    """PatientID OtherPatientIDs AccessionNumber StudyID MedicalRecordLocator AdmissionID ServiceEpisodeID RequestedProcedureID
    ScheduledProcedureStepID PerformedProcedureStepID FillerOrderNumberImagingServiceRequest
    PlacerOrderNumberImagingServiceRequest ClinicalTrialSubjectID ClinicalTrialSubjectReadingID PatientTelephoneNumbers
    PatientTelecomInformation DeviceSerialNumber DetectorID PlateID CassetteID GantryID GeneratorID"""
)
_BIRTH = _tags("PatientBirthDate PatientBirthDateInAlternativeCalendar")
_DATES = _of_vr("DA", "DT") | _BIRTH
_WHOLE_IDS = _tags("PatientID OtherPatientIDs AccessionNumber AdmissionID MedicalRecordLocator")
_WHOLE_PLACES = _PLACES | _tags("IssuerOfPatientID")
_PATIENT_NAME = int(tag_for_keyword("PatientName") or 0)
_CODES = _tags("CodeMeaning"), _tags("CodeValue LongCodeValue")  # of a person (PS3.3 10.1): a name, and an id
_UIDS = _tags("StudyInstanceUID SeriesInstanceUID SOPInstanceUID FrameOfReferenceUID")
_SEQUENCES = _tags(
    """OtherPatientIDsSequence RequestAttributesSequence ReferencedRequestSequence PerformingPhysicianIdentificationSequence
    OperatorIdentificationSequence ReferringPhysicianIdentificationSequence PhysiciansOfRecordIdentificationSequence
    PhysiciansReadingStudyIdentificationSequence OriginalAttributesSequence ModifiedAttributesSequence"""
) | {0x00100011}  # Person Names to Use Sequence
_PERSON_CODES = _tags("PersonIdentificationCodeSequence HumanPerformerCodeSequence")
# Any other may hold a name (Scheduled Procedure Step Sequence, Contributing Equipment Sequence); those of frames are long.
_WITH_NAMES = _of_vr("SQ") - _tags("SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence IconImageSequence")

# Titles, and what de-identification writes instead of a name: in every file, so no sign of anybody.
_NO_NAMES = _words(
    """
        DR MD MR MS MRS PROF PHD RT JR SR II III IV ANON ANONYM ANONYMOUS ANONYMIZED ANONYMISED UNKNOWN NONE REMOVED
        DEIDENTIFIED PATIENT SUBJECT TEST ADMIN USER TECH SERVICE OPERATOR PHANTOM XX XXX XXXX
        """
)
# Words of many hospitals and of many makers of devices.
_NO_PLACES = _words(
    """
        THE AND OF FOR HOSPITAL HOSPITALS HEALTH HEALTHCARE CLINIC CLINICS KLINIK KLINIKUM MEDICAL MEDICINE CENTER
        CENTRE CENTRAL GENERAL UNIVERSITY RADIOLOGY IMAGING DIAGNOSTIC DIAGNOSTICS BREAST MAMMOGRAPHY SCREENING
        DIGITAL SYSTEM SYSTEMS DEPARTMENT INSTITUTE INSTITUT STREET ROAD AVENUE CITY STATE UNITED STATES GERMANY
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
_WORD = re.compile(r"[^\W\d_]+")
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
        """J.D. or J. Q. D., and three letters or more without points: two may be the code of anything."""
        if not _INITIALS.fullmatch(text):
            return False
        letters = squeezed(text)
        return letters in self.initials and ("." in text or len(letters) > 2)

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
    plain = _composed(text)
    words = _WORD.findall(plain)
    camel = _WORD.findall(re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", plain))
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


def identity_of(ds: Dataset) -> Identity:
    """Collect what identifies somebody in a data set; never raises for what a value holds."""
    words: set[str] = set()
    places: set[str] = set()
    labels: set[str] = set()
    numbers: set[str] = set()
    names: set[str] = set()
    initials: set[str] = set()
    whole: dict[bool, set[str]] = {False: set(), True: set()}  # ids, and places
    dates: set[tuple[int, int, int]] = set()
    known = {text for tag in _tags("PatientID OtherPatientIDs") for text in _texts(ds, tag)}
    for scope, kind in _scopes(ds):
        present = scope.keys()
        for tag in (_NAMES | _CODES[0] if kind == "person" else _NAMES).intersection(present):
            for text, doubtful in _readings(scope, tag):
                (labels if text in known else words).update(_names(text, doubtful))
                numbers.update(_digits(text, 3))
                if text not in known:
                    names.update(_full_names(text))
                    initials.update(_initials_of(text) if tag == _PATIENT_NAME else ())
        if kind == "names":
            continue
        for tag in (_WHOLE_IDS | _WHOLE_PLACES).intersection(present):
            whole[tag in _WHOLE_PLACES].update(squeezed(text) for text, _ in _readings(scope, tag))
        for tag in _PLACES.intersection(present):
            for text, doubtful in _readings(scope, tag):
                places.update(w for w in _folded(text, doubtful) if len(w) > 3 and w not in _NO_PLACES)
        of_ids = _NUMBERS | _CODES[1] if kind == "person" else _NUMBERS
        for tag in (of_ids | _STATIONS).intersection(present):
            for text, doubtful in _readings(scope, tag):
                labels.update(
                    w
                    for w in _folded(text, doubtful)
                    if len(w) > 1 and w not in _NO_NAMES and (tag in of_ids or (len(w) > 3 and w not in _NO_PLACES))
                )
                if tag in of_ids:
                    numbers.update(_digits(text, 3))
        for tag in _DATES.intersection(present):
            for text in _texts(scope, tag):
                found = _date(text)
                if found is not None:
                    dates.add(found)
                    numbers.update(_spellings(*found))
                    if tag in _BIRTH:
                        numbers.add(str(found[2]))
        for tag in _UIDS.intersection(present):
            for text in _texts(scope, tag):
                numbers.update(part for part in text.split(".") if len(part) >= 6 and part.isdecimal())
    return Identity(
        frozenset(words | places), frozenset(labels - words - places), frozenset(numbers), frozenset(dates),
        frozenset(places - words), frozenset(names), frozenset(initials), frozenset(whole[False] - {""}),
        frozenset(whole[True] - {""}),
    )  # fmt: skip


def identity_of_ids(ids: Iterable[str]) -> Identity:
    """What identifies in ids that a table has for an image: their numbers, and their words as those of identifiers."""
    texts = [text[:_LONGEST] for text in ids]
    words = {w for text in texts for w in map(name_form, _WORD.findall(_composed(text))) if len(w) > 1}
    return Identity(
        labels=frozenset(words - _NO_NAMES), numbers=frozenset(n for text in texts for n in _digits(text, 3))
    )


def _scopes(ds: Dataset, kind: str = "all", depth: int = 0) -> Iterator[tuple[Dataset, str]]:
    """The data set and items in it, and what is read of them: all, all with the code of a person, or names alone."""
    yield ds, kind
    if depth < _DEPTH:
        for tag in sorted(_WITH_NAMES.intersection(ds.keys())):
            inside = "person" if tag in _PERSON_CODES else "all" if tag in _SEQUENCES else "names"
            if inside == "names" and _without_names(stored(ds, tag)):
                continue
            for item in items(ds, tag)[:_MOST_ITEMS]:
                yield from _scopes(item, inside, depth + 1)


def _without_names(element: Any) -> bool:
    """Whether a sequence that was not taken apart holds no VR PN: to look takes a tenth of taking it apart."""
    found = getattr(element, "value", None)
    return isinstance(found, bytes) and not element.is_implicit_VR and b"PN" not in found


def _texts(ds: Dataset, tag: int) -> Iterator[str]:
    raw = getattr(stored(ds, tag), "value", None)
    if isinstance(raw, bytes) and raw.isascii() and len(raw) < _LONGEST and b"\x1b" not in raw:
        yield from (text.strip(" \0") for text in raw.decode("ascii").split("\\"))  # pydicom takes 20 times as long
        return
    found: Any = value(ds, tag)
    if found is None:
        return
    several: Iterable[Any] = found if isinstance(found, MultiValue | list | tuple) else (found,)
    for number, one in enumerate(several):
        if number == _MOST_VALUES:
            return
        try:
            text = one.decode("latin-1") if isinstance(one, bytes) else str(one)
        except Exception:  # a value whose own conversion to text fails
            continue
        yield text[:_LONGEST].strip(" \0")


def _readings(ds: Dataset, tag: int) -> Iterator[tuple[str, bool]]:
    """Texts of an attribute as its character set and every other one has them, and whether a text is probably a wrong reading."""
    found = getattr(stored(ds, tag), "value", None)
    raw = None if isinstance(found, bytes) and found.isascii() and b"\x1b" not in found else raw_of(ds, found)
    declared = list(_texts(ds, tag))  # pydicom converts it, so that the bytes had to be looked at before
    if raw is None:
        yield from ((text, False) for text in declared)
        return
    others = other_readings(raw)
    likely = [text for text, sure in others if sure]
    wrong = bool(likely) and b"\x1b" not in raw and "\\".join(declared) != likely[0].strip(" \0")
    yield from ((text, wrong) for text in declared)
    for whole, sure in others:
        yield from ((text[:_LONGEST].strip(" \0"), not sure) for text in whole.split("\\")[:_MOST_VALUES])


def _folded(text: str, doubtful: bool = False) -> list[str]:
    """The words of a text in the form of `name_form`; of a doubtful reading only those that count."""
    words = [(word, name_form(word)) for word in _WORD.findall(_composed(text))]
    return [folded for word, folded in words if not doubtful or counts_in_doubt(word, folded)]


@lru_cache(4096)
def _names(name: str, doubtful: bool = False) -> frozenset[str]:
    """Words of a Person Name (PS3.5 6.2.1): three groups of spelling, five components; not prefix and suffix."""
    found: set[str] = set()
    for group in name.split("="):
        for component in group.split("^")[:3]:
            parts = [word for word in _folded(component, doubtful) if word not in _NO_NAMES]
            found.update(word for word in parts if len(word) > 1 or not word.isascii())
            if len("".join(parts)) >= 5:
                found.add("".join(parts))
    return frozenset(found)


@lru_cache(4096)
def full_name(text: str) -> str:
    """The words of a name in alphabetical order, in the form of `name_form`; empty for a single word."""
    words = sorted(word for word in _folded(text) if word not in _NO_NAMES)
    return " ".join(words) if len(words) > 1 else ""


@lru_cache(4096)
def _full_names(name: str) -> frozenset[str]:
    parts = [group.split("^") for group in name.split("=")]
    return frozenset(full_name(" ".join(several[:count])) for several in parts for count in (2, 3)) - {""}


@lru_cache(4096)
def _initials_of(name: str) -> frozenset[str]:
    """Given name first, or family name first; with and without the middle name."""
    found: set[str] = set()
    for group in name.split("="):
        family, *given = [_folded(component) for component in group.split("^")[:3]]
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


def _same_day(date: tuple[int, int, int], serial: int) -> bool:
    try:
        days = datetime.date(date[2], date[1], date[0]).toordinal() - _DAY_0
    except ValueError:  # 31 February
        return False
    return serial in (days, days - _DAYS_TO_1904)


def _digits(text: str, least: int) -> Iterator[str]:
    runs = re.findall(r"\d+", text)
    for run in (*runs, "".join(runs)):
        if len(run) >= least and len(run.lstrip("0")) >= least:
            yield run.lstrip("0")


def _date(text: str) -> tuple[int, int, int] | None:
    digits = re.sub(r"\D", "", text[:10])[:8]
    if len(digits) < 8:
        return None
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    return (day, month, year) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _spellings(day: int, month: int, year: int) -> Iterator[str]:
    """A date without separators, as numbers are compared: without leading zeros."""
    d, m, y, short = f"{day:02}", f"{month:02}", f"{year:04}", f"{year % 100:02}"
    for text in (y + m + d, y + d + m, d + m + y, m + d + y, short + m + d, d + m + short, m + d + short):
        if len(text.lstrip("0")) >= 4:
            yield text.lstrip("0")
    for text in (f"{day}{month}{year}", f"{month}{day}{year}", f"{year}{month}{day}"):
        yield text


@lru_cache(4096)
def name_form(text: str) -> str:
    """Upper case without accents; an umlaut, its two letters and its plain letter become the same."""
    upper = _composed(text).upper().translate(_EXPANDED)
    plain = "".join(c for c in unicodedata.normalize("NFKD", upper) if not unicodedata.combining(c))
    while (shorter := _DOUBLED.sub(lambda match: match[1] or "A", plain)) != plain:
        plain = shorter
    return plain


def _composed(text: str) -> str:
    """An accent and its letter as one character, so that words are not cut at it."""
    return unicodedata.normalize("NFKC", text)


def _read_as_utf8(text: str) -> str:
    """What a Code String says in a file of UTF-8: its repertoire is ASCII (PS3.5 6.2), so an umlaut is read as two letters."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
