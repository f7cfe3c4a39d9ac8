"""The audit of real chest radiographs: it completes, and does not claim what 24 women cannot show."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from test_audit_cli import call

from fastrace.dataset import Dataset


@pytest.mark.slow
def test_the_real_chest_radiographs_are_audited_and_marked_as_not_enough(test_data: Path, tmp_path: Path) -> None:
    source, data, out = test_data / "chest", tmp_path / "data", tmp_path / "audit"
    words = [source / "png", "--out", data, "--modality", "cxr", "--size", "64x64", "--labels", source / "data.csv"]
    done = call(*words, "--jobs", "1", "--json", command="preprocess")
    assert done.exit_code == 0, done.stderr
    index = Dataset.open(data).index
    women = index[index["sex"] == "F"]["patient_key"].nunique()
    men = index[index["sex"] == "M"]["patient_key"].nunique()
    assert (women, men) == (24, 47)
    done = call(data, "--target", "sex", "--out", out, "--readers", "none", "--permutations", "99", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "complete"
    assert [(one["name"], one["patients"]) for one in found["classes"]] == [("F", 24), ("M", 47)]
    cells = found["cells"]
    assert {cell["estimate"]["status"] for cell in cells} == {"not enough evidence"}
    assert not any(cell["finding"] for cell in cells)
    assert [one["mark"] for one in found["questions"][:2] if one["mark"] != "no conclusion"] in (
        ["not enough evidence"] * 2, []
    )  # fmt: skip
    assert found["location"]["found"] is None
    assert any("not evidence" in limit for limit in found["limits"])
    estimate = found["cells"][0]["estimate"]
    assert estimate["high"] - estimate["low"] > 0.15
    assert not math.isnan(estimate["value"])
    permuted = next(one for one in found["controls"] if one["id"] == "shuffled")
    assert permuted["status"] == "ok"
