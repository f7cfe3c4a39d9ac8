"""Band-pass: the study's circles as authority, exact edges, physics, every variant against float64."""

from __future__ import annotations

import builtins
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.bandpass import TOLERANCE, Filter, bandpass, bandpass_reference, bandpass_sweep, plans
from fastrace.kernels.radii import NO_EDGE, scaled_edge, scaled_squares

INF = math.inf
SIZES = [
    (1, 1),
    (2, 2),
    (7, 7),
    (1, 9),
    (9, 1),
    (64, 64),
    (223, 223),
    (224, 224),
    (225, 225),
    (33, 40),
    (40, 33),
    (96, 254),  # 2 * 127: a convolution
    (122, 61),  # the largest prime that has a butterfly of its own
    (67, 134),  # and the first without
    (169, 121),
    (256, 1023),
    (512, 75),
]
BANDS = [(0, 1), (0, 5), (0, 10), (5, 10), (10, 50), (50, INF), (200, INF), (0, INF), (7.5, 31.25)]


def images(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random(shape)).to(dtype)


def wave(height: int, width: int, ky: int, kx: int) -> torch.Tensor:
    y, x = np.mgrid[:height, :width]
    return torch.from_numpy(np.cos(2 * np.pi * (ky * y / height + kx * x / width) + 0.3))[None]


# ---- authorities --------------------------------------------------------------------------------------------------


def released_circle(shape: tuple[int, int], diameter: int) -> np.ndarray:
    """The study's draw_circle, restated: strictly inside, on the shifted spectrum; its "diameter" is a radius."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2 < diameter**2


def released_filter(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    spectrum = np.fft.fftshift(np.fft.fft2(image)) * mask
    return np.fft.ifft2(np.fft.ifftshift(spectrum)).real


@pytest.mark.parametrize("n", [64, 224])
@pytest.mark.parametrize("t", [1, 5, 10, 25, 50, 75, 100, 125, 150, 200])
def test_low_and_high_pass_are_the_released_codes_circles(n: int, t: int) -> None:
    image = images(1, n, n, dtype=torch.float64)
    circle = released_circle((n, n), t)
    for low, high, mask in ((0, t, circle), (t, INF, ~circle)):
        expected = released_filter(image[0].numpy(), mask)
        assert np.abs(bandpass(image, Filter(low, high))[0].numpy() - expected).max() < 1e-12
        assert np.abs(bandpass_reference(image.numpy(), Filter(low, high))[0] - expected).max() < 1e-12


@pytest.mark.parametrize(("inner", "outer"), [(10, 25), (10, 150), (25, 50), (50, 100), (125, 150)])
def test_band_and_notch_are_the_released_codes_rings(inner: int, outer: int) -> None:
    image = images(1, 224, 224, dtype=torch.float64)
    ring = released_circle((224, 224), outer) & ~released_circle((224, 224), inner)
    for complement, mask in ((False, ring), (True, ~ring)):
        expected = released_filter(image[0].numpy(), mask)
        assert np.abs(bandpass(image, Filter(inner, outer, complement=complement))[0].numpy() - expected).max() < 1e-12


@pytest.mark.parametrize(("t", "kept"), [(1, 1), (5, 69), (10, 305), (25, 1941), (50, 7825)])
def test_low_passes_keep_the_published_number_of_coefficients(t: int, kept: int) -> None:
    assert Filter(0, t).gain(224, 224).sum() == kept


# ---- edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "ky", "kx", "radius"),
    [
        (64, 64, 6, 8, 10),
        (224, 224, 30, 40, 50),
        (224, 224, 40, 30, 50),
        (20, 40, 3, 8, 10),
        (40, 20, 8, 3, 10),
        (225, 225, 7, 24, 25),
    ],
)
def test_a_wave_on_the_edge_belongs_to_the_band_above_it(
    height: int, width: int, ky: int, kx: int, radius: int
) -> None:
    on_edge = wave(height, width, ky, kx)
    for shape_of_spectrum in (on_edge, wave(height, width, height - ky, kx)):
        assert bandpass(shape_of_spectrum, Filter(0, radius)).abs().max() < 1e-12
        assert (bandpass(shape_of_spectrum, Filter(radius, INF)) - shape_of_spectrum).abs().max() < 1e-12
        assert (
            bandpass(shape_of_spectrum, Filter(0, math.nextafter(radius, INF))) - shape_of_spectrum
        ).abs().max() < 1e-12
        assert bandpass(shape_of_spectrum, Filter(math.nextafter(radius, INF), INF)).abs().max() < 1e-12


@given(height=st.integers(1, 40), width=st.integers(1, 40), ky=st.integers(0, 20), kx=st.integers(0, 20))
def test_squared_radii_are_those_of_the_frequencies(height: int, width: int, ky: int, kx: int) -> None:
    ky, kx = min(ky, height // 2), min(kx, width // 2)
    radius = max(height, width) * math.hypot(ky / height, kx / width)
    square = int(scaled_squares(height, width)[ky, kx])
    assert math.sqrt(square) / min(height, width) == pytest.approx(radius, rel=1e-12)


@given(
    square=st.integers(0, 2**62),
    cutoff=st.floats(0, 1e6) | st.integers(0, 10**6).map(float),
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
)
def test_comparing_with_the_integer_edge_is_comparing_with_the_real_one(
    square: int, cutoff: float, height: int, width: int
) -> None:
    edge = scaled_edge(cutoff, height, width)
    exact = (Fraction(cutoff) * min(height, width)) ** 2
    for candidate in {square, min(edge, 2**62) - 1, min(edge, 2**62)}:  # no squared radius is larger
        assert (candidate < edge) == (candidate < exact)


def test_cutoffs_beyond_every_frequency_are_handled() -> None:
    assert scaled_edge(INF, 224, 224) == NO_EDGE
    assert scaled_edge(1e300, 224, 224) == NO_EDGE
    image = images(1, 32, 32)
    assert torch.equal(bandpass(image, Filter(0, INF)), image)
    assert torch.equal(bandpass(image, Filter(1e9, INF)), torch.zeros_like(image))
    assert torch.equal(bandpass(image, Filter(1e9, INF, complement=True)), image)
    assert (bandpass(image, Filter(0, 1e300)) - image).abs().max() < TOLERANCE[torch.float32]


# ---- physics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(224, 224), (225, 200), (64, 63)])
@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 30), (30, INF)])
def test_no_energy_outside_the_band(height: int, width: int, low: float, high: float) -> None:
    image = images(1, height, width)
    radii = np.sqrt(scaled_squares(height, width)) / min(height, width)
    outside = (radii < low) | (radii >= high)
    energy = np.abs(np.fft.fft2(bandpass(image, Filter(low, high))[0].double().numpy())) ** 2
    assert energy[outside].sum() < 1e-6 * float((image.double() ** 2).sum()) * height * width


def test_brightness_is_kept_from_zero_on_and_removed_above() -> None:
    image = images(3, 50, 60)
    for kept in (
        bandpass(image, Filter(0, 5)),
        bandpass(image, Filter(5, 9, complement=True)),
    ):
        assert torch.allclose(kept.mean((1, 2)), image.mean((1, 2)), atol=1e-6)
    for removed in (bandpass(image, Filter(1, INF)), bandpass(image, Filter(5, 9))):
        assert removed.mean((1, 2)).abs().max() < 1e-6


def test_neighbouring_bands_add_up_to_the_image() -> None:
    image = images(2, 61, 80)
    edges = [0, 3.5, 10, 22, INF]
    parts = [bandpass(image, Filter(a, b)) for a, b in itertools.pairwise(edges)]
    assert (sum(parts) - image).abs().max() < 4 * TOLERANCE[torch.float32]
    band, notch = bandpass(image, Filter(5, 20)), bandpass(image, Filter(5, 20, complement=True))
    assert (band + notch - image).abs().max() < 2 * TOLERANCE[torch.float32]


def test_linear_shift_equivariant_and_on_squares_rotation_equivariant() -> None:
    x, y = images(1, 48, 48), images(2, 48, 48)[1:]
    f = lambda image: bandpass(image, Filter(4, 15))  # noqa: E731
    assert (f(2 * x - 3 * y) - (2 * f(x) - 3 * f(y))).abs().max() < 5e-6
    assert (f(x.roll((5, -7), (1, 2))) - f(x).roll((5, -7), (1, 2))).abs().max() < 2e-6
    assert (f(x.rot90(1, (1, 2))) - f(x).rot90(1, (1, 2))).abs().max() < 2e-6


# ---- agreement ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_cpu_kernel_agrees_with_the_float64_reference(height: int, width: int) -> None:
    image = images(2, height, width, dtype=torch.float64)
    for low, high in BANDS:
        for complement in (False, True):
            expected = bandpass_reference(image.numpy(), Filter(low, high, complement=complement))
            for dtype, tolerance in TOLERANCE.items():
                got = bandpass(image.to(dtype), Filter(low, high, complement=complement))
                assert got.dtype == dtype
                assert np.abs(got.double().numpy() - expected).max() < tolerance, (low, high, complement, dtype)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    low=st.floats(0, 30),
    step=st.floats(1e-3, 30) | st.just(INF),
    complement=st.booleans(),
)
def test_any_size_and_band_agree(height: int, width: int, low: float, step: float, complement: bool) -> None:
    image = images(1, height, width, dtype=torch.float64)
    got = bandpass(image, Filter(low, low + step, complement=complement))
    expected = bandpass_reference(image.numpy(), Filter(low, low + step, complement=complement))
    assert np.abs(got.numpy() - expected).max() < TOLERANCE[torch.float64]


def test_each_image_can_have_its_own_cut_offs() -> None:
    batch = images(2, 3, 30, 40)
    lows, highs = torch.tensor([0.0, 0.0, 2.0, 3.5, 5.0, 7.0]), torch.tensor([3.0, INF, 9.0, INF, 11.0, 7.25])
    got = bandpass(batch, Filter(lows, highs)).reshape(6, 30, 40)
    for image, low, high, one in zip(batch.reshape(6, 30, 40), lows, highs, got, strict=True):
        assert torch.equal(bandpass(image, Filter(low.item(), high.item())), one)
    expected = bandpass_reference(batch.numpy(), Filter(lows.numpy(), highs.numpy()))
    assert np.abs(got.reshape(batch.shape).numpy() - expected).max() < TOLERANCE[torch.float32]
    assert torch.equal(bandpass(batch, Filter(2.0, highs + 1))[0, 2], bandpass(batch[0, 2], Filter(2.0, 10.0)))


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (30, 41), (64, 64), (67, 33)])
def test_a_sweep_is_each_of_its_filters(size: tuple[int, int]) -> None:
    batch = images(2, 2, *size)
    bands = [(0.0, 1.0), (0.0, 4.0), (3.0, 9.5), (12.0, INF), (0.0, INF), (900.0, INF)]
    for complement in (False, True):
        swept = bandpass_sweep(batch, [Filter(*band, complement) for band in bands])
        assert swept.shape == (2, 2, 6, *size)
        for k, (low, high) in enumerate(bands):
            assert torch.equal(swept[:, :, k], bandpass(batch, Filter(low, high, complement=complement)))


def test_a_sweep_of_nothing_of_one_image_and_on_many_threads() -> None:
    image, bands, threads = images(96, 130), [Filter(t, t + 5) for t in range(40)], torch.get_num_threads()
    swept = bandpass_sweep(image, bands)
    assert bandpass_sweep(image, []).shape == (0, 96, 130)
    assert bandpass_sweep(images(0, 8, 8), bands).shape == (0, 40, 8, 8)
    assert bandpass_sweep(images(3, 0, 8), bands).shape == (3, 40, 0, 8)
    try:
        torch.set_num_threads(3)
        assert torch.equal(bandpass_sweep(image, bands), swept)
        assert torch.equal(bandpass_sweep(image.expand(7, 96, 130), bands)[6], swept)
    finally:
        torch.set_num_threads(threads)
    with pytest.raises(UsageError, match="low <= r < high"):
        bandpass_sweep(image, [Filter(0, 5), Filter(5, 5)])
    for mixed in ([Filter(0, 5), Filter(0, 5, complement=True)], [Filter(0, torch.tensor([5.0]))]):
        with pytest.raises(UsageError, match="in numbers, all of them bands or all notches"):
            bandpass_sweep(image, mixed)


def test_an_image_does_not_depend_on_its_batch_or_the_number_of_threads() -> None:
    batch, threads = images(25, 96, 130), torch.get_num_threads()
    together = bandpass(batch, Filter(5, 20))
    assert all(torch.equal(bandpass(image, Filter(5, 20)), one) for image, one in zip(batch, together, strict=True))
    try:
        torch.set_num_threads(3)
        assert torch.equal(bandpass(batch, Filter(5, 20)), together)
        lows = torch.full((25,), 5.0)
        assert torch.equal(bandpass(batch, Filter(lows, 20.0)), together)
    finally:
        torch.set_num_threads(threads)


def test_leading_dimensions_strides_and_empty_batches() -> None:
    batch = images(2, 3, 20, 24)
    flat = bandpass(batch.reshape(6, 20, 24), Filter(2, 6))
    assert torch.equal(bandpass(batch, Filter(2, 6)), flat.reshape(batch.shape))
    assert torch.equal(bandpass(batch[0, 0], Filter(2, 6)), flat[0])
    turned = batch.transpose(2, 3)
    assert torch.equal(bandpass(turned, Filter(2, 6)), bandpass(turned.contiguous(), Filter(2, 6)))
    for shape in ((0, 8, 8), (2, 0, 8), (3, 8, 0)):
        assert bandpass(torch.zeros(shape), Filter(2, 6)).shape == shape


def test_nan_does_not_vanish() -> None:
    image = images(1, 20, 20)
    image[0, 3, 3] = float("nan")
    for low, high in ((0, 3), (3, 6), (3, INF), (500, INF)):
        assert bandpass(image, Filter(low, high)).isnan().any()
    for low, high in ((0, 3), (3, 6), (3, INF)):
        assert bandpass(image, Filter(low, high)).isnan().all()
    batch = torch.cat([images(1, 20, 20), image])
    assert torch.equal(bandpass(batch, Filter(0, 3))[0], bandpass(batch[:1], Filter(0, 3))[0])


@pytest.mark.parametrize("extreme", [1e30, -1e30, 1e-38, INF])
def test_extremes_follow_arithmetic(extreme: float) -> None:
    image = images(1, 33, 40, dtype=torch.float64)
    if math.isinf(extreme):
        image[0, 3, 3] = extreme
        assert not bandpass(image.float(), Filter(2, 9)).isfinite().any()
        return
    expected = bandpass_reference(image.numpy(), Filter(2, 9)) * extreme
    got = bandpass((image * extreme).float(), Filter(2, 9)).double().numpy()
    assert np.abs(got - expected).max() < TOLERANCE[torch.float32] * abs(extreme) + 1e-44


def test_the_input_is_left_alone() -> None:
    image = images(1, 20, 20)
    before = image.clone()
    for low, high in ((0, 3), (3, INF), (0, INF)):
        bandpass(image, Filter(low, high)).add_(1)
        assert torch.equal(image, before)


# ---- contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(5, 5), (9, 5), (-1, 5), (math.nan, 5), (0, math.nan), (INF, INF), (0, 0)])
def test_bands_that_keep_nothing_or_are_no_number_are_refused(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="low <= r < high"):
        bandpass(images(1, 8, 8), Filter(low, high))
    with pytest.raises(UsageError, match="low <= r < high"):
        bandpass(images(1, 8, 8), Filter(torch.tensor([low]), torch.tensor([high])))
    with pytest.raises(UsageError, match="low <= r < high"):
        bandpass_reference(np.zeros((1, 8, 8)), Filter(low, high))


def test_wrong_arguments_are_named() -> None:
    image = images(2, 8, 8)
    with pytest.raises(UsageError, match=r"float32 or float64, not .* torch.float16"):
        bandpass(image.half(), Filter(0, 5))
    with pytest.raises(UsageError, match=r"one cut-off per image is a tensor \[2\], not \[3\]"):
        bandpass(image, Filter(torch.zeros(3), 5.0))
    with pytest.raises(UsageError, match=r"up to 2\^31 pixels"):
        bandpass(torch.empty(1, 2**16, 2**16, device="meta"), Filter(0, 5))


def test_without_cupy_the_error_on_a_gpu_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "cupy":
            raise ImportError("No module named 'cupy'")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendMissing, match=r"pip install 'fastrace\[cuda\]'"):
        plans.import_cupy()


LOWS, HIGHS = torch.tensor([0.0, 2.0], dtype=torch.float64), torch.tensor([4.0, INF], dtype=torch.float64)


def test_the_operations_pass_opcheck() -> None:
    image = images(2, 9, 12).requires_grad_()
    torch.library.opcheck(torch.ops.fastrace.bandpass, (image, 2.0, INF, False))
    torch.library.opcheck(torch.ops.fastrace.bandpass_each, (image, LOWS, HIGHS, True))
    torch.library.opcheck(torch.ops.fastrace.bandpass_sweep, (image, LOWS, HIGHS, False))


def test_the_gradient_is_the_filter_itself() -> None:
    image = images(2, 7, 10, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: bandpass(x, Filter(1, 3)), (image,))
    assert torch.autograd.gradcheck(lambda x: bandpass(x, Filter(LOWS, HIGHS, complement=True)), (image,))
    assert torch.autograd.gradcheck(lambda x: bandpass_sweep(x, [Filter(0, 2), Filter(1, 3), Filter(2, INF)]), (image,))
    assert torch.autograd.gradgradcheck(lambda x: bandpass(x, Filter(1, 3)) ** 2, (image,))
    upstream = images(4, 7, 10, dtype=torch.float64)[2:]
    (gradient,) = torch.autograd.grad(bandpass(image, Filter(1, 3)), image, upstream)
    assert torch.equal(gradient, bandpass(upstream, Filter(1, 3)))


def test_the_short_way_is_taken_only_without_gradient_or_compiler() -> None:
    image = images(1, 9, 10)
    with FakeTensorMode() as mode:
        assert bandpass(mode.from_tensor(image), Filter(1, 3)).shape == image.shape
    with torch.no_grad():
        assert torch.equal(bandpass(image.clone().requires_grad_(), Filter(1, 3)), bandpass(image, Filter(1, 3)))
    assert bandpass(image.clone().requires_grad_(), Filter(1, 3)).requires_grad


def test_torch_compile_traces_through_without_a_break() -> None:
    @torch.compile(fullgraph=True)
    def step(image: torch.Tensor, low: Any, high: Any) -> torch.Tensor:
        return torch.relu(bandpass(image * 2, Filter(low, high)) - 0.1).sum()

    image = images(2, 16, 20)
    for low, high in ((0.0, 4.0), (2.0, INF), (LOWS, HIGHS)):
        eager, compiled = image.clone().requires_grad_(), image.clone().requires_grad_()
        expected = torch.relu(bandpass(eager * 2, Filter(low, high)) - 0.1).sum()
        got = step(compiled, low, high)
        assert got.item() == pytest.approx(expected.item(), rel=1e-6)
        got.backward()
        expected.backward()
        assert torch.allclose(compiled.grad, eager.grad, atol=1e-6)
