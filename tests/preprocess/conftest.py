"""Small real DICOM files, written by pydicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

WriteDicom = Callable[..., Path]


def _write(path: Path, pixels: np.ndarray | None = None, **attributes: Any) -> Path:
    """One MONOCHROME2 12-bit image; attributes replace the defaults, None deletes them."""
    if pixels is None:
        pixels = np.random.default_rng(abs(hash(path.name)) % 2**32).integers(0, 4096, (40, 30))
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = attributes.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    uid = attributes.get("SOPInstanceUID") or generate_uid(entropy_srcs=[str(path)])
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    frames = pixels.shape[0] if pixels.ndim == 3 else None
    defaults: dict[str, Any] = {
        "SOPInstanceUID": uid,
        "PatientID": "p1",
        "StudyInstanceUID": "1.2.3",
        "Modality": "DX",
        "ViewPosition": "PA",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "NumberOfFrames": frames,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "WindowCenter": 2048,
        "WindowWidth": 4096,
        "PixelData": pixels.astype("<u2").tobytes(),
    }
    for name, value in {**defaults, **attributes}.items():
        if value is not None:
            setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def write_dicom() -> WriteDicom:
    return _write
