"""Where images are read; and networks as readers: batches of one size for a compiled network change nothing but the time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fastrace.audit.document import FeatureSet
from fastrace.audit.partition import Partition
from fastrace.audit.readers import extract
from fastrace.audit.readers.networks import BATCH, Network
from fastrace.degrade.grammar import CLEAN
from fastrace.errors import BackendMissing
from fastrace.models import SMALL
from fastrace.models.build import build
from fastrace.models.weights import Initial


def gpu_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "choose_device", lambda name: torch.device("cpu" if name == "cpu" else "cuda"))
    lacking = {"cpu": None, "cuda": "pip install cupy"}
    monkeypatch.setattr(extract, "missing", lambda device: lacking[device.type])


def test_images_are_read_on_the_cpu_where_a_gpu_lacks_what_it_needs_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert extract.reading_device("cpu") == (torch.device("cpu"), "")
    gpu_without_cupy(monkeypatch)
    device, why = extract.reading_device("auto")
    assert device.type == "cpu"
    assert why == "images are read on the CPU: pip install cupy"
    assert extract.reading_device("cpu") == (torch.device("cpu"), "")


def test_a_gpu_that_was_asked_for_and_lacks_something_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_without_cupy(monkeypatch)
    with pytest.raises(BackendMissing, match="--device cuda: pip install cupy"):
        extract.reading_device("cuda")


@pytest.mark.parametrize("count", [1, BATCH, BATCH + 3])
def test_a_compiled_network_sees_batches_of_one_size_and_gives_the_features_of_the_plain_one(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compiling takes half a minute on a CPU; tests/gpu does it.
    compiled_with: list[dict[str, object]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda _, **options: compiled_with.append(options))
    torch.manual_seed(0)
    model = build(SMALL, 2, Initial("random", "random weights"))
    images = torch.rand(count, 64, 48)
    facts = FeatureSet("small", 0, learned_from_labels=False, evaluation="", sees="", blind_to="")
    found: list[np.ndarray] = []
    sizes: list[int] = []
    for compiled in (False, True):
        network = Network(model, torch.device("cpu"), Partition((), np.zeros(0, dtype=np.int64)), facts, compiled)
        network.measure(images, CLEAN)
        network._features.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
        found.append(network.embed(images, CLEAN))
    np.testing.assert_allclose(*found, atol=1e-5)  # a batch of another size is added up in another order
    assert set(sizes[len(sizes) // 2 :]) == {BATCH}
    assert compiled_with == [{"dynamic": False}]
