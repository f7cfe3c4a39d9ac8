"""The distance of classes in standard deviations of the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def d_prime(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
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
