"""Notes on images: one cell for the index, one for the custodian, counts for the summary and the datasheet."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fastrace.dataset import Dataset
from fastrace.dicom.notes import KINDS, Note
from fastrace.modality import get_modality
from fastrace.preprocess.notes import counted, joined, lines
from fastrace.preprocess.recipe import Job, Recipe
from fastrace.preprocess.run import preprocess


def test_the_index_holds_kinds_and_the_custodian_texts() -> None:
    notes = (Note("signed", "read as signed"), Note("assumed", "taken as 1"), Note("assumed", "taken as 0"))
    assert joined(notes) == ("assumed,signed", "read as signed; taken as 1; taken as 0")
    assert joined(()) == (None, None)


def test_images_are_counted_once_a_kind() -> None:
    counts = counted(pd.Series(["assumed,signed", None, "signed"]))
    assert counts == {"assumed": 1, "signed": 2}
    assert [line.split(":")[0] for line in lines(counts)] == [
        "1 image with note assumed",
        "2 images with note signed",
    ]


def test_the_page_of_notes_lists_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notes.md").read_text()
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)) == KINDS


def test_notes_are_in_summary_index_datasheet_and_private_table(
    tmp_path: Path, write_dicom: Callable[..., Path]
) -> None:
    write_dicom(tmp_path / "src" / "a.dcm", PatientID="A", RescaleSlope=2)
    write_dicom(tmp_path / "src" / "b.dcm", PatientID="B")
    preset = get_modality("cxr")
    out = tmp_path / "out"
    summary = preprocess(Job((tmp_path / "src",), out, Recipe.from_preset(preset, size=(8, 8)), preset))
    assert lines({"assumed": 1})[0] in summary.notes
    dataset = Dataset.open(out)
    assert dataset.index["notes"].fillna("").tolist() == ["assumed", ""]
    assert dataset.meta["counts"]["notes"] == {"assumed": 1}
    assert f"| assumed | 1 | {KINDS['assumed']} |" in (out / "README.md").read_text()
    private = pd.read_parquet(tmp_path / "out.private" / "sources.parquet")
    assert private["notes"].fillna("").tolist() == ["Rescale Intercept (0028,1052) is missing, taken as 0", ""]
