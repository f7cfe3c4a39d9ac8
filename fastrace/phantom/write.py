"""One phantom image as a DICOM file: header, codec, bytes that depend on nothing but the arguments.

Digital Mammography X-Ray and Digital X-Ray images FOR PRESENTATION (PS3.3 A.26, A.27), complete enough for viewers and
validators, except where a `Convention` leaves the standard on purpose. There is no clock, no random UID and no version of
a library in the file; UIDs are 2.25 plus 128 bits of BLAKE2b of what they name (PS3.5 B.2).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from hashlib import blake2b

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from fastrace.phantom.conventions import Convention

TRANSFER_SYNTAXES: dict[str, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "jpeg_lossless": JPEGLosslessSV1,
    "jpeg_2000": JPEG2000Lossless,
    "rle": RLELossless,
}

FIELD_MM = {"mammo": {"Vendor 1": 240.0, "Vendor 2": 290.0, "Vendor 3": 240.0}, "cxr": {}}
"""Long side of the detector; chest detectors are 430 mm."""


@dataclass(frozen=True)
class Shot:
    """What the header holds about one image beside its convention; all of it independent of the group.

    ``date`` is the study's (YYYYMMDD), ``instance`` counts from 1 within the study.
    """

    modality: str
    seed: int
    patient: int
    instance: int
    patient_id: str
    sex: str
    age_years: int
    date: str
    laterality: str
    view: str
    kvp: float
    exposure_uas: int
    magnification: float


def uid(*names: object) -> UID:
    """Return the UID of what these names describe; the same names give the same UID everywhere."""
    digest = blake2b("|".join(map(str, ("fastrace.phantom", *names))).encode(), digest_size=16).digest()
    return UID(f"2.25.{int.from_bytes(digest, 'big')}")


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def _rle(words: NDArray[np.uint16]) -> bytes:
    """RLE Lossless frame (PS3.5 annex G): PackBits of the high bytes, then of the low bytes, each row by itself.

    1.5 ms for 512x384; pydicom's encoder, in Python, takes 75 to 150 ms, which was half the time of an archive.
    """
    planes = (words >> 8).astype(np.uint8), (words & 0xFF).astype(np.uint8)
    segments = [bytes(imagecodecs.packbits_encode(plane, axis=-1)) for plane in planes]
    segments = [segment + bytes(len(segment) % 2) for segment in segments]
    return struct.pack("<16L", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)


def _encode(words: NDArray[np.uint16], convention: Convention) -> bytes:
    """Pixel Data of one frame in the convention's transfer syntax."""
    bits = convention.bits_stored
    if convention.syntax in ("explicit", "implicit"):
        return words.astype("<u2").tobytes()
    if convention.syntax == "jpeg_lossless":
        # libjpeg-turbo writes predictor 1, which SV1 requires; imagecodecs.ljpeg_encode writes predictor 6.
        frame = imagecodecs.jpeg8_encode(words, lossless=True, predictor=1, bitspersample=bits)
    elif convention.syntax == "jpeg_2000":
        frame = imagecodecs.jpeg2k_encode(words, codecformat="j2k", bitspersample=bits, reversible=True)
    else:
        frame = _rle(words)
    return bytes(encapsulate([bytes(frame)]))


def _set_patient_and_study(ds: Dataset, shot: Shot) -> None:
    ds.PatientName = f"PHANTOM^{shot.patient:04d}"
    ds.PatientID = shot.patient_id
    ds.PatientBirthDate = ""
    ds.PatientSex = shot.sex
    ds.PatientAge = f"{shot.age_years:03d}Y"
    ds.StudyInstanceUID = uid(shot.seed, shot.modality, shot.patient, "study")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = shot.date
    ds.StudyTime = "090000"
    ds.AcquisitionTime = ds.ContentTime = f"0900{shot.instance % 60:02d}"
    ds.StudyID = "1"
    ds.AccessionNumber = f"ACC{shot.patient:06d}"
    ds.ReferringPhysicianName = ""


def _set_series_and_image(ds: Dataset, shot: Shot, convention: Convention) -> None:
    ds.Modality = "MG" if shot.modality == "mammo" else "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.SeriesInstanceUID = uid(shot.seed, shot.modality, shot.patient, "series")
    ds.SeriesNumber = "1"
    ds.InstanceNumber = str(shot.instance)
    ds.Manufacturer = convention.vendor
    ds.ManufacturerModelName = convention.model
    ds.SoftwareVersions = "1.0"
    ds.DetectorType = "DIRECT"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.DerivationDescription = "computed phantom, no patient"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.KVP = f"{shot.kvp:.1f}"
    ds.ExposureInuAs = str(shot.exposure_uas)
    ds.Exposure = str(round(shot.exposure_uas / 1000))
    ds.ImageLaterality = shot.laterality
    ds.ViewPosition = shot.view
    ds.EstimatedRadiographicMagnificationFactor = f"{shot.magnification:.3f}"
    ds.AcquisitionContextSequence = Sequence([])
    if shot.modality == "mammo":
        ds.BodyPartExamined = "BREAST"
        ds.OrganExposed = "BREAST"
        ds.PositionerType = "MAMMOGRAPHIC"
        # PS3.3 C.8.11.7: the row runs from the chest wall to the nipple in a left breast, back in a right one.
        front, down = ("A", "L" if shot.laterality == "R" else "R")
        if shot.view == "MLO":
            down = "FL" if shot.laterality == "R" else "FR"
        ds.PatientOrientation = [front if shot.laterality == "L" else "P", down]
        ds.AnatomicRegionSequence = _code("76752008", "SCT", "Breast")
        view = ("399162004", "cranio-caudal") if shot.view == "CC" else ("399368009", "medio-lateral oblique")
    else:
        ds.BodyPartExamined = "CHEST"
        ds.PositionerType = "NONE"
        ds.PatientOrientation = ["L", "F"]
        ds.AnatomicRegionSequence = _code("51185008", "SCT", "Chest")
        view = ("399348003", "antero-posterior") if shot.view == "AP" else ("272479007", "postero-anterior")
    ds.ViewCodeSequence = _code(view[0], "SCT", view[1])
    if shot.modality == "mammo":
        ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])


def _set_display(ds: Dataset, convention: Convention) -> None:
    if convention.rescale is not None:
        ds.RescaleSlope, ds.RescaleIntercept = (f"{value:g}" for value in convention.rescale)
        ds.RescaleType = "US"
    if convention.presentation:
        ds.PresentationLUTShape = "INVERSE" if convention.photometric == "MONOCHROME1" else "IDENTITY"
    if convention.padding is not None:
        first, last = convention.padding
        ds.PixelPaddingValue = first
        if last != first:
            ds.PixelPaddingRangeLimit = last
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if convention.photometric == "MONOCHROME1" else -1
    if convention.voi == "LUT":
        item = Dataset()
        item.LUTDescriptor = [convention.lut.size, int(convention.modality_range[0]), 16]
        item.LUTExplanation = "NORMAL"
        item.add_new("LUTData", "OW", convention.lut.astype("<u2").tobytes())
        ds.VOILUTSequence = Sequence([item])
    elif convention.voi != "NONE":
        center, width = convention.window
        # A second, harder window that a reader must not take: the first one counts.
        ds.WindowCenter, ds.WindowWidth = [f"{center:g}"] * 2, [f"{width:g}", f"{round(width / 2):g}"]
        ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
        if convention.voi != "LINEAR":
            ds.VOILUTFunction = convention.voi


def file_bytes(
    words: NDArray[np.uint16],  # [H, W] stored words
    shot: Shot,
    convention: Convention,
) -> bytes:
    """Return one DICOM file (PS3.10) as bytes."""
    is_mammo = shot.modality == "mammo"
    storage = DigitalMammographyXRayImageStorageForPresentation if is_mammo else DigitalXRayImageStorageForPresentation
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = uid(shot.seed, shot.modality, shot.patient, "image", shot.instance)
    meta.TransferSyntaxUID = TRANSFER_SYNTAXES[convention.syntax]
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "FASTRACE_PHANTOM"
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    _set_patient_and_study(ds, shot)
    _set_series_and_image(ds, shot, convention)
    height, width = words.shape
    spacing_mm = FIELD_MM[shot.modality].get(convention.vendor, 430.0) / max(height, width)
    ds.ImagerPixelSpacing = [f"{spacing_mm:.6f}"] * 2
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = convention.photometric
    ds.Rows, ds.Columns = height, width
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, convention.bits_stored, convention.bits_stored - 1
    ds.PixelRepresentation = 0
    _set_display(ds, convention)
    ds.PixelData = _encode(words, convention)
    ds["PixelData"].VR = "OB" if meta.TransferSyntaxUID.is_encapsulated else "OW"
    ds["PixelData"].is_undefined_length = meta.TransferSyntaxUID.is_encapsulated
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
