"""What an audit does to itself: controls that must hold before anything else is believed, and baselines that stand beside.

``shuffled`` and ``planted`` can fail, and then no conclusion is drawn. The others are shown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from fastrace.audit.cells import ask, none_if_nan
from fastrace.audit.document import sides
from fastrace.audit.locate import RULE
from fastrace.audit.planted import LEAST_OVERLAP, STRENGTH, Planted, planted_control
from fastrace.audit.probe import Probe
from fastrace.audit.subjects import Subjects
from fastrace.audit.tables import BUILT_IN, Tables
from fastrace.audit.tabular import (
    SCANNER,
    acquisition_columns,
    baselines,
    covariate_columns,
    scanner_subjects,
)
from fastrace.console.progress import Progress
from fastrace.console.words import interval, number
from fastrace.degrade import CLEAN
from fastrace.execute.threads import one_blas_thread
from fastrace.statistics import MIN_CELL

SHUFFLES = 100
SHUFFLE_STREAM = 7007  # other shuffles than those of the permutation tests
FAILS_BELOW = 0.001
TELLS = 0.01


def run_controls(tables: Tables, seed: int, permutations: int, progress: Progress) -> list[dict[str, Any]]:
    """All controls, in the order of the report."""
    with one_blas_thread():
        return _run_controls(tables, seed, permutations, progress)


def _run_controls(tables: Tables, seed: int, permutations: int, progress: Progress) -> list[dict[str, Any]]:
    subjects = tables.subjects
    features, group = tables.table(BUILT_IN, CLEAN)
    blind = subjects.partition(seed, blind=True)
    found = [
        shuffled(Probe(features, group, blind), subjects, seed),
        planted(planted_control(tables, seed, progress)),
        repeated(features, group, subjects, seed, permutations),
    ]
    frame, target, labels = subjects.cohort.frame, subjects.cohort.target, tables.dataset.labels
    for id, title, names in (
        ("acquisition", "Acquisition alone", acquisition_columns(frame, target)),
        ("covariates", "Covariates alone", covariate_columns(frame, target, labels)),
    ):
        progress.line(f"control: {title.lower()}")
        estimates = baselines(subjects, names, blind, seed, permutations) if names else []
        said = _reached(names, estimates) if estimates else ""
        found.append(
            {
                "id": id,
                "title": title,
                "status": "shown" if estimates else "not run",
                "sentence": said or "no such column varies in this dataset",
                "estimates": estimates,
                "numbers": {},
            }
        )
    found.append(scanner(features, group, subjects, seed, permutations))
    return found


def _reached(names: list[str], estimates: list[dict[str, Any]]) -> str:
    told = (
        "tell the groups" if estimates[0]["p"] is not None and estimates[0]["p"] < TELLS else "do not tell the groups"
    )
    said = f"without any image, {', '.join(names)} {told}: {interval(*sides(estimates[0]))}"
    return said


def shuffled(probe: Probe, subjects: Subjects, seed: int) -> dict[str, Any]:
    """Labels shuffled among patients: the mean AUC must not depart from one half."""
    draws = probe.shuffled(subjects.labels, len(subjects.classes), SHUFFLES, seed + SHUFFLE_STREAM).aucs
    draws = draws[np.isfinite(draws)]
    p = float(stats.ttest_1samp(draws, 0.5).pvalue) if len(draws) > 1 and np.ptp(draws) > 0 else 1.0
    ok = p >= FAILS_BELOW
    return {
        "id": "shuffled",
        "title": "Shuffled labels",
        "status": "ok" if ok else "failed",
        "sentence": f"{len(draws)} shuffles of the labels among patients: mean AUC {number(float(draws.mean()))}, "
        f"standard deviation {number(float(draws.std(ddof=1)))}"
        + ("" if ok else "; it departs from .5, so something other than the labels is being counted"),
        "estimates": [],
        "numbers": {"shuffles": len(draws), "mean": float(draws.mean()), "sd": float(draws.std(ddof=1)), "p": p},
    }


def planted(result: Planted) -> dict[str, Any]:
    """The leak planted in half of the patients must be found in its place."""
    low, high = result.planted
    where = "not found" if result.found is None else f"found in {result.found[0]:g}-{result.found[1]:g}"
    return {
        "id": "planted",
        "title": "Planted leak",
        "status": "ok" if result.ok else "failed",
        "sentence": f"a texture planted in half of the patients at {low:g}-{high:g} cycles/image was {where} "
        f"(overlap {number(result.overlap)}, at least {number(LEAST_OVERLAP)} asked)"
        + ("" if result.ok else "; this audit would not find a leak of that size here"),
        "estimates": [],
        "numbers": {
            "planted": list(result.planted),
            "found": None if result.found is None else list(result.found),
            "overlap": result.overlap,
            "strength": STRENGTH,
            "auc_all_octaves": none_if_nan(result.auc),
            "rule": RULE,
        },
    }


def repeated(
    features: np.ndarray, group: np.ndarray, subjects: Subjects, seed: int, permutations: int
) -> dict[str, Any]:
    """The primary question again with other folds and shuffles."""
    _, said = ask(
        Probe(features, group, subjects.partition(seed + 1)), subjects, seed=seed + 1, permutations=permutations
    )
    return {
        "id": "repeat",
        "title": "Repeated with another seed",
        "status": "shown",
        "sentence": f"other folds: {interval(*sides(said['estimate']))}, p {said['p']:.2g}"
        if said["p"]
        else "not defined",
        "estimates": [{"label": "other folds", **said["estimate"], "p": said["p"]}],
        "numbers": {},
    }


def scanner(
    features: np.ndarray, group: np.ndarray, subjects: Subjects, seed: int, permutations: int
) -> dict[str, Any]:
    """Is the site, the scanner or the view readable from the same features?"""
    estimates = []
    for name in SCANNER:
        if name == subjects.cohort.target or name not in subjects.cohort.frame:
            continue
        other = scanner_subjects(subjects, name)
        if other is None:
            continue
        rows = np.searchsorted(subjects.keys, other.keys)
        probe = Probe(features[rows], group, other.partition(seed))
        _, said = ask(probe, other, seed=seed, permutations=min(permutations, 999))
        estimate = said["estimate"]
        if 0 < len(subjects) - len(other) < MIN_CELL:  # who is left out would be known by subtraction
            estimate = {**estimate, "n_patients": None, "n_positive": None, "n_images": None}
        estimates.append({"label": name, **estimate, "p": said["p"]})
    said_all = ", ".join(f"{one['label']} {interval(*sides(one))}" for one in estimates)
    return {
        "id": "site",
        "title": "Site and scanner read from images",
        "status": "shown" if estimates else "not run",
        "sentence": f"from the same features: {said_all}"
        if estimates
        else "no site, scanner or view differs between patients",
        "estimates": estimates,
        "numbers": {},
    }
