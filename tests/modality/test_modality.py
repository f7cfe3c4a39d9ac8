"""The values by name: complete, cheap to list, and one new file adds one."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastrace
from fastrace.audit.experiments import experiments
from fastrace.errors import UsageError
from fastrace.modality import MODALITIES, get_modality

SHOULDER = '''"""Shoulder radiographs."""

from fastrace.modality import Modality, Published

MODALITY = Modality(
    name="shoulder",
    modalities=("DX",),
    views=(),
    size=(24, 16),
    backbone="resnet18",
    flip=False,
    paper_learning_rate=3e-4,
    phantom="mammo",
    paper={"C1a/lowpass:10": Published(".70", "a later study", 0.7)},
)
'''
ASK = """
import sys
from fastrace.modality import MODALITIES, get_modality
from fastrace.audit.experiments import experiments
from fastrace.phantom import stand_in
from fastrace.train.options import get_recipe
print(MODALITIES)
print(get_modality("shoulder").backbone, stand_in("shoulder"))
print({one.name: one.paper.text for one in experiments("shoulder", (64, 64)) if one.paper})
print(get_recipe("paper", "shoulder", "resnet18").learning_rate, get_recipe("current", "shoulder", "resnet18").flip)
"""


def run(tree: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(
        [sys.executable, *words], env=environment, cwd=tree, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", MODALITIES)
def test_a_file_holds_the_modality_of_its_name(name: str) -> None:
    found = get_modality(name)
    assert found.name == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.backbone = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", MODALITIES)
def test_every_published_number_stands_beside_an_experiment(name: str) -> None:
    found = get_modality(name)
    names = {one.name for one in experiments(name, (512, 512))}
    assert set(found.paper) | set(found.released_code) <= names


def test_a_name_without_a_file_is_refused_with_those_that_have_one() -> None:
    for name in ("lung", "_value", "os"):
        with pytest.raises(
            UsageError, match=f"--modality {name}: unknown; choose one of any, cspine, ct, cxr, hand, mammo"
        ):
            get_modality(name)


def test_listing_the_names_imports_no_value_and_nothing_heavy() -> None:
    code = "import sys, fastrace.modality; print(*sys.modules)"
    loaded = run(Path(fastrace.__file__).parents[1], "-c", code).split()
    assert "fastrace.modality._value" in loaded
    assert not {f"fastrace.modality.{name}" for name in MODALITIES} & set(loaded)
    assert not {"torch", "numpy", "pandas", "pydicom"} & set(loaded)


def test_one_new_file_adds_a_modality_everywhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(Path(fastrace.__file__).parent, tree / "fastrace", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "fastrace" / "modality" / "shoulder.py").write_text(SHOULDER)
    names, value, published, recipe = run(tree, "-c", ASK).splitlines()
    assert names == str(tuple(sorted([*MODALITIES, "shoulder"])))
    assert value == "resnet18 mammo"
    assert published == "{'C1a/lowpass:10': '.70'}"
    assert recipe == "0.0003 False"

    for command in ("preprocess", "train", "evaluate", "audit", "report"):
        assert "shoulder" in run(tree, "-m", "fastrace.cli", command, "--help")
    archive = tmp_path / "archive"
    archive.mkdir()
    Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(48, 32)).save(archive / "a.png")
    (tmp_path / "labels.csv").write_text("path,patient_id\na.png,p1\n")
    words = ["preprocess", str(archive), "--modality", "shoulder", "--labels", str(tmp_path / "labels.csv")]
    made = run(tree, "-m", "fastrace.cli", *words, "--out", str(tmp_path / "data"), "--jobs", "1")
    assert "1 indexed (1 patients), 0 rejected" in made
    assert np.load(tmp_path / "data" / "images-00000.npy").shape == (1, 24, 16)
