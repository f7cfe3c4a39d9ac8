"""One SOP Instance UID in several files: copies are duplicates, rivals are all left out, damaged files are no rivals.

Rivals hold other pixels, or name another patient.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fastrace.dataset import Dataset
from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess.summary import Summary
from fastrace.verify import verify

WriteDicom = Callable[..., Path]
UID = "1.2.3.4.5"


def run(sources: tuple[Path, ...], out: Path, **options: Any) -> Summary:
    preset = get_modality("any")
    return preprocess(Job(sources, out, Recipe.from_preset(preset, size=(16, 16)), preset, **options))


def outcomes(out: Path) -> dict[str, tuple[str, str | None]]:
    table = pd.read_parquet(Path(f"{out}.private") / "sources.parquet")
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {Path(row["path"]).stem: (row["outcome"], row["reason"]) for row in rows}


def test_dup_cases_are_both_rejected_and_the_difference_named(cases: Path, tmp_path: Path) -> None:
    files = tuple(cases / "dicom" / "D2_px" / f"{name}.dcm" for name in ("dup1", "dup2_other_pixels", "base"))
    summary = run(files, tmp_path / "out")
    assert (summary.indexed, summary.inputs) == (1, 3)
    assert summary.rejected == {"duplicate_other_pixels": 2}
    assert "other pixels" in summary.examples["duplicate_other_pixels"]
    assert len(Dataset.open(tmp_path / "out").index) == 1
    assert verify(tmp_path / "out") == []


def test_the_sound_file_wins_over_its_cut_twin(cases: Path, tmp_path: Path) -> None:
    files = tuple(cases / "dicom" / f"jpll_{name}.dcm" for name in ("cut_eoi", "whole"))
    summary = run(files, tmp_path / "out")
    assert outcomes(tmp_path / "out") == {"jpll_cut_eoi": ("rejected", "truncated"), "jpll_whole": ("indexed", None)}
    assert summary.rejected == {"truncated": 1}


@pytest.mark.parametrize(("order", "rows_per_shard", "jobs"), [("abcd", 100, 1), ("bdca", 1, 2)])
def test_what_is_left_does_not_depend_on_order_shards_or_workers(
    tmp_path: Path, write_dicom: WriteDicom, order: str, rows_per_shard: int, jobs: int
) -> None:
    pixels = {
        letter: np.random.default_rng(seed).integers(0, 4096, (40, 30))
        for letter, seed in zip("abcd", (1, 2, 1, 3), strict=True)
    }
    for place, letter in enumerate(order):  # a and c are copies, b is their rival, d is another image
        uid = "9.8.7" if letter == "d" else UID
        write_dicom(tmp_path / "src" / f"{place}" / f"{letter}.dcm", pixels[letter], SOPInstanceUID=uid)
    out = tmp_path / "out"
    run((tmp_path / "src",), out, rows_per_shard=rows_per_shard, jobs=jobs)
    assert outcomes(out) == dict.fromkeys("abc", ("rejected", "duplicate_other_pixels")) | {"d": ("indexed", None)}
    assert verify(out) == []
    dataset = Dataset.open(out)
    shown = dataset.images([0])[0]
    assert shown.std() > 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert run((tmp_path / "src",), out, rows_per_shard=rows_per_shard).indexed == 1
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_the_same_image_stored_otherwise_is_a_copy(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """Bits that are no part of the value are lost when an image is compressed."""
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30))
    write_dicom(tmp_path / "a.dcm", pixels, SOPInstanceUID=UID)
    write_dicom(tmp_path / "b.dcm", pixels | 0x8000, SOPInstanceUID=UID)
    assert run((tmp_path / "a.dcm", tmp_path / "b.dcm"), tmp_path / "out").rejected == {"duplicate": 1}


def two_patients(folder: Path, write_dicom: WriteDicom, names: str) -> tuple[Path, ...]:
    """One image that was sent again under a corrected Patient ID, and one of somebody else."""
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30))
    for name, patient in zip(names, ("wrong", "right"), strict=True):
        write_dicom(folder / f"{name}.dcm", pixels, SOPInstanceUID=UID, PatientID=patient)
    write_dicom(folder / "other.dcm", SOPInstanceUID="9.8.7", PatientID="somebody")
    return (folder,)


@pytest.mark.parametrize(("names", "options"), [("ab", {}), ("ba", {"rows_per_shard": 1, "jobs": 2})])
def test_one_image_of_two_patients_is_used_for_neither(
    tmp_path: Path, write_dicom: WriteDicom, names: str, options: dict[str, Any]
) -> None:
    sources, out = two_patients(tmp_path / "src", write_dicom, names), tmp_path / "out"
    summary = run(sources, out, **options)
    assert outcomes(out) == dict.fromkeys("ab", ("rejected", "duplicate_other_patient")) | {"other": ("indexed", None)}
    assert "--patient-from FILE" in summary.examples["duplicate_other_patient"]
    assert verify(out) == []
    assert run(sources, out, **options).indexed == 1  # also when the parts of the first run are read


def test_one_image_of_two_ids_of_one_person_is_a_copy(tmp_path: Path, write_dicom: WriteDicom) -> None:
    persons = tmp_path / "persons.csv"
    persons.write_text("id,person\nwrong,1\nright,1\nsomebody,2\n")
    summary = run(
        two_patients(tmp_path / "src", write_dicom, "ab"), tmp_path / "out", join=Join(patient_from=str(persons))
    )
    assert (summary.indexed, summary.rejected) == (2, {"duplicate": 1})


def test_other_pixels_are_said_where_the_patients_differ_too(tmp_path: Path, write_dicom: WriteDicom) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30))
    for name, patient, one in (("a", "1", pixels), ("b", "2", pixels), ("c", "1", pixels[::-1])):
        write_dicom(tmp_path / "src" / f"{name}.dcm", one, SOPInstanceUID=UID, PatientID=patient)
    write_dicom(tmp_path / "src" / "d.dcm", SOPInstanceUID="9.8.7")
    assert run((tmp_path / "src",), tmp_path / "out").rejected == {"duplicate_other_pixels": 3}


def two_copies(folder: Path, write_dicom: WriteDicom, names: str, **of_each: tuple[Any, Any]) -> None:
    """One image in two folders, whose copies differ in some attributes; and another image."""
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30))
    for number, name in enumerate(names):
        changes = {keyword: both[number] for keyword, both in of_each.items()}
        write_dicom(folder / name / "1.dcm", pixels, SOPInstanceUID=UID, PatientID="A", **changes)
    write_dicom(folder / "m" / "2.dcm", SOPInstanceUID="9.8.7", PatientID="C")


@pytest.mark.parametrize("options", [{}, {"rows_per_shard": 1, "jobs": 2}])
def test_what_copies_do_not_agree_on_is_missing_whatever_their_folders_are_called(
    tmp_path: Path, write_dicom: WriteDicom, options: dict[str, Any]
) -> None:
    """Also the keys of hashes are one: the copies are one image."""
    salt = tmp_path / "salt"
    salt.write_bytes(bytes(range(32)))
    differ = {
        "PatientSex": ("F", "M"), "PatientAge": ("040Y", "060Y"), "ViewPosition": ("PA", "AP"), "ImageLaterality": ("L", "R"),
        "StudyInstanceUID": ("1.2.1", "1.2.2"), "RecognizableVisualFeatures": ("YES", "NO"), "KVP": (70, 70),
    }  # fmt: skip
    found = []
    for names in ("az", "za"):
        out = tmp_path / names / "out"
        two_copies(tmp_path / names / "src", write_dicom, names, **differ)
        for _ in range(2):  # the second time when the parts of the first run are read
            summary = run((tmp_path / names / "src",), out, salt=salt, **options)
        assert (summary.indexed, summary.rejected) == (2, {"duplicate": 1})
        assert verify(out) == []
        index = Dataset.open(out).index.drop(columns=["shard", "row"])
        found.append(index[index["notes"].notna()].reset_index(drop=True))
        assert json.loads((out / "dataset.json").read_text())["counts"]["recognizable"] == 1
    pd.testing.assert_frame_equal(*found)
    [row] = found[0].to_dict("records")
    assert row["notes"] == "contradiction"
    assert all(pd.isna(row[name]) for name in ("sex", "view", "laterality", "age_years"))
    assert row["kvp"] == 70


def test_copies_that_are_shown_otherwise_are_not_used(tmp_path: Path, write_dicom: WriteDicom) -> None:
    two_copies(tmp_path / "src", write_dicom, "ab", WindowCenter=(2048, 500), WindowWidth=(4096, 500))
    summary = run((tmp_path / "src",), tmp_path / "out")
    assert (summary.indexed, summary.rejected) == (1, {"duplicate_other_pixels": 2})
    assert "another window or size" in summary.examples["duplicate_other_pixels"]


@pytest.mark.parametrize("names", ["az", "za"])
@pytest.mark.parametrize(("labels", "used"), [(("pos", "neg"), False), (("pos", "pos"), True)])
def test_copies_with_different_labels_are_not_used(
    tmp_path: Path, write_dicom: WriteDicom, names: str, labels: tuple[str, str], used: bool
) -> None:
    two_copies(tmp_path / "src", write_dicom, names)
    rows = "".join(f"{name}/1.dcm,{label}\n" for name, label in zip(names, labels, strict=True))
    (tmp_path / "labels.csv").write_text(f"path,label\n{rows}m/2.dcm,neg\n")
    summary = run((tmp_path / "src",), tmp_path / "out", join=Join(labels=tmp_path / "labels.csv"))
    assert summary.rejected == ({"duplicate": 1} if used else {"ambiguous_label": 2})
    index = Dataset.open(tmp_path / "out").index
    assert sorted(index["label"]) == (["neg", "pos"] if used else ["neg"])
    assert used or "copies of this image" in summary.examples["ambiguous_label"]
