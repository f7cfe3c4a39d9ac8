"""Degradations as tensor operations: the kernels, and plain torch for what needs none.

Everything acts on display values in [0, 1], before the normalisation of the network, image by image. Results are not clipped
to [0, 1]: a high-pass has mean zero. The study's released code departed from its text in several of these (a blur across
patients, tiles that miss two rows, a filter after normalisation); here is what the text states, in `released` what the code did.

One call takes stored integers to the input of a network. Its passes over memory, in bytes read + written for each pixel from
uint16 to bfloat16 (float32: no cast, 4 written), as `tests/test_degrade_compiled.py` counts them: eager operation by operation,
compiled in what Inductor schedules, for the CPU and for CUDA:

================================  ========================  ================================================================
part                              eager                     compiled
================================  ========================  ================================================================
scale to [0, 1]                   2 + 4, 4 + 4              2 + 4
lowpass, highpass, band, notch    4 + 4 (and its own)       4 + 4 (and its own): an operation that Inductor calls
noise                             4 + 4                     4 + 4; on CUDA a Triton kernel that Inductor sees
blur, resolution                  4 + 4 for rows, columns   the same: two matrix products
clip, patch                       4 + 4 each                0: in the pass of a neighbour
normalise and cast                4 + 4, 4 + 4, 4 + 2       4 + 2
nothing but clip, patch and ends  the sum of those          2 + 2: one kernel for all
================================  ========================  ================================================================

On CUDA, where no gradient is needed, a filter does the operations around it while it loads and stores
(`kernels.bandpass.callbacks`): a scale right before it, a clip right behind it, normalise and cast if nothing else follows.
That part takes 2 + 2, and 28 with its own passes over the spectrum (52 where cuFFT takes no callbacks), instead of 44 (52)
compiled; Inductor sees neither. Noise right behind a filter is part of that store in an eager call alone, 2 + 2 instead of
2 + 4 and five passes more, but the noise kernel's when compiled: 16 bytes would be saved, for a Philox block for each pixel
instead of one for four, 166 instructions instead of 62, which take longer than 16 bytes (docs/decisions.md; not measured).

So bandpass, noise, clip, normalise and cast take 28 bytes in 4 kernels instead of 60 in 8, and on CUDA 20 in 3 compiled and 4 in
one operation eager. The band-pass is a Fourier transform forth and back and passes over its own spectrum besides. No part
copies: what a kernel gets is contiguous already. Each run of scale, clip, patch, normalise and cast is one kernel, before,
between and after the others. No step breaks the graph, at any batch size: lp/mm computes its cut-offs from [N] numbers, and
blur and resolution make an [n, n] matrix for each axis, anew in each call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastrace.degrade.grammar import BLUR_TRUNCATE, GRID, Blur, Clip, Degradation, Filter, Noise, Patch, Resolution
from fastrace.degrade.released import apply_released
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import bandpass, callbacks
from fastrace.kernels.noise import noise, noise_stream


@dataclass(frozen=True)
class NetworkInput:
    """What a network takes: ``(x - mean) / std``, one channel, and the type.

    Attributes
    ----------
    mean, std : float
        Of the degraded training images.
    dtype : torch.dtype
        float32, float16 or bfloat16.
    """

    mean: float = 0.0
    std: float = 1.0
    dtype: torch.dtype = torch.float32

    def of(self, images: Tensor) -> Tensor:  # [N, H, W] float32 -> [N, 1, H, W]
        """Normalise and cast. The result is contiguous in either memory format, there being one channel."""
        return ((images - self.mean) / self.std).to(self.dtype)[:, None]


def display(stored: Tensor) -> Tensor:  # [N, H, W] -> float32
    """Stored integers as display values, the largest of their type as 1; images of floats are display values already.

    Raises
    ------
    UsageError
        Another type than uint8, uint16 or a floating one.
    """
    if stored.dtype.is_floating_point:
        return stored.float()
    if stored.dtype not in (torch.uint8, torch.uint16):
        raise UsageError(f"degradations take images of uint8, uint16 or floats, not {stored.dtype}")
    # In place: a second fresh tensor would cost its page faults, half of the time on a CPU.
    return stored.float().div_(torch.iinfo(stored.dtype).max)


def apply(
    degradation: Degradation,
    images: Tensor,  # [N, H, W] uint8, uint16 or floating
    ids: Tensor,  # [N] int64
    mm_per_pixel: Tensor | None = None,  # [N] float
    *,
    seed: int,
    epoch: int = 0,
    network: NetworkInput | None = None,
) -> Tensor:  # [N, H, W] float32, or [N, 1, H, W] for a network
    """Degrade a batch: stored or display values in, display values or the input of a network out.

    Parameters
    ----------
    degradation : Degradation
        Of the variant ``released-code``: images have passed `Degradation.check`, and results are normalised values.
    images : Tensor [N, H, W] uint8, uint16 or floating
        Stored values, of which the largest integer is display value 1, or display values in [0, 1]; on any device. Computed in
        float32, also under autocast: half precision would blur the edges of a band.
    ids : Tensor [N] int64
        First 64 bits of each image key: the noise of an image does not depend on its batch.
    mm_per_pixel : Tensor [N] float or None
        Of these images (not of the detector), on the CPU; needed for lp/mm.
    seed, epoch : int
        Epoch 0 in tests.
    network : NetworkInput, optional
        Normalise and cast for this network.

    Returns
    -------
    Tensor [N, H, W] float32, or [N, 1, H, W] of the network's type
        Display values are returned as they are where nothing is to be done.

    Raises
    ------
    UsageError
        Integers of another type; lp/mm without spacing.
    """
    if degradation.variant == "released-code":
        images = apply_released(degradation, display(images))
        return images if network is None else network.of(images)
    longest = max(images.shape[-2:])
    steps, done = degradation.steps, 0
    fuses = _fuses(images)
    if not (fuses and steps and isinstance(steps[0], Filter) and images.dtype in callbacks.FULL_SCALE):
        images = display(images)
    while done < len(steps):
        step, operation, done = steps[done], done, done + 1
        if isinstance(step, Filter):
            filter = step.radial
            if step.per_mm:
                if mm_per_pixel is None:
                    raise UsageError(f"--degrade {degradation}: lp/mm needs the mm per pixel of every image")
                filter = filter.times(mm_per_pixel.to(torch.float64) * longest)
            if not fuses:
                images = bandpass(images, filter)
                continue
            drawn, level, done = _in_the_store(degradation, done, seed, epoch)
            last = network if network is not None and done == len(steps) else NetworkInput()
            images = callbacks.apply_fused(
                images, filter, noise=drawn, ids=ids,
                clamp=(-math.inf, level), normalise=(last.mean, last.std), dtype=last.dtype,
            )  # fmt: skip
            if last is network:
                return images[:, None]
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
    return images if network is None else network.of(images)


def _fuses(images: Tensor) -> bool:
    """Whether a filter takes the operations around it into its own loads and stores: on a GPU, without gradients."""
    return images.is_cuda and not (images.requires_grad and torch.is_grad_enabled())


def _in_the_store(
    degradation: Degradation, at: int, seed: int, epoch: int
) -> tuple[callbacks.NoiseSpec | None, float, int]:
    """Return what the store of a filter does, noise and the level of clips, and the number of the step after these."""
    drawn, level = None, math.inf
    for step in degradation.steps[at:]:
        if isinstance(step, Clip):
            level = min(level, step.level)
        elif isinstance(step, Noise) and drawn is None and level == math.inf and not torch.compiler.is_compiling():
            drawn = callbacks.NoiseSpec(step.kind, step.amount, seed, noise_stream(at, epoch, 0))
        else:
            break
        at += 1
    return drawn, level, at


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
