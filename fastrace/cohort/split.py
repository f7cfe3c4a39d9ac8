"""The split of patients into training, validation and test part.

Patients are ranked by a hash keyed with the seed, within the classes of the attribute, and cut at the fractions: the split
depends on names and seed alone, not on order or machine. The study's fractions are the default. A split is refused if a patient,
a study or identical pixels are on two sides.

Sites are not cut separately. Every part would then have the association of site and class that the archive has by chance: a
network that sees nothing but the site reads groups dealt at random among 400 patients of 10 sites at an AUC of .58 in its test
part, where permuted labels, which were not dealt so, say .50.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fastrace.errors import RunError, UsageError

PARTS = ("train", "validation", "test")

# Words seen in official split columns (CheXpert, MIMIC-CXR, the study's tables).
_OFFICIAL = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validate": "validation", "validation": "validation",
    "dev": "validation",
    "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Fractions:
    """Shares of the patients; the default is the study's 60/10/30."""

    train: float = 0.6
    validation: float = 0.1
    test: float = 0.3

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise UsageError(f"split fractions {shares} must all be above 0 and add up to 1")


def split_patients(
    index: pd.DataFrame,
    target: str,
    *,
    seed: int,
    fractions: Fractions = Fractions(),
) -> pd.Series:
    """Assign every patient to a part.

    Parameters
    ----------
    index : DataFrame
        Rows of the images used, with ``patient_key`` and the target column (one value per patient).
    target : str
    seed : int
    fractions : Fractions

    Returns
    -------
    Series
        ``train``, ``validation`` or ``test`` by patient key, sorted by key.

    Raises
    ------
    RunError
        If a class has too few patients for one in each part.
    """
    part = pd.Series("train", index=sorted(index["patient_key"].unique()), name="part")
    for ordered in ranked_cells(index, target, seed):
        first, second = _cuts(len(ordered), fractions)
        part.loc[ordered[first:second]] = "validation"
        part.loc[ordered[second:]] = "test"
    check_classes(index.groupby("patient_key")[target].first().astype(str), part)
    return part


def ranked_cells(index: pd.DataFrame, target: str, seed: int) -> Iterator[list[str]]:
    """Patients of each value of the attribute, in the order of their hashes."""
    # Missing values stay missing through astype(str) in pandas 3, and groupby would drop those patients.
    patients = index.groupby("patient_key", sort=True)[[target]].first().astype("object").fillna("").astype(str)
    for _, members in patients.groupby(target, sort=True):
        yield sorted(members.index, key=lambda key: (_rank(key, seed), key))


def _rank(key: str, seed: int) -> int:
    digest = hashlib.blake2b(key.encode(), key=str(seed).encode(), person=b"fastrace split", digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _cuts(n: int, fractions: Fractions) -> tuple[int, int]:
    first = int(n * fractions.train + 0.5)
    second = int(n * (fractions.train + fractions.validation) + 0.5)
    if n >= len(PARTS):  # at least one patient in each part
        first = min(max(first, 1), n - 2)
        second = min(max(second, first + 1), n - 1)
    return first, second


def check_classes(labels: pd.Series, part: pd.Series) -> None:
    """Refuse a split in which a part has no patient of some class.

    Parameters
    ----------
    labels, part : Series
        Class and part by patient key.
    """
    counts = pd.crosstab(labels, part).reindex(columns=list(PARTS), fill_value=0)
    for name, row in counts.iterrows():
        if (row == 0).any():
            empty = ", ".join(str(column) for column in counts.columns[row == 0])
            raise RunError(
                f"class {name!r} has {row.sum()} patients and none of them in: {empty}; at least one in each part is "
                "needed (three in all); merge the class with another by `fastrace preprocess --categories FILE`, or choose "
                "classes with --class"
            )


def official_split(
    index: pd.DataFrame,
    target: str,
    *,
    seed: int,
    fractions: Fractions = Fractions(),
) -> pd.Series:
    """The split that came with the archive, by patient key.

    Where it has no validation part, one is cut from the training patients as `split_patients` would, in the proportion of
    the fractions. Rows without a known word get the part "" and are left out by the caller.

    Raises
    ------
    RunError
        If there is no split, no training or no test part, or a patient is on two sides.
    """
    words = index["official_split"].astype("string").str.strip().str.lower()
    part = words.map(_OFFICIAL).fillna("").astype(str)
    if not (part == "train").any() or not (part == "test").any():
        seen = ", ".join(sorted(words.dropna().unique())[:6]) or "no values"
        raise RunError(
            f"--split official: official_split needs train and test rows and holds {seen}; use --split patient"
        )
    sides = part[part != ""].groupby(index["patient_key"]).nunique()
    if (sides > 1).any():
        raise RunError(
            f"--split official puts {(sides > 1).sum()} of {len(sides)} patients on two sides; use --split patient"
        )
    # A patient with some rows outside the split keeps its part; max() since "" sorts first.
    by_patient: pd.Series = part.groupby(index["patient_key"]).max().rename("part")
    if not (by_patient == "validation").any():
        training = index[index["patient_key"].map(by_patient) == "train"]
        share = fractions.validation / (fractions.train + fractions.validation)
        for ordered in ranked_cells(training, target, seed):
            by_patient.loc[ordered[: max(1, int(len(ordered) * share + 0.5))]] = "validation"
    used = by_patient[by_patient != ""]
    check_classes(index.groupby("patient_key")[target].first().astype(str)[used.index], used)
    return by_patient


def shared_patients(index: pd.DataFrame) -> set[str]:
    """Keys of patients who share a study or identical stored pixels with another patient."""
    shared: set[str] = set()
    for column in ("study_key", "pixel_hash"):
        values = index[["patient_key", column]].dropna().drop_duplicates()
        shared |= set(values.loc[values.duplicated(column, keep=False), "patient_key"])
    return shared


def check_leakage(index: pd.DataFrame, part: np.ndarray) -> None:
    """Refuse a split that has a patient, a study or identical pixels on two sides.

    Parameters
    ----------
    index : DataFrame
        With ``patient_key``, ``study_key`` and ``pixel_hash``.
    part : ndarray of str
        The part of every row; rows with "" are not used.

    Raises
    ------
    RunError
        With the counts and what to do.
    """
    rows = index.assign(part=part)
    rows = rows[rows["part"] != ""]
    found = []
    for column, what in (("patient_key", "patients"), ("study_key", "studies"), ("pixel_hash", "identical images")):
        sides = rows.dropna(subset=[column]).groupby(column)["part"].nunique()
        if (sides > 1).any():
            owners = rows.loc[rows[column].isin(sides.index[sides > 1]), "patient_key"].nunique()
            found.append(f"{(sides > 1).sum()} {what} (of {owners} patients)")
    if found:
        raise RunError(
            f"the split has on two sides: {', '.join(found)}; the test part would not be independent. Check the patient "
            "identifiers of the archive, or leave these patients out with --leave-out-shared"
        )
