"""What turns features and labels into scores: today the linear probe (``probe/``).

An engine stands for one experiment with one feature set. It computes scores of patients it did not learn from, for the observed
labels and for permuted ones; its partition names these patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.partition import Ints, Partition

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Permuted:
    """Macro AUCs under permuted labels.

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
        """Factor by which cross-fitting widens the spread of an AUC without a signal: scored patients train the other probes.

        Ratio of the two standard deviations, at least 1; about 1.4 for five folds.
        """
        both = np.isfinite(self.aucs) & np.isfinite(self.fixed)
        if both.sum() < 2 or self.fixed[both].std() == 0:
            return 1.0
        return max(1.0, float(self.aucs[both].std(ddof=1) / self.fixed[both].std(ddof=1)))


class Engine(Protocol):
    """One experiment with one feature set, ready for any labels of its patients."""

    @property
    def partition(self) -> Partition:
        """Which patients train, and which are scored."""
        ...

    def observed(self, labels: Ints, n_classes: int) -> F64:  # [P], -> [R, T, K]
        """Scores of ``partition.scored`` in each repeat for the observed labels."""
        ...

    def statistic(self, labels: Ints, n_classes: int) -> float:
        """Macro AUC of the observed labels, computed as those of permuted labels are: to the same precision, or ties that only
        permuted labels have would make p too small."""
        ...

    def permuted(self, labels: Ints, n_classes: int, count: int, seed: int, first: int = 0) -> Permuted:
        """Macro AUCs under permuted labels.

        Parameters
        ----------
        labels : ndarray [P] int64
        n_classes : int
        count, seed : int
        first : int
            Number of the first permutation: two calls with half of them give what one call gives.
        """
        ...
