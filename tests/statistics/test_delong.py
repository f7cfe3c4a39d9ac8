"""AUCs and intervals against scikit-learn, published tables, and the definitions written out slowly."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from fastrace.statistics import (
    NOT_ENOUGH,
    Ranking,
    auc,
    bootstrap,
    class_aucs,
    macro_influence,
    rank_images,
    rank_patients,
)


def binary(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One score column; class 0 is the positives."""
    scores = np.concatenate([positives, negatives]).astype(float)[:, None]
    return scores, np.repeat([0, 1], [len(positives), len(negatives)])


def slow_obuchowski(scores: np.ndarray, positive: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Obuchowski 1997, as printed there: placements by counting pairs, then sums over clusters."""
    x, y = scores[positive], scores[~positive]
    psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    value = psi.mean()
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)

    def part(values: np.ndarray, owners: np.ndarray) -> dict[object, float]:
        return {owner: (values[owners == owner] - value).sum() for owner in np.unique(owners)}

    a, b = part(v10, clusters[positive]), part(v01, clusters[~positive])
    m, n, i10, i01 = len(x), len(y), len(a), len(b)
    s10 = i10 / ((i10 - 1) * m) * sum(d**2 for d in a.values())
    s01 = i01 / ((i01 - 1) * n) * sum(d**2 for d in b.values())
    return value, s10 / m + s01 / n  # no cluster has both kinds: no cross term


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_auc_is_scikit_learns_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in rows], float), np.array([label for _, label in rows])
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    pairs = [(p > n) + 0.5 * (p == n) for p, n in product(scores[labels], scores[~labels])]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_delong_gives_the_published_standard_error_of_the_ct_ratings() -> None:
    # Hanley and McNeil, Radiology 1982, table I; the Stata manual (roctab) prints 0.8932, 0.0307, 0.83295 to 0.95339.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    scores, labels = binary(np.repeat(range(5), abnormal), np.repeat(range(5), normal))
    found = class_aucs(rank_images(scores, labels, np.arange(109)))
    error = math.sqrt(found.covariance[0, 0])
    assert round(found.classes[0].value, 4) == 0.8932
    assert round(error, 4) == 0.0307
    assert found.classes[0].value - norm.ppf(0.975) * error == pytest.approx(0.83295, abs=6e-6)
    assert found.classes[0].value + norm.ppf(0.975) * error == pytest.approx(0.95339, abs=6e-6)


@pytest.mark.parametrize("seed", range(5))
def test_variance_is_obuchowskis_for_images_in_patients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(40), rng.integers(1, 5, 40))
    labels = (patients % 3 == 0).astype(int)
    scores = (rng.normal(size=40)[patients] + 0.5 * rng.normal(size=len(patients)) - labels).round(1)[:, None]
    found = class_aucs(rank_images(scores, labels, patients))
    value, variance = slow_obuchowski(scores[:, 0], labels == 0, patients)
    assert found.classes[0].value == pytest.approx(value, abs=1e-12)
    assert found.covariance[0, 0] == pytest.approx(variance, rel=1e-9)


def test_covariance_between_classes_agrees_with_resampling() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], [80, 100, 120])
    scores = rng.normal(size=(300, 3)) + 1.2 * np.eye(3)[labels]
    ranking = rank_images(scores, labels, np.arange(300))
    found = class_aucs(ranking)
    again = bootstrap(ranking, replicates=2000, seed=1, method="percentile")
    # Same data, so only Monte Carlo error (about 1.6 %) and terms of order 1/n differ; 8 % allows for both.
    width = again.macro.high - again.macro.low
    assert 2 * 1.96 * math.sqrt(found.covariance.mean()) == pytest.approx(width, rel=0.08)
    assert found.macro.value == pytest.approx(np.mean([roc_auc_score(labels == k, scores[:, k]) for k in range(3)]))


def test_two_classes_with_complementary_scores_have_one_interval() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 50)
    p = rng.normal(labels, 1)
    found = class_aucs(rank_images(np.stack([-p, p], axis=1), labels, np.arange(100)))
    for one in found.classes:
        assert (one.value, one.low, one.high) == pytest.approx((found.macro.value, found.macro.low, found.macro.high))


def test_patient_scores_are_means_of_study_means() -> None:
    scores = np.array([[0.0], [0.3], [0.9], [0.2]])
    patients, studies = ["p", "p", "p", "q"], ["s", "s", "t", "s"]  # q reuses the name of p's study
    ranking = rank_patients(scores, [0, 0, 0, 1], patients, studies)
    np.testing.assert_allclose(ranking.scores[:, 0], [(0.15 + 0.9) / 2, 0.2])
    np.testing.assert_allclose(rank_patients(scores, [0, 0, 0, 1], patients).scores[:, 0], [0.4, 0.2])
    assert ranking.n_images == 4
    assert ranking.n_patients == 2


def test_a_patient_with_two_labels_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="more than one label"):
        rank_patients(np.zeros((2, 1)), [0, 1], ["p", "p"])


@pytest.mark.parametrize("top", [True, False])
def test_perfect_separation_gets_an_interval_from_independent_pairs(top: bool) -> None:
    a, b = np.arange(100, 140.0), np.arange(60.0)
    scores, labels = binary(a, b) if top else binary(b, a)
    found = class_aucs(rank_images(scores, labels, np.arange(100)))
    one = found.classes[0]
    bound = 0.025 ** (1 / 40)  # 40 pairs, all won
    expected = (1.0, bound, 1.0) if top else (0.0, 0.0, 1 - bound)
    assert (one.value, one.low, one.high) == pytest.approx(expected, abs=1e-12)
    assert one.method == "Clopper-Pearson on independent pairs"
    assert one.status == "approximate"
    assert found.macro.method == "means of the class limits"


def test_one_patient_in_a_class_leaves_a_wide_interval_and_a_mark() -> None:
    scores, labels = binary(np.array([0.5]), np.arange(40) / 40)
    one = class_aucs(rank_images(scores, labels, np.arange(41))).classes[0]
    assert one.high - one.low > 0.9
    assert one.status == NOT_ENOUGH


def test_a_single_class_is_undefined() -> None:
    found = class_aucs(rank_images(np.eye(10)[:, :2], np.zeros(10), np.arange(10)))
    assert all(math.isnan(one.value) and math.isnan(one.low) for one in (*found.classes, found.macro))
    assert found.classes[0].status == "undefined: no patients outside the class"
    assert found.classes[1].status == "undefined: no patients in the class"
    assert found.macro.to_json()["value"] is None


def test_the_mean_of_the_defined_classes_states_how_many_are_missing() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1], 60)
    scores = rng.normal(size=(120, 3)) + 0.5 * np.eye(3)[labels]
    found = class_aucs(rank_images(scores, labels, np.arange(120)))
    assert found.macro.value == pytest.approx((found.classes[0].value + found.classes[1].value) / 2)
    assert "2 of 3 classes" in found.macro.status


def test_constant_scores_are_marked_constant() -> None:
    ranking = rank_images(np.ones((80, 2)), np.repeat([0, 1], 40), np.arange(80))
    found = class_aucs(ranking)
    for one in (*found.classes, found.macro):
        assert one.value == 0.5
        assert math.isnan(one.low)
        assert one.status == "constant scores"
    assert bootstrap(ranking, replicates=9).macro.to_json() == found.macro.to_json()


@pytest.mark.parametrize(("patients", "status"), [(29, NOT_ENOUGH), (30, "ok")])
def test_thirty_patients_in_the_smaller_class_are_enough(patients: int, status: str) -> None:
    rng = np.random.default_rng(7)
    scores, labels = binary(rng.normal(size=patients), rng.normal(size=90))
    assert class_aucs(rank_images(scores, labels, np.arange(len(labels)))).classes[0].status == status


def test_many_images_of_few_patients_are_not_enough() -> None:
    rng = np.random.default_rng(8)
    scores, labels = binary(rng.normal(size=200), rng.normal(size=200))
    one = class_aucs(rank_images(scores, labels, np.arange(400) // 10)).classes[0]
    assert (one.n_patients, one.n_positive, one.n_images) == (40, 20, 400)
    assert one.status == NOT_ENOUGH


def test_repeated_images_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(9)
    scores, labels = binary(rng.normal(1, 1, 40), rng.normal(0, 1, 40))
    once = class_aucs(rank_images(scores, labels, np.arange(80))).covariance[0, 0]
    thrice = class_aucs(rank_images(np.repeat(scores, 3, axis=0), np.repeat(labels, 3), np.repeat(np.arange(80), 3)))
    assert thrice.covariance[0, 0] == pytest.approx(once, rel=1e-9)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        rank_images(np.array([[0.1], [np.nan]]), [0, 1], [0, 1])


def test_the_interval_is_taken_on_the_logit_scale_with_a_pseudo_patient_on_either_side() -> None:
    rng = np.random.default_rng(3)
    scores, labels = binary(rng.normal(1, 1, 60), rng.normal(0, 1, 80))
    found = class_aucs(rank_images(scores, labels, np.arange(140)))
    one = found.classes[0]
    coin = one.value * (1 - one.value)
    assert (one.value - 0.5) ** 2 < coin
    variance = found.covariance[0, 0] + (one.value - 0.5) ** 2 * (1 / (60 * 59) + 1 / (80 * 79))
    centre, half = math.log(one.value / (1 - one.value)), 1.959964 * math.sqrt(variance) / coin
    assert one.low == pytest.approx(1 / (1 + math.exp(-(centre - half))), abs=1e-6)
    assert one.high == pytest.approx(1 / (1 + math.exp(-(centre + half))), abs=1e-6)


def test_with_two_classes_that_mirror_each_other_the_mean_has_the_interval_of_either() -> None:
    rng = np.random.default_rng(4)
    scores, labels = binary(rng.normal(1, 1, 60), rng.normal(0, 1, 80))
    found = class_aucs(rank_images(np.hstack([scores, -scores]), labels, np.arange(140)))
    assert (found.macro.low, found.macro.high) == pytest.approx(
        (found.classes[0].low, found.classes[0].high), abs=1e-12
    )


@pytest.mark.parametrize(
    ("positives", "negatives", "shift", "status"),
    [(500, 500, 1.0, "ok"), (60, 500, 3.3, "approximate"), (500, 500, 2.5, "ok"), (20, 500, 3.3, NOT_ENOUGH)],
)
def test_few_patients_on_the_wrong_side_make_an_interval_approximate(
    positives: int, negatives: int, shift: float, status: str
) -> None:
    rng = np.random.default_rng(5)
    scores, labels = binary(rng.normal(shift, 1, positives), rng.normal(0, 1, negatives))
    found = class_aucs(rank_images(scores, labels, np.arange(positives + negatives)))
    assert found.classes[0].status == found.macro.status == status


def test_patients_that_have_no_rows_change_nothing() -> None:
    rng = np.random.default_rng(6)
    scores, labels = binary(rng.normal(1, 1, 40), rng.normal(0, 1, 40))
    dense = class_aucs(rank_images(scores, labels, np.arange(80)))
    gaps = Ranking(scores, labels, 3 * np.arange(80), 80, "image")
    assert class_aucs(gaps).classes == dense.classes


def test_the_macro_influences_square_to_its_variance() -> None:
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1, 2], 50)
    scores = rng.normal(size=(150, 3)) + np.eye(3)[labels]
    ranking = rank_images(scores, labels, np.arange(150) // 2)
    found, (value, effect) = class_aucs(ranking), macro_influence(ranking)
    assert value == pytest.approx(found.macro.value, abs=1e-12)
    assert effect @ effect == pytest.approx(found.covariance.mean(), rel=1e-9)


def test_there_is_no_macro_influence_where_there_is_no_logit_interval() -> None:
    labels = np.repeat([0, 1, 2], 10)
    scores = np.random.default_rng(8).normal(size=(30, 3))
    for k, column in ((0, np.ones(30)), (1, (labels == 1).astype(float))):  # constant; perfect
        changed = scores.copy()
        changed[:, k] = column
        assert np.isnan(macro_influence(rank_images(changed, labels, np.arange(30)))[1]).all()
    value, effect = macro_influence(rank_images(scores, np.zeros(30), np.arange(30)))
    assert math.isnan(value)
    assert np.isnan(effect).all()


def test_intervals_of_cross_fitted_scores_are_marked() -> None:
    scores, labels = binary(np.random.default_rng(9).normal(size=100), np.random.default_rng(10).normal(size=100))
    for rank in (rank_images, rank_patients):
        for cross_fitted, status in ((True, "approximate"), (False, "ok")):
            found = class_aucs(rank(scores, labels, np.arange(200), cross_fitted=cross_fitted))
            assert found.classes[0].status == found.macro.status == status
