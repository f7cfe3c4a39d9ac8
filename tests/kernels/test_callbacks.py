"""The fused operation: against the composition it names, and its CUDA text, compiled for the host, against both."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host import Plan, _argument, compile_text, install

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.bandpass import TOLERANCE, Filter, backend, bandpass, bandpass_reference, choice, cuda, jit, plans
from fastrace.kernels.bandpass.callbacks import FULL_SCALE, NoiseSpec, apply_fused
from fastrace.kernels.noise import COUNT_FLIPS, KINDS, PHOTONS_AT_WHITE, noise, prepared

INF = math.inf
AMOUNTS = {"gaussian": 0.1, "poisson": 0.25, "speckle": 0.2, "salt_pepper": 0.3}
SEED, STREAM = 2**63 + 11, 2**32 - 5


def stored(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    values = np.random.default_rng(0).random(shape) * FULL_SCALE[dtype]
    return torch.from_numpy(values).to(torch.int64 if dtype in (torch.uint8, torch.uint16) else dtype).to(dtype)


def each(lows: list[float], highs: list[float]) -> list[Filter]:
    return [Filter(low, high) for low, high in zip(lows, highs, strict=True)]


def id_tensor(count: int) -> torch.Tensor:
    return torch.arange(count) * -7_000_000_001 + 5


# ---- the operation, by what it is made of --------------------------------------------------------------------------


@pytest.mark.parametrize("pixel", jit.PIXELS)
@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_it_filters_adds_noise_clamps_normalises_and_casts_in_this_order(
    pixel: torch.dtype, dtype: torch.dtype
) -> None:
    images, ids = stored(3, 12, 17, dtype=pixel), id_tensor(3)
    last: dict[str, Any] = {"clamp": (0.1, 0.8), "normalise": (0.3, 0.5), "dtype": dtype}
    got = apply_fused(images, Filter(2, 6, complement=True), noise=NoiseSpec("speckle", 0.2, 9, 4), ids=ids, **last)
    exact = bandpass_reference(images.double().numpy() / FULL_SCALE[pixel], Filter(2, 6, complement=True))
    noisy = noise(torch.from_numpy(exact).float(), ids, "speckle", 0.2, seed=9, stream=4)
    expected = (noisy.clamp(0.1, 0.8) - 0.3) / 0.5
    rounding = {torch.float32: 0.0, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}[dtype]
    assert got.dtype == dtype
    assert got.is_contiguous()
    assert (got.float() - expected).abs().max() <= 8 * TOLERANCE[torch.float32] + rounding


def test_each_image_can_have_its_own_cut_offs_and_one_may_be_shared() -> None:
    images = stored(4, 10, 11, dtype=torch.float32)
    lows, highs = torch.tensor([0.0, 1, 2, 3]), torch.tensor([2.0, INF, 4, 3.5])
    assert torch.equal(apply_fused(images, Filter(lows, highs)), bandpass(images, Filter(lows, highs)))
    assert torch.equal(apply_fused(images, Filter(0, highs)), bandpass(images, Filter(0, highs)))
    assert torch.equal(apply_fused(images, Filter(1, 3)), bandpass(images, Filter(1, 3)))


def test_nan_passes_the_clamp_and_the_input_is_left_alone() -> None:
    images = stored(2, 8, 8, dtype=torch.float32)
    before = images.clone()
    apply_fused(images, Filter(0, 3)).add_(1)
    assert torch.equal(images, before)
    images[0, 3, 3] = float("nan")
    result = apply_fused(images, Filter(0, 3), clamp=(0, 1), dtype=torch.float16)
    assert result[0].isnan().all()
    assert not result[1].isnan().any()


@pytest.mark.parametrize("shape", [(0, 8, 8), (2, 0, 8), (2, 8, 0)])
def test_empty_batches_come_back_empty(shape: tuple[int, int, int]) -> None:
    assert apply_fused(torch.zeros(shape, dtype=torch.uint16), Filter(0, 3), dtype=torch.bfloat16).shape == shape


def test_wrong_arguments_are_named() -> None:
    images, ids = torch.zeros(2, 8, 8), id_tensor(2)
    with pytest.raises(UsageError, match=r"uint8, uint16, float16 or float32, not \[2, 8, 8\] torch.float64"):
        apply_fused(images.double(), Filter(0, 3))
    with pytest.raises(UsageError, match="float32, float16 or bfloat16, not"):
        apply_fused(images, Filter(0, 3), dtype=torch.uint8)
    with pytest.raises(UsageError, match=r"one int64 id per image on cpu: \[2\], not none"):
        apply_fused(images, Filter(0, 3), noise=NoiseSpec("gaussian", 0.1, 1))
    with pytest.raises(UsageError, match="one int64 id per image"):
        apply_fused(images, Filter(0, 3), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids[:1])
    with pytest.raises(UsageError, match="finite sigma"):
        apply_fused(images, Filter(0, 3), noise=NoiseSpec("gaussian", -0.1, 1), ids=ids)
    with pytest.raises(UsageError, match="std above 0, not"):
        apply_fused(images, Filter(0, 3), normalise=(0.5, 0.0))
    with pytest.raises(UsageError, match="low <= high, not"):
        apply_fused(images, Filter(0, 3), clamp=(1.0, 0.0))
    with pytest.raises(UsageError, match=r"one cut-off per image is a tensor \[2\]"):
        apply_fused(images, Filter(torch.zeros(3), 3.0))
    with pytest.raises(UsageError, match="low <= r < high"):
        apply_fused(images, Filter(3, 3))
    with pytest.raises(UsageError, match=r"up to 2\^31 pixels"):
        apply_fused(torch.empty(1, 2**16, 2**16, device="meta"), Filter(0, 3))


def test_the_operation_passes_opcheck() -> None:
    edges = torch.tensor([0.0, 2.0], dtype=torch.float64)
    drawn = prepared("poisson", 0.5, 3, 4)
    for dtype in jit.RESULTS:
        for cutoffs in ((1.0, 4.0, None), (0.0, INF, torch.stack([edges, edges + 3]))):
            arguments = (stored(2, 6, 7, dtype=torch.uint16), *cutoffs, False, id_tensor(2), *drawn)
            torch.library.opcheck(torch.ops.fastrace.bandpass_fused, (*arguments, 0.0, 1.0, 0.5, 0.25, dtype))


def test_torch_compile_traces_through_without_a_break() -> None:
    @torch.compile(fullgraph=True)
    def step(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return apply_fused(images, Filter(1, 4), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids, dtype=torch.float16) * 2

    images, ids = stored(2, 8, 9, dtype=torch.uint16), id_tensor(2)
    expected = apply_fused(images, Filter(1, 4), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids, dtype=torch.float16) * 2
    assert torch.equal(step(images, ids), expected)


# ---- csrc/callbacks.cu on the host -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callbacks")


@pytest.fixture(scope="module")
def passes(folder: Path) -> ctypes.CDLL:
    return compile_text(jit.source(PASSES=1), folder)


def run_pass(library: ctypes.CDLL, name: str, count: int, *arrays: np.ndarray, **fields: Any) -> None:
    """Run a pass over `count` elements; `fields` are those of the constants."""
    call = np.zeros(1, jit.CALL)
    call["lowest"], call["highest"], call["full_scale"] = -INF, INF, 1.0
    call["height"], call["width"], call["per_std"] = 1, count, 1.0
    for field, value in fields.items():
        call[field] = value
    grid, block = np.array([-(-count // 256), 1, 1], np.int32), np.array([256, 1, 1], np.int32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (grid, block, *arrays)]
    getattr(library, f"launch_bandpass_{name}")(*pointers, ctypes.c_longlong(count), _argument(call))


def test_every_half_is_read_as_what_it_is(passes: ctypes.CDLL) -> None:
    every = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    got = np.empty(every.size, np.float32)
    run_pass(passes, "load_float16", every.size, every, got)
    expected = every.view(np.float16).astype(np.float32)
    assert np.array_equal(got.view(np.uint32)[~np.isnan(expected)], expected.view(np.uint32)[~np.isnan(expected)])
    assert np.isnan(got[np.isnan(expected)]).all()


@pytest.mark.parametrize("pixel", [torch.uint8, torch.uint16])
def test_stored_integers_are_divided_by_their_full_scale(passes: ctypes.CDLL, pixel: torch.dtype) -> None:
    scale = FULL_SCALE[pixel]
    every = np.arange(int(scale) + 1).astype(np.uint8 if pixel == torch.uint8 else np.uint16)
    got = np.empty(every.size, np.float32)
    run_pass(passes, f"load_{str(pixel)[6:]}", every.size, every, got, full_scale=scale)
    assert np.array_equal(got, every.astype(np.float32) / np.float32(scale))


@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_results_are_rounded_as_torch_rounds_them(passes: ctypes.CDLL, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 1 << 19, dtype=np.uint32)
    # Halves, the points half way between two of them, and their neighbours: where rounding decides.
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16).astype(np.float32)
    with np.errstate(invalid="ignore"):
        between = (halves[:-1] + halves[1:]) / 2
    special = np.array(
        [0.0, -0.0, INF, -INF, np.nan, 65519.99, 65520.0, 2.0**-24, 2.0**-25, 2.0**-26, 3e38], np.float32
    )
    near = [np.nextafter(between, np.float32(side)) for side in (-INF, INF)]
    values = np.concatenate([bits.view(np.float32), halves, between, *near, special])
    got = torch.empty(values.size, dtype=dtype)
    run_pass(passes, f"store_{str(dtype)[6:]}_clean", values.size, values, result=got.data_ptr())
    expected = torch.from_numpy(values).to(dtype)
    nan = expected.isnan()
    assert torch.equal(got[nan].isnan(), nan[nan])
    assert torch.equal(
        got.view(torch.uint8).view(values.size, -1)[~nan], expected.view(torch.uint8).view(values.size, -1)[~nan]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("photons", [1.0, PHOTONS_AT_WHITE])
def test_noise_is_that_of_the_noise_kernel_bit_for_bit(passes: ctypes.CDLL, kind: str, photons: float) -> None:
    images, ids = stored(5, 33, 37, dtype=torch.float32) * 30 - 2, id_tensor(5)
    images[1, 2, 3], images[2, 0, 0], images[3, 1, 1] = float("nan"), INF, -INF
    number, a, b, threshold, seed, stream = prepared(kind, AMOUNTS[kind], SEED, STREAM, photons)
    got = torch.empty_like(images)
    constants = {"amount": a, "inverse": b, "threshold": threshold, "seed": seed & (2**64 - 1), "stream": stream}
    run_pass(
        passes,
        f"store_float32_{jit.KINDS[number]}",
        images.numel(),
        images.numpy(),
        result=got.data_ptr(),
        ids=ids.data_ptr(),
        height=33,
        width=37,
        **constants,
    )
    expected = noise(images, ids, kind, AMOUNTS[kind], seed=SEED, stream=STREAM, photons=photons)
    assert torch.equal(got.isnan(), expected.isnan())
    assert torch.equal(got.nan_to_num(5.0), expected.nan_to_num(5.0))


def test_the_clamp_keeps_nan(passes: ctypes.CDLL) -> None:
    values, got = np.array([-1, 0.2, 0.5, 3, np.nan, INF, -INF], np.float32), np.empty(7, np.float32)
    run_pass(passes, "store_float32_clean", 7, values, result=got.ctypes.data, lowest=0.25, highest=1)
    assert got.tolist()[:4] == [0.25, 0.25, 0.5, 1]
    assert math.isnan(got[4])
    assert got.tolist()[5:] == [1, 0.25]


# ---- the launcher, with callbacks and with passes --------------------------------------------------------------------


@pytest.fixture
def cupy_on_the_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return install(monkeypatch, folder)


PATHS = [choice.CALLBACKS, choice.PLAIN]


def launch(images: torch.Tensor, filters: Filter | list[Filter], path: str, **named: Any) -> torch.Tensor:
    """What the CUDA registration of the operation does, on the host."""
    drawn = named.pop("noise", None)
    prepared_noise = prepared(drawn.kind, drawn.amount, drawn.seed, drawn.stream, drawn.photons) if drawn else (-1,)
    ids = id_tensor(len(images)) if drawn else None
    lowest, highest = named.pop("clamp", (-INF, INF))
    mean, std = named.pop("normalise", (0.0, 1.0))
    epilogue = jit.Epilogue(
        named.pop("dtype", torch.float32), lowest, highest, prepared_noise[0], ids, *prepared_noise[1:]
    )._replace(mean=mean, std=std)
    scale = FULL_SCALE[images.dtype]
    assert not named
    filters = [filters] if isinstance(filters, Filter) else filters
    return cuda.launch_fused(images, filters, epilogue, full_scale=scale, path=path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("pixel", jit.PIXELS)
@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_the_launcher_computes_the_operation(
    cupy_on_the_host: SimpleNamespace, path: str, pixel: torch.dtype, dtype: torch.dtype
) -> None:
    images = stored(3, 7, 10, dtype=pixel)
    arguments: dict[str, Any] = {"noise": NoiseSpec("gaussian", 0.1, SEED, STREAM), "clamp": (0.1, 0.9), "dtype": dtype}
    arguments["normalise"] = (0.4, 0.7)
    got = launch(images, Filter(1.5, 3.5, complement=True), path, **arguments)
    expected = apply_fused(images, Filter(1.5, 3.5, complement=True), ids=id_tensor(3), **arguments)
    step = {torch.float32: 0.0, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}[dtype]
    assert got.dtype == dtype
    assert (got.float() - expected.float()).abs().max() <= 2 * TOLERANCE[torch.float32] + step


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_noise_is_drawn_for_the_right_pixel_of_the_right_image(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    monkeypatch.setattr(cuda, "MAX_ELEMENTS", 200)  # so that the images go in parts
    images, drawn = stored(5, 9, 11, dtype=torch.float32) + 0.2, NoiseSpec(kind, AMOUNTS[kind], SEED, STREAM)
    got = launch(images, Filter(0.0, INF), path, noise=drawn)
    expected = apply_fused(images, Filter(0, INF), noise=drawn, ids=id_tensor(5))
    difference = (got - expected).abs()
    if kind == "poisson":  # a count may lie on a step, and the transforms round
        assert difference.max() <= 1.01 / (PHOTONS_AT_WHITE * drawn.amount)
        assert (difference > 1e-5).sum() <= max(2, COUNT_FLIPS * difference.numel())
    else:
        assert difference.max() <= 4 * TOLERANCE[torch.float32]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 1, 9), (1, 9, 1), (19, 16, 20), (3, 13, 17)])
def test_the_launcher_filters_with_shared_and_own_cut_offs(
    cupy_on_the_host: SimpleNamespace, path: str, size: tuple[int, int, int]
) -> None:
    images = stored(*size, dtype=torch.float32)
    for low, high, complement in ((0.0, 5.0, False), (2.0, 9.5, True), (4.0, INF, False)):
        got = launch(images, Filter(low, high, complement), path)
        expected = bandpass_reference(images.numpy(), Filter(low, high, complement=complement))
        assert np.abs(got.numpy() - expected).max() < TOLERANCE[torch.float32]
    lows, highs = [0.25 * n for n in range(size[0])], [0.25 * n + 5 for n in range(size[0])]
    got = launch(images, each(lows, highs), path)
    expected = bandpass_reference(images.numpy(), Filter(np.array(lows), np.array(highs)))
    assert np.abs(got.numpy() - expected).max() < TOLERANCE[torch.float32]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 1, 9), (3, 16, 20), (2, 13, 17)])
def test_filters_of_a_sweep_share_the_forward_transform(
    cupy_on_the_host: SimpleNamespace, path: str, size: tuple[int, int, int]
) -> None:
    images, bands = stored(*size, dtype=torch.float32), [(0.0, 2.0), (1.5, 4.0), (4.0, INF), (0.0, INF), (0.5, 9.0)]
    for complement in (False, True):
        filters = [Filter(*band, complement) for band in bands]
        expected = np.stack([bandpass_reference(images.numpy(), filter) for filter in filters], 1)
        for dtype, tolerance in TOLERANCE.items():
            Plan.ran.clear()
            got = cuda.launch_sweep(images.to(dtype), filters, path=path)
            kinds = ("D2Z", "Z2D") if dtype == torch.float64 else ("R2C", "C2R")
            assert Plan.ran == [(kinds[0], size[0]), (kinds[1], 5 * size[0])]
            assert got.is_contiguous()
            assert np.abs(got.numpy() - expected).max() < tolerance, (complement, dtype)


@pytest.mark.parametrize("path", PATHS)
def test_a_sweep_of_one_or_no_filter_and_of_more_than_a_plan_holds(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    images, filters = stored(5, 9, 11, dtype=torch.float32), [Filter(0.5 * k, 0.5 * k + 2) for k in range(7)]

    def sweep(count: int, most: int) -> tuple[torch.Tensor, list[int]]:
        monkeypatch.setattr(cuda, "MAX_ELEMENTS", most)
        Plan.ran.clear()
        got = cuda.launch_sweep(images[:count], filters, path=path)
        return got, [batch for kind, batch in Plan.ran if kind == "C2R"]

    whole, batches = sweep(5, 2**31 - 1)
    assert batches == [35]
    for most, expected in ((7 * 99 * 2, [14, 14, 7]), (99 * 3, [3, 3, 1] * 5), (1, [1] * 35)):
        part, batches = sweep(5, most)
        assert batches == expected
        assert (part - whole).abs().max() < TOLERANCE[torch.float32]
    assert (
        cuda.launch_sweep(images, [Filter(1.0, 3.0)], path=path)[:, 0] - bandpass(images, Filter(1, 3))
    ).abs().max() < 2e-6
    assert cuda.launch_sweep(images, [], path=path).shape == (5, 0, 9, 11)
    assert cuda.launch_sweep(images[:0], filters, path=path).shape == (0, 7, 9, 11)


@pytest.mark.parametrize("path", PATHS)
def test_a_sweep_keeps_nan_in_its_image_and_leaves_the_input_alone(
    cupy_on_the_host: SimpleNamespace, path: str
) -> None:
    images = stored(3, 8, 10, dtype=torch.float32)
    images[1, 2, 2] = float("nan")
    before = images.clone()
    got = cuda.launch_sweep(images, each([0.0, 2.0, 500.0], [2.0, 3.0, INF]), path=path)
    assert not got[1].isfinite().any()
    assert got[[0, 2]].isfinite().all()
    assert torch.equal(images.nan_to_num(7), before.nan_to_num(7))


def test_more_cut_offs_than_fit_into_the_arguments_of_one_kernel(cupy_on_the_host: SimpleNamespace) -> None:
    count = jit.CUTOFFS + 3
    images = stored(count, 4, 6, dtype=torch.float32)
    lows, highs = [0.001 * n for n in range(count)], [1 + 0.002 * n for n in range(count)]
    got = launch(images, each(lows, highs), choice.CALLBACKS)
    expected = bandpass_reference(images.numpy(), Filter(np.array(lows), np.array(highs)))
    assert np.abs(got.numpy() - expected).max() < TOLERANCE[torch.float32]


def test_a_plan_serves_other_cut_offs_noise_and_clamps_without_being_made_again(
    cupy_on_the_host: SimpleNamespace,
) -> None:
    images = stored(2, 6, 7, dtype=torch.uint16)
    for low, seed, top in ((0.0, 1, 0.5), (1.0, 2, 0.25), (2.0, 3, 1.0)):
        arguments: dict[str, Any] = {"noise": NoiseSpec("gaussian", 0.1, seed), "clamp": (0.0, top)}
        got = launch(images, Filter(low, 5.0), choice.CALLBACKS, **arguments)
        assert (got - apply_fused(images, Filter(low, 5), ids=id_tensor(2), **arguments)).abs().max() < 4e-6
    assert len(plans._plans) == 1


def test_nan_and_infinity_stay_visible_where_their_coefficients_are_not_even_read(
    cupy_on_the_host: SimpleNamespace,
) -> None:
    for bad in (float("nan"), INF):
        images = stored(3, 8, 8, dtype=torch.float32)
        images[1, 2, 2] = bad
        for low, high in ((0.0, 2.0), (2.0, 3.0), (500.0, INF)):
            got = launch(images, Filter(low, high), choice.CALLBACKS)
            assert not got[1].isfinite().any(), (low, high)
            assert got[[0, 2]].isfinite().all()


def test_misaligned_and_empty_images(cupy_on_the_host: SimpleNamespace) -> None:
    images = stored(1, 1, 5 * 6 * 7 + 1, dtype=torch.uint16).reshape(-1)[1:].view(5, 6, 7)
    assert images.data_ptr() % 16
    for path in PATHS:
        got = launch(images, Filter(1.0, 3.0), path, dtype=torch.float16)
        assert (got - apply_fused(images, Filter(1, 3), dtype=torch.float16)).abs().max() < 1e-3
        assert launch(images[:0], Filter(1.0, 3.0), path).shape == (0, 6, 7)


@pytest.mark.parametrize("path", PATHS)
def test_a_graph_needs_a_plan_made_before_and_may_hold_cut_offs_of_each_image(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    images, lows, highs = stored(2, 6, 7, dtype=torch.float32), [0.0, 1.0], [2.0, 3.0]
    monkeypatch.setitem(choice._choices, None, choice.Choice(path, "as tested here"))
    cuda.warm_up((2, 6, 7), torch.device("cpu"), per_image=True)
    cuda.launch_sweep(images, each(lows, highs), path=path)
    made = Plan.made
    with monkeypatch.context() as capture:
        capture.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        got = launch(images, each(lows, highs), path)
        swept = cuda.launch_sweep(images, each(lows, highs), path=path)
        with pytest.raises(UsageError, match="call it once on the same stream before the capture"):
            launch(images[:1], Filter(1.0, 3.0), path)
        with pytest.raises(UsageError, match="call it once before a CUDA graph capture"):
            launch(stored(2, 6, 7, dtype=torch.uint16), Filter(1.0, 3.0), choice.PLAIN)
        choice._choices.clear()
        with pytest.raises(UsageError, match="call it once before a CUDA graph capture"):
            choice.choose(0)
    assert Plan.made == made
    assert (
        np.abs(got.numpy() - bandpass_reference(images.numpy(), Filter(np.array(lows), np.array(highs)))).max() < 2e-6
    )
    assert torch.equal(swept[[0, 1], [0, 1]], got)
    assert len(plans._captured) == 2


def test_a_plan_that_cannot_be_made_is_an_error_with_the_remedy_not_another_path(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("CUFFT_INTERNAL_ERROR")

    monkeypatch.setattr(jit, "make", refuse)
    with pytest.raises(BackendMissing, match=r"CUFFT_INTERNAL_ERROR.*FASTRACE_BANDPASS=plain chooses plans without"):
        launch(stored(2, 6, 7, dtype=torch.uint16), Filter(1.0, 3.0), choice.CALLBACKS)


# ---- which path, and why ---------------------------------------------------------------------------------------------


def test_a_trial_with_the_right_numbers_chooses_callbacks(cupy_on_the_host: SimpleNamespace) -> None:
    chosen = choice.choose(0)
    assert chosen == (choice.CALLBACKS, "CuPy 14.2.0, cuFFT 12000; a trial gave the right numbers"), chosen
    images = stored(2, 6, 7, dtype=torch.float32)
    before = Plan.made
    monkey = {0: chosen, None: chosen}
    choice._choices.update(monkey)  # a tensor of the host has no device number
    assert (cuda.launch(images, [Filter(1.0, 3.0)]) - bandpass(images, Filter(1, 3))).abs().max() < 2e-6
    assert any(isinstance(key, jit.Key) and key.batch == 2 and key.height == 6 for key in plans._plans)
    assert Plan.made == before + 2


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda fake, patch: setattr(fake, "__version__", "13.6.0"), "CuPy 13.6.0 has no JIT callbacks; pip install"),
        (
            lambda fake, patch: setattr(fake.cuda.runtime, "runtimeGetVersion", lambda: 12040),
            "CUDA 12.4 is older than 12.8",
        ),
        (lambda fake, patch: patch.setattr("cuda.pathfinder.find_nvidia_header_directory", lambda _: None), "headers"),
        (lambda fake, patch: patch.setattr("cuda.pathfinder.load_nvidia_dynamic_lib", _refuse), "no libnvJitLink"),
        (
            lambda fake, patch: patch.setattr(jit, "make", _refuse),
            "a trial failed: BackendMissing: cuFFT makes no plan",
        ),
        (lambda fake, patch: patch.setattr(jit, "finish", _forget), "a trial gave numbers that are off by"),
        (lambda fake, patch: patch.setenv(choice.VARIABLE, "plain"), "FASTRACE_BANDPASS=plain"),
    ],
)
def test_what_is_missing_or_wrong_chooses_the_plain_path_with_a_reason(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, break_it: Any, reason: str
) -> None:
    pytest.importorskip("cuda.pathfinder", reason="comes with the CUDA build of torch")
    break_it(cupy_on_the_host, monkeypatch)
    chosen = choice.choose(0)
    assert chosen.path == choice.PLAIN
    assert reason in chosen.reason


def _refuse(*_: object) -> None:
    raise RuntimeError("no libnvJitLink")


_finish = jit.finish


def _forget(call: Any, result: torch.Tensor, full_scale: float, epilogue: jit.Epilogue, first: int) -> Any:
    return _finish(call, result, full_scale, epilogue._replace(lowest=0.0), first)


def test_one_sentence_states_which_way_a_device_takes_and_why(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend("cpu") == "C++ on the CPU, with a Fourier transform of its own"
    assert backend("cuda:0") == "cuFFT with callbacks: CuPy 14.2.0, cuFFT 12000; a trial gave the right numbers"
    choice._choices.clear()
    monkeypatch.setenv(choice.VARIABLE, "plain")
    assert backend(torch.device("cuda", 0)) == "cuFFT between kernels of our own: FASTRACE_BANDPASS=plain"
    choice._choices.clear()
    monkeypatch.delenv(choice.VARIABLE)
    monkeypatch.setattr(plans, "import_cupy", _no_cupy)
    assert backend("cuda:0") == "none: pip install 'fastrace[cuda]'"  # training without a filter goes on


def _no_cupy() -> None:
    raise BackendMissing("pip install 'fastrace[cuda]'")


def test_an_unknown_path_is_refused(cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.VARIABLE, "fast")
    with pytest.raises(UsageError, match="FASTRACE_BANDPASS is 'fast'; the only path to choose is 'plain'"):
        choice.choose(0)


# ---- as cuFFT links it -----------------------------------------------------------------------------------------------

CALLER = """
__device__ float fastrace_load(void*, unsigned long long, void*, void*);
__device__ float2 fastrace_gain(void*, unsigned long long, void*, void*);
__device__ void fastrace_store(void*, unsigned long long, float, void*, void*);
extern "C" __global__ void caller(void* in, void* out, void* call) {
#if defined(FORWARD)
  static_cast<float*>(out)[threadIdx.x] = fastrace_load(in, threadIdx.x, call, nullptr);
#else
  const float2 value = fastrace_gain(in, threadIdx.x, call, nullptr);
  fastrace_store(out, threadIdx.x, value.x + value.y, call, nullptr);
#endif
}
"""


@pytest.mark.parametrize("target", ["80", "90", "100"])
def test_callbacks_compile_to_lto_ir_and_link_with_what_calls_them(target: str) -> None:
    """As cuFFT calls them: by their C++ names; two texts of one plan must not define one name twice."""
    nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink", reason="comes with the CUDA build of torch")
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="comes with the CUDA build of torch")

    def lto(text: str) -> bytes:
        options = [b"-std=c++17", b"-ftz=true", b"-dlto", f"--gpu-architecture=compute_{target}".encode()]
        _, program = nvrtc.nvrtcCreateProgram(text.encode(), b"callbacks.cu", 0, [], [])
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = bytes(size + 1)  # written into: never of length 1, since Python keeps one object for each of those
        nvrtc.nvrtcGetProgramLog(program, log)
        assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
        _, size = nvrtc.nvrtcGetLTOIRSize(program)
        code = bytes(size + 1)
        nvrtc.nvrtcGetLTOIR(program, code)
        return code[:size]

    def link(*parts: bytes) -> int:
        options = ["-lto", f"-arch=sm_{target}"]
        handle = nvjitlink.create(len(options), options)
        for number, part in enumerate(parts):
            nvjitlink.add_data(handle, nvjitlink.InputType.LTOIR, part, len(part), f"part{number}")
        nvjitlink.complete(handle)
        return int(nvjitlink.get_linked_cubin_size(handle))

    for pixel in jit.PIXELS:
        assert link(lto("#define FORWARD\n" + CALLER), lto(jit.load_source(pixel))) > 1000
    back = lto(CALLER)
    gains = [lto(jit.gain_source(kind, 224, 225)) for kind in (jit.SHARED, jit.EACH)]
    gains.append(lto(jit.gain_source(jit.EACH, 224, 225, 20)))
    stores = [lto(jit.store_source(dtype, kind, 224, 225)) for dtype in jit.RESULTS for kind in jit.KINDS]
    for number, store in enumerate(stores):
        assert link(back, gains[number % 3], store) > 1000
    with pytest.raises(nvjitlink.nvJitLinkError):
        link(back, gains[0], gains[1], stores[0])


def test_cupy_itself_takes_the_callbacks_as_they_are_handed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names, data and options by the real signature, and NVRTC by CuPy's own options; what follows needs a device."""
    cupy = pytest.importorskip("cupy", reason="pip install 'fastrace[cuda]'")
    pytest.importorskip("cuda.pathfinder", reason="comes with the CUDA build of torch")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    # What CuPy would read from the device.
    monkeypatch.setattr("cupy.cuda.compiler._get_arch", lambda: "90")
    monkeypatch.setattr(
        "cupy.cuda.compiler._get_arch_for_options_for_nvrtc", lambda arch=None: ("-arch=sm_90", "cubin")
    )
    memory = torch.zeros(jit.CALL.itemsize, dtype=torch.uint8)
    data = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(memory.data_ptr(), memory.numel(), memory, 0), 0)
    manager = cupy.fft.config.set_cufft_callbacks(
        cb_ver="jit",
        nvrtc_options=jit.OPTIONS,
        cb_load=jit.gain_source(jit.EACH, 31, 40),
        cb_load_name="fastrace_gain",
        cb_load_data=data,
        cb_store=jit.store_source(torch.bfloat16, 1, 31, 40),
        cb_store_name="fastrace_store",
        cb_store_data=data,
    )
    with manager as given:
        assert len(given.cb_load_lto) > 1000
        assert len(given.cb_store_lto) > 1000
        assert (given.cb_load_name, given.cb_store_name) == ("fastrace_gain", "fastrace_store")
        assert callable(given.set_callbacks)
        assert callable(given.create_plan)
