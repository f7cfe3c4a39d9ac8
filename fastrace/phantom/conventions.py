"""How vendors store one and the same display image: bits, polarity, VOI, padding, rescale, transfer syntax.

Each row of `CONVENTIONS` is one convention found in real archives. `Convention.display_table` gives the display value of each
stored word (PS3.3 C.7.6.3, C.11.1, C.11.2), and `Convention.store` inverts that table, so that every row shows the same image
up to rounding. Some rows leave the standard on purpose, as real files do: a Rescale Slope other than 1 in DX and MG (PS3.3
C.8.11.3 allows only 1 and 0), no VOI at all in an image FOR PRESENTATION, and MONOCHROME1 without Presentation LUT Shape.

Not here: encoding and the DICOM header (``write``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Voi = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT", "NONE"]
Syntax = Literal["explicit", "implicit", "jpeg_lossless", "jpeg_2000", "rle"]

_LEVELS = 65536
"""Steps in which display values are inverted: four times finer than the finest 14-bit window here."""


@dataclass(frozen=True)
class Convention:
    """One vendor's way of storing an image.

    Attributes
    ----------
    vendor, model : str
        Manufacturer and Manufacturer's Model Name.
    bits_stored : int
        12, 14 or 16 in 16 allocated.
    photometric : str
        ``MONOCHROME1`` (low is white) or ``MONOCHROME2``.
    voi : str
        VOI LUT Function, or ``LUT`` (VOI LUT Sequence), or ``NONE``.
    syntax : str
        Transfer syntax, see ``fastrace.phantom.write``.
    padding : (int, int) or None
        Pixel Padding Value and Range Limit (equal: no range limit is written), outside `used`.
    rescale : (float, float) or None
        Rescale Slope and Intercept.
    presentation : bool
        Whether Presentation LUT Shape is written.
    used : (int, int)
        Stored words that pixels may take; display runs over [0, 1] within them.
    """

    vendor: str
    model: str
    bits_stored: int
    photometric: Literal["MONOCHROME1", "MONOCHROME2"]
    voi: Voi
    syntax: Syntax
    padding: tuple[int, int] | None = None
    rescale: tuple[float, float] | None = (1.0, 0.0)
    presentation: bool = True
    used: tuple[int, int] = (0, 4095)

    @property
    def modality_range(self) -> tuple[float, float]:
        """Values of the first and last used word after the rescale."""
        slope, intercept = self.rescale or (1.0, 0.0)
        return slope * self.used[0] + intercept, slope * self.used[1] + intercept

    @property
    def window(self) -> tuple[float, float]:
        """Window Center and Window Width that show the used words, in whole numbers of modality units.

        LINEAR and LINEAR_EXACT leave 4 % of the range on each side beyond the window; SIGMOID spans +-6 of its exponent, so
        black is 0.0025 and not 0.
        """
        low, high = self.modality_range
        share = 1 / 3 if self.voi == "SIGMOID" else 0.92
        return float(round((low + high) / 2)), float(round(share * (high - low)))

    @cached_property
    def lut(self) -> NDArray[np.uint16]:  # [used words]
        """VOI LUT of 16 bits, first value mapped = the first used word after rescale: an S-shaped film curve."""
        step = np.linspace(-1.0, 1.0, self.used[1] - self.used[0] + 1)
        curve = np.tanh(1.3 * (step + 0.15))
        curve = (curve - curve[0]) / (curve[-1] - curve[0])
        return np.asarray(np.rint(curve * 65535), dtype=np.uint16)

    @cached_property
    def display_table(self) -> NDArray[np.float32]:  # [2 ** bits_stored]
        """Display value in [0, 1] of each stored word; padding shows as 0."""
        words = np.arange(2**self.bits_stored, dtype=np.float64)
        slope, intercept = self.rescale or (1.0, 0.0)
        value = slope * words + intercept
        center, width = self.window
        if self.voi == "LUT":
            first = self.modality_range[0]
            index = np.clip(value - first, 0, self.lut.size - 1).astype(np.int64)
            shown = self.lut[index] / 65535.0
        elif self.voi == "SIGMOID":
            shown = 1.0 / (1.0 + np.exp(-4.0 * (value - center) / width))
        elif self.voi == "LINEAR":
            shown = (value - (center - 0.5)) / (width - 1.0) + 0.5
        elif self.voi == "LINEAR_EXACT":
            shown = (value - center) / width + 0.5
        else:  # no VOI: a reader takes the range of the pixels, which are written to fill the used words
            shown = (words - self.used[0]) / (self.used[1] - self.used[0])
        shown = np.clip(shown, 0.0, 1.0)
        if self.photometric == "MONOCHROME1":
            shown = 1.0 - shown
        if self.padding is not None:
            shown[self.padding[0] : self.padding[1] + 1] = 0.0
        return shown.astype(np.float32)

    @cached_property
    def _word_of_level(self) -> NDArray[np.uint16]:  # [_LEVELS]
        words = np.arange(self.used[0], self.used[1] + 1)
        shown = self.display_table[words].astype(np.float64)
        if shown[0] > shown[-1]:
            words, shown = words[::-1], shown[::-1]
        levels = np.arange(_LEVELS) / (_LEVELS - 1)
        above = np.clip(np.searchsorted(shown, levels), 1, shown.size - 1)
        nearer_below = levels - shown[above - 1] < shown[above] - levels
        return np.asarray(words[above - nearer_below], dtype=np.uint16)

    def store(
        self,
        display: NDArray[np.float32],  # [H, W]
        exposed: NDArray[np.bool_],  # [H, W]
    ) -> NDArray[np.uint16]:  # [H, W]
        """Turn display values into stored words; values outside [0, 1] are clipped.

        Where ``exposed`` is false the padding value is stored, or the word for black where the convention pads nothing.
        """
        level = np.clip(display, 0.0, 1.0) * np.float32(_LEVELS - 1) + np.float32(0.5)
        stored = self._word_of_level[level.astype(np.int32)]
        blank = self._word_of_level[0] if self.padding is None else self.padding[0]
        return np.where(exposed, stored, np.uint16(blank))


CONVENTIONS: tuple[Convention, ...] = (
    Convention("Vendor 1", "V1 M100", 12, "MONOCHROME2", "LINEAR", "explicit"),
    Convention("Vendor 1", "V1 M100", 12, "MONOCHROME2", "LINEAR", "jpeg_lossless", (0, 0), None, used=(50, 4095)),
    Convention("Vendor 1", "V1 M200", 12, "MONOCHROME1", "LUT", "jpeg_2000"),
    # Padding 0 in MONOCHROME1 is shown white by readers that invert it with the rest.
    Convention("Vendor 1", "V1 M200", 14, "MONOCHROME1", "LINEAR_EXACT", "implicit", (0, 0), None, used=(200, 16383)),
    Convention("Vendor 2", "V2 X1", 14, "MONOCHROME2", "SIGMOID", "rle", used=(0, 16383)),
    Convention(
        "Vendor 2",
        "V2 X1",
        14,
        "MONOCHROME1",
        "SIGMOID",
        "jpeg_lossless",
        (16383, 16383),
        used=(0, 16000),
    ),
    Convention("Vendor 2", "V2 X2", 12, "MONOCHROME2", "LUT", "explicit", (0, 0), (1.0, 1000.0), used=(96, 4095)),
    Convention("Vendor 2", "V2 X2", 14, "MONOCHROME2", "NONE", "implicit", None, (1.0, 0.0), False, used=(0, 16383)),
    Convention("Vendor 3", "V3 S", 16, "MONOCHROME2", "LINEAR_EXACT", "jpeg_2000", None, None, used=(0, 65535)),
    Convention(
        "Vendor 3",
        "V3 S",
        16,
        "MONOCHROME1",
        "LINEAR",
        "explicit",
        (0, 15),
        (0.5, -1000.0),
        False,
        used=(1000, 61000),
    ),
    Convention("Vendor 3", "V3 T", 12, "MONOCHROME2", "LINEAR", "rle", (0, 0), (2.0, -100.0), used=(30, 4000)),
    Convention("Vendor 3", "V3 T", 16, "MONOCHROME1", "NONE", "jpeg_lossless", (0, 0), None, True, used=(64, 65535)),
)
