"""Patches on a GPU: against float64 and the CPU at awkward sizes, in every batch, in compiled code, streams and graphs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fastrace.kernels.patches import CUDA_TOLERANCE, patches, patches_reference, scale

pytestmark = pytest.mark.gpu
pytest.importorskip("triton")

# Images, height, width, filters, side.
SIZES = [
    (1, 1, 1, 1, 1),
    (2, 6, 6, 3, 6),
    (1, 6, 50, 2, 6),
    (1, 67, 5, 2, 5),
    (3, 50, 50, 256, 6),
    (2, 17, 31, 37, 5),
    (2, 29, 23, 129, 7),
    (1, 71, 139, 300, 12),
    (1, 40, 261, 17, 2),
    (70_000, 3, 4, 2, 2),
    (1, 224, 224, 64, 6),
]


def images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random(shape, dtype=np.float32))


def filters(many: int, side: int) -> torch.Tensor:
    drawn = np.random.default_rng(1).standard_normal((many, side, side)) + 0.3
    return torch.from_numpy((drawn / np.linalg.norm(drawn, axis=(1, 2), keepdims=True)).astype(np.float32))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grids", [(1, 3), (5,), (2, 1, 4)])
def test_agrees_with_the_float64_reference(size: tuple[int, int, int, int, int], grids: tuple[int, ...]) -> None:
    count, height, width, many, side = size
    batch, bank = images(count, height, width) + 3, filters(many, side)
    for threshold in (0.0, 0.5):
        got = patches(batch.cuda(), bank.cuda(), threshold, 1e-4, grids).double().cpu().numpy()
        checked = slice(None, None, max(1, count // 7))
        expected = patches_reference(batch[checked].numpy(), bank.numpy(), threshold, 1e-4, grids)
        assert np.abs(got[checked] - expected).max() <= CUDA_TOLERANCE * scale(bank, threshold)


def test_an_image_does_not_depend_on_its_batch_and_a_call_gives_the_same_bits_again() -> None:
    batch, bank = images(9, 37, 41).cuda(), filters(70, 6).cuda()
    together = patches(batch, bank)
    order = torch.tensor([8, 0, 3], device="cuda")
    assert torch.equal(patches(batch[order], bank), together[order])
    assert all(torch.equal(patches(batch, bank), together) for _ in range(5))


def test_empty_batches_strides_and_misaligned_memory() -> None:
    bank = filters(5, 4).cuda()
    assert patches(torch.zeros((0, 8, 8), device="cuda"), bank).shape == (0, 100)
    batch = images(5, 31, 33).cuda()
    plain = patches(batch, bank)
    assert torch.equal(patches(batch.transpose(1, 2).contiguous().transpose(1, 2), bank), plain)
    shifted = torch.empty(batch.numel() + 1, device="cuda")[1:].view(batch.shape).copy_(batch)
    assert torch.equal(patches(shifted, bank), plain)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, -1e20])
def test_what_is_not_finite_spoils_what_it_spoils_on_the_cpu(value: float) -> None:
    batch, bank = images(2, 20, 23), filters(19, 6)
    batch[1, 4, 8] = value
    got, expected = patches(batch.cuda(), bank.cuda()).cpu(), patches(batch, bank)
    assert torch.equal(got.isnan(), expected.isnan())
    assert torch.allclose(got, expected, rtol=0, atol=2 * CUDA_TOLERANCE * scale(bank, 1.0), equal_nan=True)
    bank[7, 2, 3] = math.nan
    assert torch.equal(patches(batch.cuda(), bank.cuda()).cpu().isnan(), patches(batch, bank).isnan())


def test_constant_images_answer_to_nothing() -> None:
    assert not patches(torch.full((2, 17, 19), 0.1, device="cuda"), filters(5, 6).cuda(), 0.0, 1e-30).any()


def test_the_operation_passes_opcheck() -> None:
    arguments = (images(2, 9, 12).cuda(), filters(3, 4).cuda(), 0.5, 1e-4, [1, 3])
    torch.library.opcheck(torch.ops.fastrace.patches, arguments)


def test_torch_compile_traces_through_without_a_break() -> None:
    @torch.compile(fullgraph=True)
    def step(batch: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
        return patches(batch * 2, bank, 0.5) + 1

    batch, bank = images(4, 32, 40).cuda(), filters(20, 6).cuda()
    assert torch.allclose(step(batch, bank), patches(batch * 2, bank, 0.5) + 1, atol=1e-6)


def test_two_streams_do_not_disturb_each_other(on_two_streams: Callable[..., None]) -> None:
    first, bank = images(64, 50, 50).cuda(), filters(256, 6).cuda()
    on_two_streams(lambda batch: patches(batch, bank), first, (1 - first) ** 2)


def test_a_cuda_graph_replays_it(in_a_graph: Callable[..., None]) -> None:
    first, bank = images(8, 50, 50).cuda(), filters(256, 6).cuda()
    in_a_graph(lambda batch: patches(batch, bank), first, (1 - first) ** 2)
