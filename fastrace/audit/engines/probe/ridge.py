"""Ridge regressions of one fold, decomposed once and ready for any labels.

Families of very different size and strength are not one regression: each has its own, with its own penalty, and their scores are
added by how well they predict. One penalty over all of them read sex on 3,080 hands at .759 where the patches alone read .786;
added, .788, and every phantom as well or better (docs/patches.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastrace.audit.engines import F64

PATCHES = ("coarse patches", "fine patches")  # of fastrace.audit.readers.patches, which loads torch

PENALTIES = np.geomspace(1e-3, 1e3, 13)
"""Relative to the mean squared singular value."""
MOST_FREEDOM = 0.5
"""Largest share of the training patients that the fit may use as degrees of freedom: beyond it GCV is not to be trusted."""
MOST_SPREADS = 6.0
"""Standardised features are clipped there. A feature that hardly varies among clean images would otherwise determine the
ranking of noisy ones alone."""


LEAST_WEIGHT = 1e-4
"""Added to the weights of regressions: where none predicts anything all count equally."""


class Fits:
    """The regressions of one fold: one for each member of `members`.

    Parameters
    ----------
    train, test, group
        As of `Fit`.
    """

    def __init__(self, train: F64, test: F64, group: NDArray[np.str_]) -> None:
        self._fits = [Fit(train[:, chosen], test[:, chosen], group[chosen]) for chosen in members(group)]

    def scores(
        self,
        labels: NDArray[np.number],  # [n, C]
    ) -> F64:  # [m, C]
        """Scores of the test patients.

        Those of each regression in units of their spread over the training patients, weighted by the square of the share of the
        variance of the labels that it predicts.
        """
        if len(self._fits) == 1:
            return self._fits[0].scores(labels)[0]
        found = [fit.scores(labels) for fit in self._fits]
        return np.asarray(sum(scores * (predicted**2 + LEAST_WEIGHT) for scores, predicted in found))


def members(group: NDArray[np.str_]) -> list[NDArray[np.bool_]]:
    """Columns of each regression: each family by itself, patches of both scales in one, and all families but patches together."""
    patched = np.isin(group, PATCHES)
    others = np.unique(group[~patched])
    found = [group == name for name in others]
    if len(others) > 1:
        found.append(~patched)
    if patched.any():
        found.append(patched)
    return found


class Fit:
    """The singular value decomposition of one fold, ready for any labels.

    Parameters
    ----------
    train : ndarray [n, D] float
        NaN columns, and columns that are constant here, are left out.
    test : ndarray [m, D] float
        May come from other images than ``train`` (trained on clean, tested on degraded ones).
    group : ndarray [D]
        Family of a column; every family gets the same total variance, so that 300 pixels do not outweigh one power.
    """

    def __init__(self, train: F64, test: F64, group: NDArray[np.str_]) -> None:
        usable = np.isfinite(train).all(axis=0) & np.isfinite(test).all(axis=0)
        train, test, group = train[:, usable], test[:, usable], group[usable]
        mean, spread = train.mean(axis=0), train.std(axis=0)
        varies = spread > 1e-7 * (1e-30 + np.abs(train).max(axis=0, initial=0.0))
        train, test, group = train[:, varies], test[:, varies], group[varies]
        _, family, size = np.unique(group, return_inverse=True, return_counts=True)
        scale = 1 / (spread[varies] * np.sqrt(size[family])) if len(group) else np.ones(0)
        limit = MOST_SPREADS * spread[varies]
        train = np.clip(train - mean[varies], -limit, limit) * scale
        test = np.clip(test - mean[varies], -limit, limit) * scale
        middle = train.mean(axis=0)  # clipping moves it a little
        train, test = train - middle, test - middle
        self.n = len(train)
        # The smaller Gram matrix: an SVD of [n, D] costs ten times as much.
        if train.shape[1] <= self.n:
            square, right = np.linalg.eigh(train.T @ train)
            self.s2, right = _positive(square, right)
            self.u = train @ right / np.sqrt(self.s2)
            self._test = test @ right
        else:
            square, left = np.linalg.eigh(train @ train.T)
            self.s2, self.u = _positive(square, left)
            self._test = test @ (train.T @ (self.u / np.sqrt(self.s2)))
        penalty = PENALTIES * (self.s2.mean() if len(self.s2) else 1.0)
        shrink = self.s2 / (self.s2 + penalty[:, None])  # [L, r]
        freedom = shrink.sum(axis=1) + 1
        fits = freedom <= max(MOST_FREEDOM * self.n, freedom.min())
        self.shrink, self.freedom, self.penalty = shrink[fits], freedom[fits], penalty[fits]

    def scores(
        self,
        labels: NDArray[np.number],  # [n, C] columns of +-1, or any numbers
    ) -> tuple[F64, F64]:  # [m, C], [C]
        """Scores of the test patients for every label column, in units of their spread over the training patients.

        And the share of the variance of the labels that they predict, by generalised cross-validation: 0 to 1.
        """
        out = np.zeros((len(self._test), labels.shape[1]))
        if not len(self.s2):
            return out, np.zeros(labels.shape[1])
        centred = labels - labels.mean(axis=0)
        z = self.u.T @ centred
        energy = np.einsum("nc,nc->c", centred, centred)
        unexplained = energy - (1 - (1 - self.shrink) ** 2) @ z**2  # [L, C]
        validated = unexplained / (1 - self.freedom / self.n)[:, None] ** 2
        chosen = validated.argmin(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            predicted = np.nan_to_num(np.maximum(1 - validated.min(axis=0) / energy, 0))
        z = np.ascontiguousarray(z.T)  # [C, r], as the penalties of the columns
        fitted = np.sqrt(((self.shrink[chosen] * z) ** 2).sum(axis=1) / self.n)
        weights = (self.shrink / np.sqrt(self.s2))[chosen] * z
        np.matmul(self._test, weights.T, out=out)
        out /= np.maximum(fitted, 1e-300)
        return out, predicted


def _positive(square: F64, vectors: F64) -> tuple[F64, F64]:
    keep = square > 1e-10 * max(square.max(initial=0.0), 1e-300)
    return square[keep], vectors[:, keep]
