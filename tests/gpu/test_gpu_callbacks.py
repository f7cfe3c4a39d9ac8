"""The fused operation on a GPU, on both paths: the CPU's numbers, every type, streams, graphs, and cut-offs that change."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fastrace.errors import UsageError
from fastrace.kernels.bandpass import TOLERANCE, Filter, bandpass, bandpass_reference, cuda, jit
from fastrace.kernels.bandpass.callbacks import FULL_SCALE, NoiseSpec, apply_fused
from fastrace.kernels.noise import COUNT_FLIPS, KINDS, NORMAL_ERROR, PHOTONS_AT_WHITE, prepared

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("path")]
pytest.importorskip("cupy")

INF = math.inf
AMOUNTS = {"gaussian": 0.1, "poisson": 0.25, "speckle": 0.2, "salt_pepper": 0.3}
STEP = {torch.float32: 0.0, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
SIZES = [(1, 1, 1), (2, 1, 9), (2, 9, 1), (3, 7, 7), (1, 223, 225), (9, 224, 224), (2, 33, 254), (1, 512, 512)]
FILTERING = 4 * TOLERANCE[torch.float32]


def stored(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    values = np.random.default_rng(0).random(shape) * FULL_SCALE[dtype]
    return torch.from_numpy(values).to(torch.int64 if dtype in (torch.uint8, torch.uint16) else dtype).to(dtype)


def id_tensor(count: int) -> torch.Tensor:
    return torch.arange(count) * -7_000_000_001 + 5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel", jit.PIXELS)
def test_every_size_and_pixel_agrees_with_float64(size: tuple[int, int, int], pixel: torch.dtype) -> None:
    images = stored(*size, dtype=pixel)
    exact = images.double().numpy() / FULL_SCALE[pixel]
    for low, high in ((0, 10), (5, 50), (600, INF)):
        got = apply_fused(images.cuda(), Filter(low, high), clamp=(-0.2, 0.6), normalise=(0.3, 0.5))
        expected = (bandpass_reference(exact, Filter(low, high)).clip(-0.2, 0.6) - 0.3) / 0.5
        assert np.abs(got.double().cpu().numpy() - expected).max() <= 2 * FILTERING


@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_every_result_agrees_with_float64(dtype: torch.dtype) -> None:
    images = stored(3, 37, 40, dtype=torch.uint16)
    exact = images.double().numpy() / 65535
    for complement in (False, True):
        got = apply_fused(images.cuda(), Filter(2, 9, complement=complement), dtype=dtype)
        assert got.dtype == dtype
        expected = bandpass_reference(exact, Filter(2, 9, complement=complement))
        assert np.abs(got.double().cpu().numpy() - expected).max() <= FILTERING + STEP[dtype]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_noise_is_the_cpus(kind: str, dtype: torch.dtype) -> None:
    images, ids = stored(5, 61, 67, dtype=torch.uint16), id_tensor(5)
    drawn = NoiseSpec(kind, AMOUNTS[kind], 2**63 + 11, 2**32 - 5)
    # All-pass: what the transforms round stays far below a step of the noise.
    expected = apply_fused(images, Filter(0, INF), noise=drawn, ids=ids).double()
    got = apply_fused(images.cuda(), Filter(0, INF), noise=drawn, ids=ids.cuda(), dtype=dtype).cpu().double()
    difference = (got - expected).abs()
    allowed = FILTERING + NORMAL_ERROR + STEP[dtype] * (1 + expected.abs())
    if kind == "poisson":
        photons = PHOTONS_AT_WHITE * drawn.amount
        assert difference.max() <= 1.01 / photons + STEP[dtype] * 2
        # Counts also flip where the filtered value has moved by a rounding of the transforms.
        assert (difference > allowed).sum() <= max(3, 10 * COUNT_FLIPS * difference.numel())
    else:
        assert (difference <= allowed).all()


def test_an_image_does_not_depend_on_its_batch() -> None:
    images, ids = stored(9, 37, 41, dtype=torch.uint16).cuda(), id_tensor(9).cuda()
    call = lambda x, i: apply_fused(x, Filter(1, 9), noise=NoiseSpec("gaussian", 0.1, 1), ids=i, dtype=torch.float16)  # noqa: E731
    order = torch.tensor([8, 0, 3], device="cuda")
    picked = images.view(torch.int16)[order].view(torch.uint16)
    # Another batch is another plan, whose transforms may round otherwise: one unit in the last place of float16.
    assert (call(picked, ids[order]) - call(images, ids)[order]).abs().max() <= 2.0**-10


def test_each_image_can_have_its_own_cut_offs() -> None:
    images = stored(jit.CUTOFFS // 2 + 3, 12, 14, dtype=torch.uint16)
    lows = torch.linspace(0, 2, len(images))
    highs = lows + 3
    got = apply_fused(images.cuda(), Filter(lows, highs))
    expected = bandpass_reference(
        images.double().numpy() / 65535, Filter(lows.double().numpy(), highs.double().numpy())
    )
    assert np.abs(got.cpu().numpy() - expected).max() <= FILTERING


def test_strides_misaligned_memory_and_empty_batches() -> None:
    images = stored(5, 31, 33, dtype=torch.float16).cuda()
    plain = apply_fused(images, Filter(2, 9), dtype=torch.float16)
    turned = images.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(apply_fused(turned, Filter(2, 9), dtype=torch.float16), plain)
    shifted = torch.empty(images.numel() + 1, dtype=torch.float16, device="cuda")[1:].view(images.shape).copy_(images)
    assert shifted.data_ptr() % 4 == 2
    assert torch.equal(apply_fused(shifted, Filter(2, 9), dtype=torch.float16), plain)
    ids = id_tensor(10).cuda()
    strided = apply_fused(images, Filter(2, 9), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids[::2])
    assert torch.equal(
        strided, apply_fused(images, Filter(2, 9), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids[::2].contiguous())
    )
    for shape in ((0, 8, 8), (2, 0, 8), (2, 8, 0)):
        assert apply_fused(torch.zeros(shape, device="cuda"), Filter(1, 3), dtype=torch.bfloat16).shape == shape


def test_nan_stays_in_its_image() -> None:
    images = stored(3, 20, 20, dtype=torch.float32).cuda()
    images[1, 3, 3] = float("nan")
    for low, high in ((0, 3), (3, INF), (500, INF)):
        got = apply_fused(images, Filter(low, high), clamp=(0, 1), dtype=torch.float16)
        assert got[1].isnan().any()
        assert not got[[0, 2]].isnan().any()


@pytest.mark.parametrize("dtype", jit.RESULTS)
def test_the_operation_passes_opcheck(dtype: torch.dtype) -> None:
    edges = torch.tensor([0.0, 2.0], dtype=torch.float64)
    images, ids = stored(2, 6, 7, dtype=torch.uint16).cuda(), id_tensor(2).cuda()
    for cutoffs in ((1.0, 4.0, None), (0.0, INF, torch.stack([edges, edges + 3]))):
        arguments = (images, *cutoffs, False, ids, *prepared("poisson", 0.5, 3, 4), 0.0, 1.0, 0.5, 0.25, dtype)
        torch.library.opcheck(torch.ops.fastrace.bandpass_fused, arguments)


def test_torch_compile_traces_through_without_a_break() -> None:
    @torch.compile(fullgraph=True)
    def step(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return apply_fused(images, Filter(1, 4), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids, dtype=torch.float16) * 2

    images, ids = stored(2, 32, 40, dtype=torch.uint16).cuda(), id_tensor(2).cuda()
    expected = apply_fused(images, Filter(1, 4), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids, dtype=torch.float16) * 2
    assert torch.equal(step(images, ids), expected)


def operation(images: torch.Tensor) -> torch.Tensor:
    ids = torch.arange(len(images), device="cuda")
    return apply_fused(
        images, Filter(5, 20), noise=NoiseSpec("gaussian", 0.1, 1), ids=ids, clamp=(-1, 1), dtype=torch.float16
    )


def test_two_streams_do_not_disturb_each_other(on_two_streams: Callable[..., None]) -> None:
    first = stored(64, 112, 112, dtype=torch.float32).cuda()
    on_two_streams(operation, first, 1 - first)


def test_a_cuda_graph_replays_it(in_a_graph: Callable[..., None]) -> None:
    first = stored(8, 64, 64, dtype=torch.float32).cuda()
    ids = torch.arange(8, device="cuda")

    def kernel(images: torch.Tensor) -> torch.Tensor:
        return apply_fused(images, Filter(5, 20), noise=NoiseSpec("poisson", 0.5, 1), ids=ids, dtype=torch.bfloat16)

    in_a_graph(kernel, first, 1 - first)


@pytest.mark.parametrize("lows", [[2.0], [0.0, 1.0, 2.0, 3.0]], ids=["shared", "each"])
def test_a_graph_keeps_its_cut_offs_whatever_is_called_between_its_replays(lows: list[float]) -> None:
    images, stream = stored(4, 48, 50, dtype=torch.uint16).cuda(), torch.cuda.Stream()

    def call(reach: float) -> torch.Tensor:
        return cuda.launch_fused(images, [Filter(low, low + reach) for low in lows], full_scale=65535.0)

    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        expected, other = call(5.0), call(9.0)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            result = call(5.0)
        for _ in range(3):
            assert torch.equal(call(9.0), other)
            result.zero_()
            graph.replay()
            assert torch.equal(result, expected)


def test_a_warm_up_is_enough_for_a_capture() -> None:
    images, stream = stored(3, 26, 38, dtype=torch.uint16).cuda(), torch.cuda.Stream()
    epilogue = jit.Epilogue(torch.float16, 0.0, 1.0)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        cuda.warm_up((3, 26, 38), images.device, pixel=torch.uint16, epilogue=epilogue)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        result = cuda.launch_fused(images, [Filter(1.0, 6.0)], epilogue, full_scale=65535.0)
    graph.replay()
    torch.cuda.synchronize()
    expected = bandpass_reference(images.double().cpu().numpy() / 65535, Filter(1, 6)).clip(0, 1)
    assert np.abs(result.double().cpu().numpy() - expected).max() <= FILTERING + STEP[torch.float16]


def test_a_capture_without_a_plan_is_refused_with_the_remedy() -> None:
    images, graph = stored(3, 37, 53, dtype=torch.uint16).cuda(), torch.cuda.CUDAGraph()
    apply_fused(images[:1], Filter(5, 20))
    with pytest.raises(UsageError, match="call it once on the same stream"), torch.cuda.graph(graph):
        apply_fused(images, Filter(5, 20))


def test_what_bandpass_does_is_what_the_path_does(path: str) -> None:
    images = stored(2, 30, 31, dtype=torch.float32).cuda()
    assert torch.equal(bandpass(images, Filter(2, 9)), cuda.launch(images, [Filter(2.0, 9.0)], path=path))
