"""Patches on one core: torch's chain of convolutions and pooling, and one product of unfolded patches, interleaved.

`fastrace bench patches`. 64 images of 50 x 50, or 2 of 224 x 224; ms is per image. The chain is what one writes first: mean, mean
square, responses, normalise, both sides, pools. "unfold" is the best of torch that was found: patches normalised before the
product, one image at a time and in place, so that what is stored stays in the second-level cache. float32 everywhere; the
error is that of the first image, and torch's has more of it, since it takes the difference of two large numbers for a variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastrace.bench.measure import Peer, measure
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.kernels.patches import TOLERANCE, patches, patches_reference, scale

# Side of the images, filters, side of the patches, images, rounds: the audit's reader, its fine scale, and few filters.
CASES = [(50, 256, 6, 64, 7), (224, 256, 6, 2, 5), (50, 32, 6, 64, 9)]
QUICK_CASES = [(50, 256, 6, 16, 3)]
THRESHOLD, EPSILON, GRIDS = 1.0, 1e-4, (1, 3)
PEER_LIMIT = 1e-5  # of values up to 6; a position in the wrong cell is 1e-3


def torch_chain(
    images: Tensor,  # [N, H, W]
    filters: Tensor,  # [K, p, p], the same dtype
    threshold: float = THRESHOLD,
    epsilon: float = EPSILON,
    grids: Sequence[int] = GRIDS,
) -> Tensor:  # [N, 2 K sum(g * g)]
    """What `patches` computes, by torch's convolutions and adaptive pooling: also the tests' authority, in float64."""
    x, bank = images[:, None], filters[:, None]
    ones = torch.full_like(bank[:1], 1 / bank[0].numel())
    mean = F.conv2d(x, ones)
    contrast = torch.sqrt((F.conv2d(x * x, ones) - mean * mean).clamp(min=0) + epsilon)
    z = (F.conv2d(x, bank) - mean * bank.sum((1, 2, 3)).view(1, -1, 1, 1)) / contrast
    sides = torch.cat([(z - threshold).clamp(min=0), (-z - threshold).clamp(min=0)], 1)
    return torch.cat([F.adaptive_avg_pool2d(sides, g).flatten(1) for g in grids], 1)


def torch_unfold(images: Tensor, filters: Tensor) -> Tensor:
    """The same as one product per image, with as few passes over [K, H, W] as torch has operations for."""
    many, side = filters.shape[:2]
    flat, found = filters.reshape(many, -1), []
    for image in images:
        patch = image.unfold(0, side, 1).unfold(1, side, 1)
        down, across = patch.shape[:2]
        patch = patch.reshape(down * across, -1)
        variance, mean = torch.var_mean(patch, 1, correction=0, keepdim=True)
        z = flat @ ((patch - mean) * torch.rsqrt(variance + EPSILON)).T
        z = z.view(1, many, down, across)
        above, below = (z - THRESHOLD).clamp_(min=0), z.neg_().sub_(THRESHOLD).clamp_(min=0)
        pooled = ([F.adaptive_avg_pool2d(half, g).flatten(1) for half in (above, below)] for g in GRIDS)
        found.append(torch.cat([half for halves in pooled for half in halves], 1))
    return torch.cat(found)


def rows(quick: bool = False) -> list[Row]:
    """Measure; ms and ratio are per image.

    Parameters
    ----------
    quick : bool
        One case instead of three, with fewer images and rounds.
    """
    with threads(1), torch.inference_mode():
        return [row for case in (QUICK_CASES if quick else CASES) for row in _case(*case)]


def _case(size: int, many: int, side: int, count: int, rounds: int) -> list[Row]:
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.random((count, size, size), dtype=np.float32))
    filters = torch.from_numpy(random.standard_normal((many, side, side)).astype(np.float32) / side)
    exact = patches_reference(images[:1].numpy(), filters.numpy(), THRESHOLD, EPSILON, GRIDS)

    def error(result: Tensor) -> Error:
        return difference(result[:1].numpy(), exact)

    peers = [
        Peer(
            "fastrace",
            lambda: patches(images, filters, THRESHOLD, EPSILON, GRIDS),
            limit=TOLERANCE * scale(filters, THRESHOLD),
        ),
        Peer("torch conv2d chain", lambda: torch_chain(images, filters), ("torch",), PEER_LIMIT),
        Peer("torch unfold, one product an image", lambda: torch_unfold(images, filters), ("torch",), PEER_LIMIT),
    ]
    positions = (size - side + 1) ** 2
    # Read once, written once; products and sums of the responses, and for each two comparisons, two sums.
    work = (
        4.0 * (size * size + 2 * many * sum(g * g for g in GRIDS)),
        positions * many * (2.0 * side * side + 4),
    )
    what = f"patches {side}x{side}, {many} filters, {size}x{size} float32, batch {count}, 1 core"
    # Not with cold caches: an image is 10 KB, and takes a fifth of a millisecond.
    return measure(what, peers, error, rounds=rounds, per=count, caches="hot", work=work)
