"""What a DICOM object is: the SOP classes that are images of a patient, by kind; every other one of the standard is none.

PS3.4 B.5 lists the storage SOP classes. Segmentations, parametric maps, dose, structured reports, presentation states and
documents hold pixels or values made from images, not an image that a reader looks at; they are left out everywhere. A
private SOP class is not in the standard: what it holds is not known, and it is taken at the word of its Modality.
"""

from __future__ import annotations

from functools import lru_cache

from pydicom.dataset import Dataset
from pydicom.uid import UID

from fastrace.dicom.values import attribute, text
from fastrace.errors import RejectedInput

PRIVATE, UNLISTED = "private", "a standard one that is not known here"
_ROOT = "1.2.840.10008."  # of all UIDs of the standard (PS3.6 annex A)

# By kind, as keywords of PS3.6 annex A.
SOP_CLASSES: dict[str, tuple[str, ...]] = {
    "radiograph": (
        "ComputedRadiographyImageStorage",
        "DigitalXRayImageStorageForPresentation",
        "DigitalXRayImageStorageForProcessing",
        "DigitalMammographyXRayImageStorageForPresentation",
        "DigitalMammographyXRayImageStorageForProcessing",
        "DigitalIntraOralXRayImageStorageForPresentation",
        "DigitalIntraOralXRayImageStorageForProcessing",
        "RTImageStorage",
    ),
    "fluoroscopy": (
        "XRayAngiographicImageStorage",
        "EnhancedXAImageStorage",
        "XRayRadiofluoroscopicImageStorage",
        "EnhancedXRFImageStorage",
        "XRayAngiographicBiPlaneImageStorage",
    ),
    "tomosynthesis": (
        "BreastTomosynthesisImageStorage",
        "BreastProjectionXRayImageStorageForPresentation",
        "BreastProjectionXRayImageStorageForProcessing",
        "XRay3DAngiographicImageStorage",
        "XRay3DCraniofacialImageStorage",
    ),
    "ct": ("CTImageStorage", "EnhancedCTImageStorage", "LegacyConvertedEnhancedCTImageStorage"),
    "mr": (
        "MRImageStorage",
        "EnhancedMRImageStorage",
        "EnhancedMRColorImageStorage",
        "LegacyConvertedEnhancedMRImageStorage",
    ),
    "nuclear": (
        "NuclearMedicineImageStorage",
        "NuclearMedicineImageStorageRetired",
        "PositronEmissionTomographyImageStorage",
        "EnhancedPETImageStorage",
        "LegacyConvertedEnhancedPETImageStorage",
    ),
    "ultrasound": (
        "UltrasoundImageStorage",
        "UltrasoundImageStorageRetired",
        "UltrasoundMultiFrameImageStorage",
        "UltrasoundMultiFrameImageStorageRetired",
        "EnhancedUSVolumeStorage",
        "PhotoacousticImageStorage",
    ),
    "secondary_capture": (
        "SecondaryCaptureImageStorage",
        "MultiFrameSingleBitSecondaryCaptureImageStorage",
        "MultiFrameGrayscaleByteSecondaryCaptureImageStorage",
        "MultiFrameGrayscaleWordSecondaryCaptureImageStorage",
        "MultiFrameTrueColorSecondaryCaptureImageStorage",
    ),
    "light": (
        "VLEndoscopicImageStorage",
        "VideoEndoscopicImageStorage",
        "VLMicroscopicImageStorage",
        "VideoMicroscopicImageStorage",
        "VLSlideCoordinatesMicroscopicImageStorage",
        "VLWholeSlideMicroscopyImageStorage",
        "VLPhotographicImageStorage",
        "VideoPhotographicImageStorage",
        "DermoscopicPhotographyImageStorage",
        "ConfocalMicroscopyImageStorage",
        "ConfocalMicroscopyTiledPyramidalImageStorage",
        "OphthalmicPhotography8BitImageStorage",
        "OphthalmicPhotography16BitImageStorage",
        "OphthalmicTomographyImageStorage",
        "WideFieldOphthalmicPhotographyStereographicProjectionImageStorage",
        "WideFieldOphthalmicPhotography3DCoordinatesImageStorage",
        "OphthalmicOpticalCoherenceTomographyEnFaceImageStorage",
        "IntravascularOpticalCoherenceTomographyImageStorageForPresentation",
        "IntravascularOpticalCoherenceTomographyImageStorageForProcessing",
    ),
}
# Values of Modality that a kind can have; of kinds that are not here Modality is believed (digitised film, spot films).
MODALITIES = {
    "mr": ("MR",),
    "nuclear": ("NM", "PT"),
    "ultrasound": ("US", "IVUS", "BDUS"),
    "light": ("XC", "ES", "GM", "SM", "DMS", "OP", "OPT", "OAM", "IVOCT", "OCT"),
}
_KIND_OF = {keyword: kind for kind, keywords in SOP_CLASSES.items() for keyword in keywords}


@lru_cache(maxsize=256)
def name_of(uid: str | None) -> str | None:
    """The keyword of a SOP Class UID, ``private`` for one outside the standard's root, None without one.

    Classes that are younger than the dictionary of pydicom (Label Map Segmentation, Height Map) are `UNLISTED`.
    """
    if not uid:
        return None
    known = UID(uid)
    if known.type == "SOP Class" and known.keyword:
        return str(known.keyword)
    return UNLISTED if uid.startswith(_ROOT) else PRIVATE


def kind_of(name: str | None) -> str | None:
    """A key of `SOP_CLASSES`; None where the name says nothing (absent, private) or is no image."""
    return _KIND_OF.get(name or "")


def is_image(name: str | None) -> bool:
    """Whether an object of this class can be an image of a patient; one without a class, or with a private one, can."""
    return name is None or name == PRIVATE or name in _KIND_OF


def check_object(ds: Dataset) -> None:
    """Refuse what is no image of a patient.

    Raises
    ------
    RejectedInput
        ``other_object``.
    """
    name = name_of(text(ds, "SOPClassUID"))
    if not is_image(name):
        raise RejectedInput(
            "other_object", f"{attribute('SOPClassUID')} is {name}: no image of a patient's body, so nothing to look at"
        )
