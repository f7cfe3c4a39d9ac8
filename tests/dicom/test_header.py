"""The allow-list: conversions to units, and tolerance of values that do not conform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_files import smooth, write
from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping

from fastrace.dicom import Header, open_frames
from fastrace.dicom.positioning import LATERALITY_OF_CODE
from fastrace.dicom.views import CODES, MODIFIERS

# pydicom warns of the values that these files are made of.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def header(tmp_path: Path, **options: Any) -> Header:
    return open_frames(write(tmp_path / "image", smooth(), **options)).header


def code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    return item


@pytest.mark.parametrize(
    ("options", "age"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "006M"}, 0.0),
        ({"PatientAge": "002W"}, 0.0),
        ({"PatientAge": "003D"}, 0.0),
        ({"PatientAge": "036M"}, 3.0),
        ({"PatientAge": "000Y"}, None),  # what de-identification leaves
        ({"PatientAge": "45"}, None),
        ({"PatientAge": "old"}, None),
        ({"PatientBirthDate": "19600229", "StudyDate": "20100301"}, 50.0),
        ({"PatientBirthDate": "19600229", "AcquisitionDate": "20100228"}, 49.0),
        ({"PatientBirthDate": "19600229", "StudyDate": "20240517"}, 64.0),  # 64.213552 gave the day of the study back
        ({"PatientBirthDate": "19610701", "StudyDate": "20240701"}, 63.0),
        ({"PatientAge": "", "PatientBirthDate": "19600101", "StudyDate": "19610101"}, 1.0),
        ({"PatientBirthDate": "18000101", "StudyDate": "20100228"}, None),
        ({"PatientBirthDate": "20200101", "StudyDate": "20100228"}, None),
        ({"PatientBirthDate": "19601301", "StudyDate": "20100228"}, None),
        ({"PatientBirthDate": "19600101"}, None),
        ({"PatientBirthDate": "19000101", "StudyDate": "20200505"}, None),  # placeholders: all were 90 years old
        ({"PatientBirthDate": "18991230", "StudyDate": "20200505"}, None),
        ({"PatientBirthDate": "18991231", "StudyDate": "20200505"}, None),
        ({"PatientBirthDate": "00010101", "StudyDate": "00500505"}, None),
        ({"PatientBirthDate": "19000101", "StudyDate": "20200505", "PatientAge": "064Y"}, 64.0),
        ({"PatientBirthDate": "19000102", "StudyDate": "19850505"}, 85.0),
        ({"PatientBirthDate": "18950505", "StudyDate": "19000101", "ContentDate": "19850505"}, 90.0),
        ({}, None),
    ],
)
def test_age_from_its_attribute_or_from_two_dates(tmp_path: Path, options: dict[str, str], age: float | None) -> None:
    found = header(tmp_path, **options)
    assert found.age_years == age
    assert "1960" not in repr(found)


@pytest.mark.parametrize(
    ("options", "view"),
    [
        ({"ViewPosition": "mlo "}, "MLO"),
        ({"ViewCodeSequence": [code("399162004")]}, "CC"),
        ({"ViewCodeSequence": [code("R-10226")]}, "MLO"),
        ({"ViewPosition": "", "ViewCodeSequence": [code("272479007")]}, "PA"),
        ({"ViewCodeSequence": [code("1234")]}, "other"),
        ({"ViewPosition": "Frau Eva 1970"}, "other"),
        ({"PatientOrientation": "MLO"}, "MLO"),  # as public exports of digitised film write it
        ({"PatientOrientation": ["A", "L"]}, None),
        ({"ViewCodeSequence": []}, None),
    ],
)
def test_view_from_its_term_or_its_code(tmp_path: Path, options: dict[str, Any], view: str | None) -> None:
    assert header(tmp_path, **options).view == view


def test_view_and_laterality_codes_agree_with_pydicoms_dictionary() -> None:
    for view, (snomed, *retired) in {**CODES, **MODIFIERS}.items():
        known = [old for old in retired if old in mapping["SRT"]]
        assert known, view
        assert {mapping["SRT"][old] for old in known} == {snomed}, view
    for retired, snomed in (("G-A100", "24028007"), ("G-A101", "7771000"), ("G-A102", "51440002")):
        assert mapping["SRT"][retired] == snomed
        assert LATERALITY_OF_CODE[retired] == LATERALITY_OF_CODE[snomed]


def test_laterality_in_order_of_specificity(tmp_path: Path) -> None:
    shared, anatomy, region = Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    shared.FrameAnatomySequence = [anatomy]
    region.AnatomicRegionModifierSequence = [code("7771000")]
    everything: dict[str, Any] = {
        "ImageLaterality": "L",
        "SharedFunctionalGroupsSequence": [shared],
        "Laterality": "B",
        "AnatomicRegionSequence": [region],
    }
    for expected in ("L", "R", "B", "L", None):
        assert header(tmp_path, **everything).laterality == expected
        everything = dict(list(everything.items())[1:])


@pytest.mark.parametrize(
    ("options", "side", "noted"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, "R", ["Laterality (0020,0060)"]),
        ({"ImageLaterality": "R", "modifier": "7771000"}, "R", ["Anatomic Region Modifier Sequence (0008,2220)"]),
        (
            {"ImageLaterality": "R", "Laterality": "L", "modifier": "G-A101"},
            "R",
            ["Laterality (0020,0060)", "Anatomic Region Modifier Sequence (0008,2220)"],
        ),
        ({"Laterality": "L", "modifier": "24028007"}, "L", ["Anatomic Region Modifier Sequence (0008,2220)"]),
        ({"ImageLaterality": "R", "Laterality": "R", "modifier": "24028007"}, "R", []),
        ({"ImageLaterality": "U", "Laterality": "L"}, "L", []),  # unpaired: says nothing
    ],
)
def test_sides_that_contradict_each_other_are_noted(
    tmp_path: Path, options: dict[str, Any], side: str, noted: list[str]
) -> None:
    options = dict(options)
    if (modifier := options.pop("modifier", None)) is not None:
        region = Dataset()
        region.AnatomicRegionModifierSequence = [code(modifier)]
        options["AnatomicRegionSequence"] = [region]
    found = header(tmp_path, **options)
    assert found.laterality == side
    assert [note.kind for note in found.notes] == ["contradiction"] * len(noted)
    assert all(
        name in note.text and f"taken as {side}" in note.text for name, note in zip(noted, found.notes, strict=True)
    )


@pytest.mark.parametrize(
    ("options", "spacing", "source"),
    [
        (
            {"ImagerPixelSpacing": [0.1, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25},
            (0.08, 0.16),
            "imager/magnification",
        ),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.2), "imager (at the detector)"),
        ({"ImagerPixelSpacing": [0.1, 0.2], "PixelSpacing": [7, 7]}, (0.1, 0.2), "imager (at the detector)"),
        ({"PixelSpacing": [0.5, 0.5], "Modality": "CT"}, (0.5, 0.5), "pixel_spacing"),
        ({"PixelSpacing": [0.5, 0.5], "Modality": "DX"}, None, None),
        ({"PixelSpacing": [0.5, 0.5], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.5, 0.5), "pixel_spacing"),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.1, 0.1),
            "pixel_spacing",
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 180},  # in percent
            (0.2, 0.2),
            "imager (at the detector)",
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 0.9},
            (0.2, 0.2),
            "imager (at the detector)",
        ),
        ({"ImagerPixelSpacing": [200, 200]}, None, None),  # in micrometres
        ({"PixelSpacing": [4, 4], "Modality": "PT"}, (4, 4), "pixel_spacing"),
        ({"ImagerPixelSpacing": [0.1, 0]}, None, None),
        ({"ImagerPixelSpacing": [0.1]}, None, None),
    ],
)
def test_spacing_states_where_it_holds(
    tmp_path: Path, options: dict[str, Any], spacing: tuple[float, float] | None, source: str | None
) -> None:
    found = header(tmp_path, **options)
    assert found.spacing_mm == (None if spacing is None else pytest.approx(spacing))
    assert found.spacing_source == source


def test_spacing_of_enhanced_frames_comes_from_the_functional_groups(tmp_path: Path) -> None:
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.4, 0.3], 2.5
    shared.PixelMeasuresSequence = [measures]
    for modality in ("CT", "MG"):  # MG: a tomosynthesis volume
        found = header(tmp_path, Modality=modality, SharedFunctionalGroupsSequence=[shared])
        assert (found.spacing_mm, found.acquisition.slice_thickness_mm) == ((0.4, 0.3), 2.5)


def test_the_rest_of_the_allow_list(tmp_path: Path) -> None:
    found = header(
        tmp_path,
        Modality="MG",
        StudyInstanceUID="1.2.3",
        AccessionNumber="A1",
        PatientSex="F",
        Manufacturer="Maker",
        ManufacturerModelName="Model\nX",
        BodyPartExamined="Breast",
        BurnedInAnnotation="YES",
        EthnicGroup="something",
        ImageType=["ORIGINAL", "primary"],
        PresentationIntentType="FOR PRESENTATION",
    )
    assert (found.patient_id, found.study_uid, found.accession, found.image_uid) == (
        "somebody",
        "1.2.3",
        "A1",
        "1.2.3.4",
    )
    assert (found.modality, found.sex, found.manufacturer, found.model) == ("MG", "F", "Maker", "Model X")
    assert (found.body_part, found.burned_in, found.ethnic_group_present) == ("BREAST", True, True)
    assert (found.image_type, found.presentation_intent) == (("ORIGINAL", "PRIMARY"), "FOR PRESENTATION")
    assert (found.rows, found.columns, found.bits_stored, found.photometric) == (24, 31, 12, "MONOCHROME2")
    assert "something" not in repr(found)


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("KVP", "OB", b"\0\1\2\3"),
        ("KVP", "LO", "about 30"),
        ("Exposure", "DS", "71.5"),
        ("PatientAge", "OB", b"\xff\xfe"),
        ("PatientSex", "SQ", [Dataset()]),
        ("ImagerPixelSpacing", "US", 3),
        ("ViewCodeSequence", "LO", "CC"),
        ("BurnedInAnnotation", "US", 1),
        ("ImageType", "US", 1),
        ("ImageType", "OB", b"AB"),
        ("StudyDate", "OB", b"2010"),
        ("Manufacturer", "OB", b"Ma\xff\0"),
        ("Modality", "LO", ["CT", "MR"]),
    ],
)
def test_values_that_do_not_conform_never_raise(tmp_path: Path, keyword: str, vr: str, value: Any) -> None:
    from dicom_files import dataset

    ds = dataset(smooth())
    if keyword in ds:
        del ds[keyword]
    ds.add_new(keyword, vr, value)
    ds.save_as(tmp_path / "image", enforce_file_format=True)
    frame = open_frames(tmp_path / "image").frame(0)
    assert isinstance(frame.header, Header)


@pytest.mark.parametrize("keyword", ["BodyPartExamined", "Manufacturer", "ManufacturerModelName"])
def test_a_field_that_repeats_the_patients_name_or_number_is_dropped(tmp_path: Path, keyword: str) -> None:
    person = {"PatientName": "Müller^Eva", "PatientID": "MRN-4711", "PatientBirthDate": "19700101"}
    name = {"BodyPartExamined": "body_part", "ManufacturerModelName": "model"}
    field = name.get(keyword, "manufacturer")
    for leak in ("Eva 1970", "CHEST 4711", "19700101"):
        assert getattr(header(tmp_path, **person, **{keyword: leak}), field) is None
    assert getattr(header(tmp_path, **person, **{keyword: "CHEST"}), field) == "CHEST"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Upper extremity, left side", "UPPER EXTREMITY, LEFT SIDE"),  # longer than a Code String may be
        ("CHEST\x07", "CHEST"),
        (["ABDOMEN", "CHEST"], "ABDOMEN CHEST"),
        (["CHEST", "ABDOMEN"], "CHEST ABDOMEN"),
        ([" ", "CHEST"], "CHEST"),
        ("", None),
    ],
)
def test_every_value_of_the_body_part_is_read_whole(tmp_path: Path, written: str | list[str], read: str | None) -> None:
    assert header(tmp_path, BodyPartExamined=written).body_part == read
