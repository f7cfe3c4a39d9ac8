"""How high a pixel is for its width (PS3.3 C.7.6.3.1.7, 10.7.1.3), from whichever attribute says so.

For the shape the attributes agree whatever plane they measure in, so that of an uncalibrated image counts too.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from fastrace.dicom.select import macro
from fastrace.dicom.values import numbers

# In order; each is "row spacing \\ column spacing", and Pixel Aspect Ratio "vertical \\ horizontal".
_KEYWORDS = ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def pixel_aspect(ds: Dataset, frame: int) -> float:
    """Height of a pixel divided by its width; 1 where no attribute holds two numbers above 0."""
    of_frame = macro(ds, frame, "PixelMeasuresSequence")
    for keyword in _KEYWORDS:
        try:
            found = numbers(of_frame if keyword == "PixelSpacing" else ds, keyword)
        except ValueError:
            continue
        if len(found) == 2 and min(found) > 0:
            return found[0] / found[1]
    return 1.0
