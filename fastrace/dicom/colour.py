"""Grey that is stored as colour (PS3.3 C.7.6.3.1.2): three equal channels, luminance alone, a palette of greys.

Secondary captures and exports to RGB are full of such images. They are read as the grey that they show, with a note; whatever
has colour stays out. Such values are display values already: no modality or VOI transform belongs to them (PS3.3 C.11.1, C.11.2
are for MONOCHROME images), so they are shown whole unless ``--voi`` asks for something else.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from fastrace.dicom.display import Lut
from fastrace.dicom.lut import read_lut
from fastrace.dicom.notes import Note
from fastrace.dicom.values import attribute
from fastrace.errors import RejectedInput

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
THREE_CHANNELS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# Also defined, but never grey for us: named so that a message may quote them.
OTHERS = ("YBR_PARTIAL_420", "YBR_PARTIAL_422", "XYB", "HSV", "ARGB", "CMYK")
PHOTOMETRIC = (*MONOCHROME, PALETTE, *THREE_CHANNELS, *OTHERS)


def check_photometric(photometric: str | None, samples: int) -> None:
    """Refuse what cannot be grey, by Photometric Interpretation and Samples per Pixel.

    Raises
    ------
    RejectedInput
        ``color`` or ``bad_header``.
    """
    if photometric is None:
        raise RejectedInput(
            "bad_header", f"{attribute('PhotometricInterpretation')} is missing: MONOCHROME1 or MONOCHROME2"
        )
    grey = samples == 1 and photometric in (*MONOCHROME, PALETTE)
    if not grey and not (samples == 3 and photometric in THREE_CHANNELS):
        raise RejectedInput(
            "color",
            f"{attribute('PhotometricInterpretation')} is {photometric} with {samples} samples per pixel, expected "
            "MONOCHROME1 or MONOCHROME2 with 1; convert it, or leave it out",
        )


def grey_channel(pixels: np.ndarray, photometric: str, bits: int) -> tuple[np.ndarray, Note]:
    """Return the grey of three channels [rows, columns, 3] as stored words [rows, columns].

    Channels are compared as they are stored. A decoder may have undone a colour transform or not, and both leave grey one of
    two forms: three equal channels, or two that are half of the range.

    Raises
    ------
    RejectedInput
        ``color`` if any pixel has a colour.
    """
    first, second, third = (pixels[..., i] for i in range(3))
    neutral = 1 << (bits - 1)
    luminance = photometric != "RGB" and bool((second == neutral).all()) and bool((third == neutral).all())
    if not luminance and not (np.array_equal(first, second) and np.array_equal(first, third)):
        raise RejectedInput(
            "color",
            f"{attribute('PhotometricInterpretation')} is {photometric} and some pixels have a colour: only three equal "
            "channels are read as grey; convert it, or leave it out",
        )
    return np.ascontiguousarray(first), Note("grey_of_colour", f"{photometric} without any colour: read as grey")


def grey_palette(ds: Dataset, *, signed: bool) -> tuple[Lut, Note]:
    """Return the palette of a PALETTE COLOR image as one table of greys (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6).

    Parameters
    ----------
    ds : Dataset
    signed : bool
        Whether the pixels are signed, and with them the first value that the palette maps.

    Raises
    ------
    RejectedInput
        ``color`` if it holds a colour, or is stored in segments; ``bad_header`` if it does not fit its descriptor.
    """
    tables = []
    for colour in ("Red", "Green", "Blue"):
        start = f"{colour}PaletteColorLookupTable"
        found = read_lut(ds, start + "Data", signed=signed, descriptor=start + "Descriptor", data=start + "Data")
        if found is None:
            raise RejectedInput(
                "color",
                f"{attribute('PhotometricInterpretation')} is {PALETTE} and {attribute(start + 'Data')} is missing: a palette in "
                "segments, or none; convert it, or leave it out",
            )
        tables.append(found)
    red, *others = tables
    if any(red.first != one.first or not np.array_equal(red.entries, one.entries) for one in others):
        raise RejectedInput(
            "color",
            f"{attribute('PhotometricInterpretation')} is {PALETTE} and its palette holds colours; convert it, or leave it out",
        )
    return red, Note("grey_of_colour", f"{PALETTE} with greys only: read as grey")
