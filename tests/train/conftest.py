"""One planted dataset and one run trained on it, shared by the tests that only read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from planted import make_dataset, options_for

from fastrace.dataset import Dataset
from fastrace.train import Options, train


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in one order, whatever machine the tests run on."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def planted_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "data"
    make_dataset(path)
    return path


@pytest.fixture
def planted(planted_path: Path) -> Dataset:
    return Dataset.open(planted_path)


@pytest.fixture
def ask(planted_path: Path, tmp_path: Path) -> Callable[..., Options]:
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
