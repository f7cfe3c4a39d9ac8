"""The few header fields that leave a DICOM file: an allow-list, converted to units, tolerant of any value.

Identifiers (patient, study, accession, image) are read because the custodian's private table and the keyed hashes need
them; they go no further. No date, no name, no free text is kept: a birth date becomes an age and is dropped. A value
that does not conform becomes None, never an error: only display and pixel attributes can reject a file.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from pydicom.dataset import Dataset

from fastrace.dicom.acquisition import Acquisition, read_acquisition
from fastrace.dicom.identity import Identity, Withheld, identity_of
from fastrace.dicom.pixels import Layout
from fastrace.dicom.select import macro
from fastrace.dicom.terms import is_term
from fastrace.dicom.values import items, number, numbers, text, texts, value

SpacingSource = Literal["imager/magnification", "imager (at the detector)", "pixel_spacing"]

# View Code Sequence (0054,0220): SNOMED CT and the retired SRT codes of PS3.16 CID 4014 (mammography) and 4010 (DX),
# as the View Position (0018,5101) terms of PS3.3 C.8.11.7.1.
_VIEWS = {
    "CC": ("399162004", "R-10242"),
    "MLO": ("399368009", "R-10226"),
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "FB": ("399196006", "R-10244"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "AP": ("399348003", "R-10206"),
    "PA": ("272479007", "R-10214", "R-40888"),
    "LL": ("399173006", "R-10236"),
    "RL": ("399198007", "R-10232"),
    "LATERAL": ("399067008", "R-102CD"),
}
_VIEW_OF_CODE = {code: view for view, codes in _VIEWS.items() for code in codes}
_LATERALITY_OF_CODE = {"24028007": "R", "G-A100": "R", "7771000": "L", "G-A101": "L", "51440002": "B", "G-A102": "B"}
_YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST_YEARS = 130.0
# Ethnic Group, "ethnic group or race of the patient" (PS3.3 C.7.1.1; retired in PS3.6 2025a), and what replaced it.
_ETHNIC_GROUP = (0x00102160, 0x00102161, 0x00102162)
_FIRST_YEAR, _LAST_YEAR = (
    1901,
    2300,
)  # 1 January 1900 and year 1 stand for unknown dates; MIMIC shifts dates to 2100-2200
_MOST_BODY_PARTS = 8  # values read of an attribute that should have one


@dataclass(frozen=True)
class Header:
    """What is known of one image besides its pixels; None where the file does not hold it in a conforming form.

    Parameters
    ----------
    patient_id, study_uid, accession, image_uid : str or None
        Identifiers. They never leave the custodian's machine.
    modality, view, laterality, sex, body_part : str or None
        Modality; View Position term (CC, MLO, AP, ...); L, R or B; M, F or O; Body Part Examined.
    age_years : float or None
        At the study, in (0, 130].
    manufacturer, model : str or None
        Of the device.
    photometric, transfer_syntax : str or None
        Photometric Interpretation; the transfer syntax by name.
    rows, columns, frames : int
        Size, and number of frames in the file.
    bits_stored : int
        Bits Stored, 1-16.
    acquisition : Acquisition
        How it was taken.
    presentation_intent : str or None
        FOR PRESENTATION or FOR PROCESSING.
    image_type : tuple of str
        Image Type values.
    burned_in : bool or None
        Burned In Annotation.
    spacing_mm : (float, float) or None
        Row and column distance per pixel.
    spacing_source : str or None
        "imager/magnification" (in the body), "imager (at the detector)" or "pixel_spacing" (CT, MR, calibrated).
    ethnic_group_present : bool
        Whether Ethnic Group (0010,2160), Ethnic Group Code Sequence (0010,2161) or Ethnic Groups (0010,2162) holds anything;
        the value is not read.
    institution : str or None
        Institution Name. It leaves the machine as a keyed hash alone.
    study_day : int or None
        Study Date as a day number (1 is 1 January of year 1); only differences of it leave.
    identity : Identity
        What identifies somebody in the file, to compare texts with.
    withheld : tuple of Withheld
        View, body part, manufacturer or model that repeat something of it: None above.
    """

    patient_id: str | None = None
    study_uid: str | None = None
    accession: str | None = None
    image_uid: str | None = None
    modality: str | None = None
    view: str | None = None
    laterality: str | None = None
    age_years: float | None = None
    sex: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    photometric: str | None = None
    rows: int = 0
    columns: int = 0
    bits_stored: int = 0
    body_part: str | None = None
    transfer_syntax: str | None = None
    burned_in: bool | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_source: SpacingSource | None = None
    frames: int = 1
    ethnic_group_present: bool = False
    image_type: tuple[str, ...] = ()
    presentation_intent: str | None = None
    acquisition: Acquisition = field(default_factory=Acquisition)
    institution: str | None = None
    study_day: int | None = None
    identity: Identity = field(default_factory=Identity, repr=False)
    withheld: tuple[Withheld, ...] = field(default=(), repr=False)


def read_header(ds: Dataset, layout: Layout, syntax_name: str, frame: int = 0) -> Header:
    """Read the allow-list of one frame. Never raises for what a value holds.

    Parameters
    ----------
    ds : Dataset
        The file's data set.
    layout : Layout
        Size and bits, checked already.
    syntax_name : str
        The transfer syntax in words.
    frame : int
        0-based; functional groups of enhanced objects may differ between frames.
    """
    modality = _term(ds, "Modality")
    spacing, source = _spacing(ds, modality, frame)
    sex = _term(ds, "PatientSex")
    burned_in = _term(ds, "BurnedInAnnotation")
    identity = identity_of(ds)
    withheld: list[Withheld] = []

    def impersonal(column: str, found: str | None) -> str | None:
        how = None if found is None or is_term(column, found) else identity.found_in(found)
        if how == "stands" and found is not None:
            withheld.append(Withheld(column, how, found))
            return None
        return found

    return Header(
        patient_id=text(ds, "PatientID"),
        study_uid=text(ds, "StudyInstanceUID"),
        accession=text(ds, "AccessionNumber"),
        image_uid=text(ds, "SOPInstanceUID"),
        modality=modality,
        view=impersonal("view", _view(ds)),
        laterality=_laterality(ds, frame),
        age_years=_age_years(ds),
        sex=sex if sex in ("M", "F", "O") else None,
        manufacturer=impersonal("manufacturer", text(ds, "Manufacturer")),
        model=impersonal("model", text(ds, "ManufacturerModelName")),
        photometric=_term(ds, "PhotometricInterpretation"),
        rows=layout.rows,
        columns=layout.columns,
        bits_stored=layout.words.bits,
        body_part=impersonal("body_part", _body_part(ds)),
        transfer_syntax=syntax_name,
        burned_in={"YES": True, "NO": False}.get(burned_in or ""),
        spacing_mm=spacing,
        spacing_source=source,
        frames=layout.frames,
        ethnic_group_present=any(value(ds, tag) is not None for tag in _ETHNIC_GROUP),
        image_type=_terms(ds, "ImageType"),
        presentation_intent=_term(ds, "PresentationIntentType"),
        acquisition=read_acquisition(ds, frame),
        institution=text(ds, "InstitutionName"),
        study_day=_study_day(ds),
        identity=identity,
        withheld=tuple(withheld),
    )


def _term(ds: Dataset, keyword: str) -> str | None:
    found = text(ds, keyword)
    return found.upper() if found else None


def _body_part(ds: Dataset) -> str | None:
    """All values in one text: the attribute has one, and where a file has more, their order must not decide."""
    return " ".join(filter(None, islice(texts(ds, "BodyPartExamined"), _MOST_BODY_PARTS))).upper() or None


def _terms(ds: Dataset, keyword: str) -> tuple[str, ...]:
    found = value(ds, keyword)
    if isinstance(found, str):
        found = found.split("\\")
    if found is None or isinstance(found, bytes) or not isinstance(found, Iterable):
        return ()
    return tuple(str(term).strip().upper()[:16] for term in found)


def _positive(ds: Dataset, keyword: str) -> float | None:
    try:
        found = number(ds, keyword)
    except ValueError:
        return None
    return found if found is not None and found > 0 else None


def _view(ds: Dataset) -> str | None:
    position = _term(ds, "ViewPosition")
    if position:
        return position
    for item in items(ds, "ViewCodeSequence")[:1]:
        return _VIEW_OF_CODE.get(text(item, "CodeValue") or "")
    return None


def _laterality(ds: Dataset, frame: int) -> str | None:
    anatomy = macro(ds, frame, "FrameAnatomySequence")
    for scope, keyword in ((ds, "ImageLaterality"), (anatomy, "FrameLaterality"), (ds, "Laterality")):
        found = _term(scope, keyword)
        if found in ("L", "R", "B"):
            return found
    for item in items(ds, "AnatomicRegionSequence")[:1]:
        for modifier in items(item, "AnatomicRegionModifierSequence")[:1]:
            return _LATERALITY_OF_CODE.get(text(modifier, "CodeValue") or "")
    return None


def _age_years(ds: Dataset) -> float | None:
    stated = _term(ds, "PatientAge") or ""
    if len(stated) == 4 and stated[:3].isdecimal() and stated[3] in _YEARS_PER_UNIT:
        age = int(stated[:3]) * _YEARS_PER_UNIT[stated[3]]
    else:
        born = _date(ds, "PatientBirthDate")
        seen = next(filter(None, (_date(ds, k) for k in ("StudyDate", "AcquisitionDate", "ContentDate"))), None)
        if born is None or seen is None:
            return None
        age = (seen - born).days / 365.25
    # "000Y" and a birth date equal to the study's are what de-identification leaves behind, not newborns.
    return age if 0 < age <= _OLDEST_YEARS else None


def _date(ds: Dataset, keyword: str) -> datetime.date | None:
    digits = (text(ds, keyword) or "").replace(".", "").replace("-", "")[:8]
    try:
        return datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if digits.isdecimal() else None
    except ValueError:
        return None


def _study_day(ds: Dataset) -> int | None:
    """Study Date alone: another date would stand beside it where only one of them was shifted by de-identification."""
    found = _date(ds, "StudyDate")
    return found.toordinal() if found is not None and _FIRST_YEAR <= found.year <= _LAST_YEAR else None


def _spacing(ds: Dataset, modality: str | None, frame: int) -> tuple[tuple[float, float] | None, SpacingSource | None]:
    imager = _pair(ds, "ImagerPixelSpacing")
    if imager is not None:
        factor = _positive(ds, "EstimatedRadiographicMagnificationFactor")
        if factor is None:
            return imager, "imager (at the detector)"
        return (imager[0] / factor, imager[1] / factor), "imager/magnification"
    # In a projection Pixel Spacing has a meaning only where a calibration type is given (PS3.3 10.7.1.3).
    if modality in ("CT", "MR") or _term(ds, "PixelSpacingCalibrationType"):
        spacing = _pair(macro(ds, frame, "PixelMeasuresSequence"), "PixelSpacing")
        return spacing, "pixel_spacing" if spacing else None
    return None, None


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        found = numbers(ds, keyword)
    except ValueError:
        return None
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None
