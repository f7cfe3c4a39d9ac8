"""Correction for multiple testing: which cells are findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.cells import Answer, none_if_nan
from fastrace.statistics import NOT_ENOUGH, benjamini_yekutieli, holm

ALPHA = 0.01
METHODS = {"primary": holm, "exploratory": benjamini_yekutieli}
MOST = 10
"""Factor on the number of permutations, where the smallest p that they can give decides whether a cell is a finding."""


def correct(answers: Sequence[Answer], permutations: int) -> list[Answer]:
    """The answers with ``p_adjusted`` and ``finding``.

    Holm on the primary family, Benjamini-Yekutieli on the exploratory grids together. A finding needs p < .01 after
    correction and 30 patients in every class. Where no permutation reaches the AUC of a cell, its p is the smallest that this
    number of permutations can give; if that is too large for a finding, more are drawn.
    """
    found = list(answers)
    for family, method in METHODS.items():
        members = [n for n, answer in enumerate(found) if answer.cell.family == family]
        if not members:
            continue
        for n, adjusted in zip(members, _adjust([found[n] for n in members], method), strict=True):
            p, again = found[n].cell.p, found[n].p_again
            if p is not None and p <= 1 / (permutations + 1) and adjusted >= ALPHA and again is not None:
                found[n] = found[n].changed(p=again(MOST * permutations))
        for n, adjusted in zip(members, _adjust([found[n] for n in members], method), strict=True):
            enough = not found[n].cell.estimate.status.startswith(NOT_ENOUGH)
            finding = None if np.isnan(adjusted) else bool(adjusted < ALPHA and enough)
            found[n] = found[n].changed(p_adjusted=none_if_nan(float(adjusted)), finding=finding)
    return found


def _adjust(
    members: Sequence[Answer], method: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    p = [np.nan if answer.cell.p is None else answer.cell.p for answer in members]
    return method(np.asarray(p, dtype=np.float64))
