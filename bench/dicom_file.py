"""A DICOM file for the benchmarks that read one: an object of digital mammography with the attributes that readers need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation

BITS = 12


def write_file(
    path: Path,
    pixels: np.ndarray,  # [H, W] uint16, 12 bits
    syntax: UID,
    stream: bytes | None,  # the pixels in that transfer syntax; None where it is uncompressed
    **attributes: Any,  # further ones, or others than the defaults
) -> Path:
    """Write one minimal DX object."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID, ds.PatientID = UID("1.2.3"), "1"
    ds.Modality, ds.PhotometricInterpretation = "MG", "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 16, BITS, BITS - 1, 0
    ds.WindowCenter, ds.WindowWidth = 1600, 1600
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.PixelData = pixels.tobytes() if stream is None else encapsulate([stream])
    ds["PixelData"].VR = "OW" if stream is None else "OB"
    ds.save_as(path, enforce_file_format=True)
    return path
