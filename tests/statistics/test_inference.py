"""Permutation, corrections, bands, pairs and differences against statsmodels, scikit-learn, SAS and exact enumeration."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multivariate_normal, norm, rankdata
from sklearn.metrics import roc_auc_score

from fastrace.statistics import (
    NOT_ENOUGH,
    benjamini_yekutieli,
    class_aucs,
    detectable_auc,
    hidden,
    holm,
    influence,
    macro_influence,
    pair_aucs,
    paired_difference,
    permutation_p,
    permuted_aucs,
    rank_images,
    rank_patients,
    sequential_p,
    simultaneous_band,
    standard_error,
)

# ---- permutation -----------------------------------------------------------------------------------------------------


def test_p_counts_the_observed_value_among_the_draws() -> None:
    assert permutation_p(0.9, [0.1, 0.2, 0.3]) == 1 / 4
    assert permutation_p(0.2, [0.1, 0.2, 0.3]) == 3 / 4
    assert permutation_p(0.2 + 1e-15, [0.2]) == 1  # equal but for rounding
    assert permutation_p(0.25, [0.1, math.nan, 0.3]) == 2 / 3
    assert math.isnan(permutation_p(math.nan, [0.1]))
    assert math.isnan(permutation_p(0.5, [math.nan]))


def test_shuffles_have_the_exact_permutation_distribution() -> None:
    scores = np.array([[0.1, 0.7], [0.4, 0.4], [0.4, 0.2], [0.8, 0.1], [0.9, 0.6]])
    labels = np.array([0, 0, 1, 1, 1])
    exact = [class_aucs(rank_images(scores, list(p), np.arange(5))).macro.value for p in permutations(labels)]
    drawn = permuted_aucs(rank_images(scores, labels, np.arange(5)), 20_000, seed=1)
    values, counts = np.unique(np.round(exact, 9), return_counts=True)
    found = np.array([(np.round(drawn, 9) == value).mean() for value in values])
    assert found.sum() == 1
    shares = counts / counts.sum()
    # Five standard errors of a share of 20,000 draws.
    assert (np.abs(found - shares) < 5 * np.sqrt(shares * (1 - shares) / 20_000)).all()


def test_shuffles_move_the_labels_of_patients_not_of_images() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), rng.integers(1, 5, 30))
    labels = (np.arange(30) % 3)[patients]
    own = rng.normal(size=(30, 3))[patients]  # all images of a patient alike
    by_image = permuted_aucs(rank_images(own, labels, patients), 4000, seed=2)
    assert by_image.mean() == pytest.approx(0.5, abs=5 * by_image.std() / math.sqrt(4000))
    apart = permuted_aucs(rank_images(own, labels, np.arange(len(labels))), 4000, seed=2)
    assert by_image.std() > 1.3 * apart.std()  # 2.4 images a patient: what shuffling images would understate


def test_shuffles_within_strata_keep_the_effect_of_the_strata() -> None:
    rng = np.random.default_rng(1)
    site = np.repeat([0, 1], 60)
    labels = np.concatenate(
        [rng.permutation(np.repeat([0, 1], [48, 12])), rng.permutation(np.repeat([0, 1], [12, 48]))]
    )
    scores = (rng.normal(size=120) - 3 * site)[:, None]  # depends on the site, not on the label
    ranking = rank_images(scores, labels, np.arange(120))
    observed = class_aucs(ranking).macro.value
    assert observed > 0.7
    assert permutation_p(observed, permuted_aucs(ranking, 999, seed=0)) < 0.01
    assert permutation_p(observed, permuted_aucs(ranking, 999, seed=0, within=site)) > 0.05
    with pytest.raises(ValueError, match="more than one stratum"):
        permuted_aucs(rank_images(scores, labels, np.arange(120) // 2), 2, seed=0, within=np.arange(120))


def test_p_is_uniform_where_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 20)
    found = 0
    for turn in range(500):
        ranking = rank_images(rng.normal(size=(60, 3)), labels, np.arange(60))
        found += permutation_p(class_aucs(ranking).macro.value, permuted_aucs(ranking, 99, turn)) <= 0.05
    low, high = binom.ppf([0.005, 0.995], 500, 0.05)  # the 99 % region
    assert low <= found <= high


# ---- correction ------------------------------------------------------------------------------------------------------


@settings(max_examples=25)  # statsmodels' Holm takes a tenth of a second
@given(st.lists(st.floats(0, 1) | st.sampled_from([math.nan, 0.01, 0.05]), max_size=30))
def test_corrections_are_statsmodels_without_the_undefined(p: list[float]) -> None:
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    values = np.array(p)
    valid = ~np.isnan(values)
    for ours, name in ((holm, "holm"), (benjamini_yekutieli, "fdr_by")):
        found = ours(p)
        assert np.isnan(found[~valid]).all()
        if valid.any():
            np.testing.assert_allclose(found[valid], multipletests(values[valid], method=name)[1], atol=1e-12)


@pytest.mark.parametrize("correct", [holm, benjamini_yekutieli])
def test_numbers_that_are_no_p_values_are_refused(correct: object) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        correct([0.5, 1.5])  # type: ignore[operator]


# ---- simultaneous bands ----------------------------------------------------------------------------------------------


def points(correlation: float, count: int, patients: int = 400) -> list[tuple[float, np.ndarray]]:
    rng = np.random.default_rng(3)
    common = rng.normal(size=patients)
    found = []
    for c in range(count):
        effect = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * rng.normal(size=patients)
        found.append((0.6 + 0.3 * c / count, 0.02 * effect / np.linalg.norm(effect)))
    return found


def test_one_point_has_its_own_interval_and_many_equal_points_too() -> None:
    (value, effect), *_ = points(0, 1)
    half = norm.ppf(0.975) * 0.02 / (value * (1 - value))
    expected = 1 / (1 + np.exp(-(math.log(value / (1 - value)) + np.array([-half, half]))))
    # 50,000 draws leave the critical value uncertain by .01, of a half width of .04 on the scale of the AUC.
    for same in (1, 7):
        band, critical = simultaneous_band([(value, effect)] * same)
        assert critical == pytest.approx(norm.ppf(0.975), abs=0.03)
        np.testing.assert_allclose(band, np.tile(expected, (same, 1)), atol=6e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_critical_value_is_the_quantile_of_the_largest_of_correlated_normals(correlation: float) -> None:
    given_points = points(correlation, 4)
    _, critical = simultaneous_band(given_points)
    unit = np.stack([effect / np.linalg.norm(effect) for _, effect in given_points])
    box = multivariate_normal(cov=unit @ unit.T, allow_singular=True, maxpts=200_000)
    inside = box.cdf(np.full(4, critical), lower_limit=np.full(4, -critical))
    assert inside == pytest.approx(0.95, abs=0.004)  # four standard errors of 50,000 draws


def test_points_without_a_logit_keep_their_own_interval() -> None:
    good = points(0.5, 3)
    odd = [(1.0, np.zeros(400)), (0.5, np.zeros(400)), (math.nan, np.full(400, math.nan))]
    own = [(0.5, 0.9)] * 3 + [(0.9, 1.0), (math.nan, math.nan), (math.nan, math.nan)]
    band, critical = simultaneous_band(good + odd, own)
    alone, same = simultaneous_band(good, own[:3])
    np.testing.assert_array_equal(band[:3], alone)
    assert critical == same
    np.testing.assert_array_equal(band[3:], own[3:])
    empty, none = simultaneous_band(odd)
    assert np.isnan(empty).all()
    assert math.isnan(none)


def test_a_band_is_nowhere_narrower_than_the_intervals() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 40)
    rankings = [rank_images(rng.normal(size=(80, 2)) + s * np.eye(2)[labels], labels, np.arange(80)) for s in (0, 1, 2)]
    macros = [class_aucs(one).macro for one in rankings]
    band, critical = simultaneous_band([macro_influence(one) for one in rankings], [(m.low, m.high) for m in macros])
    assert norm.ppf(0.975) < critical < norm.ppf(1 - 0.025 / 3) + 1e-9
    for (low, high), macro in zip(band, macros, strict=True):
        assert low < macro.low < macro.high < high


def test_the_band_holds_the_whole_curve_at_its_level() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 100)
    true_aucs = np.array([0.6, 0.7, 0.8, 0.85])
    shifts = math.sqrt(2) * norm.ppf(true_aucs)
    held = 0
    for turn in range(300):
        common, curve, own = rng.normal(size=200), [], []
        for shift in shifts:
            scores = math.sqrt(0.6) * common + math.sqrt(0.4) * rng.normal(size=200) + shift * (labels == 0)
            ranking = rank_images(scores[:, None], labels, np.arange(200))
            curve.append(influence(ranking, 0))
            one = class_aucs(ranking).classes[0]
            own.append((one.low, one.high))
        band, _ = simultaneous_band(curve, own, draws=4000, seed=turn)
        held += bool(((band[:, 0] <= true_aucs) & (true_aucs <= band[:, 1])).all())
    low, high = binom.ppf([0.0005, 0.9995], 300, [0.93, 0.97])
    assert low <= held <= high


def test_points_of_different_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="same patients"):
        simultaneous_band([(0.6, np.ones(10)), (0.7, np.ones(11))])


# ---- one against one -------------------------------------------------------------------------------------------------


def test_pairs_average_to_scikit_learns_hand_till() -> None:
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 4, 300)
    raw = np.exp(rng.normal(size=(300, 4)).round(1) + np.eye(4)[labels])
    scores = raw / raw.sum(axis=1, keepdims=True)
    found = pair_aucs(rank_images(scores, labels, np.arange(300)))
    assert len(found) == 6
    expected = roc_auc_score(labels, scores, multi_class="ovo", average="macro")
    assert np.mean([one.value for one in found.values()]) == pytest.approx(expected, abs=1e-12)
    one = found[1, 3]
    assert one.n_patients == (labels == 1).sum() + (labels == 3).sum() == one.n_images
    assert one.n_positive == min((labels == 1).sum(), (labels == 3).sum())


def test_a_pair_whose_scores_mirror_is_a_two_class_problem() -> None:
    rng = np.random.default_rng(7)
    patients = np.repeat(np.arange(120), 2)
    labels = (np.arange(120) % 3)[patients]
    score = rng.normal(size=240) + (labels == 0)
    ranking = rank_patients(np.stack([score, -score, rng.normal(size=240)], axis=1), labels, patients)
    keep = ranking.labels < 2
    alone = class_aucs(rank_images(ranking.scores[keep][:, :1], ranking.labels[keep], np.arange(80))).classes[0]
    one = pair_aucs(ranking)[0, 1]
    assert (one.value, one.low, one.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-12)
    assert (one.n_patients, one.n_images, one.unit) == (80, 160, "patient")


def test_a_pair_without_patients_is_undefined_and_a_constant_one_is_marked() -> None:
    labels = np.repeat([0, 1], 40)
    found = pair_aucs(rank_images(np.ones((80, 3)), labels, np.arange(80)))
    assert found[0, 1].status == "constant scores"
    assert found[0, 2].status == "undefined: no patients in class 2"
    assert pair_aucs(rank_images(np.ones((80, 1)), labels, np.arange(80))) == {}


# ---- differences -----------------------------------------------------------------------------------------------------

# 43 patients with ovarian cancer (DeLong, DeLong and Clarke-Pearson 1988): albumin and total protein in tenths, and the
# K-G score; those for whom surgery was no success are the positives. SAS/STAT User's Guide, LOGISTIC procedure, example
# "Comparing Receiver Operating Characteristic Curves", prints the areas and contrasts.
ALBUMIN = (
    "30 32 39 28 32 09 25 16 38 37 32 38 41 36 43 36 23 42 40 35 38 30 "
    "45 37 31 41 43 43 32 26 33 17 37 33 42 35 29 21 28 40 33 37 36"
)
PROTEIN = (
    "58 63 68 48 58 40 57 56 57 67 54 66 66 57 70 67 44 76 66 58 68 47 "
    "74 74 66 82 70 65 51 47 68 40 61 63 77 62 57 48 62 70 57 69 66"
)
KG = "10 5 3 6 3 5 8 5 5 6 4 6 5 5 4 4 6 4 6 6 7 8 5 5 6 6 5 4 5 6 6 7 5 7 6 5 9 7 8 7 6 5 5"
SUCCESS = "0110100111111110100110111111110011110101111"


def ovarian(text: str, sign: int) -> object:
    labels = [int(one == "0") for one in SUCCESS]
    return rank_images(sign * np.array(text.split(), dtype=float)[:, None], labels, np.arange(43))


@pytest.mark.parametrize(
    ("text", "sign", "area", "error"),
    [(ALBUMIN, 1, 0.7366, 0.0927), (PROTEIN, 1, 0.6478, 0.1000), (KG, -1, 0.7258, 0.1028)],
)
def test_areas_and_errors_of_the_ovarian_cancer_example(text: str, sign: int, area: float, error: float) -> None:
    found = class_aucs(ovarian(text, sign))  # type: ignore[arg-type]
    assert round(found.classes[0].value, 4) == area
    assert round(math.sqrt(found.covariance[0, 0]), 4) == error


@pytest.mark.parametrize(
    ("text", "value", "error", "low", "high", "p"),
    [(ALBUMIN, 0.0108, 0.0953, -0.1761, 0.1976, 0.9102), (PROTEIN, -0.0780, 0.1046, -0.2830, 0.1271, 0.4561)],
)
def test_contrasts_of_the_ovarian_cancer_example(
    text: str, value: float, error: float, low: float, high: float, p: float
) -> None:
    found = paired_difference(ovarian(text, 1), ovarian(KG, -1), 0)  # type: ignore[arg-type]
    assert [round(x, 4) for x in (found.value, found.low, found.high, found.p)] == [value, low, high, p]
    assert round((found.high - found.low) / 2 / norm.ppf(0.975), 4) == error
    assert found.status == NOT_ENOUGH


def test_differences_of_macro_aucs_and_their_limits() -> None:
    rng = np.random.default_rng(8)
    patients, labels = np.arange(200) // 2, np.repeat([0, 1], 100)
    scores = rng.normal(size=(200, 2)) + np.eye(2)[labels]
    one, two = (rank_patients(s, labels, patients) for s in (scores, scores + 0.3 * rng.normal(size=(200, 2))))
    found = paired_difference(one, two)
    assert found.value == pytest.approx(class_aucs(one).macro.value - class_aucs(two).macro.value, abs=1e-12)
    assert found.low < found.value < found.high
    back = paired_difference(two, one)
    assert (back.value, back.low, back.high, back.p) == pytest.approx((-found.value, -found.high, -found.low, found.p))
    same = paired_difference(one, one)
    assert (same.value, same.status) == (0, "no interval")
    assert same.to_json()["p"] is None
    with pytest.raises(ValueError, match="same labels"):
        paired_difference(one, rank_patients(scores, labels[::-1], patients))


# ---- small cells -----------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=8))
def test_what_is_hidden_cannot_be_had_by_subtraction(counts: dict[str, int]) -> None:
    gone = hidden(counts)
    assert {name for name, count in counts.items() if count < 11} <= gone <= set(counts)
    if gone and gone != set(counts):
        assert len(gone) > 1
        assert sum(counts[name] for name in gone) >= 11


# ---- sequential p and detectable AUC --------------------------------------------------------------------------------


def test_a_sequential_p_stops_at_the_draw_that_is_enough_and_forgets_what_follows() -> None:
    draws = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.9])
    assert sequential_p(0.8, draws, enough=2) == (0.5, True)  # the second of them is draw 4
    assert sequential_p(0.8, draws, enough=3) == (0.5, True)
    assert sequential_p(0.8, draws, enough=4) == (4 / 7, False)
    assert sequential_p(0.8, draws[:4], enough=2) == (0.5, True)
    assert sequential_p(np.nan, draws)[1]
    assert np.isnan(sequential_p(0.8, [np.nan])[0])


def test_a_sequential_p_keeps_its_level() -> None:
    # Observed value and draws of one distribution: p <= alpha in at most alpha of the tests, for every alpha.
    rng = np.random.default_rng(0)
    p = np.array([sequential_p(values[0], values[1:], enough=10)[0] for values in rng.random((4000, 400))])
    for alpha in (0.01, 0.05, 0.1, 0.5):
        assert np.count_nonzero(p <= alpha + 1e-12) <= binom.ppf(0.999, len(p), alpha)
    assert abs((p <= 0.5).mean() - 0.5) < 0.04


@pytest.mark.parametrize(("positives", "negatives", "alpha"), [(40, 60, 0.01), (100, 100, 0.001), (30, 300, 1e-5)])
def test_the_detectable_auc_is_found_eight_times_of_ten(positives: int, negatives: int, alpha: float) -> None:
    # Normal scores of one model; the test knows the deviation without a signal, as permutations give it.
    deviation = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    auc = detectable_auc(deviation, (positives, negatives), alpha)
    rng = np.random.default_rng(1)
    shift = np.sqrt(2) * norm.ppf(auc)
    found = []
    for _ in range(2000):
        scores = rng.standard_normal(positives + negatives)
        scores[:positives] += shift
        ranks = rankdata(scores)[:positives].sum()
        value = (ranks - positives * (positives + 1) / 2) / (positives * negatives)
        found.append(value > 0.5 - norm.ppf(alpha) * deviation)
    # The standard error of the share is .009; the model's deviation at the AUC is an approximation: .75 to .86 in 12 settings.
    assert 0.75 <= np.mean(found) <= 0.86


def test_the_detectable_auc_falls_with_patients_and_rises_with_tests() -> None:
    few, many, more_tests = (
        detectable_auc(1.4 * standard_error(0.5, (n, n)), (n, n), alpha)
        for n, alpha in ((30, 0.01), (300, 0.01), (300, 1e-5))
    )
    assert 0.5 < many < more_tests < few < 1
    assert np.isnan(detectable_auc(0.3, (3, 3), 1e-6))  # no AUC below 1 is
