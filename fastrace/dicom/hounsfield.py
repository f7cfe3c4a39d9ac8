"""Whether the outputs of the modality transform are Hounsfield units, so that a window in HU may be put on them.

PS3.3 C.8.2.1.1.2, C.11.1.1.2: Rescale Type is HU where it is absent from an original CT image that has a rescale and is no
localizer. Without Rescale Slope and Intercept the values are whatever the device stored.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from fastrace.dicom.spelling import UNKNOWN, term
from fastrace.dicom.values import attribute, items, texts, value

_HU = ("HU", "HU_MOD")
# Defined terms of Rescale Type and Modality LUT Type (C.11.1.1.2), so that a message may name them.
_TYPES = (*_HU, "OD", "US", "MGML", "Z_EFF", "ED", "EDW", "PCT", "UNSPECIFIED")


def why_not_hu(scope: Dataset, ds: Dataset) -> str | None:
    """Say why the values are not in HU, None where they are.

    Parameters
    ----------
    scope : Dataset
        What holds the rescale of the frame: the Pixel Value Transformation item, or the data set itself.
    ds : Dataset
        The data set.
    """
    tables = items(ds, "ModalityLUTSequence")
    if tables:
        of_table = term(tables[0], "ModalityLUTType", _TYPES) or UNKNOWN
        return None if of_table in _HU else f"{attribute('ModalityLUTType')} is {of_table}"
    if value(scope, "RescaleSlope") is None and value(scope, "RescaleIntercept") is None:
        return f"{attribute('RescaleSlope')} and {attribute('RescaleIntercept')} are missing"
    if value(scope, "RescaleIntercept") is None:  # -1024 of most devices as much as 0; a missing slope is 1
        return f"{attribute('RescaleIntercept')} is missing"
    stated = term(scope, "RescaleType", _TYPES)
    if stated is not None and stated not in _HU:
        return f"{attribute('RescaleType')} is {stated}"
    if stated is None and "LOCALIZER" in (one.upper() for one in texts(ds, "ImageType")):
        return f"{attribute('ImageType')} is LOCALIZER and {attribute('RescaleType')} is missing"
    return None
