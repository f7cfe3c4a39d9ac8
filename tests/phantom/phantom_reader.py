"""Phantom files as an outsider reads them: pydicom and standard codecs, nothing of the phantom's own display."""

from __future__ import annotations

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEGLosslessSV1


def dicom_files(archive: Path) -> list[Path]:
    return sorted(path for path in archive.rglob("*") if path.is_file() and path.name != "labels.csv")


def stored_words(ds: FileDataset) -> np.ndarray:
    """Decode; JPEG Lossless by a decoder of another author than the encoder, pydicom having none of its own."""
    if ds.file_meta.TransferSyntaxUID == JPEGLosslessSV1:
        return imagecodecs.jpegsof3_decode(next(generate_frames(ds.PixelData, number_of_frames=1)))
    return ds.pixel_array


def display(ds: FileDataset) -> np.ndarray:
    """Display values in [0, 1] by pydicom's transforms, inverted for MONOCHROME1, padding black."""
    words = stored_words(ds)
    value = apply_modality_lut(words, ds)
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    low, high = intercept, slope * (2**ds.BitsStored - 1) + intercept
    if "VOILUTSequence" in ds:
        low, high = 0, 2 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1
        value = value.astype(np.int64)
    is_padding = np.zeros(words.shape, dtype=bool)
    if "PixelPaddingValue" in ds:
        last = ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue)
        is_padding = (words >= ds.PixelPaddingValue) & (words <= last)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = (apply_voi_lut(value, ds) - low) / (high - low)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.where(is_padding, 0.0, shown)


def read(path: Path) -> FileDataset:
    return pydicom.dcmread(path)
