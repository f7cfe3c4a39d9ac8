"""What every mutator draws from: numbers at the edges of their types, texts with a planted name, and single bytes."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np

CANARY = "QXMUELLER"
"""A name that is put into attributes; it must appear in no message, no output and no column that leaves the private folder."""

EDGES = (
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    17,
    31,
    32,
    127,
    128,
    255,
    256,
    4095,
    4096,
    32767,
    32768,
    65534,
    65535,
    1 << 16,
    (1 << 24) + 1,
)
HUGE = (1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1)
TEXTS = (
    f"{CANARY}^Eva", f"{CANARY} Eva 1933", "", " ", "\\", "\\\\\\", "0", "-1", "1e400", "-1e308", "nan", "inf", "0.0", "1,5",
    "1\\2\\3", "9" * 300, "\x1b$B", "\0\0", "é" * 40, "MONOCHROME1", "MONOCHROME2", "SIGMOID", "YES", "2147483648", "0x10",
)  # fmt: skip


@cache
def bomb(size: int, raw: bool = False) -> bytes:
    """Return `size` zeros deflated: a thousandth of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    return packer.compress(bytes(size)) + packer.flush()


def number(rng: np.random.Generator) -> int:
    """Draw a number that is likely to be at an edge."""
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.choice(HUGE))
    return int(rng.choice(EDGES)) if kind < 3 else int(rng.integers(0, 1 << 16))


def text(rng: np.random.Generator) -> bytes:
    """Draw a text, sometimes repeated to a great length."""
    found = TEXTS[rng.integers(len(TEXTS))].encode("utf-8")
    return found * int(rng.choice((1, 1, 1, 1, 50, 5000)))


def flip(rng: np.random.Generator, content: bytes, reach: int | None = None) -> bytes:
    """Change one to eight bytes."""
    changed = bytearray(content)
    if changed:
        for place in rng.integers(0, min(len(changed), reach or len(changed)), rng.integers(1, 9)):
            changed[place] = rng.integers(256)
    return bytes(changed)


def cut(rng: np.random.Generator, content: bytes) -> bytes:
    """Leave out the end, or a piece in the middle, or put a piece in twice."""
    if not content:
        return content
    first, last = sorted(rng.integers(0, len(content), 2))
    kind = rng.integers(3)
    if kind == 0:
        return content[:last]
    return content[:first] + content[last:] if kind == 1 else content[:last] + content[first:last] + content[last:]
