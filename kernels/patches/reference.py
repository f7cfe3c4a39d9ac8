"""What `patches` means, in float64 NumPy: the formula as it stands, a response for every position and filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastrace.kernels.patches.plan import cell


def patches_reference(
    images: NDArray[Any],  # [N, H, W]
    filters: NDArray[Any],  # [K, p, p]
    threshold: float = 1.0,
    epsilon: float = 1e-4,
    grids: Sequence[int] = (1, 3),
) -> NDArray[np.float64]:  # [N, 2 K sum(g * g)]
    """Return what `patches` means; same parameters, as arrays. It stores [K, H, W] numbers for each image."""
    found = [_one(image, np.asarray(filters, np.float64), threshold, epsilon, grids) for image in np.asarray(images)]
    cells = sum(g * g for g in grids)
    return np.stack(found) if found else np.empty((0, 2 * len(filters) * cells))


@np.errstate(invalid="ignore")  # NaN and infinities make NaN
def _one(
    image: NDArray[Any], filters: NDArray[np.float64], threshold: float, epsilon: float, grids: Sequence[int]
) -> NDArray[np.float64]:
    side = filters.shape[1]
    patch = sliding_window_view(image.astype(np.float64), (side, side)).reshape(
        image.shape[0] - side + 1, image.shape[1] - side + 1, side * side
    )
    centred = patch - patch.mean(-1, keepdims=True)
    contrast = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    flat = filters.reshape(len(filters), -1)
    z = (centred / contrast) @ (flat - flat.mean(1, keepdims=True)).T
    sides = np.concatenate([np.maximum(z - threshold, 0), np.maximum(-z - threshold, 0)], -1)  # [h, w, 2 K]
    pooled = []
    for g in grids:
        rows, columns = ([cell(i, g, length) for i in range(g)] for length in sides.shape[:2])
        means = [sides[top:bottom, left:right].mean((0, 1)) for top, bottom in rows for left, right in columns]
        pooled.append(np.stack(means, 1).reshape(-1))
    return np.concatenate(pooled)
