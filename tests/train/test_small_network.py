"""The small network reads a texture that only full resolution shows, and a place that a mean over the image does not show.

And a training that learned nothing says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import texture
from torch import Tensor, nn

from fastrace.console.progress import Progress
from fastrace.errors import RunError
from fastrace.models.small import SmallNet, local_contrast, made_small
from fastrace.train import Options, train
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.learned import learned_nothing

SIDE = 96


def accuracy(images: Tensor, labels: Tensor, steps: int) -> float:
    """Share of the second half of the images that a network trained on the first half names rightly."""
    torch.manual_seed(0)
    network, half = SmallNet(int(labels.max()) + 1), len(images) // 2
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for step in range(steps):
        some = torch.randperm(half, generator=torch.Generator().manual_seed(step))[:16]
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(images[some]), labels[some]))
        optimizer.step()
    network.eval()
    with torch.no_grad():
        return float((network(images[half:]).argmax(dim=1) == labels[half:]).float().mean())


def test_it_takes_any_size_classes_and_channels() -> None:
    for size, classes, channels in (((32, 32), 2, 1), ((61, 47), 5, 1), ((512, 33), 3, 2)):
        network = SmallNet(classes, channels).eval()
        images = torch.rand(2, channels, *size)
        assert network(images).shape == (2, classes)
        assert network.features(images).shape == (2, network.num_features)
    assert sum(parameter.numel() for parameter in SmallNet(2).parameters()) < 350_000


@pytest.mark.parametrize("side", [32, 64, 95, 96, 100, 224, 320, 512])
def test_what_the_coarse_way_reads_is_bounded(side: int) -> None:
    assert 32 <= made_small(torch.rand(1, 1, side, side)).shape[-1] <= 96


def test_local_contrast_is_the_same_under_any_illumination_but_black_stays_black() -> None:
    image = torch.rand(1, 1, 40, 40)
    bright = local_contrast(30 * image + 7)
    torch.testing.assert_close(bright, local_contrast(60 * image - 3), atol=0.02, rtol=0)
    assert local_contrast(torch.zeros(1, 1, 40, 40)).abs().max() == 0


def test_it_learns_a_texture_finer_than_what_the_coarse_way_sees() -> None:
    rng = np.random.default_rng(0)
    labels = torch.arange(120) % 2
    planes = [
        texture(rng, (SIDE, SIDE), 1, 20) + label * 0.5 * texture(rng, (SIDE, SIDE), 30, 45)
        for label in labels.tolist()
    ]
    images = torch.from_numpy(np.stack(planes)).float()[:, None]
    without = [made_small(images[labels == label]).std() for label in (0, 1)]
    assert float(without[1] / without[0]) == pytest.approx(1, abs=0.03)  # little of it is left there
    assert accuracy(images, labels, 60) > 0.9


def test_it_learns_where_something_is() -> None:
    rng = np.random.default_rng(1)
    labels = torch.arange(120) % 2
    planes = []
    for label in labels.tolist():
        plane = texture(rng, (SIDE, SIDE), 1, 20)
        row, column = rng.integers(8, 30, 2)
        mirrored = SIDE - 20 - column if label else column
        plane[row : row + 12, mirrored : mirrored + 12] += 2  # the same thing, left or right
        planes.append(plane)
    images = torch.from_numpy(np.stack(planes)).float()[:, None]
    assert accuracy(images, labels, 60) > 0.9


def test_small_images_are_trained_on_one_thread_and_the_others_are_given_back(
    make_options: Callable[..., Options],
) -> None:
    seen = set()

    class Threads(Progress):
        def begin(self, what: str, total: int, unit: str = "batches") -> None:
            if what.startswith("epoch"):
                seen.add(torch.get_num_threads())

    torch.set_num_threads(2)
    train(make_options(recipe=replace(make_options().recipe, epochs=1)), progress=Threads())
    assert (seen, torch.get_num_threads()) == ({1}, 2)


# ---- learned nothing


@pytest.mark.parametrize(
    ("low", "loss", "nothing"),
    [
        (0.45, 0.70, True),  # chance, and no better than guessing
        (0.45, 1.90, True),  # the training patients by heart
        (0.55, 0.90, False),  # ranks rightly, though too sure of itself
        (0.45, 0.50, False),  # few validation patients: a wide interval, but sure and right
        (math.nan, 0.70, True),
    ],
)
def test_the_rule(low: float, loss: float, nothing: bool) -> None:
    assert learned_nothing(low, loss, math.log(2)) is nothing


def test_the_checkpoint_of_another_network_is_refused(trained: Path) -> None:
    checkpoint = Checkpoint.load(trained)
    old = replace(checkpoint, weights={f"features.{key}": value for key, value in checkpoint.weights.items()})
    with pytest.raises(RunError, match=r"its weights are not those of this version's network; train again"):
        old.pipeline(torch.device("cpu"))
