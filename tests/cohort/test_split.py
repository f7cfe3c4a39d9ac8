"""Patients stay on one side, classes are in every part, and leaks are refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fastrace.cohort.split import Fractions, check_leakage, official_split, shared_patients, split_patients
from fastrace.errors import RunError, UsageError


def table(counts: dict[str, int], images: int = 2, **columns: object) -> pd.DataFrame:
    labels = [name for name, count in counts.items() for _ in range(count)]
    patients = np.repeat([f"p{number:04d}" for number in range(len(labels))], images)
    frame = pd.DataFrame({"patient_key": patients, "group": np.repeat(labels, images)})
    frame["study_key"] = "s" + frame["patient_key"]
    frame["pixel_hash"] = [f"h{number}" for number in range(len(frame))]
    frame["official_split"] = None
    return frame.assign(**columns)


def parts(split: pd.Series, frame: pd.DataFrame) -> dict[str, Counter]:
    group = frame.groupby("patient_key")["group"].first()
    return {part: Counter(group[split.index[split == part]]) for part in ("train", "validation", "test")}


@given(st.lists(st.integers(3, 40), min_size=2, max_size=4), st.integers(0, 5))
def test_every_class_is_in_every_part_and_every_patient_in_one(sizes: list[int], seed: int) -> None:
    frame = table({f"c{k}": size for k, size in enumerate(sizes)}, images=1)
    split = split_patients(frame, "group", seed=seed)
    assert sorted(split.index) == sorted(frame["patient_key"].unique())
    counts = parts(split, frame)
    for k, size in enumerate(sizes):
        here = [counts[part][f"c{k}"] for part in ("train", "validation", "test")]
        assert min(here) >= 1
        assert sum(here) == size
        for count, share in zip(here, (0.6, 0.1, 0.3), strict=True):
            assert abs(count - share * size) <= 1  # rounding, or one patient so that no part is empty


def test_a_small_archive_of_71_patients_splits_within_the_classes() -> None:
    frame = table({"F": 24, "M": 47})
    counts = parts(split_patients(frame, "group", seed=0), frame)
    assert counts == {"train": {"F": 14, "M": 28}, "validation": {"F": 3, "M": 5}, "test": {"F": 7, "M": 14}}


def test_the_split_depends_on_names_and_seed_alone() -> None:
    frame = table({"A": 30, "B": 30})
    first = split_patients(frame, "group", seed=1)
    assert first.equals(split_patients(frame.sample(frac=1, random_state=0), "group", seed=1))
    assert not first.equals(split_patients(frame, "group", seed=2))


def test_sites_know_nothing_of_the_test_patients_where_groups_were_dealt_at_random() -> None:
    # Cut within sites, the share of a group at each site was the same in both parts, and read it at .58.
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        frame = table({"A": 200, "B": 200}, images=1).sample(frac=1, random_state=int(rng.integers(1 << 30)))
        frame["site"] = [f"site {n % 10}" for n in range(400)]
        part = split_patients(frame, "group", seed=int(rng.integers(1 << 30)))
        rows = frame.set_index("patient_key").assign(part=part, b=lambda x: x["group"] == "B")
        share = rows[rows["part"] == "train"].groupby("site")["b"].mean()
        test = rows[rows["part"] == "test"]
        found.append(roc_auc_score(test["b"], test["site"].map(share)))
    assert np.mean(found) == pytest.approx(0.5, abs=0.025)  # four standard errors


def test_a_class_of_two_patients_is_refused_with_its_count() -> None:
    with pytest.raises(RunError, match=r"class 'B' has 2 patients and none of them in: .*merge the class"):
        split_patients(table({"A": 20, "B": 2}), "group", seed=0)


def test_fractions_add_up_to_one() -> None:
    with pytest.raises(UsageError, match="add up to 1"):
        Fractions(0.5, 0.1, 0.3)
    with pytest.raises(UsageError, match="above 0"):
        Fractions(0.7, 0.0, 0.3)


def test_an_official_split_is_honoured_in_its_own_words() -> None:
    words = ["Training"] * 6 + ["validate"] * 2 + ["TEST"] * 2
    frame = table({"A": 10, "B": 10}, images=1, official_split=words * 2)
    split = official_split(frame, "group", seed=0)
    assert parts(split, frame) == {
        "train": {"A": 6, "B": 6}, "validation": {"A": 2, "B": 2}, "test": {"A": 2, "B": 2}
    }  # fmt: skip


def test_an_official_split_without_validation_gets_one_from_training() -> None:
    frame = table({"A": 10, "B": 10}, images=1, official_split=(["train"] * 7 + ["test"] * 3) * 2)
    split = official_split(frame, "group", seed=0)
    assert parts(split, frame) == {
        "train": {"A": 6, "B": 6}, "validation": {"A": 1, "B": 1}, "test": {"A": 3, "B": 3}
    }  # fmt: skip


def test_rows_outside_the_official_split_are_marked() -> None:
    frame = table({"A": 8, "B": 8}, images=1, official_split=(["train"] * 3 + ["val", "test"] * 2 + [None]) * 2)
    split = official_split(frame, "group", seed=0)
    assert (split == "").sum() == 2


def test_an_official_split_that_does_not_exist_is_named() -> None:
    with pytest.raises(RunError, match="holds no values; use --split patient"):
        official_split(table({"A": 5, "B": 5}), "group", seed=0)
    with pytest.raises(RunError, match="holds fold1"):
        official_split(table({"A": 5, "B": 5}, official_split="fold1"), "group", seed=0)


def test_an_official_split_with_a_patient_on_two_sides_is_refused() -> None:
    frame = table({"A": 5, "B": 5}, images=2, official_split=["train", "test"] * 10)
    with pytest.raises(RunError, match="10 of 10 patients on two sides"):
        official_split(frame, "group", seed=0)


@pytest.mark.parametrize(
    ("column", "message"),
    [("pixel_hash", "1 identical images .of 2 patients."), ("study_key", "1 studies .of 2 patients.")],
)
def test_what_two_patients_share_may_not_be_on_two_sides(column: str, message: str) -> None:
    frame = table({"A": 10, "B": 10}, images=1)
    part = np.array(["train"] * 10 + ["test"] * 10, dtype=object)
    check_leakage(frame, part)
    frame.loc[[0, 19], column] = "same"
    with pytest.raises(RunError, match=f"{message}.*--leave-out-shared"):
        check_leakage(frame, part)
    part[0] = "test"
    check_leakage(frame, part)
    assert shared_patients(frame) == {"p0000", "p0019"}


def test_a_patient_on_two_sides_is_refused() -> None:
    frame = table({"A": 4})
    with pytest.raises(RunError, match=r"1 patients .of 1 patients."):
        check_leakage(frame, np.array(["train", "test", *["train"] * 6], dtype=object))


def test_identical_images_of_one_patient_are_no_leak() -> None:
    frame = table({"A": 4}, pixel_hash=["a", "a", "b", "b", "c", "c", "d", "d"])
    assert shared_patients(frame) == set()


def test_missing_studies_and_hashes_are_not_shared() -> None:
    frame = table({"A": 4}, study_key=None, pixel_hash=None)
    assert shared_patients(frame) == set()
    check_leakage(frame, np.array(["train"] * 4 + ["test"] * 4, dtype=object))
