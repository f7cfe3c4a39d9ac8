"""Where a leak lies: on the stored image, on the square canvas of a network, and in frequency when the anatomy decides it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrace.phantom.anatomy import Anatomy
from fastrace.phantom.leaks import patch_weight
from fastrace.phantom.texture import multiplicity, radius_cycles

_VISIBLE = 0.15
"""Display value above which a breast crop by threshold finds tissue; Otsu's threshold lies at 0.2 to 0.3 here."""

_TILE_SHARE = 0.05
"""A tile that holds less of a patch's energy than this does not count as covered."""

F64 = NDArray[np.float64]


def visible_height(anatomy: Anatomy) -> float:
    """Share of the image's height from the first to the last row that is visibly brighter than air."""
    rows = np.flatnonzero((np.where(anatomy.exposed, anatomy.level, 0) > _VISIBLE).any(axis=1))
    return float((rows[-1] + 1 - rows[0]) / anatomy.level.shape[0])


def band_of_energy(
    energy: F64,  # [H, W // 2 + 1], squared coefficients of a real FFT
    size: tuple[int, int],
    share: float,
) -> float:
    """Smallest edge, in hundredths of a cycle, below which lies this share of the energy, the mean included."""
    radius = radius_cycles(size).ravel()
    order = np.argsort(radius, kind="stable")
    held = np.cumsum((energy * multiplicity(size)).ravel()[order])
    last = radius[order][np.searchsorted(held, share * held[-1])]
    return (math.floor(last * 100) + 1) / 100


def region_of(
    size: tuple[int, int],
    patch: tuple[float, float, float, float],
    modality: str,
) -> dict[str, Any]:
    """Where a patch lies, on the stored image and on a square canvas on which it is shown whole, and in which tiles.

    The canvas is what preprocessing makes: aspect kept, a mammogram turned to have its chest wall at the left and put there,
    others in the middle. The crop to the breast moves and magnifies it by the shares in ``visible_height_share``.
    """
    top, bottom, left, right = patch
    height, width = (side / max(size) for side in size)
    first_row, first_column = (1 - height) / 2, 0.0 if modality == "mammo" else (1 - width) / 2
    on_canvas = (
        first_row + top * height,
        first_row + bottom * height,
        first_column + left * width,
        first_column + right * width,
    )
    energy = patch_weight(size, patch).astype(np.float64) ** 2
    rows = first_row + (np.arange(size[0]) + 0.5) / max(size)
    columns = first_column + (np.arange(size[1]) + 0.5) / max(size)
    tiles = np.zeros((3, 3))
    np.add.at(tiles, ((rows * 3).astype(int)[:, None], (columns * 3).astype(int)[None, :]), energy)
    share = tiles / tiles.sum()
    names = ("top", "bottom", "left", "right")
    return {
        **dict(zip(names, patch, strict=True)),
        "unit": "fractions of image height and width, chest wall at the left; soft edges within",
        "canvas": dict(zip(names, (round(edge, 6) for edge in on_canvas), strict=True)),
        "canvas_unit": "fractions of a square canvas on which the image is shown whole",
        "tiles_3x3": [[int(row), int(column)] for row, column in np.argwhere(share >= _TILE_SHARE)],
        "tile_share_3x3": [[round(float(value), 4) for value in line] for line in share],
    }
