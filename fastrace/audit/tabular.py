"""What a table reaches without any image: acquisition, covariates, and, the other way round, the scanner read from images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastrace.audit.cells import ask
from fastrace.audit.probe import Partition, Probe
from fastrace.audit.subjects import Subjects
from fastrace.statistics import MIN_CELL

ACQUISITION = (
    "modality", "view", "laterality", "manufacturer", "model", "photometric", "bits_stored", "kvp", "exposure_mas",
    "body_part", "transfer_syntax", "burned_in", "voi_source", "source_rows", "source_columns", "mm_per_pixel",
    "spacing_source", "site",
)  # fmt: skip
DEMOGRAPHIC = ("age_years", "sex")
SCANNER = ("site", "manufacturer", "model", "view")
MOST_LEVELS = 50
MOST_CLASSES = 5


def acquisition_columns(frame: pd.DataFrame, target: str) -> list[str]:
    """Columns that say how an image was made, and that vary."""
    return [name for name in ACQUISITION if name != target and name in frame and _varies(frame[name])]


def covariate_columns(frame: pd.DataFrame, target: str, labels: Sequence[str]) -> list[str]:
    """Age, sex and the label columns, but for the target and the site."""
    names = [*DEMOGRAPHIC, *(name for name in labels if name not in (*ACQUISITION, *DEMOGRAPHIC))]
    return [name for name in names if name != target and name in frame and _varies(frame[name])]


def _varies(column: pd.Series) -> bool:
    return bool(column.nunique(dropna=False) > 1)


def design(subjects: Subjects, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Patient means of numbers, with where they are missing, and shares of levels; [P, D] and the column each comes from."""
    frame, columns, group = subjects.cohort.frame, [], []
    for name in names:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            number = values.to_numpy(dtype=np.float64, na_value=np.nan)
            known = np.isfinite(number)
            filled = np.where(known, number, number[known].mean() if known.any() else 0.0)
            parts = [filled, *([(~known).astype(float)] if not known.all() else [])]
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


def baselines(
    subjects: Subjects, names: Sequence[str], partition: Partition, seed: int, permutations: int
) -> list[dict[str, Any]]:
    """All columns together, then each by itself: how far the attribute is told without an image."""
    table, group = design(subjects, names)
    found = []
    for label, chosen in [
        ("all together", np.ones(len(group), dtype=bool)),
        *((name, group == name) for name in names),
    ]:
        probe = Probe(table[:, chosen], group[chosen], partition)
        _, said = ask(probe, subjects, seed=seed, permutations=permutations)
        found.append({"label": label, **said["estimate"], "p": said["p"]})
        if len(names) == 1:
            break
    return found


def scanner_subjects(subjects: Subjects, name: str) -> Subjects | None:
    """The patients all of whose images have one scanner (site, view), with it as the class: a tie has no answer.

    None where there are not two values of at least 11 patients.
    """
    text = subjects.cohort.frame[name].astype("string").fillna("")
    grouped = text.groupby(subjects.owner)
    mode = grouped.first().where(grouped.nunique() == 1, "")
    sizes = mode[mode != ""].value_counts()
    classes = [str(value) for value in sizes.index[:MOST_CLASSES] if sizes[value] >= MIN_CELL]
    if len(classes) < 2:
        return None
    code = {value: k for k, value in enumerate(sorted(classes))}
    labels = mode.map(code).to_numpy(dtype=np.float64, na_value=np.nan)
    keep = np.flatnonzero(np.isfinite(labels))
    image = np.isin(subjects.owner, keep)
    place = np.full(len(subjects), -1)
    place[keep] = np.arange(len(keep))
    owner = place[subjects.owner[image]]
    cohort = subjects.cohort.take(image)
    cohort = type(cohort)(
        name, tuple(sorted(classes)), cohort.rows, labels[keep][owner].astype(np.int64), cohort.frame, {}, cohort.part
    )
    return Subjects(cohort, subjects.keys[keep], labels[keep].astype(np.int64), owner, subjects.weight[image])
