"""AUCs of one class against one other, which do not depend on how frequent the remaining classes are.

For classes i and j, Hand and Till (Machine Learning 2001) average two AUCs over the rows of these two classes: that of score
i with i as the positive class, and that of score j with j as the positive class.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fastrace.statistics.delong import influences, is_constant
from fastrace.statistics.estimate import Estimate, interval
from fastrace.statistics.ranking import Ranking


def pair_aucs(ranking: Ranking, level: float = 0.95) -> dict[tuple[int, int], Estimate]:
    """One-vs-one AUCs, with intervals from the same per-patient influences as `class_aucs`.

    Parameters
    ----------
    ranking : Ranking
    level : float

    Returns
    -------
    dict
        (i, j) with i < j -> Estimate; its patients and images are those of the two classes, ``n_positive`` the smaller class.
    """
    found = {}
    for i, j in combinations(range(ranking.scores.shape[1]), 2):
        first, second = ranking.labels == i, ranking.labels == j
        used = first | second
        values, effects = influences(ranking, ranking.scores[:, [i, j]], np.stack([first, second]), used)
        value, effect = float(values.mean()), effects.mean(axis=1)
        counts = ranking.patients_of(first), ranking.patients_of(second)
        constant = bool(used.any()) and is_constant(ranking, ranking.scores[:, [i, j]], used)
        low, high, method, status = interval(
            value,
            float(effect @ effect),
            counts,
            ranking.unit,
            constant=constant,
            cross_fitted=ranking.cross_fitted,
            level=level,
        )
        if np.isnan(value):
            status = f"undefined: no patients in class {i if counts[0] == 0 else j}"
        found[i, j] = Estimate(
            value, low, high, ranking.patients_of(used), min(counts), ranking.images_of(used), ranking.unit, method, status,
            level,
        )  # fmt: skip
    return found
