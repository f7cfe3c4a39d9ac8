"""From headers and a table to patients: what is asked before anything is written, by the run and by the dry run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset as PydicomDataset

from fastrace.cli.main import main
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError, UsageError
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


def test_one_id_of_two_hospitals_that_only_qualifiers_tell_apart(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for n in (1, 2):
        qualifier = PydicomDataset()
        qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = f"1.2.3.{n}", "ISO"
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID="1001", IssuerOfPatientIDQualifiersSequence=[qualifier])
    with pytest.raises(UsageError, match=r"1 Patient IDs .* have several issuers"):
        preprocess(job(tmp_path))
    persons = table(tmp_path / "persons.csv", "id,issuer,person", "1001,&1.2.3.1&ISO,ann", "1001,&1.2.3.2&ISO,john")
    assert preprocess(job(tmp_path, patient_from=str(persons))).patients == 2


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


def persons_under_fresh_ids(tmp_path: Path, write_dicom: WriteDicom, column: str) -> Path:
    """Three images each of twelve persons; every header has an id of its own, and a column of the table knows the person."""
    rows = []
    for n in range(36):
        write_dicom(tmp_path / "src" / f"{n:02}.dcm", PatientID=f"fresh-{n}", StudyInstanceUID=f"1.2.3.{n}")
        rows.append(f"{n:02}.dcm,person {n // 3},{'AB'[n // 3 % 2]}")
    return table(tmp_path / "labels.csv", f"path,{column},race", *rows)


@pytest.mark.parametrize("column", ["participant_id", "Kennung der Person"])
def test_persons_are_not_split_whatever_the_column_of_patients_is_called(
    tmp_path: Path, write_dicom: WriteDicom, column: str
) -> None:
    labels = persons_under_fresh_ids(tmp_path, write_dicom, column)
    with pytest.raises(UsageError, match=r"36.*--patient-from header") as caught:
        preprocess(job(tmp_path, labels=labels))
    assert not (tmp_path / "out").exists()
    assert not re.search(r"fresh|person \d", str(caught.value))
    assert len(dry_run(job(tmp_path, labels=labels)).questions) == 1
    key = () if column == "participant_id" else ("path=path", f"patient={column}")
    if key:  # the remedy, as it is written there
        assert "--key path=path --key 'patient=Kennung der Person' --patient-from table" in str(caught.value)
    assert preprocess(job(tmp_path, labels=labels, key=key, patient_from="table")).patients == 12
    by_header = preprocess(replace(job(tmp_path, labels=labels, patient_from="header"), out=tmp_path / "by header"))
    assert by_header.patients == 36


def test_a_dry_run_says_of_the_table_what_the_run_says(
    tmp_path: Path, write_dicom: WriteDicom, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("P1", "P2", "P3"):
        write_dicom(tmp_path / "src" / f"{name}.dcm", PatientID=name)
    labels = table(tmp_path / "labels.csv", "patient_id,race,note", "P1,A,x", "p2,Unknown,y", "p3,B,z", "p3,A,z")
    found = dry_run(job(tmp_path, labels=labels))
    assert (found.images, found.rejected) == (1, {"no_label": 2})
    summary = preprocess(job(tmp_path, labels=labels))
    assert summary.rejected == found.rejected
    assert [re.sub(", with another --out.*", "", note) for note in summary.notes] == found.notes
    assert found.notes[-1] == "labels: 3 of 3 images would match if upper and lower case were ignored: add --match case"
    assert any("columns not kept: note" in note for note in found.notes)
    words = [
        "preprocess",
        str(tmp_path / "src"),
        "--modality",
        "any",
        "--labels",
        str(labels),
        "--dry-run",
        "--jobs",
        "1",
    ]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert all(note in printed for note in found.notes)


def test_a_dry_run_ends_as_the_run_where_something_has_to_be_answered(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cases / "tables" / "L8_cbis"
    words = ["preprocess", str(folder / "src"), "--out", str(tmp_path / "out"), "--modality", "any", "--jobs", "1"]
    words += ["--labels", str(folder / "labels.csv"), "--dry-run"]
    for more, code in (((), 2), (("--patient-from", "table"), 0)):
        with pytest.raises(SystemExit) as stop:
            main([*words, *more])
        assert int(stop.value.code or 0) == code
        printed = capsys.readouterr().out
        assert printed.startswith("the run would stop and ask: ") is (code == 2)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_images_that_have_no_patient(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for n, name in enumerate(("P1", "")):
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=name)
    found = dry_run(job(tmp_path))
    assert (found.images, found.rejected) == (1, {"no_patient": 1}) == (1, preprocess(job(tmp_path)).rejected)


def test_tables_in_the_archive_are_no_inputs(tmp_path: Path, write_dicom: WriteDicom) -> None:
    write_dicom(tmp_path / "src" / "a.dcm", PatientID="P1")
    labels = table(tmp_path / "src" / "labels.csv", "patient_id,race", "P1,white")
    categories = table(tmp_path / "src" / "map.txt", "white = W")
    persons = table(tmp_path / "src" / "persons.csv", "id,person", "P1,P1")
    given = job(tmp_path, labels=labels, categories=categories, patient_from=str(persons))
    for sources in (given.sources, (Path(f"{tmp_path}/src/../src"),)):
        summary = preprocess(replace(given, sources=sources, out=tmp_path / f"out {len(str(sources))}"))
        assert (summary.files, summary.rejected) == (1, {})


def test_ids_that_lost_digits_join_nobody_and_the_error_says_so(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """Three persons once shared one row, with the label of two of them."""
    for n in range(3):
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=f"123000000000{n}")
    labels = table(tmp_path / "labels.csv", "patient_id,race", "1.23E+12,A", "1.23E+12,A", "1.23E+12,B")
    for match in ((), ("exponent",)):
        given = job(tmp_path, labels=labels, match=match, policy="majority")
        with pytest.raises(
            DatasetError, match=r"no_label 3.*lost digits in a spreadsheet .*export it again as text"
        ) as caught:
            preprocess(given)
        assert "--patient-pattern" not in str(caught.value)
        found = dry_run(given)
        assert (found.images, found.rejected) == (0, {"no_label": 3})
        assert any("3 cells are numbers in scientific notation that lost digits" in note for note in found.notes)


@pytest.mark.parametrize("key", ["accession", "study_uid"])
@pytest.mark.parametrize("column", [False, True])
def test_a_row_of_two_patients_labels_neither(
    tmp_path: Path, write_dicom: WriteDicom, key: str, *, column: bool
) -> None:
    """One accession number of two hospitals gave both patients the race of one."""
    for name, patient, number in (("a", "A", "1"), ("b", "B", "1"), ("c", "C", "2"), ("d", "C", "2")):
        ids = {"PatientID": patient, "AccessionNumber": number, "StudyInstanceUID": number}
        write_dicom(tmp_path / "src" / f"{name}.dcm", **ids)
    rows = ("1,,Black", "2,C,White") if column else ("1,Black", "2,White")
    labels = table(tmp_path / "labels.csv", f"{key},patient_id,race" if column else f"{key},race", *rows)
    asked = job(tmp_path, labels=labels)
    line = "1 rows of the label table fit images of several patients: none of these images gets a label (ambiguous_patient)"
    assert line in dry_run(asked).of_patients
    summary = preprocess(asked)
    assert line in summary.of_patients
    assert summary.rejected == {"ambiguous_patient": 2}
    assert "fits images of several patients" in summary.examples["ambiguous_patient"]
    assert Dataset.open(tmp_path / "out").index["race"].tolist() == ["White", "White"]
    assert summary.rows_without_images == 0


def test_a_row_of_two_ids_of_one_person_labels_both(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for patient in "AB":
        write_dicom(tmp_path / "src" / f"{patient}.dcm", PatientID=patient, AccessionNumber="1")
    persons = table(tmp_path / "persons.csv", "id,person", "A,ann", "B,ann")
    labels = table(tmp_path / "labels.csv", "accession,race", "1,Black")
    summary = preprocess(job(tmp_path, patient_from=str(persons), labels=labels))
    assert (summary.indexed, summary.rejected) == (2, {})
