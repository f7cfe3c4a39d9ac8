"""Stored values -> display values, numbers only (PS3.3 C.11.1, C.11.2; the parameters are found by `fastrace.dicom.select`).

    value   = sign-extended bits of the word
    output  = slope * value + intercept              (Modality LUT module, or its LUT)
    y       = VOI(output) in [0, 1]                  (LINEAR, LINEAR_EXACT, SIGMOID, or a VOI LUT)
    display = 1 - y if inverted else y               (MONOCHROME1 or Presentation LUT Shape INVERSE: one inversion)
    display = 0 where the value is padding           (background after inversion)

A value has at most 16 bits, so the whole chain is a function of at most 65536 values: it becomes one table, or one affine
map where that is the same function, and every VOI costs the window kernel the same single pass. Nothing here reads a
data set, and nothing resizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastrace.dicom.voi import VoiFunction
from fastrace.dicom.words import Words, histogram
from fastrace.errors import RejectedInput

if TYPE_CHECKING:
    from fastrace.kernels.window import Transfer

# scale * value and offset in float32 are off by 2**-24 of their size each: below this size their sum errs by less than
# a quarter of a 16-bit step. Beyond it (a narrow window on a wide range) the table is used.
_LARGEST_AFFINE_TERM = 32.0
ROBUST_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, eq=False)
class Lut:
    """A lookup table of the Modality or VOI LUT Sequence (PS3.3 C.11.1.1).

    Parameters
    ----------
    first : int
        Input value mapped to the first entry; below it the first entry holds, above the last the last.
    entries : numpy.ndarray
        uint16 [n], n in 1..65536.
    bits : int
        Bits of an entry, 8-16: the largest output is 2**bits - 1.
    """

    first: int
    entries: np.ndarray
    bits: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Map values, float64 in and out; a fractional input takes the nearest entry."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)].astype(np.float64)


@dataclass(frozen=True)
class Rescale:
    """output = slope * value + intercept, slope not 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Map values, float64 in and out."""
        return self.slope * np.asarray(values, np.float64) + self.intercept


@dataclass(frozen=True)
class Window:
    """Window Center and Width with a VOI LUT Function (PS3.3 C.11.2.1.2, C.11.2.1.3), output in [0, 1].

    Parameters
    ----------
    center, width : float
        In output units of the modality transform; width as `fastrace.dicom.voi.is_width_valid` demands.
    function : {"LINEAR", "LINEAR_EXACT", "SIGMOID"}
        LINEAR is the one with ``center - 0.5`` and ``width - 1``; with width 1 it is a step.
    """

    center: float
    width: float
    function: VoiFunction = "LINEAR"

    def __call__(self, outputs: np.ndarray) -> np.ndarray:
        """Map modality outputs to [0, 1], float64 in and out."""
        if self.function == "LINEAR" and self.width == 1:
            return np.where(outputs > self.center - 0.5, 1.0, 0.0)
        with np.errstate(over="ignore"):  # to inf, far from the window: 1 / inf and clip(inf) are the right 0 and 1
            if self.function == "SIGMOID":
                return 1.0 / (1.0 + np.exp(-4.0 * ((outputs - self.center) / self.width)))
            center, width = self._exact()
            return np.clip((outputs - center) / width + 0.5, 0.0, 1.0)

    def affine(self) -> tuple[float, float] | None:
        """Return (scale, offset) of clip(scale * output + offset, 0, 1), None for a step and for SIGMOID."""
        if self.function == "SIGMOID" or (self.function == "LINEAR" and self.width == 1):
            return None
        center, width = self._exact()
        return 1.0 / width, 0.5 - center / width

    def _exact(self) -> tuple[float, float]:
        """Return centre and width of the same window in LINEAR_EXACT."""
        return (self.center - 0.5, self.width - 1.0) if self.function == "LINEAR" else (self.center, self.width)


@dataclass(frozen=True)
class Display:
    """How the stored words of one frame become display values, and where that was found.

    Parameters
    ----------
    words : Words
        Which bits are the value.
    modality : Rescale or Lut
        Modality LUT module.
    voi : Window, Lut or None
        None = the robust range, not measured yet (`with_robust_range`).
    voi_source : str
        "option", "preset", "voi_lut_1" (a higher number where items before it are empty), "window_1", "robust_range" or
        "full_range".
    inverted : bool
        One inversion after the VOI.
    padding : (int, int) or None
        Stored values, both included, that are background.
    """

    words: Words
    modality: Rescale | Lut
    voi: Window | Lut | None
    voi_source: str
    inverted: bool = False
    padding: tuple[int, int] | None = None

    @property
    def output_range(self) -> tuple[float, float]:
        """The least and the largest output of the modality transform that the stored bits, or the LUT's, can express."""
        if isinstance(self.modality, Lut):
            return 0.0, float((1 << self.modality.bits) - 1)
        low = -(1 << (self.words.bits - 1)) if self.words.signed else 0
        ends = self.modality(np.array([low, low + (1 << self.words.bits) - 1], np.float64))
        return float(ends.min()), float(ends.max())

    def table(self) -> np.ndarray:
        """Return the display value of every bit pattern, float64 [2**bits] in [0, 1]."""
        if self.voi is None:
            raise AssertionError("the robust range has not been measured")
        values = self.words.values()
        shown = self.voi(self.modality(values.astype(np.float64)))
        if isinstance(self.voi, Lut):
            shown = shown / ((1 << self.voi.bits) - 1)
        if self.inverted:
            shown = 1.0 - shown
        if self.padding is not None:
            shown = np.where((values >= self.padding[0]) & (values <= self.padding[1]), 0.0, shown)
        return shown

    def affine(self) -> tuple[float, float] | None:
        """Return (scale, offset) of display = clip(scale * value + offset, 0, 1), None where it is not of that form."""
        inner = self.voi.affine() if isinstance(self.voi, Window) else None
        if inner is None or self.padding is not None or isinstance(self.modality, Lut):
            return None
        scale = inner[0] * self.modality.slope
        offset = inner[0] * self.modality.intercept + inner[1]
        if self.inverted:  # 1 - clip(x) = clip(1 - x)
            scale, offset = -scale, 1.0 - offset
        largest = max(abs(scale) * (1 << self.words.bits), abs(offset))
        return (scale, offset) if largest <= _LARGEST_AFFINE_TERM else None

    def transfer(self) -> Transfer:
        """Return the chain as the window kernel takes it: affine where exact, else one float32 table."""
        from fastrace.kernels.window import Transfer  # not at import: it loads torch

        words, affine = self.words, self.affine()
        if affine is None:
            table = self.table().astype(np.float32)
            return Transfer(bits=words.bits, shift=words.shift, signed=words.signed, table=table)
        scale, offset = affine
        return Transfer(bits=words.bits, shift=words.shift, signed=words.signed, scale=scale, offset=offset)


def with_robust_range(display: Display, pixels: np.ndarray) -> Display:
    """Measure the robust range of a frame: percentiles 0.5 and 99.5 of the outputs of pixels that are not padding.

    Exact: the smallest output with at least that share of the pixels at or below it (numpy's ``inverted_cdf``), from a
    histogram of the stored values. Where both percentiles fall on one output (an image that is almost all background),
    the whole range of the pixels is taken.

    Parameters
    ----------
    display : Display
        With ``voi`` None.
    pixels : numpy.ndarray
        Words [rows, columns], uint8 or uint16.

    Raises
    ------
    RejectedInput
        ``constant`` if fewer than two different outputs remain.
    """
    counts = histogram(pixels, display.words)
    values = display.words.values()
    if display.padding is not None:
        counts[(values >= display.padding[0]) & (values <= display.padding[1])] = 0
    present = np.flatnonzero(counts)
    outputs = display.modality(values[present].astype(np.float64))
    order = np.argsort(outputs, kind="stable")
    outputs, reached = outputs[order], np.cumsum(counts[present][order])
    if not len(outputs) or outputs[0] == outputs[-1]:
        raise RejectedInput("constant", "all pixels that are not padding are equal: there is no range to show")
    ranks = [max(1, math.ceil(percent * 10 * int(reached[-1]) / 1000)) for percent in ROBUST_PERCENTILES]
    low, high = (float(outputs[np.searchsorted(reached, rank)]) for rank in ranks)
    if low == high:
        low, high = float(outputs[0]), float(outputs[-1])
    return replace(display, voi=between(low, high))


def between(low: float, high: float) -> Window:
    """Return the window that shows `low` as 0 and `high` as 1."""
    return Window(low / 2 + high / 2, high - low, "LINEAR_EXACT")
