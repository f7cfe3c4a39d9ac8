"""Coverage of the widened intervals of cross-fitted probes.

`python -m fastrace.bench.studies.crossfit [--simulations 1000] [--cells small|all] [--keep FOLDER] [--write]`. Patients have
D normal features; group k > 0 is shifted in feature k - 1, so that this feature alone tells it from group 0 with the stated AUC.
Folds, probe and permutations are those of an audit. The truth of a fitted rule among new patients is known from its weights;
the truth of an estimate is their mean over folds and repeats, since intervals take the fits as given. Images do not occur: a
probe reads the mean of a patient. `--write` makes docs/crossfit.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import ranked, widened
from fastrace.audit.engines.probe import Probe, Regressions, standardise
from fastrace.audit.engines.probe.probe import coded
from fastrace.audit.partition import FEW_PATIENTS, FOLDS, REPEATS, Fold, Partition, deal_at_random
from fastrace.bench.studies.blocks import Row, options, publish, run_blocks
from fastrace.statistics import class_aucs

SHUFFLES = 199
BLOCK = 100


@dataclass(frozen=True)
class Setting:
    """One row of the table: patients of each group, features, the AUC of a group's own feature."""

    sizes: tuple[int, ...]
    features: int
    auc: float

    @property
    def name(self) -> str:
        """Of the files that keep its blocks."""
        return f"crossfit-{'+'.join(map(str, self.sizes))}-{self.features}-{self.auc}"


def _settings() -> list[Setting]:
    found = [Setting((n // 2, n // 2), 20, auc) for n in (60, 200, 1000) for auc in (0.5, 0.6, 0.75, 0.95)]
    found += [Setting((n // 2, n // 2), 300, auc) for n in (60, 200, 1000) for auc in (0.5, 0.75, 0.95)]
    found += [Setting((n // 2, n // 2), 1, auc) for n in (60, 200) for auc in (0.5, 0.75)]
    found += [Setting((n - n // 5, n // 5), 20, auc) for n in (60, 200, 1000) for auc in (0.5, 0.75, 0.95)]
    found += [Setting((n // 4,) * 4, 20, auc) for n in (200, 1000) for auc in (0.5, 0.75, 0.95)]
    found += [
        Setting(tuple(n * share // 10 for share in (4, 3, 2, 1)), 20, auc) for n in (200, 1000) for auc in (0.5, 0.75)
    ]
    return found


SETTINGS = _settings()
LARGE = [Setting((5000, 5000), 20, auc) for auc in (0.5, 0.6, 0.75)] + [Setting((2500,) * 4, 20, 0.5)]


def simulate(setting: Setting, block: int) -> list[Row]:
    """Archives of one block: truth, spread, and whether the plain and the widened interval hold the truth."""
    rng = np.random.default_rng((20261130, block, *setting.sizes, setting.features, round(1000 * setting.auc)))
    classes, n = len(setting.sizes), sum(setting.sizes)
    labels = np.repeat(np.arange(classes), setting.sizes)
    means = np.zeros((classes, setting.features))
    for k in range(1, classes):
        means[k, k - 1] = np.sqrt(2) * norm.ppf(setting.auc)
    rows = []
    for number in range(BLOCK):
        features = rng.standard_normal((n, setting.features)) + means[labels]
        partition = deal_at_random(labels, rng)
        probe = Probe(features, np.full(setting.features, "one"), partition)
        estimate = class_aucs(ranked(probe.observed(labels, classes), labels, partition)).macro
        spread = probe.permuted(labels, classes, SHUFFLES, number).spread
        wide = widened(estimate, spread)
        true = truth(features, labels, means, partition)
        rows.append({
            "truth": true, "value": estimate.value, "spread": spread, "plain": estimate.low <= true <= estimate.high,
            "wide": wide.low <= true <= wide.high, "below": true < wide.low,
        })  # fmt: skip
    return rows


def truth(
    features: NDArray[np.float64], labels: NDArray[np.int64], means: NDArray[np.float64], partition: Partition
) -> float:
    """Macro AUC of the fitted rules among new patients, mean over folds by their pairs."""
    classes, d = means.shape
    n = len(labels)
    basis = np.arange(n, n + d + 1)  # rows that show what a fit makes of each feature
    rows = np.concatenate([features, np.zeros((1, d)), np.eye(d)])
    table = standardise(rows, np.full(d, "one"), np.arange(n), basis)
    signs = np.concatenate([coded(labels, classes), np.zeros((d + 1, classes))])
    total, pairs = np.zeros(classes), np.zeros(classes)
    shares = np.bincount(labels) / len(labels)
    for folds in partition.repeats:
        for fold in folds:
            alone = Partition(((Fold(fold.train, basis),),), basis, refit=False)
            ((_, _, scores),) = Regressions(table, alone).scores(signs)
            rule = (scores[1:] - scores[0]).T  # [K, D]
            distance = np.einsum("kd,kd->k", rule, means)[:, None] - rule @ means.T
            distance /= np.linalg.norm(rule, axis=1)[:, None]
            against = norm.cdf(distance / np.sqrt(2))  # [K, K] of group k against group j, by the rule of k
            weight = np.where(np.eye(classes, dtype=bool), 0.0, shares)
            positives = np.bincount(labels[fold.test], minlength=classes)
            mine = positives * (len(fold.test) - positives)
            total += mine * (against * weight).sum(axis=1) / weight.sum(axis=1)
            pairs += mine
    return float((total / pairs).mean())


def page(found: list[tuple[Setting, list[Row]]], hours: float, simulations: int, cells: str) -> str:
    """docs/crossfit.md."""
    error = 100 * np.sqrt(0.05 * 0.95 / simulations)
    lines = [
        "# Cross-fitted probes: coverage of the interval",
        "",
        f"`python -m fastrace.bench.studies.crossfit --cells {cells} --write`: {simulations} archives a row (standard error",
        f"about {error:.1f} points), {hours:.1f} processor hours; {FOLDS} folds, below {FEW_PATIENTS} patients dealt",
        f"{REPEATS} times; patients are compared within folds. Plain: influence functions with patients as clusters, logit",
        "scale; they take the fits as given. Widened: what an audit prints, by the ratio of the standard deviations of permuted",
        "AUCs with and without fitting again (spread).",
        "",
        "| patients of each group | features | AUC of a group's own feature | AUC of the fitted rules | mean estimate "
        "| spread | plain covers | widened covers | truth below the interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for setting, rows in found:
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        outside = "" if 0.93 <= mean["wide"] <= 0.97 else " (outside 93-97)"
        lines.append(
            f"| {' / '.join(map(str, setting.sizes))} | {setting.features} | {setting.auc} | {mean['truth']:.3f} | "
            f"{mean['value']:.3f} | {mean['spread']:.2f} | {mean['plain']:.1%} | {mean['wide']:.1%}{outside} | "
            f"{mean['below']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Simulate and print."""
    parser = options("crossfit", __doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument(
        "--cells", choices=["small", "all"], default="small", help="all: archives of 10,000 patients too"
    )
    given = parser.parse_args(arguments)
    found, hours = [], 0.0
    with threadpool_limits(1):
        for setting in SETTINGS + (LARGE if given.cells == "all" else []):
            rows, took = run_blocks(
                given.keep, setting.name, -(-given.simulations // BLOCK), partial(simulate, setting)
            )
            found.append((setting, rows[: given.simulations]))
            hours += took
    publish("crossfit", page(found, hours, given.simulations, given.cells), write=given.write)


if __name__ == "__main__":
    main(sys.argv[1:])
