"""ranking: the kernel against scikit-learn, the definition pair by pair, SciPy's U test, and itself in other arrangements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2, mannwhitneyu
from sklearn.metrics import roc_auc_score
from torch.library import opcheck

from fastrace.kernels.ranking import (
    TOLERANCE,
    bootstrap_auc,
    draw_weights,
    placements,
    placements_reference,
    weighted_auc,
    weighted_auc_reference,
)

# Either side of the sizes at which the kernel changes its way of sorting (256 and 4096 rows).
SIZES = (2, 3, 31, 255, 256, 257, 4095, 4096, 5003)


def sample(rows: int, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.3
    positive[:2] = True, False
    scores = rng.normal(size=rows) + positive
    return (scores.round(1) if ties else scores), positive


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rows", SIZES)
def test_auc_is_scikit_learns_and_the_u_test_s(rows: int, ties: bool) -> None:
    scores, positive = sample(rows, ties=ties)
    value = float(placements(scores, positive)[0])
    assert value == pytest.approx(roc_auc_score(positive, scores), abs=TOLERANCE)
    u = mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert value == pytest.approx(u / positive.sum() / (~positive).sum(), abs=TOLERANCE)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rows", [2, 31, 257, 4096])
def test_placements_are_the_shares_of_pairs_won(rows: int, ties: bool) -> None:
    scores, positive = sample(rows, ties=ties)
    value, placed = placements(scores, positive)
    expected_value, expected = placements_reference(scores, positive)
    assert float(value) == pytest.approx(expected_value, abs=TOLERANCE)
    np.testing.assert_allclose(placed[0].numpy(), expected, rtol=0, atol=TOLERANCE)


@given(
    st.lists(
        st.tuples(st.sampled_from([-np.inf, -1e308, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, np.inf]), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_any_scores_in_any_order_even_zeros_of_either_sign(rows: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([s for s, _ in rows]), np.array([p for _, p in rows])
    for big in (1, 300):  # sorted by comparing, and by digits
        s, p = np.tile(scores, big), np.tile(positive, big)
        value, placed = placements(s, p)
        expected, shares = placements_reference(s, p)
        np.testing.assert_allclose(float(value), expected, atol=TOLERANCE)
        np.testing.assert_allclose(placed[0].numpy(), shares, atol=TOLERANCE)


@given(st.integers(0, 2**32), st.integers(2, 600))
def test_the_order_of_rows_is_of_no_matter(seed: int, rows: int) -> None:
    scores, positive = sample(rows, seed, ties=True)
    order = np.random.default_rng(seed).permutation(rows)
    value, placed = placements(scores, positive)
    again, moved = placements(scores[order], positive[order])
    assert torch.equal(value, again)
    assert torch.equal(placed[:, torch.from_numpy(order)], moved)


@pytest.mark.parametrize("rows", [5, 300, 5000])
def test_constant_scores_are_a_half_and_a_single_class_is_undefined(rows: int) -> None:
    positive = np.arange(rows) % 2 == 0
    value, placed = placements(np.full(rows, 3.25), positive)
    assert float(value) == 0.5
    assert (placed == 0.5).all()
    for side in (np.ones(rows, dtype=bool), np.zeros(rows, dtype=bool)):
        value, placed = placements(np.arange(rows), side)
        assert torch.isnan(value).all()
        assert torch.isnan(placed).all()
    assert float(placements(np.arange(rows), np.arange(rows) > 2)[0]) == 1
    assert float(placements(-np.arange(rows), np.arange(rows) > 2)[0]) == 0


def test_many_columns_are_each_column_alone_whether_they_share_the_labels_or_not() -> None:
    rng = np.random.default_rng(1)
    scores, positive = rng.normal(size=(40, 6000)), rng.random((40, 6000)) < 0.4
    values, placed = placements(scores, positive)  # enough work for two threads
    shared, _ = placements(scores, positive[3])
    for c in (0, 3, 39):
        value, alone = placements(scores[c], positive[c])
        assert float(value) == float(values[c])
        assert torch.equal(alone[0], placed[c])
    assert float(shared[3]) == float(values[3])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("replicates", [1, 31, 32, 33, 70])
def test_weighted_aucs_are_scikit_learns(replicates: int, ties: bool) -> None:
    scores, positive = sample(400, ties=ties)
    rng = np.random.default_rng(2)
    clusters, weights = rng.integers(0, 90, 400), rng.integers(0, 5, (replicates, 90))
    found = weighted_auc(np.stack([scores, -scores]), positive, clusters, weights).numpy()
    assert found.shape == (2, replicates)
    for b in {0, replicates // 2, replicates - 1}:
        expected = roc_auc_score(positive, scores, sample_weight=weights[b][clusters])
        assert found[0, b] == pytest.approx(expected, abs=TOLERANCE)
        assert found[1, b] == pytest.approx(1 - expected, abs=TOLERANCE)
        assert found[0, b] == pytest.approx(
            weighted_auc_reference(scores, positive, weights[b][clusters]), abs=TOLERANCE
        )


def test_weights_are_repetitions_up_to_the_largest() -> None:
    scores, positive = sample(50, ties=True)
    weights = np.random.default_rng(3).integers(0, 9, (4, 50))
    found = weighted_auc(scores, positive, np.arange(50), weights)[0]
    for b in range(4):
        again = placements(np.repeat(scores, weights[b]), np.repeat(positive, weights[b]))[0]
        assert float(found[b]) == float(again)
    assert float(weighted_auc(scores, positive, np.arange(50), np.full((1, 50), 65535))[0, 0]) == float(
        placements(scores, positive)[0]
    )


def test_a_replicate_without_positives_is_undefined() -> None:
    scores, positive = sample(20)
    weights = np.stack([positive, ~positive, np.ones(20, dtype=bool)]).astype(int)
    found = weighted_auc(scores, positive, np.arange(20), weights)[0]
    assert torch.isnan(found).tolist() == [True, True, False]


def test_more_pairs_than_doubles_can_count_are_refused() -> None:
    rows = 200_000
    weights = np.full((1, 1), 65535, dtype=np.uint16)
    with pytest.raises(RuntimeError, match="weighted pairs"):
        weighted_auc(np.arange(rows), np.arange(rows) % 2 == 0, np.zeros(rows, dtype=int), weights)


# ---- resampling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, -7, 2**64 - 1])
def test_bootstrap_uses_the_weights_that_the_reference_draws(seed: int) -> None:
    scores, positive = sample(300)
    rng = np.random.default_rng(4)
    clusters, strata = rng.integers(0, 81, 300), rng.integers(-2, 2, 81)  # an odd number: words are shared by strata
    weights = draw_weights(strata, 70, seed)
    found = bootstrap_auc(scores, positive, clusters, strata, 70, seed)
    assert torch.equal(found, weighted_auc(scores, positive, clusters, weights))
    assert torch.equal(found[:, 33:], bootstrap_auc(scores, positive, clusters, strata, 37, seed, first=33))
    for stratum in np.unique(strata):
        mine = strata == stratum
        assert (weights[:, mine].sum(axis=1) == mine.sum()).all()


def test_draws_are_multinomial() -> None:
    # Of 40 clusters in 5,000 replicates: how often each, how often each pair of neighbours together, and how often w times.
    weights = draw_weights(np.zeros(40, dtype=int), 5000, seed=5).astype(float)
    count = weights.sum(axis=0)
    assert chi2.sf(((count - 5000) ** 2 / 5000).sum(), 39) > 1e-4
    covariance = (weights[:, 1:] - 1) * (weights[:, :-1] - 1)
    assert covariance.mean() == pytest.approx(-1 / 40, abs=5 / np.sqrt(covariance.size))
    seen = np.bincount(weights.astype(int).ravel(), minlength=12)[:6]
    expected = binom.pmf(np.arange(6), 40, 1 / 40) * weights.size
    assert (np.abs(seen - expected) < 5 * np.sqrt(expected)).all()


def test_replicates_of_different_seeds_and_numbers_have_nothing_in_common() -> None:
    strata = np.zeros(200, dtype=int)
    one, two = draw_weights(strata, 50, 6).astype(float), draw_weights(strata, 50, 7).astype(float)
    every = np.corrcoef(np.concatenate([one, two]))
    apart = every[np.triu_indices(100, 1)]
    assert np.abs(apart).max() < 6 / np.sqrt(200)
    assert apart.mean() == pytest.approx(0, abs=5 / np.sqrt(200 * len(apart)))


@pytest.mark.slow
def test_threads_and_instruction_sets_give_the_same_bits(lesser_processors: dict[str, Path]) -> None:
    script = """
import hashlib, sys, numpy as np, torch
from pathlib import Path
from fastrace.kernels import _extension
torch.set_num_threads(int(sys.argv[1]))
if len(sys.argv) > 2:
    _extension._loaded = Path(sys.argv[2])
    torch.ops.load_library(sys.argv[2])
from fastrace.kernels.ranking import bootstrap_auc, placements
rng = np.random.default_rng(0)
scores, positive = rng.normal(size=(3, 9001)).round(2), rng.random((3, 9001)) < .2
digest = hashlib.sha256(placements(scores, positive)[1].numpy().tobytes())
owners = rng.integers(0, 4001, 9001)
digest.update(bootstrap_auc(scores, positive, owners, np.arange(4001) % 3, 500, 1).numpy().tobytes())
print(digest.hexdigest())
"""
    runs = [["1"], ["2"], ["5"], ["2", str(lesser_processors["baseline"])]]
    results = {
        subprocess.run([sys.executable, "-c", script, *rest], capture_output=True, text=True, check=True).stdout
        for rest in runs
    }
    assert len(results) == 1
    assert len(results.pop().strip()) == 64


# ---- contract --------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    scores, positive, owners = np.arange(4.0), np.array([True, False] * 2), np.arange(4)
    with pytest.raises(ValueError, match="must not be NaN"):
        placements([0.0, np.nan], [True, False])
    with pytest.raises(ValueError, match="must be bool"):
        placements(scores, owners)
    with pytest.raises(ValueError, match=r"\[C, R\]"):
        placements(scores, positive[:3])
    with pytest.raises(ValueError, match="one for each row"):
        weighted_auc(scores, positive, owners[:3], np.ones((1, 4)))
    with pytest.raises(ValueError, match="clusters must be 0 to 2"):
        weighted_auc(scores, positive, owners, np.ones((1, 3)))
    for wrong in (-1, 65536, 0.5):
        with pytest.raises(ValueError, match="whole numbers"):
            weighted_auc(scores, positive, owners, np.full((1, 4), wrong))
    with pytest.raises(ValueError, match=r"\[B, P\]"):
        weighted_auc(scores, positive, owners, np.ones(4))


def test_no_rows_no_columns_and_no_replicates_are_nothing() -> None:
    value, placed = placements(np.empty((2, 0)), np.empty((2, 0), dtype=bool))
    assert torch.isnan(value).all()
    assert placed.shape == (2, 0)
    value, placed = placements(np.empty((0, 4)), np.array([True, False] * 2))
    assert value.shape == (0,)
    assert placed.shape == (0, 4)
    assert bootstrap_auc(np.arange(4), np.arange(4) > 1, np.arange(4), np.zeros(4), 0, 1).shape == (1, 0)


def test_arrays_that_are_not_contiguous_are_read_as_they_are_meant() -> None:
    scores, positive = sample(301)
    wide = np.stack([scores, scores * 0], axis=1)
    assert torch.equal(placements(wide[::-1, 0], positive[::-1].copy())[0], placements(scores, positive)[0])
    assert torch.equal(placements(torch.from_numpy(wide).T[:1], positive)[0], placements(scores, positive)[0])


def test_the_operations_are_registered_with_torch() -> None:
    scores = torch.randn(2, 30, dtype=torch.float64)
    positive = torch.rand(2, 30) < 0.5
    owners, strata = torch.arange(30) // 2, torch.arange(15) % 2
    weights = torch.from_numpy(draw_weights(strata.numpy(), 5, 0))
    opcheck(torch.ops.fastrace.ranking_placements, (scores, positive))
    opcheck(torch.ops.fastrace.ranking_weighted, (scores, positive, owners, weights))
    opcheck(torch.ops.fastrace.ranking_bootstrap, (scores, positive, owners, strata, 5, 1, 0))
