"""Reads the degradation language; `grammar` defines what each form means."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from fastrace.degrade.grammar import (
    CLEAN,
    GRID,
    Blur,
    Clip,
    Degradation,
    Filter,
    Noise,
    Operation,
    Patch,
    Resolution,
    Variant,
    shortest,
)
from fastrace.errors import UsageError

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+")
_LARGEST = 1e6  # beyond any image; keeps printed numbers free of "e+", since "+" composes


def parse(text: str, variant: Variant = "corrected") -> Degradation:
    """Read a degradation.

    Parameters
    ----------
    text : str
        See `grammar`. Numbers print back in their shortest form (``50.0`` as ``50``).
    variant : "corrected" | "released-code"
        `Degradation.check`, which has the size of the images, refuses what the variant cannot do.

    Raises
    ------
    UsageError
        With the place and what was expected there.
    """
    if text.strip() == "none":
        return replace(CLEAN, variant=variant)
    steps: list[Operation] = []
    start = 0
    for part in text.split("+"):
        words = _Words(text, part, start)
        start += len(part) + 1
        kind = words.kind
        if kind in ("lowpass", "highpass", "band", "notch"):
            steps.append(Filter(kind, *words.edges()))  # type: ignore[arg-type]
        elif kind == "noise":
            name = words.choice(1, ("gaussian", "poisson", "speckle", "salt_pepper"))
            share = name in ("poisson", "salt_pepper")
            amount = words.number(2, "above 0 and at most 1" if share else "above 0", 1 if share else _LARGEST)
            steps.append(Noise(name, amount))  # type: ignore[arg-type]
        elif kind == "blur":
            steps.append(Blur(words.number(1, "sigma in pixels above 0")))
        elif kind == "clip":
            steps.append(Clip(words.number(1, "a display value above 0 and at most 1", 1)))
        elif kind == "resolution":
            steps.append(Resolution(words.integer(1, "a whole number of pixels, 1 or more", 1, 100_000)))
        else:
            action = words.choice(1, ("keep", "remove"))
            steps.append(Patch(action, words.integer(2, "a tile from 0 to 8", 0, GRID * GRID - 1)))  # type: ignore[arg-type]
        words.end()
    return Degradation(tuple(steps), variant)


def read(degradation: str | Degradation) -> Degradation:
    """A degradation, given as its text or as itself."""
    return degradation if isinstance(degradation, Degradation) else parse(degradation)


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
    """One operation being read: its words, and the position of each in the whole text."""

    text: str
    part: str
    start: int
    kind: str = field(init=False)
    words: list[tuple[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.words = []
        place = self.start
        for word in self.part.split(":"):
            self.words.append((word, place))
            place += len(word) + 1
        self.kind = self.words[0][0]
        if self.kind == "roi":
            raise self.fail(0, "a degradation without masks (roi is not available yet)")
        if self.kind not in _USAGE:
            raise self.fail(0, f"one of {', '.join(_USAGE)}, none")

    def fail(self, index: int, expected: str) -> UsageError:
        word, place = self.words[index] if index < len(self.words) else ("", self.start + len(self.part))
        got = f"got {word!r}" if word else "nothing is there"
        return UsageError(f"--degrade {self.text}: at character {place + 1} expected {expected}, {got}")

    def edges(self) -> tuple[float, float, bool]:
        """Low, high, and whether they are in lp/mm."""
        last, place = self.words[-1]
        per_mm = last.endswith("lp/mm")
        if per_mm:
            self.words[-1] = (last.removesuffix("lp/mm").rstrip(), place)
        if self.kind in ("lowpass", "highpass"):
            edge = self.number(1, "an edge above 0 in cycles/image, or in lp/mm with that unit behind it")
            return (0.0, edge, per_mm) if self.kind == "lowpass" else (edge, math.inf, per_mm)
        low = self.number(1, "a low edge, 0 or more", zero=True)
        high = self.number(2, f"a high edge above {shortest(low)}")
        if high <= low:
            raise self.fail(2, f"a high edge above the low edge {shortest(low)}")
        return low, high, per_mm

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

    def end(self) -> None:
        count = 1 + _USAGE[self.kind].partition(" or ")[0].count(":")
        if len(self.words) > count:
            raise self.fail(count, f"the end or '+' ({_USAGE[self.kind]})")
