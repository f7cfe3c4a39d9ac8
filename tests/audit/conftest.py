"""Datasets and finished audits shared by the tests that only read them."""

from __future__ import annotations

import pytest
from audit_archives import HOSTILE, Finished, finish
from planted import dataset_of_groups

from fastrace.dataset import Dataset


@pytest.fixture(autouse=True)
def sums_in_one_order(one_thread: None) -> None:
    """All tests of this folder run on one thread."""


@pytest.fixture(scope="session")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """50 patients of each class; B carries a texture at 10 to 20 cycles/image."""
    folder = tmp_path_factory.mktemp("leak")
    dataset = dataset_of_groups(folder / "data", groups={"A": 50, "B": 50}, strength=0.02)
    return finish(folder, dataset, permutations=299)  # 99, and ten times as many, are too few for a grid of 80


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same without the texture."""
    folder = tmp_path_factory.mktemp("plain")
    return finish(folder, dataset_of_groups(folder / "data", groups={"A": 50, "B": 50}, strength=0.0))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """24 x 24 pixels, 40 patients: for audits that are made many times."""
    folder = tmp_path_factory.mktemp("tiny")
    return dataset_of_groups(folder / "data", groups={"A": 20, "B": 20}, size=(24, 24))


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Three classes and one of 7 patients, small reasons, sites, windows and rejections: much that must be suppressed."""
    folder = tmp_path_factory.mktemp("crowded")
    groups = {HOSTILE: 40, "B, of two words": 36, "C": 32, "rare": 7}
    n = sum(groups.values())
    sites = ["north"] * 5 + [("south", "west")[patient % 2] for patient in range(5, n)]
    dataset = dataset_of_groups(
        folder / "data",
        groups=groups,
        size=(32, 32),
        target="primary race",
        labels={"site": sites},
        columns={
            "voi_source": ["lut"] * 4 + ["window"] * (n - 4),
            "view": ["AP"] * 6 + ["PA"] * (n - 6),
        },
        rejected={"truncated": 3, "color": 40},
    )
    return finish(folder, dataset, target="primary race")
