"""``--variant released-code`` is what the study's code did, restated here in plain NumPy, trap by trap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from fastrace.degrade.grammar import CLEAN, Degradation
from fastrace.degrade.operations import NetworkInput, apply
from fastrace.degrade.parser import parse
from fastrace.errors import UsageError

RADII = (1, 5, 10, 25, 50, 75, 100, 125, 150, 200)
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Two radiograph-like images of 224 x 224, 8 bits, as floats."""
    rng = np.random.default_rng(5)
    smooth = np.cumsum(np.cumsum(rng.standard_normal((2, 224, 224)), axis=1), axis=2)
    smooth -= smooth.min(axis=(1, 2), keepdims=True)
    smooth /= smooth.max(axis=(1, 2), keepdims=True)
    values = 0.9 * smooth + 0.1 * rng.random((2, 224, 224))
    return torch.from_numpy(np.round(values * 255).astype(np.uint8))


def released(text: str, images: torch.Tensor) -> Floats:
    result = apply(parse(text, "released-code"), images, torch.arange(len(images)), None, seed=0)
    return result.double().numpy()


# ---- the released code, restated ----------------------------------------------------------------------------------


def normalised(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """First of the three channels after division by 255 and ImageNet's normalisation, float32 as there."""
    return (image.astype(np.float32) / np.float32(255) - np.float32(0.485)) / np.float32(0.229)


def circle(n: int, diameter: float) -> NDArray[np.bool_]:
    """Pixel by pixel: strictly nearer than "diameter" to the point (n / 2, n / 2)."""
    inside = np.zeros((n, n), dtype=bool)
    middle = n / 2.0
    for row in range(n):
        for column in range(n):
            inside[row, column] = (row - middle) ** 2 + (column - middle) ** 2 < diameter**2
    return inside


def filtered(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> Floats:
    spectrum = np.fft.fftshift(np.fft.fft2(image.astype(np.complex128)))
    return np.fft.ifft2(np.fft.ifftshift(np.where(mask, spectrum, 0))).real


def clipped(image: Floats, level: float = 1.0) -> Floats:
    image = image.copy()
    image[image > level] = level
    return image


CIRCLES = {radius: circle(224, radius) for radius in RADII}


def assert_same(got: Floats, expected: Floats, images: torch.Tensor) -> None:
    """Within a millionth of the largest value that was filtered."""
    largest = max(np.abs(normalised(image)).max() for image in images.numpy())
    assert np.abs(got - expected).max() < 1e-6 * largest


@pytest.mark.parametrize("radius", RADII)
def test_low_and_high_pass_are_those_of_the_released_code(images: torch.Tensor, radius: int) -> None:
    for kind, mask in (("lowpass", CIRCLES[radius]), ("highpass", ~CIRCLES[radius])):
        expected = np.stack([clipped(filtered(normalised(image), mask)) for image in images.numpy()])
        assert_same(released(f"{kind}:{radius}", images), expected, images)


@pytest.mark.parametrize(("inner", "outer"), [(10, 25), (10, 150), (25, 50), (50, 100), (75, 125), (125, 150)])
def test_band_and_notch_are_those_of_the_released_code(images: torch.Tensor, inner: int, outer: int) -> None:
    ring = ~CIRCLES[inner] & CIRCLES[outer]
    for kind, mask in (("band", ring), ("notch", ~ring)):
        expected = np.stack([clipped(filtered(normalised(image), mask)) for image in images.numpy()])
        assert_same(released(f"{kind}:{inner}:{outer}", images), expected, images)


@pytest.mark.parametrize("n", [2, 16, 62])
def test_it_is_the_same_at_other_even_sides(n: int) -> None:
    image = torch.from_numpy(np.random.default_rng(n).integers(0, 256, (1, n, n), dtype=np.uint8))
    for radius in (1, 1.5, n / 4, n / 2):
        expected = clipped(filtered(normalised(image[0].numpy()), circle(n, radius)))[None]
        assert_same(released(f"lowpass:{radius}", image), expected, image)


# ---- the traps, by the numbers of PROTOCOL A.5 --------------------------------------------------------------------


def test_the_diameter_is_a_radius_and_the_circle_is_strict(images: torch.Tensor) -> None:
    kept = {1: 1, 5: 69, 10: 305, 25: 1941, 50: 7825}
    assert {radius: int(CIRCLES[radius].sum()) for radius in kept} == kept
    # 1 keeps the mean and nothing else; as a true diameter, 10 would be what 5 is.
    mean = released("lowpass:1", images)
    assert np.ptp(mean, axis=(1, 2)).max() < 2e-6
    assert np.abs(released("lowpass:10", images) - released("lowpass:5", images)).max() > 0.01


def test_a_high_pass_of_200_leaves_exactly_nothing(images: torch.Tensor) -> None:
    assert not (~CIRCLES[200]).any()
    assert not released("highpass:200", images).any()


def test_filters_act_on_normalised_values_and_what_they_remove_is_grey(images: torch.Tensor) -> None:
    corrected = apply(parse("highpass:50"), images, torch.arange(2), None, seed=0).double().numpy()
    # Both have mean 0; there that is display 0.485, and one display unit is 1 / 0.229.
    got = released("highpass:50", images)
    np.testing.assert_allclose(got, np.minimum(corrected / 0.229, 1), atol=2e-5)
    assert np.abs(released("highpass:100", images).mean(axis=(1, 2))).max() < 1e-6  # too faint for the clip


def test_nothing_is_normalised_after_a_high_pass(images: torch.Tensor) -> None:
    faint = released("highpass:150", images)
    assert 0 < faint.std() < 0.1


def test_the_result_is_real(images: torch.Tensor) -> None:
    assert apply(parse("band:10:50", "released-code"), images, torch.arange(2), None, seed=0).dtype == torch.float32


def test_bright_values_are_clipped_even_without_a_clip_operation(images: torch.Tensor) -> None:
    clean = released("none", images)
    assert clean.max() == 1.0
    np.testing.assert_array_equal(clean, np.minimum(np.stack([normalised(one) for one in images.numpy()]), 1))
    levels = {"none": 0.714, "clip:0.6": 0.622}  # display values, as PROTOCOL gives them for the first channel
    for text, level in levels.items():
        assert released(text, images).max() * 0.229 + 0.485 == pytest.approx(level, abs=5e-4)


def test_the_clip_comes_after_the_filter(images: torch.Tensor) -> None:
    expected = np.stack([clipped(filtered(normalised(one), CIRCLES[25]), 0.6) for one in images.numpy()])
    assert_same(released("lowpass:25+clip:0.6", images), expected, images)


@pytest.mark.parametrize("tile", [0, 4, 8])
def test_tiles_are_74_pixels_grey_where_removed_and_enlarged_where_kept(images: torch.Tensor, tile: int) -> None:
    row, column = divmod(tile, 3)
    rows, columns = slice(74 * row, 74 * row + 74), slice(74 * column, 74 * column + 74)
    clean = released("none", images)
    expected = clean.copy()
    expected[:, rows, columns] = 0
    np.testing.assert_array_equal(released(f"patch:remove:{tile}", images), expected)
    values = torch.from_numpy(np.stack([normalised(one) for one in images.numpy()])[:, None, rows, columns])
    enlarged = functional.interpolate(values, size=(224, 224), mode="bilinear")[:, 0].clamp(max=1).double().numpy()
    np.testing.assert_array_equal(released(f"patch:keep:{tile}", images), enlarged)


# ---- what it refuses, and where it goes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["blur:2", "noise:gaussian:0.1", "resolution:64", "lowpass:1lp/mm", "clip:0.6+lowpass:5", "lowpass:5+highpass:3",
     "clip:0.6+clip:0.5", "patch:keep:4+lowpass:5"],
)  # fmt: skip
def test_what_the_released_code_does_not_have_is_refused(text: str) -> None:
    parse(text).check((224, 224), np.array([0.5]))
    with pytest.raises(UsageError, match=r"released code has one filter in cycles/image .* use --variant corrected"):
        parse(text, "released-code").check((224, 224), np.array([0.5]))


@pytest.mark.parametrize("size", [(223, 223), (224, 222), (1, 1)])
def test_sizes_at_which_its_circle_is_off_centre_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=rf"images of {size[0]}x{size[1]}, .* preprocess with --size 224x224"):
        parse("lowpass:5", "released-code").check(size, None)


def test_why_an_odd_side_is_refused_its_filter_is_not_real() -> None:
    image = np.random.default_rng(0).random((33, 33))
    spectrum = np.fft.fftshift(np.fft.fft2(image)) * circle(33, 5)
    complex_result = np.fft.ifft2(np.fft.ifftshift(spectrum))
    assert np.abs(complex_result.imag).max() > 0.01


def test_the_variant_belongs_to_the_value_and_is_named() -> None:
    degradation = parse("highpass:100", "released-code")
    assert degradation != parse("highpass:100")
    assert parse(str(degradation), degradation.variant) == degradation
    assert degradation.slug == "released-code-highpass-100"
    assert parse("none", "released-code").slug == "released-code-none"
    assert "as in the released code" in degradation.describe((224, 224))
    assert degradation + Degradation(variant="released-code") == degradation
    with pytest.raises(UsageError, match="cannot follow one another"):
        degradation + CLEAN


# ---- one call -----------------------------------------------------------------------------------------------------


def test_stored_integers_are_display_values_at_their_largest_integer() -> None:
    ids = torch.arange(1)
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        pixels = torch.from_numpy(np.array([[[0, top // 5, top]]], dtype=dtype))
        expected = torch.tensor([[[0.0, 0.2, 1.0]]])
        torch.testing.assert_close(apply(CLEAN, pixels, ids, seed=0), expected, rtol=0, atol=1e-7)
    halves = torch.tensor([[[0.25, 0.5]]], dtype=torch.float16)
    assert torch.equal(apply(CLEAN, halves, ids, seed=0), halves.float())


@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.bool])
def test_other_integers_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UsageError, match=f"uint8, uint16 or floats, not {dtype}"):
        apply(CLEAN, torch.zeros(1, 2, 2, dtype=dtype), torch.arange(1), seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_network_gets_one_normalised_channel_of_its_type(images: torch.Tensor, dtype: torch.dtype) -> None:
    before = images.clone()
    given = apply(parse("lowpass:9"), images, torch.arange(2), seed=0, network=NetworkInput(0.25, 0.125, dtype))
    plain = apply(parse("lowpass:9"), images, torch.arange(2), seed=0)
    assert given.shape == (2, 1, 224, 224)
    assert given.is_contiguous()
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(given[:, 0], ((plain - 0.25) / 0.125).to(dtype))
    assert torch.equal(images, before)
