"""The default intervals contain the true AUC; the whole grid is in docs/coverage.md, here a slice of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from fastrace.bench.studies.coverage import GRID, Cell, cover, cover_macro, false_findings

SIMULATIONS = 300


def held(share: float) -> bool:
    """Within what 300 simulations of an interval that covers 93 to 97 % give in 999 of 1000 cases (exact binomial)."""
    low, high = binom.ppf([0.0005, 0.9995], SIMULATIONS, [0.93, 0.97])
    return bool(low <= round(share * SIMULATIONS) <= high)


@pytest.mark.parametrize(
    "cell",
    [Cell(50, 50, 0.5, 2, 0.3), Cell(50, 50, 0.95, 4, 0.7), Cell(500, 500, 0.75, 1, 0.0), Cell(50, 150, 0.9)],
    ids=str,
)
def test_the_default_interval_covers(cell: Cell) -> None:
    found = cover(cell, SIMULATIONS, seed=1)
    assert held(found["patient"])
    assert held(found.get("image", 0.95))


def test_the_interval_of_the_macro_mean_covers() -> None:
    assert held(cover_macro((50, 50, 50), 0.75, SIMULATIONS, seed=1)[0])


def test_pseudo_patients_mend_what_plain_intervals_of_a_rare_class_miss() -> None:
    found = cover(Cell(30, 1000, 0.95), SIMULATIONS, seed=1)
    assert found["plain"] < 0.92 < found["patient"]
    assert found["approximate"] > 0.5


def test_the_grid_is_the_requested_one() -> None:
    assert len(set(GRID)) == 72


@pytest.mark.parametrize(("auc", "correlation", "images"), [(0.75, 0.7, 3), (0.95, 0.0, 4)])
def test_simulated_patients_have_the_stated_auc(auc: float, correlation: float, images: int) -> None:
    cell = Cell(20_000, 20_000, auc, images, correlation, spread=2.0)
    scores, labels, patients = cell.draw(np.random.default_rng(0))
    means = np.bincount(patients, scores[:, 0]) / images
    rng = np.random.default_rng(1)
    for values, truth in ((means.reshape(2, -1), auc), (scores[:, 0].reshape(2, -1), cell.image_auc)):
        pairs = rng.permutation(values[0]) > rng.permutation(values[1])
        assert pairs.mean() == pytest.approx(truth, abs=5 * 0.5 / 200)  # 20,000 pairs or more
    assert (labels == (patients >= 20_000)).all()


def test_shuffling_under_fixed_scores_is_right_for_other_patients_and_wrong_for_cross_fitted_ones() -> None:
    low, high = binom.ppf([0.0005, 0.9995], SIMULATIONS, 0.05)
    assert low <= false_findings(50, SIMULATIONS, seed=1, split=True)[0] * SIMULATIONS <= high
    assert false_findings(50, SIMULATIONS, seed=1, split=False)[0] * SIMULATIONS > high
