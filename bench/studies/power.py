"""Whether the AUC that an audit says it would have found is found eight times of ten.

`python -m fastrace.bench.studies.power [--archives 400] [--keep FOLDER] [--write]`. Archives as in `studies.crossfit`. The
deviation of permuted AUCs gives the detectable AUC, as in an audit; then a shift is sought for which the fitted rules have that
AUC among new patients, in the mean; power is the share of archives with that shift whose sequential p is below the level.
`--write` makes docs/power.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import p_value
from fastrace.audit.correction import ALPHA, primary_permutations
from fastrace.audit.engines.probe import Probe
from fastrace.audit.partition import Partition, deal_at_random
from fastrace.audit.request import PERMUTATIONS
from fastrace.bench.studies.blocks import Row, options, publish, run_blocks
from fastrace.bench.studies.crossfit import truth
from fastrace.statistics import POWER, detectable_auc

BLOCK, TUNING = 50, 40


@dataclass(frozen=True)
class Setting:
    """One row: patients of each group, features, level after correction."""

    sizes: tuple[int, ...]
    features: int
    alpha: float

    @property
    def name(self) -> str:
        """Of the files that keep its blocks."""
        return f"power-{'+'.join(map(str, self.sizes))}-{self.features}-{self.alpha}"

    @property
    def permutations(self) -> int:
        """At most: those of an audit with as many readers as make its level this one."""
        return primary_permutations(round(ALPHA / self.alpha), PERMUTATIONS)


SETTINGS = [
    Setting((30, 30), 20, 0.01),
    Setting((100, 100), 20, 0.01),
    Setting((100, 100), 20, 0.002),
    Setting((100, 100), 20, 0.001),
    Setting((100, 100), 300, 0.01),
    Setting((160, 40), 20, 0.01),
    Setting((50, 50, 50, 50), 20, 0.01),
    Setting((500, 500), 20, 0.01),
]


def draw(
    setting: Setting, shift: float, rng: np.random.Generator
) -> tuple[Probe, np.ndarray, np.ndarray, np.ndarray, Partition]:
    """An archive whose group k > 0 is shifted in feature k - 1: probe, features, labels, means of the groups, folds."""
    labels = np.repeat(np.arange(len(setting.sizes)), setting.sizes)
    means = np.zeros((len(setting.sizes), setting.features))
    for k in range(1, len(setting.sizes)):
        means[k, k - 1] = shift
    features = rng.standard_normal((len(labels), setting.features)) + means[labels]
    partition = deal_at_random(labels, rng)
    return Probe(features, np.full(setting.features, "one"), partition), features, labels, means, partition


def aim(setting: Setting) -> tuple[float, float]:
    """The detectable AUC, and the shift with which fitted rules have it in the mean."""
    rng = np.random.default_rng((20261130, 1, *setting.sizes, setting.features))
    probe, _, labels, _, _ = draw(setting, 0.0, rng)
    deviation = float(probe.permuted(labels, len(setting.sizes), 1999, 0).aucs.std(ddof=1))
    smallest = min(setting.sizes)
    wanted = detectable_auc(deviation, (smallest, len(labels) - smallest), setting.alpha)

    def missing(shift: float) -> float:
        own = np.random.default_rng((20261130, 2, *setting.sizes, setting.features))  # the same noise for every shift
        reached = [truth(f, y, m, part) for _, f, y, m, part in (draw(setting, shift, own) for _ in range(TUNING))]
        return float(np.mean(reached)) - wanted

    return wanted, float(brentq(missing, 0.0, 6.0, xtol=0.01))


def archives(setting: Setting, wanted: float, shift: float, block: int) -> list[Row]:
    """Archives of one block: whether each is found, and the AUC of its fitted rules."""
    rng = np.random.default_rng((20261130, 3, block, *setting.sizes, setting.features))
    rows = []
    for number in range(BLOCK):
        probe, features, labels, means, partition = draw(setting, shift, rng)
        classes = len(setting.sizes)
        p = p_value(probe, labels, classes, setting.permutations, number).p
        rows.append(
            {"found": bool(p is not None and p < setting.alpha), "truth": truth(features, labels, means, partition)}
        )
    return rows


def main(arguments: list[str]) -> None:
    """Simulate and print."""
    parser = options("power", __doc__)
    parser.add_argument("--archives", type=int, default=400)
    given = parser.parse_args(arguments)
    lines, hours = [], 0.0
    with threadpool_limits(1):
        for setting in SETTINGS:
            wanted, shift = aim(setting)
            simulate = partial(archives, setting, wanted, shift)
            rows, took = run_blocks(given.keep, setting.name, -(-given.archives // BLOCK), simulate)
            hours += took
            share = float(np.mean([row["found"] for row in rows]))
            lines.append(
                f"| {' / '.join(map(str, setting.sizes))} | {setting.features} | {setting.alpha} | {wanted:.3f} | "
                f"{np.mean([row['truth'] for row in rows]):.3f} | {share:.1%} |"
            )
    head = [
        "# Power at the detectable AUC",
        "",
        f"`python -m fastrace.bench.studies.power --write`: {given.archives} archives a row (standard error 2 points),",
        f"{hours:.1f} processor hours. An audit says that it would have found this AUC with {100 * POWER:.0f} % power.",
        "",
        "| patients of each group | features | level | detectable AUC | AUC of the fitted rules | found |",
        "|---|---|---|---|---|---|",
    ]
    publish("power", "\n".join([*head, *lines]) + "\n", write=given.write)


if __name__ == "__main__":
    main(sys.argv[1:])
