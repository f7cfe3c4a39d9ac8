"""The float64 reference against other people's answers, and every kernel against the reference."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from fastrace.kernels.window import (
    CUDA_TOLERANCE,
    LANCZOS_TOLERANCE,
    TOLERANCE,
    Box,
    Transfer,
    window,
    window_reference,
)
from fastrace.kernels.window.plan import make_plan

FULL = {torch.uint8: 255, torch.uint16: 65535}
DTYPES = (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32)
BOUND = {"cpp": TOLERANCE, "interpreted": TOLERANCE, "cuda": CUDA_TOLERANCE}
LANCZOS_BOUND = {"cpp": LANCZOS_TOLERANCE, "interpreted": LANCZOS_TOLERANCE, "cuda": 2 * CUDA_TOLERANCE}
VARIANTS = ("cpp", "interpreted", pytest.param("cuda", marks=pytest.mark.gpu))


def run(
    variant: str, images: Sequence[Any], transfers: Sequence[Transfer], size: Any = None, **rest: Any
) -> np.ndarray:
    if variant == "cpp":
        return plain(window(images, transfers, size, **rest))
    if variant == "cuda":
        return plain(window([torch.as_tensor(image).cuda() for image in images], transfers, size, **rest).cpu())
    import triton

    cuda = pytest.importorskip("fastrace.kernels.window.cuda")
    if isinstance(cuda._same_kernel, triton.JITFunction):
        pytest.skip("Triton does not interpret in this process: TRITON_INTERPRET=1 was not set before it was imported")
    places = (rest.get(k) for k in ("crops", "boxes", "flips"))
    plan = make_plan(
        images, transfers, size, *places, rest["dtype"], resize=rest.get("resize", "area"), one_buffer=True
    )
    return plain(
        cuda.launch(
            plan.words[0], plan.geometry, plan.affine, plan.tables, plan.height, plan.width, plan.dtype, plan.hints
        )
    )


def plain(out: torch.Tensor) -> np.ndarray:
    """As numpy, which has no bfloat16."""
    return (out.float() if out.dtype == torch.bfloat16 else out).numpy()


def assert_agrees(
    got: np.ndarray, exact: np.ndarray, dtype: torch.dtype, tolerance: float = TOLERANCE, variant: str = "cpp"
) -> None:
    """Floats within the tolerance; integers equal but for verified flips: one step, at a rounding edge, either way."""
    if dtype == torch.float32:
        np.testing.assert_allclose(got, exact, rtol=0, atol=tolerance)
    elif dtype == torch.bfloat16:  # half a step; Triton's interpreter truncates, a GPU does not
        np.testing.assert_allclose(got, exact, rtol=2**-7 if variant == "interpreted" else 2**-8, atol=tolerance)
    elif dtype == torch.float16:
        np.testing.assert_allclose(got.astype(float), exact, rtol=2**-11, atol=2**-25 + tolerance)
    else:
        scaled = exact * FULL[dtype] + 0.5
        difference = got.astype(np.int64) - np.floor(scaled).astype(np.int64)
        flips = difference != 0
        assert np.all(np.abs(difference) <= 1)
        assert np.all(np.abs(scaled - np.rint(scaled))[flips] <= tolerance * FULL[dtype])


def random_words(rng: np.random.Generator, h: int, w: int, dtype: type = np.uint16) -> np.ndarray:
    return rng.integers(0, np.iinfo(dtype).max, (h, w), dtype, endpoint=True)


# ---- the reference against others ----------------------------------------------------------------------------------


def voi(center: float, width: float, function: str, signed: bool, slope: float, intercept: float) -> Dataset:
    ds = Dataset()
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = center, width, function
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    ds.BitsStored, ds.BitsAllocated, ds.PixelRepresentation = 12, 16, int(signed)
    ds.PhotometricInterpretation = "MONOCHROME2"
    return ds


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("center", "width"), [(40.0, 400.0), (-600.0, 1500.0), (2047.5, 4096.0), (100.25, 81.5)])
def test_reference_windows_as_pydicom_does(center: float, width: float, signed: bool) -> None:
    slope, intercept = 1.0, -1024.0 if not signed else 0.0
    pattern = np.arange(4096, dtype=np.uint16)
    value = np.where(pattern < 2048, pattern, pattern.astype(int) - 4096) if signed else pattern.astype(int)
    ds = voi(center, width, "LINEAR", signed, slope, intercept)
    theirs = apply_windowing(apply_modality_lut(value.astype(np.int16), ds), ds)
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), clipped
    transfer = Transfer(
        12, signed=signed, scale=slope / (width - 1), offset=(intercept - center + 0.5) / (width - 1) + 0.5
    )
    ours = window_reference([pattern[None]], [transfer], dtype=None)[0, 0]
    low, high = (-2048, 2047) if signed else (intercept, 4095 + intercept)  # pydicom's output range follows BitsStored
    np.testing.assert_allclose(ours, (theirs - low) / (high - low), atol=1e-12)


def test_a_table_is_a_voi_lut_sequence_as_pydicom_applies_it() -> None:
    rng = np.random.default_rng(1)
    ds = voi(0, 1, "LINEAR", False, 1, 0)
    item = Dataset()
    entries = np.sort(rng.integers(0, 1 << 14, 4096)).astype(np.uint16)
    item.LUTDescriptor, item.LUTData = [4096, 0, 14], entries.tolist()
    ds.VOILUTSequence = [item]
    ds["VOILUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    ds["VOILUTSequence"].value[0]["LUTData"].VR = "US"
    words = random_words(rng, 16, 16) & 4095
    theirs = apply_voi(words, ds) / ((1 << 14) - 1)
    table = (entries / np.float32((1 << 14) - 1)).astype(np.float32)
    ours = window_reference([words], [Transfer(12, table=table)], dtype=None)[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-7)


@pytest.mark.parametrize(
    ("h", "w", "to"), [(7, 5, (3, 2)), (6, 9, (4, 6)), (3, 4, (7, 9)), (5, 5, (5, 2)), (1, 8, (1, 3))]
)
def test_area_average_is_the_mean_over_a_finely_replicated_image(h: int, w: int, to: tuple[int, int]) -> None:
    words = random_words(np.random.default_rng(h * w), h, w)
    display = np.clip(words / 40000.0, 0, 1)
    fine = np.repeat(np.repeat(display, to[0], 0), to[1], 1)  # every output now covers whole replicas
    exact = fine.reshape(to[0], h, to[1], w).mean((1, 3))
    ours = window_reference([words], [Transfer(16, scale=1 / 40000)], to, dtype=None)[0]
    np.testing.assert_allclose(ours, exact, atol=1e-12)


def test_reference_resizes_as_opencv_area_does() -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is an extra (bench)")
    display = np.random.default_rng(5).random((101, 67))
    words = np.floor(display * 65535).astype(np.uint16)
    theirs = cv2.resize(words / 65535.0, (29, 37), interpolation=cv2.INTER_AREA)
    ours = window_reference([words], [Transfer(16, scale=1 / 65535)], (37, 29), dtype=None)[0]
    np.testing.assert_allclose(ours, theirs, atol=2e-6)  # their weights are float32


RESIZED = [((101, 67), (37, 29)), ((37, 29), (101, 67)), ((97, 89), (31, 89)), ((89, 97), (89, 233)), ((60, 59), (61, 58)),
           ((211, 13), (7, 13)), ((64, 48), (16, 24)), ((5, 3), (2, 1)), ((1, 7), (1, 3)), ((7, 5), (11, 17))]  # fmt: skip


def binary(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Full contrast at every pixel: the lobes overshoot as far as they can."""
    return (rng.random((h, w)) < 0.5).astype(np.uint16) * np.uint16(65535)


@pytest.mark.parametrize(("size", "to"), RESIZED)
def test_reference_resizes_as_pillow_lanczos_does(size: tuple[int, int], to: tuple[int, int]) -> None:
    rng = np.random.default_rng(size)
    for words in (random_words(rng, *size), binary(rng, *size)):
        display = Image.fromarray((words / 65535).astype(np.float32))  # mode F
        theirs = np.asarray(display.resize(to[::-1], Image.Resampling.LANCZOS)).clip(0, 1)
        ours = window_reference([words], [Transfer(16, scale=1 / 65535)], to, dtype=None, resize="lanczos")[0]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-7)  # they keep float32 between rows and columns


def test_reference_rounds_to_bfloat16_as_torch_does() -> None:
    table = np.linspace(0, 1, 1 << 16, dtype=np.float32)
    table[::2] = np.arange(0x3C00_8000, 0x3C00_8000 + (1 << 15 << 10), 1 << 10, dtype=np.uint32).view(
        np.float32
    )  # ties
    words = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    ours = window_reference([words], [Transfer(16, table=table)], dtype=torch.bfloat16)[0].ravel()
    np.testing.assert_array_equal(ours, torch.from_numpy(table).bfloat16().float().numpy())
    np.testing.assert_array_equal(
        run("cpp", [words], [Transfer(16, table=table)], dtype=torch.bfloat16)[0].ravel(), ours
    )


# ---- every kernel against the reference ----------------------------------------------------------------------------

TABLE12 = (np.sin(np.linspace(0, 9, 4096)) ** 2).astype(np.float32)
TRANSFERS = {
    "narrow": Transfer(12, scale=1 / 80, offset=-25.3),
    "full": Transfer(16, scale=1 / 65535),
    "inverted": Transfer(12, scale=-1 / 4095, offset=1.0),
    "signed": Transfer(13, signed=True, scale=1 / 400, offset=0.4),
    "shifted": Transfer(10, shift=4, signed=True, scale=1 / 900, offset=0.5),
    "one bit": Transfer(1),
    "step": Transfer(12, scale=1e9, offset=-2000.5e9),
    "table": Transfer(12, table=TABLE12),
    "shifted table": Transfer(12, shift=3, table=TABLE12),
    "signed table": Transfer(12, signed=True, table=TABLE12),
}
SIZES = [((17, 23), (17, 23)), ((37, 53), (13, 7)), ((40, 64), (8, 16)), ((1, 1), (1, 1)), ((1, 97), (1, 10)),
         ((89, 1), (8, 1)), ((5, 6), (11, 17)), ((61, 59), (60, 58)), ((3, 2), (3, 9)), ((48, 80), (33, 80))]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", TRANSFERS)
def test_every_kernel_is_the_reference(variant: str, dtype: torch.dtype, name: str) -> None:
    sizes = SIZES if variant != "interpreted" else SIZES[:2]
    for (h, w), to in sizes:
        words = random_words(np.random.default_rng([h, w]), h, w)
        exact = window_reference([words], [TRANSFERS[name]], to, dtype=None)
        got = run(variant, [words], [TRANSFERS[name]], to, dtype=dtype)
        assert_agrees(got, exact, dtype, BOUND[variant], variant)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("size", "to"), SIZES)
def test_every_kernel_is_the_reference_at_every_size(variant: str, size: tuple[int, int], to: tuple[int, int]) -> None:
    rng = np.random.default_rng(size)
    for dtype, transfer in ((np.uint16, TRANSFERS["inverted"]), (np.uint8, Transfer(7, shift=1, scale=1 / 100))):
        words = random_words(rng, *size, dtype)
        exact = window_reference([words], [transfer], to, dtype=None)
        assert_agrees(run(variant, [words], [transfer], to, dtype=torch.uint16), exact, torch.uint16, BOUND[variant])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kernel_resizes_by_lanczos_as_the_reference_does(variant: str) -> None:
    whole = Transfer(16, scale=1 / 65535)
    interpreted = variant == "interpreted"  # a second for each image
    for size, to in RESIZED[-4:] if interpreted else RESIZED:
        rng = np.random.default_rng(size)
        for words, transfer in ((binary(rng, *size), whole), (random_words(rng, *size), TRANSFERS["table"])):
            for dtype in (torch.uint8,) if interpreted else DTYPES:
                exact = window_reference([words], [transfer], to, dtype=None, resize="lanczos")
                got = run(variant, [words], [transfer], to, dtype=dtype, resize="lanczos")
                assert_agrees(got, exact, dtype, LANCZOS_BOUND[variant], variant)
            if interpreted:
                got = run(variant, [words], [transfer], to, dtype=torch.float32, resize="lanczos")
                assert_agrees(got, exact, torch.float32, LANCZOS_BOUND[variant], variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_lanczos_neither_over_nor_undershoots_display_values(variant: str) -> None:
    words = np.zeros((24, 24), np.uint16)
    words[:, 12:] = 65535
    whole = [Transfer(16, scale=1 / 65535)]
    got = run(variant, [words], whole, (9, 17), dtype=torch.float32, resize="lanczos")
    assert got.min() == 0.0
    assert got.max() == 1.0
    sixteen = run(variant, [words], whole, (9, 17), dtype=torch.uint16, resize="lanczos")
    np.testing.assert_array_equal(sixteen, np.floor(got * np.float32(65535) + 0.5))


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(1, 4))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 40))
    images, transfers, crops, boxes, flips = [], [], [], [], []
    for _ in range(n):
        h, w = draw(st.integers(1, 70)), draw(st.integers(1, 70))
        kind = draw(st.sampled_from([np.uint8, np.uint16]))
        word_bits = 8 if kind is np.uint8 else 16
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        pitch = w + draw(st.integers(0, 9))
        images.append(random_words(rng, h, pitch, kind)[:, :w])
        bits = draw(st.integers(1, word_bits))
        shift = draw(st.integers(0, word_bits - bits))
        if draw(st.booleans()):
            transfers.append(Transfer(bits, shift, draw(st.booleans()), table=rng.random(1 << bits, np.float32)))
        else:
            centre, breadth = draw(st.floats(-40000, 70000)), draw(st.floats(0.5, 70000))
            sign = draw(st.sampled_from([-1, 1]))
            transfers.append(
                Transfer(bits, shift, draw(st.booleans()), scale=sign / breadth, offset=0.5 - sign * centre / breadth)
            )
        top, left = draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1))
        crops.append(draw(st.none() | st.just(Box(top, left, h - top, w - left))))
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        boxes.append(draw(st.none() | st.just(Box(top, left, height - top, width - left))))
        flips.append(draw(st.booleans()))
    return {
        "images": images,
        "transfers": transfers,
        "size": (height, width),
        "crops": crops,
        "boxes": boxes,
        "flips": flips,
        "dtype": draw(st.sampled_from(DTYPES)),
        "resize": draw(st.sampled_from(["area", "lanczos"])),
    }


@given(batches())
@settings(max_examples=150, deadline=None)
def test_cpp_is_the_reference_on_any_batch(batch: dict[str, Any]) -> None:
    exact = window_reference(**{**batch, "dtype": None})
    bound = LANCZOS_BOUND if batch["resize"] == "lanczos" else BOUND
    assert_agrees(run("cpp", **batch), exact, batch["dtype"], bound["cpp"])


@pytest.mark.no_cover
@given(batches())
@settings(max_examples=12, deadline=None)
def test_triton_is_the_reference_on_any_batch(batch: dict[str, Any]) -> None:
    exact = window_reference(**{**batch, "dtype": None})
    bound = LANCZOS_BOUND if batch["resize"] == "lanczos" else BOUND
    assert_agrees(run("interpreted", **batch), exact, batch["dtype"], bound["interpreted"], "interpreted")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("resize", ["area", "lanczos"])
def test_a_ragged_batch_with_crops_boxes_and_flips_is_the_reference(variant: str, resize: str) -> None:
    rng = np.random.default_rng(15)
    shapes = [(40, 33, np.uint16), (1, 19, np.uint8), (23, 1, np.uint16), (17, 64, np.uint16)]
    batch: dict[str, Any] = {
        "images": [random_words(rng, h, w, kind) for h, w, kind in shapes],
        "transfers": [
            TRANSFERS["shifted"],
            Transfer(7, shift=1, scale=1 / 100),
            TRANSFERS["table"],
            TRANSFERS["signed"],
        ],
        "size": (9, 14),
        "crops": [Box(3, 5, 31, 27), None, Box(2, 0, 20, 1), Box(4, 3, 9, 14)],
        "boxes": [None, Box(2, 1, 5, 12), Box(0, 3, 9, 2), None],
        "flips": [True, False, False, True],
        "resize": resize,
    }
    bound = LANCZOS_BOUND if resize == "lanczos" else BOUND
    exact = window_reference(**batch, dtype=None)
    for dtype in DTYPES:
        assert_agrees(run(variant, **batch, dtype=dtype), exact, dtype, bound[variant], variant)


@pytest.mark.parametrize("to", [(480, 512), (160, 171), (211, 97)])
def test_rounding_flips_are_rare_and_unbiased(to: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    words = random_words(rng, 480, 512)
    up, down, pixels = [], [], 0
    for breadth, dark in zip(rng.uniform(30000, 70000, 12), rng.uniform(-0.1, 0.1, 12), strict=True):
        transfer = Transfer(16, scale=1 / breadth, offset=dark)
        exact = np.floor(window_reference([words], [transfer], to, dtype=None) * 65535 + 0.5)
        difference = run("cpp", [words], [transfer], to, dtype=torch.uint16).astype(np.int64) - exact.astype(np.int64)
        up.append(int((difference > 0).sum()))
        down.append(int((difference < 0).sum()))
        pixels += difference.size
    assert sum(up) + sum(down) <= 0.004 * pixels
    assert abs(sum(up) - sum(down)) <= 0.002 * pixels  # a mean shift of 3e-8 of display: float32 cannot hold 1/3


def test_sums_over_millions_of_pixels_do_not_drift() -> None:
    words = random_words(np.random.default_rng(4), 4096, 4096)
    words[::2] |= 0x8000
    transfer = Transfer(16, scale=1 / 65535)
    exact = words.mean() / 65535
    got = window([words], [transfer], (1, 1), dtype=torch.float32)
    assert abs(float(got) - exact) <= TOLERANCE
    constant = np.full((4096, 4096), 13107, np.uint16)
    assert int(window([constant], [transfer], (1, 1))) == 13107


# ---- physics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_even_image_stays_even_at_any_size(variant: str) -> None:
    for value in (0, 1, 1000, 65534, 65535):
        words = np.full((31, 47), value, np.uint16)
        for to in ((31, 47), (7, 11), (50, 90)):
            assert np.all(run(variant, [words], [Transfer(16, scale=1 / 65535)], to, dtype=torch.uint16) == value)


def test_averaging_keeps_the_mean_brightness() -> None:
    words = random_words(np.random.default_rng(6), 333, 256)
    small = window([words], [Transfer(16, scale=1 / 65535)], (37, 19), dtype=torch.float32)
    assert float(small.double().mean()) == pytest.approx(words.mean() / 65535, abs=TOLERANCE)


def test_display_values_are_averaged_not_stored_ones() -> None:
    words = np.array([[0, 65535]], np.uint16)
    saturating = Transfer(16, scale=1 / 1000)
    assert float(window([words], [saturating], (1, 1), dtype=torch.float32)) == pytest.approx(0.5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("to", [(9, 14), (4, 5)])
def test_bits_outside_the_value_choose_nothing(variant: str, to: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    for transfer in (Transfer(9, 3, True, 1 / 300, 0.5), Transfer(9, 3, table=rng.random(512, np.float32))):
        words = random_words(rng, 9, 14)
        junk = random_words(rng, 9, 14) & np.uint16(0xF007)
        dirty = (words & np.uint16(0x0FF8)) | junk
        clean = words & np.uint16(0x0FF8)
        a, b = (run(variant, [x], [transfer], to, dtype=torch.uint16) for x in (dirty, clean))
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_image_does_not_depend_on_its_batch(variant: str) -> None:
    rng = np.random.default_rng(8)
    images = [random_words(rng, h, w) for h, w in ((30, 41), (64, 16), (7, 90))]
    transfers = [TRANSFERS["narrow"], TRANSFERS["table"], TRANSFERS["signed"]]
    together = run(variant, images, transfers, (9, 8), dtype=torch.uint16)
    for n in range(3):
        np.testing.assert_array_equal(
            together[n], run(variant, images[n : n + 1], transfers[n : n + 1], (9, 8), dtype=torch.uint16)[0]
        )


def test_calls_from_many_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(10)
    images = [random_words(rng, 300 + 40 * n, 500) for n in range(6)]
    kinds = list(TRANSFERS.values())
    alone = [window([image], [kinds[n]], (64, 64)) for n, image in enumerate(images)]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            results = pool.map(lambda n: window([images[n]], [kinds[n]], (64, 64)), range(6))
            assert all(torch.equal(a, b) for a, b in zip(alone, results, strict=True))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_works_although_its_helpers_are_gone() -> None:
    words = random_words(np.random.default_rng(12), 1200, 1000)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        expected = window([words], [TRANSFERS["full"]], (60, 50))
        child = os.fork()
        if child == 0:  # no pytest beyond this line
            os._exit(0 if torch.equal(window([words], [TRANSFERS["full"]], (60, 50)), expected) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit() -> None:
    words = random_words(np.random.default_rng(9), 700, 900)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results += [window([words] * 3, [TRANSFERS[k] for k in ("full", "table", "signed")], (97, 301))]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


SAME_BITS = """
import hashlib, sys, numpy as np, torch
from pathlib import Path
from fastrace.kernels import _extension
if len(sys.argv) > 1:
    _extension._loaded = Path(sys.argv[1])
    torch.ops.load_library(sys.argv[1])
from fastrace.kernels.window import Transfer, window
rng = np.random.default_rng(0)
digest = hashlib.sha256()
words = rng.integers(0, 65536, (2111, 2059), np.uint16)
small = words[:301, :417]
linear = Transfer(12, scale=1 / 2399, offset=-0.3), Transfer(16, scale=-1e9, offset=3e13), Transfer(13, 2, True, 1e-4, 0.5)
for transfer in (*linear, Transfer(12, table=rng.random(4096, np.float32))):
    for columns in (2059, 2048):  # the second begins every row on a 64-byte line: written around the caches
        digest.update(window([words[:, :columns]], [transfer], dtype=torch.uint8).numpy().tobytes())
    for dtype in (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32):
        for size, resize in (((301, 417), "area"), ((97, 101), "area"), ((97, 101), "lanczos"), ((500, 300), "lanczos")):
            out = window([small], [transfer], size, dtype=dtype, flips=[True], resize=resize)
            digest.update(out.view(torch.uint8).numpy().tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_every_instruction_set_gives_the_same_bits(lesser_processors: dict[str, Path]) -> None:
    digests = {
        subprocess.run([sys.executable, "-c", SAME_BITS, *library], capture_output=True, text=True, check=True).stdout
        for library in ([], *([str(path)] for path in lesser_processors.values()))
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


@pytest.mark.parametrize("columns", [2048, 2111])
def test_a_large_image_of_bytes_is_the_reference(columns: int) -> None:
    words = random_words(np.random.default_rng(13), 2200, columns)
    for name in ("inverted", "full", "step", "table"):
        exact = window_reference([words], [TRANSFERS[name]], dtype=None)
        assert_agrees(run("cpp", [words], [TRANSFERS[name]], dtype=torch.uint8), exact, torch.uint8)
