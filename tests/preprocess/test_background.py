"""Exchanged polarity and bright frames: found where they are, and not in sound images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastrace.dicom import open_frames
from fastrace.errors import RejectedInput
from fastrace.kernels.window import window
from fastrace.phantom import PhantomSpec, make
from fastrace.preprocess.background import background_notes


def noted(path: Path) -> list[str]:
    frame = open_frames(path).frame(0)
    height, width = frame.pixels.shape
    scale = 256 / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    image = window([frame.pixels], [frame.transfer], size)[0].numpy()
    return [note.kind for note in background_notes(image, frame.header.modality)]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("inverted_mono2", ["polarity"]),
        ("white_frame", ["frame"]),
        ("for_presentation_same", []),
        ("for_processing", []),  # MONOCHROME1, and rightly so
        ("nonzero_bg", []),
        ("big_marker", []),
        ("padlimit_tissue", []),
    ],
)
def test_the_cases(cases: Path, name: str, kinds: list[str]) -> None:
    assert noted(cases / "dicom" / "D1_mg" / f"{name}.dcm") == kinds


@pytest.mark.parametrize("name", ["mono1_inverse", "mono2_inverse"])
def test_an_inversion_that_the_header_asks_for_is_seen_too(cases: Path, name: str) -> None:
    assert noted(cases / "dicom" / "D2_px" / f"{name}.dcm") == ["polarity"]


def test_no_real_file_is_suspected(test_data: Path) -> None:
    for file in sorted((test_data / "dicom").iterdir()):
        try:
            assert noted(file) == [], file.name
        except RejectedInput:
            continue
    for file in sorted((test_data / "chest" / "png").iterdir()):
        assert background_notes(np.asarray(Image.open(file).convert("L")), None) == (), file.name


def test_hands_are_told_from_their_negatives(test_data: Path) -> None:
    """Hands lie on a background; 1 of 3,080 is surrounded by an area brighter than itself, and is noted."""
    files = sorted((test_data / "hands" / "png").iterdir())[:600]
    images = [np.asarray(Image.open(file).convert("L")) for file in files]
    suspected = [background_notes(image, None) for image in images]
    assert sum(bool(notes) for notes in suspected) == 0
    found = sum(any(note.kind == "polarity" for note in background_notes(255 - image, None)) for image in images)
    assert found > 0.3 * len(images)  # the others have no even background, and nothing is said of them


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_no_phantom_is_suspected(tmp_path: Path, modality: str) -> None:
    make(tmp_path / "archive", PhantomSpec(modality, patients=20, images_per_patient=2, size=(128, 96)))  # type: ignore[arg-type]
    files = [file for file in (tmp_path / "archive").rglob("*") if file.is_file() and file.suffix != ".csv"]
    assert len(files) == 40
    assert [file.name for file in files if noted(file)] == []


def test_slices_are_not_judged() -> None:
    image = np.full((64, 64), 1.0)
    image[20:40, 0:30] = np.linspace(0.2, 0.8, 30)
    assert [note.kind for note in background_notes(image, "DX")] == ["polarity"]
    assert background_notes(image, "CT") == ()
    assert background_notes(np.ones((64, 64)), "DX") == ()
