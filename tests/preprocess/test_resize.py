"""`fastrace preprocess --resize`: the pixels of the other kernel, recorded in the dataset; area stays what it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastrace.cli.main import main
from fastrace.dataset import Dataset
from fastrace.dicom import open_frames
from fastrace.kernels.window import Box
from fastrace.kernels.window.reference import display_values
from fastrace.preprocess.geometry import place
from fastrace.verify import verify

SIZE = (96, 80)


def preprocess(source: Path, out: Path, *options: str) -> int:
    words = ["preprocess", str(source), "--out", str(out), "--modality", "any", "--size", f"{SIZE[0]}x{SIZE[1]}"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--jobs", "1", *options])
    return int(stop.value.code or 0)


@pytest.fixture
def archive(test_data: Path, tmp_path: Path) -> Path:
    """A real radiograph."""
    folder = tmp_path / "archive"
    folder.mkdir()
    shutil.copy(test_data / "dicom" / "dx_image.dcm", folder)
    return folder


@pytest.mark.slow
def test_lanczos_pixels_are_those_of_pillow_and_the_dataset_records_it(archive: Path, tmp_path: Path) -> None:
    assert preprocess(archive, tmp_path / "out", "--resize", "lanczos") == 0
    frame = open_frames(archive / "dx_image.dcm").frame(0)
    display = display_values(frame.pixels, frame.transfer)
    _, box = place(Box(0, 0, *display.shape), SIZE, "pad")
    theirs = np.zeros(SIZE)
    small = Image.fromarray(display.astype(np.float32)).resize((box.width, box.height), Image.Resampling.LANCZOS)
    theirs[box.top : box.top + box.height, box.left : box.left + box.width] = np.asarray(small).clip(0, 1)

    dataset = Dataset.open(tmp_path / "out")
    pixels = dataset.images([0])[0].astype(float)
    assert np.abs(pixels - theirs * 65535).max() <= 0.5 + 0.1  # both err by 1e-6 of display at most
    assert dataset.meta["recipe"]["resize"] == "lanczos"
    assert "resize by lanczos" in (tmp_path / "out" / "README.md").read_text()
    assert verify(tmp_path / "out") == []


@pytest.mark.slow
def test_area_is_the_default_and_lanczos_another_dataset(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    salt = tmp_path / "salt"
    salt.write_bytes(bytes(range(32)))
    runs = {"default": (), "area": ("--resize", "area"), "lanczos": ("--resize", "lanczos")}
    for name, options in runs.items():
        assert preprocess(archive, tmp_path / name, "--salt", str(salt), *options) == 0
    default, area, other = (Dataset.open(tmp_path / name) for name in runs)
    assert default.fingerprint == area.fingerprint != other.fingerprint
    assert json.loads((tmp_path / "default" / "dataset.json").read_text())["recipe"]["resize"] == "area"
    difference = np.abs(default.images([0]).astype(int) - other.images([0]).astype(int))
    assert 65 < difference.max() < 32768  # another kernel on the same picture
    assert difference.mean() < 655

    assert preprocess(archive, tmp_path / "default", "--salt", str(salt), "--resize", "lanczos") == 1
    assert "resize: area there, lanczos requested" in capsys.readouterr().err


def test_an_unknown_resize_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert preprocess(tmp_path, tmp_path / "out", "--resize", "cubic") == 2
    assert "'cubic' is not one of 'area', 'lanczos'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
