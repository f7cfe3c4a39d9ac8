"""Which patients are audited, how much each image counts, and which probes score which patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audit_archives import HOSTILE, Finished
from planted import dataset_of_groups

from fastrace.audit.partition import FOLDS, REPEATS
from fastrace.audit.subjects import patient_means, select_subjects
from fastrace.errors import RunError, UsageError

SMALL = {"size": (8, 8), "strength": 0.0}


def test_every_patient_is_scored_once_in_every_repeat_by_a_probe_of_others(leak: Finished) -> None:
    subjects = select_subjects(leak.dataset, None)
    partition = subjects.partition(0)
    assert len(partition.repeats) == REPEATS
    np.testing.assert_array_equal(partition.scored, np.arange(100))
    for folds in partition.repeats:
        assert len(folds) == FOLDS
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(100))
        for fold in folds:
            assert len(np.intersect1d(fold.train, fold.test)) == 0
            assert len(fold.train) + len(fold.test) == 100
            assert len(fold.test) == 20
    distinct = {tuple(map(tuple, (fold.test for fold in folds))) for folds in partition.repeats}
    assert len(distinct) == REPEATS


def test_folds_depend_on_the_seed_and_on_nothing_else(tmp_path: Path, leak: Finished) -> None:
    subjects = select_subjects(leak.dataset, "group")
    one, again, other = (subjects.partition(seed).repeats for seed in (3, 3, 4))
    assert all((a.test == b.test).all() for x, y in zip(one, again, strict=True) for a, b in zip(x, y, strict=True))
    mine, theirs = ({fold.test.tobytes() for folds in repeats for fold in folds} for repeats in (one, other))
    assert not mine & theirs


def test_from_200_patients_on_one_partition_is_enough(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 120, "B": 80}, **SMALL)
    subjects = select_subjects(data, "group")
    partition = subjects.partition(0)
    assert len(partition.repeats) == 1
    assert all((np.bincount(subjects.labels[fold.test]) == [24, 16]).all() for fold in partition.repeats[0])
    np.testing.assert_array_equal(
        np.concatenate(partition.exchangeable), np.concatenate([fold.test for fold in partition.repeats[0]])
    )


def test_folds_know_nothing_of_sites(tmp_path: Path) -> None:
    # Dealt within class x site, every fold has the association of class and site that the archive has by chance.
    sites = [("north", "south", None)[k % 3] for k in range(90)]
    with_sites, without = (
        dataset_of_groups(tmp_path / name, groups=["A", "B"] * 45, labels=labels, **SMALL)
        for name, labels in (("with", {"site": sites}), ("without", {}))
    )
    one, other = (select_subjects(data, "group").partition(0).folds for data in (with_sites, without))
    np.testing.assert_array_equal(one, other)


def test_patients_who_share_pixels_or_a_study_are_left_out_and_counted(tmp_path: Path) -> None:
    n = 60
    hashes, studies = [f"{k:032x}" for k in range(n)], [f"{k:032x}" for k in range(n)]
    hashes[3] = hashes[50]
    studies[7] = studies[8]
    data = dataset_of_groups(
        tmp_path / "data", groups=["A", "B"] * 30, columns={"pixel_hash": hashes, "study_key": studies}, **SMALL
    )
    subjects = select_subjects(data, "group")
    index = data.index
    gone = set(index["patient_key"]) - set(subjects.keys)
    assert gone == set(index["patient_key"].iloc[[3, 50, 7, 8]])
    assert subjects.cohort.left_out == {
        "shares a study or identical pixels with another patient": {"patients": 4, "images": 4}
    }


def test_the_order_of_the_classes_changes_no_fold(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 130, "B": 111, "C": 60}, **SMALL)
    one, other = (select_subjects(data, "group", names) for names in (("A", "B", "C"), ("C", "A", "B")))
    np.testing.assert_array_equal(one.partition(0).folds, other.partition(0).folds)
    assert [one.classes[k] for k in one.labels] == [other.classes[k] for k in other.labels]


def test_a_class_that_nobody_is_of_is_refused(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 30, "B": 30}, **SMALL)
    with pytest.raises(UsageError, match="--class Q: no patient has this group; there are 'A', 'B'"):
        select_subjects(data, "group", ("A", "B", "Q"))


def test_classes_of_fewer_than_eleven_patients_are_left_out(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 30, "rare": 10, "C": 11, "D": 40}, **SMALL)
    subjects = select_subjects(data, "group")
    assert subjects.classes == ("A", "C", "D")
    np.testing.assert_array_equal(np.bincount(subjects.labels), [30, 11, 40])
    truth = dict(zip(data.index["patient_key"], data.index["group"], strict=True))
    assert [truth[key] for key in subjects.keys] == [subjects.classes[k] for k in subjects.labels]
    assert [truth[key] for key in subjects.cohort.frame["patient_key"]] == [
        subjects.classes[k] for k in subjects.cohort.labels
    ]
    assert list(subjects.cohort.left_out.values()) == [{"patients": 10, "images": 10}]


def test_classes_are_those_named_in_their_order(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 30, "B": 30, "C": 30}, **SMALL)
    subjects = select_subjects(data, "group", ("C", "A"))
    assert subjects.classes == ("C", "A")
    assert len(subjects) == 60


@pytest.mark.parametrize(
    ("groups", "message"),
    [({"A": 15, "B": 14}, "29 patients"), ({"A": 50, "B": 10}, "at least two classes"), ({"A": 50}, "two classes")],
)
def test_too_little_is_refused(tmp_path: Path, groups: dict[str, int], message: str) -> None:
    data = dataset_of_groups(tmp_path / "data", groups=groups, **SMALL)
    with pytest.raises(RunError, match=message):
        select_subjects(data, "group")


def test_an_unknown_target_names_the_candidates(leak: Finished) -> None:
    with pytest.raises(UsageError, match=r"--target rase: .*candidates: group"):
        select_subjects(leak.dataset, "rase")


def test_studies_count_equally_and_images_within_a_study(tmp_path: Path) -> None:
    # Patient 0: studies of 3 and 1 images; the others: one study of 4.
    studies = [f"s{k // 4}" for k in range(120)]
    studies[3] = "another"
    data = dataset_of_groups(
        tmp_path / "data", groups=["A", "B"] * 15, images_each=4, columns={"study_key": studies}, **SMALL
    )
    subjects = select_subjects(data, "group")
    frame, weight = subjects.cohort.frame, subjects.weight
    np.testing.assert_allclose(np.bincount(subjects.owner, weight), 1)
    first = frame["patient_key"] == data.index["patient_key"].iloc[0]
    of = dict(zip(frame["study_key"][first], weight[first], strict=True))
    assert of["another"] == 0.5
    assert of["s0"] == pytest.approx(1 / 6)
    assert (weight[~first] == 0.25).all()
    values = np.random.default_rng(0).standard_normal((120, 3))
    means = patient_means(values, subjects.owner, weight, 30)
    of_study = {study: values[(frame["study_key"] == study).to_numpy()].mean(axis=0) for study in ("s0", "another")}
    place = int(subjects.owner[first.to_numpy()][0])
    np.testing.assert_allclose(means[place], (of_study["s0"] + of_study["another"]) / 2)


def test_names_are_kept_as_they_are(crowded: Finished) -> None:
    assert select_subjects(crowded.dataset, "primary race").classes == tuple(sorted([HOSTILE, "B, of two words", "C"]))
