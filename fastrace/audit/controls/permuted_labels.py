"""Negative control: with labels permuted among patients the mean AUC must not differ from one half.

It tests how scores are made and compared, on these features. It cannot see what permuted labels do not have: one person under
two ids, or a site that goes with the group.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from fastrace.audit.controls.material import Material
from fastrace.audit.document import Control
from fastrace.audit.engines import F64, Engine
from fastrace.audit.engines.probe import Probe
from fastrace.audit.partition import Ints
from fastrace.console.words import number

PERMUTATIONS = 100
STREAM = 7007  # other permutations than those of the tests
FAILS_BELOW = 0.001
CONFIRMED_BY = 1000
"""Further permutations where the first fail, which must fail as well: a hundred do so by chance in one audit of a thousand."""


def shuffled(
    engine: Engine, labels: Ints, n_classes: int, seed: int, count: int = PERMUTATIONS, first: int = 0
) -> tuple[F64, float]:
    """Macro AUCs of permuted labels, and the p of a t test that their mean is one half."""
    draws = engine.permuted(labels, n_classes, count, seed + STREAM, first=first).aucs
    draws = draws[np.isfinite(draws)]
    return draws, float(stats.ttest_1samp(draws, 0.5).pvalue) if len(draws) > 1 and np.ptp(draws) > 0 else 1.0


def confirmed(engine: Engine, labels: Ints, n_classes: int, seed: int) -> tuple[F64, float]:
    """`shuffled`; where it fails, of `CONFIRMED_BY` other permutations."""
    draws, p = shuffled(engine, labels, n_classes, seed)
    if p < FAILS_BELOW:
        draws, p = shuffled(engine, labels, n_classes, seed, CONFIRMED_BY, PERMUTATIONS)
    return draws, p


def control(material: Material) -> Control:
    """The built-in features (with fewer patches) on unchanged images, 100 permutations of the labels."""
    subjects = material.subjects
    probe = Probe(*material.reduced, material.partition)
    draws, p = confirmed(probe, subjects.labels, len(subjects.classes), material.seed)
    ok = p >= FAILS_BELOW
    mean, sd = float(draws.mean()), float(draws.std(ddof=1))
    sentence = f"{len(draws)} permutations of the labels among patients: mean AUC {number(mean)}, standard deviation {number(sd)}"
    return Control(
        "shuffled",
        "Shuffled labels",
        "ok" if ok else "failed",
        sentence
        + (
            "; this tests the procedure, not the images"
            if ok
            else "; it differs from .5: the AUCs of this audit are biased where no label is"
        ),
        numbers={"shuffles": len(draws), "mean": mean, "sd": sd, "p": p},
    )
