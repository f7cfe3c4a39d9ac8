"""The distance of classes in standard deviations of the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def d_prime(
    scores: NDArray[np.float64],  # [R, K]
    labels: NDArray[np.int64],  # [R]
    folds: NDArray[np.int64] | None = None,  # [R]
) -> float:
    """Mean over the classes of (mean inside - mean outside) / pooled standard deviation; it does not saturate as the AUC does.

    With folds both are taken within them: differences of means weighted by the pairs of patients, as AUCs are, and deviations
    from the means of fold and class pooled by their degrees of freedom.
    """
    of = np.zeros(len(labels), dtype=np.int64) if folds is None else folds
    found = []
    for k in range(scores.shape[1]):
        distance = pairs = squares = freedom = 0.0
        for fold in np.unique(of):
            rows = of == fold
            inside, outside = scores[rows & (labels == k), k], scores[rows & (labels != k), k]
            m, n = len(inside), len(outside)
            if m and n:
                distance += m * n * (inside.mean() - outside.mean())
                pairs += m * n
                squares += ((inside - inside.mean()) ** 2).sum() + ((outside - outside.mean()) ** 2).sum()
                freedom += m + n - 2
        of_class = labels == k
        if min(of_class.sum(), (~of_class).sum()) > 1 and freedom > 0 and squares > 0:
            found.append(distance / pairs / np.sqrt(squares / freedom))
    return float(np.mean(found)) if found else float("nan")
