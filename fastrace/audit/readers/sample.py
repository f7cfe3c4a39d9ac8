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
"""Patients of each class whose coarser and noisy images are read by the built-in features."""
NETWORKS = 750
"""Patients of each class whose degraded images are shown to networks. A small one takes 2.2 ms of a core for 224 x 224 pixels,
so that 36 degradations of 10,000 would take 13 minutes."""


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
        """Draw patients of every class."""
        order = np.random.default_rng((seed, 7010)).permutation(len(labels))
        other, networks = (
            np.sort(np.concatenate([order[labels[order] == k][:most] for k in np.unique(labels)]))
            for most in (OTHER, NETWORKS)
        )
        return cls(other, networks, len(labels))

    def inside(self, of: Ints) -> NDArray[np.bool_]:  # [P]
        """Which patients are in one of the two."""
        return np.isin(np.arange(self.patients), of)

    def said(self, of: Ints, what: str) -> str:
        """For the report; empty where they are all."""
        return "" if len(of) == self.patients else f"; {what} images of {len(of):,} patients, drawn from the seed"
