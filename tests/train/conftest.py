"""One planted dataset and one run trained on it, shared by the tests that only read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from planted import make_dataset, options_for

from fastrace.dataset import Dataset
from fastrace.train import Options, train


@pytest.fixture(autouse=True)
def sums_in_one_order(one_thread: None) -> None:
    """All tests of this folder run on one thread."""


@pytest.fixture(scope="session")
def planted_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "data"
    make_dataset(path)
    return path


@pytest.fixture
def planted(planted_path: Path) -> Dataset:
    return Dataset.open(planted_path)


@pytest.fixture
def make_options(planted_path: Path, tmp_path: Path) -> Callable[..., Options]:
    """Options for the planted dataset and a fresh run folder, with changes."""

    def make(**changes: object) -> Options:
        return options_for(**{"data": planted_path, "out": tmp_path / "run", **changes})

    return make


@pytest.fixture(scope="session")
def trained(planted_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; do not write into it."""
    out = tmp_path_factory.mktemp("trained") / "run"
    torch.set_num_threads(1)
    train(options_for(planted_path, out))
    return out
