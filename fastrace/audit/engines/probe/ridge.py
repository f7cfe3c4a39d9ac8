"""Ridge regressions of all folds, decomposed once and ready for any labels.

Families of very different size and strength are not one regression: each has its own, with its own penalty, and their scores are
added by how well they predict. One penalty over all of them read sex on 3,080 hands at .759 where the patches alone read .786;
added, .788, and every phantom as well or better (docs/patches.md).

With standardised features Z of the n patients of a fold, centred there, and labels y, centred too

    Z' Z = V S^2 V',      z = (V / S)' Z' y,      c = S^2 / (S^2 + penalty) z,      score of a patient t = t' (V / S) c

Products of features that all folds need are formed once: with B_k = Z_k' Y_k over the patients scored in fold k, a fold needs the
sum of the others. Where a family has more columns than a fold has patients, its patients are decomposed instead, Z Z' = U S^2 U',
and one kernel Z Z' serves all folds. Nothing of the size [n, D] is formed in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from fastrace.audit.engines import F64
from fastrace.audit.engines.probe.scaling import ROWS, Standardised, Table
from fastrace.audit.partition import Fold, Ints, Partition

PATCHES = ("coarse patches", "fine patches")  # of fastrace.audit.readers.patches, which loads torch

PENALTIES = np.geomspace(1e-3, 1e3, 13)
"""Relative to the mean squared singular value."""
MOST_FREEDOM = 0.5
"""Largest share of the training patients that the fit may use as degrees of freedom: beyond it GCV is not to be trusted."""
LEAST_WEIGHT = 1e-4
"""Added to the weights of regressions: where none predicts anything all count equally."""


class Spectrum:
    """The squared singular values of a regression, and what each penalty makes of them.

    Parameters
    ----------
    s2 : ndarray [r]
        Positive.
    n : int
        Patients.
    """

    def __init__(self, s2: F64, n: int) -> None:
        self.n = n
        self.penalty = PENALTIES * (s2.mean() if len(s2) else 1.0)
        shrink = s2 / (s2 + self.penalty[:, None])  # [L, r]
        freedom = shrink.sum(axis=1) + 1
        fits = freedom <= max(MOST_FREEDOM * n, freedom.min())
        self.shrink, self.freedom, self.penalty = shrink[fits], freedom[fits], self.penalty[fits]

    def fitted(self, z: Table, energy: F64) -> tuple[Table, F64]:  # [r, C], [C] -> [r, C], [C]
        """Coefficients of the fitted values, in units of their spread, with the penalty of the smallest GCV.

        And the share of the variance of the labels that is predicted, by generalised cross-validation: 0 to 1.
        """
        unexplained = energy - (1 - (1 - self.shrink) ** 2) @ np.square(z, dtype=np.float64)  # [L, C]
        validated = unexplained / (1 - self.freedom / self.n)[:, None] ** 2
        chosen = validated.argmin(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            predicted = np.nan_to_num(np.maximum(1 - validated.min(axis=0) / energy, 0))
        c = np.take(self.shrink.T.astype(z.dtype, copy=False), chosen, axis=1)
        c *= z
        spread = np.sqrt(np.einsum("rc,rc->c", c, c, dtype=np.float64) / self.n)
        c /= np.maximum(spread.astype(z.dtype), np.finfo(z.dtype).tiny)
        return c, predicted


@dataclass(frozen=True)
class _Primal:
    """A regression by its columns: V / S, [d, r], in the precision of the features.

    ``columns`` are their places among those of all such regressions.
    """

    spectrum: Spectrum
    columns: Ints
    vectors: Table


@dataclass(frozen=True)
class _Dual:
    """A regression by its patients: U, [n, r], and what it makes of the scored ones, [m, r]."""

    spectrum: Spectrum
    train: Table
    test: Table


@dataclass(frozen=True)
class _Fitted:
    """All regressions of one fold; ``middle`` is the mean of its training patients."""

    fold: Fold
    middle: F64  # [d] of the columns of all primal ones
    primal: list[_Primal]
    dual: list[_Dual]


class Regressions:
    """The regressions of all folds of a partition.

    Parameters
    ----------
    table : Standardised
    partition : Partition
    separate : bool
        A regression for each member of `members`; else one over all columns.
    """

    def __init__(self, table: Standardised, partition: Partition, *, separate: bool = True) -> None:
        self._table = table
        group = table.group
        every = [np.flatnonzero(one) for one in members(group)] if separate else [np.arange(len(group))]
        self._several = len(every) > 1
        least = min((len(fold.train) for folds in partition.repeats for fold in folds), default=0)
        narrow = [columns for columns in every if len(columns) <= least]
        self._used = np.unique(np.concatenate([np.zeros(0, np.int64), *narrow]))
        self._blocks = [blocks(folds) for folds in partition.repeats]
        self._middles = [
            _middles(table.train, parts, self._used, len(f))
            for parts, f in zip(self._blocks, partition.repeats, strict=True)
        ]
        duals = [_kernels(table, columns, partition) for columns in every if len(columns) > least]
        primals = self._decomposed(narrow, partition)
        self._fits = [
            [
                _Fitted(fold, self._middles[r][k], primals[r][k], [dual[r][k] for dual in duals])
                for k, fold in enumerate(folds)
            ]
            for r, folds in enumerate(partition.repeats)
        ]

    def _decomposed(self, narrow: Sequence[Ints], partition: Partition) -> list[list[list[_Primal]]]:
        """Of the members with fewer columns than patients, by repeat and fold; those that share columns share a Gram matrix."""
        found: list[list[list[_Primal]]] = [[[] for _ in folds] for folds in partition.repeats]
        for columns in _largest(narrow):
            inside = [member for member in narrow if np.isin(member, columns).all()]
            train = self._table.train
            whole = sum(_gram(train, part, columns) for part in self._blocks[0])
            for r, folds in enumerate(partition.repeats):
                for k, fold in enumerate(folds):
                    n = len(fold.train)
                    middle = self._middles[r][k][np.searchsorted(self._used, columns)]
                    gram = _gram(train, self._blocks[r][k], columns)
                    np.subtract(whole, gram, out=gram)
                    gram -= np.outer(n * middle, middle)
                    for member in inside:
                        at = np.searchsorted(columns, member)
                        s2, right = _positive(gram if len(inside) == 1 else gram[np.ix_(at, at)], n)
                        right /= np.sqrt(s2)
                        place = np.searchsorted(self._used, member)
                        found[r][k].append(_Primal(Spectrum(s2, n), place, right.astype(train.dtype, copy=False)))
        return found

    def scores(
        self,
        labels: NDArray[np.number],  # [P, C]
        *,
        exact: bool = True,
    ) -> Iterator[tuple[int, Fold, NDArray[np.floating]]]:  # [m, C]
        """Number of the repeat, fold, and scores of its test patients, for every column of labels.

        Those of each regression in units of their spread over the training patients; of several, weighted by the square of
        the share of the variance of the labels that each predicts. Only labels of the training patients are looked at.

        Parameters
        ----------
        labels : ndarray
        exact : bool
            Form products in double precision also where the features are float32; else scores err by about 1e-6.
        """
        kind = np.dtype(np.float64) if exact else self._table.train.dtype
        for r, fits in enumerate(self._fits):
            sums = [_Sums(self._table.train, part, self._used, labels, kind) for part in self._blocks[r]]
            for k, fit in enumerate(fits):
                others = [one for b, one in enumerate(sums) if b != k]
                n = len(fit.fold.train)
                mean = np.asarray(sum(one.labels for one in others) / n)
                energy = np.asarray(sum(one.squares for one in others) - n * mean**2)
                out = np.zeros((len(fit.fold.test), labels.shape[1]))
                if fit.primal:
                    moment = (n * fit.middle).astype(kind)[:, None] * -mean.astype(kind)
                    for other in others:
                        moment += other.products
                    weights = np.zeros_like(moment)
                    for one in fit.primal:
                        vectors = one.vectors.astype(kind, copy=False)
                        c, predicted = one.spectrum.fitted(vectors.T @ moment[one.columns], energy)
                        c *= self._weight(predicted).astype(kind)
                        weights[one.columns] += vectors @ c
                    test = _taken(self._table.test[fit.fold.test], self._used).astype(kind, copy=False)
                    out += test @ weights
                    out -= fit.middle @ weights
                if fit.dual:
                    centred = (labels[fit.fold.train] - mean).astype(kind, copy=False)
                    for two in fit.dual:
                        c, predicted = two.spectrum.fitted(two.train.astype(kind, copy=False).T @ centred, energy)
                        c *= self._weight(predicted).astype(kind)
                        out += two.test.astype(kind, copy=False) @ c
                yield r, fit.fold, out

    def _weight(self, predicted: F64) -> F64:
        return predicted**2 + LEAST_WEIGHT if self._several else np.ones(len(predicted))


class _Sums:
    """What the labels of some patients add to the folds that learn from them.

    Attributes
    ----------
    labels, squares : ndarray [C]
        Sums of the labels and of their squares.
    products : ndarray [d, C]
        Of the features with the labels.
    """

    def __init__(
        self, table: Table, rows: Ints, columns: Ints, labels: NDArray[np.number], kind: np.dtype[Any]
    ) -> None:
        self.labels, self.squares = np.zeros((2, labels.shape[1]))
        self.products = np.zeros((len(columns), labels.shape[1]), dtype=kind)
        for first in range(0, len(rows), ROWS):
            some = rows[first : first + ROWS]
            mine = labels[some].astype(np.float64)
            self.labels += mine.sum(axis=0)
            self.squares += np.einsum("nc,nc->c", mine, mine)
            if len(columns):
                values = _taken(table[some], columns).astype(kind, copy=False)
                self.products += values.T @ mine.astype(kind, copy=False)


def blocks(folds: Sequence[Fold]) -> list[Ints]:
    """Disjoint patients: those whom each fold scores, and, of a single fold, those from whom it learns.

    Several folds learn each from all patients whom the others score.

    Raises
    ------
    ValueError
        If they do not.
    """
    if len(folds) == 1:
        return [folds[0].test, folds[0].train]
    together = np.sort(np.concatenate([fold.test for fold in folds]))
    for fold in folds:
        if not np.array_equal(np.sort(np.concatenate([fold.test, fold.train])), together):
            raise ValueError("folds that do not learn from all patients of the others")
    return [fold.test for fold in folds]


def members(group: NDArray[np.str_]) -> list[NDArray[np.bool_]]:
    """Columns of each regression: each family by itself, patches of both scales in one, and all families but patches together."""
    patched = np.isin(group, PATCHES)
    others = np.unique(group[~patched])
    found = [group == name for name in others]
    if len(others) > 1:
        found.append(~patched)
    if patched.any():
        found.append(patched)
    return found


def _largest(members: Sequence[Ints]) -> list[Ints]:
    """Members that are part of no other."""
    return [
        one
        for n, one in enumerate(members)
        if not any(len(other) > len(one) and np.isin(one, other).all() for m, other in enumerate(members) if m != n)
    ]


def _kernels(table: Standardised, columns: Ints, partition: Partition) -> list[list[_Dual]]:
    """The decomposition of a member by its patients, for every repeat and fold."""
    rows = np.unique(np.concatenate([np.concatenate([f.train, f.test]) for folds in partition.repeats for f in folds]))
    place = np.full(len(table.train), -1)
    place[rows] = np.arange(len(rows))
    train = table.train[np.ix_(rows, columns)].astype(np.float64)
    among = train @ train.T
    across = among if table.test is table.train else table.test[np.ix_(rows, columns)].astype(np.float64) @ train.T
    del train
    kind = table.train.dtype
    return [
        [_dual(among, across, place[fold.train], place[fold.test], kind) for fold in folds]
        for folds in partition.repeats
    ]


def _dual(among: F64, across: F64, train: Ints, test: Ints, kind: np.dtype[Any]) -> _Dual:
    """With the mean of the training patients taken from all: K - row means - column means + their mean."""
    kernel = among[np.ix_(train, train)]
    column = kernel.mean(axis=0)
    middle = column.mean()
    kernel -= column - middle
    kernel -= column[:, None]
    s2, left = _positive(kernel, len(train))
    rows = across[np.ix_(test, train)]
    rows -= rows.mean(axis=1, keepdims=True) - middle
    rows -= column
    return _Dual(Spectrum(s2, len(train)), left.astype(kind, copy=False), ((rows @ left) / s2).astype(kind, copy=False))


def _middles(table: Table, parts: Sequence[Ints], columns: Ints, folds: int) -> list[F64]:  # [d] each
    """Means of columns over the training patients of each fold."""
    sums = [_taken(table[part], columns).sum(axis=0, dtype=np.float64) for part in parts]
    others = [[b for b in range(len(parts)) if b != k] for k in range(folds)]
    return [np.asarray(sum(sums[b] for b in some) / max(sum(len(parts[b]) for b in some), 1)) for some in others]


def _gram(table: Table, rows: Ints, columns: Ints) -> F64:  # [d, d]
    found = np.zeros((len(columns), len(columns)))
    for first in range(0, len(rows), ROWS):
        some = _taken(table[rows[first : first + ROWS]], columns).astype(np.float64)
        found += some.T @ some
    return found


def _taken(table: Table, columns: Ints) -> Table:
    return table if len(columns) == table.shape[1] else table[:, columns]


def _positive(square: F64, n: int) -> tuple[F64, F64]:
    """Eigenvalues that are not rounding, and their vectors; the matrix is overwritten.

    A column that is constant among the training patients of a fold leaves 1e-16 n.
    """
    if not len(square):
        return np.zeros(0), np.zeros((0, 0))
    values, vectors = scipy.linalg.eigh(square.T, overwrite_a=True, check_finite=False, driver="evd")
    keep = values > 1e-10 * max(values.max(initial=0.0), n)
    return values[keep], vectors if keep.all() else vectors[:, keep]
