"""From headers and a table to patients: what is asked before anything is written, by the run and by the dry run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastrace.dataset import Dataset
from fastrace.errors import UsageError
from fastrace.modality import get_modality
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess

WriteDicom = Callable[..., Path]


def job(tmp_path: Path, **join: Any) -> Job:
    preset = get_modality("any")
    recipe = Recipe.from_preset(preset, size=(16, 16))
    return Job((tmp_path / "src",), tmp_path / "out", recipe, preset, Join(**join))


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def two_hospitals(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for name, sex, born in (("HOSP_A", "F", "19500101"), ("HOSP_B", "M", "19900101")):
        write_dicom(
            tmp_path / "src" / f"{name}.dcm", PatientID="1001", IssuerOfPatientID=name, PatientSex=sex,
            PatientBirthDate=born,
        )  # fmt: skip


def test_one_id_of_two_hospitals_is_asked_before_anything_is_written(tmp_path: Path, write_dicom: WriteDicom) -> None:
    two_hospitals(tmp_path, write_dicom)
    with pytest.raises(UsageError, match=r"1 Patient IDs .* have several issuers") as caught:
        preprocess(job(tmp_path))
    assert not (tmp_path / "out").exists()
    assert "1001" not in str(caught.value).replace(str(tmp_path), "")
    (question,) = dry_run(job(tmp_path)).questions
    assert "have several issuers" in question


def test_the_answer_tells_the_persons_apart_and_each_has_the_row_of_its_own_name(
    tmp_path: Path, write_dicom: WriteDicom
) -> None:
    two_hospitals(tmp_path, write_dicom)
    persons = table(tmp_path / "persons.csv", "id,issuer,person", "1001,HOSP_A,ann", "1001,HOSP_B,john")
    labels = table(tmp_path / "labels.csv", "patient_id,race", "ann,A", "john,B")
    summary = preprocess(job(tmp_path, patient_from=str(persons), labels=labels))
    index = Dataset.open(tmp_path / "out").index
    assert summary.patients == 2
    assert sorted(zip(index["sex"], index["race"], strict=True)) == [("F", "A"), ("M", "B")]


def test_that_they_are_one_person_is_believed_and_counted(tmp_path: Path, write_dicom: WriteDicom) -> None:
    two_hospitals(tmp_path, write_dicom)
    persons = table(tmp_path / "persons.csv", "id,person", "1001,ann")
    summary = preprocess(job(tmp_path, patient_from=str(persons)))
    lines = (
        "1 Patient IDs have headers with different birth dates or sexes: is each one person?",
        "1 Patient IDs have several issuers (Issuer of Patient ID (0010,0021)): who they are is as --patient-from says",
    )
    assert summary.of_patients[1:] == list(lines)
    counts = json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"]["persons"]
    assert (counts["other_birth_or_sex"], counts["several_issuers"]) == (1, 1)
    sheet = (tmp_path / "out" / "README.md").read_text()
    assert all(f"- {line}\n" in sheet for line in lines)
    assert "1950" not in sheet + json.dumps(counts)


def test_a_table_that_contradicts_most_headers_is_asked_about(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for n in range(10):
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=f"P-{n}", PatientSex="F", PatientAge="030Y")
    labels = table(tmp_path / "labels.csv", "image,race,sex,age", *(f"{n}.dcm,White,M,71" for n in range(10)))
    with pytest.raises(UsageError, match=r"sex of 10 of 10 patients, age of 10 of 10 patients .*--sex-and-age-from"):
        preprocess(job(tmp_path, labels=labels))
    (question,) = dry_run(job(tmp_path, labels=labels)).questions
    assert "is it the table of this archive?" in question
    summary = preprocess(job(tmp_path, labels=labels, sex_and_age_from="table"))
    assert summary.of_patients[-1].endswith("differs between header and table: the table's is kept")
    index = Dataset.open(tmp_path / "out").index
    assert (set(index["sex"]), set(index["age_years"])) == ({"M"}, {71.0})


def test_ids_are_compared_whole(tmp_path: Path, write_dicom: WriteDicom) -> None:
    common = "SITE-HAMBURG-EPPENDORF-RESEARCH-PSEUDONYM-2021-VERSION-02-SUBJECT-"
    for n in (1, 2):
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=f"{common}000{n}")
    assert preprocess(job(tmp_path)).patients == 2
