"""Which patients are used in a training, with which class, and which are left out and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import make_dataset

from fastrace.cohort.selection import ALIKE, choose_target, labelled, select
from fastrace.errors import RunError, UsageError

TINY = {"patients": 12, "images_each": 2, "size": (8, 8), "band": (1, 3)}


def test_the_only_attribute_column_is_the_target(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY, labels={"density": [1.0] * 12})
    assert choose_target(dataset, None) == "group"


def test_several_columns_need_a_name_and_are_listed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY, labels={"race": ["x", "y"] * 6})
    with pytest.raises(UsageError, match=r"several attribute columns.*--target.*group, race, sex, manufacturer"):
        choose_target(dataset, None)
    assert choose_target(dataset, "race") == "race"


def test_an_index_column_may_be_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY)
    assert choose_target(dataset, "sex") == "sex"
    assert choose_target(dataset, "manufacturer") == "manufacturer"


@pytest.mark.parametrize(
    ("named", "message"), [("density", "numeric"), ("rase", "no such column"), ("image_key", "no such column")]
)
def test_what_cannot_be_a_target_is_refused(tmp_path: Path, named: str, message: str) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY, labels={"density": [1.0] * 12})
    with pytest.raises(UsageError, match=f"--target {named}.*{message}.*candidates: group"):
        choose_target(dataset, named)


def test_a_dataset_without_labels_is_refused_with_the_candidates(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY)
    dataset.meta["labels"] = {}
    with pytest.raises(UsageError, match=r"has no attribute column.*sex, manufacturer"):
        choose_target(dataset, None)


def test_patients_without_one_known_value_are_left_out_and_counted(tmp_path: Path) -> None:
    values = ["A", "B", "Unknown", "declined", None, "", " A ", "B", "C", "A", "B", "A"]
    dataset = make_dataset(tmp_path / "d", **TINY, labels={"race": values})
    index = dataset.index
    index.loc[index["patient_key"] == index["patient_key"].iloc[0], "race"] = ["A", "B"]
    cohort = labelled(dataset, "race", ("B", "A"))
    assert cohort.classes == ("B", "A")
    assert cohort.left_out == {
        "no race recorded": {"patients": 2, "images": 4},
        "race unknown or declined": {"patients": 2, "images": 4},
        "more than one race in a patient": {"patients": 1, "images": 2},
        "another race than the classes used": {"patients": 1, "images": 2},
    }
    assert len(cohort.rows) + sum(count["images"] for count in cohort.left_out.values()) == len(dataset)
    stripped = [str(value).strip() for value in index["race"].iloc[cohort.rows]]
    assert [cohort.classes[k] for k in cohort.labels] == stripped


def test_noise_ids_are_the_first_64_bits_of_the_image_key(tmp_path: Path) -> None:
    cohort = labelled(make_dataset(tmp_path / "d", **TINY), "group")
    assert [f"{value & (2**64 - 1):016x}" for value in cohort.ids.tolist()] == [
        key[:16] for key in cohort.frame["image_key"]
    ]
    assert cohort.ids.dtype == np.int64


def test_unknown_spacing_is_nan(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY, columns={"mm_per_pixel": [0.5] * 23 + [None]})
    assert np.isnan(labelled(dataset, "group").mm_per_pixel).sum() == 1


def test_one_class_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "e", **TINY, classes=("A",))
    with pytest.raises(RunError, match="two classes with patients are needed; found 'A' 12"):
        select(dataset, "group")


def test_a_class_named_but_absent_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY)
    with pytest.raises(RunError, match=r"at least 3 patients.*'A' 6, 'B' 6, 'Z' 0"):
        select(dataset, "group", classes=("A", "B", "Z"))


def test_a_class_with_two_patients_is_refused_with_the_remedy(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", **TINY, labels={"race": ["A"] * 10 + ["B"] * 2})
    with pytest.raises(RunError, match=r"at least 3 patients.*found 'A' 10, 'B' 2; choose classes with --class"):
        select(dataset, "race")


def test_identical_pixels_in_two_patients_are_refused_or_left_out(tmp_path: Path) -> None:
    hashes = [f"h{k}" for k in range(24)]
    for k in range(0, 20, 2):
        hashes[k] = "same"
    dataset = make_dataset(tmp_path / "d", patients=12, size=(8, 8), band=(1, 3), columns={"pixel_hash": hashes})
    with pytest.raises(RunError, match="identical images"):
        select(dataset, "group")
    with pytest.raises(RunError, match="at least 3 patients"):  # two patients are left
        select(dataset, "group", leave_out_shared=True)
    hashes[0], hashes[2:20:2] = "h0", [f"g{k}" for k in range(9)]
    hashes[4] = hashes[0]
    dataset = make_dataset(tmp_path / "e", patients=12, size=(8, 8), band=(1, 3), columns={"pixel_hash": hashes})
    cohort = select(dataset, "group", leave_out_shared=True)
    assert cohort.left_out == {"shares a study or identical pixels with another patient": {"patients": 2, "images": 4}}


def test_of_patients_with_almost_equal_images_one_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(32).hex() for _ in range(24)]  # two images a patient
    hashes[7] = hashes[20] = f"{int(hashes[2], 16) ^ 0b1011:064x}"
    dataset = make_dataset(tmp_path / "d", patients=12, size=(8, 8), band=(1, 3), columns={"thumbnail_hash": hashes})
    keys = dataset.index["patient_key"]
    tied = {keys[2], keys[7], keys[20]}
    cohort = select(dataset, "group", leave_out_shared=True)
    assert set(keys) - set(cohort.frame["patient_key"]) == tied - {min(tied)}
    assert cohort.left_out == {ALIKE: {"patients": 2, "images": 4}}


def test_the_official_split_is_used_on_request(tmp_path: Path) -> None:
    words = np.repeat(["train"] * 6 + ["valid"] * 2 + ["test"] * 2 + ["other"] * 2, 2)
    dataset = make_dataset(tmp_path / "d", **TINY, columns={"official_split": words})
    cohort = select(dataset, "group", split="official")
    assert pd.Series(cohort.part).value_counts().to_dict() == {"train": 12, "validation": 4, "test": 4}
    assert cohort.left_out == {"outside the official split": {"patients": 2, "images": 4}}
    counts = cohort.counts()
    assert list(counts) == ["train", "validation", "test"]
    assert counts["train"] == {"A": {"patients": 3, "images": 6}, "B": {"patients": 3, "images": 6}}
