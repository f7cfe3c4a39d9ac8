"""Studies and pixels of several patients are counted and said, also in the datasheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess

WriteDicom = Callable[..., Path]
NOTHING = "Nothing in headers and table says that a patient is not one person."
ONE = "if that is one person, --patient-from FILE with another --out"


@pytest.mark.parametrize("rows_per_shard", [1, 100])
def test_what_several_patients_have_is_said(tmp_path: Path, write_dicom: WriteDicom, rows_per_shard: int) -> None:
    """Two studies under K and K-old; M's image is also under N, with another label; P's under Q, with the same."""
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30))
    for n, (patient, study) in enumerate((("K", 1), ("K-old", 1), ("K", 2), ("K-old", 2), ("K", 3))):
        write_dicom(tmp_path / "src" / f"{n}.dcm", PatientID=patient, StudyInstanceUID=f"1.2.{study}")
    for n, patient in enumerate("MMNPP", 5):
        same = pixels if patient != "P" else pixels[::-1]
        write_dicom(tmp_path / "src" / f"{n}.dcm", same, PatientID=patient, StudyInstanceUID=f"1.2.{n}")
    write_dicom(tmp_path / "src" / "q.dcm", pixels[::-1], PatientID="Q", StudyInstanceUID="1.2.99")
    (tmp_path / "labels.csv").write_text("patient_id,race\nK,A\nK-old,B\nM,A\nN,B\nP,A\nQ,A\n")
    preset = get_modality("any")
    join = Join(labels=tmp_path / "labels.csv")
    recipe = Recipe.from_preset(preset, size=(16, 16))
    given = Job((tmp_path / "src",), tmp_path / "out", recipe, preset, join, rows_per_shard=rows_per_shard)
    summary = preprocess(given)
    lines = [
        f"2 studies have images of several patients, though a study is of one (PS3.3 A.1.2): {ONE}",
        f"2 images are those of several patients, pixel by pixel, 1 of them with different labels: {ONE}",
    ]
    assert summary.of_patients[1:] == lines
    sheet = (tmp_path / "out" / "README.md").read_text()
    assert all(f"- {line}\n" in sheet for line in lines)
    assert NOTHING not in sheet
    counts = json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"]["persons"]
    assert [counts[name] for name in counts if name.startswith("shared_")] == [0, 2, 2, 1]


def test_nothing_is_said_of_patients_who_share_nothing(tmp_path: Path, write_dicom: WriteDicom) -> None:
    for n in range(3):  # two of one patient and study, one without a study
        said = {"PatientID": f"{n // 2}", "StudyInstanceUID": None if n == 2 else "1.2"}
        write_dicom(tmp_path / "src" / f"{n}.dcm", **said)
    preset = get_modality("any")
    given = Job((tmp_path / "src",), tmp_path / "out", Recipe.from_preset(preset, size=(16, 16)), preset)
    assert len(preprocess(given).of_patients) == 1
    assert NOTHING in (tmp_path / "out" / "README.md").read_text()
