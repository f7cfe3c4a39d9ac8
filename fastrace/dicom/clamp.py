"""Samples of a lossy codestream that is deeper than Bits Stored: those outside the range of Bits Stored become its ends.

PS3.5 8.2 lets the codestream decide how it is decoded, and Bits Stored what range the values have. A lossy encoder that was given
16-bit words of 12-bit values overshoots at sharp edges: 4103 masked to 12 bits is 7, black for white. The nearest value that
can be stored is what the encoder aimed at. In a lossless stream there is no overshoot: bits above Bits Stored were there
before, as in an uncompressed file, where they are no part of the value (PS3.5 8.1.1), and both are masked alike.
"""

from __future__ import annotations

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset

from fastrace.dicom.codestream import Codestream
from fastrace.dicom.notes import Note
from fastrace.dicom.values import attribute
from fastrace.dicom.words import Words, overlay_bits

# Streams with the reversible wavelet may be cut to fewer layers in these, and nothing in them says so.
_MAY_BE_LOSSY = (uid.JPEG2000, uid.HTJ2K)


def clamped(
    samples: np.ndarray, words: Words, found: Codestream, syntax: str, ds: Dataset, notes: list[Note]
) -> np.ndarray:
    """Return the samples within the range of the words.

    Parameters
    ----------
    samples : numpy.ndarray
        As the codestream holds them, signed or not.
    words : Words
        Which bits are the value.
    found : Codestream
        The frame header.
    syntax : str
        Transfer Syntax UID.
    ds : Dataset
        Its overlays in unused bits are left alone.
    notes : list of Note
        Gets one where a sample was clamped.
    """
    bits = words.bits + words.shift
    lossy = found.lossy or syntax in _MAY_BE_LOSSY
    if not lossy or found.precision <= bits or overlay_bits(ds) >> bits:
        return samples
    if words.signed and not found.signed:
        return samples  # two's complement given to the encoder as unsigned words: its largest are the values below 0
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if words.signed else (0, (1 << bits) - 1)
    least, largest = int(samples.min()), int(samples.max())
    if low <= least and largest <= high:
        return samples
    count = int(((samples < low) | (samples > high)).sum())
    notes.append(
        Note(
            "clamped",
            f"{count} pixels of the codestream are outside {low} to {high}, the range of {attribute('BitsStored')} = "
            f"{words.bits}: clamped",
        )
    )
    kept = samples.dtype if low >= np.iinfo(samples.dtype).min else np.int16
    return np.clip(samples, low, high).astype(kept, copy=False)
