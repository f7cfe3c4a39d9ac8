"""Correction for multiple testing: which cells are findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.cells import Answer, none_if_nan
from fastrace.audit.document import Estimate
from fastrace.statistics import MIN_CELL, NOT_ENOUGH, benjamini_yekutieli, detectable_auc, holm

Method = Callable[[NDArray[np.float64]], NDArray[np.float64]]

ALPHA = 0.01
METHODS = {"primary": holm, "exploratory": benjamini_yekutieli}
MOST = 999_999
"""Permutations, where those of the audit cannot decide whether a cell is a finding: a lone finding of 183 questions needs
p < 9.4e-6."""
PER_LEVEL = 20
"""Permutations of a primary test, in units of one by its level: drawn beforehand, whatever the results. With 999 and five readers
none might reach the AUC of a finding, and a p of .001 was found in 37 of 100 seeds; with 10,000, in 99."""
FEW_REACHED = 5
"""Permutations that reach the AUC of a cell, up to which more are drawn where even none would not make it a finding."""
Each = Callable[[Callable[[int], float | None], Sequence[int]], Iterable[float | None]]


def correct(
    answers: Sequence[Answer], permutations: int, each: Each = map, *, primary: int | None = None
) -> list[Answer]:
    """The answers with ``p_adjusted``, ``finding`` and ``detectable``.

    Holm on the primary family, Benjamini-Yekutieli on the exploratory grids together. A finding needs p < .01 after
    correction and 30 patients in every class: where there are fewer, nothing is tested.

    Where the smallest p that so many permutations can give would not make a cell a finding beside the others, and at most
    `FEW_REACHED` of them reach its AUC, as many more are drawn as a finding may need. The p from more of them is valid for a cell
    whose number of permutations that could make it a finding is the last. (Where the p of its neighbours change, a cell may be
    looked at again: at most 1.3 times the level, by estimate, of what Benjamini-Yekutieli divides by about 6.)

    Parameters
    ----------
    answers : sequence of Answer
    permutations : int
        Of each, at most.
    each : callable
        As `map`: what draws again may be done side by side.
    primary : int, optional
        Permutations of primary tests, as `primary_permutations` of an audit, which decide always; None: as of the others.
    """
    found = list(answers)
    for family, method in METHODS.items():
        members = []
        for n, answer in enumerate(found):
            if answer.cell.family == family and answer.cell.estimate.status.startswith(NOT_ENOUGH):
                found[n] = answer.changed(finding=None if answer.cell.p is None else False)
            elif answer.cell.family == family:
                members.append(n)
        if not members:
            continue
        drawn = primary if family == "primary" and primary is not None else permutations
        while drawn < MOST and (limited := _limited([found[n] for n in members], method, drawn)):
            drawn = _needed([found[n] for n in members], method, drawn)
            again = [members[k] for k in limited]
            for n, p in zip(again, each(partial(_again, found, drawn), again), strict=True):
                found[n] = found[n].changed(p=p)
        alpha = smallest_level(family, sum(found[n].cell.p is not None for n in members))
        for n, adjusted in zip(members, _adjust([found[n] for n in members], method), strict=True):
            found[n] = found[n].changed(
                p_adjusted=none_if_nan(float(adjusted)),
                finding=None if np.isnan(adjusted) else bool(adjusted < ALPHA),
                detectable=detectable_of(found[n].cell.estimate, found[n].cell.null_deviation, alpha),
            )
    return found


def primary_permutations(tests: int, permutations: int) -> int:
    """Permutations of each primary test, at most: those of the audit, or `PER_LEVEL` by the level of a test."""
    return max(permutations, round(PER_LEVEL * max(tests, 1) / ALPHA))


def smallest_level(family: str, tests: int) -> float:
    """The level of a test that is the only finding of its family: alpha / M for Holm, alpha / (M (1 + 1/2 + ... + 1/M)) else."""
    adjusted = METHODS[family](np.r_[1e-6, np.ones(max(tests, 1) - 1)])[0]
    return float(ALPHA * 1e-6 / adjusted)


def _again(answers: Sequence[Answer], permutations: int, number: int) -> float | None:
    again = answers[number].p_again
    assert again is not None  # see `_limited`
    return again(permutations)


def _limited(members: Sequence[Answer], method: Method, permutations: int) -> list[int]:
    """Cells that so many permutations cannot make findings, whatever they are: others keep the p that they have."""
    p = _p(members)
    least = 1 / (permutations + 1)
    found = []
    for n, answer in enumerate(members):
        if answer.p_again is not None and p[n] <= (1 + FEW_REACHED) * least + 1e-12:
            own = p.copy()
            own[n] = least
            if method(own)[n] >= ALPHA:
                found.append(n)
    return found


def _needed(members: Sequence[Answer], method: Method, permutations: int) -> int:
    """Permutations from which on cells that no permutation reaches are findings."""
    p, limited = _p(members), _limited(members, method, permutations)
    count = permutations
    while count < MOST:
        count = min(2 * count + 1, MOST)
        p[limited] = 1 / (count + 1)
        if (method(p)[limited] < ALPHA).all():
            break
    return count


def detectable_of(estimate: Estimate, null_deviation: float | None, alpha: float) -> float | None:
    """The AUC that a test at a level would find with 80 % power, see `fastrace.statistics.detectable_auc`."""
    if null_deviation is None or not estimate.n_patients:
        return None
    smallest = estimate.n_positive or MIN_CELL - 1  # None where it is below
    return none_if_nan(detectable_auc(null_deviation, (smallest, estimate.n_patients - smallest), alpha))


def _adjust(members: Sequence[Answer], method: Method) -> NDArray[np.float64]:
    return method(_p(members))


def _p(members: Sequence[Answer]) -> NDArray[np.float64]:
    return np.array([np.nan if answer.cell.p is None else answer.cell.p for answer in members], dtype=np.float64)
