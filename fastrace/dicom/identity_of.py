"""What identifies somebody in a header: every word of every name, every number and every date, wherever they stand.

Attributes: PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.7.5.1 (serial numbers), all of VR PN, DA and DT. Texts beyond
ASCII are read in every character set that their bytes may be in (`fastrace.dicom.readings`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from fastrace.dicom.identity import Identity
from fastrace.dicom.name_forms import (
    NO_NAMES,
    WORD,
    composed,
    folded_words,
    full_names,
    initials_of,
    name_form,
    name_words,
    squeezed,
    words_in,
)
from fastrace.dicom.readings import other_readings, raw_of
from fastrace.dicom.values import items, stored, value

_MOST_VALUES, _LONGEST = 64, 256  # of one attribute, and characters of each: a damaged length must not cost time
_DEPTH, _MOST_ITEMS = 3, 8


def _tags(keywords: str) -> frozenset[int]:
    return frozenset(int(tag) for word in keywords.split() if (tag := tag_for_keyword(word)) is not None)


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

# Words of many hospitals and of many makers of devices.
_NO_PLACES = words_in(
    """
    THE AND OF FOR HOSPITAL HOSPITALS HEALTH HEALTHCARE CLINIC CLINICS KLINIK KLINIKUM MEDICAL MEDICINE CENTER
    CENTRE CENTRAL GENERAL UNIVERSITY RADIOLOGY IMAGING DIAGNOSTIC DIAGNOSTICS BREAST MAMMOGRAPHY SCREENING
    DIGITAL SYSTEM SYSTEMS DEPARTMENT INSTITUTE INSTITUT STREET ROAD AVENUE CITY STATE UNITED STATES GERMANY
    """
)


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
                (labels if text in known else words).update(name_words(text, doubtful))
                numbers.update(_digits(text, 3))
                if text not in known:
                    names.update(full_names(text))
                    initials.update(initials_of(text) if tag == _PATIENT_NAME else ())
        if kind == "names":
            continue
        for tag in (_WHOLE_IDS | _WHOLE_PLACES).intersection(present):
            whole[tag in _WHOLE_PLACES].update(squeezed(text) for text, _ in _readings(scope, tag))
        for tag in _PLACES.intersection(present):
            for text, doubtful in _readings(scope, tag):
                places.update(w for w in folded_words(text, doubtful) if len(w) > 3 and w not in _NO_PLACES)
        of_ids = _NUMBERS | _CODES[1] if kind == "person" else _NUMBERS
        for tag in (of_ids | _STATIONS).intersection(present):
            for text, doubtful in _readings(scope, tag):
                labels.update(
                    w
                    for w in folded_words(text, doubtful)
                    if len(w) > 1 and w not in NO_NAMES and (tag in of_ids or (len(w) > 3 and w not in _NO_PLACES))
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
    words = {w for text in texts for w in map(name_form, WORD.findall(composed(text))) if len(w) > 1}
    return Identity(
        labels=frozenset(words - NO_NAMES), numbers=frozenset(n for text in texts for n in _digits(text, 3))
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
