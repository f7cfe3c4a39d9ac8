"""Which patients train a probe, which are scored by it, and among whom labels may be exchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FOLDS = 5
FEW_PATIENTS, REPEATS = 200, 5
"""Below 200 patients results vary with the dealing to folds: the mean of five is taken."""


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
        Each repeat scores every patient of ``scored`` once, by a probe for each fold. Only patients of one fold are compared;
        AUCs are means over folds and repeats, weighted by the pairs of patients that they compare.
    scored : ndarray [T] int64
        Patients with a score, ascending.
    refit : bool
        Whether a permutation test fits again. False where the features themselves were learned from labels of the training
        patients: then the labels of the scored patients alone are permuted.
    stratified : bool
        Whether the folds were dealt class by class. Then labels are permuted within the folds of the one repeat, since other
        labels would not have been dealt so; otherwise among all patients.
    """

    repeats: tuple[tuple[Fold, ...], ...]
    scored: Ints
    refit: bool = True
    stratified: bool = False

    def __post_init__(self) -> None:
        if self.stratified and len(self.repeats) != 1:
            raise ValueError(
                "folds dealt class by class more than once: no permutation of the labels keeps all of them"
            )

    @cached_property
    def folds(self) -> Ints:
        """[R, T] fold in which each scored patient is compared; numbers of different repeats differ."""
        found = np.empty((len(self.repeats), len(self.scored)), dtype=np.int64)
        number = 0
        for repeat, folds in enumerate(self.repeats):
            for fold in folds:
                found[repeat, np.searchsorted(self.scored, fold.test)] = number
                number += 1
        return found

    def restricted(self, patients: Ints) -> Partition:
        """The same folds with these patients alone; which they are must not follow from any feature."""
        repeats = tuple(
            tuple(Fold(*(rows[np.isin(rows, patients)] for rows in (fold.train, fold.test))) for fold in folds)
            for folds in self.repeats
        )
        return Partition(repeats, self.scored[np.isin(self.scored, patients)], self.refit, self.stratified)

    @property
    def exchangeable(self) -> tuple[Ints, ...]:
        """Groups of patients among whom labels are permuted."""
        if not self.refit:
            return (self.scored,)
        if self.stratified:
            return tuple(fold.test for fold in self.repeats[0])
        return (np.sort(np.concatenate([fold.test for fold in self.repeats[0]])),)


def deal(labels: Ints, rank: Callable[[int], Ints]) -> Partition:
    """Cross-fitting over patients: dealt once and class by class, below 200 patients five times whatever their class.

    So permuted labels are what other labels would have given (`Partition.exchangeable`). Nothing else is spread over the folds on
    purpose: an association of site and class that is chance would then be the same in every fold, and read as a signal.

    Parameters
    ----------
    labels : ndarray [P] int64
    rank : callable
        From the number of a repeat to the patients in a random order, [P].
    """
    stratified = len(labels) >= FEW_PATIENTS
    dealt = []
    for repeat in range(1 if stratified else REPEATS):
        order = rank(repeat)
        cells = [order[labels[order] == k] for k in np.unique(labels)] if stratified else [order]
        dealt.append(cross_fit(cells, FOLDS))
    return Partition(tuple(dealt), np.arange(len(labels)), stratified=stratified)


def deal_at_random(labels: Ints, rng: np.random.Generator) -> Partition:
    """`deal`, in an order drawn for each repeat."""
    return deal(labels, lambda _: rng.permutation(len(labels)))


def cross_fit(order: Sequence[Ints], folds: int) -> tuple[Fold, ...]:
    """Assign the patients of each cell, in their given order, to folds one after the other.

    Parameters
    ----------
    order : sequence of ndarray
        Patients of every class, or all in one, ranked by a keyed hash or drawn.
    folds : int
    """
    total = sum(map(len, order))
    fold = np.empty(total, dtype=np.int64)
    assigned = 0
    for members in order:
        fold[members] = (assigned + np.arange(len(members))) % folds
        assigned += len(members)
    return tuple(Fold(np.flatnonzero(fold != j), np.flatnonzero(fold == j)) for j in range(folds))
