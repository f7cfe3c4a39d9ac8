"""Resampling of patients: the weights are explicit resampling, and the intervals agree with the analytic ones."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastrace.kernels.ranking import draw_weights
from fastrace.statistics import bootstrap, class_aucs, rank_images
from fastrace.statistics.bootstrap import replicated_aucs


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_bootstrap_is_near_the_logit_interval_and_repeats_from_its_seed(method: str) -> None:
    rng = np.random.default_rng(10)
    scores = np.concatenate([rng.normal(1, 1, 150), rng.normal(0, 1, 150)])[:, None]
    ranking = rank_images(scores, np.repeat([0, 1], 150), np.arange(300) // 2)
    exact = class_aucs(ranking).classes[0]
    drawn = bootstrap(ranking, replicates=1000, seed=2, method=method).classes[0]
    # A tenth of the interval's width: about twice the Monte Carlo error of a 2.5 % quantile of 1000 draws.
    tolerance = 0.1 * (exact.high - exact.low)
    assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=tolerance)
    assert drawn == bootstrap(ranking, replicates=1000, seed=2, method=method).classes[0]
    assert drawn != bootstrap(ranking, replicates=1000, seed=3, method=method).classes[0]
    assert drawn.value == exact.value


def test_replicates_are_explicit_resampling_of_patients_within_classes() -> None:
    rng = np.random.default_rng(11)
    patients = np.repeat(np.arange(9), 2)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])[patients]
    scores = rng.integers(0, 4, (18, 3)).astype(float)
    drawn = replicated_aucs(rank_images(scores, labels, patients), 50, seed=3)
    weights = draw_weights(np.array([0, 0, 0, 1, 1, 1, 1, 2, 2]), 50, seed=3)
    for value, weight in zip(drawn, weights, strict=True):
        rows = np.repeat(np.arange(18), weight[patients])
        for k in range(3):
            assert value[k] == pytest.approx(roc_auc_score(labels[rows] == k, scores[rows, k]), abs=1e-12)


def test_two_thousand_replicates_of_forty_thousand_rows_take_less_than_ten_seconds() -> None:
    # 0.3 s on two idle cores, where drawing weights as a matrix took 9. The bound leaves room for a busy machine.
    rng = np.random.default_rng(12)
    patients = rng.integers(0, 13_000, 40_000)
    labels = patients % 3
    ranking = rank_images(rng.normal(size=(40_000, 3)) + np.eye(3)[labels], labels, patients)
    started = time.process_time()
    found = bootstrap(ranking, replicates=2000)
    assert time.process_time() - started < 10
    assert found.macro.method == "BCa bootstrap of patients"
