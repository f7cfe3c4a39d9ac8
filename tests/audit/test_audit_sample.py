"""Large archives: what is read of some patients alone is read of them as it would be of all, and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from audit_archives import audited, fewer_permutations, request
from planted import dataset_of_groups

from fastrace.audit.readers import sample as module
from fastrace.audit.readers.sample import Sample


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OTHER", 35)
    monkeypatch.setattr(module, "NETWORKS", 32)


@pytest.mark.usefixtures("few")
def test_some_of_every_class_are_drawn_and_those_of_networks_are_among_them() -> None:
    labels = (np.arange(300) % 7 == 0).astype(np.int64)  # 43 of 300
    one, same, other = (Sample.of(labels, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.other, same.other)
    assert not np.array_equal(one.other, other.other)
    assert list(np.bincount(labels[one.other])) == [35, 35]
    assert list(np.bincount(labels[one.networks])) == [32, 32]
    assert np.isin(one.networks, one.other).all()
    every = Sample.of(np.arange(50) % 2, 0)
    np.testing.assert_array_equal(every.other, np.arange(50))
    assert every.said(every.other, "noisy") == ""
    assert one.said(one.other, "noisy") == "; noisy images of 70 patients, drawn from the seed"


def test_of_several_classes_patients_are_drawn_in_their_proportions(monkeypatch: pytest.MonkeyPatch) -> None:
    # The AUC of a class against the rest depends on who the rest are.
    for name, value in {"OTHER": 400, "NETWORKS": 100, "LEAST": 30}.items():
        monkeypatch.setattr(module, name, value)
    labels = np.repeat([0, 1, 2], [1600, 380, 20])
    one = Sample.of(labels, 0)
    assert list(np.bincount(labels[one.other])) == [640, 152, 20]
    assert list(np.bincount(labels[one.networks])) == [160, 38, 20]
    assert np.isin(one.networks, one.other).all()


def read(images: torch.Tensor) -> dict[str, torch.Tensor]:  # [N, 1, 24, 24]
    """A reader: means of quarters."""
    return {"features": torch.nn.functional.avg_pool2d(images, 12).flatten(1)}


@pytest.mark.usefixtures("few")
def test_an_audit_of_many_reads_some_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 60, "B": 40}, size=(24, 24)).path
    wanted = {"only": ("C1a", "C2a", "C2b"), "readers": (f"{__name__}:read",)}
    with fewer_permutations(99):
        some = audited(request(data, tmp_path / "some", **wanted))
        monkeypatch.setattr(module, "OTHER", 1000)
        monkeypatch.setattr(module, "NETWORKS", 1000)
        every = audited(request(data, tmp_path / "every", **wanted))
    patients = {cell["id"]: cell["estimate"]["n_patients"] for cell in some["cells"]}
    sampled = [cell for cell in some["cells"] if cell["experiment"] == "A1s"]
    assert [cell["estimate"]["n_patients"] for cell in sampled] == [70, 64]
    for cell in (cell for cell in some["cells"] if cell["experiment"] in ("A1r", "A1s")):
        assert (cell["family"], cell["p"], cell["p_adjusted"], cell["finding"]) == ("reference", None, None, None)
    assert not any(cell["experiment"] == "A1s" for cell in every["cells"])
    common = [cell for cell in some["cells"] if cell not in sampled]
    for cell, whole in zip(common, every["cells"], strict=True):
        assert cell["id"] == whole["id"]
        assert whole["estimate"]["n_patients"] == 100
        if cell["experiment"] in ("A1", "A1f", "A1r") or (
            cell["experiment"] == "C1a" and cell["features"] == "built-in"
        ):
            assert cell["estimate"] == whole["estimate"]
        else:
            assert cell["estimate"]["n_patients"] == (70 if cell["features"] == "built-in" else 64)
            assert cell["estimate"]["value"] is not None
    assert len(set(patients.values())) == 3
    said = [one["evaluation"] for one in some["features"]]
    assert "coarser and noisy images of 70 patients" in said[0]
    assert "degraded images of 64 patients" in said[1]
    assert not any("images of" in one["evaluation"] for one in every["features"])
