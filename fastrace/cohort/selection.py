"""Which images of a dataset are used, with which class, and what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from fastrace.cohort.non_answers import CONTRADICTORY, NO_ANSWER
from fastrace.cohort.split import PARTS, check_leakage, official_split, shared_patients, split_patients
from fastrace.dataset import Dataset
from fastrace.errors import RunError, UsageError

# Columns of the index that can be a target although they are not labels (is the sex, or the scanner, readable?).
INDEX_TARGETS = ("sex", "manufacturer", "model")
# Strata that preprocessing keeps apart from missing values; they are no class to learn.
NO_CLASS = frozenset({*NO_ANSWER, CONTRADICTORY})
MIN_COHORT = 30
"""Patients, of all classes together, below which nothing is evaluated: results are about groups, never about persons."""
MIN_SPLIT_PATIENTS = 3  # of a class: one for each part
ALIKE = "almost equal images of another patient, who was kept"
"""Why patients are left out by `without_shared`."""


@dataclass(frozen=True)
class Cohort:
    """Labelled images and their parts.

    Attributes
    ----------
    target : str
    classes : tuple of str
        Class k of ``labels`` is ``classes[k]``.
    rows : ndarray [N] int64
        Positions in ``dataset.index``.
    labels : ndarray [N] int64
    frame : DataFrame
        The index rows in the same order.
    left_out : dict
        Reason -> {"patients": n, "images": n}.
    part : ndarray [N] of str
        ``train``, ``validation``, ``test``; all "test" for external data.
    """

    target: str
    classes: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    frame: pd.DataFrame
    left_out: Mapping[str, Mapping[str, int]]
    part: np.ndarray

    def of(self, part: str) -> np.ndarray:
        """Positions within the cohort that belong to a part."""
        return np.flatnonzero(self.part == part)

    def take(self, keep: np.ndarray, why: str = "") -> Cohort:
        """The cohort without the rows where ``keep`` is False, counted under ``why``."""
        left_out = dict(self.left_out)
        if why and not keep.all():
            left_out[why] = _count(self.frame[~keep])
        return Cohort(
            self.target, self.classes, self.rows[keep], self.labels[keep],
            self.frame[keep].reset_index(drop=True), left_out, self.part[keep],
        )  # fmt: skip

    @property
    def ids(self) -> np.ndarray:
        """First 64 bits of each image key, as int64: what the noise of an image depends on."""
        return np.array([int(key[:16], 16) for key in self.frame["image_key"]], dtype=np.uint64).view(np.int64)

    @property
    def mm_per_pixel(self) -> np.ndarray:
        """Float64, NaN where unknown."""
        return self.frame["mm_per_pixel"].to_numpy(dtype=np.float64, na_value=np.nan)

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Part -> class -> {"patients", "images"}."""
        table: dict[str, dict[str, dict[str, int]]] = {}
        for part in [part for part in PARTS if (self.part == part).any()]:
            inside = self.part == part
            table[part] = {name: _count(self.frame[inside & (self.labels == k)]) for k, name in enumerate(self.classes)}
        return table


def _count(frame: pd.DataFrame) -> dict[str, int]:
    return {"patients": int(frame["patient_key"].nunique()), "images": len(frame)}


def choose_target(dataset: Dataset, named: str | None) -> str:
    """The target column: the one named, else the only categorical label.

    Raises
    ------
    UsageError
        Naming the candidates.
    """
    kinds = {name: fact.get("kind", "categorical") for name, fact in dataset.meta["labels"].items()}
    categorical = [name for name, kind in kinds.items() if kind == "categorical" and name != "site"]
    extra = [name for name in INDEX_TARGETS if name not in kinds and dataset.index[name].notna().any()]
    candidates = f"candidates: {', '.join([*categorical, *extra]) or 'none'}"
    if named is None:
        if len(categorical) == 1:
            return str(categorical[0])
        few = "has no attribute column" if not categorical else "has several attribute columns"
        raise UsageError(f"{dataset.path} {few}; name one with --target ({candidates})")
    if kinds.get(named) == "numeric":
        raise UsageError(
            f"--target {named}: numeric; classes are needed. Make a new dataset with `fastrace preprocess --bins "
            f"{named}=EDGES` or, if its numbers are codes, with --categories FILE ({candidates})"
        )
    if named not in categorical and named not in extra and named != "site":
        raise UsageError(f"--target {named}: {dataset.path} has no such column to predict ({candidates})")
    if named not in dataset.index.columns:
        raise UsageError(f"--target {named}: {dataset.path} has no such column to predict ({candidates})")
    return named


def choose_modality(dataset: Dataset, named: str | None, default: str | None = None) -> str:
    """The modality of a dataset: the one it was preprocessed for, or the one named where that kept every image.

    Parameters
    ----------
    dataset : Dataset
    named : str or None
    default : str, optional
        Of a dataset that holds none.

    Raises
    ------
    UsageError
        Another one is named than the dataset was made for; none is named, and there is no other.
    """
    made_for = dataset.meta["recipe"].get("modality")
    if named is not None and made_for not in (None, "any", named):
        raise UsageError(f"--modality {named}: {dataset.path} was made for {made_for}; leave the option out")
    found = named or made_for or default
    if found is None:
        raise UsageError(f"{dataset.path} does not say its modality; name it with --modality")
    return str(found)


def labelled(dataset: Dataset, target: str, classes: Sequence[str] = ()) -> Cohort:
    """Images whose patient has exactly one known value of the target.

    Parameters
    ----------
    dataset : Dataset
    target : str
    classes : sequence of str
        Values used, in this order; empty: all there are, sorted.

    Returns
    -------
    Cohort
        With every part "test".
    """
    index = dataset.index
    value = index[target].astype("string").str.strip()
    value = value.mask(value == "")
    word = value.str.lower()
    known = value.notna() & ~word.isin(NO_CLASS).fillna(False).astype(bool)
    several = value[known].groupby(index["patient_key"]).nunique()
    two = index["patient_key"].isin(several.index[several > 1])
    wanted = known if not classes else known & value.isin(classes).fillna(False).astype(bool)
    reasons = {
        f"no {target} recorded": value.isna(),
        f"{target} unknown or declined": word.isin(NO_ANSWER).fillna(False).astype(bool),
        f"different values of {target} recorded": (word == CONTRADICTORY).fillna(False).astype(bool),
        f"more than one {target} in a patient": known & two,
        f"another {target} than the classes used": known & ~two & ~wanted,
    }
    left_out = {reason: _count(index[mask]) for reason, mask in reasons.items() if mask.any()}
    keep = (wanted & ~two).to_numpy(dtype=bool)
    names = tuple(classes) or tuple(sorted(value[keep].unique()))
    labels = value[keep].map({name: k for k, name in enumerate(names)}).to_numpy(dtype=np.int64)
    rows = np.flatnonzero(keep)
    frame = index.iloc[rows].reset_index(drop=True)
    return Cohort(target, names, rows, labels, frame, left_out, np.full(len(rows), "test", dtype=object))


def check_classes_there(dataset: Dataset, cohort: Cohort) -> None:
    """Refuse classes that were named and that nobody is of: a typo would leave its patients out.

    Raises
    ------
    UsageError
    """
    for k, name in enumerate(cohort.classes):
        if not (cohort.labels == k).any():
            there = labelled(dataset, cohort.target).classes
            listed = ", ".join(map(repr, there[:20])) or "none"
            raise UsageError(f"--class {name}: no patient has this {cohort.target}; there are {listed}")


def without_shared(cohort: Cohort) -> Cohort:
    """Without patients whose images others have too: one who learned from them would score the others.

    Patients who share a study or identical pixels with another are left out. Of patients with almost equal images (`alike`) one
    is kept: a twentieth of 300 patients tied so raise an AUC of .5 to .53, all of them to .93. Which one does not depend on the
    groups: that would be a signal of its own.
    """
    from fastrace.cohort.alike import alike  # loads numba and torch, which a refusal needs not

    shared = cohort.frame["patient_key"].isin(shared_patients(cohort.frame)).to_numpy(dtype=bool)
    cohort = cohort.take(~shared, "shares a study or identical pixels with another patient")
    repeated = cohort.frame["patient_key"].isin(alike(cohort.frame).repeated).to_numpy(dtype=bool)
    return cohort.take(~repeated, ALIKE)


def select(
    dataset: Dataset,
    target: str,
    classes: Sequence[str] = (),
    *,
    seed: int = 0,
    split: Literal["patient", "official"] = "patient",
    leave_out_shared: bool = False,
) -> Cohort:
    """The cohort of a training run, split.

    Parameters
    ----------
    dataset : Dataset
    target : str
    classes : sequence of str
        As for `labelled`.
    seed : int
        Of the split.
    split : "patient" | "official"
    leave_out_shared : bool
        `without_shared`, instead of refusing patients who share a study or pixels.

    Raises
    ------
    UsageError, RunError
        No two classes, a class with too few patients, leakage.
    """
    cohort = labelled(dataset, target, classes)
    if leave_out_shared:
        cohort = without_shared(cohort)
    sizes = cohort.frame["patient_key"].groupby(cohort.labels).nunique()
    counts = {name: int(sizes.get(k, 0)) for k, name in enumerate(cohort.classes)}
    listed = ", ".join(f"{name!r} {count}" for name, count in counts.items()) or "none"
    if sum(count > 0 for count in counts.values()) < 2:
        raise RunError(f"--target {target}: two classes with patients are needed; found {listed}")
    if min(counts.values()) < MIN_SPLIT_PATIENTS:
        raise RunError(
            f"--target {target}: every class needs at least {MIN_SPLIT_PATIENTS} patients, one for each "
            f"part; found {listed}; choose classes with --class, or merge them by "
            "`fastrace preprocess --categories FILE`"
        )
    draw = official_split if split == "official" else split_patients
    # The class name as a plain column: a stripped value is what the split ranks within.
    named = cohort.frame.assign(**{target: np.array(cohort.classes, dtype=object)[cohort.labels]})
    by_patient = draw(named, target, seed=seed)
    part = cohort.frame["patient_key"].map(by_patient).to_numpy(dtype=object)
    check_leakage(cohort.frame, part)
    cohort = Cohort(cohort.target, cohort.classes, cohort.rows, cohort.labels, cohort.frame, cohort.left_out, part)
    return cohort.take(part != "", "outside the official split")
