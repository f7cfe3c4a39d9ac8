"""Mild changes of the training images, drawn per image from (seed, epoch): the same on every device and batch size.

They come before the degradation, so that a filtered image stays exactly filtered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from fastrace.train.options import TrainingRecipe


@dataclass(frozen=True)
class Changes:
    """One row per image.

    Attributes
    ----------
    flip : Tensor [N] bool
    shift : Tensor [N, 2] int64
        Rows down, columns right; what leaves is lost, what enters is background 0.
    angle, zoom : Tensor [N] float32
        Radians; relative size.
    """

    flip: Tensor
    shift: Tensor
    angle: Tensor
    zoom: Tensor

    def take(self, first: int, last: int) -> Changes:
        """Those of rows ``first`` to ``last - 1``."""
        return Changes(self.flip[first:last], self.shift[first:last], self.angle[first:last], self.zoom[first:last])


def draw(n: int, seed: int, epoch: int) -> np.ndarray:  # [n, 5] float64 in [-1, 1)
    """Random numbers of an epoch for every image of a cohort."""
    return np.random.default_rng([seed, epoch, 1]).uniform(-1, 1, (n, 5))


def changes(recipe: TrainingRecipe, drawn: np.ndarray, device: torch.device) -> Changes:
    """Scale the rows of `draw` that belong to some images."""
    reach = recipe.shift_pixels
    whole = np.clip(np.floor((drawn[:, 1:3] + 1) / 2 * (2 * reach + 1)).astype(np.int64) - reach, -reach, reach)
    return Changes(
        torch.from_numpy((drawn[:, 0] < 0) & recipe.flip).to(device),
        torch.from_numpy(whole).to(device),
        torch.from_numpy(np.radians(recipe.rotate_degrees) * drawn[:, 3]).float().to(device),
        torch.from_numpy(1 + recipe.zoom * drawn[:, 4]).float().to(device),
    )


def augment(recipe: TrainingRecipe, images: Tensor, change: Changes) -> Tensor:  # [N, H, W] float32
    """Mirror, shift, then rotate and zoom about the centre; steps that the recipe leaves out cost nothing."""
    if recipe.flip:
        images = torch.where(change.flip[:, None, None], images.flip(-1), images)
    if recipe.shift_pixels:
        images = _shift(images, change.shift, recipe.shift_pixels)
    if recipe.rotate_degrees or recipe.zoom:
        images = _rotate(images, change.angle, change.zoom)
    return images


def _shift(images: Tensor, by: Tensor, reach: int) -> Tensor:
    """Pick each image's window from a frame of background ``reach`` pixels wide."""
    height, width = images.shape[-2:]
    windows = functional.pad(images, (reach, reach, reach, reach)).unfold(1, height, 1).unfold(2, width, 1)
    return windows[torch.arange(len(images), device=images.device), reach - by[:, 0], reach - by[:, 1]]


def _rotate(images: Tensor, angle: Tensor, zoom: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    zero = torch.zeros_like(angle)
    # grid_sample's coordinates run from -1 to 1 on both axes, so a rotation of pixels carries the aspect ratio.
    matrix = torch.stack(
        [
            torch.stack([cosine, -sine * (height / width), zero], dim=1),
            torch.stack([sine * (width / height), cosine, zero], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, [len(images), 1, height, width], align_corners=False)
    return functional.grid_sample(images[:, None], grid, mode="bilinear", align_corners=False)[:, 0]
