"""AUCs, their structural components and patient-cluster intervals, against scikit-learn and NumPy; losses are shown.

`fastrace bench ranking`. An interval is the whole of it, draws included: 2,000 replicates, in which patients are drawn with
replacement within each class, keep all their images, and give an AUC. The loops of the peers are timed on fewer replicates in
every round and scaled to 2,000, for they would take minutes; ms is per 2,000 replicates.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata

from fastrace.bench.measure import Peer, measure
from fastrace.bench.row import Row, difference
from fastrace.bench.timing import threads
from fastrace.execute.cpus import usable_cpus
from fastrace.kernels.ranking import TOLERANCE, bootstrap_auc, draw_weights, placements
from fastrace.statistics import bootstrap, rank_images

ROWS, PATIENTS, REPLICATES = 20_000, 7_000, 2000
PEER_REPLICATES = 40


def rows(quick: bool = False) -> list[Row]:
    """Measure.

    Parameters
    ----------
    quick : bool
        Fewer rounds.
    """
    rounds = 5 if quick else 15
    scores, positive, patients = _images()
    with threads(1):
        found = _one_column(scores, positive, 2 * rounds) + _interval(scores, positive, patients, rounds, "1 core")
    if usable_cpus() > 1:
        with threads(2):
            found += _interval(scores, positive, patients, rounds, "2 threads")
    return found


def _images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and patients: about three images of each, which resemble one another."""
    rng = np.random.default_rng(0)
    patients = np.sort(np.concatenate([np.arange(PATIENTS), rng.integers(0, PATIENTS, ROWS - PATIENTS)]))
    positive = (rng.random(PATIENTS) < 0.3)[patients]
    return 0.8 * rng.normal(size=PATIENTS)[patients] + 0.6 * rng.normal(size=ROWS) + positive, positive, patients


def _one_column(scores: np.ndarray, positive: np.ndarray, rounds: int) -> list[Row]:
    """An AUC with the placements that its variance needs, and what gives the AUC alone."""
    from sklearn.metrics import roc_auc_score

    def midranks() -> float:  # Sun and Xu 2014, as most programs have it
        m, n = np.count_nonzero(positive), np.count_nonzero(~positive)
        rank = rankdata(scores)
        below = (rank[positive] - rankdata(scores[positive])) / n
        above = 1 - (rank[~positive] - rankdata(scores[~positive])) / m
        return float((below.mean() + above.mean()) / 2)

    def torchmetrics() -> float:
        from torchmetrics.functional.classification import binary_auroc

        return float(binary_auroc(torch.sigmoid(torch.from_numpy(scores)), torch.from_numpy(positive).long()))

    u = (
        (rankdata(scores)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2)
        / positive.sum()
        / (~positive).sum()
    )
    peers = [
        Peer("fastrace", lambda: float(placements(scores, positive)[0]), limit=TOLERANCE),
        Peer("scipy rankdata", midranks, ("scipy",), TOLERANCE),
        Peer("sklearn, AUC alone", lambda: roc_auc_score(positive, scores), ("scikit-learn",), TOLERANCE),
        Peer("torchmetrics, AUC alone", torchmetrics, ("torchmetrics",), 1e-4),  # its probabilities are float32
    ]
    return measure(
        f"AUC and placements, {ROWS:,} rows, 1 core", peers, lambda found: difference(found, np.array(u)), rounds=rounds
    )


def _interval(scores: np.ndarray, positive: np.ndarray, patients: np.ndarray, rounds: int, cores: str) -> list[Row]:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    owner = np.zeros(PATIENTS, dtype=bool)
    owner[patients] = positive
    groups = [np.flatnonzero(owner == side) for side in (False, True)]
    ranking = rank_images(scores[:, None], (~positive).astype(int), patients)

    def weights() -> np.ndarray:
        drawn = np.concatenate([group[rng.integers(0, len(group), len(group))] for group in groups])
        return np.bincount(drawn, minlength=PATIENTS)

    def sklearn_loop() -> np.ndarray:
        values = [roc_auc_score(positive, scores, sample_weight=weights()[patients]) for _ in range(PEER_REPLICATES)]
        return np.quantile(values, (0.025, 0.975))

    def numpy_vectorised() -> np.ndarray:
        """One sort for all replicates."""
        every = np.stack([weights() for _ in range(PEER_REPLICATES)])
        return np.quantile(_numpy_aucs(scores, positive, every[:, patients]), (0.025, 0.975))

    # Their intervals draw at random; what is compared is the AUCs of the same replicates.
    drawn = draw_weights(owner.astype(int), PEER_REPLICATES, seed=2)[:, patients]
    exact = np.array([roc_auc_score(positive, scores, sample_weight=weight) for weight in drawn])

    def ours() -> np.ndarray:
        return bootstrap_auc(scores, positive, patients, owner.astype(int), PEER_REPLICATES, 2)[0].numpy()

    part = PEER_REPLICATES / REPLICATES
    peers = [
        Peer(
            "fastrace",
            lambda: bootstrap(ranking, replicates=REPLICATES, method="percentile"),
            limit=TOLERANCE,
            check=ours,
        ),
        Peer("sklearn loop", sklearn_loop, ("scikit-learn",), part=part),
        Peer(
            "numpy, one sort",
            numpy_vectorised,
            ("numpy",),
            TOLERANCE,
            check=lambda: _numpy_aucs(scores, positive, drawn),
            part=part,
        ),
    ]
    what = f"patient-cluster interval, {ROWS:,} rows, B = {REPLICATES}, {cores}"
    return measure(what, peers, lambda found: difference(found, exact), rounds=rounds)


def _numpy_aucs(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUCs of replicates whose rows have these weights, [B, R]."""
    order = np.argsort(scores, kind="stable")
    ties = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    mine, weight = positive[order], weights[:, order].astype(np.float64)
    up = np.add.reduceat(np.where(mine, weight, 0.0), ties, axis=1)
    down = np.add.reduceat(np.where(mine, 0.0, weight), ties, axis=1)
    below = np.cumsum(down, axis=1) - down / 2
    return (up * below).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1))
