"""What a table reaches without images: a group that any smooth function of a number tells is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from planted import dataset_of_groups

from fastrace import api


def test_a_covariate_whose_middle_is_the_group_tells_it(cases: Path, tmp_path: Path) -> None:
    """cases/statistics/nonlinear_covariate: a straight line through bone age read the group at .52, "not shown"."""
    script = cases / "statistics" / "nonlinear_covariate" / "make.py"
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True)
    data = tmp_path / "data"
    made = api.preprocess(
        [tmp_path / "png"], data, modality="any", labels=tmp_path / "labels.csv", columns=("boneage",), size=(32, 32)
    )
    assert made.indexed == 300
    audit = api.audit(data, tmp_path / "audit", target="group", readers=(), only=("Q1",), permutations=199)
    (alone,) = (control for control in audit.controls if control.id == "covariates")
    (estimate,) = (one.estimate for one in alone.estimates)
    assert estimate.value > 0.98
    assert "discriminates between the groups; from boneage" in alone.sentence


def test_how_many_images_a_patient_has_is_part_of_the_acquisition(tmp_path: Path) -> None:
    """The mean of four images varies less than one image: a reader may see it where the images are alike."""
    images = {"A": 4, "B": 1}
    patients = [(group, k) for group in images for k in range(40) for _ in range(images[group])]
    groups = [group for group, _ in patients]
    made = dataset_of_groups(
        tmp_path / "made",
        groups=groups,
        size=(8, 8),
        strength=0.0,
        columns={
            "patient_key": [f"{100 * ord(group) + k:064x}" for group, k in patients],
            "age_years": [float(50 + k % 30) if group == "A" and k < 25 else np.nan for group, k in patients],
        },
    )
    audit = api.audit(made.path, tmp_path / "audit", target="group", readers=(), only=("A1",), permutations=99)
    control = {one.id: one for one in audit.controls}
    assert "The groups differ in how many images a patient has" in control["acquisition"].sentence
    assert next(one.estimate.value for one in control["acquisition"].estimates if one.name == "images_of_patient") == 1
    assert "age_years (known for less than 70 % of the patients of a group)" in control["covariates"].sentence
