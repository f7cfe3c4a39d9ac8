"""Kernels of a table of covariates, as columns: ridge regression on them is kernel ridge regression, linear in what is fitted.

For patients s and t with covariates c = 1 ... d, numbers as normal scores,

    d_c = (s_c - t_c)^2 of numbers, 2 of different levels (a missing value is a level), 0 of equal ones
    main  = mean over c of exp(-d_c)                        sums of functions of one covariate
    pairs = mean over c < e of exp(-d_c - d_e)              sums of functions of two
    joint = exp(-mean over c of d_c)                        functions of all

Each kernel K is approximated from some of the patients m: its columns are K[:, m] U / sqrt(w) with K[m, m] = U w U' (Williams and
Seeger 2001), exact where m are all patients. No label is looked at.

Against scikit-learn's boosted trees, cross-fitted on 100 to 1,500 simulated patients with 1 to 22 covariates, ridge regressions
on these three kernels read a group as well or better wherever it depends on one covariate or two (docs/decisions.md); and what is
linear in the labels can be permuted, drawn again and taken out of features exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from fastrace.audit.partition import Ints

F64 = NDArray[np.float64]

MAIN, PAIRS, JOINT = "main", "pairs", "joint"
MOST_MARKS = 400
"""Patients from whom the kernels are approximated."""
SMALLEST = 1e-8  # eigenvalues, relative to the largest, below which they are rounding
ROWS = 2048  # patients at a time


@dataclass(frozen=True)
class Covariate:
    """One covariate of the patients of an audit.

    Attributes
    ----------
    name : str
    number : ndarray [P] float64
        Normal scores, 0 where missing; all 0 of a covariate of levels.
    level : ndarray [P] int64
        Level; of a number 0, and 1 where it is missing.
    """

    name: str
    number: F64
    level: Ints

    def distance(self, patients: Ints, marks: Ints) -> F64:  # [n, m]
        """Squared distances d_c of patients from others."""
        differ = self.level[patients][:, None] != self.level[marks]
        return np.where(differ, 2.0, (self.number[patients][:, None] - self.number[marks]) ** 2)


def normal_scores(values: F64) -> F64:
    """Normal quantiles of the ranks of numbers, in units of their spread; 0 where they are NaN.

    So a number that is one in a million does not stand alone, and no unit matters.
    """
    known = np.isfinite(values)
    scores = np.zeros(len(values))
    if known.any():
        scores[known] = ndtri((rankdata(values[known]) - 0.5) / known.sum())
        scores[known] -= scores[known].mean()
        spread = scores[known].std()
        scores[known] /= spread if spread > 0 else 1.0
    return scores


def columns(covariates: Sequence[Covariate], rng: np.random.Generator) -> tuple[F64, NDArray[np.str_]]:
    """Columns of all kernels, [P, M], and the kernel that each is of.

    Parameters
    ----------
    covariates : sequence of Covariate
        At least one.
    rng : Generator
        Draws the patients from whom the kernels are approximated.
    """
    n = len(covariates[0].number)
    marks = np.arange(n) if n <= MOST_MARKS else np.sort(rng.choice(n, MOST_MARKS, replace=False))
    names = (MAIN,) if len(covariates) == 1 else (MAIN, PAIRS, JOINT)
    roots = [_root(kernel) for kernel in _kernels(covariates, marks, marks)]
    found = np.concatenate(
        [
            np.hstack([kernel @ root for kernel, root in zip(_kernels(covariates, some, marks), roots, strict=True)])
            for some in _some(n)
        ]
    )
    found -= found.mean(axis=0)
    return found, np.repeat(np.array(names), [root.shape[1] for root in roots])


def _kernels(covariates: Sequence[Covariate], patients: Ints, marks: Ints) -> tuple[F64, ...]:  # [n, m] each
    main, squares, total = np.zeros((3, len(patients), len(marks)))
    for one in covariates:
        distance = one.distance(patients, marks)
        near = np.exp(-distance)
        main += near
        squares += near**2
        total += distance
    d = len(covariates)
    if d == 1:
        return (main,)
    return main / d, (main**2 - squares) / (d * (d - 1)), np.exp(-total / d)


def _root(kernel: F64) -> F64:  # [m, m] -> [m, r]
    w, vectors = np.linalg.eigh(kernel)
    kept = w > SMALLEST * w.max()
    return np.asarray(vectors[:, kept] / np.sqrt(w[kept]))


def _some(n: int) -> Iterator[Ints]:
    for first in range(0, n, ROWS):
        yield np.arange(first, min(first + ROWS, n))
