"""Degradations as tensor operations: the kernels, and plain torch for what needs none.

Everything acts on display values in [0, 1], before the normalisation of the network, image by image. Results are not clipped
to [0, 1]: a high-pass has mean zero. The study's released code departed from its text in several of these (a blur across
patients, tiles that miss two rows, a filter after normalisation); what is here is what the text says.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastrace.degrade.grammar import BLUR_TRUNCATE, GRID, Blur, Clip, Degradation, Filter, Noise, Patch, Resolution
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import bandpass
from fastrace.kernels.noise import noise, noise_stream


def apply(
    degradation: Degradation,
    images: Tensor,  # [N, H, W] float32
    ids: Tensor,  # [N] int64
    mm_per_pixel: Tensor | None = None,  # [N] float
    *,
    seed: int,
    epoch: int = 0,
) -> Tensor:  # [N, H, W] float32
    """Degrade a batch.

    Parameters
    ----------
    degradation : Degradation
    images : Tensor [N, H, W] float32
        Display values in [0, 1], on any device. Not under autocast: half precision would blur the edges of a band.
    ids : Tensor [N] int64
        First 64 bits of each image key: the noise of an image does not depend on its batch.
    mm_per_pixel : Tensor [N] float or None
        Of these images (not of the detector), on the CPU; needed for lp/mm.
    seed, epoch : int
        Epoch 0 in tests.

    Returns
    -------
    Tensor [N, H, W] float32
    """
    longest = max(images.shape[-2:])
    for operation, step in enumerate(degradation.steps):
        if isinstance(step, Filter):
            low: float | Tensor = step.low
            high: float | Tensor = step.high
            if step.per_mm:
                if mm_per_pixel is None:
                    raise UsageError(f"--degrade {degradation}: lp/mm needs the mm per pixel of every image")
                cycles = mm_per_pixel.to(torch.float64) * longest
                low, high = cycles * step.low, cycles * step.high
            images = bandpass(images, low, high, complement=step.kind == "notch")
        elif isinstance(step, Noise):
            stream = noise_stream(operation, epoch, 0)
            images = noise(images, ids, step.kind, step.amount, seed=seed, stream=stream)
        elif isinstance(step, Blur):
            images = _separable(images, _blur_matrix, step.sigma_pixels)
        elif isinstance(step, Resolution):
            images = _separable(images, _resolution_matrix, step.side_pixels / longest)
        elif isinstance(step, Clip):
            images = images.clamp(max=step.level)
        else:
            images = _patch(images, step)
    return images


# Blur and resolution are linear and separable: one small matrix per axis is exact for any size, sigma and edge rule.
def _separable(images: Tensor, matrix: Callable[[int, float, torch.device], Tensor], amount: float) -> Tensor:
    height, width = images.shape[-2:]
    rows = matrix(height, amount, images.device).to(images.dtype)
    columns = matrix(width, amount, images.device).to(images.dtype)
    return rows @ images @ columns.T


def _blur_matrix(n: int, sigma: float, device: torch.device) -> Tensor:  # [n, n] float64
    radius = int(BLUR_TRUNCATE * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, device=device)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    weights = weights / weights.sum()
    place = (torch.arange(n, device=device)[:, None] + offsets) % (2 * n)  # mirrored: d c b a | a b c d | d c b a
    place = torch.where(place < n, place, 2 * n - 1 - place)
    zeros = torch.zeros(n, n, dtype=torch.float64, device=device)
    return zeros.scatter_add(1, place, weights.expand(n, -1))


def _resolution_matrix(n: int, share: float, device: torch.device) -> Tensor:  # [n, n] float64
    k = max(1, math.floor(n * share + 0.5))
    fine = torch.arange(n, device=device, dtype=torch.float64)
    coarse = torch.arange(k, device=device, dtype=torch.float64)
    start = coarse[:, None] * (n / k)
    covered = (torch.minimum(start + n / k, fine + 1) - torch.maximum(start, fine)).clamp(min=0)
    centre = ((fine + 0.5) * (k / n) - 0.5).clamp(0, k - 1)
    enlarge = (1 - (centre[:, None] - coarse).abs()).clamp(min=0)
    return enlarge @ (covered * (k / n))


def _patch(images: Tensor, step: Patch) -> Tensor:
    height, width = images.shape[-2:]
    row, column = divmod(step.tile, GRID)
    top, bottom = (round(edge * height / GRID) for edge in (row, row + 1))
    left, right = (round(edge * width / GRID) for edge in (column, column + 1))
    inside = torch.zeros(height, width, dtype=torch.bool, device=images.device)
    inside[top:bottom, left:right] = True
    return torch.where(inside if step.action == "keep" else ~inside, images, 0.0)
