"""How high a pixel is for its width (PS3.3 C.7.6.3.1.7, 10.7.1.3), from whichever attribute says so.

For the shape the attributes agree whatever plane they measure in, so that of an uncalibrated image counts too.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from fastrace.dicom.notes import Note
from fastrace.dicom.select import macro
from fastrace.dicom.values import attribute, numbers, value

# In order; each is "row spacing \\ column spacing", and Pixel Aspect Ratio "vertical \\ horizontal".
_KEYWORDS = ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def pixel_aspect(ds: Dataset, frame: int) -> float:
    """Height of a pixel divided by its width; 1 where no attribute holds two numbers above 0."""
    pairs = (_pair(place, keyword) for place, keyword in _places(ds, frame))
    return next((found[0] / found[1] for found in pairs if found), 1.0)


def unread_spacing(ds: Dataset, frame: int) -> list[Note]:
    """A note on each that is there and is not two numbers above 0, such as ``0,2\\0,1``."""
    return [
        Note("spacing_unread", f"{attribute(keyword)} is not two numbers above 0: not used")
        for place, keyword in _places(ds, frame)
        if value(place, keyword) not in (None, "") and _pair(place, keyword) is None
    ]


def _places(ds: Dataset, frame: int) -> list[tuple[Dataset, str]]:
    of_frame = macro(ds, frame, "PixelMeasuresSequence")
    return [(of_frame if keyword == "PixelSpacing" else ds, keyword) for keyword in _KEYWORDS]


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        found = numbers(ds, keyword)
    except ValueError:
        return None
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None
