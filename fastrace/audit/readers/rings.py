"""Rings of the Fourier plane, and which columns of the built-in features belong to which.

The edges hold the study's cut-offs and third octaves, so every radial filter of an audit keeps whole rings: its image is the
sum of its rings. A column belongs to a family (spectrum, tiles, peaks, pixels, histogram, and the two of `patches`); a probe
gives families equal weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.frequencies import OCTAVE, largest_radius, ring_edges
from fastrace.audit.readers.patches import COARSE, FINE
from fastrace.degrade.grammar import CLEAN, Degradation, Filter

FAMILIES = ("spectrum", "tiles", "peaks", "pixels", "histogram", COARSE, FINE)
SECTORS, GRID, POOLS = 4, 3, (4, 8, 16)
LINEAR_BINS, OCTAVE_BINS = 16, 11
"""16 bins over [0, 1]; beside them, for images without a mean, octaves from 2^-11 to 1 for each sign, and around zero."""
HISTOGRAM = LINEAR_BINS + 2 * OCTAVE_BINS + 2
PIXELS = sum(side * side for side in POOLS)
PER_RING = 1 + SECTORS + GRID * GRID
PEAK_GRID, PER_OCTAVE = 8, 4


def part_columns(keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Columns of the parts of a `Sweep` that belong to the kept rings, and to octaves of three kept rings (not the mean's)."""
    octaves = keep[1:-2] & keep[2:-1] & keep[3:] if len(keep) > OCTAVE else keep[:0]
    return np.concatenate([np.repeat(keep, PER_RING), np.repeat(octaves, PER_OCTAVE)])


def families(keep: NDArray[np.bool_], *, values: bool = True) -> NDArray[np.str_]:
    """Family of every column of a table: the kept parts, then, unless ``values`` is False, pixels and histogram."""
    octaves = max(len(keep) - OCTAVE, 0)
    parts = (["spectrum"] * (1 + SECTORS) + ["tiles"] * (GRID * GRID)) * len(keep) + ["peaks"] * (PER_OCTAVE * octaves)
    return np.concatenate(
        [
            np.array(parts)[part_columns(keep)],
            np.array((["pixels"] * PIXELS + ["histogram"] * HISTOGRAM) * values, dtype=str),
        ]
    )


def filter_of(degradation: Degradation) -> Filter | None:
    """The radial filter in cycles/image that this degradation is, if it is one and nothing else."""
    if len(degradation.steps) == 1 and isinstance(degradation.steps[0], Filter) and not degradation.steps[0].per_mm:
        return degradation.steps[0]
    return None


def radial(degradation: Degradation) -> bool:
    """Whether all its images come from the rings of the unchanged ones."""
    return degradation == CLEAN or filter_of(degradation) is not None


def rings_of(step: Filter, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which rings a filter keeps.

    Raises
    ------
    ValueError
        If an edge of the filter is no edge of a ring.
    """
    edges = np.asarray(ring_edges(size))
    for edge in (step.low, step.high):
        if edge not in edges and edge <= largest_radius(size):
            raise ValueError(f"{step}: {edge:g} cycles/image is no edge of a ring at {size[0]}x{size[1]}")
    inside = (edges[:-1] >= step.low) & (edges[1:] <= max(step.high, 0))
    inside |= (edges[:-1] >= step.low) & (edges[:-1] < step.high) & (step.high > largest_radius(size))
    return ~inside if step.kind == "notch" else inside
