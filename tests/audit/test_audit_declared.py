"""What is tested is written before anything is fitted, and the result says which list it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from audit_archives import audited, fewer_permutations, request
from planted import dataset_of_groups
from scipy.stats import binom

from fastrace.audit.controls.permuted_labels import FAILS_BELOW, confirmed
from fastrace.audit.correction import primary_permutations, smallest_level
from fastrace.audit.declared import declared, digest_of
from fastrace.audit.engines import Permuted
from fastrace.audit.partition import Ints
from fastrace.audit.request import PERMUTATIONS
from fastrace.audit.subjects import select_subjects
from fastrace.dataset import Dataset


def test_the_tests_are_declared_and_the_result_names_their_digest(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 40, "B": 40}, size=(16, 16)).path
    asked = request(data, tmp_path / "audit", only=("C1a",))
    with fewer_permutations(99):
        found = audited(asked)
    tests = json.loads((tmp_path / "audit" / "run.json").read_text())["tests"]
    assert tests.pop("digest") == found["tests"] == digest_of(tests)
    assert tests["primary"] == ["A1/none"]
    tested = {cell["id"].split("/built-in")[0] for cell in found["cells"] if cell["family"] == "exploratory"}
    assert {name for name in tests["exploratory, built-in"] if not name.startswith("A1f")} == {
        name for name in tested if not name.startswith("A1f")
    }
    assert tests["permutations"]["primary"] == primary_permutations(1, 99) == 2000
    assert (tests["level"], tests["classes"], tests["patients"]) == (0.01, ["A", "B"], 80)
    subjects = select_subjects(Dataset.open(data), "group")
    assert digest_of(declared(asked, subjects, ())) != found["tests"]


def test_primary_tests_have_twenty_permutations_of_their_level_whatever_the_results() -> None:
    """With 999 and five readers a p of .001 was a finding for 37 of 100 seeds."""
    for tests in (1, 2, 5, 10):
        count = primary_permutations(tests, PERMUTATIONS)
        level = smallest_level("primary", tests)
        assert count == pytest.approx(20 / level)
        # Found where at most 18 permutations reach the AUC; with p = level / 2, ten are expected.
        assert binom.cdf(18, count, level / 2) > 0.99
    assert primary_permutations(1, 50_000) == 50_000


class Biased:
    """An engine whose permuted AUCs have a mean, whatever is permuted: of the first and of later ones."""

    def __init__(self, first: float, later: float) -> None:
        self.means = first, later

    def permuted(self, labels: Ints, n_classes: int, count: int, seed: int, first: int = 0) -> Permuted:
        aucs = self.means[first > 0] + 0.05 * np.random.default_rng(seed + first).standard_normal(count)
        return Permuted(aucs, aucs)


@pytest.mark.parametrize(
    ("first", "later", "failed", "count"), [(0.5, 0.7, False, 100), (0.53, 0.5, False, 1000), (0.53, 0.52, True, 1000)]
)
def test_shuffled_labels_fail_when_they_fail_again(first: float, later: float, failed: bool, count: int) -> None:
    # The first hundred fail by chance in one audit of a thousand.
    draws, p = confirmed(Biased(first, later), np.zeros(10, dtype=np.int64), 2, 0)  # type: ignore[arg-type]
    assert len(draws) == count
    assert (p < FAILS_BELOW) == failed
