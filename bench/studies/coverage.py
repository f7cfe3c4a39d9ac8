"""How often intervals contain the true AUC: simulated patients whose true AUC is known.

Scores are normal: own = sqrt(r) z for a patient and sqrt(1 - r) z for each image, so r is the correlation of the images of
one patient; positives are shifted by as much as gives the requested AUC. That is the AUC of patients, whose score is the mean
of their images: the shift is sqrt(v+ + v-) * Phi^-1(AUC), v the variance of that mean. Between single images the same shift
separates less, and the image-level interval is held against that smaller AUC.

`python -m fastrace.bench.studies.coverage [--write]`; `--write` puts the tables into docs/coverage.md. One process, some minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from fastrace.bench.machine import ROOT
from fastrace.statistics import (
    APPROXIMATE,
    Estimate,
    Ranking,
    class_aucs,
    influence,
    permutation_p,
    permuted_aucs,
    rank_images,
    rank_patients,
)
from fastrace.statistics.bootstrap import bootstrap_limits, replicated_aucs
from fastrace.statistics.estimate import logit_interval

SIMULATIONS = 2000
REPLICATES = 1000  # of a bootstrap
SHUFFLES = 499  # a p below .01 is possible from 100 on
DOCUMENT = ROOT / "docs" / "coverage.md"


@dataclass(frozen=True)
class Cell:
    """Simulated patients.

    Attributes
    ----------
    positives, negatives : int
        Patients.
    auc : float
        True, between patients.
    images : int
        Per patient.
    correlation : float
        Of the images of one patient.
    spread : float
        Standard deviation of the positives; that of the negatives is 1.
    """

    positives: int
    negatives: int
    auc: float
    images: int = 1
    correlation: float = 0.0
    spread: float = 1.0

    @property
    def shift(self) -> float:
        """Of the positives."""
        variance = self.correlation + (1 - self.correlation) / self.images
        return float(np.sqrt((1 + self.spread**2) * variance) * norm.ppf(self.auc))

    @property
    def image_auc(self) -> float:
        """True, between single images."""
        return float(norm.cdf(self.shift / np.sqrt(1 + self.spread**2)))

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores [N, 1], labels [N] (0: positive), patients [N]."""
        count = self.positives + self.negatives
        own = np.sqrt(self.correlation) * rng.standard_normal((count, 1))
        scores = own + np.sqrt(1 - self.correlation) * rng.standard_normal((count, self.images))
        scores[: self.positives] = self.spread * scores[: self.positives] + self.shift
        patients = np.repeat(np.arange(count), self.images)
        return scores.reshape(-1, 1), (patients >= self.positives).astype(np.int64), patients


GRID = tuple(
    Cell(n, n, auc, images, correlation)
    for n in (50, 500)
    for auc in (0.5, 0.75, 0.95)
    for images in (1, 2, 3, 4)
    for correlation in (0.0, 0.3, 0.7)
)
EDGES = tuple(
    Cell(m, n, auc, spread=spread)
    for m, n in ((10, 10), (30, 30), (30, 90), (30, 1000), (50, 150), (100, 200), (200, 2000))
    for auc in (0.75, 0.9, 0.95, 0.975)
    for spread in (1.0, 2.0)
)


def cover(cell: Cell, simulations: int, seed: int, resampled: bool = False) -> dict[str, float]:
    """Share of intervals that contain the true AUC.

    Parameters
    ----------
    cell : Cell
    simulations, seed : int
    resampled : bool
        Also by bootstrap (patient level).

    Returns
    -------
    dict
        "patient" and "image": the default interval of either ranking; "plain": logit DeLong without pseudo-patients, by
        patient; "percentile" and "BCa"; and "approximate", the share of patient-level intervals that carry that mark.
    """
    facts = (
        cell.positives,
        cell.negatives,
        cell.images,
        *(round(1000 * x) for x in (cell.auc, cell.correlation, cell.spread)),
    )
    rng = np.random.default_rng([seed, *facts])
    hits: dict[str, int] = {}
    for turn in range(simulations):
        scores, labels, patients = cell.draw(rng)
        by_patient = rank_patients(scores, labels, patients)
        found = class_aucs(by_patient)
        one, variance = found.classes[0], float(found.covariance[0, 0])
        limits = {"patient": (one.low, one.high), "plain": (one.low, one.high)}
        if one.method.startswith("logit"):
            limits["plain"] = logit_interval(one.value, variance)
        if resampled:
            draws, effect = replicated_aucs(by_patient, REPLICATES, turn)[:, 0], influence(by_patient, 0)[1]
            if one.method.startswith("logit"):
                limits["percentile"] = bootstrap_limits(one.value, draws, effect, "percentile")
                limits["BCa"] = bootstrap_limits(one.value, draws, effect, "bca")
            else:  # as `bootstrap` has it: every replicate repeats an AUC of 1
                limits["percentile"] = limits["BCa"] = limits["patient"]
        inside = {name: low <= cell.auc <= high for name, (low, high) in limits.items()}
        if cell.images > 1:
            by_image = class_aucs(rank_images(scores, labels, patients)).classes[0]
            inside["image"] = by_image.low <= cell.image_auc <= by_image.high
        inside["approximate"] = one.status == APPROXIMATE
        for name, inner in inside.items():
            hits[name] = hits.get(name, 0) + inner
    return {name: count / simulations for name, count in hits.items()}


# ---- the mean over classes, and scores made by cross-fitting ---------------------------------------------------------


def cover_macro(sizes: Sequence[int], auc: float, simulations: int, seed: int) -> tuple[float, float]:
    """Coverage of the macro mean of one-vs-rest AUCs, all of them `auc`, and the share marked approximate.

    Scores of different classes correlate by -1 / (K - 1), as probabilities do.
    """
    rng = np.random.default_rng([seed, *sizes, round(1000 * auc)])
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shift = np.sqrt(2) * norm.ppf(auc)
    scale = np.sqrt(len(sizes) / (len(sizes) - 1))  # centring takes the share 1 / K of the variance away

    def one() -> Estimate:
        noise = rng.standard_normal((len(labels), len(sizes)))
        scores = scale * (noise - noise.mean(axis=1, keepdims=True)) + shift * np.eye(len(sizes))[labels]
        return class_aucs(rank_patients(scores, labels, np.arange(len(labels)))).macro

    return _shares((one(), auc) for _ in range(simulations))


def cross_fitted(
    rng: np.random.Generator, per_class: int, auc: float, folds: int = 5, features: int = 20
) -> tuple[Ranking, float]:
    """Pooled scores, each made by a model that was fitted without its fold, and their truth.

    The model is the difference of class means of normal features whose best possible AUC is `auc`. The truth is what the
    fitted models separate in new patients, averaged over folds: intervals are conditional on the models.
    """
    labels = np.repeat([0, 1], per_class)
    centre = np.zeros(features)
    centre[0] = np.sqrt(2) * norm.ppf(auc)
    x = rng.standard_normal((2 * per_class, features)) + np.outer(labels == 0, centre)
    fold = np.concatenate([rng.permutation(np.arange(per_class) % folds) for _ in range(2)])
    scores, weights = np.empty(len(labels)), np.empty((folds, features))
    for k in range(folds):
        means = [x[(fold != k) & (labels == label)].mean(axis=0) for label in (0, 1)]
        weights[k] = means[0] - means[1]
        weights[k] /= np.linalg.norm(weights[k])  # scores of all models then have the same spread
        scores[fold == k] = x[fold == k] @ weights[k]
    share = np.bincount(fold[labels == 0], minlength=folds) / per_class
    truth = float(share @ norm.cdf(weights @ centre / np.sqrt(2)))
    return rank_patients(scores[:, None], labels, np.arange(len(labels)), cross_fitted=True), truth


def cover_cross_fitted(per_class: int, auc: float, simulations: int, seed: int) -> tuple[float, float]:
    """Coverage of the default interval of cross-fitted scores, and the share marked approximate."""
    rng = np.random.default_rng([seed, per_class, round(1000 * auc)])
    drawn = (cross_fitted(rng, per_class, auc) for _ in range(simulations))
    return _shares((class_aucs(ranking).classes[0], truth) for ranking, truth in drawn)


def false_findings(per_class: int, simulations: int, seed: int, split: bool) -> list[float]:
    """Without any signal: how often p < .05 and p < .01 when labels are shuffled and scores stay as they are.

    Cross-fitted scores, or (`split`) scores of one model that was fitted on other patients.
    """
    rng = np.random.default_rng([seed, per_class, int(split)])
    p = []
    for turn in range(simulations):
        if split:
            labels = np.repeat([0, 1], per_class)
            ranking = rank_patients(rng.standard_normal((len(labels), 1)), labels, np.arange(len(labels)))
        else:
            ranking = cross_fitted(rng, per_class, 0.5)[0]
        p.append(permutation_p(class_aucs(ranking).macro.value, permuted_aucs(ranking, SHUFFLES, turn)))
    return [float(np.mean(np.array(p) < bound)) for bound in (0.05, 0.01)]


def _shares(found: Iterator[tuple[Estimate, float]]) -> tuple[float, float]:
    inside = [(one.low <= truth <= one.high, one.status == APPROXIMATE) for one, truth in found]
    return float(np.mean([hit for hit, _ in inside])), float(np.mean([mark for _, mark in inside]))


MACROS = tuple((sizes, auc) for sizes in ((50, 50, 50), (500, 500, 500), (40, 150, 600)) for auc in (0.5, 0.75, 0.95))
CROSS_FITTED = tuple((n, auc) for n in (50, 100) for auc in (0.5, 0.75, 0.95))


def main(arguments: Sequence[str]) -> None:
    """Simulate, print the tables, and with --write keep them."""
    from fastrace.bench.studies.coverage_page import document

    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.studies.coverage", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    text = document(options.simulations, options.seed, lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write(text)
    if options.write:
        DOCUMENT.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
