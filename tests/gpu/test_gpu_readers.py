"""The readers of an audit on a GPU: the features of the CPU, and a whole audit with its AUCs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastrace import api
from fastrace.audit.document import FeatureSet
from fastrace.audit.frequencies import ring_edges
from fastrace.audit.partition import Partition
from fastrace.audit.readers.batch_sweep import BatchSweep
from fastrace.audit.readers.networks import BATCH, Network
from fastrace.audit.readers.patches import FILTERS, FINE, draw_bank
from fastrace.audit.readers.rings import PIXELS
from fastrace.audit.readers.sweep import Sweep
from fastrace.degrade.grammar import CLEAN
from fastrace.kernels.patches import CUDA_TOLERANCE, scale
from fastrace.models import SMALL
from fastrace.models.build import build
from fastrace.models.weights import Initial

pytestmark = pytest.mark.gpu
pytest.importorskip("triton")


def images(count: int, *size: int) -> torch.Tensor:
    drawn = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((count, *size), dtype=np.float32)
    drawn[0, : size[0] // 2] = 0
    return torch.from_numpy(drawn)


@pytest.mark.parametrize("size", [(16, 16), (31, 47), (97, 61), (224, 224)])
def test_rings_and_values_are_those_of_the_cpu(size: tuple[int, int]) -> None:
    batch = images(5, *size)
    every = np.ones(len(ring_edges(size)) - 1, dtype=bool)
    keeps = [every, np.arange(len(every)) % 3 == 0]
    expected = Sweep(size, keeps, keeps).with_coarse(batch)
    got = BatchSweep(size, keeps, keeps).with_coarse(batch.cuda())
    # As in tests/audit/test_audit_features.py, with the transforms of another library.
    np.testing.assert_allclose(got[0], expected[0], atol=5e-3)
    np.testing.assert_allclose(got[1][:, :, :PIXELS], expected[1][:, :, :PIXELS], atol=5e-6)
    pixels = size[0] * size[1]
    np.testing.assert_allclose(got[1][:, :, PIXELS:] ** 2, expected[1][:, :, PIXELS:] ** 2, atol=3.5 / pixels)
    torch.testing.assert_close(got[2].cpu(), expected[2], atol=5e-6, rtol=0)
    again = BatchSweep(size, keeps, keeps).with_coarse(batch.cuda())
    assert got[0].tobytes() == again[0].tobytes()
    assert got[1].tobytes() == again[1].tobytes()


def test_patches_of_a_bank_are_those_of_the_cpu() -> None:
    batch = images(6, 61, 50)
    bank = draw_bank(batch, FILTERS[FINE], np.random.default_rng(1))
    allowed = 2 * CUDA_TOLERANCE * scale(bank.filters, 1.0)
    np.testing.assert_allclose(bank(batch.cuda()), bank(batch), rtol=0, atol=allowed)


def test_a_compiled_network_gives_the_features_of_the_cpu() -> None:
    torch.manual_seed(0)
    model, batch = build(SMALL, 2, Initial("random", "random weights")), images(BATCH + 5, 64, 48)
    facts = FeatureSet("small", 0, learned_from_labels=False, evaluation="", sees="", blind_to="")
    found = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        partition = Partition((), np.zeros(0, dtype=np.int64))
        network = Network(model.to(device), device, partition, facts, compiled=device.type == "cuda")
        network.measure(batch, CLEAN)
        found.append(network.embed(batch.to(device), CLEAN))
    # bfloat16 keeps 8 bits, in each of the layers.
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=0.05 * np.abs(found[0]).max())


def test_a_whole_audit_says_what_it_says_on_the_cpu(tmp_path: Path) -> None:
    labels = api.phantom(tmp_path / "archive", patients=120, size=(256, 192))
    made = api.preprocess([tmp_path / "archive"], tmp_path / "data", modality="mammo", labels=labels, size=(64, 64))
    found = {
        device: api.audit(made.data, tmp_path / device, target="group", readers=(), only=("Q1",), device=device)
        for device in ("cpu", "cuda")
    }
    assert found["cuda"].environment["device"] != found["cpu"].environment["device"]
    assert [one.status for one in found["cuda"].controls] == [one.status for one in found["cpu"].controls]
    for one, other in zip(found["cuda"].cells, found["cpu"].cells, strict=True):
        assert (one.id, one.finding) == (other.id, other.finding)
        # A feature that differs in its fourth digit may exchange two patients of neighbouring ranks, a few of 3,600 pairs.
        assert one.estimate.value == pytest.approx(other.estimate.value, abs=0.005)
