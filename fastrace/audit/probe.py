"""The linear probe: ridge regression on the class, cross-fitted over patients, with a permutation test that fits again.

For a fold with standardised training features X = U S V' and centred labels y (one column a class, +-1)

    w = V diag(s / (s^2 + penalty)) U' y,      score of an unseen patient = (x - mean) . w

so scores are linear in the labels but for the penalty, which generalised cross-validation chooses (Golub, Heath and Wahba,
1979) from U' y alone. A thousand shuffled label columns therefore cost two matrix products, not a thousand fits, and the
permutation test can repeat everything that looked at labels. Without an intercept and with centred features the rows of the
map from labels to scores add up to zero, so that shuffled labels have an AUC of .5 in the mean, also where patients of
several folds are compared; exactly so where the folds were dealt without looking at the classes. It is scikit-learn's
`RidgeClassifier` with that choice of penalty, and is tested against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastrace.kernels.threads import NUMBA_CACHE, for_ranges

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]

PENALTIES = np.geomspace(1e-3, 1e3, 13)
"""Relative to the mean squared singular value."""
MOST_FREEDOM = 0.5
"""Largest share of the training patients that the fit may use as degrees of freedom: beyond it GCV is not to be trusted."""
MOST_SPREADS = 6.0
"""Standardised features are cut there. A feature that hardly varies among clean images would otherwise decide alone how
noisy ones are ranked."""
CELLS = 1 << 22  # patients x label columns at a time: 32 MB a table
COLUMNS = 512
"""Label columns at a time: tables of 1,000 patients stay in the cache (up to 1.2 times as fast as 2,048)."""
DECIMALS = 9
"""Of a score, in spreads: patients who are alike but for the rounding of their folds are tied, whatever BLAS adds them up."""
KEPT = 1 << 25  # patients x shuffles that are kept for the next table of the same patients: 32 MB


@dataclass(frozen=True)
class Fold:
    """Patients whose labels are seen, and patients who are scored."""

    train: Ints
    test: Ints


@dataclass(frozen=True)
class Partition:
    """How patients are judged.

    Attributes
    ----------
    repeats : tuple of tuple of Fold
        Each repeat scores every judged patient once; their scores are averaged.
    judged : ndarray [T] int64
        Patients with a score, ascending.
    refit : bool
        Whether a permutation test shuffles all labels and fits again. Not where the features themselves have seen labels of the
        training patients: there the labels of the judged patients alone are shuffled.
    """

    repeats: tuple[tuple[Fold, ...], ...]
    judged: Ints
    refit: bool = True


class Fit:
    """The singular value decomposition of one fold, ready for any labels.

    Parameters
    ----------
    train : ndarray [n, D] float
        NaN columns, and columns that are constant here, are left out.
    test : ndarray [m, D] float
        May come from other images than ``train`` (trained on clean, tested on degraded ones).
    group : ndarray [D]
        Family of a column; every family gets the same total variance, so that 300 pixels do not outweigh one power.
    """

    def __init__(self, train: F64, test: F64, group: NDArray[np.str_]) -> None:
        usable = np.isfinite(train).all(axis=0) & np.isfinite(test).all(axis=0)
        train, test, group = train[:, usable], test[:, usable], group[usable]
        mean, spread = train.mean(axis=0), train.std(axis=0)
        varies = spread > 1e-7 * (1e-30 + np.abs(train).max(axis=0, initial=0.0))
        train, test, group = train[:, varies], test[:, varies], group[varies]
        _, family, size = np.unique(group, return_inverse=True, return_counts=True)
        scale = 1 / (spread[varies] * np.sqrt(size[family])) if len(group) else np.ones(0)
        limit = MOST_SPREADS * spread[varies]
        train = np.clip(train - mean[varies], -limit, limit) * scale
        test = np.clip(test - mean[varies], -limit, limit) * scale
        middle = train.mean(axis=0)  # cutting moves it a little
        train, test = train - middle, test - middle
        self.n = len(train)
        # The smaller Gram matrix: an SVD of [n, D] costs ten times as much.
        if train.shape[1] <= self.n:
            square, right = np.linalg.eigh(train.T @ train)
            self.s2, right = _positive(square, right)
            self.u = train @ right / np.sqrt(self.s2)
            self._test = test @ right
        else:
            square, left = np.linalg.eigh(train @ train.T)
            self.s2, self.u = _positive(square, left)
            self._test = test @ (train.T @ (self.u / np.sqrt(self.s2)))
        penalty = PENALTIES * (self.s2.mean() if len(self.s2) else 1.0)
        shrink = self.s2 / (self.s2 + penalty[:, None])  # [L, r]
        freedom = shrink.sum(axis=1) + 1
        fits = freedom <= max(MOST_FREEDOM * self.n, freedom.min())
        self.shrink, self.freedom, self.penalty = shrink[fits], freedom[fits], penalty[fits]

    def scores(
        self,
        labels: NDArray[np.number],  # [n, C] columns of +-1, or any numbers
    ) -> F64:  # [m, C]
        """Scores of the test patients for every label column, in units of their spread over the training patients."""
        out = np.zeros((len(self._test), labels.shape[1]))
        if not len(self.s2):
            return out
        centred = labels - labels.mean(axis=0)
        z = self.u.T @ centred
        energy = np.einsum("nc,nc->c", centred, centred)
        unexplained = energy - (1 - (1 - self.shrink) ** 2) @ z**2  # [L, C]
        chosen = (unexplained / (1 - self.freedom / self.n)[:, None] ** 2).argmin(axis=0)
        z = np.ascontiguousarray(z.T)  # [C, r], as the penalties of the columns
        fitted = np.sqrt(((self.shrink[chosen] * z) ** 2).sum(axis=1) / self.n)
        weights = (self.shrink / np.sqrt(self.s2))[chosen] * z
        np.matmul(self._test, weights.T, out=out)
        out /= np.maximum(fitted, 1e-300)
        return out


def _positive(square: F64, vectors: F64) -> tuple[F64, F64]:
    keep = square > 1e-10 * max(square.max(initial=0.0), 1e-300)
    return square[keep], vectors[:, keep]


class Probe:
    """A probe of one feature table, fitted for the observed labels and for shuffled ones.

    Parameters
    ----------
    features : ndarray [P, D]
        One row a patient.
    group : ndarray [D]
        Families of the columns.
    partition : Partition
    tested_on : ndarray [P, D], optional
        Other features of the same patients to test on; the default is the same.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        group: NDArray[np.str_],
        partition: Partition,
        tested_on: NDArray[np.floating] | None = None,
    ) -> None:
        train: F64 = np.asarray(features, dtype=np.float64)
        test: F64 = train if tested_on is None else np.asarray(tested_on, dtype=np.float64)
        self.partition = partition
        self._fits = [
            [(fold, Fit(train[fold.train], test[fold.test], group)) for fold in folds] for folds in partition.repeats
        ]

    def scores(
        self,
        labels: NDArray[np.number],  # [P, C]
    ) -> F64:  # [T, C]
        """Scores of the judged patients, mean over the repeats."""
        total = np.zeros(labels.shape)
        for folds in self._fits:
            for fold, fit in folds:
                total[fold.test] += fit.scores(labels[fold.train])
        return np.round(total[self.partition.judged] / len(self._fits), DECIMALS)

    def observed(self, labels: Ints, n_classes: int) -> F64:  # [T, K]
        """Scores for the labels as they are."""
        return self.scores(coded(labels, n_classes))

    def shuffled(self, labels: Ints, n_classes: int, count: int, seed: int, first: int = 0) -> Shuffled:
        """Macro AUCs under shuffled labels of patients.

        Parameters
        ----------
        labels : ndarray [P] int64
        n_classes : int
        count, seed : int
        first : int
            Number of the first shuffle: two calls with half of them give what one call gives.
        """
        judged = self.partition.judged
        # With two classes the second column says the same as the first.
        used = range(1) if n_classes == 2 else range(n_classes)
        ranks = rankdata(self.observed(labels, n_classes), axis=0)
        draws, fixed = [], []
        for rows in _shuffles(labels, self.partition, first, count, seed):
            mine = np.take(rows, judged, axis=1).T
            kept = [_rank_aucs(ranks[:, k], mine == k) for k in used]
            again = kept
            if self.partition.refit:
                again = [column_aucs(self.scores(_signs(rows == k).T), mine == k) for k in used]
            draws.append(_mean(again))
            fixed.append(_mean(kept))
        return Shuffled(np.concatenate(draws), np.concatenate(fixed))


@dataclass(frozen=True)
class Shuffled:
    """Macro AUCs of shuffled labels.

    Attributes
    ----------
    aucs : ndarray [B]
        With everything that saw labels done again.
    fixed : ndarray [B]
        Of the observed scores, as if they came from elsewhere.
    """

    aucs: F64
    fixed: F64

    @property
    def spread(self) -> float:
        """How much wider cross-fitting makes an AUC vary where there is no signal: patients judge, and teach those who judge.

        Ratio of the two standard deviations, at least 1; about 1.4 for five folds.
        """
        both = np.isfinite(self.aucs) & np.isfinite(self.fixed)
        if both.sum() < 2 or self.fixed[both].std() == 0:
            return 1.0
        return max(1.0, float(self.aucs[both].std() / self.fixed[both].std()))


def _mean(aucs: list[F64]) -> F64:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(np.stack(aucs), axis=0) if len(aucs) > 1 else aucs[0])


def _shuffles(
    labels: Ints, partition: Partition, first: int, count: int, seed: int
) -> Iterator[NDArray[np.unsignedinteger]]:  # [C, P]
    """Shuffled labels, some at a time; the rows do not depend on how many are asked."""
    whom = np.arange(len(labels)) if partition.refit else partition.judged
    last, most = first + count, max(1, min(COLUMNS, CELLS // max(len(labels), 1)))
    if last * len(labels) <= KEPT:
        rows = _kept(labels.tobytes(), whom.tobytes(), last, seed)
        for start in range(first, last, most):
            yield rows[start : start + most]
        return
    rng = np.random.default_rng((seed, 7001))
    for start in range(0, last, most):
        rows = _permuted(labels, whom, min(most, last - start), rng)
        if start + most > first:
            yield rows[max(first - start, 0) :]


@lru_cache(maxsize=4)
def _kept(labels: bytes, whom: bytes, count: int, seed: int) -> NDArray[np.unsignedinteger]:
    """The shuffles that every table of an audit is asked about: drawing them again for each took 7 % of its time."""
    rng = np.random.default_rng((seed, 7001))
    rows = _permuted(np.frombuffer(labels, dtype=np.int64), np.frombuffer(whom, dtype=np.int64), count, rng)
    rows.setflags(write=False)
    return rows


def _permuted(labels: Ints, whom: Ints, count: int, rng: np.random.Generator) -> NDArray[np.unsignedinteger]:
    small = np.min_scalar_type(int(labels.max(initial=0)))
    # Each in one piece of memory: 26 ms instead of 37.
    rows = np.repeat(labels[None].astype(small), count, axis=0)
    rows[:, whom] = rng.permuted(rows[:, whom], axis=1)
    return rows


def _signs(inside: NDArray[np.bool_]) -> NDArray[np.int8]:
    """+1 and -1; `np.where` takes four times as long."""
    return inside.view(np.int8) * np.int8(2) - np.int8(1)


def coded(labels: Ints, n_classes: int) -> F64:  # [P, K]
    """One column a class: +1 in it, -1 in the rest."""
    return np.where(labels[:, None] == np.arange(n_classes), 1.0, -1.0)


def _rank_aucs(ranks: F64, positive: NDArray[np.bool_]) -> F64:  # [T], [T, C] -> [C]
    m = positive.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((ranks @ positive - m * (m + 1) / 2) / (m * (len(ranks) - m)))


def column_aucs(scores: F64, positive: NDArray[np.bool_]) -> F64:
    """AUC of every column of scores [T, C] against its own positives [T, C]; ties count one half, NaN without both.

    The class rides in the last bit of the score, so that sorting numbers, which NumPy does with SIMD instructions, replaces
    sorting an index: 2.8 times as fast at 1,000 rows. Scores that differ in that bit alone count as ties.
    """
    out = np.full(scores.shape[1], np.nan)

    def work(first: int, last: int) -> None:
        bits = np.ascontiguousarray(scores[:, first:last].T + 0.0).view(np.int64)  # no negative zero
        bits ^= (bits >> 63) & np.int64(2**63 - 1)  # integers in the order of the floats
        bits &= -2
        bits |= positive[:, first:last].T
        bits.sort(axis=1)
        _aucs(bits, out[first:last])

    for_ranges(work, len(out), 20 * len(scores))
    return out


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _aucs(columns, out):  # type: ignore[no-untyped-def]
    """AUC of each sorted row of 2 x score + class."""
    count, n = columns.shape
    for c in range(count):
        column = columns[c]
        below = 0  # negatives with a smaller score
        positives = 0
        twice = 0  # the pairs that are in order, ties once
        start = 0
        while start < n:
            score = column[start] >> 1
            negative = positive = 0
            while start < n and column[start] >> 1 == score:
                positive += column[start] & 1
                negative += 1 - (column[start] & 1)
                start += 1
            twice += positive * (2 * below + negative)
            below += negative
            positives += positive
        if positives > 0 and below > 0:
            out[c] = 0.5 * twice / (positives * below)


def d_prime(scores: F64, labels: Ints) -> float:
    """Mean over the classes of (mean inside - mean outside) / pooled standard deviation; it does not saturate as the AUC does."""
    found = []
    for k in range(scores.shape[1]):
        inside, outside = scores[labels == k, k], scores[labels != k, k]
        if len(inside) > 1 and len(outside) > 1:
            pooled = (inside.var(ddof=1) * (len(inside) - 1) + outside.var(ddof=1) * (len(outside) - 1)) / (
                len(scores) - 2
            )
            if pooled > 0:
                found.append((inside.mean() - outside.mean()) / np.sqrt(pooled))
    return float(np.mean(found)) if found else float("nan")


def cross_fit(order: Sequence[Ints], folds: int) -> tuple[Fold, ...]:
    """Deal the patients of each cell, in their given order, into folds one after the other.

    Parameters
    ----------
    order : sequence of ndarray
        Patients of every attribute x site, ranked by a keyed hash.
    folds : int
    """
    total = sum(map(len, order))
    fold = np.empty(total, dtype=np.int64)
    dealt = 0
    for members in order:
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return tuple(Fold(np.flatnonzero(fold != j), np.flatnonzero(fold == j)) for j in range(folds))
