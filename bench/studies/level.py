"""Whether the shuffled-label control and the permutation p keep their levels: archives without a signal, as tables of features.

`python -m fastrace.bench.studies.level [--archives 10000] [--keep FOLDER] [--write]`. An archive has 60 to 400 patients
(log-uniform), two or four groups of equal or unequal size, and features of one of the kinds below, drawn without looking at
the groups. Folds, probe, control and permutations are those of an audit. The control fails below p = .001; of 10,000 archives
10 are expected, and at most 20 pass as "one in a thousand". `--write` makes docs/level.md.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import ranked, widened
from fastrace.audit.controls.permuted_labels import FAILS_BELOW, PERMUTATIONS, shuffled
from fastrace.audit.engines.probe import Probe
from fastrace.audit.partition import FEW_PATIENTS, REPEATS, deal_at_random
from fastrace.bench.studies.blocks import Row, options, publish, run_blocks
from fastrace.bench.studies.uniform import steps, uniformity
from fastrace.statistics import MIN_CELL, class_aucs, permutation_p

BLOCK = 100
LEAST, MOST = 60, 400
P_PERMUTATIONS = 99
SHARES = {
    "two equal": (1, 1),
    "two, one in five": (4, 1),
    "four equal": (1, 1, 1, 1),
    "four, one in ten": (4, 3, 2, 1),
}
"""Patients of each group; the smallest has at least 11, as in an audit."""


def normal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """20 independent features."""
    return rng.standard_normal((n, 20))


def spectrum(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """300 features of falling variance, heavy tails: more than patients in most archives."""
    factors = rng.standard_t(4, (n, 60)) * np.arange(1, 61) ** -0.5
    return factors @ rng.standard_normal((60, 300)) + 0.1 * rng.standard_normal((n, 300))


def sites(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Five sites and nothing else: few distinct rows."""
    return np.eye(5)[rng.integers(0, 5, n)]


def vendors(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Images of two vendors that look different in everything: rows in two clumps."""
    return rng.standard_normal((n, 40)) + 6 * (rng.random((n, 1)) < 0.3)


KINDS = {"normal": normal, "spectrum": spectrum, "sites": sites, "vendors": vendors}


def log_uniform(rng: np.random.Generator, least: int, most: int) -> int:
    """A whole number between these, as often in one octave as in another."""
    return round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))


def patients_for(shares: str, smallest: int) -> int:
    """Patients of all groups of `SHARES`, if the smallest group is to have so many."""
    return int(np.ceil(smallest * sum(SHARES[shares]) / min(SHARES[shares])))


def assigned(shares: str, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Groups of n patients in the shares of that name, at random, [n]."""
    parts = np.array(SHARES[shares]) / sum(SHARES[shares])
    sizes = np.diff(np.round(np.r_[0, parts.cumsum()] * n).astype(int))
    return rng.permutation(np.repeat(np.arange(len(parts)), sizes))


def archives(block: int) -> list[Row]:
    """One block: for each archive the p of the control and of the audit, the AUC, and whether its interval holds one half."""
    rng = np.random.default_rng((20261130, block))
    rows = []
    for _ in range(BLOCK):
        kind, shares = str(rng.choice(list(KINDS))), str(rng.choice(list(SHARES)))
        n = max(log_uniform(rng, LEAST, MOST), patients_for(shares, MIN_CELL))
        labels = assigned(shares, n, rng)
        features = KINDS[kind](rng, n)
        partition = deal_at_random(labels, rng)
        probe = Probe(features, np.full(features.shape[1], "one"), partition)
        classes, seed = len(SHARES[shares]), int(rng.integers(1 << 30))
        draws, p_control = shuffled(probe, labels, classes, seed)
        estimate = class_aucs(ranked(probe.observed(labels, classes), labels, partition)).macro
        permuted = probe.permuted(labels, classes, P_PERMUTATIONS, seed)
        wide = widened(estimate, permuted.spread)
        rows.append({
            "kind": kind, "groups": shares, "n": n, "control": p_control, "mean": float(draws.mean()),
            "auc": estimate.value, "p": permutation_p(estimate.value, permuted.aucs), "holds": wide.low <= 0.5 <= wide.high,
        })  # fmt: skip
    return rows


def page(rows: list[Row], hours: float) -> str:
    """docs/level.md."""
    total = len(rows)
    failed = sum(row["control"] < FAILS_BELOW for row in rows)
    low, high = stats.binom.interval(0.99, total, FAILS_BELOW)
    of_control = uniformity([row["control"] for row in rows])
    of_audit = uniformity([row["p"] for row in rows], steps(P_PERMUTATIONS))
    lines = [
        "# Levels without a signal",
        "",
        f"`python -m fastrace.bench.studies.level --archives {total} --write`: {total:,} archives of {LEAST} to {MOST} patients",
        f"whose features know nothing of the groups; {hours:.1f} processor hours. Patients are compared within folds; below",
        f"{FEW_PATIENTS} patients the folds are dealt {REPEATS} times.",
        "",
        f"The shuffled-label control ({PERMUTATIONS} permutations, fails below p = {FAILS_BELOW}) failed in **{failed}** of",
        f"{total:,} (99 % binomial region of .1 %: {low:.0f}-{high:.0f}). Kolmogorov-Smirnov test that its p is uniform: p =",
        f"{of_control:.2f}; the same of the p of the audit ({P_PERMUTATIONS} permutations, spread evenly within its",
        f"steps): {of_audit:.2f}.",
        "",
        "| features | groups | patients | archives | control failed | mean of shuffles | mean AUC (standard error) "
        "| p <= .05 | p <= .01 | interval holds .5 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    everything = [(kind, "all", LEAST, MOST) for kind in KINDS] + [("all", groups, LEAST, MOST) for groups in SHARES]
    everything += [("all", "all", *edges) for edges in ((LEAST, 99), (100, FEW_PATIENTS - 1), (FEW_PATIENTS, MOST))]
    for kind, groups, least, most in everything:
        some = [
            row
            for row in rows
            if kind in ("all", row["kind"]) and groups in ("all", row["groups"]) and least <= row["n"] <= most
        ]
        if not some:
            continue
        auc, p = np.array([row["auc"] for row in some]), np.array([row["p"] for row in some])
        lines.append(
            f"| {kind} | {groups} | {least}-{most} | {len(some):,} | {sum(row['control'] < FAILS_BELOW for row in some)} | "
            f"{np.mean([row['mean'] for row in some]):.4f} | {auc.mean():.4f} ({auc.std() / np.sqrt(len(auc)):.4f}) | "
            f"{(p <= 0.05 + 1e-9).mean():.3f} | {(p <= 0.01 + 1e-9).mean():.3f} | {np.mean([row['holds'] for row in some]):.3f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Simulate and print."""
    parser = options("level", __doc__)
    parser.add_argument("--archives", type=int, default=10_000)
    given = parser.parse_args(arguments)
    with threadpool_limits(1):
        rows, hours = run_blocks(given.keep, "level", -(-given.archives // BLOCK), archives)
    publish("level", page(rows[: given.archives], hours), write=given.write)


if __name__ == "__main__":
    main(sys.argv[1:])
