"""Anatomy-like backgrounds: a breast against the chest wall, a chest seen from behind. Shapes differ per patient.

Lengths are fractions of the long side of the image; display values 0 (black) to 1 (white), dense tissue bright. All edges
are soft: a sharp one would put power into every band. It is a phantom for frequency and display, not for diagnosis:
there are no lesions, no vessels and no letters on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
F32 = NDArray[np.float32]

AIR = 0.01
"""Display value beside the body."""
GLAND = (0.0, 0.16)
"""Brightness of the gland over fat, display units: uniform between patients."""
AERATION = (0.24, 0.34)
"""How much darker than soft tissue the lungs are, display units: uniform between patients."""


@dataclass(frozen=True)
class Anatomy:
    """One image without texture and noise.

    Attributes
    ----------
    level : numpy.ndarray [H, W] float32
        Smooth display value.
    mask : numpy.ndarray [H, W] float32
        0 in air, 1 in tissue: the amplitude of texture and leak.
    feature : numpy.ndarray [H, W] float32
        What `level` gains where the smooth feature of this body (gland of a breast, haze of the lungs) grows by one
        display unit, 0 to 1.
    exposed : numpy.ndarray [H, W] bool
        False in the border that the collimator or the vendor's mask blanks; display value 0 there.
    """

    level: F32
    mask: F32
    feature: F32
    exposed: NDArray[np.bool_]


def _grid(size: Size) -> tuple[F32, F32]:
    """Distance from the left edge [1, W] and from the middle row [H, 1], in fractions of the long side."""
    height, width = size
    x = (np.arange(width, dtype=np.float32) + 0.5)[None, :] / max(size)
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2)[:, None] / max(size)
    return x.astype(np.float32), y.astype(np.float32)


def _smoothstep(value: F32) -> F32:
    clipped = np.clip(value, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped), dtype=np.float32)


def _sigmoid(value: F32) -> F32:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)), dtype=np.float32)


@dataclass(frozen=True)
class Breast:
    """What stays the same between the images of one patient; see `draw` for the ranges."""

    depth: float
    half_height: float
    roundness: float
    level: float
    gland: float
    skin: float

    @classmethod
    def draw(cls, size: Size, rng: np.random.Generator) -> Breast:
        """Draw a patient. The breast ends at, or just outside, top and bottom of the image: see `fastrace.phantom.spec`."""
        field = size[1] / max(size)
        return cls(
            depth=float(rng.uniform(0.42, 0.62)) * field,
            half_height=float(rng.uniform(0.5, 0.53)),
            roundness=float(rng.uniform(2.0, 2.7)),
            level=float(rng.uniform(0.42, 0.54)),
            gland=float(rng.uniform(*GLAND)),
            skin=float(rng.uniform(0.03, 0.06)),
        )

    def image(self, size: Size, laterality: str, view: str, rng: np.random.Generator) -> Anatomy:
        """Compute one view: ``laterality`` "L" has the chest wall at the left edge of the image, "R" at the right."""
        x, y = _grid(size)
        depth = self.depth * float(rng.uniform(0.96, 1.04))
        sag = float(rng.uniform(0.05, 0.15)) if view == "MLO" else float(rng.uniform(-0.05, 0.05))
        radius = np.sqrt(
            np.abs((y - sag * x) / self.half_height) ** self.roundness + (x / depth) ** 2, dtype=np.float32
        )
        inward = 1.0 - radius  # 0 on the skin, 1 in the middle of the chest wall
        mask = _smoothstep(inward / np.float32(0.16))
        gland = np.exp(-(((x - 0.45 * depth) / (0.35 * depth)) ** 2) - (y / (0.5 * self.half_height)) ** 2)
        skin = np.exp(-(((inward - 0.05) / 0.03) ** 2))
        level = AIR + mask * (self.level - AIR + self.gland * gland) + self.skin * skin
        if view == "MLO":  # the pectoral muscle fills the upper corner at the chest wall
            reach, drop = float(rng.uniform(0.16, 0.24)), float(rng.uniform(0.4, 0.65))
            level = level + mask * 0.12 * _sigmoid((1.0 - x / reach - (y + 0.5) / drop) / np.float32(0.12))
        blank = round(float(rng.uniform(0.0, 0.06)) * size[1])
        exposed = np.ones(size, dtype=bool)
        exposed[:, size[1] - blank :] = False
        feature = mask * gland
        if laterality == "R":
            level, mask, feature, exposed = level[:, ::-1], mask[:, ::-1], feature[:, ::-1], exposed[:, ::-1]
        return Anatomy(
            np.ascontiguousarray(level, np.float32),
            np.ascontiguousarray(mask),
            np.ascontiguousarray(feature, np.float32),
            np.ascontiguousarray(exposed),
        )


@dataclass(frozen=True)
class Chest:
    """What stays the same between the images of one patient; see `draw` for the ranges."""

    lung_width: float
    lung_height: float
    apart: float
    heart: float
    level: float
    aeration: float
    ribs_cycles: float

    @classmethod
    def draw(cls, size: Size, rng: np.random.Generator) -> Chest:
        """Draw a patient."""
        field = min(size) / max(size)
        return cls(
            lung_width=float(rng.uniform(0.14, 0.18)) * field,
            lung_height=float(rng.uniform(0.27, 0.35)),
            apart=float(rng.uniform(0.2, 0.24)) * field,
            heart=float(rng.uniform(0.1, 0.15)) * field,
            level=float(rng.uniform(0.55, 0.63)),
            aeration=float(rng.uniform(*AERATION)),
            ribs_cycles=float(rng.uniform(7.0, 10.0)),
        )

    def image(self, size: Size, laterality: str, view: str, rng: np.random.Generator) -> Anatomy:
        """Compute one posterior-anterior view; the patient's left is at the right of the image."""
        x, y = _grid(size)
        height, width = (side / max(size) for side in size)
        x = x - width / 2 - float(rng.uniform(-0.01, 0.01))
        y = y - float(rng.uniform(-0.02, 0.02))
        # Shoulders: the body begins below a curve that falls towards the sides.
        body = _smoothstep((y + 0.47 * height - 1.1 * x * x / width) / np.float32(0.06))
        lungs = np.zeros(size, dtype=np.float32)
        for side in (-1.0, 1.0):
            across = (x - side * self.apart) / self.lung_width
            along = (y + 0.03 * height) / (self.lung_height * height)
            lungs = lungs + _smoothstep((1.0 - np.sqrt(across**2 + np.abs(along) ** 3)) / np.float32(0.35))
        heart = np.exp(-(((x - 0.3 * self.heart) / self.heart) ** 2) - ((y - 0.14 * height) / 0.13) ** 2)
        spine = np.exp(-((x / (0.07 * width)) ** 2))
        ribs = 0.02 * np.sin(2 * np.pi * self.ribs_cycles * (y + 0.5 * np.abs(x)))
        level = self.level - lungs * (self.aeration - ribs) + 0.1 * spine + 0.14 * heart * (1.0 - 0.3 * spine)
        level = AIR + body * (level - AIR)
        exposed = np.ones(size, dtype=bool)
        top, bottom, left, right = (round(float(rng.uniform(0.0, 0.04)) * max(size)) for _ in range(4))
        exposed[:top], exposed[size[0] - bottom :] = False, False
        exposed[:, :left], exposed[:, size[1] - right :] = False, False
        return Anatomy(np.ascontiguousarray(level, np.float32), body, body * lungs, exposed)
