"""Covariates of patients, and the kernels in which a regression on them is any smooth function of one or two."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from planted import dataset_of_groups
from scipy import stats
from sklearn.metrics.pairwise import rbf_kernel

from fastrace.audit.cells import ranked
from fastrace.audit.covariates import basis
from fastrace.audit.covariates.basis import Covariate, columns, normal_scores
from fastrace.audit.covariates.table import FEW_VALUES, MOST_LEVELS, covariate, covariates
from fastrace.audit.engines.probe import Probe
from fastrace.audit.partition import deal_at_random
from fastrace.audit.subjects import Subjects, select_subjects
from fastrace.statistics import class_aucs


def number(values: np.ndarray) -> Covariate:
    return Covariate("number", normal_scores(values), np.zeros(len(values), dtype=np.int64))


def levels(values: np.ndarray) -> Covariate:
    return Covariate("levels", np.zeros(len(values)), values.astype(np.int64))


def reached(table: list[Covariate], labels: np.ndarray) -> float:
    rng = np.random.default_rng(0)
    partition = deal_at_random(labels, rng)
    probe = Probe(*columns(table, rng), partition, scaled=False)
    return class_aucs(ranked(probe.observed(labels, 2), labels, partition)).macro.value


def centred(kernel: np.ndarray) -> np.ndarray:
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()


def test_the_columns_are_the_kernels_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    numbers, codes = rng.standard_normal((3, 97)), rng.integers(0, 4, 97)
    table = [number(one) for one in numbers] + [levels(codes)]
    # A level as coordinates: different ones lie at a squared distance of 2.
    places = [normal_scores(one)[:, None] for one in numbers] + [np.eye(4)[codes]]
    single = [rbf_kernel(one, gamma=1.0) for one in places]
    wanted = {
        "main": np.mean(single, axis=0),
        "pairs": np.mean([one * two for one, two in combinations(single, 2)], axis=0),
        "joint": rbf_kernel(np.hstack(places), gamma=1 / 4),
    }
    found, kernel = columns(table, rng)
    assert list(dict.fromkeys(kernel)) == list(wanted)
    for name, values in wanted.items():
        mine = found[:, kernel == name]
        # Eigenvalues below 1e-8 of the largest are left out.
        np.testing.assert_allclose(mine @ mine.T, centred(values), atol=1e-5, err_msg=name)


def test_some_patients_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smooth kernel of 1,500 patients from 400 of them, and from other 400."""
    rng = np.random.default_rng(2)
    table = [number(rng.standard_normal(1500)) for _ in range(2)]
    found, kernel = columns(table, rng)
    monkeypatch.setattr(basis, "MOST_MARKS", 1500)
    exact, which = columns(table, rng)
    for name in ("main", "pairs", "joint"):
        some, all_of_them = found[:, kernel == name], exact[:, which == name]
        error = np.abs(some @ some.T - all_of_them @ all_of_them.T)
        # Of the products, which are up to 1. Single patients at the ends of both numbers have no neighbour among the 400.
        assert np.quantile(error, 0.99) < 1e-3, name


def test_one_covariate_has_one_kernel_and_nothing_that_varies_has_no_column() -> None:
    assert set(columns([number(np.arange(50.0))], np.random.default_rng(0))[1]) == {"main"}
    same = columns([levels(np.zeros(50))], np.random.default_rng(0))[0]
    np.testing.assert_allclose(same, 0, atol=1e-12)


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_normal_scores_keep_the_order_and_nothing_else(values: np.ndarray) -> None:
    scores = normal_scores(values)
    known = np.isfinite(values)
    assert np.isfinite(scores).all()
    assert (scores[~known] == 0).all()
    if len(np.unique(values[known])) > 1:
        assert stats.kendalltau(scores[known], stats.rankdata(values[known])).statistic == pytest.approx(1)
        assert scores[known].std() == pytest.approx(1)


def test_what_two_tell_only_together_is_told() -> None:
    """Neither of two answers says anything of the group alone; with ten numbers beside them that say nothing at all."""
    rng = np.random.default_rng(3)
    one, two = rng.integers(0, 2, (2, 1000))
    labels = one ^ two
    beside = [number(rng.standard_normal(1000)) for _ in range(10)]
    assert reached([levels(one), levels(two)], labels) == 1
    assert reached([levels(one), levels(two), *beside], labels) > 0.98
    assert reached([levels(one), *beside], labels) < 0.56


@pytest.mark.parametrize("shape", [lambda z: z, lambda z: z**2 > 0.5, np.sin, lambda z: z > 1])
def test_any_function_of_a_number_is_told(shape: Callable[[np.ndarray], np.ndarray]) -> None:
    z = np.random.default_rng(4).standard_normal(800)
    labels = (shape(z) > np.median(shape(z))).astype(np.int64)
    assert reached([number(np.exp(5 * z))], labels) > 0.97


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    """40 patients of two images each."""
    patients = [k for k in range(40) for _ in range(2)]
    made = dataset_of_groups(
        tmp_path_factory.mktemp("covariates") / "data",
        groups=["A" if k % 2 else "B" for k in patients],
        size=(8, 8),
        strength=0.0,
        columns={"patient_key": [f"{k:064x}" for k in patients]},
    )
    return select_subjects(made, "group")


def of(subjects: Subjects, values: list[object], kind: str | None = None) -> Covariate:
    return covariate("one", pd.Series(values, dtype=kind), subjects)


def test_a_number_is_the_mean_of_the_images_that_have_it(subjects: Subjects) -> None:
    found = of(subjects, [np.nan if i == 0 else float(i // 2 + (i > 1) * (i % 2)) for i in range(80)])
    # Patient 0 has one image with the number 0; of the others the mean lies half above their own.
    np.testing.assert_allclose(found.number, normal_scores(np.array([0.0, *(k + 0.5 for k in range(1, 40))])))
    assert not found.level.any()


def test_missing_is_a_level(subjects: Subjects) -> None:
    found = of(subjects, [np.nan if i < 10 else float(i // 2) for i in range(80)])
    assert found.level.tolist() == [1] * 5 + [0] * 35
    assert (found.number[:5] == 0).all()
    words = of(subjects, [None if i < 10 else "CC" for i in range(80)], "string")
    assert len(set(words.level[:5])) == 1
    assert words.level[0] != words.level[9]


def test_few_values_and_words_are_levels(subjects: Subjects) -> None:
    few = of(subjects, [float(i // 2 % FEW_VALUES) for i in range(80)])
    assert len(set(few.level)) == FEW_VALUES
    assert not few.number.any()
    # The views of a patient are one level: two images are no two patients.
    views = of(subjects, [("CC", "MLO")[i % 2] if i < 40 else "CC" for i in range(80)], "string")
    assert views.level.tolist() == [1] * 20 + [0] * 20 or views.level.tolist() == [0] * 20 + [1] * 20
    assert set(of(subjects, [i < 40 for i in range(80)]).level) == {0, 1}


def test_rare_levels_are_one(subjects: Subjects) -> None:
    assert len(set(of(subjects, [f"model {min(i // 2, 3)}" for i in range(80)]).level)) == 4
    assert MOST_LEVELS > 40


def test_counts_of_images_are_covariates(subjects: Subjects) -> None:
    found = covariates(subjects, ["images_of_patient", "age_years"])
    assert [one.name for one in found] == ["images_of_patient", "age_years"]
    assert len(set(found[0].level)) == 1
