"""What belongs to a preset: each case with its right outcome, and the kinds that they stand for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.uid import UID

from fastrace.cli.main import main
from fastrace.dataset import Dataset as Made
from fastrace.dicom import open_frames
from fastrace.dicom.image_kind import IMAGE_KINDS
from fastrace.dicom.sop_class import SOP_CLASSES, is_image, name_of
from fastrace.errors import REASONS, RejectedInput, UsageError
from fastrace.modality import MODALITIES, get_modality
from fastrace.phantom import PhantomSpec, make
from fastrace.preprocess.belongs import check_facts, check_header
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.recipe import Recipe, job_for
from fastrace.preprocess.run import preprocess

# Case -> reason of rejection by mammo, None: kept.
MAMMO = {
    "big_marker": None, "bto": "tomosynthesis", "cview": "synthetic", "for_presentation_same": None,
    "for_processing": "other_intent", "implant": "implant", "inverted_mono2": None, "laterality_only": None,
    "mag_view": "spot_or_magnification", "nonzero_bg": None, "padlimit_tissue": None, "secondary_capture": "screen_capture",
    "specimen": "specimen", "spot": "spot_or_magnification", "stereo": "biopsy", "viewcode_only": None, "vp_L_MLO": None,
    "vp_RCC": None, "white_frame": None,
}  # fmt: skip
CT = {"derived_mip": "derived", "dose_report": "dose_report", "scout": "localizer", "ok": None, "pad2000": None}


def reason(path: Path, modality: str, **options: Any) -> str | None:
    preset = get_modality(modality)
    try:
        check_header(preset, Recipe.from_preset(preset, **options), open_frames(path).header)
    except RejectedInput as error:
        return error.reason
    return None


@pytest.fixture
def changed(cases: Path, tmp_path: Path) -> Callable[..., Path]:
    """A full-field mammogram with other attributes; None deletes one."""

    def write(source: str = "D1_mg/for_presentation_same", **attributes: Any) -> Path:
        ds = pydicom.dcmread(cases / "dicom" / f"{source}.dcm")
        for keyword, value in attributes.items():
            if value is None:
                ds.pop(keyword, None)
            else:
                setattr(ds, keyword, value)
        ds.save_as(tmp_path / "image")
        return tmp_path / "image"

    return write


def code(value: str, scheme: str = "SCT", meaning: str = "x", **more: Any) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    for keyword, inner in more.items():
        setattr(item, keyword, inner)
    return [item]


@pytest.mark.parametrize(("name", "expected"), MAMMO.items())
def test_mammo_takes_full_field_views_for_presentation(cases: Path, name: str, expected: str | None) -> None:
    assert reason(cases / "dicom" / "D1_mg" / f"{name}.dcm", "mammo") == expected


@pytest.mark.parametrize(("name", "expected"), CT.items())
def test_ct_takes_slices_as_reconstructed(cases: Path, name: str, expected: str | None) -> None:
    assert reason(cases / "dicom" / "D3_ct" / f"{name}.dcm", "ct") == expected


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_segmentation_is_no_image_for_any_preset(cases: Path, modality: str) -> None:
    assert reason(cases / "dicom" / "seg_fractional.dcm", modality) == "other_object"


def test_the_summary_counts_each_by_name_and_the_index_says_what_was_kept(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = cases / "dicom" / "D1_mg", tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        main(["preprocess", str(source), "--out", str(out), "--modality", "mammo", "--size", "32x32", "--jobs", "1"])
    assert not stop.value.code
    said = capsys.readouterr().out
    counts = {one: list(MAMMO.values()).count(one) for one in MAMMO.values() if one}
    dataset = Made.open(out)
    assert dataset.meta["counts"]["rejected"] == counts
    sheet = (out / "README.md").read_text()
    for name, count in counts.items():
        assert f"{count} {name}, for example" in said
        assert f"| {name} | {count} |" in sheet
    assert "image with note polarity" in said
    index = dataset.index
    assert sorted(index["view"]) == ["CC"] * 8 + ["MLO"] * 2
    assert index["sop_class"].unique().tolist() == ["DigitalMammographyXRayImageStorageForPresentation"]
    assert index["presentation_intent"].unique().tolist() == ["FOR PRESENTATION"]
    assert sorted(index["notes"].dropna()) == ["contradiction", "frame", "polarity"]
    sources = pd.read_parquet(tmp_path / "out.private" / "sources.parquet")
    names = {Path(path).stem: found for path, found in zip(sources["path"], sources["reason"], strict=True)}
    assert {name: None if pd.isna(found) else found for name, found in names.items()} == MAMMO


def test_the_dry_run_says_the_same_without_writing(cases: Path, tmp_path: Path) -> None:
    job = job_for((cases / "dicom" / "D1_mg",), tmp_path / "out", "mammo", jobs=1)
    found = dry_run(job)
    assert found.rejected == {one: list(MAMMO.values()).count(one) for one in MAMMO.values() if one}
    assert set(found.examples) == set(found.rejected)
    assert found.by["view"] == {"CC": 8, "MLO": 2}
    assert found.by["presentation_intent"] == {"FOR PRESENTATION": 10}
    assert found.by["laterality"] == {"L": 9, "R": 1}
    assert list(tmp_path.iterdir()) == []


def test_the_workers_of_a_dry_run_load_neither_torch_nor_pandas() -> None:
    program = "import sys; from fastrace.preprocess import batches; batches._load(); print({'torch', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_dry_run_loads_no_torch_though_it_decodes_a_sample(cases: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from fastrace.preprocess.dry_run import dry_run; "
        "from fastrace.preprocess.recipe import job_for; "
        f"found = dry_run(job_for((Path({str(cases / 'dicom' / 'D1_mg')!r}),), Path({str(tmp_path / 'out')!r}), 'mammo')); "
        "print(found.timed, found.seconds > 0, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "8 True False"


def test_the_dry_run_asks_the_label_table(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("patient_id,race\nproc,A\nmarker,B\nbg,A\n")
    job = job_for((cases / "dicom" / "D1_mg",), tmp_path / "out", "mammo", jobs=1, labels=tmp_path / "labels.csv")
    found = dry_run(job)
    assert (found.images, found.rejected["no_label"], found.joined) == (3, 7, True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("for_processing", {"intents": ("processing",)}),
        ("for_processing", {"intents": ("any",)}),
        ("bto", {"image_types": ("tomosynthesis",)}),
        ("cview", {"image_types": ("synthetic",)}),
        ("spot", {"image_types": ("spot-or-magnification",)}),
        ("implant", {"image_types": ("implant", "specimen")}),
        ("secondary_capture", {"image_types": ("any",)}),
    ],
)
def test_options_change_what_is_kept(cases: Path, name: str, options: dict[str, Any]) -> None:
    assert reason(cases / "dicom" / "D1_mg" / f"{name}.dcm", "mammo", **options) is None


def test_views_and_intents_replace_the_presets(cases: Path) -> None:
    mammograms = cases / "dicom" / "D1_mg"
    assert reason(mammograms / "viewcode_only.dcm", "mammo", views=("CC",)) == "other_view"
    assert reason(mammograms / "viewcode_only.dcm", "mammo", views=("r mlo",)) is None
    assert reason(mammograms / "for_presentation_same.dcm", "mammo", intents=("FOR PROCESSING",)) == "other_intent"
    assert Recipe.from_preset(get_modality("cxr"), views=("PA",)).views == ("PA",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": ("sideways",)}, "--view sideways: no view; choose of CC, MLO"),
        ({"views": ("CC", "any")}, "--view any: keeps all"),
        ({"intents": ("display",)}, "--intent display: choose of presentation, processing"),
        ({"image_types": ("film",)}, "--image-type film: choose of dose_report"),
    ],
)
def test_an_option_that_names_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.from_preset(get_modality("mammo"), **options)


@pytest.mark.parametrize(
    ("expected", "attributes"),
    [
        ("spot_or_magnification", {"EstimatedRadiographicMagnificationFactor": "1.5"}),
        (None, {"EstimatedRadiographicMagnificationFactor": "1.073"}),  # contact
        ("spot_or_magnification", {"PaddleDescription": "10CM MAG"}),
        ("spot_or_magnification", {"PaddleDescription": "SMALL SPOT CONTACT"}),
        (None, {"PaddleDescription": "24x29 cm flex"}),
        ("spot_or_magnification", {"ViewPosition": "RMCC"}),
        ("spot_or_magnification", {"SeriesDescription": "R CC Spot/Mag"}),
        ("spot_or_magnification", {"ViewCodeSequence": code("R-10242", "SRT", ViewModifierCodeSequence=code("R-102D7", "SRT"))}),
        ("spot_or_magnification", {"ViewModifierCodeSequence": code("399163009")}),
        ("spot_or_magnification", {"ViewCodeSequence": code("R-10242", ViewModifierCodeSequence=code("L1", "99X", "Spot"))}),
        ("other_view", {"ViewCodeSequence": code("399162004", ViewModifierCodeSequence=code("399197002"))}),  # rolled
        (None, {"ViewCodeSequence": code("399162004", ViewModifierCodeSequence=code("442581004"))}),  # nipple in profile
        ("implant", {"ViewCodeSequence": code("399162004", ViewModifierCodeSequence=code("399209000"))}),
        ("implant", {"ViewPosition": "LCCID"}),
        (None, {"BreastImplantPresent": "NO"}),
        ("implant", {"ViewPosition": "MLO IMPLANT DISPLACED"}),
        ("implant", {"ViewPosition": "CC IMPLANT"}),
        ("implant", {"ViewPosition": "MLO w/ implant"}),
        ("other_view", {"ViewPosition": "R CC ROLLED MED"}),
        ("biopsy", {"ViewPosition": "CC STEREO"}),
        ("partial_view", {"ViewPosition": "CC PARTIAL"}),
        ("specimen", {"ViewPosition": "SPECIMEN CC"}),
        ("partial_view", {"PartialView": "YES"}),
        (None, {"PartialView": "NO"}),
        ("specimen", {"ViewPosition": None, "ViewCodeSequence": code("127457009")}),
        ("specimen", {"ViewPosition": "SPECIMEN"}),
        ("specimen", {"SeriesDescription": "Specimen left"}),
        ("biopsy", {"ImageType": ["DERIVED", "PRIMARY", "STEREO_SCOUT"]}),
        ("biopsy", {"ImageType": ["DERIVED", "PRIMARY", "PREFIRE_MINUS"]}),
        ("biopsy", {"BiopsyTargetSequence": [Dataset()]}),
        (None, {"SeriesDescription": "Mammogram post biopsy"}),  # full views of a breast that was biopsied
        ("synthetic", {"SeriesDescription": "L CC C-View"}),
        ("synthetic", {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D", "", "", "", "", "150000"]}),
        ("tomosynthesis", {"ImageType": ["DERIVED", "PRIMARY", "TOMO_PROJ", "RIGHT"]}),
        (None, {"ImageType": ["DERIVED", "PRIMARY", "TOMO_2D", "LEFT", "", "", "", "", "150000"]}),  # the exposure beside it
        (None, {"SeriesDescription": "Screening with tomosynthesis"}),  # names every image of the visit
        ("tomosynthesis", {"SeriesDescription": "L CC Tomosynthesis Reconstruction"}),
        ("tomosynthesis", {"SeriesDescription": "L MLO DBT slice 32"}),
        ("tomosynthesis", {"TomoLayerHeight": 12.0}),
        ("tomosynthesis", {"SOPClassUID": UID("1.2.840.10008.5.1.4.1.1.2")}),  # as the first devices stored slices
        ("synthetic", {"SeriesDescription": "L CC Synthetic2D"}),
        ("contrast", {"ContrastBolusAgent": "Iohexol"}),
        (None, {"ContrastBolusAgent": "NONE"}),
        ("contrast", {"SeriesDescription": "L CC CEM Recombined"}),
        ("contrast", {"SeriesDescription": "CESM low"}),
        ("quality_control", {"QualityControlImage": "YES"}),
        ("quality_control", {"SeriesDescription": "ACR PHANTOM"}),
        ("contrast", {"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}),
        (None, {"ImageType": ["ORIGINAL", "PRIMARY", "", "", "", "", "", "", "150000"]}),
        ("other_intent", {"PresentationIntentType": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}),
        ("other_view", {"ViewPosition": "ML"}),
        ("other_view", {"ViewPosition": "Mueller"}),
        (None, {"ViewPosition": None}),
        ("other_object", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.30"}),
        (None, {"SOPClassUID": "1.2.3.4"}),  # private
    ],
)  # fmt: skip
def test_other_ways_to_say_it(changed: Callable[..., Path], expected: str | None, attributes: dict[str, Any]) -> None:
    assert reason(changed(**attributes), "mammo") == expected


@pytest.mark.parametrize(
    ("expected", "attributes"),
    [
        ("derived", {"ImageType": ["DERIVED", "PRIMARY", "MPR"]}),
        ("derived", {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}),
        (None, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"], "LossyImageCompression": "01"}),
        ("localizer", {"ImageType": ["ORIGINAL", "PRIMARY"], "SeriesDescription": "Topogram 0.6"}),
        (None, {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "after scout"}),
        ("dose_report", {"SeriesDescription": "Dose Report"}),
        ("screen_capture", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}),
        ("screen_capture", {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}),
    ],
)
def test_other_kinds_of_ct(changed: Callable[..., Path], expected: str | None, attributes: dict[str, Any]) -> None:
    assert reason(changed("D3_ct/ok", **attributes), "ct") == expected


RADIOGRAPH: dict[str, Any] = {
    "Modality": "DX", "BodyPartExamined": "CHEST", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "ViewPosition": None,
    "ViewCodeSequence": None, "PatientOrientation": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "attributes"),
    [
        (None, {"BodyPartExamined": None}),
        ("other_body_part", {"BodyPartExamined": None, "AnatomicRegionSequence": code("85562004")}),  # hand
        ("other_body_part", {"BodyPartExamined": None, "AnatomicRegionSequence": code("T-D9200", "SRT")}),  # knee
        (None, {"BodyPartExamined": None, "AnatomicRegionSequence": code("816094009")}),  # chest
        ("other_view", {"PatientOrientation": ["P", "F"]}),
        ("other_view", {"PatientOrientation": ["A", "F"]}),
        (None, {"PatientOrientation": ["L", "F"]}),
        (None, {"PatientOrientation": ["P", "F"], "ViewPosition": "PA"}),  # what states the view goes first
        *(
            ("other_view", {"PatientOrientation": ["L", "F"], "SeriesDescription": f"CHEST {said}"})
            for said in ("LAT DECUBITUS", "RAO", "LPO", "AP LORDOTIC", "LATERAL", "PA LAT OBLIQUES", "biapical", "PERFIL")
        ),
        (None, {"PatientOrientation": ["L", "F"], "SeriesDescription": "CHEST PA AND LATERAL"}),
        *(
            (None, {"PatientOrientation": ["L", "F"], "ViewPosition": said})  # no answer
            for said in ("UNKNOWN", "unk", "NONE", "N/A", "Not specified", "-")
        ),
        ("other_view", {"PatientOrientation": ["P", "F"], "ViewPosition": "UNKNOWN"}),
        ("other_view", {"PatientOrientation": ["L", "F"], "ViewPosition": "OTHER"}),  # an answer: none of the listed views
        ("other_view", {"ViewCodeSequence": code("399067008"), "ViewPosition": "UNKNOWN"}),  # lateral
        ("other_view", {"SeriesDescription": "CHEST LATERAL"}),
        ("other_view", {"ProtocolName": "Chest lat"}),
        (None, {"SeriesDescription": "CHEST PA AND LATERAL"}),
        (None, {"SeriesDescription": "CHEST"}),
        ("quality_control", {"QualityControlImage": "YES"}),
        ("quality_control", {"SeriesDescription": "ACR PHANTOM QC"}),
        ("quality_control", {"ProtocolName": "Flat Field"}),
        *(
            (None, {"SeriesDescription": f"CHEST PA {said}"})
            for said in ("(QC'd)", "QC passed", "QC ok", "after QC", "quality control passed", "post-QC", "QCed", "QC-ed")
        ),
        *(
            ("quality_control", {"SeriesDescription": said})
            for said in ("QC", "Detector QC", "QC test passed", "QC'd phantom", "Quality Control", "weekly QC ok")
        ),
        ("other_modality", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"}),  # VL Photographic
        ("other_modality", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}),  # Ultrasound
    ],
)  # fmt: skip
def test_what_a_chest_radiograph_is(
    changed: Callable[..., Path], expected: str | None, attributes: dict[str, Any]
) -> None:
    assert reason(changed(**{**RADIOGRAPH, **attributes}), "cxr") == expected


def test_a_view_that_is_told_by_another_attribute_says_so(changed: Callable[..., Path]) -> None:
    header = open_frames(
        changed(**{**RADIOGRAPH, "PatientOrientation": ["L", "F"]}, SeriesDescription="CHEST AP")
    ).header
    assert (header.view, header.view_source, header.notes) == ("AP", "SeriesDescription", ())
    header = open_frames(
        changed(**{**RADIOGRAPH, "PatientOrientation": ["P", "F"]}, SeriesDescription="CHEST AP")
    ).header
    assert (header.view, header.view_source) == ("LATERAL", "PatientOrientation")
    assert [note.kind for note in header.notes] == ["contradiction"]
    for said, taken in (("CHEST LPO", "LPO"), ("CHEST LAT DECUB", "DECUBITUS"), ("CHEST LATERAL", "LATERAL")):
        header = open_frames(changed(**{**RADIOGRAPH, "PatientOrientation": ["L", "F"]}, SeriesDescription=said)).header
        assert (header.view, header.view_source) == (taken, "SeriesDescription")
        assert [note.kind for note in header.notes] == ["contradiction"] * (taken == "LATERAL")
    hand = {**RADIOGRAPH, "BodyPartExamined": "HAND", "PatientOrientation": ["L", "F"]}
    assert open_frames(changed(**hand)).header.view is None  # directions are those of the body, not of a limb
    preset = get_modality("cxr")
    path = changed(**{**RADIOGRAPH, "PatientOrientation": ["P", "F"]})
    with pytest.raises(
        RejectedInput, match=r"^Patient Orientation \(0020,0020\) says LATERAL, kept are AP, PA, FRONTAL"
    ):
        check_header(preset, Recipe.from_preset(preset), open_frames(path).header)


@pytest.mark.parametrize(
    ("expected", "view"),
    [("implant", "MLO IMPLANT DISPLACED"), ("biopsy", "CC STEREO"), ("other_view", "CC ROLLED"), (None, "R CC")],
)
def test_a_view_of_the_label_table_is_read_with_its_modifiers(expected: str | None, view: str) -> None:
    preset, found = get_modality("mammo"), None
    try:
        check_facts(preset, Recipe.from_preset(preset), {"view": view})
    except RejectedInput as error:
        found = error.reason
    assert found == expected


@pytest.mark.parametrize("modality", MODALITIES)
def test_quality_control_is_left_out_by_every_preset_and_can_be_kept(
    changed: Callable[..., Path], modality: str
) -> None:
    preset = get_modality(modality)
    found = {
        "QualityControlImage": "YES",
        "BodyPartExamined": None,
        "SOPClassUID": "1.2.3.4",
        "PresentationIntentType": None,
    }
    path = changed(**found, Modality=(preset.modalities or ("DX",))[0], ViewPosition=(preset.views or ("AP",))[0])
    assert reason(path, modality) == "quality_control"
    assert reason(path, modality, image_types=("quality-control",)) is None


def test_the_message_names_the_attribute_that_says_so(changed: Callable[..., Path]) -> None:
    preset = get_modality("cxr")
    path = changed(**{**RADIOGRAPH, "BodyPartExamined": None}, AnatomicRegionSequence=code("85562004"))
    with pytest.raises(
        RejectedInput, match=r"^Anatomic Region Sequence \(0008,2218\) is 'HAND'; --modality cxr keeps CHEST"
    ):
        check_header(preset, Recipe.from_preset(preset), open_frames(path).header)


def test_public_sets_are_not_thrown_away(changed: Callable[..., Path]) -> None:
    """Headers as the public sets have them: derived, exported, without intent, or digitised film."""
    capture = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ConversionType": "WSD", "PresentationIntentType": None}
    film = changed(**capture, ViewPosition=None, PatientOrientation="CC", SeriesDescription="full mammogram images")
    assert reason(film, "mammo") is None
    assert open_frames(film).header.view == "CC"
    mask = changed(**capture, ViewPosition=None, PatientOrientation="CC", SeriesDescription="ROI mask images")
    assert reason(mask, "mammo") == "derived"
    chest = changed(**capture, Modality="CR", ViewPosition="AP", BodyPartExamined="CHEST")
    assert reason(chest, "cxr") is None
    radiograph = {"Modality": "DX", "BodyPartExamined": "CHEST", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}
    assert reason(changed(**radiograph, ImageType=["DERIVED", "PRIMARY"], ViewPosition="PA"), "cxr") is None
    assert reason(changed(**radiograph, ImageType=["DERIVED", "SECONDARY"], ViewPosition="ERECT PA"), "cxr") is None
    assert reason(changed(**radiograph, ViewPosition="AP LLD"), "cxr") == "other_view"
    assert reason(changed(**radiograph, PresentationIntentType="FOR PROCESSING"), "cxr") == "other_intent"


def test_what_contradicts_itself_is_noted(cases: Path, changed: Callable[..., Path]) -> None:
    header = open_frames(cases / "dicom" / "D1_mg" / "vp_RCC.dcm").header
    assert (header.view, header.laterality) == ("CC", "L")
    assert [note.kind for note in header.notes] == ["contradiction"]
    header = open_frames(changed(ViewPosition="CC", ViewCodeSequence=code("399368009"))).header
    assert (header.view, [note.kind for note in header.notes]) == ("CC", ["contradiction"])
    header = open_frames(changed(PresentationIntentType="FOR PROCESSING")).header
    assert (header.presentation_intent, [note.kind for note in header.notes]) == ("FOR PROCESSING", ["contradiction"])
    header = open_frames(changed(ViewPosition="AP", ViewCodeSequence=code("399033003"))).header  # frontal
    assert header.notes == ()


def test_free_text_does_not_leave_by_image_type(changed: Callable[..., Path]) -> None:
    header = open_frames(changed(ImageType=["ORIGINAL", "PRIMARY", "MUELLER EVA", "19700101", ""])).header
    assert header.image_type == ("ORIGINAL", "PRIMARY", "OTHER")


def test_every_listed_class_is_one_of_the_standard() -> None:
    keywords = [keyword for kind in SOP_CLASSES.values() for keyword in kind]
    assert len(keywords) == len(set(keywords))
    storage = {entry[4]: uid for uid, entry in UID_dictionary.items()}
    for keyword in keywords:
        assert name_of(storage[keyword]) == keyword
        assert is_image(keyword)
    for none in ("Segmentation", "ParametricMap", "RTDose", "XRayRadiationDoseSR", "EncapsulatedPDF"):
        assert not is_image(name_of(storage[f"{none}Storage"]))
    assert (name_of(None), name_of("1.2.3.4"), is_image("private")) == (None, "private", True)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.66.99"])
def test_what_the_standard_may_have_and_pydicom_does_not_know_is_no_image(
    changed: Callable[..., Path], uid: str
) -> None:
    """Label maps and height maps came after pydicom's dictionary and were taken for private images. A syntax is no class."""
    with pytest.raises(RejectedInput, match=r"SOP Class UID .* is a standard one that is not known here") as error:
        open_frames(changed(SOPClassUID=uid))
    assert error.value.reason == "other_object"


def test_every_kind_is_a_reason() -> None:
    assert set(IMAGE_KINDS) <= set(REASONS)


@pytest.mark.parametrize(("modality", "phantom"), [("mammo", "mammo"), ("cxr", "cxr")])
def test_a_phantom_belongs_to_its_preset(tmp_path: Path, modality: str, phantom: str) -> None:
    make(tmp_path / "archive", PhantomSpec(phantom, patients=6, images_per_patient=4, size=(96, 80)))  # type: ignore[arg-type]
    job = job_for((tmp_path / "archive",), tmp_path / "out", modality, size=(16, 16), jobs=1)
    summary = preprocess(job)
    assert (summary.indexed, set(summary.rejected)) == (24, {"not_an_image"})  # labels.csv
    index = Made.open(tmp_path / "out").index
    assert index["image_kinds"].isna().all()
    assert index["notes"].isna().all()


def test_the_recipe_holds_what_is_kept(cases: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "fastrace.cli", "preprocess", str(cases / "dicom" / "D1_mg"), "--modality", "mammo"]
    words += ["--out", str(tmp_path / "out"), "--size", "16x16", "--jobs", "1", "--json"]
    words += ["--view", "MLO", "--intent", "any", "--image-type", "synthetic"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["indexed"] == 2
    recipe = Made.open(tmp_path / "out").meta["recipe"]
    assert (recipe["views"], recipe["intents"], recipe["image_kinds"]) == (["MLO"], [], ["synthetic"])
