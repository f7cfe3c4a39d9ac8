"""The parameters of `window` for one image: how a stored word becomes a display value, and which rectangle is meant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SCALE = 1e9  # display per stored value; beyond it float32 could not hold the products, and a step is a table


@dataclass(frozen=True)
class Transfer:
    """From stored words to display values in [0, 1].

    The value of a word is ``(word >> shift) & (2**bits - 1)``, sign-extended if `signed`; whatever the other bits hold is
    ignored. Its display value is ``clip(scale * value + offset, 0, 1)``, or an entry of `table` if there is one.

    Parameters
    ----------
    bits : int
        BitsStored, 1 to 16.
    shift : int
        HighBit + 1 - BitsStored.
    signed : bool
        PixelRepresentation is 1.
    scale, offset : float
        The affine map; display units per stored value, and display units.
    table : numpy.ndarray or None
        float32 [2**bits] in [0, 1], indexed by the unsigned bit pattern of the value. Everything is composed into it:
        modality LUT, VOI, inversion, padding.

    Raises
    ------
    ValueError
        Where bits and shift do not fit 16 bits, a number is not finite, or the table has another length, type or range.

    Notes
    -----
    Source of the terms: DICOM PS3.3 C.7.6.3 (Image Pixel), C.11.1 and C.11.2 (Modality LUT, VOI LUT).
    """

    bits: int
    shift: int = 0
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0
    table: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits is {self.bits}; BitsStored must be 1 to 16")
        if not 0 <= self.shift <= 16 - self.bits:
            raise ValueError(
                f"shift is {self.shift}; with {self.bits} bits in a 16-bit word it must be 0 to {16 - self.bits}"
            )
        if self.table is not None:
            _check_table(self.table, 1 << self.bits)
        elif not (math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(f"scale is {self.scale} and offset {self.offset}; both must be finite")
        elif abs(self.scale) > MAX_SCALE:
            raise ValueError(
                f"scale is {self.scale}; beyond {MAX_SCALE:g} per value the map is a step: give it as a table"
            )


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, rows and columns counted from the top left."""

    top: int
    left: int
    height: int
    width: int

    def inside(self, height: int, width: int) -> bool:
        """Whether the box is not empty and lies within an image of this size."""
        return (
            self.top >= 0
            and self.left >= 0
            and self.height > 0
            and self.width > 0
            and self.top + self.height <= height
            and self.left + self.width <= width
        )


def _check_table(table: NDArray[np.float32], entries: int) -> None:
    if not isinstance(table, np.ndarray) or table.dtype != np.float32:
        raise ValueError(f"table must be a float32 array, not {getattr(table, 'dtype', type(table).__name__)}")
    if table.shape != (entries,):
        raise ValueError(f"table has shape {table.shape}; {entries} entries are expected, one per bit pattern")
    # Written so that a NaN fails.
    if not (float(table.min()) >= 0.0 and float(table.max()) <= 1.0):
        raise ValueError("table holds values that are not in [0, 1]; display values are")
