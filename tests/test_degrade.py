"""The degradation language prints itself back, fails at the right place, and does to pixels what it names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as functional
from hypothesis import given
from hypothesis import strategies as st

from fastrace.degrade.grammar import CLEAN, Blur, Clip, Degradation, Filter, Noise, Patch, Resolution
from fastrace.degrade.operations import apply
from fastrace.degrade.parser import parse
from fastrace.errors import UsageError

positive = st.one_of(st.integers(1, 10**6).map(float), st.floats(1e-7, 1e6, allow_nan=False))
share = st.floats(1e-6, 1.0)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    kind = draw(st.sampled_from(["lowpass", "highpass", "band", "notch"]))
    low, high = sorted(draw(st.lists(positive, min_size=2, max_size=2, unique=True)))
    low, high = {"lowpass": (0.0, high), "highpass": (low, math.inf)}.get(kind, (low, high))
    return Filter(kind, low, high, draw(st.booleans()))


steps = st.one_of(
    filters(),
    st.builds(Blur, positive),
    st.builds(Noise, st.sampled_from(["gaussian", "speckle"]), positive),
    st.builds(Noise, st.sampled_from(["poisson", "salt_pepper"]), share),
    st.builds(Resolution, st.integers(1, 100_000)),
    st.builds(Clip, share),
    st.builds(Patch, st.sampled_from(["keep", "remove"]), st.integers(0, 8)),
)


@given(st.lists(steps, max_size=4))
def test_what_is_printed_reads_back_to_an_equal_value(chosen: list) -> None:
    degradation = Degradation(tuple(chosen))
    assert parse(str(degradation)) == degradation
    assert str(parse(str(degradation))) == str(degradation)


@pytest.mark.parametrize(
    "text",
    [
        "lowpass:50", "highpass:100", "band:10:50", "notch:10:50", "band:0.5:2lp/mm", "blur:2", "noise:gaussian:0.1",
        "noise:poisson:0.25", "noise:speckle:0.1", "noise:salt_pepper:0.05", "resolution:64", "clip:0.6", "patch:keep:4",
        "patch:remove:4", "none", "lowpass:50+noise:gaussian:0.1+blur:1.5",
    ],
)  # fmt: skip
def test_every_documented_form_prints_back_as_typed(text: str) -> None:
    assert str(parse(text)) == text


def test_numbers_print_in_their_shortest_form() -> None:
    assert str(parse("band:0.50:12.0")) == "band:0.5:12"


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("band:50:10", 9, "above the low edge 50"),
        ("band:50:50", 9, "above the low edge 50"),
        ("band:10", 8, "high edge above 10"),
        ("band:1:2:3", 10, "the end"),
        ("bond:1", 1, "one of lowpass"),
        ("", 1, "one of lowpass"),
        ("blur:2+", 8, "one of lowpass"),
        ("blur:2++clip:0.5", 8, "one of lowpass"),
        ("clip:0.5+blur:x", 15, "sigma"),
        ("lowpass:0", 9, "above 0"),
        ("lowpass:-3", 9, "above 0"),
        ("lowpass:nan", 9, "above 0"),
        ("lowpass:1e99", 9, "above 0"),
        ("noise:gauss:1", 7, "gaussian"),
        ("noise:poisson:2", 15, "at most 1"),
        ("noise:gaussian", 15, "above 0"),
        ("clip:1.5", 6, "at most 1"),
        ("resolution:0", 12, "whole number"),
        ("resolution:6.5", 12, "whole number"),
        ("resolution:\u0665", 12, "whole number"),
        ("patch:keep:9", 12, "0 to 8"),
        ("patch:swap:1", 7, "keep, remove"),
        ("roi:in:lung", 1, "not available yet"),
    ],
)
def test_an_error_names_the_place_and_what_was_expected(text: str, place: int, expected: str) -> None:
    with pytest.raises(UsageError, match=f"at character {place} expected .*{expected}"):
        parse(text)


@given(st.text(alphabet="lowpashigbndtcur:+.0123456789e-/m ", max_size=30))
def test_any_text_is_read_or_refused_with_a_usage_error(text: str) -> None:
    try:
        degradation = parse(text)
    except UsageError:
        return
    assert parse(str(degradation)) == degradation


def test_it_describes_itself_in_physical_units() -> None:
    assert parse("band:10:50").describe((224, 224)) == "band 10:50 cycles/image = 0.045-0.223 cycles/pixel at 224"
    assert parse("lowpass:25").describe((100, 50)) == "lowpass 25 cycles/image = 0.250 cycles/pixel at 100"
    assert "variance 0.01" in parse("noise:gaussian:0.1").describe()
    assert "mm per pixel" in parse("band:0.5:2lp/mm").describe((64, 64))
    assert CLEAN.describe() == "none"
    assert parse("blur:2+clip:0.5").describe().count(", then ") == 1


def test_the_folder_name_has_no_separators() -> None:
    assert parse("band:0.5:2lp/mm+blur:2").slug == "band-0.5-2lpmm+blur-2"


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).random((3, 40, 31), dtype=np.float32))


def degraded(text: str, images: torch.Tensor, mm: torch.Tensor | None = None, **how: int) -> torch.Tensor:
    return apply(parse(text), images, torch.arange(len(images)), mm, seed=5, **how)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.0, 7.5, 30.0])
def test_blur_is_scipys_gaussian_of_each_image(images: torch.Tensor, sigma: float) -> None:
    ours = degraded(f"blur:{sigma}", images).numpy()
    for image, blurred in zip(images.numpy(), ours, strict=True):
        expected = scipy.ndimage.gaussian_filter(image.astype(np.float64), sigma, truncate=4.0, mode="reflect")
        np.testing.assert_allclose(blurred, expected, atol=1e-6)


def test_blur_does_not_mix_patients(images: torch.Tensor) -> None:
    alone = degraded("blur:2", images[:1])
    torch.testing.assert_close(degraded("blur:2", images)[:1], alone, rtol=0, atol=1e-7)


def test_resolution_averages_areas_exactly_and_comes_back_bilinearly() -> None:
    images = torch.rand(2, 48, 36)
    coarse = images.reshape(2, 16, 3, 12, 3).mean(dim=(2, 4))
    expected = functional.interpolate(coarse[:, None], (48, 36), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(degraded("resolution:16", images), expected, rtol=0, atol=1e-6)


def test_resolution_with_fractional_coverage_keeps_the_mean(images: torch.Tensor) -> None:
    from fastrace.degrade.operations import _resolution_matrix

    down = degraded("resolution:1", images)
    torch.testing.assert_close(down, images.mean(dim=(1, 2), keepdim=True).expand_as(images), rtol=0, atol=1e-6)
    rows = _resolution_matrix(31, 7 / 31, torch.device("cpu")).sum(dim=1)
    torch.testing.assert_close(rows, torch.ones(31, dtype=torch.float64), rtol=0, atol=1e-12)


def test_full_resolution_changes_nothing(images: torch.Tensor) -> None:
    torch.testing.assert_close(degraded("resolution:40", images), images, rtol=0, atol=1e-6)


def test_clip_replaces_bright_values_by_the_level(images: torch.Tensor) -> None:
    np.testing.assert_array_equal(degraded("clip:0.6", images).numpy(), np.minimum(images.numpy(), np.float32(0.6)))


@pytest.mark.parametrize("size", [(224, 224), (10, 31), (3, 4)])
def test_the_nine_tiles_cover_every_pixel_once(size: tuple[int, int]) -> None:
    ones = torch.ones(1, *size)
    tiles = torch.stack([degraded(f"patch:keep:{tile}", ones) for tile in range(9)])
    assert (tiles.sum(dim=0) == 1).all()  # the study's 74-pixel tiles left the last two rows of 224 untouched
    areas = tiles.sum(dim=(1, 2, 3))
    sides = [(round((i + 1) * size[0] / 3) - round(i * size[0] / 3)) for i in range(3)]
    assert max(sides) - min(sides) <= 1
    assert areas.min() > 0


def test_keeping_and_removing_a_tile_are_complements(images: torch.Tensor) -> None:
    together = degraded("patch:keep:4", images) + degraded("patch:remove:4", images)
    assert torch.equal(together, images)
    assert (degraded("patch:remove:0", images)[:, 0, 0] == 0).all()


def test_steps_compose_from_left_to_right(images: torch.Tensor) -> None:
    both = degraded("clip:0.5+blur:1", images)
    assert torch.equal(both, degraded("blur:1", degraded("clip:0.5", images)))
    assert not torch.equal(both, degraded("blur:1+clip:0.5", images))


def test_none_returns_the_images(images: torch.Tensor) -> None:
    assert degraded("none", images) is images


def test_millimetres_without_spacing_are_refused_before_and_during(images: torch.Tensor) -> None:
    degradation = parse("lowpass:1lp/mm")
    with pytest.raises(UsageError, match="unknown for 1 of 3"):
        degradation.check((40, 31), np.array([0.1, np.nan, 0.2]))
    with pytest.raises(UsageError, match="unknown for all"):
        degradation.check((40, 31), None)
    with pytest.raises(UsageError, match="mm per pixel"):
        apply(degradation, images, torch.arange(3), None, seed=0)


def test_a_resolution_above_the_images_is_refused() -> None:
    with pytest.raises(UsageError, match="larger than the images"):
        parse("resolution:64").check((40, 31), None)


def radii(height: int, width: int) -> np.ndarray:
    """Squared DFT radius in cycles/image times min(H, W)^2: integers, so that edges are exact."""
    rows = np.abs(np.round(np.fft.fftfreq(height) * height)).astype(int)[:, None]
    columns = np.abs(np.round(np.fft.fftfreq(width) * width)).astype(int)[None]
    longest = max(height, width)
    return np.hypot(rows * (longest / height), columns * (longest / width))


@pytest.mark.parametrize("text", ["lowpass:5", "highpass:5", "band:3:9", "notch:3:9"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_filters_keep_the_frequencies_they_name(text: str, size: tuple[int, int]) -> None:
    images = torch.from_numpy(np.random.default_rng(2).random((2, *size), dtype=np.float32))
    low, high = {"lowpass:5": (0, 5), "highpass:5": (5, np.inf)}.get(text, (3, 9))
    radius = radii(*size)
    keep = (radius >= low - 1e-9) & (radius < high - 1e-9)
    keep = ~keep if text.startswith("notch") else keep
    expected = np.fft.ifft2(np.fft.fft2(images.numpy().astype(np.float64)) * keep).real
    np.testing.assert_allclose(degraded(text, images).numpy(), expected, atol=2e-6)


def test_line_pairs_are_converted_for_each_image() -> None:
    image = torch.rand(1, 32, 32)
    mm = torch.tensor([0.5, 0.25])
    ours = degraded("lowpass:0.5lp/mm", image.expand(2, -1, -1).contiguous(), mm)
    torch.testing.assert_close(ours[0], degraded("lowpass:8", image)[0])  # 0.5 lp/mm x 0.5 mm x 32 pixels
    torch.testing.assert_close(ours[1], degraded("lowpass:4", image)[0])


@pytest.mark.parametrize("kind", ["gaussian:0.1", "poisson:0.25", "speckle:0.1", "salt_pepper:0.05"])
def test_noise_depends_on_image_seed_and_epoch_but_not_on_the_batch(images: torch.Tensor, kind: str) -> None:
    text = f"noise:{kind}"
    first = degraded(text, images)
    assert torch.equal(first, degraded(text, images))
    assert torch.equal(first[1:2], apply(parse(text), images[1:2], torch.tensor([1]), None, seed=5))
    assert not torch.equal(first, degraded(text, images, epoch=1))
    assert not torch.equal(first, apply(parse(text), images, torch.arange(3), None, seed=6))


def test_two_noises_in_a_row_are_independent() -> None:
    images = torch.full((1, 64, 64), 0.5)
    one = degraded("noise:gaussian:0.1", images) - images
    two = degraded("noise:gaussian:0.1+noise:gaussian:0.1", images) - images
    # Independent: variance 2 sigma^2. The same draw twice would give 4 sigma^2. 4096 pixels: standard error 2 %.
    assert two.var() / one.var() == pytest.approx(2, rel=0.15)
