"""What a table reaches without any image: acquisition alone, covariates alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pandas as pd

from fastrace.audit.cells import score
from fastrace.audit.controls.material import Material
from fastrace.audit.correction import detectable_of
from fastrace.audit.covariates.basis import columns
from fastrace.audit.covariates.table import COUNTED, counted
from fastrace.audit.covariates.table import covariates as covariates_of
from fastrace.audit.document import Control, Named
from fastrace.audit.engines.probe import Probe
from fastrace.audit.subjects import Subjects
from fastrace.console.words import number
from fastrace.statistics import MIN_CELL

ACQUISITION = (
    "modality", "view", "laterality", "manufacturer", "model", "photometric", "bits_stored", "kvp", "exposure_mas",
    "body_part", "transfer_syntax", "burned_in", "voi_source", "source_rows", "source_columns", "mm_per_pixel",
    "spacing_source", "site",
)  # fmt: skip
DEMOGRAPHIC = ("age_years", "sex")
FINDING = 0.01
SEED = 7101  # of the patients from whom kernels are approximated
LEAST_PERMUTATIONS = 999
"""Of `--permutations 99` the smallest p is .01, which is not below it."""


def acquisition_columns(frame: pd.DataFrame, target: str) -> list[str]:
    """Columns that describe the acquisition, and that vary."""
    return [name for name in ACQUISITION if name != target and name in frame and _varies(frame[name])]


def covariate_columns(frame: pd.DataFrame, target: str, labels: Sequence[str]) -> list[str]:
    """Age, sex and the label columns, without the target and the site."""
    names = [*DEMOGRAPHIC, *(name for name in labels if name not in (*ACQUISITION, *DEMOGRAPHIC))]
    return [name for name in names if name != target and name in frame and _varies(frame[name])]


def _varies(column: pd.Series) -> bool:
    return bool(column.nunique(dropna=False) > 1)


def acquisition(material: Material) -> Control:
    """The acquisition alone, without the image."""
    names = acquisition_columns(material.subjects.cohort.frame, material.subjects.cohort.target)
    names += [name for name, values in counted(material.subjects).items() if np.ptp(values) > 0]
    found = _baseline("acquisition", "Acquisition alone", names, material)
    if not any(one.name in COUNTED and one.p is not None and one.p < FINDING for one in found.estimates):
        return found
    return msgspec.structs.replace(
        found,
        sentence=found.sentence
        + ". The groups differ in how many images a patient has: means of more images vary less, which "
        "a reader may see where the images themselves are alike",
    )


def covariates(material: Material) -> Control:
    """Age, sex and label columns, without the image."""
    cohort = material.subjects.cohort
    dataset = material.tables.dataset
    # Of the classes of an age, the age is no covariate.
    source = dataset.meta["labels"].get(cohort.target, {}).get("of")
    names = [name for name in covariate_columns(cohort.frame, cohort.target, dataset.labels) if name != source]
    return _baseline("covariates", "Covariates alone", names, material)


def _baseline(id: str, title: str, names: list[str], material: Material) -> Control:
    material.progress.line(f"control: {title.lower()}")
    if not names:
        return Control(id, title, "not run", "no such column varies in this dataset")
    estimates, least = baselines(names, material)
    first = estimates[0]
    detectable = "" if least is None else f" (would have been found with 80 % power from AUC {number(least)} on)"
    found = first.p is not None and first.p < FINDING
    what = "discriminates" if found else f"not shown to discriminate{detectable}"
    return Control(
        id,
        title,
        "for comparison",
        f"AUC {first.estimate} without any image: {what} between the groups; from "
        + ", ".join(name + _known(material.subjects, name) for name in names),
        tuple(estimates),
    )


def _known(subjects: Subjects, name: str) -> str:
    """For how many patients a column is known, where not for all."""
    if name in COUNTED:
        return ""
    known = int(subjects.cohort.frame[name].notna().groupby(subjects.cohort.frame["patient_key"]).any().sum())
    if known == len(subjects):
        return ""
    if min(known, len(subjects) - known) < MIN_CELL:
        return " (not known for all patients)"
    return f" (known for {known:,} of {len(subjects):,} patients)"


def baselines(names: Sequence[str], material: Material) -> tuple[list[Named], float | None]:
    """All columns together, then each by itself: which AUC they reach without an image; and what the first would have found."""
    every = covariates_of(material.subjects, names)
    sets = [("all together", every)] + ([(one.name, [one]) for one in every] if len(every) > 1 else [])
    found: list[Named] = []
    least = None
    for label, some in sets:
        probe = Probe(*columns(some, np.random.default_rng((material.seed, SEED))), material.partition, scaled=False)
        _, summary = score(
            probe, material.subjects, seed=material.seed, permutations=max(LEAST_PERMUTATIONS, material.permutations)
        )
        if not found:
            least = detectable_of(summary.estimate, summary.null_deviation, FINDING)
        found.append(Named(label, summary.estimate, summary.p))
    return found, least
