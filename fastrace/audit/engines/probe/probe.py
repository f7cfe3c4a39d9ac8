"""The linear probe: ridge regression on the class, cross-fitted over patients, with a permutation test that fits again.

For a fold with standardised training features X = U S V' and centred labels y (one column a class, +-1)

    w = V diag(s / (s^2 + penalty)) U' y,      score of an unseen patient = (x - mean) . w

so scores are linear in the labels but for the penalty, which generalised cross-validation chooses (Golub, Heath and Wahba,
1979) from U' y alone. A thousand permuted label columns therefore cost two matrix products, not a thousand fits, and the
permutation test can repeat everything that used labels. It is scikit-learn's `RidgeClassifier` with that choice of penalty,
and is tested against it. How it is computed: `ridge`.

    AUC = sum over folds of (pairs of a positive and a negative in the right order) / sum over folds of all such pairs

Only patients of one fold are compared, since they were scored by one fit. Two patients of different folds have each taught
the other's fit with its own label: without a signal, such pairs are ranked wrongly more often than rightly (AUC .490 of 60
patients, and .45 of a feature of few values). Within a fold permuted labels have an AUC of .5 in the mean, whatever the
probe does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastrace.audit.engines import F64, Permuted
from fastrace.audit.engines.probe.columns import column_pairs, pairs, rank_pairs
from fastrace.audit.engines.probe.permutations import label_permutations
from fastrace.audit.engines.probe.ridge import Regressions
from fastrace.audit.engines.probe.scaling import Rows, Standardised, standardise
from fastrace.audit.partition import Fold, Ints, Partition

DECIMALS, FEWER_DECIMALS = 9, 5
"""Of a score, in standard deviations: patients whose scores differ only by rounding are tied, with any BLAS. Scores of permuted
labels are formed in the precision of the features: single for those of images, which takes half the time."""


class Probe:
    """A probe of one feature table, fitted for the observed labels and for permuted ones.

    Parameters
    ----------
    features : ndarray [P, D], or what gives its rows
        One row a patient.
    group : ndarray [D]
        Families of the columns.
    partition : Partition
    tested_on : as ``features``, optional
        Other features of the same patients to test on; the default is the same.
    scaled : bool
        Whether columns are brought to one spread. Those of kernels (`fastrace.audit.covariates.basis`) have the right one.
    """

    def __init__(
        self,
        features: Rows,
        group: NDArray[np.str_],
        partition: Partition,
        tested_on: Rows | None = None,
        *,
        scaled: bool = True,
    ) -> None:
        self.partition = partition
        folds = [fold for repeat in partition.repeats for fold in repeat]
        learned, scored = (
            np.unique(np.concatenate(rows)) for rows in zip(*((f.train, f.test) for f in folds), strict=True)
        )
        if scaled:
            self._table = standardise(features, group, learned, scored, tested_on)
        else:
            rows = features[np.arange(features.shape[0])]
            self._table = Standardised(rows, rows, group)
        self._fits = Regressions(self._table, partition)

    def scores(
        self,
        labels: NDArray[np.number],  # [P, C]
    ) -> F64:  # [R, T, C]
        """Scores of the patients of ``partition.scored`` in each repeat; NaN for patients of no fold there."""
        out = np.full((len(self.partition.repeats), *labels.shape), np.nan)
        for repeat, fold, found in self._rounded(labels):
            out[repeat, fold.test] = found
        return out[:, self.partition.scored]

    def observed(self, labels: Ints, n_classes: int) -> F64:  # [R, T, K]
        """Scores for the observed labels."""
        return self.scores(coded(labels, n_classes))

    def permuted(self, labels: Ints, n_classes: int, count: int, seed: int, first: int = 0) -> Permuted:
        """Macro AUCs under permuted labels, see `fastrace.audit.engines.Engine.permuted`."""
        ranks = self._ranks(labels, n_classes)
        both = [
            self._aucs(np.ascontiguousarray(rows.T), n_classes, ranks)
            for rows in label_permutations(labels, self.partition, first, count, seed)
        ]
        draws, fixed = (np.concatenate(some) for some in zip(*both, strict=True))
        return Permuted(draws, fixed)

    def statistic(self, labels: Ints, n_classes: int) -> float:
        """Macro AUC of the observed labels, see `fastrace.audit.engines.Engine.statistic`."""
        small = np.ascontiguousarray(labels[:, None]).astype(np.min_scalar_type(n_classes))
        return float(self._aucs(small, n_classes, self._ranks(labels, n_classes))[0][0])

    def _ranks(self, labels: Ints, n_classes: int) -> list[tuple[Fold, F64]]:
        """Of the observed scores within each fold."""
        return [(fold, rankdata(found, axis=0)) for _, fold, found in self._rounded(coded(labels, n_classes))]

    def _aucs(
        self,
        columns: NDArray[np.unsignedinteger],  # [P, C] labels
        n_classes: int,
        ranks: list[tuple[Fold, F64]],
    ) -> tuple[F64, F64]:  # [C] each
        """Macro AUC of every column: fitted again, and of the observed scores."""
        # With two classes the second column holds the same as the first, negated.
        used = range(1) if n_classes == 2 else range(n_classes)
        again, kept, every = (np.zeros((len(used), columns.shape[1])) for _ in range(3))
        for k in used:
            positive = columns == k
            for fold, ranked in ranks:
                tested = positive[fold.test]
                every[k] += pairs(tested)
                kept[k] += rank_pairs(ranked[:, k], tested)
            if self.partition.refit:
                for _, fold, found in self._rounded(_signs(positive), exact=False):
                    again[k] += column_pairs(found, positive[fold.test])
        fixed = _mean(kept, every)
        return (_mean(again, every) if self.partition.refit else fixed), fixed

    def _rounded(self, labels: NDArray[np.number], *, exact: bool = True) -> Iterator[tuple[int, Fold, F64]]:
        single = not exact and self._table.train.dtype == np.float32
        for repeat, fold, found in self._fits.scores(labels, exact=exact):
            yield repeat, fold, np.round(found, FEWER_DECIMALS if single else DECIMALS)


def _mean(ordered: F64, every: F64) -> F64:  # [K, C] pairs in the right order, and all -> [C] macro AUC
    defined = every > 0
    aucs = np.where(defined, ordered, 0.0) / np.where(defined, every, 1.0)
    number = defined.sum(axis=0)
    return np.where(number > 0, aucs.sum(axis=0) / np.maximum(number, 1), np.nan)


def _signs(inside: NDArray[np.bool_]) -> NDArray[np.int8]:
    """+1 and -1; `np.where` takes four times as long."""
    return inside.view(np.int8) * np.int8(2) - np.int8(1)


def coded(labels: Ints, n_classes: int) -> F64:  # [P, K]
    """One column a class: +1 in it, -1 in the rest."""
    return np.where(labels[:, None] == np.arange(n_classes), 1.0, -1.0)
