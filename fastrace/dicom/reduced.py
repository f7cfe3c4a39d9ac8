"""JPEG 2000 and HTJ2K at half, a quarter ... of their size, without decoding the rest: `--decode reduced`.

A wavelet codestream holds the image at every power of two down (T.800 B.5). Leaving out the finest sub-bands leaves out most of
the work: three quarters of the samples are in the finest level. The small image is that of the wavelet's low-pass filter, not an
area average; the resize that follows makes one of it. The recipe records it, so that datasets of both kinds are not compared.

Against the exact path, four files (two radiographs, MR, a computed mammogram) at 128 x 128 and 256 x 256: amplitudes within 2 %
in every octave but the last (11 % there on the MR), rms .002 to .03 of the display range, up to .28 at single edges, most of it
since the low-pass samples lie (2**times - 1) / 2 pixels of the file before the middle of what they stand for: at most .2 of the
network's. Decoding took a tenth of the time for a mammogram at 256 x 256, a third to a sixth for radiographs of 1,800 pixels.
"""

from __future__ import annotations

import io
import math

import imagecodecs
import numpy as np
from PIL import ImageFile

from fastrace.dicom import codecs
from fastrace.dicom.codestream import Codestream
from fastrace.dicom.values import why

# The image that is decoded keeps at least this many samples for one of the network's, in both directions: what the low-pass
# filter dampens near its own limit is then out of the network's range.
OVERSAMPLING = 2


def halvings(rows: int, columns: int, size: tuple[int, int], levels: int) -> int:
    """How often both sides may be halved before resizing to ``size``.

    Parameters
    ----------
    rows, columns : int
        Of the image.
    size : (int, int)
        Rows and columns of the network's input.
    levels : int
        That the codestream has.
    """
    room = min(rows / size[0], columns / size[1]) / OVERSAMPLING
    return min(levels, int(math.log2(room))) if room >= 2 else 0


def decode_reduced(syntax: str, stream: bytes, found: Codestream, times: int) -> np.ndarray | None:
    """Decode a frame halved ``times`` times.

    Parameters
    ----------
    syntax : str
        Transfer Syntax UID.
    stream : bytes
        One whole codestream.
    found : Codestream
        Its header.
    times : int
        1 to ``found.levels``.

    Returns
    -------
    numpy.ndarray or None
        uint8, uint16, int8 or int16 [ceil(rows / 2**times), ceil(columns / 2**times)]; None where the stream cannot be halved
        exactly so (an origin that is not 0), and is to be decoded whole.

    Raises
    ------
    ValueError
        If it does not decode.
    """
    step = 2**times
    expected = -(-found.rows // step), -(-found.columns // step)
    lossless = syntax in codecs.HTJ2K_LOSSLESS and not found.lossy
    try:
        # OpenJPH wraps around (see `codecs`), which shows as a negative number where the word has a bit to spare.
        if lossless and not found.signed and 8 < found.precision < 16:
            wrapped = np.asarray(imagecodecs.htj2k_decode(stream, skipres=times)).view(np.int16)
            samples = wrapped.clip(0, (1 << found.precision) - 1).astype(np.uint16)
        else:
            samples = _by_openjpeg(stream, found, expected, times)
    except Exception as error:  # each codec has its own error type
        raise ValueError(why(error)) from error
    return samples if samples.shape == expected else None


def _by_openjpeg(stream: bytes, found: Codestream, expected: tuple[int, int], times: int) -> np.ndarray:
    """Pillow's OpenJPEG; it moves samples to the top of its words and signed ones by half the range, which is undone here."""
    words = np.asarray(_Halved(stream, "L" if found.precision <= 8 else "I;16", expected, times))
    samples = words >> (8 * words.dtype.itemsize - found.precision)
    if not found.signed:
        return samples
    half = 1 << (found.precision - 1)
    return (samples.astype(np.int32) - half).astype(f"i{words.dtype.itemsize}")


class _Halved(ImageFile.ImageFile):
    """A plugin of Pillow around its decoder, whose own plugin rounds odd sizes down (13.0) and then fails on them."""

    format = "JPEG2000"

    def __init__(self, stream: bytes, mode: str, size: tuple[int, int], times: int) -> None:
        self._stated = mode, size[::-1], ("j2k", times, 0, -1, len(stream))
        super().__init__(io.BytesIO(stream))

    def _open(self) -> None:
        self._mode, self._size, args = self._stated
        self.tile = [ImageFile._Tile("jpeg2k", (0, 0, *self._size), 0, args)]
