"""Archives of very many very small DICOM files, made in seconds: for studies of faults and of memory, where pixels do not matter.

One file of 32 x 32 pixels is written by pydicom; the others are its bytes with other digits in the UIDs, the Patient ID and the
pixels.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

SIDE = 32
_DIGITS = "1234567890"  # that occur nowhere else in the file
_PATIENT = "P87654321"
_FILES_PER_FOLDER = 1000


def tiny_archive(folder: Path, files: int, *, images_per_patient: int = 2) -> Path:
    """Write ``files`` files into folders of a thousand; returns the folder. The bytes depend on the arguments alone."""
    template, noise = _template(), np.random.default_rng(0)
    for number in range(files):
        if number % _FILES_PER_FOLDER == 0:
            part = folder / f"{number // _FILES_PER_FOLDER:04}"
            part.mkdir(parents=True, exist_ok=True)
        image = noise.integers(0, 4096, SIDE * SIDE, dtype=np.uint16).astype("<u2").tobytes()
        content = template[: -2 * SIDE * SIDE].replace(_DIGITS.encode(), f"{number + 1_000_000_000:010}".encode())
        content = content.replace(_PATIENT.encode(), f"P{number // images_per_patient:08}".encode())
        (part / f"IM{number:07}").write_bytes(content + image)
    return folder


def _template() -> bytes:
    uid = UID(f"1.2.826.0.1.3680043.10.5.{_DIGITS}")
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = UID(uid + ".1")
    dataset.PatientID = _PATIENT
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = bytes(2 * SIDE * SIDE)
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()
