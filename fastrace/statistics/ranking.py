"""What is ranked: scores, labels and patients, one row per image or per patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """Scores to be ranked: one row per patient or per image.

    Attributes
    ----------
    scores : ndarray [R, K] float64
    labels : ndarray [R] int64
        0 .. K-1; K and above: in the rest of every class.
    patients : ndarray [R] int64
        0 .. P-1, the cluster of a row.
    n_images : int
    unit : "patient" | "image"
    images : ndarray [R] int64, optional
        Images behind each row; without it, one.
    cross_fitted : bool
        Scores of models that were fitted on one another's rows. Their errors repeat each other, and intervals that
        take patients as independent are too narrow where the signal is weak: marked approximate (docs/coverage.md).
    folds : ndarray [R] int64, optional
        Only rows of one fold are compared: AUC = sum of m n AUC_fold / sum of m n, with m positives and n negatives in a fold. A
        patient may have rows in several, one for each repetition of cross-fitting.
    """

    scores: Floats
    labels: Ints
    patients: Ints
    n_images: int
    unit: Literal["patient", "image"]
    images: Ints | None = None
    cross_fitted: bool = False
    folds: Ints | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.scores).all():
            raise ValueError("scores must be finite numbers")

    @property
    def compared(self) -> list[Ints]:
        """Rows that are compared with each other: those of each fold, or all."""
        if self.folds is None:
            return [np.arange(len(self.scores))]
        order = np.argsort(self.folds, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.folds[order])) + 1) if len(order) else []

    @property
    def n_patients(self) -> int:
        """Clusters."""
        return int(np.count_nonzero(np.bincount(self.patients)))

    def patients_of(self, rows: NDArray[np.bool_]) -> int:
        """Clusters with at least one such row."""
        return int(np.count_nonzero(np.bincount(self.patients[rows])))

    def images_of(self, rows: NDArray[np.bool_]) -> int:
        """Images behind such rows."""
        return int(np.count_nonzero(rows) if self.images is None else self.images[rows].sum())


def rank_images(scores: ArrayLike, labels: ArrayLike, patients: ArrayLike, *, cross_fitted: bool = False) -> Ranking:
    """One row per image, patients as clusters. Shapes: [N, K], [N], [N]; `cross_fitted` as in `Ranking`."""
    matrix = np.asarray(scores, dtype=np.float64)
    clusters = np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1)
    return Ranking(matrix, np.asarray(labels, dtype=np.int64), clusters, len(matrix), "image", None, cross_fitted)


def rank_patients(
    scores: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike,
    studies: ArrayLike | None = None,
    *,
    cross_fitted: bool = False,
) -> Ranking:
    """One row per patient: scores averaged over the images of a study, then over the studies of a patient.

    Parameters
    ----------
    scores : array [N, K]
    labels : array [N] int
        The same for all images of a patient.
    patients, studies : array [N]
        Names or numbers. Without studies the mean is over images.
    cross_fitted : bool
        As in `Ranking`.

    Returns
    -------
    Ranking
        Patients in ascending order of their names: rankings of the same patients have the same rows.

    Raises
    ------
    ValueError
        If a patient has more than one label.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    label = np.asarray(labels, dtype=np.int64)
    _, first, inverse, images = np.unique(
        np.asarray(patients), return_index=True, return_inverse=True, return_counts=True
    )
    clusters = inverse.reshape(-1)
    if (label != label[first][clusters]).any():
        raise ValueError("a patient has more than one label; patients can then not be ranked")
    rows, owners = matrix, clusters
    if studies is not None:
        # The pair, so that a study number used by two patients stays two studies.
        names = np.unique(np.asarray(studies), return_inverse=True)[1].reshape(-1)
        pairs, study = np.unique(np.stack([clusters, names]), axis=1, return_inverse=True)
        rows, owners = _means(matrix, study.reshape(-1)), pairs[0]
    means = _means(rows, owners)
    return Ranking(means, label[first], np.arange(len(means)), len(matrix), "patient", images, cross_fitted)


def _means(rows: Floats, groups: Ints) -> Floats:
    count = np.bincount(groups)
    columns = [np.bincount(groups, weights=column) / count for column in rows.T]
    return np.stack(columns, axis=1) if columns else np.empty((len(count), 0))
