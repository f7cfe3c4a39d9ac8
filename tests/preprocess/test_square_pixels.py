"""Pixels that are not square: a grating of known lp/mm has the same frequency in both directions of the network's image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from fastrace.dataset import Dataset
from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Job, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess.task import Settings, Task
from fastrace.preprocess.worker import work

LP_PER_MM = 0.5


def grating(rows: int, columns: int, row_mm: float, column_mm: float, along: int) -> np.ndarray:
    """A sine of `LP_PER_MM` along one axis, in 12 bits."""
    position = (np.arange(rows) + 0.5) * row_mm if along == 0 else (np.arange(columns) + 0.5) * column_mm
    wave = 2048 + 1500 * np.sin(2 * np.pi * LP_PER_MM * position)
    return np.broadcast_to(wave[:, None] if along == 0 else wave, (rows, columns)).astype(np.uint16)


def written(path: Path, write_dicom: Callable[..., Path], pixels: np.ndarray, **attributes: Any) -> Path:
    return write_dicom(
        path,
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        PixelData=np.ascontiguousarray(pixels).tobytes(),
        WindowCenter=2048,
        WindowWidth=4096,
        **attributes,
    )


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("spacing", [(0.2, 0.1), (0.1, 0.2), (0.15, 0.15)])
def test_a_grating_keeps_its_line_pairs_per_mm(
    tmp_path: Path, write_dicom: Callable[..., Path], spacing: tuple[float, float], along: int
) -> None:
    rows, columns = round(60 / spacing[0]), round(40 / spacing[1])  # 60 x 40 mm
    pixels = grating(rows, columns, *spacing, along)
    path = written(tmp_path / "a.dcm", write_dicom, pixels, ImagerPixelSpacing=list(spacing))
    preset = get_modality("any")
    recipe = Recipe.from_preset(preset, size=(240, 240))
    (result,) = work(Settings(recipe, preset, 1 << 28), Task(0, str(path), path.stat().st_size))
    assert result.reason is None, result.message
    assert result.facts is not None
    assert result.pixels is not None
    image = result.pixels.astype(float)
    shown = image[:, np.flatnonzero(image.any(0))][np.flatnonzero(image.any(1))]
    assert shown.shape == (240, 160)
    spectrum = np.abs(np.fft.rfft(shown - shown.mean(), axis=along)).sum(1 - along)
    cycles_per_pixel = int(spectrum.argmax()) / shown.shape[along]
    assert result.facts["mm_per_pixel"] == pytest.approx(0.25)
    assert cycles_per_pixel / result.facts["mm_per_pixel"] == pytest.approx(LP_PER_MM)
    assert [note.kind for note in result.notes] == ([] if spacing[0] == spacing[1] else ["resampled"])


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("ImagerPixelSpacing", "0,2\\0,1"),
        ("ImagerPixelSpacing", "0.2"),
        ("PixelSpacing", "-0.1\\0.1"),
        ("PixelAspectRatio", "0\\1"),
    ],
)
def test_a_spacing_that_cannot_be_read_is_noted(tmp_path: Path, cases: Path, keyword: str, text: str) -> None:
    """It was passed over in silence, and the image left distorted."""
    header = dcmread(cases / "dicom" / "D2_px" / "base.dcm")
    header.add(
        RawDataElement(Tag(keyword), "IS" if "Aspect" in keyword else "DS", len(text), text.encode(), 0, False, True)
    )
    header.save_as(tmp_path / "a.dcm")
    preset = get_modality("any")
    recipe = Recipe.from_preset(preset, size=(64, 64))
    (result,) = work(Settings(recipe, preset, 1 << 28), Task(0, str(tmp_path / "a.dcm"), 1 << 16))
    assert result.reason is None, result.message
    assert [note.kind for note in result.notes] == ["spacing_unread"]
    assert keyword in result.notes[0].text.replace(" ", "")


def test_both_spacings_and_the_note_are_kept(tmp_path: Path, cases: Path) -> None:
    preset = get_modality("any")
    recipe = Recipe.from_preset(preset, size=(64, 64))
    folder = cases / "dicom" / "D2_px"
    files = (folder / "spacing_ns.dcm", folder / "aspect21.dcm", folder / "base.dcm")
    preprocess(Job(files, tmp_path / "out", recipe, preset))
    index = Dataset.open(tmp_path / "out").index
    assert index["notes"].fillna("").tolist() == ["resampled", "resampled", ""]
    # 256 x 192 pixels of 0.2 x 0.1 mm are 51.2 x 19.2 mm.
    assert index["mm_per_pixel"].iloc[0] == pytest.approx(51.2 / 64)
    assert index["mm_per_pixel"].iloc[1:].isna().all()
    images = Dataset.open(tmp_path / "out").images([0, 1, 2])
    widths = [int(image.any(0).sum()) for image in images]
    assert widths[0] == widths[1]  # 2:1 by spacing and by Pixel Aspect Ratio
    assert widths[0] == pytest.approx(widths[2] / 2, abs=1)
    texts = pd.read_parquet(tmp_path / "out.private" / "sources.parquet")["notes"].fillna("").tolist()
    assert texts[0] == "pixels 2 times as high as wide: resampled to square ones"
