"""Which columns of a dataset are covariates, in which set, and which are kept apart and why.

    acquisition   what the device and the workstation did
    body          age, sex, size, density: what a body looks like
    clinical      the other label columns: findings, devices, diagnoses

A column is kept apart where it is no explanation of anything: another attribute of persons (insurance, language), one whose
levels almost all have one group alone, one that is known for too few. It is shown, but counts in no set; `--covariate COLUMN`
takes it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fastrace.audit.covariates.table import COUNTED, counted, is_number, levels
from fastrace.audit.subjects import SELF_REPORTED, Subjects
from fastrace.cohort.ages import is_age
from fastrace.cohort.vocabulary import words_of
from fastrace.dataset import ACQUISITION_NUMBERS, ACQUISITION_TEXTS, Dataset
from fastrace.errors import UsageError
from fastrace.statistics import MIN_CELL

ACQUISITION, BODY, CLINICAL = "acquisition", "body", "clinical"
SETS = (ACQUISITION, BODY, CLINICAL)
OF_THE_BODY = ("age_years", "sex", "body_part_thickness_mm", "compression_force_n")
OF_THE_DEVICE = (
    "modality", "view", "laterality", "manufacturer", "model", "photometric", "bits_stored", "body_part", "transfer_syntax",
    "burned_in", "voi_source", "source_rows", "source_columns", "mm_per_pixel", "spacing_source", "image_type",
    "presentation_intent", "view_modifiers", "site",
    *(name for name in (*ACQUISITION_NUMBERS, *ACQUISITION_TEXTS) if name not in OF_THE_BODY),
)  # fmt: skip
BODY_WORDS = frozenset({
    "sex", "gender", "bmi", "weight", "height", "density", "tissueden", "thickness", "breast", "birads", "bone", "boneage",
    "skeletal", "habitus", "fat", "bsa",
})  # fmt: skip
PERSON_WORDS = SELF_REPORTED | {
    "ancestry", "insurance", "payer", "payor", "language", "religion", "nationality", "country", "marital", "zip", "postcode",
    "income", "education", "occupation", "deprivation", "imd", "adi",
}  # fmt: skip
LEAST_KNOWN = 0.7
"""Share of the patients, in the group where it is known least, for whom a covariate must be known."""
ALMOST = 0.95
"""Share of the patients whose level has one group alone, from which a column is almost the attribute itself."""


@dataclass(frozen=True)
class Role:
    """A column as a covariate.

    Attributes
    ----------
    name, set : str
    known : int
        Patients for whom it is known.
    apart : str
        Why it counts in no set; empty if it does.
    """

    name: str
    set: str
    known: int
    apart: str = ""


def roles(
    subjects: Subjects, dataset: Dataset, named: Sequence[str] = (), without: Sequence[str] = ()
) -> tuple[Role, ...]:
    """The covariates of an audit: columns of the index and of the label table that vary, but not the attribute.

    Parameters
    ----------
    subjects : Subjects
    dataset : Dataset
    named : sequence of str
        ``COLUMN[:SET]``: never kept apart, and in this set if one is named.
    without : sequence of str
        Columns that are none.

    Raises
    ------
    UsageError
        No such column, the attribute, one that does not vary, named twice.
    """
    frame = subjects.cohort.frame.assign(**counted(subjects))
    every = [*OF_THE_DEVICE, *COUNTED, *OF_THE_BODY, *dataset.labels]
    every = [name for name in dict.fromkeys(every) if name in frame]
    wanted = _named(named, without, frame[every], subjects.cohort.target)
    # Of the classes of an age, the age is no covariate.
    source = dataset.meta["labels"].get(subjects.cohort.target, {}).get("of")
    found = []
    for name in every:
        usual = name not in (subjects.cohort.target, source, *without)
        if (usual or name in wanted) and frame[name].nunique(dropna=False) > 1:
            role = _role(name, frame[name], subjects)
            found.append(replace(role, set=wanted[name] or role.set, apart="") if name in wanted else role)
    return tuple(sorted(found, key=lambda one: SETS.index(one.set) if one.set in SETS else len(SETS)))


def _named(named: Sequence[str], without: Sequence[str], frame: pd.DataFrame, target: str) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for text in named:
        name, colon, where = text.partition(":") if text not in frame else (text, "", "")
        if colon and not where.strip():
            raise UsageError(f"--covariate {text}: names no set; write {name} or {name}:SET, such as {name}:{BODY}")
        if name in wanted or name in without:
            raise UsageError(f"--covariate {text}: {name} is named twice")
        wanted[name] = where.strip()
    for option, names in (("covariate", wanted), ("no-covariate", without)):
        for name in names:
            if name == target:
                raise UsageError(f"--{option} {name}: is the attribute that is audited")
            if name not in frame:
                there = ", ".join(sorted(frame.columns))
                raise UsageError(f"--{option} {name}: no such column that may be a covariate; there are {there}")
    for name in wanted:
        if frame[name].nunique(dropna=False) < 2:
            raise UsageError(
                f"--covariate {name}: has the same value for all patients of this audit, so it tells nothing"
            )
    return wanted


def _role(name: str, values: pd.Series, subjects: Subjects) -> Role:
    group = subjects.cohort.frame["patient_key"]
    known = values.notna().groupby(group).any().to_numpy(dtype=bool)
    return Role(name, _set(name), int(known.sum()), _apart(name, values, known, subjects))


def _set(name: str) -> str:
    if name in OF_THE_DEVICE or name in COUNTED:
        return ACQUISITION
    body = name in OF_THE_BODY or is_age(name) or not BODY_WORDS.isdisjoint(words_of(name))
    return BODY if body else CLINICAL


def _apart(name: str, values: pd.Series, known: np.ndarray, subjects: Subjects) -> str:
    """Why a column counts in no set; empty if it does."""
    if not PERSON_WORDS.isdisjoint(words_of(name)):
        return "an attribute of persons, no cause of an image"
    least = min(float(known[subjects.labels == k].mean()) for k in range(len(subjects.classes)))
    if least < LEAST_KNOWN:
        return f"known for less than {100 * LEAST_KNOWN:.0f} % of the patients of a group"
    if not is_number(values):
        level = levels(values, subjects)
        table = np.zeros((level.max() + 1, len(subjects.classes)), dtype=np.int64)
        np.add.at(table, (level, subjects.labels), 1)
        sizes = table.sum(axis=1)
        alone = (sizes >= MIN_CELL) & (table.max(axis=1) == sizes)
        if sizes[alone].sum() >= ALMOST * len(subjects):
            return "almost the attribute itself: its levels have one group alone"
    return ""
