"""The probe against scikit-learn and against its own definition, written out fold by fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import roc_auc_score

from fastrace.audit.cells import FIRST, p_value, ranked
from fastrace.audit.engines.probe import Probe, Regressions, standardise
from fastrace.audit.engines.probe.columns import column_pairs, pairs, rank_pairs
from fastrace.audit.engines.probe.permutations import label_permutations
from fastrace.audit.engines.probe.probe import coded
from fastrace.audit.engines.probe.ridge import LEAST_WEIGHT, MOST_FREEDOM, PENALTIES, members
from fastrace.audit.engines.probe.scaling import MOST_SPREADS
from fastrace.audit.partition import Fold, Partition, cross_fit, deal, deal_at_random
from fastrace.audit.request import PERMUTATIONS
from fastrace.statistics import class_aucs, d_prime, influence, sequential_p


def groups(*sizes: int) -> np.ndarray:
    return np.array([f"family {k}" for k, size in enumerate(sizes) for _ in range(size)])


def table(n: int, d: int, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * rng.uniform(0.1, 100, d) + 10 + 0.7 * labels[:, None] * (np.arange(d) < 3)


def standardised(train: np.ndarray, test: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As the docstrings define it: cut at six spreads, every family with the same total variance, centred."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    weight = np.array([1 / np.sqrt((group == name).sum()) for name in group])
    train, test = (np.clip((x - mean) / spread, -MOST_SPREADS, MOST_SPREADS) * weight for x in (train, test))
    return train - train.mean(axis=0), test - train.mean(axis=0)


def regression(
    train: np.ndarray, test: np.ndarray, group: np.ndarray, y: np.ndarray, separate: bool = False
) -> np.ndarray:
    """Scores of some patients by one fit on others."""
    n, m = len(train), len(test)
    rows = np.arange(n + m)
    table = standardise(np.concatenate([train, test]), group, rows[:n], rows[n:])
    part = Partition(((Fold(rows[:n], rows[n:]),),), rows[n:], refit=False)
    ((_, _, found),) = Regressions(table, part, separate=separate).scores(
        np.concatenate([y, np.zeros((m, y.shape[1]))])
    )
    return found


def naive_scores(train: np.ndarray, test: np.ndarray, group: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`naive_regression` of features in units of their own spread."""
    return naive_regression(*standardised(train, test, group), y)[0]


def naive_regression(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Ridge with the penalty of the smallest GCV, by hat matrices and scikit-learn; in spreads of the fitted values.

    And the share of the variance that it predicts, by GCV.
    """
    b, a = b - a.mean(axis=0), a - a.mean(axis=0)
    n = len(a)
    s2 = np.linalg.svd(a, compute_uv=False) ** 2
    s2 = s2[s2 > 1e-10 * s2.max()]
    tried = []
    for penalty in PENALTIES * s2.mean():
        hat = a @ np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T) + 1 / n
        freedom = np.trace(hat)
        residual = y - hat @ y
        tried.append((freedom, (residual**2).mean() / (1 - freedom / n) ** 2, penalty))
    most = max(MOST_FREEDOM * n, min(freedom for freedom, _, _ in tried))
    gcv, penalty = min((gcv, penalty) for freedom, gcv, penalty in tried if freedom <= most + 1e-9)
    ridge = Ridge(alpha=penalty).fit(a, y)
    fitted = ridge.predict(a) - ridge.intercept_
    scores = (ridge.predict(b) - ridge.intercept_) / np.sqrt((fitted**2).mean())
    return scores, float(max(1 - gcv / y.var(), 0))


@pytest.mark.parametrize(
    ("n", "sizes"), [(60, (5, 3)), (60, (30, 10)), (40, (40,)), (30, (100, 20)), (45, (44,)), (45, (1,))]
)
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_ridge_regression_with_the_penalty_of_the_smallest_gcv(
    n: int, sizes: tuple[int, ...], classes: int
) -> None:
    labels = np.arange(n + 20) % classes
    features, group = table(n + 20, sum(sizes), labels), groups(*sizes)
    train, test, y = features[:n], features[n:], coded(labels, classes)[:n]
    found = regression(train, test, group, y)
    for k in range(classes):
        np.testing.assert_allclose(found[:, k], naive_scores(train, test, group, y[:, k]), rtol=1e-6, atol=1e-8)


def test_its_decisions_are_those_of_the_ridge_classifier() -> None:
    labels = np.arange(80) % 2
    features, group = table(80, 20, labels), groups(20)
    y = coded(labels, 2)[:60, 1]
    a, b = standardised(features[:60], features[60:], group)
    found = regression(features[:60], features[60:], group, y[:, None])[:, 0]
    errors = []
    for penalty in PENALTIES * (np.linalg.svd(a, compute_uv=False) ** 2).mean():
        classifier = RidgeClassifier(alpha=penalty).fit(a, labels[:60])
        expected = classifier.decision_function(b) - classifier.intercept_
        errors.append(np.abs(found / found.std() - expected / expected.std()).max())
    assert min(errors) < 1e-8


def test_more_columns_than_patients_or_fewer_make_no_difference() -> None:
    # Copies of columns in the same family change nothing but the side of the Gram matrix that is taken apart.
    labels = np.arange(60) % 2
    features = table(60, 30, labels)
    y, doubled = coded(labels, 2)[:40], features[:, [*range(30)] * 2]
    once = regression(features[:40], features[40:], groups(30), y)
    twice = regression(doubled[:40], doubled[40:], groups(60), y)
    np.testing.assert_allclose(twice, once, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 7.0])
def test_undefined_and_constant_columns_are_as_if_they_were_not_there(bad: float) -> None:
    labels = np.arange(60) % 2
    features = table(60, 6, labels)
    spoiled = np.concatenate([features, np.full((60, 1), bad)], axis=1)
    y = coded(labels, 2)[:40]
    expected = regression(features[:40], features[40:], groups(6), y)
    np.testing.assert_array_equal(regression(spoiled[:40], spoiled[40:], groups(6, 1), y), expected)
    spoiled[:, 6] = np.arange(60)
    spoiled[50, 6] = np.nan  # in one test patient only
    np.testing.assert_array_equal(regression(spoiled[:40], spoiled[40:], groups(6, 1), y), expected)


def test_families_are_regressions_of_their_own_weighted_by_what_they_predict() -> None:
    labels = np.arange(120) % 2
    rng = np.random.default_rng(0)
    strong = table(120, 5, labels, seed=1)
    noise = rng.standard_normal((120, 60))
    group = np.array(["strong"] * 5 + ["noise"] * 60)
    features, y = np.concatenate([strong, noise], axis=1), coded(labels, 2)[:90]
    expected = np.zeros((30, 2))
    for columns in (group == "noise", group == "strong", np.ones(65, dtype=bool)):
        both = standardised(features[:90][:, columns], features[90:][:, columns], group[columns])
        for k in range(2):
            scores, predicted = naive_regression(*both, y[:, k])
            expected[:, k] += scores * (predicted**2 + LEAST_WEIGHT)
    found = regression(features[:90], features[90:], group, y, separate=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    alone = regression(strong[:90], strong[90:], group[:5], y, separate=True)
    np.testing.assert_array_equal(alone, regression(strong[:90], strong[90:], group[:5], y))
    # What predicts nothing hardly counts: the order of the patients is nearly that of the strong family.
    assert np.corrcoef(found[:, 1], alone[:, 1])[0, 1] > 0.8


def test_patches_of_both_scales_are_one_regression() -> None:
    group = np.array(["tiles", "pixels", "coarse patches", "fine patches", "tiles"])
    found = {tuple(np.flatnonzero(one)) for one in members(group)}
    assert found == {(0, 4), (1,), (0, 1, 4), (2, 3)}
    assert len(members(np.array(["network"] * 4))) == 1


def test_without_a_usable_column_all_scores_are_equal() -> None:
    labels = np.arange(60) % 2
    part = Partition((cross_fit([np.arange(60)], 5),), np.arange(60))
    (scores,) = Probe(np.full((60, 3), 4.0), groups(3), part).observed(labels, 2)
    assert (scores == 0).all()


@settings(max_examples=30)
@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.integers(0, 9))
def test_units_of_a_feature_do_not_matter(scale: float, shift: float, column: int) -> None:
    labels = np.arange(50) % 2
    features = table(50, 10, labels)
    changed = features.copy()
    changed[:, column] = changed[:, column] * scale + shift
    y = coded(labels, 2)[:40]
    one, other = (regression(x[:40], x[40:], groups(10), y) for x in (features, changed))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_every_patient_is_scored_by_a_fit_that_never_saw_it() -> None:
    labels = np.arange(60) % 2
    features = table(60, 8, labels)
    part = Partition((cross_fit([np.arange(60)], 5),), np.arange(60))
    expected = np.zeros((60, 2))
    scaled = standardised(features, features, groups(8))[0]  # by all patients, without labels
    for fold in part.repeats[0]:
        for k in (0, 1):
            y = coded(labels, 2)[fold.train, k]
            expected[fold.test, k] = naive_regression(scaled[fold.train], scaled[fold.test], y)[0]
    (found,) = Probe(features, groups(8), part).observed(labels, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    for patient in (0, 17, 59):
        other = labels.copy()
        other[patient] = 1 - other[patient]
        (changed,) = Probe(features, groups(8), part).observed(other, 2)
        mine = next(fold for fold in part.repeats[0] if patient in fold.test)
        np.testing.assert_array_equal(changed[patient], found[patient])
        assert len(np.intersect1d(mine.test, mine.train)) == 0


def test_two_classes_have_one_score_and_its_negative() -> None:
    labels = np.arange(60) % 2
    part = Partition((cross_fit([np.arange(60)], 5),), np.arange(60))
    (scores,) = Probe(table(60, 8, labels), groups(8), part).observed(labels, 2)
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], rtol=1e-9)


def test_several_repeats_are_weighed_by_their_pairs() -> None:
    labels = np.arange(60) % 2
    features = table(60, 8, labels)
    rng = np.random.default_rng(0)
    repeats = [cross_fit([rng.permutation(60)], 5) for _ in range(3)]
    together = Partition(tuple(repeats), np.arange(60))
    scores = Probe(features, groups(8), together).observed(labels, 2)
    won = every = 0.0
    for repeat, mine in zip(repeats, scores, strict=True):
        alone = Probe(features, groups(8), Partition((repeat,), np.arange(60))).observed(labels, 2)
        np.testing.assert_array_equal(mine, alone[0])
        for fold in repeat:
            m = int(labels[fold.test].sum())
            pairs_here = m * (len(fold.test) - m)
            if pairs_here:
                won += pairs_here * roc_auc_score(labels[fold.test], mine[fold.test, 1])
                every += pairs_here
    assert influence(ranked(scores, labels, together), 1)[0] == pytest.approx(won / every, abs=1e-12)


def test_patients_of_different_folds_are_not_compared() -> None:
    # Each fold's scores may be on a scale of its own: shifting one changes nothing.
    labels = np.arange(60) % 2
    part = Partition((cross_fit([np.arange(60)], 5),), np.arange(60))
    scores = Probe(table(60, 8, labels), groups(8), part).observed(labels, 2)
    moved = scores.copy()
    moved[0, part.repeats[0][2].test] += 100
    one, other = (influence(ranked(x, labels, part), 1) for x in (scores, moved))
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 6), st.integers(1, 8))
def test_pairs_by_their_number_are_scikit_learns_aucs_also_with_ties(
    seed: int, n: int, columns: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = rng.integers(0, levels, (n, columns)).astype(float), rng.random((n, columns)) < 0.4
    won, every = column_pairs(scores, positive), pairs(positive)
    for k in range(columns):
        if 0 < positive[:, k].sum() < n:
            assert won[k] / every[k] == pytest.approx(roc_auc_score(positive[:, k], scores[:, k]), abs=1e-12)
        else:
            assert won[k] == every[k] == 0
        assert rank_pairs(rankdata(scores[:, k]), positive[:, [k]])[0] == pytest.approx(won[k], abs=1e-9)


@given(st.integers(0, 10**6), st.integers(4, 40), st.integers(2, 4))
def test_d_prime_is_the_pooled_standardised_distance(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = np.arange(n) % classes, rng.standard_normal((n, classes))
    expected = []
    for k in range(classes):
        inside, outside = scores[labels == k, k], scores[labels != k, k]
        if min(len(inside), len(outside)) < 2:
            continue
        sums = ((inside - inside.mean()) ** 2).sum() + ((outside - outside.mean()) ** 2).sum()
        expected.append((inside.mean() - outside.mean()) / np.sqrt(sums / (n - 2)))
    found = d_prime(scores, labels)
    assert found == pytest.approx(np.mean(expected)) if expected else np.isnan(found)
    np.testing.assert_allclose(d_prime(3 * scores + 5, labels), found, rtol=1e-9)
    assert np.isnan(d_prime(np.ones((n, classes)), labels))


def test_d_prime_within_folds_does_not_see_what_moves_a_fold() -> None:
    rng = np.random.default_rng(0)
    labels, folds = np.arange(400) % 2, np.arange(400) // 2 % 4
    scores = rng.standard_normal((400, 2)) + 1.0 * labels[:, None] * np.array([-1, 1])
    moved = scores + 10.0 * folds[:, None]
    assert d_prime(moved, labels, folds) == pytest.approx(d_prime(scores, labels, folds))
    assert d_prime(scores, labels, folds) == pytest.approx(d_prime(scores, labels), rel=0.05)
    one = np.zeros(400, dtype=np.int64)
    assert d_prime(scores, labels, one) == pytest.approx(d_prime(scores, labels))


def partition_of_40(refit: bool) -> Partition:
    """Of 40 patients: cross-fitted in five folds, or fitted once on 25."""
    if refit:
        return Partition((cross_fit([np.arange(40)], 5),), np.arange(40))
    return Partition(((Fold(np.arange(25), np.arange(25, 40)),),), np.arange(25, 40), refit=False)


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_fewer_permutations_are_the_first_of_more(refit: bool, classes: int) -> None:
    labels = np.arange(40) % classes
    features = table(40, 5, labels)
    part = partition_of_40(refit)
    probe = Probe(features, groups(5), part)
    many = probe.permuted(labels, classes, 4500, 3).aucs  # more than two blocks
    # A fit of another number of label columns rounds otherwise: a pair of patients may change places.
    pairs = 1 / (len(part.scored) // classes) ** 2
    for count in (1, 99, 2048, 2100, 4096):
        np.testing.assert_allclose(probe.permuted(labels, classes, count, 3).aucs, many[:count], atol=pairs)
        later = probe.permuted(labels, classes, 4500 - count, 3, first=count).aucs
        np.testing.assert_allclose(later, many[count:], atol=pairs)
    assert not np.array_equal(probe.permuted(labels, classes, 99, 4).aucs, many[:99])
    assert len(many) == 4500


@pytest.mark.parametrize("refit", [True, False])
def test_permutations_that_are_kept_are_those_drawn_anew(refit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(40) % 3
    part = partition_of_40(refit)

    def rows(first: int, count: int) -> np.ndarray:
        return np.concatenate(list(label_permutations(labels, part, first, count, 3)))

    wanted = ((0, 1200), (700, 500), (1024, 1))
    kept = [rows(*some) for some in wanted]
    monkeypatch.setattr("fastrace.audit.engines.probe.permutations.KEPT", 0)
    for (first, count), mine in zip(wanted, kept, strict=True):
        assert mine.shape == (count, 40)
        np.testing.assert_array_equal(mine, rows(first, count))
        np.testing.assert_array_equal(mine, kept[0][first : first + count])
    np.testing.assert_array_equal(np.sort(kept[0], axis=1), np.repeat(np.sort(labels)[None], 1200, axis=0))
    assert (kept[0][:, :25] == labels[:25]).all() != refit  # labels of those who are not scored stay


def test_a_test_ends_early_where_p_is_large_and_draws_all_where_it_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(80) % 2
    features = np.random.default_rng(2).standard_normal((80, 3)) + 0.12 * labels[:, None]
    part = Partition((cross_fit([np.arange(80)], 5),), np.arange(80))
    probe = Probe(features, groups(3), part)
    few, many = (probe.permuted(labels, 2, count, 3) for count in (FIRST, PERMUTATIONS))
    for observed in (0.5, 0.6, 0.8, 2.0):
        monkeypatch.setattr(probe, "statistic", lambda *_, value=observed: value)
        found = p_value(probe, labels, 2, PERMUTATIONS, 3)
        # As in `test_fewer_permutations_are_the_first_of_more`, an AUC may round to the other side.
        assert found.p == pytest.approx(sequential_p(observed, many.aucs)[0], rel=0.03)
        assert found.spread == few.spread
        assert found.null_deviation == pytest.approx(few.aucs.std(ddof=1))
    assert found.p == 1 / (PERMUTATIONS + 1)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(40, 40), (60, 20), (30, 30, 20), (120, 120)])
def test_the_statistic_is_the_auc_that_is_printed(kind: type[np.floating], sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(len(sizes))
    features = (rng.standard_normal((len(labels), 5)) + 0.5 * labels[:, None]).astype(kind)
    part = deal_at_random(labels, rng)
    probe = Probe(features, groups(5), part)
    printed = class_aucs(ranked(probe.observed(labels, len(sizes)), labels, part)).macro.value
    assert probe.statistic(labels, len(sizes)) == pytest.approx(printed, abs=1e-4)


def test_p_is_uniform_where_one_vector_is_far_out() -> None:
    """Scores of permuted labels were rounded to 5 decimals, of the observed ones to 9: 6.8 % of p at .01."""
    found = []
    for number in range(100):
        rng = np.random.default_rng((7, number))
        features = rng.standard_normal((200, 16)).astype(np.float32)
        features[0] *= 1e8
        labels = rng.permutation(np.arange(200) % 2)
        found.append(p_value(Probe(features, groups(16), deal_at_random(labels, rng)), labels, 2, 99, number).p)
    assert np.mean(np.array(found) <= 0.05) < 0.12  # .05 now, .12 before; by chance in .4 %


@pytest.mark.parametrize("factor", [1e4, 1e8, 1e30])
def test_few_vectors_far_out_do_not_silence_the_others(factor: float) -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(400) % 2
    features = (rng.standard_normal((400, 16)) + 0.4 * labels[:, None]).astype(np.float32)
    part = deal_at_random(labels, rng)
    without = Probe(features, groups(16), part).statistic(labels, 2)
    features[[5, 70, 201]] *= np.float32(factor)
    assert without > 0.8
    assert Probe(features, groups(16), part).statistic(labels, 2) == pytest.approx(without, abs=0.02)


def in_folds(stratified: bool) -> Partition:
    """Of 40 patients of two classes by turns: dealt class by class once, or twice whatever their class."""
    cells = [np.arange(0, 40, 2), np.arange(1, 40, 2)]
    if stratified:
        return Partition((cross_fit(cells, 5),), np.arange(40), stratified=True)
    rng = np.random.default_rng(6)
    return Partition(tuple(cross_fit([rng.permutation(40)], 5) for _ in range(2)), np.arange(40))


PARTITIONS = {
    "stratified": in_folds(True),
    "twice, not stratified": in_folds(False),
    "not fitted again": partition_of_40(refit=False),
}


@pytest.mark.parametrize("name", PARTITIONS)
def test_permuted_labels_give_what_fitting_again_gives(name: str) -> None:
    labels, part = np.arange(40) % 2, PARTITIONS[name]
    probe = Probe(table(40, 5, labels), groups(5), part)
    drawn = probe.permuted(labels, 2, 20, 3)
    rows = np.concatenate(list(label_permutations(labels, part, 0, 20, 3)))
    fixed = probe.observed(labels, 2)
    for row, found, kept in zip(rows, drawn.aucs, drawn.fixed, strict=True):
        permuted = row.astype(np.int64)
        scores = probe.observed(permuted, 2) if part.refit else fixed
        assert found == pytest.approx(influence(ranked(scores, permuted, part), 1)[0], abs=1e-12)
        assert kept == pytest.approx(influence(ranked(fixed, permuted, part), 1)[0], abs=1e-12)
    expected = max(1, drawn.aucs.std(ddof=1) / drawn.fixed.std(ddof=1)) if part.refit else 1
    assert drawn.spread == pytest.approx(expected)


@pytest.mark.parametrize("name", PARTITIONS)
def test_labels_are_permuted_within_their_groups_alone(name: str) -> None:
    labels, part = np.arange(40) % 2, PARTITIONS[name]
    rows = np.concatenate(list(label_permutations(labels, part, 0, 300, 3)))
    inside = np.zeros(40, dtype=bool)
    for group in part.exchangeable:
        np.testing.assert_array_equal(
            np.sort(rows[:, group], axis=1), np.repeat(np.sort(labels[group])[None], 300, axis=0)
        )
        assert (rows[:, group].std(axis=0) > 0).all()
        inside[group] = True
    np.testing.assert_array_equal(rows[:, ~inside], np.repeat(labels[~inside][None], 300, axis=0))
    assert len(part.exchangeable) == (5 if part.stratified else 1)


def test_folds_of_classes_dealt_more_than_once_are_refused() -> None:
    once = cross_fit([np.arange(20), np.arange(20, 40)], 5)
    with pytest.raises(ValueError, match="more than once"):
        Partition((once, once), np.arange(40), stratified=True)


@pytest.mark.parametrize(("n", "repeats"), [(60, 5), (199, 5), (200, 1), (301, 1)])
def test_few_patients_are_dealt_five_times_without_their_classes_many_once_by_them(n: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(n) % 3 == 0).astype(np.int64)
    part = deal(labels, lambda _: rng.permutation(n))
    assert len(part.repeats) == repeats
    assert part.stratified == (repeats == 1)
    for folds in part.repeats:
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(n))
    shares = [labels[fold.test].sum() for fold in part.repeats[0]]
    assert max(shares) - min(shares) <= 1 or not part.stratified
    assert len(np.unique(part.folds)) == 5 * repeats


def test_equal_patients_get_equal_scores() -> None:
    # Rounding in a matrix product must not break ties: between two values of a binary column there is nothing to rank.
    rng = np.random.default_rng(0)
    labels, features = np.arange(96) % 2, rng.integers(0, 2, (96, 3)).astype(float)
    part = Partition((cross_fit([np.arange(96)], 5),), np.arange(96))
    (scores,) = Probe(features, groups(1, 1, 1), part).observed(labels, 2)
    for fold in part.repeats[0]:
        for row in np.unique(features[fold.test], axis=0):
            alike = fold.test[(features[fold.test] == row).all(axis=1)]
            assert len(np.unique(scores[alike, 1])) == 1


def test_folds_part_the_patients_and_are_balanced_within_every_cell() -> None:
    rng = np.random.default_rng(0)
    order = np.split(rng.permutation(103), [40, 47, 90])
    folds = cross_fit(order, 5)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(103))
    for fold in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(103))
        for cell in order:
            assert abs(len(np.intersect1d(cell, fold.test)) - len(cell) / 5) < 1
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_a_partition_of_some_patients_has_the_same_folds() -> None:
    part = in_folds(True)
    some = np.array([0, 1, 2, 3, 8, 9, 20, 31, 32, 39])
    less = part.restricted(some)
    np.testing.assert_array_equal(less.scored, some)
    assert less.stratified
    for fold, before in zip(less.repeats[0], part.repeats[0], strict=True):
        np.testing.assert_array_equal(fold.test, np.intersect1d(before.test, some))
        np.testing.assert_array_equal(np.sort(fold.train), np.setdiff1d(some, fold.test))


@pytest.mark.parametrize("refit", [True, False])
def test_rows_of_patients_of_no_fold_are_not_looked_at(refit: bool) -> None:
    labels, some = np.arange(40) % 2, np.arange(3, 37)
    part = partition_of_40(refit).restricted(some)
    features = table(40, 6, labels)
    hidden = features.copy()
    hidden[[0, 1, 2, 37, 38, 39]] = np.nan
    one, other = (Probe(x, groups(6), part).observed(labels, 2) for x in (features, hidden))
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("name", PARTITIONS)
@pytest.mark.parametrize("sizes", [(3, 2, 4), (30, 3, 50)])
def test_it_is_the_same_by_columns_and_by_patients(
    name: str, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Single and double precision, one regression and several, one portion of rows and many, other images in the test.
    labels, part, group = np.arange(40) % 2, PARTITIONS[name], groups(*sizes)
    features, others = table(40, len(group), labels), table(40, len(group), labels, seed=1)
    for tested_on in (None, others):
        found = Probe(features, group, part, tested_on).observed(labels, 2)
        single = Probe(
            features.astype(np.float32), group, part, None if tested_on is None else tested_on.astype(np.float32)
        ).observed(labels, 2)
        np.testing.assert_allclose(
            single, found, rtol=1e-3, atol=1e-3
        )  # float32 features, offsets a thousand times their spread
        with monkeypatch.context() as changed:
            changed.setattr("fastrace.audit.engines.probe.ridge.ROWS", 7)
            changed.setattr("fastrace.audit.engines.probe.scaling.ROWS", 5)
            np.testing.assert_allclose(Probe(features, group, part, tested_on).observed(labels, 2), found, atol=2e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_labels_that_are_orthogonal_to_a_family_give_scores_of_zero(kind: type) -> None:
    # In single precision their product is exactly zero, and zero by zero was NaN: such permutations were left out.
    labels = np.arange(40) % 2
    features = np.zeros((40, 2), dtype=kind)
    features[[4, 5], 0] = 1, 1
    part = Partition(((Fold(np.arange(20), np.arange(20, 40)),),), np.arange(20, 40), refit=False)
    table = standardise(features, groups(2), np.arange(20), np.arange(20, 40))
    for exact in (True, False):
        ((_, _, found),) = Regressions(table, part).scores(coded(labels, 2), exact=exact)
        assert np.isfinite(found).all()
