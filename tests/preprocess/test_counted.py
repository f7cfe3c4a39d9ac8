"""What images in a dataset say of themselves, and what they leave open, is counted where a custodian reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastrace.dataset import Dataset
from fastrace.preprocess.recipe import job_for
from fastrace.preprocess.run import preprocess

WriteDicom = Callable[..., Path]


def test_burned_in_text_and_faces_are_counted_and_kept(tmp_path: Path, write_dicom: WriteDicom) -> None:
    found: tuple[dict[str, Any], ...] = (
        {"BurnedInAnnotation": "YES", "ViewPosition": None},
        {"BurnedInAnnotation": "NO", "ViewPosition": None},
        {"BurnedInAnnotation": "YES", "ViewPosition": "PA"},
        {"RecognizableVisualFeatures": "YES", "ViewPosition": None, "PatientOrientation": ["L", "F"]},  # frontal
    )
    for number, attributes in enumerate(found):
        write_dicom(tmp_path / "archive" / str(number), BodyPartExamined="CHEST", **attributes)
    summary = preprocess(job_for((tmp_path / "archive",), tmp_path / "out", "cxr", size=(16, 16), jobs=1))
    assert (summary.indexed, summary.rejected) == (4, {})
    assert summary.notes == [
        "2 images state no view: kept, since --modality is cxr",
        "2 images say that text is burned in (Burned In Annotation (0028,0301) YES): the text may name somebody; look at the "
        "contact sheet",
        "1 image says that somebody may be recognised (Recognizable Visual Features (0028,0302) YES)",
    ]
    dataset = Dataset.open(tmp_path / "out")
    assert (dataset.meta["counts"]["burned_in"], dataset.meta["counts"]["recognizable"]) == (2, 1)
    assert int(dataset.index["burned_in"].eq(True).sum()) == 2
    assert "recognizable" not in dataset.index
    sheet = (tmp_path / "out" / "README.md").read_text()
    assert "2 images say that text is burned into their pixels" in sheet
