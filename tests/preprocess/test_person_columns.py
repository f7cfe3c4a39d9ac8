"""What a person has once is decided over all rows of the person, whatever the rows of the table are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastrace.dataset import Dataset
from fastrace.modality import get_modality
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess

WriteDicom = Callable[..., Path]
NOTE = "labels: column 'race': 1 of 2 patients have different recorded values; --policy"


def job(tmp_path: Path, write: WriteDicom, labels: str, **join: Any) -> Job:
    """Ann has three images, Bob one."""
    for number, patient in enumerate(("ann", "ann", "ann", "bob")):
        write(
            tmp_path / "src" / f"{number}.dcm", PatientID=patient, AccessionNumber=f"A{number}",
            StudyInstanceUID=f"1.2.{number}",
        )  # fmt: skip
    (tmp_path / "labels.csv").write_text("\n".join(labels.split()) + "\n")
    preset = get_modality("any")
    given = Join(labels=tmp_path / "labels.csv", **join)
    return Job((tmp_path / "src",), tmp_path / "out", Recipe.from_preset(preset, size=(16, 16)), preset, given)


@pytest.mark.parametrize(
    ("policy", "race"), [("consistent", "contradictory"), ("first", "Black"), ("last", "White"), ("majority", "White")]
)
@pytest.mark.parametrize("key", ["accession", "study_uid", "image"])
def test_race_is_a_persons(tmp_path: Path, write_dicom: WriteDicom, key: str, policy: Any, race: str) -> None:
    """Ann was Black in one study and White in two, without a word."""
    name = {"accession": "A{}", "study_uid": "1.2.{}", "image": "{}.dcm"}[key]
    rows = (f"{name.format(n)},{one}" for n, one in enumerate(("Black", "White", "White", "Asian")))
    given = job(tmp_path, write_dicom, f"{key},race " + " ".join(rows), policy=policy)
    summary = preprocess(given)
    index = Dataset.open(tmp_path / "out").index
    assert index["race"].tolist() == [race] * 3 + ["Asian"]
    assert index["race_recorded"].nunique() == 2
    for notes in (summary.notes, dry_run(given).notes):
        assert sum(note.startswith(NOTE) for note in notes) == 1


def test_an_answer_of_one_study_is_that_of_the_others(tmp_path: Path, write_dicom: WriteDicom) -> None:
    given = job(tmp_path, write_dicom, "accession,race,density A0,Unknown,a A1,White,b A2,,c A3,Asian,d")
    preprocess(given)
    index = Dataset.open(tmp_path / "out").index
    assert index["race"].tolist() == ["White"] * 3 + ["Asian"]
    assert index["density"].tolist() == ["a", "b", "c", "d"]  # of the study


def test_sex_is_a_persons_too(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for policy, sexes in (("consistent", [None] * 3), ("majority", ["F"] * 3)):
        folder = tmp_path / policy
        preprocess(job(folder, write_dicom, "accession,sex A0,M A1,F A2,F A3,M", policy=policy))
        found = Dataset.open(folder / "out").index["sex"].astype(object)
        assert found.where(found.notna(), None).tolist() == [*sexes, "M"]


def test_ids_that_a_file_makes_one_patient_are_decided_together(tmp_path: Path, write_dicom: WriteDicom) -> None:
    given = job(
        tmp_path, write_dicom, "accession,patient_id,race A0,ann,White A1,ann,White A2,ann,White A3,bob,Black",
        patient_from=str(tmp_path / "who.csv"),
    )  # fmt: skip
    (tmp_path / "who.csv").write_text("id,patient\nann,p\nbob,p\n")
    preprocess(given)
    assert Dataset.open(tmp_path / "out").index["race"].tolist() == ["contradictory"] * 4
