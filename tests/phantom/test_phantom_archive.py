"""The archive as files: what is in it, what is not, and that the same seed gives the same bytes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from phantom_reader import dicom_files, read, stored_words
from pydicom import config
from pydicom.uid import UID

from fastrace.errors import UsageError
from fastrace.phantom import PHANTOMS, PhantomSpec, make, truth_path
from fastrace.phantom.conventions import CONVENTIONS

SMALL = PhantomSpec(patients=4, images_per_patient=1, size=(96, 64), band_cycles=(8, 16))


def labels(out: Path) -> dict[str, str]:
    with (out / "labels.csv").open(newline="") as file:
        return {row["patient_id"]: row["group"] for row in csv.DictReader(file)}


def convention_of(ds) -> tuple[object, ...]:
    voi = "LUT" if "VOILUTSequence" in ds else ds.get("VOILUTFunction", "LINEAR" if "WindowCenter" in ds else "NONE")
    return (
        ds.Manufacturer,
        ds.BitsStored,
        ds.PhotometricInterpretation,
        voi,
        ds.file_meta.TransferSyntaxUID,
        "PixelPaddingValue" in ds,
        "RescaleSlope" in ds,
    )


def test_every_file_is_read_and_decoded_by_pydicom_with_strict_validation(archive, monkeypatch):
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    files = dicom_files(archive.out)
    assert len(files) == archive.spec.images
    for path in files:
        ds = read(path)
        words = stored_words(ds)
        assert words.shape == (ds.Rows, ds.Columns) == archive.spec.size
        assert words.max() < 2**ds.BitsStored
        assert np.ptp(words.astype(np.int64)) > 2**ds.BitsStored // 4
        for element in ds.iterall():
            assert element.value is not None or element.is_empty


def test_headers_are_plausible_and_carry_no_race(archive):
    is_mammo = archive.spec.modality == "mammo"
    uids = set()
    for path in dicom_files(archive.out):
        ds = read(path)
        assert "EthnicGroup" not in ds
        assert "EthnicGroupCodeSequence" not in ds
        assert ds.Modality == PHANTOMS[archive.spec.modality]
        assert ds.BurnedInAnnotation == "NO"
        assert str(ds.PatientName).startswith("PHANTOM^")
        assert 30 <= int(ds.PatientAge[:3]) <= 89
        assert ds.PatientSex in ("F" if is_mammo else "FM")
        assert ds.ViewPosition in (("CC", "MLO") if is_mammo else ("PA",))
        assert ds.EstimatedRadiographicMagnificationFactor > 1
        field_mm = float(ds.ImagerPixelSpacing[0]) * max(archive.spec.size)
        assert (200 < field_mm < 300) if is_mammo else (400 < field_mm < 450)
        assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID
        assert UID(ds.SOPInstanceUID).is_valid
        uids.add(ds.SOPInstanceUID)
    assert len(uids) == archive.spec.images


def test_chest_wall_is_where_laterality_and_orientation_put_it(archive):
    if archive.spec.modality != "mammo":
        pytest.skip("a matter of mammograms")
    seen = Counter()
    for path in dicom_files(archive.out):
        ds = read(path)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            continue
        words = stored_words(ds).astype(np.float64)
        tissue_is_left = words[:, :20].mean() > words[:, -20:].mean()
        assert tissue_is_left == (ds.ImageLaterality == "L")
        assert ds.PatientOrientation[0] == ("A" if tissue_is_left else "P")
        seen[ds.ImageLaterality] += 1
    assert min(seen["L"], seen["R"]) > 3


def test_labels_are_the_only_table_and_cover_every_patient_once(archive):
    assert [path.name for path in archive.out.rglob("*.csv")] == ["labels.csv"]
    assert not list(archive.out.rglob("*.json"))
    groups = labels(archive.out)
    assert len(groups) == archive.spec.patients
    assert Counter(groups.values())["B"] == archive.spec.patients_b
    images = Counter(read(path).PatientID for path in dicom_files(archive.out))
    assert images == dict.fromkeys(groups, archive.spec.images_per_patient)


def test_every_convention_occurs_equally_often_in_both_groups(archive):
    groups = labels(archive.out)
    counts: dict[str, Counter] = {"A": Counter(), "B": Counter()}
    for path in dicom_files(archive.out):
        ds = read(path)
        counts[groups[ds.PatientID]][convention_of(ds)] += 1
    assert len(counts["A"]) == len(counts["B"]) == len(CONVENTIONS)
    for group in "AB":
        assert max(counts[group].values()) - min(counts[group].values()) <= archive.spec.images_per_patient


def test_the_conventions_cover_bits_polarity_voi_padding_rescale_and_syntax():
    def values(name: str) -> set[object]:
        return {getattr(convention, name) for convention in CONVENTIONS}

    assert values("bits_stored") == {12, 14, 16}
    assert values("photometric") == {"MONOCHROME1", "MONOCHROME2"}
    assert values("voi") == {"LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT", "NONE"}
    assert values("syntax") == {"explicit", "implicit", "jpeg_lossless", "jpeg_2000", "rle"}
    assert {convention.padding is None for convention in CONVENTIONS} == {True, False}
    assert {convention.rescale is None for convention in CONVENTIONS} == {True, False}
    assert len(values("vendor")) == 3


def test_file_names_hold_neither_group_nor_patient(archive):
    files = dicom_files(archive.out)
    groups = labels(archive.out)
    is_b = [groups[read(path).PatientID] == "B" for path in files]
    assert len({path.suffix for path in files}) > 2
    assert abs(np.corrcoef(np.arange(len(files)), is_b)[0, 1]) < 0.5
    assert not any(identity in str(path.relative_to(archive.out)) for path in files for identity in groups)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("first", 5), ("second", 5), ("third", 6)):
        make(tmp_path / name, PhantomSpec(**{**vars(SMALL), "seed": seed}))

    def content(name: str) -> dict[str, bytes]:
        root = tmp_path / name
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert content("first") == content("second")
    assert truth_path(tmp_path / "first").read_bytes() == truth_path(tmp_path / "second").read_bytes()
    assert set(content("first").values()).isdisjoint(content("third").values())


def test_strength_changes_pixels_of_group_b_and_nothing_else(archive, control):
    groups = labels(archive.out)
    assert labels(control.out) == groups
    for path in dicom_files(archive.out):
        ds, other = read(path), read(control.out / path.relative_to(archive.out))
        if groups[ds.PatientID] == "A":
            assert path.read_bytes() == (control.out / path.relative_to(archive.out)).read_bytes()
        else:
            assert not np.array_equal(stored_words(ds), stored_words(other))
            del ds.PixelData, other.PixelData
            assert ds == other


def test_the_truth_lies_beside_the_archive_and_holds_what_was_planted(archive):
    assert truth_path(archive.out).parent == archive.out.parent
    truth = json.loads(truth_path(archive.out).read_text())
    assert (truth["band"]["low"], truth["band"]["high"]) == archive.spec.band_cycles
    assert truth["spec"]["kind"] == "texture"
    assert truth["spec"]["seed"] == archive.spec.seed
    assert truth["ideal_auc"] == truth["ideal_observer"]["auc_patient"] > 0.99
    if archive.spec.modality == "mammo":  # the breast crop moves the band by 5 % at most
        assert truth["band"]["visible_height_share"]["smallest"] >= 0.95


def test_prevalence_is_rounded_to_whole_patients_with_one_in_each_group():
    assert PhantomSpec(patients=10, prevalence=0.3).patients_b == 3
    assert PhantomSpec(patients=10, prevalence=0.01).patients_b == 1
    assert PhantomSpec(patients=10, prevalence=0.99).patients_b == 9


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        make(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("keep")
    with pytest.raises(UsageError, match="is a file"):
        make(tmp_path / "out", SMALL)


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        make(tmp_path / "file" / "out", SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modality": "ct"}, "choose one of mammo, cxr"),
        ({"kind": "shape"}, "choose one of texture"),
        ({"patients": 1}, "at least 2"),
        ({"images_per_patient": 0}, "at least 1"),
        ({"size": (32, 512)}, "at least 64 pixels"),
        ({"size": (70000, 512)}, "65535 at most"),
        ({"size": (256, 320)}, "not wider than high"),
        ({"band_cycles": (40.0, 20.0)}, "0 < low < high <= 256"),
        ({"band_cycles": (20.0, 257.0)}, "0 < low < high <= 256"),
        ({"band_cycles": (0.0, 20.0)}, "0 < low < high"),
        ({"band_cycles": (0.1, 0.2)}, "no coefficient"),
        ({"strength": -1.0}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"strength": float("inf")}, "strength"),
        ({"patch": (0.1, 0.5, 0.1, 0.5)}, "kind texture has no region"),
        ({"kind": "patch", "patch": (0.5, 0.1, 0.1, 0.5)}, "0 <= top < bottom <= 1"),
        ({"kind": "patch", "patch": (0.1, 0.5, 0.6, 1.1)}, "0 <= left < right <= 1"),
        ({"kind": "patch", "patch": (0.1, 0.15, 0.1, 0.5)}, "waves of the band fit"),
        ({"confounders": (("weight", 0.7),)}, "choose one of density, age, scanner"),
        ({"confounders": (("age", 1.0),)}, "less than 1"),
        ({"confounders": (("age", 0.4),)}, "at least 0.5"),
        ({"confounders": (("age", float("nan")),)}, "at least 0.5"),
        ({"confounders": (("age", 0.6), ("age", 0.7))}, "given twice"),
        ({"prevalence": 0.0}, "between 0 and 1"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_expected(change, message):
    with pytest.raises(UsageError, match=message):
        PhantomSpec(**change)
