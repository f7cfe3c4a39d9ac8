"""Body part by code: the table against pydicom's, and what counts where two attributes name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_files import smooth, write
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from fastrace.dicom import open_frames
from fastrace.dicom.anatomy import PART_OF_CODE, REGIONS, contradict
from fastrace.dicom.header import Header
from fastrace.dicom.terms import TERMS


def region(value: str, meaning: str = "x", scheme: str = "SCT") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def header(tmp_path: Path, **attributes: Any) -> Header:
    return open_frames(write(tmp_path / "image", smooth(), **attributes)).header


def test_every_code_is_one_of_snomed_and_both_of_its_editions_name_the_same_part() -> None:
    sct = {code for named in concepts["SCT"].values() for code in named}
    for code, part in PART_OF_CODE.items():
        retired = code.startswith(("T-", "R-"))
        assert code in (mapping["SRT"] if retired else sct), code
        other = mapping["SRT" if retired else "SCT"].get(code)
        assert other is None or PART_OF_CODE[other] == part, code


def test_every_part_is_a_term_of_body_part_examined() -> None:
    assert REGIONS.keys() - TERMS["body_part"] == {"PHANTOM"}


@pytest.mark.parametrize(
    ("value", "scheme", "meaning", "part"),
    [
        ("85562004", "SCT", "Hand", "HAND"),
        ("T-D8700", "SRT", "Hand", "HAND"),
        ("T-D8700", "SNM3", "whatever", "HAND"),
        ("72696002", "SCT", "Knee", "KNEE"),
        ("816094009", "SCT", "Chest", "CHEST"),
        ("51185008", "SCT", "Chest", "CHEST"),
        ("L7", "99SITE", "Left hand", "HAND"),
        ("L8", "99SITE", "Head of femur", "FEMUR"),
        ("L8", "99SITE", "Neck of femur", "FEMUR"),
        ("L8", "99SITE", "Femoral head", "FEMUR"),
        ("L8", "99SITE", "Head of radius", "RADIUS"),
        ("L8", "99SITE", "Radial head", "RADIUS"),
        ("L8", "99SITE", "Head of left ulna", "ULNA"),
        ("L8", "99SITE", "Neck of ulna", "ULNA"),
        ("L8", "99SITE", "Head of fibula", "TIBIAFIBULA"),
        ("L8", "99SITE", "Head of metacarpal", "HAND"),
        ("L8", "99SITE", "Heads of radius and ulna", "RADIUSULNA"),
        ("L8", "99SITE", "Tibia and fibula", "TIBIAFIBULA"),
        ("L8", "99SITE", "Head of fifth metatarsal bone", "FOOT"),
        ("L8", "99SITE", "Neck of talus", "FOOT"),
        ("L8", "99SITE", "Head and neck of humerus", "HUMERUS"),
        ("L8", "99SITE", "Neck of urinary bladder", "BLADDER"),
        ("L8", "99SITE", "Back of hand", "HAND"),
        ("L8", "99SITE", "Breast bone", "STERNUM"),
        ("L8", "99SITE", "Neck of tooth", None),  # and the head is not meant
        ("L8", "99SITE", "Lymph node of neck", "NECK"),
        ("L8", "99SITE", "Structure of head", "HEAD"),
        ("L8", "99SITE", "Head CT", "HEAD"),
        ("L8", "99SITE", "Finger of hand", "HAND"),
        ("L8", "99SITE", "Hand and wrist", None),  # two terms
        ("91470000", "SCT", "Axilla", "AXILLA"),
        ("T-D8104", "SRT", "Axilla", "AXILLA"),
        ("L9", "99SITE", "Mueller Eva", None),
    ],
)
def test_a_code_names_the_part(tmp_path: Path, value: str, scheme: str, meaning: str, part: str | None) -> None:
    found = header(tmp_path, AnatomicRegionSequence=region(value, meaning, scheme))
    assert (found.body_part, found.notes) == (part, ())
    assert found.body_part_source == ("AnatomicRegionSequence" if part else "BodyPartExamined")


def test_the_primary_structure_is_read_where_no_region_is_named(tmp_path: Path) -> None:
    assert header(tmp_path, PrimaryAnatomicStructureSequence=region("39607008")).body_part == "LUNG"
    both = {"AnatomicRegionSequence": region("816094009"), "PrimaryAnatomicStructureSequence": region("113197003")}
    assert header(tmp_path, **both).body_part == "CHEST"


@pytest.mark.parametrize(
    ("stated", "value", "part", "noted"),
    [
        ("CHEST", "85562004", "CHEST", True),
        ("CHEST", "39607008", "CHEST", False),  # the lung lies in it
        ("UNKNOWN", "85562004", "HAND", False),
        ("UP_EXM", "85562004", "UP_EXM", False),  # unknown words contradict nothing
        ("Thorax", "816094009", "THORAX", False),
    ],
)
def test_body_part_examined_goes_before_the_code(
    tmp_path: Path, stated: str, value: str, part: str, noted: bool
) -> None:
    found = header(tmp_path, BodyPartExamined=stated, AnatomicRegionSequence=region(value))
    assert found.body_part == part
    assert [note.kind for note in found.notes] == ["contradiction"] * noted


def test_what_contradicts() -> None:
    assert contradict("HAND", "CHEST")
    assert contradict("LEFT HAND", "KNEE")
    assert not contradict("NECKCHEST", "CHEST")
    assert not contradict("EXTREMITY", "HAND")
    assert not contradict("CSPINE", "NECK")
    assert not contradict("HEAD OF RADIUS", "RADIUS")
    assert contradict("RADIAL HEAD", "SKULL")
    assert not contradict(None, "NECK")
