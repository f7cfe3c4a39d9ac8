"""The patients of an audit, their classes, and the folds in which they are scored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastrace.audit.partition import REPEATS, Ints, Partition, deal
from fastrace.audit.request import LEAST_OF_A_CLASS
from fastrace.cohort.selection import (
    ALIKE,
    MIN_COHORT,
    Cohort,
    check_classes_there,
    choose_target,
    labelled,
    without_shared,
)
from fastrace.cohort.split import ranked_cells
from fastrace.console.words import plural
from fastrace.dataset import Dataset
from fastrace.errors import RunError
from fastrace.statistics import MIN_CELL

SELF_REPORTED = {"race", "ethnicity", "ethnic"}


@dataclass(frozen=True)
class Subjects:
    """Patients in a fixed order, and their images.

    Attributes
    ----------
    cohort : Cohort
        Images of the patients, sorted by patient.
    keys : ndarray [P] of str
        Patient keys, ascending.
    labels : ndarray [P] int64
    owner : ndarray [N] int64
        Patient of each image of the cohort.
    weight : ndarray [N] float64
        Of each image in the mean of its patient: studies count equally, and images within a study.
    """

    cohort: Cohort
    keys: NDArray[np.str_]
    labels: Ints
    owner: Ints
    weight: NDArray[np.float64]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class k of ``labels`` is ``classes[k]``."""
        return self.cohort.classes

    def __len__(self) -> int:
        return len(self.keys)

    def partition(self, seed: int) -> Partition:
        """Cross-fitting over patients in the order of a keyed hash; see `deal`."""
        place = {key: number for number, key in enumerate(self.keys)}
        everyone = self.cohort.frame[["patient_key"]].assign(_all="")

        def rank(repeat: int) -> Ints:
            (keys,) = ranked_cells(everyone, "_all", seed * REPEATS + repeat)
            return np.array([place[key] for key in keys], dtype=np.int64)

        by_name = np.argsort(np.argsort(self.classes))  # --class in another order must not deal other folds
        return deal(by_name[self.labels], rank)


def select_subjects(dataset: Dataset, target: str | None, classes: tuple[str, ...] = ()) -> Subjects:
    """Patients with one known value of the target, in classes of at least 11 patients.

    Patients whose images others have too are left out: `without_shared`.

    Raises
    ------
    UsageError
        No such target.
    RunError
        Not two classes, or fewer than 30 patients.
    """
    target = choose_target(dataset, target)
    cohort = labelled(dataset, target, classes)
    check_classes_there(dataset, cohort)
    cohort = without_shared(cohort)
    why = f". {repeats(cohort)}" if ALIKE in cohort.left_out else ""
    sizes = cohort.frame.groupby(cohort.labels)["patient_key"].nunique()
    kept = [k for k in range(len(cohort.classes)) if sizes.get(k, 0) >= MIN_CELL]
    cohort = cohort.take(np.isin(cohort.labels, kept), f"a {target} of fewer than {MIN_CELL} patients")
    if len(kept) < 2:
        listed = ", ".join(repr(cohort.classes[k]) for k in kept) or "none"
        raise RunError(
            f"{dataset.path}: --target {target}: an audit compares at least two classes of {MIN_CELL} patients or more; "
            f"found {listed}. Merge classes by `fastrace preprocess --categories FILE`, or name another --target{why}"
        )
    patients = cohort.frame["patient_key"].nunique()
    if patients < MIN_COHORT:
        raise RunError(
            f"{dataset.path}: {patients} patients with a known {target}; an audit needs at least {MIN_COHORT}, since "
            f"results are about groups, never about persons{why}"
        )
    new = {old: k for k, old in enumerate(kept)}
    order = np.argsort(cohort.frame["patient_key"].to_numpy(dtype=str), kind="stable")
    frame = cohort.frame.iloc[order].reset_index(drop=True)
    cohort = Cohort(
        target,
        tuple(cohort.classes[k] for k in kept),
        cohort.rows[order],
        np.array([new[int(label)] for label in cohort.labels[order]], dtype=np.int64),
        frame,
        cohort.left_out,
        cohort.part[order],
    )
    keys, first, owner = np.unique(frame["patient_key"].to_numpy(dtype=str), return_index=True, return_inverse=True)
    return Subjects(cohort, keys, cohort.labels[first], owner.reshape(-1), image_weights(cohort, owner.reshape(-1)))


def repeats(cohort: Cohort) -> str | None:
    """How many were left out for almost equal images, and why, as a sentence; None if none were."""
    if ALIKE not in cohort.left_out:
        return None
    n = cohort.left_out[ALIKE]["patients"]
    who = plural(n, "patient") if n >= MIN_CELL else f"Fewer than {MIN_CELL} patients"  # this is in the report
    return (
        f"{who} left out for images that are almost equal to those of another patient, who was kept. If one person has several "
        "ids here, check who the patients are (fastrace preprocess --patient-from); similar bodies, phantoms and blank exposures "
        "look alike too."
    )


def not_trained(subjects: Subjects) -> str | None:
    """Why the small network is not trained on these patients, as a sentence (its test part would hold too few); else None."""
    smallest = int(np.bincount(subjects.labels).min())
    if smallest >= LEAST_OF_A_CLASS:
        return None
    return (
        f"The small network is not trained: the smallest class has {smallest} patients, and {LEAST_OF_A_CLASS} are needed to "
        "test it on others than it learned from."
    )


def self_reported(target: str) -> bool:
    """Whether the attribute is race or ethnicity, which patients report of themselves (or clerks record)."""
    return not SELF_REPORTED.isdisjoint(re.split(r"[\W_]+", target.lower()))


def image_weights(cohort: Cohort, owner: Ints) -> NDArray[np.float64]:
    """Of each image in the mean of its patient, see `Subjects.weight`."""
    study = cohort.frame["study_key"].fillna(cohort.frame["patient_key"]).to_numpy(dtype=str)
    names = np.unique(study, return_inverse=True)[1].reshape(-1)
    pairs, member = np.unique(np.stack([owner, names]), axis=1, return_inverse=True)
    member = member.reshape(-1)
    images, studies = np.bincount(member), np.bincount(pairs[0])
    weight: NDArray[np.float64] = 1.0 / (images[member] * studies[owner])
    return weight


def patient_means(values: NDArray[Any], owner: Ints, weight: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Mean over studies of the mean over images; [N, ...] to [n, ...]."""
    pool = csr_array((weight, (owner, np.arange(len(owner)))), shape=(n, len(owner)))  # np.add.at: four times as long
    total: NDArray[np.float64] = pool @ np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    return total.reshape(n, *values.shape[1:])
