"""The formulas of PS3.3, one pixel at a time, written from its text: what the cases expect. Nothing here is fastrace's.

Everything returns a display value in [0, 1]: 0 black, 1 white.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def linear(x: float, center: float, width: float) -> float:
    """C.11.2.1.2.1, the default: from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2."""
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if x > center - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (center - 0.5)) / (width - 1) + 0.5


def linear_exact(x: float, center: float, width: float) -> float:
    """C.11.2.1.3.2: from c - w / 2 to c + w / 2."""
    if x <= center - width / 2:
        return 0.0
    if x > center + width / 2:
        return 1.0
    return (x - center) / width + 0.5


def sigmoid(x: float, center: float, width: float) -> float:
    """C.11.2.1.3.1."""
    return 1 / (1 + math.exp(-4 * (x - center) / width))


def entry(x: float, first: int, entries: Sequence[int]) -> int:
    """C.11.1.1.1 and C.11.2.1.1: the first entry holds below the first value mapped, the last one above the last."""
    if x < first:
        return entries[0]
    if x >= first + len(entries):
        return entries[-1]
    return entries[round(x) - first]


def part(x: float, low: float, high: float) -> float:
    """The identity where there is no VOI: C.11.6.1, the range of the preceding step becomes the full range."""
    return (x - low) / (high - low)


def bits(x: float, n: int) -> float:
    """The same for what has n bits and no sign: 2**n - 1 is white."""
    return x / (2**n - 1)
