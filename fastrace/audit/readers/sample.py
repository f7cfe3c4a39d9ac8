"""In large archives what is read of images is limited beforehand, and said: an audit of 10,000 patients takes ten minutes.

Unchanged images and radial filters are read of all patients. Coarser and noisy images need transforms of their own, two thirds of
the time; a network sees every degraded image again. They are read of some patients of every class. Who these are follows from
the seed and the classes, and from no image: without a signal their labels are as exchangeable as all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.partition import Ints

OTHER = 2000
"""Patients of each of two classes whose coarser and noisy images are read by the built-in features."""
NETWORKS = 750
"""Patients of each of two classes whose degraded images are shown to networks. A small one takes 2.2 ms of a core for 224 x 224
pixels, so that 36 degradations of 10,000 would take 13 minutes."""
LEAST = 250
"""Of each of several classes, where there are so many."""


@dataclass(frozen=True)
class Sample:
    """Patients of whom less is read.

    Attributes
    ----------
    other : ndarray of int64
        Coarser and noisy images, by the built-in features.
    networks : ndarray of int64
        Degraded images, by networks; some of ``other``.
    patients : int
        All.
    """

    other: Ints
    networks: Ints
    patients: int

    @classmethod
    def of(cls, labels: Ints, seed: int) -> Sample:  # [P]
        """Draw patients of every class.

        Of two classes as many of each. Of several in their proportions: the AUC of a class against the rest depends on who the
        rest are. With 8,000, 1,500 and 500 patients and as many drawn of each, a class that is read at .65 was read at .60.
        """
        order = np.random.default_rng((seed, 7010)).permutation(len(labels))
        sizes = np.bincount(labels)

        def drawn(most: int) -> Ints:
            counts = np.minimum(sizes, most)
            if len(sizes) > 2:
                share = 2 * most / len(labels)
                counts = np.minimum(sizes, np.maximum(np.rint(share * sizes).astype(np.int64), LEAST))
            return np.sort(np.concatenate([order[labels[order] == k][:count] for k, count in enumerate(counts)]))

        return cls(drawn(OTHER), drawn(NETWORKS), len(labels))

    def inside(self, of: Ints) -> NDArray[np.bool_]:  # [P]
        """Which patients are in one of the two."""
        return np.isin(np.arange(self.patients), of)

    def said(self, of: Ints, what: str) -> str:
        """For the report; empty where they are all."""
        return "" if len(of) == self.patients else f"; {what} images of {len(of):,} patients, drawn from the seed"
