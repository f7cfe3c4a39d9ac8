"""The difference of two AUCs measured on the same patients: errors that both share cancel."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from fastrace.statistics.delong import influence, macro_influence
from fastrace.statistics.estimate import MIN_CLASS_PATIENTS, NONE, NOT_ENOUGH, ROUNDING
from fastrace.statistics.ranking import Ranking

PAIRED = "paired DeLong"
NO_INTERVAL = "no interval"


@dataclass(frozen=True)
class Difference:
    """First AUC minus second AUC.

    Attributes
    ----------
    value, low, high : float
        In [-1, 1]; NaN where undefined.
    p : float
        Two-sided, of no difference.
    n_patients, n_positive : int
        Patients, and patients of the (smallest) class.
    unit : "patient" | "image"
    method, status : str
        As in `Estimate`; status ``no interval`` where the two rank alike, an AUC is 0 or 1, or scores are constant.
    level : float
    """

    value: float
    low: float
    high: float
    p: float
    n_patients: int
    n_positive: int
    unit: Literal["patient", "image"]
    method: str
    status: str
    level: float = 0.95

    def to_json(self) -> dict[str, Any]:
        """A dictionary in which undefined numbers are None."""
        return {
            key: None if isinstance(value, float) and np.isnan(value) else value for key, value in asdict(self).items()
        }


def paired_difference(first: Ranking, second: Ranking, k: int | None = None, level: float = 0.95) -> Difference:
    """AUC of `first` minus AUC of `second`, with a normal interval from the per-patient differences of influence.

    DeLong, DeLong and Clarke-Pearson (Biometrics 1988); with several images per patient, Obuchowski's (1997).

    Parameters
    ----------
    first, second : Ranking
        The same patients with the same labels, in the same order.
    k : int, optional
        Class k against the rest; without it the macro mean.
    level : float

    Raises
    ------
    ValueError
        If patients or labels differ.
    """
    for name in ("patients", "labels"):
        if not np.array_equal(getattr(first, name), getattr(second, name)):
            raise ValueError(f"a paired difference needs the same {name} in the same order")
    (a, effect_a), (b, effect_b) = (macro_influence(r) if k is None else influence(r, k) for r in (first, second))
    value, effect = a - b, effect_a - effect_b
    classes = range(first.scores.shape[1]) if k is None else (k,)
    positive = [first.patients_of(first.labels == one) for one in classes]
    smallest = min(positive, default=0)
    others = min((first.patients_of(first.labels != one) for one in classes), default=0)
    status = "ok" if min(smallest, others) >= MIN_CLASS_PATIENTS else NOT_ENOUGH
    facts = (first.n_patients, smallest, first.unit)
    variance = float(effect @ effect)
    if np.isnan(value):
        return Difference(value, np.nan, np.nan, np.nan, *facts, NONE, "undefined: no patients to compare", level)
    if not variance > ROUNDING or {a, b} & {0.0, 1.0}:
        return Difference(value, np.nan, np.nan, np.nan, *facts, NONE, NO_INTERVAL, level)
    error = float(np.sqrt(variance))
    half = float(ndtri(0.5 + level / 2)) * error
    p = float(2 * ndtr(-abs(value) / error))
    return Difference(value, max(-1.0, value - half), min(1.0, value + half), p, *facts, PAIRED, status, level)
