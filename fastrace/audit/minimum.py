"""Before an audit: the smallest AUC that it would find with the patients there are, and the patients that others would need.

Nothing is read from the images. Without a signal the scores of a probe are noise; the deviation of their AUC is taken from one
draw of noise with these classes, times `CROSS_FITTED` where patients are cross-fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fastrace.audit.begin import wanted_experiments
from fastrace.audit.correction import smallest_level
from fastrace.audit.readers.rings import FAMILIES
from fastrace.audit.request import LEAST_OF_A_CLASS, AuditRequest
from fastrace.audit.subjects import Subjects, select_subjects
from fastrace.cohort.split import Fractions
from fastrace.console.words import count, plural
from fastrace.dataset import Dataset
from fastrace.models import SMALL
from fastrace.statistics import MIN_CLASS_PATIENTS, class_aucs, detectable_auc, rank_patients

CROSS_FITTED = 1.4
"""Spread of cross-fitted AUCs without a signal (docs/crossfit.md: 1.24 to 1.59, nearly always 1.4)."""
TARGETS = (0.55, 0.6, 0.65, 0.75)
MOST_TIMES = 1e4


@dataclass(frozen=True)
class Minimum:
    """What one kind of test would find.

    Attributes
    ----------
    what : str
    alpha : float
        Level after correction, for a test that is the only finding.
    share : float
        Of the patients that are scored.
    spread : float
        Factor of cross-fitting on the deviation.
    auc : float
        Found with 80 % power; NaN where none is.
    """

    what: str
    alpha: float
    share: float
    spread: float
    auc: float


def plan(request: AuditRequest) -> str:
    """What `fastrace audit --plan` prints for the options of an audit.

    Raises
    ------
    FastraceError
        As the audit itself would.
    """
    dataset = Dataset.open(request.data)
    wanted = wanted_experiments(request, dataset)
    subjects = select_subjects(dataset, request.target, request.classes)
    evaluated, readers = [("cross-fitted readers", 1.0, CROSS_FITTED)], list(dict.fromkeys(request.readers))
    if SMALL in readers:
        if np.bincount(subjects.labels).min() >= LEAST_OF_A_CLASS:
            evaluated.append(
                (f"the small network ({100 * Fractions().test:.0f} % of the patients)", Fractions().test, 1.0)
            )
        else:
            readers.remove(SMALL)
    further = [one for one in wanted if one.family == "exploratory"]
    if np.bincount(subjects.labels).min() * Fractions().test < MIN_CLASS_PATIENTS and SMALL in readers:
        readers.remove(SMALL)  # shown, but too few for a test
    exploratory = len(further) + len(FAMILIES) + len(readers) * sum(one.networks for one in further)
    return text(subjects, minima(subjects, 1 + len(readers) + len(request.embeddings), exploratory, evaluated))


def minima(
    subjects: Subjects, primary: int, exploratory: int, evaluated: Sequence[tuple[str, float, float]]
) -> list[Minimum]:
    """One row for unchanged images and each way in which readers are evaluated, one for the filtered, coarser and noisy images.

    Parameters
    ----------
    subjects : Subjects
    primary, exploratory : int
        Number of tests of either family.
    evaluated : sequence of (str, float, float)
        Name of readers, share of the patients scored, spread.
    """
    sizes = np.bincount(subjects.labels)
    rows = [(f"unchanged images, {name}", "primary", primary, share, spread) for name, share, spread in evaluated]
    if exploratory:
        name, share, spread = evaluated[0]
        rows.append((f"one of {exploratory:,} further questions, {name}", "exploratory", exploratory, share, spread))
    found = []
    for what, family, tests, share, spread in rows:
        alpha = smallest_level(family, tests)
        found.append(Minimum(what, alpha, share, spread, _found(sizes, share, spread, alpha)))
    return found


def patients_needed(subjects: Subjects, minimum: Minimum, auc: float) -> int | None:
    """Patients, in the same shares of the classes, from which on an AUC would be found with 80 % power; None where never."""
    sizes = np.bincount(subjects.labels)

    def missing(log_times: float) -> float:
        found = _found(sizes, minimum.share, minimum.spread, minimum.alpha, float(np.exp(log_times)))
        return (1.0 if np.isnan(found) else found) - auc

    low, high = np.log(1 / MOST_TIMES), np.log(MOST_TIMES)
    if missing(high) > 0 or missing(low) < 0:
        return None
    times = float(np.exp(brentq(missing, low, high, xtol=1e-3)))
    least = MIN_CLASS_PATIENTS / (sizes.min() * minimum.share)
    return int(np.ceil(max(times, least) * len(subjects)))


def _found(sizes: NDArray[np.int64], share: float, spread: float, alpha: float, times: float = 1.0) -> float:
    scored = sizes * share
    deviation = spread * _noise(sizes) / np.sqrt(share * times)
    smallest = max(float(scored.min()) * times, 2.0)
    return detectable_auc(deviation, (smallest, max(float(scored.sum()) * times - smallest, 2.0)), alpha)


def _noise(sizes: NDArray[np.int64]) -> float:
    """Standard deviation of the macro AUC of noise, from the influences of one draw."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    scores = np.random.default_rng(0).standard_normal((len(labels), len(sizes)))
    scores -= scores.mean(axis=1, keepdims=True)  # as those of one-vs-rest probes
    return float(np.sqrt(class_aucs(rank_patients(scores, labels, np.arange(len(labels)))).covariance.mean()))


def text(subjects: Subjects, found: Sequence[Minimum]) -> str:
    """What `fastrace audit --plan` prints."""
    sizes = np.bincount(subjects.labels)
    groups = ", ".join(f"{name} {size:,}" for name, size in zip(subjects.classes, sizes, strict=True))
    lines = [
        f"{plural(len(subjects), 'patient')} would be audited for {subjects.cohort.target}: {groups}",
        *(
            f"left out: {count(n['patients'], patients=True)} patients: {why}"
            for why, n in subjects.cohort.left_out.items()
        ),
        "",
        "Found with 80 % power (AUC of the reader as trained on these patients; p < .01 after correction):",
    ]
    for one in found:
        smallest = int(sizes.min() * one.share)
        if smallest < MIN_CLASS_PATIENTS:
            size = f"not enough evidence: {smallest} patients of the smallest class, {MIN_CLASS_PATIENTS} are needed"
        else:
            size = "nothing" if np.isnan(one.auc) else f"from AUC {one.auc:.2f} on"
        lines.append(f"  {one.what}: {size}")
    lines += ["", "Patients that smaller signals would need, in the same shares of the groups (extrapolated):"]
    for auc in TARGETS:
        needed = patients_needed(subjects, found[0], auc)
        lines.append(f"  AUC {auc:.2f}: " + ("more than can be said" if needed is None else f"{needed:,}"))
    lines += [
        "",
        "More patients also make readers better: what is read at .55 with 300 patients may be .60 with 3,000.",
        "Nothing was read from the images, and no folder was made.",
    ]
    return "\n".join(lines)
