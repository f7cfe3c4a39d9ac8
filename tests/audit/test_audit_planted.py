"""The positive control: the planted texture is what it claims to be, and an audit that does not find it draws no conclusion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from audit_archives import Finished, audited, fewer_permutations, request
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import dataset_of_groups, scene

import fastrace.audit.controls.planted as module
from fastrace.audit.controls.planted import LEAST_OVERLAP, STRENGTH, draw_band, plant
from fastrace.audit.subjects import select_subjects
from fastrace.dataset import Dataset

SIZES = [(64, 64), (63, 65), (48, 80), (128, 128)]


def in_band(x: np.ndarray, band: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Power of each coefficient, and which lie in the band."""
    power = np.abs(np.fft.fft2(x.astype(np.float64))) ** 2
    radius = max(x.shape) * np.hypot(np.fft.fftfreq(x.shape[0])[:, None], np.fft.fftfreq(x.shape[1])[None])
    return power, (radius >= band[0] - 1e-9) & (radius < band[1] - 1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("band", [(6.0, 12.0), (10.3, 23.9)])
def test_the_texture_stays_in_its_band_with_the_power_that_was_requested(
    size: tuple[int, int], band: tuple[float, float]
) -> None:
    image = scene(np.random.default_rng(0), size).astype(np.float32)
    added = plant(image, band, np.random.default_rng(1)).astype(np.float64) - image
    power, inside = in_band(added, band)
    assert power[~inside].sum() < 1e-6 * power.sum()
    own, _ = in_band(image - image.mean(), band)
    # float32 images near .5: the texture of about .05 is rounded to 6e-8.
    assert np.sqrt(power[inside].sum() / own[inside].sum()) == pytest.approx(STRENGTH, rel=1e-4)


def test_it_follows_the_contrast_of_the_image_itself() -> None:
    image = scene(np.random.default_rng(0), (128, 128)).astype(np.float32)
    image[:, 64:] = 0.5 + 0.05 * (image[:, 64:] - 0.5)
    added = plant(image, (10, 20), np.random.default_rng(1)) - image
    assert added[:, 10:54].std() > 3 * added[:, 84:110].std()  # away from where the filter rings


def test_it_depends_on_the_seed_alone() -> None:
    image = scene(np.random.default_rng(0), (64, 64)).astype(np.float32)
    one, again, other = (plant(image, (8, 16), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes()
    assert abs(np.corrcoef((one - image).ravel(), (other - image).ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_nothing_can_be_planted_where_nothing_is(value: float) -> None:
    image = np.full((32, 32), value, np.float32)
    np.testing.assert_allclose(plant(image, (6, 12), np.random.default_rng(0)), image, atol=1e-6)


@settings(max_examples=200)
@given(st.sampled_from([64, 96, 128, 224, 320]), st.integers(0, 10**6))
def test_bands_are_drawn_from_the_seed_one_to_one_and_a_half_octaves_wide(side: int, seed: int) -> None:
    low, high = draw_band((side, side // 2), seed)
    assert (low, high) == draw_band((side, side // 2), seed)
    assert 6 <= low <= side / 6 + 0.1
    assert high <= side / 2
    assert 1.98 < high / low < 2.86  # edges are rounded to a tenth


@pytest.mark.parametrize("side", [16, 24, 32])
def test_bands_of_small_images_are_as_wide_as_they_claim(side: int) -> None:
    for seed in range(50):
        low, high = draw_band((side, side), seed)
        assert high / low > 1.98, (side, seed)


def test_half_of_every_class_gets_it_whatever_the_batch(leak: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = select_subjects(leak.dataset, "group")
    chosen = module._groups(subjects.labels, 0)
    for k in (0, 1):
        assert chosen[subjects.labels == k].sum() == 25
    assert not np.array_equal(chosen, module._groups(subjects.labels, 1))


def test_pieces_of_another_size_give_the_same_control(
    tmp_path: Path, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls = []
    for pixels in (1 << 23, 24 * 24 * 7):
        monkeypatch.setattr("fastrace.audit.readers.tables.PIXELS_AT_ONCE", pixels)
        with fewer_permutations(99):
            found = audited(request(tiny.path, tmp_path / str(pixels), only=("Q1",)))
        controls.append(json.dumps(found["controls"], sort_keys=True))
    assert controls[0] == controls[1]


def control(document: dict, id: str) -> dict:
    return next(one for one in document["controls"] if one["id"] == id)


def test_it_is_found_in_an_archive_without_a_leak(plain: Finished) -> None:
    found = control(plain.document, "planted")
    assert found["status"] == "ok"
    assert found["numbers"]["overlap"] >= LEAST_OVERLAP
    assert found["numbers"]["planted"] == list(draw_band((64, 64), 0))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_found_also_where_the_classes_differ_in_its_band(tmp_path: Path, seed: int) -> None:
    # What is to be found must not make the control fail: every archive with a strong leak would end in "no conclusion".
    data = dataset_of_groups(tmp_path / "data", groups={"A": 50, "B": 50}, strength=0.05, seed=seed)
    found = audited(request(data.path, tmp_path / "audit", only=("Q1",)))
    assert control(found, "planted")["status"] == "ok", control(found, "planted")["sentence"]


def test_an_audit_that_misses_it_draws_no_conclusion_and_states_that_first(
    tmp_path: Path, leak: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STRENGTH", 1e-4)
    # The strength is a default of a function, bound when it was defined.
    monkeypatch.setattr(module.plant, "__defaults__", (1e-4,))
    with fewer_permutations(99):
        found = audited(request(leak.dataset.path, tmp_path / "audit", only=("Q1",)))
    assert control(found, "planted")["status"] == "failed"
    assert found["questions"][0]["mark"] == "no conclusion"
    assert found["questions"][0]["sentence"].startswith("no conclusion")
    assert {one["mark"] for one in found["questions"]} <= {"no conclusion", "not run"}
    from fastrace.audit.document import read
    from fastrace.cli.audit import text

    printed = text(read(tmp_path / "audit"), tmp_path)
    assert "A CONTROL FAILED" in printed
    assert printed.index("A CONTROL FAILED") < printed.index("Q1")
