"""Whether the shuffled-label control and the permutation p keep their levels: archives without a signal, as tables of features.

`python -m fastrace.bench.studies.level [--archives 10000] [--keep FOLDER] [--write]`. An archive has 60 to 400 patients
(log-uniform), two or four groups of equal or unequal size, and features of one of the kinds below, drawn without looking at
the groups. Folds, probe, control and permutations are those of an audit. The control fails below p = .001; of 10,000 archives
10 are expected, and at most 20 pass as "one in a thousand". `--write` makes docs/level.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import ranked, widened
from fastrace.audit.controls.permuted_labels import FAILS_BELOW, PERMUTATIONS, shuffled
from fastrace.audit.engines.probe import Probe
from fastrace.audit.partition import FEW_PATIENTS, REPEATS, deal_at_random
from fastrace.bench.machine import ROOT
from fastrace.bench.studies.blocks import Row, run_blocks
from fastrace.statistics import class_aucs, permutation_p

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


def archives(block: int) -> list[Row]:
    """One block: for each archive the p of the control and of the audit, the AUC, and whether its interval holds one half."""
    rng = np.random.default_rng((20261130, block))
    rows = []
    for _ in range(BLOCK):
        kind, shares = str(rng.choice(list(KINDS))), str(rng.choice(list(SHARES)))
        parts = np.array(SHARES[shares]) / sum(SHARES[shares])
        n = max(round(float(np.exp(rng.uniform(np.log(LEAST), np.log(MOST))))), int(np.ceil(11 / parts.min())))
        labels = rng.permutation(
            np.repeat(np.arange(len(parts)), np.diff(np.round(np.r_[0, parts.cumsum()] * n).astype(int)))
        )
        features = KINDS[kind](rng, n)
        partition = deal_at_random(labels, rng)
        probe = Probe(features, np.full(features.shape[1], "one"), partition)
        seed = int(rng.integers(1 << 30))
        draws, p_control = shuffled(probe, labels, len(parts), seed)
        estimate = class_aucs(ranked(probe.observed(labels, len(parts)), labels, partition)).macro
        permuted = probe.permuted(labels, len(parts), P_PERMUTATIONS, seed)
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
    lines = [
        "# Levels without a signal",
        "",
        f"`python -m fastrace.bench.studies.level --archives {total} --write`: {total:,} archives of {LEAST} to {MOST} patients",
        f"whose features know nothing of the groups; {hours:.1f} processor hours. Patients are compared within folds; below",
        f"{FEW_PATIENTS} patients the folds are dealt {REPEATS} times.",
        "",
        f"The shuffled-label control ({PERMUTATIONS} permutations, fails below p = {FAILS_BELOW}) failed in **{failed}** of",
        f"{total:,} (99 % binomial region of .1 %: {low:.0f}-{high:.0f}). Kolmogorov-Smirnov test that its p is uniform: p =",
        f"{_ks(rows, 'control'):.2f}; the same of the p of the audit ({P_PERMUTATIONS} permutations, spread evenly within its",
        f"steps): {_ks(rows, 'p'):.2f}.",
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


def _ks(rows: list[Row], name: str) -> float:
    values = np.array([row[name] for row in rows])
    if name == "p":  # k / 100: spread evenly below its step, so that a uniform p is uniform
        values = values - np.random.default_rng(0).random(len(values)) / (P_PERMUTATIONS + 1)
    return float(stats.kstest(values, "uniform").pvalue)


def main(arguments: list[str]) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(prog="python -m fastrace.bench.studies.level", description=__doc__.splitlines()[0])
    parser.add_argument("--archives", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="folder of finished blocks, to go on with")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    with threadpool_limits(1):
        rows, hours = run_blocks(given.keep, "level", -(-given.archives // BLOCK), archives)
    text = page(rows[: given.archives], hours)
    sys.stdout.write(text)
    if given.write:
        (ROOT / "docs" / "level.md").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
