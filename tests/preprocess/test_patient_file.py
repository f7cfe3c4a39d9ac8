"""``--patient-from FILE`` says who an id of the headers is: for the patients, for the rows of the table and for its policy."""

from __future__ import annotations

from collections.abc import Callable
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


def run(tmp_path: Path, write: WriteDicom, file: str, labels: str, headers: str, **join: Any) -> Summary:
    """``file`` and ``labels`` are lines with spaces between them, ``headers`` ids: the sex of each image tells its number."""
    for number, name in enumerate(headers.split()):
        one, _, issuer = name.partition("@")
        write(
            tmp_path / "src" / f"{number}.dcm", PatientID=one, IssuerOfPatientID=issuer or None, AccessionNumber=str(number),
            StudyInstanceUID=f"1.2.{number}",
        )  # fmt: skip
    for name, lines in (("persons.csv", file), ("labels.csv", labels)):
        (tmp_path / name).write_text("\n".join(lines.split()) + "\n")
    preset = get_modality("any")
    join = {"labels": tmp_path / "labels.csv", "patient_from": str(tmp_path / "persons.csv"), **join}
    recipe = Recipe.from_preset(preset, size=(16, 16))
    return preprocess(Job((tmp_path / "src",), tmp_path / "out", recipe, preset, Join(**join)))


def races(tmp_path: Path) -> list[str]:
    return Dataset.open(tmp_path / "out").index["race"].tolist()


@pytest.mark.parametrize("file", ["id,patient U0,P0 U1,U0 U2,U2", "id,issuer,patient U0,,P0 U1,,U0 U2,,U2"])
def test_the_table_is_joined_by_the_patient_of_the_file(tmp_path: Path, write_dicom: WriteDicom, file: str) -> None:
    """P0, whose header says U0, got the race of the patient U0."""
    summary = run(tmp_path, write_dicom, file, "patient_id,race U0,White P0,Black U2,Asian", "U0 U1 U2")
    assert races(tmp_path) == ["Black", "White", "Asian"]
    assert (summary.patients, summary.rejected) == (3, {})


def test_ids_that_the_file_does_not_name_stay_what_they_are(tmp_path: Path, write_dicom: WriteDicom) -> None:
    summary = run(tmp_path, write_dicom, "id,patient old,new", "patient_id,race new,White b,Black", "old new b")
    assert races(tmp_path) == ["White", "White", "Black"]
    assert summary.patients == 2
    assert "2 of 3 Patient IDs are not in the file of --patient-from, and stay what they are" in summary.of_patients


def test_a_file_that_names_no_id_of_the_headers_is_asked_about(tmp_path: Path, write_dicom: WriteDicom) -> None:
    with pytest.raises(UsageError, match="names none of 2 Patient IDs of the headers: is it the right file"):
        run(tmp_path, write_dicom, "patient,id p,a q,b", "patient_id,race a,White b,Black", "a b")


def test_an_issuer_is_asked_about_where_the_file_does_not_name_the_id(tmp_path: Path, write_dicom: WriteDicom) -> None:
    with pytest.raises(UsageError, match=r"1 Patient IDs .* on 2 files have several issuers"):
        run(tmp_path, write_dicom, "id,patient a,p", "patient_id,race p,White 1,Black", "a@A a@B 1@A 1@B")


@pytest.mark.parametrize(
    ("policy", "race"), [("consistent", "contradictory"), ("first", "White"), ("last", "Black"), ("majority", "Black")]
)
def test_what_the_table_says_of_the_ids_of_one_patient_is_decided_together(
    tmp_path: Path, write_dicom: WriteDicom, policy: str, race: str
) -> None:
    labels = "patient_id,race K,White K-old,Black K-older,Black b,Asian"
    file = "id,patient K,K K-old,K K-older,K b,b"
    summary = run(tmp_path, write_dicom, file, labels, "K K-old K-older b", policy=policy)
    assert races(tmp_path) == [race] * 3 + ["Asian"]
    assert any("'race': 1 of 2 patients have different recorded values" in note for note in summary.notes)
    assert set(Dataset.open(tmp_path / "out").index["race_recorded"].iloc[:3]) == {"2,1,1"}
