"""Simultaneous bands: one for each curve of AUC against cut-off, resolution or octave, over all its points at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.cells import Answer, none_if_nan, ranking, widening
from fastrace.audit.subjects import Subjects
from fastrace.statistics import macro_influence, simultaneous_band


def with_bands(answers: Sequence[Answer], curves: Collection[str], subjects: Subjects, seed: int) -> list[Answer]:
    """The answers with the ``band`` of every cell whose experiment is one of ``curves``: a curve for it and a feature set."""
    found = list(answers)
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for n, answer in enumerate(answers):
        if answer.cell.experiment in curves:
            members[answer.cell.experiment, answer.cell.features].append(n)
    for points in members.values():
        pointwise = [_limits(answers[n]) for n in points]
        influences = [_influence(answers[n], subjects) for n in points]
        band, _ = simultaneous_band(influences, pointwise, seed=seed)
        for n, (low, high) in zip(points, band, strict=True):
            limits = none_if_nan(float(low)), none_if_nan(float(high))
            found[n] = found[n].changed(band=None if None in limits else limits)
    return found


def _influence(answer: Answer, subjects: Subjects) -> tuple[float, NDArray[np.float64]]:
    value, influence = macro_influence(ranking(answer.scores, subjects, answer.partition))
    return value, influence * (1.0 if np.isnan(value) else widening(value, answer.cell.spread))


def _limits(answer: Answer) -> tuple[float, float]:
    estimate = answer.cell.estimate
    return (np.nan if estimate.low is None else estimate.low), (np.nan if estimate.high is None else estimate.high)
