"""Images and filters for the tests of patches."""

from __future__ import annotations

import numpy as np
import torch


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    """Uniform in 0 .. 1."""
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def filters(many: int, side: int, seed: int = 1) -> torch.Tensor:
    """Of length 1, with a mean: what remains of them without it decides."""
    drawn = np.random.default_rng(seed).standard_normal((many, side, side)) + 0.3
    return torch.from_numpy((drawn / np.linalg.norm(drawn, axis=(1, 2), keepdims=True)).astype(np.float32))
