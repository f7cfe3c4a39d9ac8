"""Random patches as features: drawn without labels, the same again from the seed, and by the kernel's formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastrace.audit.frequencies import ring_edges
from fastrace.audit.readers.patches import (
    CELLS,
    GRIDS,
    SIDE,
    THRESHOLD,
    coarse,
    coarse_size,
    columns,
    draw_bank,
)
from fastrace.audit.readers.sweep import Sweep
from fastrace.kernels.bandpass import Filter, bandpass_sweep
from fastrace.kernels.patches import patches_reference


def images_of(n: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, height, width), dtype=np.float32))


def test_a_bank_is_drawn_again_from_the_seed_and_the_images_alone() -> None:
    images = images_of(5, 20, 24)
    one, again, other = (draw_bank(images, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.filters, again.filters)
    assert one.epsilon == again.epsilon
    assert not torch.equal(one.filters, other.filters)


def test_features_are_those_of_the_kernel_with_the_filters_of_the_bank() -> None:
    images = images_of(4, 30, 21)
    bank = draw_bank(images, 7, np.random.default_rng(0))
    expected = patches_reference(images, bank.filters, THRESHOLD, bank.epsilon, GRIDS)
    np.testing.assert_allclose(bank(images), np.asarray(expected), atol=1e-5)


def test_fewer_filters_are_the_first_columns_of_more() -> None:
    images = images_of(3, 25, 25)
    bank = draw_bank(images, 12, np.random.default_rng(0))
    chosen = columns(5, 12)
    assert chosen.sum() == 2 * 5 * CELLS
    np.testing.assert_array_equal(bank(images)[:, chosen], bank.first(5)(images))


@pytest.mark.parametrize("size", [(224, 224), (97, 211), (30, 30), (512, 20), (50, 50)])
def test_the_coarse_scale_has_50_pixels_on_the_longer_side_or_those_there_are(size: tuple[int, int]) -> None:
    small = coarse_size(size)
    assert max(small) == min(SIDE, max(size))
    assert small[0] / small[1] == pytest.approx(size[0] / size[1], rel=0.05) or min(small) == 6
    image = images_of(2, *size)
    assert coarse(image).shape == (2, *small)
    if max(size) <= SIDE:
        assert torch.equal(coarse(image), image)


def test_coarse_sums_of_rings_are_the_coarse_image() -> None:
    rings = images_of(6, 101, 77)
    np.testing.assert_allclose(coarse(rings).sum(dim=0), coarse(rings.sum(dim=0)), rtol=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 1.0, 100.0])
def test_the_scale_of_the_grey_values_does_not_matter(factor: float) -> None:
    # High-pass filtered images have a hundredth of the contrast: they are read as well.
    images = images_of(6, 40, 40)
    one, other = (draw_bank(x, 6, np.random.default_rng(3))(x) for x in (images, images * factor))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_blank_images_give_features_that_say_nothing(value: float) -> None:
    images = torch.full((4, 30, 30), value)
    bank = draw_bank(images, 5, np.random.default_rng(0))
    found = bank(images)
    assert np.isfinite(found).all()
    assert (found == found[0]).all()


def test_small_images_are_read_by_smaller_patches() -> None:
    images = images_of(10, 4, 5)
    bank = draw_bank(images, 3, np.random.default_rng(0))
    assert bank.filters.shape == (3, 4, 4)
    assert bank(images).shape == (10, 2 * 3 * CELLS)


@pytest.mark.parametrize("size", [(64, 64), (97, 61), (30, 44)])
def test_filtered_images_at_the_coarse_scale_are_those_of_the_rings_that_a_filter_keeps(size: tuple[int, int]) -> None:
    images = images_of(3, *size)
    rings = len(ring_edges(size)) - 1
    everything = np.ones(rings, dtype=bool)
    low = np.arange(rings) < rings // 2
    _, _, small = Sweep(size, [everything], [everything, low]).with_coarse(images)
    assert small.shape == (3, 2, *coarse_size(size))
    np.testing.assert_allclose(small[:, 0], coarse(images), atol=2e-6)
    filtered = bandpass_sweep(images, [Filter(0.0, ring_edges(size)[rings // 2])])[:, 0]
    np.testing.assert_allclose(small[:, 1], coarse(filtered), atol=2e-6)
