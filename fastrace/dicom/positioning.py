"""View, modifiers and side of one image, from every attribute that states them, and a note where two of them disagree.

Order of the view: View Position (0018,5101), View Code Sequence (0054,0220), and a Patient Orientation (0020,0020) that is
one view term, as the public exports of digitised mammograms write it. Where none of them states one and the image is a
radiograph of the trunk or the head, the directions of Patient Orientation tell frontal from lateral (PS3.3 C.7.6.1.1.1), and
Series Description (0008,103E) and Protocol Name (0018,1030) the view, where they name one as a word. Of the two, what is no plain
frontal view goes first: the directions of an oblique, lordotic or decubitus film are those of a frontal one.

Order of the side: Image Laterality (0020,0062), Frame Laterality (0020,9072), Laterality (0020,0060), the modifier of the
Anatomic Region Sequence (0008,2218), the words of the view. Of a breast, Patient Orientation tells directions, not the side: the
same pair is met with both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydicom.dataset import Dataset

from fastrace.dicom.notes import Note
from fastrace.dicom.select import macro
from fastrace.dicom.values import attribute, items, text, texts
from fastrace.dicom.views import (
    BREAST,
    FRONTAL_VIEWS,
    LATERAL_VIEWS,
    MODIFIER_OF_CODE,
    OTHER,
    SPECIMEN_CODES,
    VIEW_OF_CODE,
    View,
    folded,
    read_description,
    read_orientation,
    read_side,
    read_words,
)

LATERALITY_OF_CODE = {"24028007": "R", "G-A100": "R", "7771000": "L", "G-A101": "L", "51440002": "B", "G-A102": "B"}


class Positioning(NamedTuple):
    """How the patient was placed, as far as the header tells.

    Attributes
    ----------
    view : str or None
        One of `fastrace.dicom.views.VIEWS`, or ``other``; None where nothing states it.
    laterality : str or None
        L, R or B.
    modifiers : tuple of str
        Keys of `fastrace.dicom.views.MODIFIERS`, sorted; ``other`` for one that is not among them.
    specimen : bool
        Whether the view is that of a specimen.
    notes : tuple of Note
    source : str
        Keyword of the attribute that states the view, where it is not one of the two that are made for it.
    """

    view: str | None
    laterality: str | None
    modifiers: tuple[str, ...]
    specimen: bool
    notes: tuple[Note, ...]
    source: str = ""


def read_positioning(ds: Dataset, frame: int, *, trunk: bool = False) -> Positioning:
    """Read them; never raises.

    Parameters
    ----------
    ds : Dataset
        The file's data set.
    frame : int
        0-based.
    trunk : bool
        Whether it is a radiograph of trunk or head, as far as is known: then other attributes may tell its view.
    """
    stated = text(ds, "ViewPosition")
    words = read_words(stated)
    coded, modifiers, specimen = _codes(ds)
    notes = []
    view = words.view if words.view not in (None, OTHER) else coded or words.view
    if coded not in (None, OTHER) and not _same(coded, view):
        notes.append(_contradiction("ViewPosition", view, "ViewCodeSequence", coded, view))
    if view is None:
        oriented = read_words(text(ds, "PatientOrientation"))
        words = oriented if oriented.view in BREAST else View()
        view = words.view
    view_source = ""
    if view is None and trunk:
        view, view_source, notes = _told(ds)
    side, source, contradictions = _side(ds, frame)
    notes += contradictions
    if side in ("L", "R") and words.side in ("L", "R") and side != words.side:
        notes.append(_contradiction(source, side, "ViewPosition", words.side, side))
    return Positioning(
        view,
        side or words.side,
        tuple(sorted({*words.modifiers, *modifiers})),
        specimen or "SPECIMEN" in folded(stated),
        tuple(notes),
        view_source,
    )


def _told(ds: Dataset) -> tuple[str | None, str, list[Note]]:
    """The view of a radiograph of trunk or head whose own attributes state none, and the attribute that tells it."""
    oriented = read_orientation(*[*texts(ds, "PatientOrientation"), "", ""][:2])
    described = read_description(
        " ".join(filter(None, (text(ds, name) for name in ("SeriesDescription", "ProtocolName"))))
    )
    if oriented is None:
        return described, "SeriesDescription" if described else "", []
    if described is None or (oriented == "LATERAL" and described in LATERAL_VIEWS):
        return oriented, "PatientOrientation", []
    if described not in FRONTAL_VIEWS | LATERAL_VIEWS or (oriented == "FRONTAL" and described in FRONTAL_VIEWS):
        return described, "SeriesDescription", []
    view, source = (described, "SeriesDescription") if described in LATERAL_VIEWS else (oriented, "PatientOrientation")
    return view, source, [_contradiction("PatientOrientation", oriented, "SeriesDescription", described, view)]


def _codes(ds: Dataset) -> tuple[str | None, set[str], bool]:
    """View, modifiers, and whether it is a specimen's, by the codes."""
    view, specimen = None, False
    listed = items(ds, "ViewModifierCodeSequence")
    for item in items(ds, "ViewCodeSequence")[:1]:
        code = text(item, "CodeValue") or ""
        specimen = code in SPECIMEN_CODES
        view = VIEW_OF_CODE.get(code, OTHER) if code else None
        listed += items(item, "ViewModifierCodeSequence")
    return view, {_modifier(item) for item in listed}, specimen


def _modifier(item: Dataset) -> str:
    """By the code; a site's own code by its meaning, which is read for words alone."""
    known = MODIFIER_OF_CODE.get(text(item, "CodeValue") or "")
    if known is not None:
        return known
    said = read_words(f"CC {text(item, 'CodeMeaning') or ''}").modifiers  # as words of a view of the breast
    return said[0] if said else OTHER


def _side(ds: Dataset, frame: int) -> tuple[str | None, str, list[Note]]:
    """The first attribute that tells the side, and a note for each later one that tells another."""
    told = list(_sides(ds, macro(ds, frame, "FrameAnatomySequence")))
    if not told:
        return None, "", []
    side, source = told[0]
    return side, source, [_contradiction(source, side, name, other, side) for other, name in told[1:] if other != side]


def _sides(ds: Dataset, anatomy: Dataset) -> Iterator[tuple[str, str]]:
    for scope, keyword in ((ds, "ImageLaterality"), (anatomy, "FrameLaterality"), (ds, "Laterality")):
        side = read_side(text(scope, keyword))
        if side is not None:
            yield side, keyword
    for scope in (anatomy,) if anatomy is ds else (anatomy, ds):
        for item in items(scope, "AnatomicRegionSequence")[:1]:
            for modifier in items(item, "AnatomicRegionModifierSequence"):
                side = LATERALITY_OF_CODE.get(text(modifier, "CodeValue") or "")
                if side is not None:
                    yield side, "AnatomicRegionModifierSequence"


def _same(one: str | None, other: str | None) -> bool:
    """FRONTAL does not contradict AP, nor LATERAL the side that LL names."""
    general = {"AP": "FRONTAL", "PA": "FRONTAL", "LL": "LATERAL", "RL": "LATERAL"}
    return one in (other, general.get(other or "")) or other == general.get(one or "")


def _contradiction(first: str, one: str | None, second: str, other: str | None, taken: str | None) -> Note:
    return Note("contradiction", f"{attribute(first)} says {one}, {attribute(second)} says {other}: taken as {taken}")
