"""Training changes: bounded, per image, and harmless to frequencies in the current recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fastrace.modality import MODALITIES, get_modality
from fastrace.train.augment import Changes, augment, changes, draw
from fastrace.train.options import RECIPES, get_recipe

CURRENT = RECIPES["current"]


def change(n: int = 1, **given: object) -> Changes:
    base = {
        "flip": torch.zeros(n, dtype=torch.bool), "shift": torch.zeros(n, 2, dtype=torch.int64),
        "angle": torch.zeros(n), "zoom": torch.ones(n),
    }  # fmt: skip
    return Changes(**(base | given))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 9, 12)


def test_no_change_is_no_change(images: torch.Tensor) -> None:
    assert torch.equal(augment(CURRENT, images, change(2)), images)


def test_only_the_images_drawn_are_mirrored(images: torch.Tensor) -> None:
    ours = augment(CURRENT, images, change(2, flip=torch.tensor([True, False])))
    assert torch.equal(ours[0], images[0].flip(-1))
    assert torch.equal(ours[1], images[1])


def test_a_shift_moves_whole_pixels_and_fills_with_background(images: torch.Tensor) -> None:
    ours = augment(CURRENT, images, change(2, shift=torch.tensor([[2, 0], [0, -3]])))
    assert torch.equal(ours[0, 2:], images[0, :-2])
    assert (ours[0, :2] == 0).all()
    assert torch.equal(ours[1, :, :-3], images[1, :, 3:])
    assert (ours[1, :, -3:] == 0).all()


@pytest.mark.parametrize("size", [(11, 11), (11, 21)])
def test_a_quarter_turn_is_numpys(size: tuple[int, int]) -> None:
    image = torch.zeros(1, *size)
    middle = size[1] // 2
    image[0, :, middle - 5 : middle + 6] = torch.rand(11, 11)  # a square about the centre, which a turn maps to itself
    paper = replace(RECIPES["paper"], flip=False)
    ours = augment(paper, image, change(angle=torch.tensor([np.pi / 2], dtype=torch.float32)))
    square = image[0, :, middle - 5 : middle + 6].numpy()
    turned = ours[0, :, middle - 5 : middle + 6].numpy()
    assert min(np.abs(turned - np.rot90(square, k)).max() for k in (1, 3)) < 1e-5


def test_zoom_enlarges_about_the_centre() -> None:
    image = torch.zeros(1, 41, 41)
    image[0, 15:26, 15:26] = 1
    paper = replace(RECIPES["paper"], flip=False)
    larger = augment(paper, image, change(zoom=torch.tensor([1.1])))
    assert float(larger.sum()) == pytest.approx(1.21 * 121, rel=0.02)


def test_draws_stay_within_the_recipe_and_depend_on_seed_and_epoch() -> None:
    recipe = RECIPES["paper"]
    drawn = draw(4000, seed=1, epoch=2)
    found = changes(replace(recipe, shift_pixels=3), drawn, torch.device("cpu"))
    assert found.angle.abs().max() <= np.radians(15)
    assert (found.zoom - 1).abs().max() <= 0.1
    assert sorted(found.shift.unique().tolist()) == [-3, -2, -1, 0, 1, 2, 3]
    assert 0.45 < found.flip.float().mean() < 0.55  # standard error .008
    np.testing.assert_array_equal(drawn, draw(4000, seed=1, epoch=2))
    assert not np.array_equal(drawn, draw(4000, seed=1, epoch=3))


@pytest.mark.parametrize("name", MODALITIES)
def test_images_are_mirrored_and_shifted_only_where_the_modality_allows_it(name: str) -> None:
    recipe, known = get_recipe("current", name, "small"), get_modality(name)
    assert (recipe.flip, recipe.shift_pixels) == (known.flip, 4 if known.shift else 0)
    assert get_recipe("paper", name, "resnet34").flip  # the study did


def test_a_side_and_a_place_that_mean_something_are_kept() -> None:
    assert not get_modality("cxr").flip  # the heart is left
    assert not get_modality("mammo").flip  # the crop turns the chest wall to the left
    assert not get_modality("mammo").shift  # and lays it on the edge


def test_the_paper_recipe_has_the_studys_numbers() -> None:
    paper = get_recipe("paper", "cxr", "resnet34")
    assert (paper.optimizer, paper.learning_rate, paper.batch_size, paper.epochs) == ("adam", 1e-3, 256, 100)
    assert (paper.schedule, paper.plateau_factor, paper.plateau_patience) == ("plateau", 0.1, 2)
    assert (paper.watch, paper.patience, paper.least_learning_rate) == ("loss", 4, 1e-5)
    assert (paper.rotate_degrees, paper.zoom) == (15, 0.1)
    assert get_recipe("paper", "hand", "resnet50").learning_rate == 1e-6
