"""The experiments as data: complete, distinct, possible at every size, with numbers beside them only where they belong."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from fastrace.audit.experiments import experiments
from fastrace.audit.frequencies import largest_radius
from fastrace.degrade.grammar import CLEAN, Filter, Resolution
from fastrace.modality import MODALITIES

SIZES = [(16, 16), (64, 64), (128, 128), (224, 224), (256, 256), (320, 320), (512, 256), (224, 161), (512, 512)]


@pytest.mark.parametrize("size", SIZES)
def test_names_are_unique_and_a1_comes_first(size: tuple[int, int]) -> None:
    every = experiments("cxr", size)
    names = [one.name for one in every]
    assert len(set(names)) == len(names)
    assert (every[0].id, every[0].question, every[0].family, every[0].train) == ("A1", "Q1", "primary", CLEAN)
    assert [one.id for one in every if one.family == "primary"] == ["A1"]
    assert {one.question for one in every[1:]} == {"Q2"}


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_run_beyond_the_largest_radius_or_the_images_own_resolution(size: tuple[int, int]) -> None:
    top = largest_radius(size)
    for one in experiments("mammo", size):
        one.test.check(size, None)
        for step in (*one.train.steps, *one.test.steps):
            if isinstance(step, Filter):
                assert step.low < top
                assert step.kind == "highpass" or step.high <= top
                assert all(edge <= top for edge in one.x_cycles)
            if isinstance(step, Resolution):
                assert step.side_pixels < max(size)


def test_at_the_studys_size_its_whole_grid_is_there() -> None:
    counts = Counter(one.id for one in experiments("cxr", (224, 224)))
    assert counts["A1"] == 1
    assert counts["C1a"] == counts["C1b"] == 9  # 1 to 150; 200 lies beyond the corner, at 158
    assert counts["C1c"] == counts["C1d"] == 21  # pairs of 10, 25, 50, 75, 100, 125, 150
    assert counts["C2b"] == 6


@pytest.mark.parametrize("size", SIZES)
def test_the_scan_covers_the_plane_without_gap_or_overlap(size: tuple[int, int]) -> None:
    scan = [one.x_cycles for one in experiments("any", size) if one.id == "C1s"]
    assert scan[0][0] == 0
    assert scan[-1][1] == largest_radius(size)
    assert all(one[1] == other[0] for one, other in pairwise(scan))
    assert all(low < high for low, high in scan)


@pytest.mark.parametrize("size", SIZES)
def test_the_mean_is_in_no_octave(size: tuple[int, int]) -> None:
    octaves = [one for one in experiments("any", size) if one.id == "C1o"]
    assert octaves
    assert all(one.x_cycles[0] >= 1 for one in octaves)


def test_modes_are_never_mixed_up() -> None:
    for one in experiments("any", (64, 64)):
        assert one.mode == ("train+test" if one.train == one.test else "test")
        assert ("(test only)" in one.name) == (one.mode == "test")


@pytest.mark.parametrize("modality", MODALITIES)
def test_published_numbers_stand_beside_their_own_modality_alone(modality: str) -> None:
    with_numbers = {one.id for one in experiments(modality, (320, 320)) if one.paper or one.released_code}
    expected = {"cxr": {"A1", "C1a", "C1b", "C1d", "C2a", "C2b"}, "any": set()}
    assert with_numbers == expected.get(modality, {"A1"})
    for one in experiments(modality, (320, 320)):
        for known in (one.paper, one.released_code):
            if known is not None:
                assert known.text
                assert known.source
                assert known.value is None or 0.5 <= known.value <= 1
