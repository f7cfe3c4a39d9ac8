"""Degradations: what is taken from an image before a model sees it, as values that print themselves.

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

A degradation also carries its variant: ``corrected`` does what the study's text states, ``released-code`` what its code did
(`released`), which takes one filter in cycles per image, then one patch, then one clip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from fastrace.errors import UsageError
from fastrace.kernels import radii

Variant: TypeAlias = Literal["corrected", "released-code"]

BLUR_TRUNCATE = 4.0  # sigmas; what is cut off weighs 6e-5
GRID = 3


def shortest(value: float) -> str:
    """Shortest form: ``50``, ``0.5``."""
    return str(int(value)) if value == int(value) else repr(float(value))


@dataclass(frozen=True)
class Filter:
    """A radial filter that keeps ``low <= r < high``; the notch keeps the rest.

    Attributes
    ----------
    radial : radii.Filter
        What the kernels take: made once, here. Its cut-offs are in lp/mm where `per_mm` is true.
    """

    kind: Literal["lowpass", "highpass", "band", "notch"]
    low: float
    high: float
    per_mm: bool = False
    radial: radii.Filter = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "radial", radii.Filter(self.low, self.high, self.kind == "notch"))

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
        return [shortest(edge) for edge in edges]


@dataclass(frozen=True)
class Blur:
    """A Gaussian of one image at a time, cut at four sigma, edges mirrored (the edge pixel repeated)."""

    sigma_pixels: float

    def __str__(self) -> str:
        return f"blur:{shortest(self.sigma_pixels)}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words."""
        return f"blur sigma {shortest(self.sigma_pixels)} pixels (Gaussian cut at {BLUR_TRUNCATE:g} sigma)"


@dataclass(frozen=True)
class Noise:
    """Counter-based noise; ``amount`` is sigma, a dose fraction, or the share of pixels replaced."""

    kind: Literal["gaussian", "poisson", "speckle", "salt_pepper"]
    amount: float

    def __str__(self) -> str:
        return f"noise:{self.kind}:{shortest(self.amount)}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words, with the variance beside sigma."""
        amount = shortest(self.amount)
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
        return f"clip:{shortest(self.level)}"

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words."""
        return f"clip display values above {shortest(self.level)}"


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


Operation: TypeAlias = Filter | Blur | Noise | Resolution | Clip | Patch


@dataclass(frozen=True)
class Degradation:
    """A sequence of steps; ``str`` gives the string that `parser.parse` reads back to an equal value, given the variant."""

    steps: tuple[Operation, ...] = ()
    variant: Variant = "corrected"

    def __str__(self) -> str:
        return "+".join(map(str, self.steps)) or "none"

    def __add__(self, other: Degradation) -> Degradation:
        if self.variant != other.variant:
            raise UsageError(f"--degrade {self}+{other}: {self.variant} and {other.variant} cannot follow one another")
        return Degradation(self.steps + other.steps, self.variant)

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words: ``band 10:50 cycles/image = 0.045-0.223 cycles/pixel at 224``."""
        text = ", then ".join(step.describe(size) for step in self.steps) or "none"
        return text if self.variant == "corrected" else f"{text}, as in the released code (values normalised before)"

    @property
    def slug(self) -> str:
        """The string as a folder name: ``band-10-50``, ``released-code-band-10-50``."""
        name = re.sub(r"[^a-z0-9.+_]+", "-", str(self).replace("lp/mm", "lpmm"))
        return name if self.variant == "corrected" else f"{self.variant}-{name}"

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
        if self.variant == "released-code":
            self._check_released(size)
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

    def _check_released(self, size: tuple[int, int]) -> None:
        known = (Filter, Patch, Clip)
        order = [known.index(type(step)) if isinstance(step, known) else -1 for step in self.steps]
        if order != sorted(set(order)) or -1 in order or self.needs_spacing:
            raise UsageError(
                f"--variant released-code --degrade {self}: the released code has one filter in cycles/image (lowpass, "
                "highpass, band, notch), then one patch, then one clip, and nothing else; use --variant corrected"
            )
        if size[0] != size[1] or size[0] % 2:
            raise UsageError(
                f"--variant released-code: images of {size[0]}x{size[1]}, but the released code takes 224x224, and its "
                "circles have their centre on the mean only where images are square with an even side; preprocess with "
                "--size 224x224"
            )


CLEAN = Degradation()
