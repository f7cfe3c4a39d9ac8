"""Simultaneous bands: one for each curve of AUC against cut-off, resolution or octave, over all its points at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.cells import Answer, none_if_nan, ranking, widening
from fastrace.audit.subjects import Subjects
from fastrace.statistics import macro_influence, simultaneous_band

CURVES = ("C1a", "C1b", "C1s", "C1o", "C2a")


def add_bands(answers: Sequence[Answer], subjects: Subjects, seed: int) -> None:
    """Set ``band`` of every cell that is a point of a curve: one curve for an experiment and a feature set."""
    curves: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.cell["experiment"] in CURVES:
            curves[answer.cell["experiment"], answer.cell["features"]].append(answer)
    for points in curves.values():
        pointwise = [(_limit(answer, "low"), _limit(answer, "high")) for answer in points]
        influences = [_influence(one, subjects) for one in points]
        band, _ = simultaneous_band(influences, pointwise, seed=seed)
        for answer, (low, high) in zip(points, band, strict=True):
            limits = none_if_nan(float(low)), none_if_nan(float(high))
            answer.cell["band"] = None if None in limits else list(limits)


def _influence(answer: Answer, subjects: Subjects) -> tuple[float, NDArray[np.float64]]:
    value, influence = macro_influence(ranking(answer.scores, subjects, answer.partition))
    return value, influence * (1.0 if np.isnan(value) else widening(value, answer.spread))


def _limit(answer: Answer, side: str) -> float:
    value = answer.cell["estimate"][side]
    return np.nan if value is None else float(value)
