"""Where an image goes on the network's canvas: breast crop, chest wall to the left, the aspect of what was imaged kept.

Pixels that are higher than wide (or the reverse) become square by the same exact area averages as every other resizing: the box
on the canvas has another shape than the crop.
"""

from __future__ import annotations

import numpy as np

from fastrace.dicom.values import attribute
from fastrace.errors import RejectedInput
from fastrace.kernels.window import Box, Transfer, window

# The breast is found on a small copy: 256 rows are 1 mm or finer on a mammogram, and the copy costs one more pass over
# the pixels (2 ms of about 75 with decoding).
_SMALL = 256
_MARGIN = 0.01
_LARGEST_ASPECT = 10.0


def place(crop: Box, size: tuple[int, int], fit: str, *, left: bool = False, aspect: float = 1.0) -> tuple[Box, Box]:
    """Crop box in the image and box on the canvas that keep the aspect ratio.

    Parameters
    ----------
    crop : Box
        Part of the image to show, pixels.
    size : (int, int)
        Rows and columns of the canvas.
    fit : "pad" | "crop"
        Show all and pad with background, or fill the canvas and cut the overhang.
    left : bool
        Put a padded image to the left edge (chest wall) instead of the middle.
    aspect : float
        Height of a pixel of the image divided by its width; those of the canvas are square.
    """
    rows, columns = size
    high = crop.height * aspect  # in widths of a pixel
    if fit == "crop":
        scale = max(rows / high, columns / crop.width)
        height = min(crop.height, max(1, round(rows / (scale * aspect))))
        width = min(crop.width, max(1, round(columns / scale)))
        top, start = (crop.height - height) // 2, (crop.width - width) // 2
        return Box(crop.top + top, crop.left + start, height, width), Box(0, 0, rows, columns)
    scale = min(rows / high, columns / crop.width)
    height = min(rows, max(1, round(high * scale)))
    width = min(columns, max(1, round(crop.width * scale)))
    return crop, Box((rows - height) // 2, 0 if left else (columns - width) // 2, height, width)


def check_aspect(aspect: float) -> None:
    """Refuse pixels that no device has: a mistyped spacing would leave a strip of the image.

    Raises
    ------
    RejectedInput
        ``bad_header``.
    """
    if not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT:
        raise RejectedInput(
            "bad_header",
            f"{attribute('PixelSpacing')}, {attribute('ImagerPixelSpacing')} or {attribute('PixelAspectRatio')}: pixels "
            f"{aspect:.3g} times as high as wide, expected at most {_LARGEST_ASPECT:g} times one way or the other; repair it",
        )


def mm_per_pixel(spacing: tuple[float, float], crop: Box, box: Box, size: tuple[int, int]) -> float:
    """Size of a pixel of the canvas, the same in both directions.

    Parameters
    ----------
    spacing : (float, float)
        Row and column distance in the image, mm.
    crop, box : Box
        As `place` returned them.
    size : (int, int)
        Rows and columns of the canvas. Along the side that the box fills nothing was rounded, so that side counts.
    """
    if box.height == size[0]:
        return spacing[0] * crop.height / box.height
    return spacing[1] * crop.width / box.width


def breast_box(stored: np.ndarray, transfer: Transfer) -> tuple[Box, bool]:
    """Bounding box of the breast, and whether to mirror it so that the chest wall is on the left.

    The breast is the largest connected part brighter than Otsu's threshold between air and tissue; markers and labels
    are smaller. The chest wall is the side edge that this part touches most, which holds however Image Laterality and
    Patient Orientation are filled in.

    Parameters
    ----------
    stored : uint8 or uint16 [H, W]
        Stored words.
    transfer : Transfer
        Their display transform.
    """
    height, width = stored.shape
    rows, columns = min(height, _SMALL), max(1, min(width, round(width * _SMALL / height)))
    small = window([stored], [transfer], (rows, columns))[0].numpy().astype(np.float32) / 65535
    whole = Box(0, 0, height, width)
    if small.min() == small.max():
        return whole, False
    from scipy import ndimage  # 0.3 s to import, in every worker: only where a breast is looked for

    labels, count = ndimage.label(small > _otsu(small))
    if count == 0:
        return whole, False
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    breast = labels == sizes.argmax()
    flip = bool(breast[:, -1].sum() > breast[:, 0].sum())
    (top, bottom), (left, right) = (_extent(breast.any(axis=axis)) for axis in (1, 0))
    step_y, step_x = height / rows, width / columns
    margin = round(_MARGIN * max(height, width))
    first_row, last_row = (
        max(0, int(top * step_y) - margin),
        min(height, int(np.ceil(bottom * step_y)) + margin),
    )
    first_column = max(0, int(left * step_x) - margin)
    last_column = min(width, int(np.ceil(right * step_x)) + margin)
    return Box(first_row, first_column, last_row - first_row, last_column - first_column), flip


def _extent(line: np.ndarray) -> tuple[int, int]:
    places = np.flatnonzero(line)
    return int(places[0]), int(places[-1]) + 1


def _otsu(image: np.ndarray) -> float:
    """Otsu's threshold (IEEE SMC-9, 1979) on 256 bins, halved: thin skin is darker than the middle between the classes."""
    counts, edges = np.histogram(image, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    weight = np.cumsum(counts)
    mean = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * weight / weight[-1] - mean) ** 2 / (weight * (weight[-1] - weight))
    threshold = centres[int(np.nanargmax(between[:-1]))]
    low = float(image.min())
    return low + (float(threshold) - low) / 2
