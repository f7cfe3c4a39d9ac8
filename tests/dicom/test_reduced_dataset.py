"""`--decode reduced` from file to index: what is recorded, and how far the images are from those decoded whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import encode, write
from pydicom import uid
from scipy import ndimage

from fastrace.dataset import Dataset
from fastrace.preprocess.recipe import job_for
from fastrace.preprocess.run import preprocess


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two images of a body with texture: one in JPEG 2000, one that is not compressed."""
    noise = np.random.default_rng(0).normal(size=(640, 800))
    body = ndimage.gaussian_filter(noise, 12) * 9000 + ndimage.gaussian_filter(noise, 2) * 300 + 1800
    values = np.clip(body, 0, 4095).astype(np.uint16)
    (tmp_path / "in").mkdir()
    header = {"PatientID": "1", "Modality": "DX", "ImagerPixelSpacing": [0.2, 0.2]}
    syntax = uid.JPEG2000Lossless
    write(
        tmp_path / "in" / "a", values, bits=12, TransferSyntaxUID=syntax, codestreams=[encode(syntax, values, 12)],
        SOPInstanceUID="1.2.3", **header,
    )  # fmt: skip
    write(tmp_path / "in" / "b", values, bits=12, SOPInstanceUID="1.2.4", **header)
    return tmp_path / "in"


def made(archive: Path, decode: str) -> Dataset:
    out = archive.parent / decode
    preprocess(job_for((archive,), out, "any", size=(64, 80), decode=decode, voi="full", jobs=1))  # type: ignore[arg-type]
    return Dataset.open(out)


def test_reduced_images_are_close_and_recorded(archive: Path) -> None:
    exact, reduced = made(archive, "exact"), made(archive, "reduced")
    assert reduced.meta["recipe"]["decode"] == "reduced"
    assert exact.fingerprint != reduced.fingerprint
    assert list(reduced.index["notes"].notna()) == [True, False]
    for name in ("source_rows", "source_columns", "mm_per_pixel"):
        assert list(reduced.index[name]) == list(exact.index[name]), name
    assert reduced.index["mm_per_pixel"][0] == pytest.approx(2.0)
    first, second = (dataset.images([0, 1]).astype(float) / 65535 for dataset in (exact, reduced))
    assert np.array_equal(first[1], second[1])
    # Of the display range. The low-pass samples lie on the first pixel of each four, not in their middle: 0.15 pixels here,
    # on a picture whose slope is up to 0.1 a pixel.
    assert 0 < np.abs(first[0] - second[0]).max() < 0.05
    # What was decoded in another way is never called the same image as one that was decoded whole.
    assert exact.index["pixel_hash"].nunique() == 1
    assert reduced.index["pixel_hash"][0] not in set(exact.index["pixel_hash"])
