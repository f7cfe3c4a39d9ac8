"""Simultaneous limits: over all points of all curves of a reader (AUC against cut-off, resolution or octave), and over the
readers of the primary question. A mark goes by the largest of several lower limits, and single intervals do not hold for that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from fastrace.audit.cells import Answer, none_if_nan, ranking, widening
from fastrace.audit.document import Estimate
from fastrace.audit.marks import few
from fastrace.audit.subjects import Subjects
from fastrace.statistics import macro_influence, simultaneous_band


def with_bands(answers: Sequence[Answer], curves: Collection[str], subjects: Subjects, seed: int) -> list[Answer]:
    """The answers with the ``band`` of primary cells, and of those whose experiment is one of ``curves``.

    A band is simultaneous over a curve; the curves of one reader share the level by Bonferroni, as the readers of the primary
    question do.
    """
    found = list(answers)
    primary = [n for n, answer in enumerate(found) if answer.cell.family == "primary" and not few(answer.cell)]
    for n in primary:
        found[n] = found[n].changed(band=limits_of_several(found[n].cell.estimate, len(primary)))
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for n, answer in enumerate(answers):
        if answer.cell.experiment in curves:
            members[answer.cell.experiment, answer.cell.features].append(n)
    curves_of = Counter(features for _, features in members)
    for (_, features), points in members.items():
        share = curves_of[features]
        pointwise = [_limits(limits_of_several(answers[n].cell.estimate, share)) for n in points]
        influences = [_influence(answers[n], subjects) for n in points]
        band, _ = simultaneous_band(influences, pointwise, level=1 - 0.05 / share, seed=seed)
        for n, (low, high) in zip(points, band, strict=True):
            limits = none_if_nan(float(low)), none_if_nan(float(high))
            found[n] = found[n].changed(band=None if None in limits else limits)
    return found


def _influence(answer: Answer, subjects: Subjects) -> tuple[float, NDArray[np.float64]]:
    value, influence = macro_influence(ranking(answer.scores, subjects, answer.partition))
    return value, influence * (1.0 if np.isnan(value) else widening(value, answer.cell.spread))


def _limits(pair: tuple[float, float] | None) -> tuple[float, float]:
    return (np.nan, np.nan) if pair is None else pair


def limits_of_several(estimate: Estimate, several: int) -> tuple[float, float] | None:
    """The interval of one of several estimates, all of which are to hold at once, by Bonferroni.

    On the logit scale, as the interval itself. An AUC of 0 or 1 has no place there: its one limit is (alpha / 2)^(1 / n), of
    Clopper and Pearson.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None
    one, all_of_them = (1 - estimate.level) / 2, (1 - estimate.level) / 2 / several
    power = np.log(all_of_them) / np.log(one)
    if value >= 1:
        return float(low**power), high
    if value <= 0:
        return low, float(1 - (1 - high) ** power)
    factor = ndtri(all_of_them) / ndtri(one)
    middle = logit(value)
    found = expit(middle + factor * (logit([low, high]) - middle))
    return float(found[0]), float(found[1])
