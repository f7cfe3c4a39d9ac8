"""Small DICOM files, written by pydicom: one row of pixels, and the attributes that a case is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

_STUDY = {
    "PatientName": "Conformance^Case",
    "PatientID": "conformance",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "StudyDate": "20260101",
    "StudyTime": "120000",
    "StudyID": "1",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "Manufacturer": "none",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "StudyInstanceUID": "1.2.826.0.1.3680043.10.1.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.10.1.2",
    "SOPInstanceUID": "1.2.826.0.1.3680043.10.1.3",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.10.1.4",
    "SOPClassUID": uid.DigitalXRayImageStorageForPresentation,
    "Modality": "DX",
}


def write(path: Path, words: Sequence[int], attributes: Mapping[str, Any]) -> Path:
    """Write one row of pixel words (or one row per frame, one after the other).

    Attributes are keywords or tags; the value None leaves one out, and ``(VR, value)`` sets its VR.
    """
    described = dict(attributes)
    syntax = described.pop("TransferSyntaxUID", uid.ExplicitVRLittleEndian)
    allocated = described.get("BitsAllocated", 16)
    stored = described.get("BitsStored", 12 if allocated == 16 else allocated)
    frames = described.get("NumberOfFrames", 1)
    samples = described.get("SamplesPerPixel", 1)
    ds = Dataset()
    defaults = {
        **_STUDY,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 1,
        "Columns": len(words) // frames // samples,
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1 if stored else None,
        "PixelRepresentation": 0,
    }
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    if allocated == 1:
        content = np.packbits(np.array(words, np.uint8), bitorder="little").tobytes()
    else:
        mask = (1 << allocated) - 1
        content = np.array([word & mask for word in words], f"{order}u{allocated // 8}").tobytes()
    defaults["PixelData"] = ("OW" if allocated > 8 else "OB", content + b"\0" * (len(content) % 2))
    for key, value in {**defaults, **described}.items():
        if value is not None:
            put(ds, key, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(
        path,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian,
        little_endian=syntax != uid.ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return path


def put(ds: Dataset, key: str | int, value: Any) -> None:
    """Set an element by keyword or tag; ``(VR, value)`` sets its VR too."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(key) if isinstance(key, str) else key
    vr, content = value if isinstance(value, tuple) else (dictionary_VR(tag), value)
    if vr == "SQ":
        content = [item(one) for one in content]
    ds.add_new(tag, vr if " " not in vr else "US", content)


def item(attributes: Mapping[str, Any]) -> Dataset:
    """Return an item of a sequence."""
    ds = Dataset()
    for key, value in attributes.items():
        put(ds, key, value)
    return ds


def lut(first: int, entries: Sequence[int], bits: int, **more: Any) -> dict[str, Any]:
    """Return an item of a LUT sequence: LUT Descriptor (SS where it maps a negative value first) and LUT Data, OW."""
    signed = first < 0
    count = 0 if len(entries) == 1 << 16 else len(entries)
    content = np.array(entries, "<u2").tobytes()
    described = {"LUTDescriptor": ("SS" if signed else "US", [count, first, bits]), "LUTData": ("OW", content)}
    return {**described, **more}
