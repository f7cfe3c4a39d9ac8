"""One row of a table of patients and two ids of headers that ``--match`` makes alike: one person's, or nobody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastrace.dataset import Dataset
from fastrace.errors import UsageError
from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess.summary import Summary

WriteDicom = Callable[..., Path]
ANN = {"PatientSex": "F", "PatientBirthDate": "19610203"}
JOHN = {"PatientSex": "M", "PatientBirthDate": "19990101"}


def job(tmp_path: Path, write: WriteDicom, match: str, rows: str, **headers: dict[str, Any]) -> Job:
    for number, (name, said) in enumerate(headers.items()):
        path = tmp_path / "src" / f"{number}.dcm"
        write(path, PatientID=name.removeprefix("_"), StudyInstanceUID=f"1.2.{number}", **said)
    (tmp_path / "labels.csv").write_text("\n".join(["MRN,race", *rows.split()]) + "\n")
    preset = get_modality("any")
    join = Join(labels=tmp_path / "labels.csv", match=(match,))
    return Job((tmp_path / "src",), tmp_path / "out", Recipe.from_preset(preset, size=(16, 16)), preset, join)


def nobody(summary: Summary) -> bool:
    line = "1 rows of the label table fit images of several patients: none of these images gets a label"
    return summary.rejected == {"ambiguous_patient": 2} and any(one.startswith(line) for one in summary.of_patients)


@pytest.mark.parametrize("source", [None, "header", "table"])
@pytest.mark.parametrize("other", [JOHN, {}, {"PatientSex": "F"}])
def test_a_row_is_nobodys_where_two_persons_are_alike(
    tmp_path: Path, write_dicom: WriteDicom, source: str | None, other: dict[str, str]
) -> None:
    """3 of another hospital got the race of 00003, or became that patient."""
    given = job(tmp_path, write_dicom, "zeros", "1,White 3,Black", _00001=ANN, _00003=ANN, _3=other)
    summary = preprocess(replace(given, join=replace(given.join, patient_from=source)))
    assert nobody(summary)
    assert Dataset.open(tmp_path / "out").index["race"].tolist() == ["White"]


def test_two_spellings_of_one_person_are_asked_about_and_the_answer_is_followed(
    tmp_path: Path, write_dicom: WriteDicom
) -> None:
    given = job(tmp_path, write_dicom, "case", "aB1,White AB2,Black", ab1=ANN, AB1=ANN, Ab2=JOHN)
    with pytest.raises(UsageError, match="1 ids of the table have several in the headers") as caught:
        preprocess(given)
    assert "3 pairs are written differently, 0 of them in more than --match ignores" in str(caught.value)
    assert str(caught.value).count("= header") == 1  # the others are no conflict
    summary = preprocess(replace(given, join=replace(given.join, patient_from="table")))
    assert (summary.patients, summary.rejected) == (2, {})
    assert Dataset.open(tmp_path / "out").index["race"].tolist() == ["White", "White", "Black"]
    by_header = replace(given, join=replace(given.join, patient_from="header"), out=tmp_path / "by header")
    assert nobody(preprocess(by_header))  # two patients cannot both be the one of the row


def test_a_file_says_whose_the_row_is(tmp_path: Path, write_dicom: WriteDicom) -> None:
    given = job(tmp_path, write_dicom, "zeros", "3,Black x,White", _00003=ANN, _3=JOHN)
    (tmp_path / "persons.csv").write_text("id,patient\n00003,3\n3,x\n")
    summary = preprocess(replace(given, join=replace(given.join, patient_from=str(tmp_path / "persons.csv"))))
    assert (summary.patients, summary.rejected) == (2, {})
    assert Dataset.open(tmp_path / "out").index["race"].tolist() == ["Black", "White"]
