"""Stored words and their bits (PS3.5 8.1.1): which of them are the value, and what the others hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from fastrace.dicom.notes import Note
from fastrace.dicom.values import attribute, value

_ROWS_AT_ONCE = 64
_CHUNK = 1 << 16  # words whose 8-byte bin numbers fit in the L2 cache


@dataclass(frozen=True)
class Words:
    """Which bits of a stored word are its value.

    Parameters
    ----------
    bits : int
        Bits Stored, 1-16.
    shift : int
        High Bit + 1 - Bits Stored.
    signed : bool
        Two's complement within `bits`.
    """

    bits: int
    shift: int = 0
    signed: bool = False

    def values(self) -> np.ndarray:
        """Return the stored value of every bit pattern, int64 [2**bits]."""
        pattern = np.arange(1 << self.bits, dtype=np.int64)
        return np.where(pattern >> (self.bits - 1) & 1, pattern - (1 << self.bits), pattern) if self.signed else pattern

    def patterns(self, words: np.ndarray) -> np.ndarray:
        """Return the bit patterns of the values in words of any shape, as uint8 or uint16."""
        if self.shift == 0 and self.bits == 8 * words.dtype.itemsize:
            return words
        return np.asarray(words >> self.shift & ((1 << self.bits) - 1)).astype(words.dtype, copy=False)


def values_only(pixels: np.ndarray, words: Words) -> np.ndarray:
    """Return the words without bits that are no part of the value: of one image equal however it was stored.

    An overlay or a sign in unused bits is lost when an image is compressed, and is the same image.
    """
    inside = ((1 << words.bits) - 1) << words.shift
    all_bits = (1 << 8 * pixels.dtype.itemsize) - 1
    if inside == all_bits or (
        not int(np.bitwise_or.reduce(pixels, axis=None)) & ~inside & all_bits and not words.shift
    ):
        found = pixels
    else:
        found = words.patterns(pixels)
    return np.ascontiguousarray(found, np.uint8 if words.bits <= 8 else np.uint16)


def histogram(pixels: np.ndarray, words: Words) -> np.ndarray:
    """Count the bit patterns of the values in a frame, int64 [2**bits]; memory does not grow with the frame."""
    counts = np.zeros(1 << words.bits, np.int64)
    rows_at_once = max(1, _CHUNK // pixels.shape[1])
    for top in range(0, len(pixels), rows_at_once):
        patterns = words.patterns(pixels[top : top + rows_at_once])
        counts += np.bincount(patterns.ravel(), minlength=len(counts))
    return counts


def unused_bits_note(pixels: np.ndarray, words: Words, ds: Dataset) -> Note | None:
    """Report bits outside the value that are set and neither an overlay nor the extension of the sign.

    They are not part of the value (PS3.5 8.1.1) and the window masks them; but they may mean that Bits Stored is wrong.
    """
    outside = ((1 << 8 * pixels.dtype.itemsize) - 1) & ~(((1 << words.bits) - 1) << words.shift) & ~overlay_bits(ds)
    used = int(np.bitwise_or.reduce(pixels, axis=None)) & outside if outside else 0
    if not used or (words.signed and _only_extends_sign(pixels, words, outside)):
        return None
    return Note(
        "bits_above",
        f"bits {used:#x} outside {attribute('BitsStored')} = {words.bits} are set and no overlay is declared there: "
        "masked",
    )


def overlay_bits(ds: Dataset) -> int:
    """Return the bits of a word that hold overlays, as a mask (retired but met, PS3.3 C.9.2)."""
    mask = 0
    for group in range(0x6000, 0x6020, 2):
        position = value(ds, group << 16 | 0x0102)
        if isinstance(position, int) and 0 <= position < 16 and (group, 0x3000) not in ds:
            mask |= 1 << position
    return mask


def is_constant(pixels: np.ndarray) -> bool:
    """Tell whether all words are equal; stops at the first rows that differ."""
    first = pixels[0, 0]
    return all(bool((pixels[top : top + _ROWS_AT_ONCE] == first).all()) for top in range(0, len(pixels), _ROWS_AT_ONCE))


def _only_extends_sign(pixels: np.ndarray, words: Words, outside: int) -> bool:
    top = 1 << (words.bits + words.shift - 1)
    above = outside & ~(2 * top - 1)
    if outside & (top - 1) & int(np.bitwise_or.reduce(pixels, axis=None)):
        return False  # bits below the value
    negative = (pixels & top) != 0
    return bool(((pixels & above) == np.where(negative, above, 0)).all())
