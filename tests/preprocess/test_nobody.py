"""Patient IDs that name nobody: several persons under one of them are no patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastrace.dataset import Dataset
from fastrace.errors import DatasetError, UsageError
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.nobody import is_nobody
from fastrace.preprocess.recipe import Job, job_for
from fastrace.preprocess.run import preprocess

WriteDicom = Callable[..., Path]
NOBODY = (
    "UNKNOWN", "Unknown Patient", "Anonymous", "ANON", "ANON^ANON", "Anonimo", "De-identified", "REMOVED", "NONE", "N/A", "no id",
    "not available", "xxxxx", "-", "???", "unk",
)  # fmt: skip
SOMEBODY = (
    "NA",
    "ANON-0012",
    "Unknown 12",
    "0",
    "NI",
    "NP",
    "QS",
    "Blanco",
    "Anna",
    "P",
    "X",
    "patient",
    "no",
    "",
    None,
)


def test_what_is_nobody() -> None:
    assert [one for one in NOBODY if not is_nobody(one)] == []
    assert [one for one in SOMEBODY if is_nobody(one)] == []


def job(tmp_path: Path, **options: Any) -> Job:
    return job_for((tmp_path / "src",), tmp_path / "out", "any", size=(16, 16), jobs=1, **options)


def three(tmp_path: Path, write_dicom: WriteDicom, name: str, **same: Any) -> None:
    """Three persons under one id, and another one with an id of its own."""
    for n, sex in enumerate("MFM"):
        facts = {"PatientSex": sex, "PatientBirthDate": f"19{50 + n}0203", **same}
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=name, **facts)
    write_dicom(tmp_path / "src" / "3.dcm", PatientID="P3")


def test_persons_under_a_word_for_nobody_have_no_patient(tmp_path: Path, write_dicom: WriteDicom) -> None:
    three(tmp_path, write_dicom, "UNKNOWN")
    found = dry_run(job(tmp_path))
    assert (found.images, found.rejected) == (1, {"no_patient": 3})
    summary = preprocess(job(tmp_path))
    assert (summary.patients, summary.rejected) == (1, {"no_patient": 3})
    assert "no Patient ID (0010,0020) that names somebody" in summary.examples["no_patient"]


def test_a_table_of_patients_cannot_give_such_persons_one_label(tmp_path: Path, write_dicom: WriteDicom) -> None:
    three(tmp_path, write_dicom, "UNKNOWN")
    labels = tmp_path / "labels.csv"
    labels.write_text("patient_id,race\nUNKNOWN,A\nP3,B\n")
    summary = preprocess(job(tmp_path, labels=labels))
    assert (summary.indexed, summary.rejected) == (1, {"no_label": 3})


def test_a_table_of_images_names_the_patients_of_headers_that_name_nobody(
    tmp_path: Path, write_dicom: WriteDicom
) -> None:
    three(tmp_path, write_dicom, "ANONYMOUS")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,patient_id,race\n" + "".join(f"{n}.dcm,P{n},A\n" for n in range(4)))
    assert preprocess(job(tmp_path, labels=labels)).patients == 4


def test_a_file_of_persons_may_say_that_such_an_id_is_somebody(tmp_path: Path, write_dicom: WriteDicom) -> None:
    three(tmp_path, write_dicom, "ANON")
    persons = tmp_path / "persons.csv"
    persons.write_text("id,person\nANON,the volunteer\nP3,P3\n")
    assert preprocess(job(tmp_path, patient_from=str(persons))).patients == 2


@pytest.mark.parametrize("name", ["0000", "NA"])
def test_what_may_be_nobody_is_asked_about_where_it_is_several_persons(
    tmp_path: Path, write_dicom: WriteDicom, name: str
) -> None:
    three(tmp_path, write_dicom, name)
    with pytest.raises(UsageError, match=r"NA or nothing but zeros on files of different sexes or birth dates"):
        preprocess(job(tmp_path))
    assert len(dry_run(job(tmp_path)).questions) == 1
    persons = tmp_path / "persons.csv"
    persons.write_text(f"id,person\n{name},the volunteer\nP3,P3\n")
    assert preprocess(job(tmp_path, patient_from=str(persons))).patients == 2


def test_nothing_but_zeros_is_the_first_patient_of_a_numbered_archive(tmp_path: Path, write_dicom: WriteDicom) -> None:
    three(tmp_path, write_dicom, "0", PatientSex="F", PatientBirthDate="19500203")
    assert preprocess(job(tmp_path)).patients == 2
    assert len(Dataset.open(tmp_path / "out").index) == 4


def test_an_archive_of_nobody_is_no_dataset(tmp_path: Path, write_dicom: WriteDicom) -> None:
    write_dicom(tmp_path / "src" / "a.dcm", PatientID="Anonymous")
    with pytest.raises(DatasetError, match="names somebody"):
        preprocess(job(tmp_path))


def test_a_view_of_the_table_that_is_no_answer_is_none(tmp_path: Path, write_dicom: WriteDicom) -> None:
    write_dicom(tmp_path / "src" / "a.dcm", PatientID="P1", ViewPosition=None, PatientOrientation=None)
    (tmp_path / "labels.csv").write_text("image,view,race\na.dcm,unknown,A\n")
    preprocess(
        job_for((tmp_path / "src",), tmp_path / "out", "cxr", size=(16, 16), jobs=1, labels=tmp_path / "labels.csv")
    )
    assert Dataset.open(tmp_path / "out").index["view"].isna().all()
