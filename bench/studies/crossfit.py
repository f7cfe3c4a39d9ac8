"""Coverage of the widened intervals of cross-fitted probes, and whether the permutation p is uniform under the null.

`python -m fastrace.bench.studies.crossfit [--simulations 300] [--write]`. Patients of two equal groups have D normal features,
one of which discriminates the groups with the stated AUC. The truth of a fitted rule is known from its weights; of five folds
it is the mean of the five, of repeated folds that of the mean rule. `--write` makes docs/crossfit.md.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.stats import binom, norm
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import widened
from fastrace.audit.engines.probe import Fit, Probe
from fastrace.audit.partition import Partition, cross_fit
from fastrace.audit.subjects import FEW_PATIENTS, FOLDS, REPEATS
from fastrace.bench.machine import ROOT
from fastrace.statistics import Ranking, class_aucs, permutation_p

GRID = [(n, d, auc) for n in (80, 220) for d in (1, 20, 300) for auc in (0.5, 0.75, 0.9)]
SHUFFLES = 199
NULL = 500


def simulate(n: int, d: int, auc: float, simulations: int, seed: int) -> tuple[float, float, float, float]:
    """Mean true AUC, coverage of the plain and of the widened interval, and mean spread."""
    rng = np.random.default_rng((seed, n, d, round(100 * auc)))
    shift = np.sqrt(2) * norm.ppf(auc)
    labels = np.repeat([0, 1], n // 2)
    group = np.full(d, "one")
    rows = []
    for number in range(simulations):
        features = rng.standard_normal((n, d))
        features[labels == 1, 0] += shift
        probe, partition = _probe(features, labels, rng)
        estimate = class_aucs(
            Ranking(probe.observed(labels, 2), labels, np.arange(n), n, "patient", np.ones(n, dtype=np.int64))
        ).macro
        spread = probe.permuted(labels, 2, SHUFFLES, number).spread
        wide = widened(estimate, spread)
        truth = _truth(features, labels, group, partition, shift)
        rows.append((truth, estimate.low <= truth <= estimate.high, wide.low <= truth <= wide.high, spread))
    truth, plain, wide, spread = np.mean(rows, axis=0)
    return float(truth), float(plain), float(wide), float(spread)


def _probe(features: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[Probe, Partition]:
    n = len(labels)
    repeats = REPEATS if n < FEW_PATIENTS else 1
    folds = tuple(
        cross_fit([rng.permutation(np.flatnonzero(labels == k)) for k in (0, 1)], FOLDS) for _ in range(repeats)
    )
    partition = Partition(folds, np.arange(n))
    return Probe(features, np.full(features.shape[1], "one"), partition), partition


def _truth(features: np.ndarray, labels: np.ndarray, group: np.ndarray, partition: Partition, shift: float) -> float:
    d = features.shape[1]
    basis = np.vstack([np.zeros(d), np.eye(d)])
    rules = []
    for folds in partition.repeats:
        for fold in folds:
            coded = np.where(labels[fold.train, None] == 1, 1.0, -1.0)
            score = Fit(features[fold.train], basis, group).scores(coded)[:, 0]
            rules.append(score[1:] - score[0])
    known = rules if len(partition.repeats) == 1 else [np.mean(rules, axis=0)]
    return float(np.mean([norm.cdf(shift * rule[0] / (np.sqrt(2) * np.linalg.norm(rule))) for rule in known]))


def null_p(simulations: int, seed: int) -> list[tuple[str, int, int, tuple[int, int]]]:
    """How often p is below .05 and .01 without a signal, with the 99 % binomial region."""
    rng = np.random.default_rng((seed, 1))
    p = []
    for number in range(simulations):
        labels = np.repeat([0, 1], 40)
        probe, _ = _probe(rng.standard_normal((80, 20)), labels, rng)
        scores = probe.observed(labels, 2)
        value = class_aucs(Ranking(scores, labels, np.arange(80), 80, "patient")).macro.value
        p.append(permutation_p(value, probe.permuted(labels, 2, SHUFFLES, number).aucs))
    found = []
    for level in (0.05, 0.01):
        low, high = (int(edge) for edge in binom.interval(0.99, simulations, level))
        found.append((f"p <= {level:g}", int((np.asarray(p) <= level).sum()), simulations, (low, high)))
    return found


def main(arguments: list[str]) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.studies.crossfit", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    lines = [
        "# Cross-fitted probes: interval and null",
        "",
        f"`python -m fastrace.bench.studies.crossfit --write`: {given.simulations} simulations a cell, standard error about",
        f"{100 * np.sqrt(0.05 * 0.95 / given.simulations):.1f} points; {FOLDS} folds, below {FEW_PATIENTS} patients",
        f"{REPEATS} times.",
        "Plain is logit DeLong, which takes the scores as given; widened is what an audit prints.",
        "",
        "| patients | features | AUC of the best rule | AUC of the fitted rules | spread | plain covers | widened covers |",
        "|---|---|---|---|---|---|---|",
    ]
    with threadpool_limits(1):
        for n, d, auc in GRID:
            truth, plain, wide, spread = simulate(n, d, auc, given.simulations, 0)
            outside = "" if 0.93 <= wide <= 0.97 else " (outside 93-97)"
            lines.append(f"| {n} | {d} | {auc} | {truth:.2f} | {spread:.2f} | {plain:.1%} | {wide:.1%}{outside} |")
            sys.stderr.write(lines[-1] + "\n")
        lines += [
            "",
            f"Without a signal (80 patients, 20 features, {NULL} simulations, everything fitted again for each shuffle):",
            "",
        ]
        for what, count, of, (low, high) in null_p(NULL, 0):
            lines.append(f"- {what} in {count} of {of}; 99 % binomial region {low}-{high}")
    page = "\n".join(lines) + "\n"
    sys.stdout.write(page)
    if given.write:
        (ROOT / "docs" / "crossfit.md").write_text(page)


if __name__ == "__main__":
    main(sys.argv[1:])
