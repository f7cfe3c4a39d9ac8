"""The built-in features as a feature set: what they see, and what they do not. `sweep` computes them."""

from __future__ import annotations

import numpy as np

from fastrace.audit.document import FeatureSet
from fastrace.audit.frequencies import largest_radius, ring_edges
from fastrace.audit.partition import FEW_PATIENTS, FOLDS, REPEATS
from fastrace.audit.readers.patches import CELLS, COARSE, FEWER, FILTERS, FINE, coarse_size
from fastrace.audit.readers.rings import families

BUILT_IN = "built-in"


def built_in(size: tuple[int, int], patients: int) -> FeatureSet:
    """The built-in features for images of one size and so many patients."""
    rings = len(ring_edges(size)) - 1
    repeats = f", {REPEATS} times" if patients < FEW_PATIENTS else ""
    return FeatureSet(
        name=BUILT_IN,
        dimensions=len(families(np.ones(rings, dtype=bool))) + 2 * CELLS * sum(FILTERS.values()),
        learned_from_labels=False,
        evaluation=f"{FOLDS}-fold cross-fitting{repeats}, all patients, compared within folds",
        sees=f"power, its orientation and place (3 x 3 tiles) in {rings} rings, and peaks in octaves, up to "
        f"{largest_radius(size):.0f} cycles/image, brightness on grids up to 16 x 16, the histogram, and how strongly "
        f"{FILTERS[COARSE]} random patches of these images answer in 3 x 3 parts at {max(coarse_size(size))} pixels, and "
        f"{FILTERS[FINE]} at full size ({FEWER} and none in degraded images)",
        # docs/phantoms.md, 20 archives of each kind; docs/patches.md.
        blind_to="where something is, finer than its grids, and most phase relations between places; on computed phantoms it "
        "read texture, patch and intensity leaks nearly always, a phase-only leak in one archive of three",
    )
