"""Noise on a GPU: the CPU's words bit for bit, its numbers but for contraction, in compiled code, streams and graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fastrace.kernels.noise import COUNT_FLIPS, KINDS, NORMAL_ERROR, PHOTONS_AT_WHITE, noise

pytestmark = pytest.mark.gpu
pytest.importorskip("triton")

AMOUNTS = {"gaussian": 0.1, "poisson": 0.25, "speckle": 0.2, "salt_pepper": 0.3}
SIZES = [(1, 1, 1), (2, 7, 5), (1, 31, 37), (3, 224, 224), (2, 223, 225), (70_000, 2, 3)]


def image_batch(count: int, height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((count, height, width), dtype=np.float32)) * 1.4 - 0.2


def id_tensor(count: int) -> torch.Tensor:
    return torch.arange(count) * -7_000_000_001 + 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SIZES)
def test_the_gpu_draws_what_the_cpu_draws(kind: str, shape: tuple[int, int, int]) -> None:
    images, ids, amount = image_batch(*shape), id_tensor(shape[0]), AMOUNTS[kind]
    expected = noise(images, ids, kind, amount, seed=2**63 + 11, stream=2**32 - 5).double()
    got = noise(images.cuda(), ids.cuda(), kind, amount, seed=2**63 + 11, stream=2**32 - 5).cpu().double()
    if kind == "salt_pepper":
        assert torch.equal(got, expected)
    elif kind == "poisson":
        counts = torch.round((got - expected) * PHOTONS_AT_WHITE * amount)
        assert counts.abs().max() <= 1
        assert counts.count_nonzero() <= max(1, COUNT_FLIPS * counts.numel())
        assert (got - expected)[counts == 0].abs().max() < 1e-6
    else:
        scale = amount if kind == "gaussian" else amount * images.abs()
        assert ((got - expected).abs() <= NORMAL_ERROR * scale + 2.0**-23 * (images.abs() + expected.abs())).all()


@pytest.mark.parametrize("mean", [0.05, 3.0, 9.99, 10.0, 1000.0])
def test_poisson_counts_agree_over_the_whole_range_of_means(mean: float) -> None:
    images, ids = torch.full((1, 512, 512), mean), torch.tensor([1])
    expected = noise(images, ids, "poisson", 1.0, seed=1, photons=1.0)
    got = noise(images.cuda(), ids.cuda(), "poisson", 1.0, seed=1, photons=1.0).cpu()
    assert (got - expected).abs().max() <= 1
    assert (got != expected).float().mean() <= COUNT_FLIPS


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_does_not_depend_on_its_batch(kind: str) -> None:
    images, ids = image_batch(9, 37, 41).cuda(), id_tensor(9).cuda()
    together = noise(images, ids, kind, AMOUNTS[kind], seed=1)
    order = torch.tensor([8, 0, 3], device="cuda")
    assert torch.equal(noise(images[order], ids[order], kind, AMOUNTS[kind], seed=1), together[order])


def test_empty_batches_strides_and_misaligned_memory() -> None:
    for shape in ((0, 8, 8), (2, 0, 8), (2, 8, 0)):
        empty = noise(torch.zeros(shape, device="cuda"), id_tensor(shape[0]).cuda(), "gaussian", 0.1, seed=1)
        assert empty.shape == shape
    images, ids = image_batch(5, 32, 33).cuda(), id_tensor(10).cuda()[::2]
    plain = noise(images, ids.contiguous(), "gaussian", 0.1, seed=1)
    assert torch.equal(noise(images.transpose(1, 2).contiguous().transpose(1, 2), ids, "gaussian", 0.1, seed=1), plain)
    shifted = torch.empty(images.numel() + 1, device="cuda")[1:].view(images.shape).copy_(images)
    assert torch.equal(noise(shifted, ids, "gaussian", 0.1, seed=1), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_nan_and_stays_where_it_is(kind: str) -> None:
    images = image_batch(1, 9, 9).cuda()
    images[0, 3, 4] = float("nan")
    noisy = noise(images, id_tensor(1).cuda(), kind, 1.0, seed=1)
    assert noisy[0, 3, 4].isnan()
    assert noisy.isnan().sum() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_operation_passes_opcheck(kind: str) -> None:
    arguments = (image_batch(2, 9, 11).cuda(), id_tensor(2).cuda(), KINDS[kind], 0.1, 10.0, 2**29, -3, 2**31)
    torch.library.opcheck(torch.ops.fastrace.noise, arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_torch_compile_traces_through_and_sees_the_kernel(kind: str) -> None:
    @torch.compile(fullgraph=True)
    def step(images: torch.Tensor, ids: torch.Tensor, stream: int) -> torch.Tensor:
        return noise(images * 2, ids, kind, AMOUNTS[kind], seed=2**63 + 1, stream=stream).clamp(0, 1)

    images, ids = image_batch(4, 32, 40).cuda(), id_tensor(4).cuda()
    for stream in (1, 2, 2**32 - 1):
        expected = noise(images * 2, ids, kind, AMOUNTS[kind], seed=2**63 + 1, stream=stream).clamp(0, 1)
        assert torch.allclose(step(images, ids, stream), expected, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_two_streams_do_not_disturb_each_other(kind: str, on_two_streams: Callable[..., None]) -> None:
    ids = id_tensor(32).cuda()
    first, second = image_batch(32, 112, 112).cuda(), 1 - image_batch(32, 112, 112).cuda()
    on_two_streams(lambda images: noise(images, ids, kind, AMOUNTS[kind], seed=1), first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cuda_graph_replays_it(kind: str, in_a_graph: Callable[..., None]) -> None:
    ids = id_tensor(8).cuda()
    first, second = image_batch(8, 64, 64).cuda(), 1 - image_batch(8, 64, 64).cuda()
    in_a_graph(lambda images: noise(images, ids, kind, AMOUNTS[kind], seed=1), first, second)
