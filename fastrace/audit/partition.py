"""Which patients train a probe and which are scored by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Patients whose labels train a probe, and patients who are scored by it."""

    train: Ints
    test: Ints


@dataclass(frozen=True)
class Partition:
    """How patients are evaluated.

    Attributes
    ----------
    repeats : tuple of tuple of Fold
        Each repeat scores every patient of ``scored`` once; their scores are averaged.
    scored : ndarray [T] int64
        Patients with a score, ascending.
    refit : bool
        Whether a permutation test permutes all labels and fits again. False where the features themselves were learned from
        labels of the training patients: then the labels of the scored patients alone are permuted.
    """

    repeats: tuple[tuple[Fold, ...], ...]
    scored: Ints
    refit: bool = True


def cross_fit(order: Sequence[Ints], folds: int) -> tuple[Fold, ...]:
    """Assign the patients of each cell, in their given order, to folds one after the other.

    Parameters
    ----------
    order : sequence of ndarray
        Patients of every attribute x site, ranked by a keyed hash.
    folds : int
    """
    total = sum(map(len, order))
    fold = np.empty(total, dtype=np.int64)
    assigned = 0
    for members in order:
        fold[members] = (assigned + np.arange(len(members))) % folds
        assigned += len(members)
    return tuple(Fold(np.flatnonzero(fold != j), np.flatnonzero(fold == j)) for j in range(folds))
