"""The frequency axis of an audit: the study's cut-offs and third octaves, for images of one size."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

STUDY_EDGES = (1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 125.0, 150.0, 200.0)
"""The study's cut-offs, cycles/image at 224 x 224 (its "diameters" are radii)."""
OCTAVE_THIRDS = (
    *(1, 2, 3, 4, 5, 6.3, 8, 10, 12.5, 16, 20, 25, 31.5, 40, 50, 63, 80),
    *(100, 125, 160, 200, 250, 315, 400, 500),
)
"""Preferred numbers R10 (ISO 3), rounded where third octaves are finer than the Fourier grid."""
OCTAVE = 3  # rings, roughly


def largest_radius(size: tuple[int, int]) -> float:
    """Radius of the coefficient farthest from DC, cycles/image."""
    height, width = size
    return float(np.hypot((height // 2) / height, (width // 2) / width) * max(size))


@lru_cache(maxsize=16)
def ring_edges(size: tuple[int, int]) -> tuple[float, ...]:
    """Edges of the rings for images of one size: 0, every cut-off below the largest radius, infinity."""
    inside = {float(edge) for edge in (*STUDY_EDGES, *OCTAVE_THIRDS) if edge <= largest_radius(size)}
    return (0.0, *sorted(inside), np.inf)
