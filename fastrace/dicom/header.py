"""The few header fields that leave a DICOM file: an allow-list, converted to units, tolerant of any value.

Identifiers (patient, study, accession, image) are read because the custodian's private table and the keyed hashes need
them; they go no further. No date, no name, no free text is kept: a birth date becomes an age and is dropped. A value
that does not conform becomes None, never an error: only display and pixel attributes can reject a file.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from pydicom.dataset import Dataset

from fastrace.dicom import sop_class
from fastrace.dicom.acquisition import Acquisition, read_acquisition
from fastrace.dicom.anatomy import coded_part, contradict, names_a_part, regions
from fastrace.dicom.identity import Identity, Withheld
from fastrace.dicom.identity_of import identity_of
from fastrace.dicom.image_kind import Facts, Kind, image_kinds
from fastrace.dicom.image_type import known_terms
from fastrace.dicom.issuer import issuer_of_patient_id
from fastrace.dicom.notes import Note
from fastrace.dicom.pixels import Layout
from fastrace.dicom.positioning import read_positioning
from fastrace.dicom.select import FRAME_TYPES, functional_groups, macro
from fastrace.dicom.spacing import pixel_aspect, unread_spacing
from fastrace.dicom.terms import is_term
from fastrace.dicom.values import attribute, identifier, items, number, numbers, text, texts, value
from fastrace.dicom.vocabulary import listed

SpacingSource = Literal["imager/magnification", "imager (at the detector)", "pixel_spacing"]

_YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST_YEARS = 130.0
# Ethnic Group, "ethnic group or race of the patient" (PS3.3 C.7.1.1; retired in PS3.6 2025a), and what replaced it.
_ETHNIC_GROUP = (0x00102160, 0x00102161, 0x00102162)
# What systems write where no date is known: 1 January 1900, day 0 of spreadsheets and databases (30 and 31 December 1899), and
# year 1. Others of 1900 are somebody's birth date.
_UNKNOWN_DATES = frozenset(datetime.date(*day) for day in ((1900, 1, 1), (1899, 12, 30), (1899, 12, 31)))
_FIRST_YEAR, _LAST_YEAR = 1901, 2300  # of a study; MIMIC shifts dates to 2100-2200
_INTENTS = {"ForPresentation": "FOR PRESENTATION", "ForProcessing": "FOR PROCESSING"}
_LARGEST_MAGNIFICATION = 10.0
_SPACING_MM = (0.001, 20.0)  # film scanners 0.03, PET 4: outside it is in another unit, or no distance
_RADIOGRAPHS, _BESIDE_TRUNK = ("CR", "DX", "RG"), {"arm", "leg", "breast"}
_MOST_BODY_PARTS = 8  # values read of an attribute that should have one


@dataclass(frozen=True)
class Header:
    """What is known of one image besides its pixels; None where the file does not hold it in a conforming form.

    Parameters
    ----------
    patient_id, study_uid, accession, image_uid : str or None
        Identifiers. They never leave the custodian's machine.
    modality, view, laterality, sex, body_part : str or None
        Modality; one of `fastrace.dicom.views.VIEWS`, or ``other``; L, R or B; M, F or O; Body Part Examined, or its term for the
        code of the Anatomic Region Sequence.
    body_part_source : str
        Keyword of the attribute that names the body part.
    age_years : float or None
        At the study, whole years as the Age String has them, 0 to 130.
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
    sop_class : str or None
        Keyword of the SOP Class UID, or ``private``.
    image_type : tuple of str
        Image Type values, of an enhanced object Frame Type (0008,9007), those that are no known term as ``OTHER``.
    view_source : str
        Keyword of the attribute that tells the view, where it is neither View Position nor View Code Sequence.
    view_modifiers : tuple of str
        Keys of `fastrace.dicom.views.MODIFIERS`, of `WORDED` there, or ``other``.
    kinds : tuple of Kind
        What the image is beside the usual one of its modality, see `fastrace.dicom.image_kind`.
    notes : tuple of Note
        What contradicts itself.
    burned_in : bool or None
        Burned In Annotation.
    recognizable : bool
        Whether Recognizable Visual Features (0028,0302) is YES: somebody may be known by the image itself.
    spacing_mm : (float, float) or None
        Row and column distance per pixel.
    spacing_source : str or None
        "imager/magnification" (in the body), "imager (at the detector)" or "pixel_spacing" (CT, MR, calibrated).
    pixel_aspect : float
        Height of a pixel divided by its width.
    ethnic_group_present : bool
        Whether Ethnic Group (0010,2160), Ethnic Group Code Sequence (0010,2161) or Ethnic Groups (0010,2162) holds anything;
        the value is not read.
    issuer : str or None
        Whose numbers they are, see `fastrace.dicom.issuer`. It never leaves the machine.
    birth_day : int or None
        Patient's Birth Date as a day number, to compare the headers of one patient with; never leaves the machine.
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
    body_part_source: str = "BodyPartExamined"
    transfer_syntax: str | None = None
    burned_in: bool | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_source: SpacingSource | None = None
    frames: int = 1
    pixel_aspect: float = 1.0
    ethnic_group_present: bool = False
    recognizable: bool = False
    image_type: tuple[str, ...] = ()
    presentation_intent: str | None = None
    sop_class: str | None = None
    view_source: str = ""
    view_modifiers: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    notes: tuple[Note, ...] = ()
    acquisition: Acquisition = field(default_factory=Acquisition)
    issuer: str | None = None
    birth_day: int | None = field(default=None, repr=False)
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
        0-based; functional groups of enhanced objects may differ between frames. `fastrace.dicom.select.EVERY_FRAME`: what
        holds for all of them.
    """
    header = read_selection(ds, layout, syntax_name, frame)
    spacing, source = _spacing(ds, header.modality, frame)
    burned_in = _term(ds, "BurnedInAnnotation")
    identity = identity_of(ds)
    manufacturer, hidden = _impersonal("manufacturer", text(ds, "Manufacturer"), identity)
    model, also_hidden = _impersonal("model", text(ds, "ManufacturerModelName"), identity)
    return replace(
        header,
        manufacturer=manufacturer,
        model=model,
        burned_in={"YES": True, "NO": False}.get(burned_in or ""),
        spacing_mm=spacing,
        spacing_source=source,
        recognizable=_term(ds, "RecognizableVisualFeatures") == "YES",
        ethnic_group_present=any(value(ds, tag) is not None for tag in _ETHNIC_GROUP),
        acquisition=read_acquisition(ds, frame),
        institution=text(ds, "InstitutionName"),
        study_day=_day(ds, "StudyDate"),
        identity=identity,
        withheld=(*header.withheld, *hidden, *also_hidden),
    )


def read_selection(ds: Dataset, layout: Layout, syntax_name: str, frame: int = 0) -> Header:
    """What decides whether an image belongs, and who its patient is; the other fields stay empty.

    A third of the time of `read_header`.
    """
    modality = listed("Modality", _term(ds, "Modality"))
    storage = sop_class.name_of(text(ds, "SOPClassUID"))
    image_type, computed, type_source = _image_type(ds, frame)
    intent, intent_notes = _intent(ds, storage)
    body_part, part_source, part_notes = _anatomy(ds, frame)
    trunk = modality in _RADIOGRAPHS and not regions(body_part) & _BESIDE_TRUNK
    placed = read_positioning(ds, frame, trunk=trunk)
    sex = _term(ds, "PatientSex")
    withheld: tuple[Withheld, ...] = ()
    if body_part is not None and not is_term("body_part", body_part):
        body_part, withheld = _impersonal("body_part", body_part, identity_of(ds))
    return Header(
        patient_id=identifier(ds, "PatientID"),
        issuer=issuer_of_patient_id(ds),
        study_uid=identifier(ds, "StudyInstanceUID"),
        accession=identifier(ds, "AccessionNumber"),
        image_uid=identifier(ds, "SOPInstanceUID"),
        sex=sex if sex in ("M", "F", "O") else None,
        age_years=_age_years(ds),
        birth_day=_day(ds, "PatientBirthDate"),
        modality=modality,
        view=placed.view,
        laterality=placed.laterality,
        photometric=layout.photometric,
        rows=layout.rows,
        columns=layout.columns,
        bits_stored=layout.words.bits,
        body_part=body_part,
        body_part_source=part_source,
        withheld=withheld,
        transfer_syntax=syntax_name,
        frames=layout.frames,
        pixel_aspect=pixel_aspect(ds, frame),
        image_type=known_terms(image_type),
        presentation_intent=intent,
        sop_class=storage,
        view_source=placed.source,
        view_modifiers=placed.modifiers,
        kinds=image_kinds(
            ds,
            Facts(
                modality,
                storage,
                (*image_type, *computed),
                layout.frames,
                placed.modifiers,
                placed.specimen,
                body_part,
                type_source,
            ),
        ),
        notes=(*placed.notes, *intent_notes, *part_notes, *unread_spacing(ds, frame)),
    )


def _impersonal(column: str, found: str | None, identity: Identity) -> tuple[str | None, tuple[Withheld, ...]]:
    """The value, or None and what was withheld: a word, number or date of somebody stands in it."""
    if found is None or is_term(column, found) or (how := identity.found_in(found)) != "stands":
        return found, ()
    return None, (Withheld(column, how, found),)


def _intent(ds: Dataset, storage: str | None) -> tuple[str | None, list[Note]]:
    """Presentation Intent Type (0008,0068), else what the SOP class says; a note where they disagree."""
    stated = re.sub(r"[\W_]+", " ", _term(ds, "PresentationIntentType") or "")
    by_class = next((intent for end, intent in _INTENTS.items() if (storage or "").endswith(end)), None)
    intent = stated if stated in _INTENTS.values() else by_class
    if by_class in (None, intent):
        return intent, []
    said = (
        f"{attribute('PresentationIntentType')} is {intent}, {attribute('SOPClassUID')} is {storage}: taken as {intent}"
    )
    return intent, [Note("contradiction", said)]


def _term(ds: Dataset, keyword: str) -> str | None:
    found = text(ds, keyword)
    return found.upper() if found else None


def _anatomy(ds: Dataset, frame: int) -> tuple[str | None, str, list[Note]]:
    """The body part, the attribute that names it, and a note where a code names another.

    Body Part Examined goes first: the presets' terms are its own. The anatomy of a frame goes before it: a series of
    NECKCHEST has frames of the neck alone.
    """
    stated = _body_part(ds)
    of_frame = macro(ds, frame, "FrameAnatomySequence")
    coded, keyword = coded_part(of_frame)
    if coded and not names_a_part(stated):
        return coded, keyword, []
    notes = []
    by_code = coded is not None and of_frame is not ds
    if contradict(stated, coded):
        said = f"{attribute('BodyPartExamined')} and the code {coded} of {attribute(keyword)} name different parts"
        notes.append(Note("contradiction", f"{said}: {'the code' if by_code else 'the first'} was taken"))
    return (coded, keyword, notes) if by_code else (stated, "BodyPartExamined", notes)


def _body_part(ds: Dataset) -> str | None:
    """All values in one text: the attribute has one, and where a file has more, their order must not decide."""
    return " ".join(filter(None, islice(texts(ds, "BodyPartExamined"), _MOST_BODY_PARTS))).upper() or None


def _terms(ds: Dataset, keyword: str) -> tuple[str, ...]:
    return tuple(term.upper()[:16] for term in texts(ds, keyword))


def _image_type(ds: Dataset, frame: int) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Frame Type (0008,9007) where the frame has one, else Image Type; how its volume was computed, if it was; the keyword."""
    for group in functional_groups(ds, frame):
        for sequence in FRAME_TYPES:
            for item in items(group, sequence)[:1]:
                computed = _terms(item, "VolumeBasedCalculationTechnique")
                return _terms(item, "FrameType") or _terms(ds, "ImageType"), computed, "FrameType"
    return _terms(ds, "ImageType"), (), "ImageType"


def _positive(ds: Dataset, keyword: str) -> float | None:
    try:
        found = number(ds, keyword)
    except ValueError:
        return None
    return found if found is not None and found > 0 else None


def _age_years(ds: Dataset) -> float | None:
    stated = _term(ds, "PatientAge") or ""
    if len(stated) == 4 and stated[:3].isdecimal() and stated[3] in _YEARS_PER_UNIT:
        age = int(stated[:3]) * _YEARS_PER_UNIT[stated[3]]
    else:
        born = _date(ds, "PatientBirthDate")
        seen = next(filter(None, (_date(ds, k) for k in ("StudyDate", "AcquisitionDate", "ContentDate"))), None)
        if born is None or seen is None:
            return None
        if seen <= born:
            return None
        # By the calendar: in units of 365.25 days, every fourth birthday would come a day late.
        age = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
        return float(age) if age <= _OLDEST_YEARS else None
    # "000Y" and a birth date equal to the study's are what de-identification leaves behind, not newborns.
    return float(math.floor(age + 1e-9)) if 0 < age <= _OLDEST_YEARS else None


def _date(ds: Dataset, keyword: str) -> datetime.date | None:
    digits = (text(ds, keyword) or "").replace(".", "").replace("-", "")[:8]
    try:
        found = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if digits.isdecimal() else None
    except ValueError:
        return None
    return None if found is None or found.year == 1 or found in _UNKNOWN_DATES else found


def _day(ds: Dataset, keyword: str) -> int | None:
    """Days since the first study are of Study Date alone: de-identification may have shifted only one of two dates."""
    found = _date(ds, keyword)
    return found.toordinal() if found is not None and _FIRST_YEAR <= found.year <= _LAST_YEAR else None


def _spacing(ds: Dataset, modality: str | None, frame: int) -> tuple[tuple[float, float] | None, SpacingSource | None]:
    """Distances in the body where they are known, else at the detector (PS3.3 10.7.1.3)."""
    measures = macro(ds, frame, "PixelMeasuresSequence")
    calibrated = _term(ds, "PixelSpacingCalibrationType")
    imager = _pair(ds, "ImagerPixelSpacing")
    # Calibrated by geometry or by an object of known size: then the one in the body, whatever the detector's is.
    if imager is not None and calibrated in ("GEOMETRY", "FIDUCIAL") and (spacing := _pair(ds, "PixelSpacing")):
        return spacing, "pixel_spacing"
    if imager is not None:
        factor = _positive(ds, "EstimatedRadiographicMagnificationFactor")
        if factor is None or not 1 <= factor <= _LARGEST_MAGNIFICATION:  # in percent, or the object behind the detector
            return imager, "imager (at the detector)"
        return (imager[0] / factor, imager[1] / factor), "imager/magnification"
    # In a projection Pixel Spacing has a meaning only where a calibration type is given. Pixel Measures hold it of volumes.
    if modality in ("CT", "MR", "PT") or calibrated or measures is not ds:
        spacing = _pair(measures, "PixelSpacing")
        return spacing, "pixel_spacing" if spacing else None
    return None, None


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        found = numbers(ds, keyword)
    except ValueError:
        return None
    plausible = len(found) == 2 and min(found) >= _SPACING_MM[0] and max(found) <= _SPACING_MM[1]
    return (found[0], found[1]) if plausible else None
