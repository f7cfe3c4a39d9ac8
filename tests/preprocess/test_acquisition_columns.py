"""What the header says of the acquisition reaches the index, the datasheet and the counts; dates and institutions do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fastrace.errors import DatasetError
from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Job, Recipe
from fastrace.preprocess.run import preprocess


def job(archive: Path, out: Path) -> Job:
    preset = get_modality("cxr")
    return Job(sources=(archive,), out=out, recipe=Recipe.from_preset(preset, size=(16, 16)), preset=preset)


@pytest.fixture
def archive(tmp_path: Path, write_dicom: Callable[..., Path]) -> Path:
    """Two patients with two studies each; one date is missing, one model is one patient's alone."""
    for n, (patient, date, model) in enumerate(
        [
            ("MRN1", "20190521", "Clear 4"),
            ("MRN1", "20180521", "Clear 4"),
            ("MRN2", "20200101", "Clear 4"),
            ("MRN2", None, "Odd"),
        ]
    ):
        write_dicom(
            tmp_path / "archive" / str(n), PatientID=patient, StudyInstanceUID=f"1.2.3.{n}", StudyDate=date, KVP="120",
            XRayTubeCurrent=200, ExposureTime=5, ManufacturerModelName=model,
            InstitutionName=" Lumen  HOUSE" if n else "Lumen House",
            EthnicGroup="x" if n == 0 else None, ImagerPixelSpacing=[0.2, 0.1], Grid="NONE",
        )  # fmt: skip
    return tmp_path / "archive"


def test_the_index_the_counts_and_the_datasheet_hold_the_acquisition(archive: Path, tmp_path: Path) -> None:
    summary = preprocess(job(archive, tmp_path / "out"))
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert index["days_since_first_study"].tolist()[:3] == [365, 0, 0]
    assert index["days_since_first_study"].isna().tolist() == [False, False, False, True]
    assert set(index["tube_current_ma"]) == {200}
    assert set(index["exposure_time_ms"]) == {5}
    assert set(index["exposure_mas"]) == {1}
    assert set(index["window_center"]) == {2048}
    assert set(index["window_width"]) == {4096}
    assert set(index["row_spacing_mm"]) == {0.2}
    assert set(index["column_spacing_mm"]) == {0.1}
    assert index["institution_key"].nunique() == 1
    assert index["institution_key"].str.fullmatch("[0-9a-f]{32}").all()
    assert set(index["grid"]) == {"NONE"}
    assert index["model"].fillna("").tolist() == ["Clear 4"] * 3 + [""]
    assert summary.withheld == {"model": {"rare": 1}}
    assert summary.ethnic_group == 1
    counts = json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"]
    assert (counts["acquisition"]["kvp"], counts["acquisition"]["model"], counts["ethnic_group"]) == (4, 3, 1)
    sheet = (tmp_path / "out" / "README.md").read_text()
    assert "| `tube_current_ma` | 4 |" in sheet
    assert "| `model` | 1 | fewer than 2 patients have it |" in sheet
    assert "Odd" not in sheet
    assert "2019" not in sheet


def test_a_dataset_of_another_schema_is_not_continued(archive: Path, tmp_path: Path) -> None:
    preprocess(job(archive, tmp_path / "out"))
    state = tmp_path / "out.private" / "state.json"
    before = json.loads(state.read_text())
    state.write_text(json.dumps({name: value for name, value in before.items() if name != "schema"}))
    with pytest.raises(DatasetError, match="schema before 3, this one writes 3; choose another --out"):
        preprocess(job(archive, tmp_path / "out"))
