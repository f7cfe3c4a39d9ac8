"""The covariates of the patients of an audit, one value a patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastrace.audit.covariates.basis import Covariate, normal_scores
from fastrace.audit.partition import Ints
from fastrace.audit.subjects import Subjects, patient_means

COUNTED = ("images_of_patient", "studies_of_patient")
"""Of each patient in the audit. The mean of many images varies less than one image, so that readers see how many there are: where
the groups differ in that, p <= .01 in 4 to 20 % of simulated archives with images alike in all groups (few features, skewed)."""
FEW_VALUES = 8
"""Values of a number up to which each is a level."""
MOST_LEVELS = 50
"""Levels of a covariate; the rarer ones are one level more."""


def counted(subjects: Subjects) -> dict[str, NDArray[np.int64]]:
    """Images and studies of the patient of each image, by the names of `COUNTED`."""
    by_patient = subjects.cohort.frame.groupby("patient_key")
    studies = by_patient["study_key"].transform("nunique").clip(lower=1)
    counts = (by_patient["patient_key"].transform("size"), studies)
    return {name: one.to_numpy(dtype=np.int64) for name, one in zip(COUNTED, counts, strict=True)}


def covariates(subjects: Subjects, names: Sequence[str]) -> list[Covariate]:
    """Columns of the images, or of `counted`, as covariates of their patients.

    Of a number the mean over the images that have it; of words the set of those that the images of the patient have, so that
    CC and MLO views are one level. No label is looked at.
    """
    frame = subjects.cohort.frame.assign(**counted(subjects))
    return [covariate(name, frame[name], subjects) for name in names]


def covariate(name: str, values: pd.Series, subjects: Subjects) -> Covariate:
    """One of them, from its values for every image."""
    n = len(subjects)
    if is_number(values):
        means = _means(values.to_numpy(dtype=np.float64, na_value=np.nan), subjects)
        if len(np.unique(means[np.isfinite(means)])) > FEW_VALUES:
            return Covariate(name, normal_scores(means), np.isnan(means).astype(np.int64))
        return Covariate(name, np.zeros(n), np.unique(means, return_inverse=True)[1].reshape(-1))
    return Covariate(name, np.zeros(n), levels(values, subjects))


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers that are no truth values."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _means(values: NDArray[np.float64], subjects: Subjects) -> NDArray[np.float64]:  # [N] -> [P]
    """Over the images that have a value; NaN where none has."""
    known = np.isfinite(values)
    both = np.stack([np.where(known, values, 0.0), known.astype(np.float64)], axis=1)
    total, share = patient_means(both, subjects.owner, subjects.weight, len(subjects)).T
    with np.errstate(invalid="ignore", divide="ignore"):
        # Rounded to 12 digits: the mean of one value three times is that value.
        fraction, exponent = np.frexp(np.where(share > 0, total / share, np.nan))
        return np.ldexp(np.round(fraction, 12), exponent)


def levels(values: pd.Series, subjects: Subjects) -> Ints:  # [N] -> [P]
    """Words of a patient, sorted and joined; missing ones do not count beside others."""
    known = values.notna().to_numpy(dtype=bool)
    words = values.astype("string").fillna("").to_numpy(dtype=str)
    pairs = pd.DataFrame({"patient": subjects.owner[known], "word": words[known]}).drop_duplicates()
    joined = pairs.sort_values(["patient", "word"]).groupby("patient")["word"].agg("\n".join)
    level = joined.reindex(np.arange(len(subjects)), fill_value="").to_numpy(dtype=str)
    names, code, count = np.unique(level, return_inverse=True, return_counts=True)
    if len(names) > MOST_LEVELS:
        rank = np.empty(len(names), dtype=np.int64)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(names))
        code = np.minimum(rank, MOST_LEVELS)[code.reshape(-1)]
    return code.reshape(-1)
