"""Before an audit: the smallest AUC that it would find with the patients there are, and the patients that others would need.

Nothing is read from the images. Without a signal the scores of a probe are noise; the deviation of their AUC is taken from
draws of noise with these classes, times `CROSS_FITTED` where patients are cross-fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fastrace.audit.begin import inputs_of, wanted_experiments
from fastrace.audit.correction import smallest_level
from fastrace.audit.questions.wording import upwards
from fastrace.audit.readers.brought import check_readers
from fastrace.audit.readers.rings import FAMILIES, radial
from fastrace.audit.readers.sample import Sample
from fastrace.audit.request import AuditRequest
from fastrace.audit.subjects import Subjects, not_trained, select_subjects
from fastrace.cohort.split import Fractions
from fastrace.console.words import count, plural
from fastrace.dataset import Dataset
from fastrace.models import SMALL
from fastrace.statistics import MIN_CLASS_PATIENTS, class_aucs, detectable_auc, rank_patients
from fastrace.train.pipeline import choose_device

CROSS_FITTED = 1.4
"""Spread of cross-fitted AUCs without a signal (docs/crossfit.md: 1.24 to 1.59, nearly always 1.4)."""
TARGETS = (0.55, 0.6, 0.65, 0.75)
MOST_TIMES = 1e4
DRAWS = 20


@dataclass(frozen=True)
class Scored:
    """Some readers and how their patients are evaluated.

    Attributes
    ----------
    name : str
    sizes : ndarray [K] float64
        Scored patients of each class.
    spread : float
        Factor of cross-fitting on the deviation.
    """

    name: str
    sizes: NDArray[np.float64]
    spread: float


@dataclass(frozen=True)
class Minimum:
    """What one kind of test would find.

    Attributes
    ----------
    what : str
    alpha : float
        Level after correction, for a test that is the only finding.
    scored : Scored
    auc : float
        Found with 80 % power; NaN where none is.
    """

    what: str
    alpha: float
    scored: Scored
    auc: float


def plan(request: AuditRequest) -> str:
    """What `fastrace audit --plan` prints for the options of an audit.

    Raises
    ------
    FastraceError
        As the audit itself would.
    """
    dataset = Dataset.open(request.data)
    inputs_of(request)
    check_readers(request)
    choose_device(request.device)
    wanted = wanted_experiments(request, dataset)
    subjects = select_subjects(dataset, request.target, request.classes)
    sample = Sample.of(subjects.labels, request.seed)
    readers = list(dict.fromkeys(request.readers))
    not_read = not_trained(subjects) if SMALL in readers else None
    further = [one for one in wanted if one.family == "exploratory"]

    def sizes(of: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        labels = subjects.labels if of is None else subjects.labels[of]
        return np.bincount(labels, minlength=len(subjects.classes)).astype(np.float64)

    everyone, test = sizes(), Fractions().test
    of_test = f"{100 * test:.0f} % of the patients"
    unchanged = [Scored("cross-fitted readers", everyone, CROSS_FITTED)]
    degraded = [Scored("cross-fitted readers", everyone, CROSS_FITTED)]
    if len(sample.other) < len(subjects) and not all(radial(one.test) for one in further):
        name = f"coarser and noisy images of {len(sample.other):,} patients, built-in features"
        degraded.append(Scored(name, sizes(sample.other), CROSS_FITTED))
    if set(readers) - {SMALL} and len(sample.networks) < len(subjects):
        name = f"degraded images of {len(sample.networks):,} patients, networks"
        degraded.append(Scored(name, sizes(sample.networks), CROSS_FITTED))
    if SMALL in readers and not_read is None:
        unchanged.append(Scored(f"the small network ({of_test})", everyone * test, 1.0))
        shown = sizes(sample.networks) * test
        some = of_test if len(sample.networks) == len(subjects) else f"{shown.sum():,.0f} patients"
        degraded.append(Scored(f"the small network ({some})", shown, 1.0))
    if SMALL in readers and everyone.min() * test < MIN_CLASS_PATIENTS:
        readers.remove(SMALL)  # not trained, or shown but too few for a test
    exploratory = len(further) + len(FAMILIES) + len(readers) * sum(one.networks for one in further)
    return text(
        subjects,
        not_read,
        [
            *minima("unchanged images, ", "primary", 1 + len(readers) + len(request.embeddings), unchanged),
            *minima(f"one of {exploratory:,} further questions, ", "exploratory", exploratory, degraded if further else ()),
        ],
    )  # fmt: skip


def minima(what: str, family: str, tests: int, scored: Sequence[Scored]) -> list[Minimum]:
    """What so many tests of a family would find, for each way in which readers are evaluated."""
    alpha = smallest_level(family, tests)
    return [Minimum(what + one.name, alpha, one, _found(one, alpha)) for one in scored]


def patients_needed(subjects: Subjects, minimum: Minimum, auc: float) -> int | None:
    """Patients, in the same shares of the classes, from which on an AUC would be found with 80 % power; None where never."""

    def missing(log_times: float) -> float:
        found = _found(minimum.scored, minimum.alpha, float(np.exp(log_times)))
        return (1.0 if np.isnan(found) else found) - auc

    low, high = np.log(1 / MOST_TIMES), np.log(MOST_TIMES)
    if missing(high) > 0 or missing(low) < 0:
        return None
    times = float(np.exp(brentq(missing, low, high, xtol=1e-3)))
    least = MIN_CLASS_PATIENTS / minimum.scored.sizes.min()
    return int(np.ceil(max(times, least) * len(subjects)))


def _found(scored: Scored, alpha: float, times: float = 1.0) -> float:
    sizes = scored.sizes * times
    deviation = scored.spread * _noise(scored.sizes) / np.sqrt(times)
    smallest = max(float(sizes.min()), 2.0)
    return detectable_auc(deviation, (smallest, max(float(sizes.sum()) - smallest, 2.0)), alpha)


def _noise(sizes: NDArray[np.float64]) -> float:
    """Standard deviation of the macro AUC of noise."""
    return _noise_of(tuple(sizes.tolist()))


@cache
def _noise_of(sizes: tuple[float, ...]) -> float:
    """From the influences of draws of at least a thousand patients.

    Scores have the covariance of the columns of one-vs-rest labels, diag(p) - p p': those of equal correlation, from one draw,
    gave .0276 for 850, 50, 50 and 50 patients where refitted permutations have .0312; these give .0307.
    """
    more = max(1.0, 1000 / sum(sizes))
    counts = np.maximum(np.rint(np.array(sizes) * more).astype(np.int64), 2)
    labels = np.repeat(np.arange(len(counts)), counts)
    share = counts / counts.sum()
    rng, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        noise = rng.standard_normal((len(labels), len(counts))) * np.sqrt(share)
        scores = noise - noise.sum(axis=1, keepdims=True) * share
        drawn.append(class_aucs(rank_patients(scores, labels, np.arange(len(labels)))).covariance.mean())
    return float(np.sqrt(np.mean(drawn) * more))


def text(subjects: Subjects, not_read: str | None, found: Sequence[Minimum]) -> str:
    """What `fastrace audit --plan` prints."""
    sizes = np.bincount(subjects.labels)
    groups = ", ".join(f"{name} {size:,}" for name, size in zip(subjects.classes, sizes, strict=True))
    lines = [
        f"{plural(len(subjects), 'patient')} would be audited for {subjects.cohort.target}: {groups}",
        *(
            f"left out: {count(n['patients'], patients=True)} patients: {why}"
            for why, n in subjects.cohort.left_out.items()
        ),
        *([not_read] if not_read else []),
        "",
        "Found with 80 % power (AUC of the reader as trained on these patients; p < .01 after correction):",
    ]
    for one in found:
        smallest = int(one.scored.sizes.min())
        if smallest < MIN_CLASS_PATIENTS:
            size = f"not enough evidence: {smallest} patients of the smallest class, {MIN_CLASS_PATIENTS} are needed"
        else:
            size = "nothing" if np.isnan(one.auc) else f"from AUC {upwards(one.auc)} on"
        lines.append(f"  {one.what}: {size}")
    lines += ["", "Patients that smaller signals would need, in the same shares of the groups (extrapolated):"]
    for auc in TARGETS:
        needed = patients_needed(subjects, found[0], auc)
        lines.append(f"  AUC {upwards(auc)}: " + ("more than can be said" if needed is None else f"{needed:,}"))
    lines += [
        "",
        "More patients also make readers better: what is read at .55 with 300 patients may be .60 with 3,000.",
        "Nothing was read from the images or from files of embeddings, and no folder was made.",
    ]
    return "\n".join(lines)
