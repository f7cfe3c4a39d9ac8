"""Stored values -> display values against the standard's vectors, pydicom, highdicom and numpy."""

from __future__ import annotations

from dataclasses import replace

import highdicom
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from fastrace.dicom.display import Display, Lut, Rescale, Window, between, with_robust_range
from fastrace.dicom.voi import VOI_FUNCTIONS
from fastrace.dicom.words import Words, histogram
from fastrace.errors import RejectedInput

FUNCTIONS = sorted(VOI_FUNCTIONS)


@pytest.mark.parametrize(
    ("window", "outputs", "expected"),
    [
        # The examples of PS3.3 C.11.2.1.2.1 (LINEAR) and C.11.2.1.3.2 (LINEAR_EXACT), at and around their limits.
        (Window(2048, 4096), [0, 1, 4094, 4095, -1, 4096], [0, 1 / 4095, 4094 / 4095, 1, 0, 1]),
        (Window(2048, 1), [2047, 2047.5, 2048], [0, 0, 1]),
        (Window(0, 100), [-51, -50, -49, 48, 49, 50], [0, 0, 1 / 99, 98 / 99, 1, 1]),
        (Window(0, 1), [-1, -0.5, 0], [0, 0, 1]),
        (Window(2048, 4096, "LINEAR_EXACT"), [-1, 0, 2048, 4096, 4097], [0, 0, 0.5, 1, 1]),
        (Window(2048, 1, "LINEAR_EXACT"), [2047.5, 2048, 2048.5, 2049], [0, 0.5, 1, 1]),
        (Window(0, 100, "LINEAR_EXACT"), [-50, 0, 25, 50], [0, 0.5, 0.75, 1]),
        # C.11.2.1.3.1: y = 1 / (1 + exp(-4 (x - c) / w))
        (Window(100, 40, "SIGMOID"), [100, 110, 90, 1e9, -1e9], [0.5, 0.7310585786300049, 0.2689414213699951, 1, 0]),
    ],
)
def test_windows_equal_the_vectors_of_the_standard(window: Window, outputs: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(window(np.array(outputs, float)), expected, rtol=0, atol=1e-15)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")  # theirs
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 13, 14, 16])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, -1024), (-1, 4095), (0.234542, 0.5)])
def test_windows_equal_pydicom_and_highdicom(
    bits: int, signed: bool, function: str, slope: float, intercept: float
) -> None:
    words = Words(bits, signed=signed)
    display = Display(words, Rescale(slope, intercept), None, "window_1")
    low, high = display.output_range
    ds = Dataset()
    ds.RescaleSlope, ds.RescaleIntercept, ds.VOILUTFunction = slope, intercept, function
    ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", bits, int(signed)
    for center, width in [(low + (high - low) / 3, (high - low) / 2), (high, (high - low) / 100 + 1), (-40.5, 7.25)]:
        ds.WindowCenter, ds.WindowWidth = round(center, 6), round(width, 6)
        window = Window(float(ds.WindowCenter), float(ds.WindowWidth), function)  # type: ignore[arg-type]
        ours = replace(display, voi=window).table()
        outputs = apply_modality_lut(words.values(), ds)
        theirs = apply_windowing(outputs, ds)
        # pydicom maps to its own idea of the output range, which ignores negative slopes: undo it by that idea.
        span = (1 << bits) - 1
        ymin, ymax = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, span)
        ymin, ymax = ymin * slope + intercept, ymax * slope + intercept
        if slope > 0:
            np.testing.assert_allclose(ours, (theirs - ymin) / (ymax - ymin), rtol=0, atol=1e-9)
        other = highdicom.pixels.apply_voi_window(
            outputs, window.center, window.width, voi_lut_function=function, dtype=np.float64
        )
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-9)
        inverted = replace(display, voi=window, inverted=True).table()
        np.testing.assert_array_equal(inverted, 1 - ours)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("lut_bits", [8, 10, 12, 16])
@pytest.mark.parametrize("entries", [2, 256, 4096, 65536])
def test_voi_luts_equal_pydicom(signed: bool, lut_bits: int, entries: int) -> None:
    first = -700 if signed else 625
    data = np.linspace(3, (1 << lut_bits) - 1, entries).astype(np.uint16)
    words = Words(12, signed=signed)
    lut = Lut(first, data, lut_bits)
    item = Dataset()
    item.LUTDescriptor = [entries % 65536, first, lut_bits]
    item["LUTDescriptor"].VR = "SS" if signed else "US"
    item.LUTData = data.tolist()
    item["LUTData"].VR = "US"
    ds = Dataset()
    ds.VOILUTSequence = [item]
    theirs = apply_voi(words.values(), ds)
    if lut_bits == 8:  # pydicom 3.0 computes the index in the LUT's own 8 bits, where it wraps
        theirs = np.interp(words.values(), np.arange(entries) + first, data)
    ours = Display(words, Rescale(), lut, "voi_lut_1").table()
    np.testing.assert_allclose(ours, theirs / ((1 << lut_bits) - 1), rtol=0, atol=1e-15)


def test_modality_lut_then_voi_works_in_modality_units_like_pydicom() -> None:
    words = Words(12, signed=True)
    data = (np.arange(4096) * 16).astype(np.uint16)
    item = Dataset()
    item.LUTDescriptor = [4096, -2048, 16]
    item["LUTDescriptor"].VR = "SS"
    item.LUTData = data.tolist()
    item["LUTData"].VR = "US"
    ds = Dataset()
    ds.ModalityLUTSequence = [item]
    window = Window(30000, 20000)
    ours = Display(words, Lut(-2048, data, 16), window, "window_1").table()
    theirs = window(apply_modality_lut(words.values(), ds).astype(float))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-15)


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_is_background_after_inversion(inverted: bool) -> None:
    display = Display(Words(8), Rescale(), between(0, 255), "window_1", inverted, padding=(250, 255))
    table = display.table()
    assert (table[250:] == 0).all()
    assert table[249] == pytest.approx(1 - 249 / 255 if inverted else 249 / 255)


def test_padding_of_signed_values_is_found_by_value_not_by_pattern() -> None:
    table = Display(Words(12, signed=True), Rescale(), between(-2048, 2047), "window_1", True, (-2000, -2000)).table()
    assert table[-2000 & 4095] == 0
    assert table[2000] > 0


windows = st.builds(Window, st.floats(-5000, 70000), st.floats(1, 70000), st.sampled_from(["LINEAR", "LINEAR_EXACT"]))


@given(
    st.integers(1, 16),
    st.booleans(),
    st.sampled_from([1.0, -1.0, 0.25, 3.7]),
    st.floats(-3000, 3000),
    windows,
    st.booleans(),
)
def test_affine_is_the_table_wherever_it_is_given(
    bits: int, signed: bool, slope: float, intercept: float, window: Window, inverted: bool
) -> None:
    display = Display(Words(bits, signed=signed), Rescale(slope, intercept), window, "window_1", inverted)
    affine = display.affine()
    if affine is None:
        return
    scale, offset = (np.float32(v) for v in affine)
    shown = np.clip(scale * display.words.values().astype(np.float32) + offset, 0, 1)
    assert np.abs(shown - display.table()).max() < 0.5 / 65535  # float32 arithmetic, as in the kernel


@pytest.mark.parametrize(
    "change",
    [
        {"padding": (0, 0)},
        {"voi": Window(100, 50, "SIGMOID")},
        {"voi": Window(100, 1)},
        {"voi": Lut(0, np.arange(256, dtype=np.uint16), 8)},
        {"modality": Lut(0, np.arange(256, dtype=np.uint16), 8)},
        {"voi": Window(100, 1.001)},
        {"voi": Window(3000, 5e-324, "LINEAR_EXACT")},
    ],
)
def test_no_affine_where_it_would_not_be_exact(change: dict[str, object]) -> None:
    display = replace(Display(Words(12), Rescale(), Window(100, 50), "window_1"), **change)  # type: ignore[arg-type]
    assert display.affine() is None
    table = display.table()
    assert np.isfinite(table).all()
    assert table.min() >= 0
    assert table.max() <= 1


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shift", [0, 3])
def test_robust_range_is_numpys_percentiles_of_pixels_that_are_not_padding(signed: bool, shift: int) -> None:
    rng = np.random.default_rng(1)
    values = np.clip(rng.normal(0 if signed else 2000, 300, (83, 61)), -2048, 4095).astype(np.int64)
    values = np.clip(values, -2048, 2047) if signed else np.clip(values, 0, 4095)
    values[:30] = -2000 if signed else 7
    words = Words(12, shift, signed)
    pixels = ((values & 4095) << shift).astype(np.uint16)
    display = Display(words, Rescale(-0.5, 100), None, "robust_range", padding=(-2000, -2000) if signed else (5, 7))
    outputs = (-0.5 * values + 100)[30:]
    low, high = np.percentile(outputs, (0.5, 99.5), method="inverted_cdf")
    assert with_robust_range(display, pixels).voi == between(low, high)


def test_robust_range_of_an_almost_empty_image_is_its_whole_range() -> None:
    pixels = np.zeros((100, 100), np.uint16)
    pixels[50, 50] = 900
    shown = with_robust_range(Display(Words(12), Rescale(), None, "robust_range"), pixels)
    assert shown.voi == between(0, 900)


def test_robust_range_of_equal_pixels_beside_padding_is_rejected() -> None:
    pixels = np.full((8, 8), 5, np.uint16)
    pixels[0] = 9
    with pytest.raises(RejectedInput, match="equal") as caught:
        with_robust_range(Display(Words(12), Rescale(), None, "robust_range", padding=(9, 9)), pixels)
    assert caught.value.reason == "constant"


@given(st.integers(1, 16), st.integers(0, 4), st.integers(1, 40), st.integers(1, 40))
def test_histogram_counts_every_pixel_once(bits: int, shift: int, rows: int, columns: int) -> None:
    shift = min(shift, 16 - bits)
    pixels = np.random.default_rng(bits).integers(0, 65536, (rows, columns)).astype(np.uint16)
    counts = histogram(pixels, Words(bits, shift))
    expected = np.bincount((pixels.ravel() >> shift) & ((1 << bits) - 1), minlength=1 << bits)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize(
    "display",
    [
        Display(Words(12), Rescale(), Window(2000, 1500), "window_1"),
        Display(Words(12, 2, True), Rescale(1, -1024), Window(40, 400), "window_1", True),
        Display(
            Words(13, signed=True), Rescale(1, -1024), Window(40, 400, "SIGMOID"), "window_1", True, (-2000, -2000)
        ),
        Display(Words(8), Rescale(), Lut(10, np.arange(100, dtype=np.uint16), 8), "voi_lut_1"),
    ],
)
def test_the_window_kernel_shows_the_same_values(display: Display) -> None:
    import torch

    from fastrace.kernels.window import window

    values = display.words.values()
    pattern = np.random.default_rng(0).integers(0, len(values), (33, 47))
    pixels = (pattern << display.words.shift).astype(np.uint8 if display.words.bits <= 8 else np.uint16)
    shown = window([pixels], [display.transfer()], dtype=torch.float32)[0].numpy()
    np.testing.assert_allclose(shown, display.table()[pattern], rtol=0, atol=0.5 / 65535)
