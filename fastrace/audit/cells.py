"""One experiment answered by one feature set: scores, estimate with its interval, permutation p."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from fastrace.audit.document import Cell, Estimate, Named
from fastrace.audit.engines import Engine
from fastrace.audit.experiments import Experiment
from fastrace.audit.partition import Ints, Partition
from fastrace.audit.subjects import Subjects
from fastrace.statistics import DELONG, ENOUGH, MIN_CELL, Ranking, class_aucs, d_prime, hidden, pair_aucs, sequential_p
from fastrace.statistics import Estimate as Computed

ENOUGH_AGAIN = 10
"""Permutations that end a test which goes on with more of them, where they reach its AUC: it is no finding then. With 50, a
p of .005 took 10,000 permutations, with 10 it takes 2,000."""
FIRST = 499
"""Permutations that are always drawn: enough for a p above .1, and for standard deviations to 3 %."""


@dataclass(frozen=True)
class Summary:
    """What is reported of the scores of one engine, as in a `Cell`, and the AUCs of permuted labels, [B]."""

    estimate: Estimate
    classes: tuple[Named, ...]
    pairs: tuple[Named, ...]
    p: float | None
    spread: float
    null_deviation: float | None
    d_prime: float | None
    draws: NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """A cell and the scores behind it.

    Attributes
    ----------
    cell : Cell
    scores : ndarray [R, T, K] float64
        Of the scored patients in each repeat; never leaves the audit.
    partition : Partition
    p_again : `Again`, optional
        The permutation p from so many permutations.
    """

    cell: Cell
    scores: NDArray[np.float64]
    partition: Partition
    p_again: Callable[[int], float | None] | None = None

    def changed(self, **fields: Any) -> Answer:
        """The same answer with other fields of its cell."""
        return replace(self, cell=msgspec.structs.replace(self.cell, **fields))


class Again:
    """The p of a cell from more permutations; those that were drawn are not drawn again.

    Parameters
    ----------
    engine : callable
        Makes the engine of the cell anew.
    subjects : Subjects
    draws : ndarray [B] float64
        AUCs of permuted labels so far.
    seed : int
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        subjects: Subjects,
        draws: NDArray[np.float64],
        seed: int,
    ) -> None:
        self._engine, self._subjects, self._draws, self._seed = engine, subjects, draws, seed

    def __call__(self, permutations: int) -> float | None:
        """With so many of them at most; fewer where p is large."""
        labels, classes = self._subjects.labels, len(self._subjects.classes)
        p, self._draws = drawn_on(self._engine(), labels, classes, self._draws, permutations, self._seed, ENOUGH_AGAIN)
        return p


def ranked(
    scores: NDArray[np.float64],  # [R, T, K]
    labels: Ints,  # [P]
    partition: Partition,
    images: Ints | None = None,  # [P]
) -> Ranking:
    """Patients as clusters, with a row for each repeat; compared within folds.

    Scores count as cross-fitted where a permutation test fits everything again.
    """
    repeats, patients, classes = scores.shape
    scored = partition.scored
    of_patient = np.ones(patients, dtype=np.int64) if images is None else images[scored]
    of_row = np.zeros((repeats, patients), dtype=np.int64)
    of_row[0] = of_patient  # an image counts once
    return Ranking(
        scores.reshape(-1, classes),
        np.tile(labels[scored], repeats),
        np.tile(np.arange(patients), repeats),
        int(of_patient.sum()),
        "patient",
        of_row.reshape(-1),
        partition.refit,
        partition.folds.reshape(-1),
    )


def ranking(scores: NDArray[np.float64], subjects: Subjects, partition: Partition) -> Ranking:
    """`ranked`, for the observed labels of an audit."""
    return ranked(scores, subjects.labels, partition, np.bincount(subjects.owner, minlength=len(subjects)))


def score(
    engine: Engine, subjects: Subjects, *, seed: int, permutations: int
) -> tuple[NDArray[np.float64], Summary]:  # [R, T, K]
    """Scores of the patients of ``engine.partition.scored`` in each repeat, and their summary."""
    n_classes = len(subjects.classes)
    scores = engine.observed(subjects.labels, n_classes)
    rows = ranking(scores, subjects, engine.partition)
    aucs = class_aucs(rows)
    sizes = np.bincount(subjects.labels[engine.partition.scored], minlength=n_classes)
    tested = Tested(None, 1.0, None, np.zeros(0))
    if not np.isnan(aucs.macro.value) and aucs.macro.status != "constant scores":
        tested = p_value(engine, subjects.labels, n_classes, permutations, seed)
    spread = tested.spread

    few = hidden({name: int(size) for name, size in zip(subjects.classes, sizes, strict=True)})

    def named(name: str, one: Computed, *groups: str) -> Named:
        estimate = counted(widened(one, spread))
        return Named(name, estimate if few.isdisjoint(groups) else estimate.hidden())

    pairs = {(subjects.classes[i], subjects.classes[j]): one for (i, j), one in pair_aucs(rows).items()}
    return scores, Summary(
        estimate=counted(widened(aucs.macro, spread)),
        classes=tuple(named(name, one, name) for name, one in zip(subjects.classes, aucs.classes, strict=True)),
        pairs=tuple(named(" vs ".join(both), one, *both) for both, one in pairs.items()),
        p=tested.p,
        spread=spread,
        null_deviation=tested.null_deviation,
        d_prime=none_if_nan(d_prime(rows.scores, rows.labels, rows.folds)),
        draws=tested.draws,
    )


@dataclass(frozen=True)
class Tested:
    """A permutation test: p, the spread of `engines.Permuted`, the standard deviation of the permuted AUCs, and these, [B]."""

    p: float | None
    spread: float
    null_deviation: float | None
    draws: NDArray[np.float64]


def p_value(engine: Engine, labels: Ints, n_classes: int, permutations: int, seed: int) -> Tested:
    """One-sided sequential permutation p (`sequential_p`): at most so many permutations, fewer where it is large.

    Spread and deviation are those of the first `FIRST`, whenever the test ends.
    """
    drawn = engine.permuted(labels, n_classes, min(FIRST, permutations), seed)
    p, draws = drawn_on(engine, labels, n_classes, drawn.aucs, permutations, seed)
    return Tested(p, drawn.spread, none_if_nan(float(np.nanstd(drawn.aucs, ddof=1))), draws)


def drawn_on(
    engine: Engine,
    labels: Ints,
    n_classes: int,
    draws: NDArray[np.float64],  # [B]
    permutations: int,
    seed: int,
    enough: int = ENOUGH,
) -> tuple[float | None, NDArray[np.float64]]:
    """The p of a test that goes on until it has ended or has so many permutations, and all of its draws."""
    observed = engine.statistic(labels, n_classes)
    p, ended = sequential_p(observed, draws, enough)
    while not ended and len(draws) < permutations:
        count = min(len(draws), permutations - len(draws))
        draws = np.concatenate([draws, engine.permuted(labels, n_classes, count, seed, first=len(draws)).aucs])
        p, ended = sequential_p(observed, draws, enough)
    return none_if_nan(p), draws


def widening(value: float, spread: float) -> float:
    """Factor on the standard error of a cross-fitted AUC on the logit scale.

    DeLong's variance takes the scores as given. Cross-fitted ones vary more: by `spread` where there is no signal, by nothing
    where the classes are separated; between, the excess variance is taken in proportion to AUC (1 - AUC). docs/crossfit.md shows
    that this covers, and that the plain interval covers 75-89 % at .5.
    """
    return float(np.sqrt(1 + (spread**2 - 1) * 4 * value * (1 - value)))


def widened(estimate: Computed, spread: float) -> Computed:
    """The estimate with its interval widened for cross-fitting."""
    if spread <= 1 or estimate.method != DELONG:
        return estimate
    factor = widening(estimate.value, spread)
    middle = logit(estimate.value)
    low, high = (float(expit(middle + factor * (logit(side) - middle))) for side in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high, method=f"{DELONG}, widened for cross-fitting")


def counted(estimate: Computed) -> Estimate:
    """As the document holds it; the size of a smallest class of fewer than 11 patients is suppressed."""
    found = Estimate.of(estimate)
    if min(estimate.n_positive, estimate.n_patients - estimate.n_positive) < MIN_CELL:
        found = msgspec.structs.replace(found, n_positive=None)
    return found


def none_if_nan(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def cell_id(experiment: Experiment, features: str) -> str:
    """``C1a/lowpass:10/built-in``: unique in an audit."""
    return f"{experiment.name}/{features}" + (f" {'+'.join(experiment.parts)}" if experiment.parts else "")


def cell_of(
    experiment: Experiment, features: str, summary: Summary, size: tuple[int, int], mm_per_pixel: float | None
) -> Cell:
    """The cell of an experiment, before corrections and bands."""
    edges = experiment.x_cycles
    low, high = edges if len(edges) == 2 else (None, None)
    return Cell(
        id=cell_id(experiment, features),
        experiment=experiment.id,
        title=experiment.title,
        question=experiment.question,
        features=features,
        parts=experiment.parts,
        degradation=str(experiment.test),
        described=experiment.test.describe(size),
        mode=experiment.mode,
        family=experiment.family,
        x=experiment.x,
        x_low=low,
        x_high=high,
        lp_per_mm=tuple(edge / (max(size) * mm_per_pixel) for edge in edges) if edges and mm_per_pixel else None,
        paper=experiment.paper,
        released_code=experiment.released_code,
        estimate=summary.estimate,
        classes=summary.classes,
        pairs=summary.pairs,
        p=summary.p,
        spread=summary.spread,
        null_deviation=summary.null_deviation,
        d_prime=summary.d_prime,
    )
