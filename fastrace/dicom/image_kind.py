"""What kind of image an object is, where it is not the usual one of its modality: tomosynthesis, spot view, projection, ...

The usual ones are full-field views of a whole breast, axial CT slices as reconstructed, radiographs. What is not, says so in
Image Type (0008,0008; PS3.3 C.8.11.7.1.4 for mammography, C.8.2.1.1.1 for CT), in the view's modifiers (PS3.16 CID 4015), in
attributes of its own (Partial View, Breast Implant Present, magnification), and often only in what the console writes: a
series called "STEREO BIOPSY". Descriptions are read for such words and go no further.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset

from fastrace.dicom.sop_class import kind_of
from fastrace.dicom.values import attribute, items, number, text, value
from fastrace.dicom.views import folded

# In the order in which they are told: an image of several kinds is counted by the first. Each is a key of `REASONS`, which says
# what it means.
IMAGE_KINDS = (
    "dose_report", "quality_control", "localizer", "screen_capture", "specimen", "biopsy", "tomosynthesis", "synthetic",
    "contrast", "derived", "spot_or_magnification", "partial_view", "implant",
)  # fmt: skip

# Contact views have factors up to 1.2, by thickness and geometry; magnification stands begin at 1.4.
_MAGNIFIED = 1.3

_DERIVED = frozenset({
    "MIP", "MINIP", "MPR", "CMPR", "CSA MPR", "CSAPARALLEL", "VRT", "SSD", "REFORMATTED", "RESAMPLED", "PROJECTION IMAGE",
    "MAX_IP", "MIN_IP", "CURVED_MPR", "VOLUME_RENDER", "SURFACE_RENDER",  # Volume Based Calculation Technique (0008,9207)
    "MAXIMUM", "MINIMUM", "MEAN", "AVERAGE", "ADDITION", "SUBTRACTION", "SUBTRACTED", "MASK", "PERFUSION", "FUSED",
})  # fmt: skip
_LOCALIZERS = frozenset({"LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"})
_CAPTURES = frozenset({"SCREEN SAVE", "SCREEN_SAVE", "SCREENSHOT", "SCREEN SHOT", "SCREEN CAPTURE"})
_TOMOSYNTHESIS = frozenset({"TOMOSYNTHESIS", "TOMO", "TOMO_PROJ"})  # TOMO_2D is the exposure beside them
_BIOPSY = ("STEREO", "PREFIRE", "POSTFIRE", "POSTBIOPSY", "POSTMARKER", "TOMO_SCOUT", "BIOPSY")
_CONTRAST = frozenset({"PRE_CONTRAST", "POST_CONTRAST", "LOW_ENERGY", "HIGH_ENERGY", "RECOMBINED"})

_NO_AGENT = ("", "NO", "N", "NONE", "NA", "N A", "NULL", "UNKNOWN", "NOT APPLICABLE", "WITHOUT")

_SAYS_DOSE = re.compile(r"\b(DOSE (REPORT|INFO|SHEET|SUMMARY|RECORD)|PATIENT PROTOCOL)\b")
_SAYS_SYNTHETIC = re.compile(
    r"\b(C VIEW|CVIEW|S VIEW|SVIEW|V PREVIEW|VPREVIEW|SYNTHETIC\w*|SYNTHESI[SZ]ED\w*|GENERATED 2D|INTELLIGENT 2D|INSIGHT 2D)\b"
)
_SAYS_TOMOSYNTHESIS = re.compile(  # not the word alone: it names every image of a visit that has some
    r"\b(TOMO|TOMOSYNTHESIS|TOMOSYNTHESE|TOMOSINTESI|DBT|BTO)( \w+)? (RECON\w*|SLICES?|SLABS?|PLANES?|PROJECTIONS?|VOLUME)\b"
)
_SAYS_CONTRAST = re.compile(r"\b(CEM|CESM|CEDM|RECOMBINED|CONTRAST ENHANCED)\b")
_SAYS_QUALITY = re.compile(
    r"(?<!\bWITH )(?<!\bW )\b"  # a phantom lies below the patient where bone density is measured
    r"(PHANTOMS?|FANTOME|FANTOM|FLAT ?FIELD|(ACR|DAILY|WEEKLY|MONTHLY) Q[AC])\b|"
    r"(?<!\bAFTER )(?<!\bPOST )(?<!\bBEFORE )(?<!\bPRE )(?<!\bPASSED )(?<!\bFAILED )(?<!\bPENDING )(?<!\bNO )(?<!\bBY )"
    r"\b(QUALITY (CONTROL|ASSURANCE)|QC)\b"  # as the object: a film that was controlled, "QC'd" or "QC ok", is a patient's
    r"(?! (D|ED|PASS|PASSED|OK|OKAY|DONE|CHECKED|COMPLETED?|APPROVED|ACCEPTED|REVIEWED|VERIFIED|FAILED|PENDING|BY)\b)"
)
_SAYS_BIOPSY = re.compile(
    r"\b(STEREO|STEREOTACTIC|STEREOTAXIE|STEREOTAXY|BIOPSY|BIOPSIE|BIOPSIA|PREFIRE|POSTFIRE|NEEDLE)\b"
)
_SAYS_AFTER = re.compile(r"\b(POST|AFTER|STATUS|PRIOR|CLIP)\b")  # full views of a breast that was biopsied
_SAYS_SPECIMEN = re.compile(r"\b(SPECIMEN|SPECIMENS|PRAPARAT|PRAEPARAT|PREPARAAT)\b")
_SAYS_SPOT = re.compile(r"\b(SPOT|MAG|MAGN|MAGNIFIED|MAGNIFICATION|VERGROSSERUNG|AGRANDI|AGRANDISSEMENT)\b")
_SAYS_IMPLANT = re.compile(r"\b(EKLUND|IMPLANT DISPLACED|IMPLANT VIEWS?)\b")
_SAYS_DERIVED = re.compile(r"\b(ROI MASK|MASK IMAGES?|CROPPED)\b")


# Modifier of a view -> the kind that it makes of an image.
OF_MODIFIER = {
    "spot_compression": "spot_or_magnification",
    "magnification": "spot_or_magnification",
    "implant_displaced": "implant",
    "implant": "implant",
    "partial": "partial_view",
    "specimen": "specimen",
    "stereo": "biopsy",
}


class Kind(NamedTuple):
    """One of `IMAGE_KINDS`, and the attribute and value that say so (never a description's text)."""

    name: str
    why: str


class Facts(NamedTuple):
    """What was read of the object already."""

    modality: str | None
    sop_class: str | None
    image_type: Sequence[str]
    frames: int
    modifiers: Sequence[str]
    specimen: bool
    body_part: str | None = None
    type_source: str = "ImageType"


def image_kinds(ds: Dataset, facts: Facts) -> tuple[Kind, ...]:
    """Name the kinds of an object, in the order of `IMAGE_KINDS`; empty for the usual image. Never raises."""
    described = _described(ds)
    found = [*_of_any_object(ds, facts, described)]
    family = kind_of(facts.sop_class)
    if facts.modality == "MG" or (facts.sop_class or "").startswith(("DigitalMammography", "Breast")):
        found += _of_a_breast(ds, facts, described, family)
    elif family == "tomosynthesis" or _TOMOSYNTHESIS & set(facts.image_type):
        found.append(Kind("tomosynthesis", _image_type(facts, _TOMOSYNTHESIS) or _sop_class(facts)))
    found.sort(key=lambda kind: IMAGE_KINDS.index(kind.name))
    return tuple({kind.name: kind for kind in reversed(found)}.values())[::-1]


def _of_any_object(ds: Dataset, facts: Facts, described: str) -> Iterable[Kind]:
    types = set(facts.image_type)
    captured = kind_of(facts.sop_class) == "secondary_capture"
    slices = facts.modality in ("CT", "MR", "PT", "NM")
    if any(term.startswith("DOSE") for term in types):
        yield Kind("dose_report", _image_type(facts, [term for term in facts.image_type if term.startswith("DOSE")]))
    elif _SAYS_DOSE.search(described):
        yield Kind("dose_report", _description("a dose report"))
    if (text(ds, "QualityControlImage") or "").upper() == "YES":
        yield Kind("quality_control", f"{attribute('QualityControlImage')} is YES")
    elif "PHANTOM" in _plain(facts.body_part).split():
        yield Kind("quality_control", "the body part is PHANTOM")
    elif _SAYS_QUALITY.search(described):
        yield Kind("quality_control", _description("a phantom or quality control"))
    if types & _LOCALIZERS and slices:
        yield Kind("localizer", _image_type(facts, _LOCALIZERS))
    elif slices and "AXIAL" not in types and set(described.split()) & _LOCALIZERS:
        yield Kind("localizer", _description("a scout"))
    if types & _CAPTURES:
        yield Kind("screen_capture", _image_type(facts, _CAPTURES))
    elif captured and facts.modality == "CT":
        yield Kind("screen_capture", _sop_class(facts))
    elif captured and text(ds, "BurnedInAnnotation") == "YES":
        yield Kind("screen_capture", f"{_sop_class(facts)} with {attribute('BurnedInAnnotation')} YES")
    elif captured and (conversion := text(ds, "ConversionType")) in ("SD", "DRW"):
        yield Kind("screen_capture", f"{attribute('ConversionType')} is {conversion}")
    if types & _DERIVED:
        yield Kind("derived", _image_type(facts, _DERIVED))
    elif _SAYS_DERIVED.search(described):
        yield Kind("derived", _description("a mask or a crop"))
    elif facts.modality == "CT" and facts.image_type[:1] == ("DERIVED",) and not _only_compressed(ds, facts):
        yield Kind("derived", _image_type(facts, ("DERIVED",)))


def _only_compressed(ds: Dataset, facts: Facts) -> bool:
    """Lossy compression alone makes an image DERIVED (PS3.3 C.7.6.1.1.2)."""
    return facts.image_type[1:2] == ("PRIMARY",) and text(ds, "LossyImageCompression") == "01"


def _of_a_breast(ds: Dataset, facts: Facts, described: str, family: str | None) -> Iterable[Kind]:
    types = set(facts.image_type)
    synthetic = "GENERATED_2D" in types or (family != "tomosynthesis" and _SAYS_SYNTHETIC.search(described) is not None)
    if synthetic:
        said = _image_type(facts, ("GENERATED_2D",)) if "GENERATED_2D" in types else _description("a computed 2D view")
        yield Kind("synthetic", said)
    elif family in ("tomosynthesis", "ct"):  # the first devices stored slices as CT images
        yield Kind("tomosynthesis", _sop_class(facts))
    elif types & _TOMOSYNTHESIS:
        yield Kind("tomosynthesis", _image_type(facts, _TOMOSYNTHESIS))
    elif value(ds, "TomoLayerHeight") is not None:
        yield Kind("tomosynthesis", f"{attribute('TomoLayerHeight')} is there")
    elif facts.frames > 1:
        yield Kind("tomosynthesis", f"{attribute('NumberOfFrames')} is {facts.frames}")
    elif _SAYS_TOMOSYNTHESIS.search(described):
        yield Kind("tomosynthesis", _description("slices or projections of tomosynthesis"))
    yield from _of_contrast(ds, facts, described)
    yield from _of_a_needle(ds, facts, described)
    yield from _of_a_part(ds, facts, described)
    told = [name for name in ("implant_displaced", "implant") if name in facts.modifiers]
    if told:
        yield Kind("implant", _modifier(told[0].replace("_", " ")))
    elif (text(ds, "BreastImplantPresent") or "").upper() == "YES":
        yield Kind("implant", f"{attribute('BreastImplantPresent')} is YES")
    elif _SAYS_IMPLANT.search(described):
        yield Kind("implant", _description("an implant"))


def _of_contrast(ds: Dataset, facts: Facts, described: str) -> Iterable[Kind]:
    if _CONTRAST & set(facts.image_type):
        yield Kind("contrast", _image_type(facts, _CONTRAST))
    elif _plain(text(ds, "ContrastBolusAgent")) not in _NO_AGENT:
        yield Kind("contrast", f"{attribute('ContrastBolusAgent')} is there")
    elif items(ds, "ContrastBolusAgentSequence"):
        yield Kind("contrast", f"{attribute('ContrastBolusAgentSequence')} is there")
    elif _SAYS_CONTRAST.search(described):
        yield Kind("contrast", _description("contrast-enhanced mammography"))


def _of_a_needle(ds: Dataset, facts: Facts, described: str) -> Iterable[Kind]:
    stereo = [term for term in facts.image_type if term.startswith(_BIOPSY)]
    if stereo:
        yield Kind("biopsy", _image_type(facts, stereo))
    elif "stereo" in facts.modifiers:
        yield Kind("biopsy", _modifier("stereo"))
    elif items(ds, "BiopsyTargetSequence"):
        yield Kind("biopsy", f"{attribute('BiopsyTargetSequence')} is there")
    elif _SAYS_BIOPSY.search(described) and not _SAYS_AFTER.search(described):
        yield Kind("biopsy", _description("a biopsy"))
    if "SPECIMEN" in facts.image_type:
        yield Kind("specimen", _image_type(facts, ("SPECIMEN",)))
    elif facts.specimen:
        yield Kind("specimen", f"{attribute('ViewCodeSequence')} or {attribute('ViewPosition')} says specimen")
    elif items(ds, "SpecimenDescriptionSequence"):
        yield Kind("specimen", f"{attribute('SpecimenDescriptionSequence')} is there")
    elif _SAYS_SPECIMEN.search(described):
        yield Kind("specimen", _description("a specimen"))


def _of_a_part(ds: Dataset, facts: Facts, described: str) -> Iterable[Kind]:
    told = [name for name in ("spot_compression", "magnification") if name in facts.modifiers]
    try:
        factor = number(ds, "EstimatedRadiographicMagnificationFactor") or 1.0
    except ValueError:
        factor = 1.0
    if told:
        yield Kind("spot_or_magnification", _modifier(told[0].replace("_", " ")))
    elif factor >= _MAGNIFIED:
        name = attribute("EstimatedRadiographicMagnificationFactor")
        yield Kind("spot_or_magnification", f"{name} is {factor:g}, {_MAGNIFIED:g} or more")
    elif _SAYS_SPOT.search(_plain(text(ds, "PaddleDescription"))):
        yield Kind("spot_or_magnification", f"{attribute('PaddleDescription')} says spot or magnification")
    elif _SAYS_SPOT.search(described) or {"SPOT", "MAG", "MAGNIFICATION"} & set(facts.image_type):
        yield Kind("spot_or_magnification", _description("a spot or magnification view"))
    if (text(ds, "PartialView") or "").upper() == "YES" or (value(ds, "PartialViewCodeSequence")):
        yield Kind("partial_view", f"{attribute('PartialView')} is YES")
    elif "partial" in facts.modifiers:
        yield Kind("partial_view", _modifier("partial"))


def _described(ds: Dataset) -> str:
    """What the console says of the series, as words. Study descriptions are no help: they name every image of a visit alike."""
    return _plain(" ".join(filter(None, (text(ds, keyword) for keyword in ("SeriesDescription", "ProtocolName")))))


def _plain(said: str | None) -> str:
    return " ".join(re.findall(r"[^\W_]+", folded(said)))


def _image_type(facts: Facts, terms: Iterable[str]) -> str:
    told = next((term for term in facts.image_type if term in set(terms)), "")
    return f"{attribute(facts.type_source)} contains {told}" if told else ""


def _sop_class(facts: Facts) -> str:
    return f"{attribute('SOPClassUID')} is {facts.sop_class}"


def _modifier(said: str) -> str:
    return f"the view's modifier says {said}"


def _description(said: str) -> str:
    return f"{attribute('SeriesDescription')} or {attribute('ProtocolName')} says {said}"
