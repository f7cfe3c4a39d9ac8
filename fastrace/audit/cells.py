"""One experiment answered by one feature set: probe, interval, permutation p. And the corrections over many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from fastrace.audit.probe import Partition, Probe, d_prime
from fastrace.audit.protocol import Experiment
from fastrace.audit.subjects import Subjects
from fastrace.modality import Published
from fastrace.statistics import (
    DELONG,
    MIN_CELL,
    NOT_ENOUGH,
    Estimate,
    Ranking,
    benjamini_yekutieli,
    class_aucs,
    hidden,
    holm,
    pair_aucs,
    permutation_p,
)

ALPHA = 0.01
FEW, MANY = 999, 4999
"""Permutations: the first are enough where p is large; more are drawn below `ESCALATE`."""
ESCALATE = 0.1
MOST = 10
"""Times as many where the smallest p that so many permutations can give decides whether a cell is a finding."""


@dataclass
class Answer:
    """A cell and the scores behind it.

    Attributes
    ----------
    cell : dict
        As in ``audit.json``.
    scores : ndarray [T, K] float64
        Of the judged patients; never leaves the audit.
    partition : Partition
    p_again : callable, optional
        The permutation p from `MOST` times as many permutations.
    """

    cell: dict[str, Any]
    scores: NDArray[np.float64]
    partition: Partition
    p_again: Callable[[], float] | None = None

    @property
    def spread(self) -> float:
        """See `Shuffled.spread`."""
        return float(self.cell["spread"])


def ranking(scores: NDArray[np.float64], subjects: Subjects, partition: Partition) -> Ranking:
    """Patients as rows. Cross-fitted scores are those of which everything is fitted again."""
    judged = partition.judged
    images = np.bincount(subjects.owner, minlength=len(subjects))[judged]
    return Ranking(
        scores, subjects.labels[judged], np.arange(len(judged)), int(images.sum()), "patient", images, partition.refit
    )


def ask(
    probe: Probe, subjects: Subjects, *, seed: int, permutations: int = MANY
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Scores and what is said of them: estimate, classes, pairs, p and d'."""
    n_classes = len(subjects.classes)
    judged = probe.partition.judged
    labels = subjects.labels[judged]
    scores = probe.observed(subjects.labels, n_classes)
    ranked = ranking(scores, subjects, probe.partition)
    aucs = class_aucs(ranked)
    sizes = np.bincount(labels, minlength=n_classes)
    p, spread = None, 1.0
    if not np.isnan(aucs.macro.value) and aucs.macro.status != "constant scores":
        p, spread = p_value(probe, subjects.labels, n_classes, aucs.macro.value, permutations, seed)

    few = hidden({name: int(size) for name, size in zip(subjects.classes, sizes, strict=True)})

    def said(one: Estimate, *names: str) -> dict[str, Any]:
        return shown(widened(one, spread), is_hidden=not few.isdisjoint(names))

    return scores, {
        "estimate": plain(widened(aucs.macro, spread)),
        "classes": [
            {"name": name, **said(one, name)} for name, one in zip(subjects.classes, aucs.classes, strict=True)
        ],
        "pairs": [
            {"name": f"{first} vs {second}", **said(one, first, second)}
            for (first, second), one in _named(pair_aucs(ranked), subjects.classes)
        ],
        "p": p,
        "spread": spread,
        "d_prime": none_if_nan(d_prime(scores, labels)),
    }


def p_value(
    probe: Probe, labels: NDArray[np.int64], n_classes: int, observed: float, permutations: int, seed: int
) -> tuple[float, float]:
    """One-sided permutation p, few permutations where it is large; and the spread of `Shuffled`."""
    drawn = probe.shuffled(labels, n_classes, min(FEW, permutations), seed)
    p = permutation_p(observed, drawn.aucs)
    if p < ESCALATE and permutations > FEW:
        more = probe.shuffled(labels, n_classes, permutations - FEW, seed, first=FEW)
        p = permutation_p(observed, np.concatenate([drawn.aucs, more.aucs]))
    return p, drawn.spread


def widening(value: float, spread: float) -> float:
    """Factor on the standard error of a cross-fitted AUC on the logit scale.

    DeLong's variance takes the scores as given. Cross-fitted ones vary more: by `spread` where there is no signal, by nothing
    where the classes are apart; between, the excess variance is taken in proportion to AUC (1 - AUC). docs/crossfit.md shows
    that this covers, and that the plain interval covers 79-90 % near .5.
    """
    return float(np.sqrt(1 + (spread**2 - 1) * 4 * value * (1 - value)))


def widened(estimate: Estimate, spread: float) -> Estimate:
    """The estimate with its interval widened for cross-fitting."""
    if spread <= 1 or estimate.method != DELONG:
        return estimate
    factor = widening(estimate.value, spread)
    middle = logit(estimate.value)
    low, high = (float(expit(middle + factor * (logit(side) - middle))) for side in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high, method=f"{DELONG}, widened for cross-fitting")


def plain(estimate: Estimate) -> dict[str, Any]:
    """As JSON; a smallest class of fewer than 11 patients is not counted out."""
    found = estimate.to_json()
    if min(found["n_positive"], found["n_patients"] - found["n_positive"]) < MIN_CELL:
        found["n_positive"] = None
    return found


def _named(
    pairs: Mapping[tuple[int, int], Estimate], classes: Sequence[str]
) -> Iterator[tuple[tuple[str, str], Estimate]]:
    for (i, j), estimate in pairs.items():
        yield (classes[i], classes[j]), estimate


def shown(estimate: Estimate, *, is_hidden: bool) -> dict[str, Any]:
    """An estimate of one class or pair, without numbers where few patients stand behind it or would be given back."""
    if not is_hidden:
        return {"suppressed": False, **plain(estimate)}
    nothing = dict.fromkeys(("value", "low", "high", "n_patients", "n_positive", "n_images"))
    return {"suppressed": True, **plain(estimate), **nothing, "status": "suppressed"}


def none_if_nan(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def described(
    experiment: Experiment, features: str, size: tuple[int, int], mm_per_pixel: float | None
) -> dict[str, Any]:
    """What a cell says of its experiment."""
    x = experiment.x_cycles
    per_mm = [edge / (max(size) * mm_per_pixel) for edge in x] if x and mm_per_pixel else None
    return {
        "id": f"{experiment.name}/{features}" + (f" {'+'.join(experiment.parts)}" if experiment.parts else ""),
        "experiment": experiment.id,
        "title": experiment.title,
        "question": experiment.question,
        "features": features,
        "parts": list(experiment.parts),
        "degradation": str(experiment.test),
        "described": experiment.test.describe(size),
        "mode": experiment.mode,
        "x": float(experiment.x_pixels) if experiment.x_pixels else (x[0] if len(x) == 1 else None),
        "x_low": x[0] if len(x) == 2 else None,
        "x_high": x[1] if len(x) == 2 else None,
        "lp_per_mm": per_mm,
        "family": experiment.family,
        "paper": _published(experiment.paper),
        "released_code": _published(experiment.released_code),
        "band": None,
    }


def _published(one: Published | None) -> dict[str, Any] | None:
    return None if one is None else {"value": one.value, "text": one.text, "source": one.source}


def correct(answers: Sequence[Answer], permutations: int) -> None:
    """Set ``p_adjusted`` and ``finding``: Holm on the primary family, Benjamini-Yekutieli on the exploratory grids together.

    A finding needs p < .01 after correction and 30 patients in every class. Where no permutation reached a cell, its p is
    as small as so many permutations can say; if that is too large for a finding, more are drawn.
    """
    methods = {"primary": holm, "exploratory": benjamini_yekutieli}
    for name, method in methods.items():
        members = [answer for answer in answers if answer.cell["family"] == name]
        if not members:
            continue
        adjusted = _adjust(members, method)
        for answer, value in zip(members, adjusted, strict=True):
            p = answer.cell["p"]
            if p is not None and p <= 1 / (permutations + 1) and value >= ALPHA and answer.p_again is not None:
                answer.cell["p"] = answer.p_again()
        for answer, value in zip(members, _adjust(members, method), strict=True):
            cell = answer.cell
            cell["p_adjusted"] = none_if_nan(float(value))
            enough = not cell["estimate"]["status"].startswith(NOT_ENOUGH)
            cell["finding"] = None if np.isnan(value) else bool(value < ALPHA and enough)


def _adjust(
    members: Sequence[Answer], method: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    p = [np.nan if answer.cell["p"] is None else answer.cell["p"] for answer in members]
    return method(np.asarray(p, dtype=np.float64))
