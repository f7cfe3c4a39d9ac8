"""The linear probe: ridge regression on the class, cross-fitted over patients, with a permutation test that fits again.

For a fold with standardised training features X = U S V' and centred labels y (one column a class, +-1)

    w = V diag(s / (s^2 + penalty)) U' y,      score of an unseen patient = (x - mean) . w

so scores are linear in the labels but for the penalty, which generalised cross-validation chooses (Golub, Heath and Wahba,
1979) from U' y alone. A thousand permuted label columns therefore cost two matrix products, not a thousand fits, and the
permutation test can repeat everything that used labels. Without an intercept and with centred features the rows of the
map from labels to scores add up to zero, so that permuted labels have an AUC of .5 in the mean, also where patients of
several folds are compared; exactly so where patients were assigned to folds without looking at the classes. It is scikit-learn's
`RidgeClassifier` with that choice of penalty, and is tested against it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastrace.audit.engines import F64, Permuted
from fastrace.audit.engines.probe.columns import column_aucs, rank_aucs
from fastrace.audit.engines.probe.permutations import label_permutations
from fastrace.audit.engines.probe.ridge import Fit
from fastrace.audit.partition import Ints, Partition

DECIMALS = 9
"""Of a score, in standard deviations: patients whose scores differ only by rounding are tied, with any BLAS."""


class Probe:
    """A probe of one feature table, fitted for the observed labels and for permuted ones.

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
        """Scores of the patients of ``partition.scored``, mean over the repeats."""
        total = np.zeros(labels.shape)
        for folds in self._fits:
            for fold, fit in folds:
                total[fold.test] += fit.scores(labels[fold.train])
        return np.round(total[self.partition.scored] / len(self._fits), DECIMALS)

    def observed(self, labels: Ints, n_classes: int) -> F64:  # [T, K]
        """Scores for the observed labels."""
        return self.scores(coded(labels, n_classes))

    def permuted(self, labels: Ints, n_classes: int, count: int, seed: int, first: int = 0) -> Permuted:
        """Macro AUCs under permuted labels, see `fastrace.audit.engines.Engine.permuted`."""
        scored = self.partition.scored
        # With two classes the second column holds the same as the first, negated.
        used = range(1) if n_classes == 2 else range(n_classes)
        ranks = rankdata(self.observed(labels, n_classes), axis=0)
        draws, fixed = [], []
        for rows in label_permutations(labels, self.partition, first, count, seed):
            mine = np.take(rows, scored, axis=1).T
            kept = [rank_aucs(ranks[:, k], mine == k) for k in used]
            again = kept
            if self.partition.refit:
                again = [column_aucs(self.scores(_signs(rows == k).T), mine == k) for k in used]
            draws.append(_mean(again))
            fixed.append(_mean(kept))
        return Permuted(np.concatenate(draws), np.concatenate(fixed))


def _mean(aucs: list[F64]) -> F64:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(np.stack(aucs), axis=0) if len(aucs) > 1 else aucs[0])


def _signs(inside: NDArray[np.bool_]) -> NDArray[np.int8]:
    """+1 and -1; `np.where` takes four times as long."""
    return inside.view(np.int8) * np.int8(2) - np.int8(1)


def coded(labels: Ints, n_classes: int) -> F64:  # [P, K]
    """One column a class: +1 in it, -1 in the rest."""
    return np.where(labels[:, None] == np.arange(n_classes), 1.0, -1.0)
