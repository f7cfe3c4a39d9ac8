"""Random patches: what is where in an image, read without labels, weights or a download.

Patches are cut at random from the archive's own images, normalised for contrast and whitened; some of them are the filters
(Coates and Ng, "The importance of encoding versus training with sparse coding and vector quantization", ICML 2011). The kernel
`fastrace.kernels.patches` gives how strongly each filter answers in the image and in its 3 x 3 parts, both ways.

    coarse patches   the image at 50 pixels on the longer side: anatomy, 6 x 6 pixels are an eighth of it
    fine patches     the image as it is: texture

Images of a degradation are read with patches of images degraded in the same way; a probe that learns from unchanged images and is
tested on noisy ones, with patches of unchanged images on both. No label is used, so a table is the same for every permutation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.kernels.patches import patches

COARSE, FINE = "coarse patches", "fine patches"
SIDE = 50  # pixels of the longer side
PATCH = 6  # pixels
FILTERS = {COARSE: 112, FINE: 48}
FEWER = 32
"""Filters, at the coarse scale alone, for degraded images: 60 degradations of an image then cost what its unchanged form does."""
GRIDS = (1, 3)
CELLS = sum(side * side for side in GRIDS)
THRESHOLD = 1.0
DRAWN = 20_000
DAMPING = 0.01
"""Added to the variance of a patch, in mean variances: background and rounding are no structure. A fixed number would silence
high-pass filtered images, whose values are a hundred times smaller."""
WHITENING = 0.01  # added to the variances of directions before their root


@dataclass(frozen=True)
class Bank:
    """Filters for one scale of images.

    Attributes
    ----------
    filters : Tensor [K, p, p] float32
    epsilon : float
        Added to the variance of a patch.
    """

    filters: Tensor
    epsilon: float

    def __call__(self, images: Tensor) -> NDArray[np.float32]:  # [N, h, w] -> [N, 2 K cells]
        """Features of images at the scale of the bank."""
        filters = self.filters.to(images.device)
        return np.asarray(patches(images.contiguous(), filters, THRESHOLD, self.epsilon, GRIDS).cpu().numpy())

    def first(self, count: int) -> Bank:
        """The first filters alone."""
        return Bank(self.filters[:count], self.epsilon)


def columns(count: int, of: int) -> NDArray[np.bool_]:
    """Columns of the first filters in the features of a larger bank: [grid][side][filter][cell]."""
    chosen = np.arange(of) < count
    return np.concatenate([np.tile(np.repeat(chosen, side * side), 2) for side in GRIDS])


def coarse_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size at the coarse scale; that of the image if it is smaller."""
    longer = max(size)
    if longer <= SIDE:
        return size
    height, width = (max(PATCH, round(side * SIDE / longer)) for side in size)
    return height, width


def coarse(images: Tensor) -> Tensor:  # [..., H, W] -> [..., h, w]
    """Means over the pixels of an area: linear, so that a sum of coarse rings is the coarse sum of the rings."""
    size = (images.shape[-2], images.shape[-1])
    if coarse_size(size) == size:
        return images
    flat = images.reshape(-1, 1, *size)
    small = torch.nn.functional.interpolate(flat, size=coarse_size(size), mode="area")
    return small.reshape(*images.shape[:-2], *small.shape[-2:])


def draw_bank(
    images: Tensor,  # [M, h, w]
    count: int,
    rng: np.random.Generator,
) -> Bank:
    """Filters from patches of some images; the first ``k`` of them are those of a smaller bank."""
    side = min(PATCH, *images.shape[1:])
    n, height, width = images.shape
    image, top, left = (
        rng.integers(0, high, DRAWN)[:, None, None] for high in (n, height - side + 1, width - side + 1)
    )
    row, column = np.arange(side)[:, None], np.arange(side)[None, :]
    cut = images.cpu().numpy()[image, top + row, left + column].reshape(DRAWN, -1).astype(np.float64)
    cut -= cut.mean(axis=1, keepdims=True)
    variance = (cut**2).mean(axis=1)
    epsilon = max(DAMPING * float(variance.mean()), 1e-12)
    cut /= np.sqrt(variance + epsilon)[:, None]
    values, vectors = np.linalg.eigh(cut.T @ cut / DRAWN)
    whitening = (vectors / np.sqrt(np.maximum(values, 0) + WHITENING)) @ vectors.T
    # A patch of the background is no filter; where all are (a blank archive) any will do.
    seen = np.flatnonzero(variance > epsilon)
    chosen = rng.choice(seen if len(seen) >= count else DRAWN, count, replace=False)
    filters = cut[chosen] @ whitening
    filters /= np.linalg.norm(filters, axis=1, keepdims=True) + 1e-12
    return Bank(torch.from_numpy((filters @ whitening).reshape(count, side, side).astype(np.float32)), epsilon)
