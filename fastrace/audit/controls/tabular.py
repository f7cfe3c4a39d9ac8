"""What a table reaches without any image: acquisition alone, covariates alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import SplineTransformer

from fastrace.audit.cells import score
from fastrace.audit.controls.material import Material
from fastrace.audit.correction import detectable_of
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
COUNTED = ("images_of_patient", "studies_of_patient")
"""Of each patient in the audit. The mean of many images varies less than one image, so that readers see how many there are: where
the groups differ in that, p <= .01 in 4 to 20 % of simulated archives with images alike in all groups (few features, skewed)."""
DEMOGRAPHIC = ("age_years", "sex")
MOST_LEVELS = 50
FEW_VALUES = 8  # of a number: up to here each is a level of its own
KNOTS = 6
"""Of the cubic spline that a number becomes, at its quantiles. A group that is the middle of a range was read at AUC .52 by the
number alone, .94 to .98 by 8 steps, above .995 by this (100 to 1,000 patients, 20 draws); more knots gained nothing."""
FINDING = 0.01
LEAST_PERMUTATIONS = 999
"""Of `--permutations 99` the smallest p is .01, which is not below it."""


def acquisition_columns(frame: pd.DataFrame, target: str) -> list[str]:
    """Columns that describe the acquisition, and that vary."""
    return [name for name in ACQUISITION if name != target and name in frame and _varies(frame[name])]


def covariate_columns(frame: pd.DataFrame, target: str, labels: Sequence[str]) -> list[str]:
    """Age, sex and the label columns, without the target and the site."""
    names = [*DEMOGRAPHIC, *(name for name in labels if name not in (*ACQUISITION, *DEMOGRAPHIC))]
    return [name for name in names if name != target and name in frame and _varies(frame[name])]


def counted(subjects: Subjects) -> dict[str, NDArray[np.int64]]:
    """Images and studies of the patient of each image, by the names of `COUNTED`."""
    by_patient = subjects.cohort.frame.groupby("patient_key")
    studies = by_patient["study_key"].transform("nunique").clip(lower=1)
    counts = (by_patient["patient_key"].transform("size"), studies)
    return {name: one.to_numpy(dtype=np.int64) for name, one in zip(COUNTED, counts, strict=True)}


def _varies(column: pd.Series) -> bool:
    return bool(column.nunique(dropna=False) > 1)


def design(subjects: Subjects, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Patient means of numbers, as splines, and of where they are missing, shares of levels; [P, D] and the column each is of.

    No label is used, so that the table is the same for every permutation.
    """
    frame, columns, group = subjects.cohort.frame.assign(**counted(subjects)), [], []
    for name in names:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            number = values.to_numpy(dtype=np.float64, na_value=np.nan)
            known = np.isfinite(number)
            filled = np.where(known, number, number[known].mean() if known.any() else 0.0)
            parts = [*_curve(filled, number[known]), *([(~known).astype(float)] if not known.all() else [])]
        else:
            text = values.astype("string").fillna("not recorded")
            levels = text.value_counts().index[:MOST_LEVELS]
            parts = [(text == level).to_numpy(dtype=np.float64) for level in levels]
        columns += parts
        group += [name] * len(parts)
    table = np.zeros((len(subjects), len(columns)))
    for j, column in enumerate(columns):
        np.add.at(table[:, j], subjects.owner, column * subjects.weight)
    return table, np.array(group, dtype=str)


def _curve(
    filled: NDArray[np.float64],  # [N]
    known: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Columns in which any smooth function of a number is linear; of one with few values, any function."""
    values = np.unique(known)
    if len(values) <= 2:
        return [filled]
    if len(values) <= FEW_VALUES:
        return [filled, *((filled == value).astype(np.float64) for value in values)]
    knots = np.unique(np.quantile(known, np.linspace(0, 1, KNOTS)))[:, None]
    return list(SplineTransformer(degree=3, knots=knots).fit_transform(filled[:, None]).T)


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
    together = "" if found or len(names) == 1 else "; what several tell only together is not seen"
    return Control(
        id,
        title,
        "for comparison",
        f"AUC {first.estimate} without any image: {what} between the groups; from "
        + ", ".join(name + _known(material.subjects, name) for name in names)
        + together,
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
    table, group = design(material.subjects, names)
    permutations = max(LEAST_PERMUTATIONS, material.permutations)
    sets = [("all together", np.ones(len(group), dtype=bool))]
    if len(names) > 1:
        sets += [(name, group == name) for name in names]
    found: list[Named] = []
    least = None
    for label, chosen in sets:
        probe = Probe(table[:, chosen], group[chosen], material.partition)
        _, summary = score(probe, material.subjects, seed=material.seed, permutations=permutations)
        if not found:
            least = detectable_of(summary.estimate, summary.null_deviation, FINDING)
        found.append(Named(label, summary.estimate, summary.p))
    return found, least
