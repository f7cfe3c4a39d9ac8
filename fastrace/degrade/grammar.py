"""Degradations: what is taken from an image before a model sees it, as a small language.

The same string is used on the command line, in run folders and in reports::

    lowpass:50  highpass:100  band:10:50  notch:10:50     cycles per image, lower edge kept, upper edge not
    band:0.5:2lp/mm                                       line pairs per millimetre, converted for each image
    blur:2                                                Gaussian, sigma in pixels
    noise:gaussian:0.1  noise:poisson:0.25  noise:speckle:0.1  noise:salt_pepper:0.05
    resolution:64                                         pixels on the longer side
    clip:0.6                                              display values above 0.6 become 0.6
    patch:keep:4  patch:remove:4                          tiles of a 3 x 3 grid, 0 to 8, row by row; 4 is the centre
    none                                                  the image as it is
    blur:2+noise:gaussian:0.1                             one after the other, from left to right

Regions (``roi:``) need masks and are not built.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from fastrace.errors import UsageError

BLUR_TRUNCATE = 4.0  # sigmas; what is cut off weighs 6e-5
GRID = 3

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+")
_LARGEST = 1e6  # beyond any image; keeps printed numbers free of "e+", since "+" composes


@dataclass(frozen=True)
class Filter:
    """An ideal radial filter that keeps ``low <= r < high``; the notch keeps the rest."""

    kind: Literal["lowpass", "highpass", "band", "notch"]
    low: float
    high: float
    per_mm: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{':'.join(self._edges())}{'lp/mm' if self.per_mm else ''}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words, with cycles per pixel when the image size is known."""
        text = f"{self.kind} {':'.join(self._edges())} {'lp/mm' if self.per_mm else 'cycles/image'}"
        if self.per_mm:
            return f"{text} (converted for each image by its mm per pixel)"
        if size is None:
            return text
        longest = max(size)
        per_pixel = "-".join(f"{float(edge) / longest:.3f}" for edge in self._edges())
        return f"{text} = {per_pixel} cycles/pixel at {longest}"

    def _edges(self) -> list[str]:
        edges = {"lowpass": (self.high,), "highpass": (self.low,)}.get(self.kind, (self.low, self.high))
        return [_number(edge) for edge in edges]


@dataclass(frozen=True)
class Blur:
    """A Gaussian of one image at a time, cut at four sigma, edges mirrored (the edge pixel repeated)."""

    sigma_pixels: float

    def __str__(self) -> str:
        return f"blur:{_number(self.sigma_pixels)}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words."""
        return f"blur sigma {_number(self.sigma_pixels)} pixels (Gaussian cut at {BLUR_TRUNCATE:g} sigma)"


@dataclass(frozen=True)
class Noise:
    """Counter-based noise; ``amount`` is sigma, a dose fraction, or the share of pixels replaced."""

    kind: Literal["gaussian", "poisson", "speckle", "salt_pepper"]
    amount: float

    def __str__(self) -> str:
        return f"noise:{self.kind}:{_number(self.amount)}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words, with the variance beside sigma."""
        amount = _number(self.amount)
        variance = f"sigma {amount} (variance {self.amount**2:.4g})"
        what = {"gaussian": variance, "speckle": variance, "poisson": f"at dose fraction {amount}"}
        return f"noise {self.kind} {what.get(self.kind, f'on a share {amount} of the pixels')}"


@dataclass(frozen=True)
class Resolution:
    """Exact area averaging to ``side_pixels`` on the longer side, then bilinear back to the original size."""

    side_pixels: int

    def __str__(self) -> str:
        return f"resolution:{self.side_pixels}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words."""
        return f"resolution {self.side_pixels} pixels on the longer side (area down, bilinear up)"


@dataclass(frozen=True)
class Clip:
    """Display values above ``level`` become ``level``; the display range is [0, 1], so 0.6 is 60 % of full white."""

    level: float

    def __str__(self) -> str:
        return f"clip:{_number(self.level)}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words."""
        return f"clip display values above {_number(self.level)}"


@dataclass(frozen=True)
class Patch:
    """One tile of a 3 x 3 grid kept or removed, the rest or the tile set to 0; the tiles cover the whole image."""

    action: Literal["keep", "remove"]
    tile: int

    def __str__(self) -> str:
        return f"patch:{self.action}:{self.tile}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words."""
        row, column = divmod(self.tile, GRID)
        return f"patch {self.action} tile {self.tile} (row {row + 1}, column {column + 1} of {GRID} x {GRID}), fill 0"


Step: TypeAlias = Filter | Blur | Noise | Resolution | Clip | Patch


@dataclass(frozen=True)
class Degradation:
    """A sequence of steps; ``str`` gives the string that `parse` reads back to an equal value."""

    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return "+".join(map(str, self.steps)) or "none"

    def __add__(self, other: Degradation) -> Degradation:
        return Degradation(self.steps + other.steps)

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words: ``band 10:50 cycles/image = 0.045-0.223 cycles/pixel at 224``."""
        return ", then ".join(step.describe(size) for step in self.steps) or "none"

    @property
    def slug(self) -> str:
        """The string as a folder name: ``band-10-50``."""
        return re.sub(r"[^a-z0-9.+_]+", "-", str(self).replace("lp/mm", "lpmm"))

    @property
    def needs_spacing(self) -> bool:
        """Whether mm per pixel must be known."""
        return any(isinstance(step, Filter) and step.per_mm for step in self.steps)

    def check(self, size: tuple[int, int], mm_per_pixel: np.ndarray | None) -> None:
        """Refuse what cannot be done to images of this size and spacing.

        Parameters
        ----------
        size : (int, int)
            Rows and columns.
        mm_per_pixel : ndarray [N] or None
            NaN where unknown.

        Raises
        ------
        UsageError
        """
        for step in self.steps:
            if isinstance(step, Resolution) and step.side_pixels > max(size):
                raise UsageError(
                    f"--degrade {self}: {step} is larger than the images of the dataset ({size[0]}x{size[1]}); "
                    "preprocess at a larger --size"
                )
        if self.needs_spacing:
            unknown = "all" if mm_per_pixel is None else int((~np.isfinite(mm_per_pixel)).sum())
            if unknown:
                total = "" if mm_per_pixel is None else f" of {len(mm_per_pixel)}"
                raise UsageError(
                    f"--degrade {self}: lp/mm needs the mm per pixel of every image, unknown for {unknown}{total}; "
                    "give the edges in cycles/image (leave lp/mm out)"
                )


CLEAN = Degradation()


def parse(text: str) -> Degradation:
    """Read a degradation.

    Parameters
    ----------
    text : str
        See the top of this module. Numbers print back in their shortest form (``50.0`` as ``50``).

    Raises
    ------
    UsageError
        With the place and what was expected there.
    """
    if text.strip() == "none":
        return CLEAN
    steps = []
    start = 0
    for part in text.split("+"):
        steps.append(_Words(text, part, start).step())
        start += len(part) + 1
    return Degradation(tuple(steps))


_USAGE = {
    "lowpass": "lowpass:EDGE",
    "highpass": "highpass:EDGE",
    "band": "band:LOW:HIGH",
    "notch": "notch:LOW:HIGH",
    "blur": "blur:SIGMA",
    "noise": "noise:KIND:AMOUNT",
    "resolution": "resolution:PIXELS",
    "clip": "clip:LEVEL",
    "patch": "patch:keep:TILE or patch:remove:TILE",
}


@dataclass
class _Words:
    """One step being read: its words, and where each stands in the whole text."""

    text: str
    part: str
    start: int
    words: list[tuple[str, int]] = field(init=False)
    per_mm: bool = field(init=False, default=False)
    kind: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.words = []
        place = self.start
        for word in self.part.split(":"):
            self.words.append((word, place))
            place += len(word) + 1

    def fail(self, index: int, expected: str) -> UsageError:
        word, place = self.words[index] if index < len(self.words) else ("", self.start + len(self.part))
        got = f"got {word!r}" if word else "nothing is there"
        return UsageError(f"--degrade {self.text}: at character {place + 1} expected {expected}, {got}")

    def step(self) -> Step:
        kind = self.kind = self.words[0][0]
        if kind == "roi":
            raise self.fail(0, "a degradation without masks (roi is not available yet)")
        if kind not in _USAGE:
            raise self.fail(0, f"one of {', '.join(_USAGE)}, none")
        if kind in ("lowpass", "highpass", "band", "notch"):
            return self.filter(kind)
        if kind == "noise":
            kinds = ("gaussian", "poisson", "speckle", "salt_pepper")
            name = self.choice(1, kinds)
            share = name in ("poisson", "salt_pepper")
            amount = self.number(2, "above 0 and at most 1" if share else "above 0", 1 if share else _LARGEST)
            step: Step = Noise(name, amount)  # type: ignore[arg-type]
        elif kind == "blur":
            step = Blur(self.number(1, "sigma in pixels above 0"))
        elif kind == "clip":
            step = Clip(self.number(1, "a display value above 0 and at most 1", 1))
        elif kind == "resolution":
            step = Resolution(self.integer(1, "a whole number of pixels, 1 or more", 1, 100_000))
        else:
            action = self.choice(1, ("keep", "remove"))
            step = Patch(action, self.integer(2, "a tile from 0 to 8", 0, GRID * GRID - 1))  # type: ignore[arg-type]
        self.end(3 if kind in ("noise", "patch") else 2)
        return step

    def filter(self, kind: str) -> Filter:
        last, place = self.words[-1]
        if last.endswith("lp/mm"):
            self.per_mm = True
            self.words[-1] = (last.removesuffix("lp/mm").rstrip(), place)
        if kind in ("lowpass", "highpass"):
            edge = self.number(1, "an edge above 0 in cycles/image, or in lp/mm with that unit behind it")
            self.end(2)
            low, high = (0.0, edge) if kind == "lowpass" else (edge, math.inf)
            return Filter(kind, low, high, self.per_mm)  # type: ignore[arg-type]
        low = self.number(1, "a low edge, 0 or more", zero=True)
        high = self.number(2, f"a high edge above {_number(low)}")
        if high <= low:
            raise self.fail(2, f"a high edge above the low edge {_number(low)}")
        self.end(3)
        return Filter(kind, low, high, self.per_mm)  # type: ignore[arg-type]

    def number(self, index: int, expected: str, most: float = _LARGEST, zero: bool = False) -> float:
        word = self.words[index][0] if index < len(self.words) else ""
        if not _NUMBER.fullmatch(word):
            raise self.fail(index, f"a number ({expected})")
        value = float(word)
        if not (0 < value <= most or (zero and value == 0)):
            raise self.fail(index, f"a number ({expected})")
        return value

    def integer(self, index: int, expected: str, least: int, most: int) -> int:
        word = self.words[index][0] if index < len(self.words) else ""
        if not (word.isascii() and word.isdigit() and least <= int(word) <= most):
            raise self.fail(index, expected)
        return int(word)

    def choice(self, index: int, choices: tuple[str, ...]) -> str:
        word = self.words[index][0] if index < len(self.words) else ""
        if word not in choices:
            raise self.fail(index, f"one of {', '.join(choices)}")
        return word

    def end(self, count: int) -> None:
        if len(self.words) > count:
            raise self.fail(count, f"the end or '+' ({_USAGE[self.kind]})")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
