"""Where an image goes on the canvas: the breast is found, turned and kept whole; aspect is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.errors import RejectedInput
from fastrace.kernels.window import Box, Transfer
from fastrace.preprocess.geometry import breast_box, check_aspect, place

TRANSFER = Transfer(bits=12, scale=1 / 4095)


def breast(height: int = 600, width: int = 400, right: bool = False) -> np.ndarray:
    """A half ellipse against one side, 100 to 500 by 250 pixels, and a bright marker in the far corner."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.where(((rows - 300) / 200) ** 2 + (columns / 250) ** 2 < 1, 1500, 0)
    image[20:40, width - 60 : width - 20] = 4000
    return np.ascontiguousarray(image[:, ::-1] if right else image).astype(np.uint16)


@pytest.mark.parametrize("right", [False, True])
def test_the_box_holds_the_breast_and_not_the_marker_and_turns_the_chest_wall_left(right: bool) -> None:
    box, flip = breast_box(breast(right=right), TRANSFER)
    assert flip is right
    assert box.top <= 100 <= box.top + 12
    assert box.top + box.height - 12 <= 500 <= box.top + box.height
    inside = (box.left, box.left + box.width)
    assert inside[0] == 0 if not right else inside[1] == 400
    assert 250 <= box.width <= 262


def test_an_empty_image_is_left_whole() -> None:
    assert breast_box(np.zeros((50, 40), np.uint16), TRANSFER) == (Box(0, 0, 50, 40), False)


sizes = st.integers(1, 4000)


@given(sizes, sizes, sizes, sizes, st.booleans())
def test_padding_shows_all_and_keeps_the_aspect(height: int, width: int, rows: int, columns: int, left: bool) -> None:
    whole = Box(0, 0, height, width)
    crop, box = place(whole, (rows, columns), "pad", left=left)
    assert crop == whole
    assert 0 <= box.top <= box.top + box.height <= rows
    assert 0 <= box.left <= box.left + box.width <= columns
    assert box.height == rows or box.width == columns
    if left:
        assert box.left == 0
    scale = min(rows / height, columns / width)
    # Whole pixels: each side is within half a pixel of the exact one, and at least one.
    assert box.height == pytest.approx(max(1, height * scale), abs=0.51)
    assert box.width == pytest.approx(max(1, width * scale), abs=0.51)


@given(sizes, sizes, sizes, sizes)
def test_cropping_fills_the_canvas_from_the_middle(height: int, width: int, rows: int, columns: int) -> None:
    crop, box = place(Box(0, 0, height, width), (rows, columns), "crop")
    assert box == Box(0, 0, rows, columns)
    assert 0 <= crop.top <= crop.top + crop.height <= height
    assert 0 <= crop.left <= crop.left + crop.width <= width
    assert abs(2 * crop.top + crop.height - height) <= 1
    assert abs(2 * crop.left + crop.width - width) <= 1


@given(st.integers(20, 4000), st.integers(20, 4000), st.floats(0.2, 5.0), st.sampled_from(["pad", "crop"]))
def test_pixels_that_are_not_square_keep_the_aspect_of_what_was_imaged(
    height: int, width: int, aspect: float, fit: str
) -> None:
    size = (224, 224)
    crop, box = place(Box(0, 0, height, width), size, fit, aspect=aspect)
    # One pixel of the canvas is as high as wide, but for the rounding of one side to whole pixels.
    high, wide = crop.height * aspect / box.height, crop.width / box.width
    assert high == pytest.approx(wide, rel=0.51 / (min(box.height, box.width, crop.height, crop.width) - 0.51))
    assert place(Box(0, 0, height, width), size, fit) == place(Box(0, 0, height, width), size, fit, aspect=1.0)


def test_a_pixel_that_no_device_has_is_refused() -> None:
    check_aspect(2.0)
    with pytest.raises(RejectedInput, match="25 times as high as wide") as caught:
        check_aspect(25.0)
    assert caught.value.reason == "bad_header"
