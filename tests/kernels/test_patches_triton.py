"""The Triton kernels of patches, interpreted on the CPU: float64's numbers, inside their buffers, and what NaN does."""

from __future__ import annotations

import builtins
import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from patch_cases import filters, images

from fastrace.errors import BackendMissing
from fastrace.kernels import patches as package
from fastrace.kernels.patches import CUDA_TOLERANCE, TOLERANCE, patches, patches_reference, scale
from fastrace.kernels.patches.plan import features, make_plan

cuda = pytest.importorskip("fastrace.kernels.patches.cuda", reason="triton comes with the CUDA build of torch")

interpreted = pytest.mark.skipif(
    torch.cuda.is_available(), reason="Triton is interpreted only without a GPU; see tests/gpu"
)

# Images, height, width, filters, side: one position, one row, primes, several pieces, several blocks of filters.
SIZES = [
    (1, 1, 1, 1, 1),
    (2, 6, 6, 3, 6),
    (1, 6, 50, 2, 6),
    (2, 17, 31, 37, 5),
    (1, 29, 23, 129, 7),
    (1, 33, 60, 5, 12),
    (1, 12, 13, 16, 11),
    (3, 19, 14, 17, 2),
    (1, 11, 30, 300, 4),
    (1, 50, 50, 256, 6),
]


def by_triton(
    batch: torch.Tensor, bank: torch.Tensor, threshold: float, epsilon: float, grids: tuple[int, ...]
) -> torch.Tensor:
    """What the launcher does, inside buffers that show a read (NaN) or a write (7) outside of its own."""
    side, many = bank.shape[1], bank.shape[0]
    plan = make_plan(batch.shape[1] - side + 1, batch.shape[2] - side + 1, grids)
    weights = cuda.padded(package._centred(bank))
    sums = (len(batch), len(plan.rows) - 1, len(plan.columns) - 1, 2, len(weights))
    inside, around = [], []
    for shape, value in (
        (batch.shape, math.nan),
        (weights.shape, math.nan),
        (sums, 7.0),
        ((len(batch), 2 * many * features(grids)), 7.0),
    ):
        numbers = math.prod(shape)
        buffer = torch.full((numbers + 4096,), value)
        inside.append(buffer[2048 : 2048 + numbers].view(shape))
        around.append((buffer[:2048], buffer[2048 + numbers :]))
    inside[0].copy_(batch)
    inside[1].copy_(weights)
    cuda.fill(inside[0], inside[1], threshold, epsilon, plan, inside[2], inside[3], many, side)
    for before, after in around[2:]:
        assert (before == 7).all()
        assert (after == 7).all()
    return inside[3]


@interpreted
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grids", [(1, 3), (2,)])
def test_the_kernels_agree_with_the_float64_reference_and_stay_inside_their_buffers(
    size: tuple[int, int, int, int, int], grids: tuple[int, ...]
) -> None:
    count, height, width, many, side = size
    batch, bank = images(count, height, width) + 3, filters(many, side)
    got = by_triton(batch, bank, 0.2, 1e-4, grids).double().numpy()
    expected = patches_reference(batch.numpy(), bank.numpy(), 0.2, 1e-4, grids)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= TOLERANCE * scale(bank, 0.2)  # its products are float32, not TF32


@interpreted
def test_the_launcher_makes_what_they_fill() -> None:
    batch, bank = images(2, 20, 23), filters(19, 6)
    plan = make_plan(15, 18, (1, 3))
    got = cuda.launch(batch, package._centred(bank), 0.2, 1e-4, plan)
    assert torch.equal(got, by_triton(batch, bank, 0.2, 1e-4, (1, 3)))
    assert cuda.launch(batch[:0], package._centred(bank), 0.2, 1e-4, plan).shape == (0, 380)
    with pytest.raises(ValueError, match=r"fewer than 2\^31 pixels, not 65536 x 65536"):
        cuda.launch(torch.empty(1, 2**16, 2**16, device="meta"), bank, 0.2, 1e-4, plan)


@interpreted
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the interpreter
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, -1e20])
def test_what_is_not_finite_spoils_what_it_spoils_on_the_cpu(value: float) -> None:
    batch, bank = images(2, 20, 23), filters(19, 6)
    batch[1, 4, 8] = value
    got, expected = by_triton(batch, bank, 1.0, 1e-4, (1, 3)), patches(batch, bank)
    assert torch.equal(got.isnan(), expected.isnan())
    assert torch.allclose(got, expected, rtol=0, atol=2 * TOLERANCE * scale(bank, 1.0), equal_nan=True)
    if not math.isfinite(value):
        bank[7, 2, 3] = value
        assert torch.equal(by_triton(batch, bank, 1.0, 1e-4, (1, 3)).isnan(), patches(batch, bank).isnan())


@interpreted
def test_constant_images_answer_to_nothing() -> None:
    assert not by_triton(torch.full((2, 17, 19), 0.1), filters(5, 6), 0.0, 1e-30, (1, 3)).any()


def test_programs_take_as_many_filters_as_are_there() -> None:
    blocks = {many: cuda.block_of(many) for many in (1, 16, 17, 64, 65, 256, 1000)}
    assert blocks == {1: 16, 16: 16, 17: 32, 64: 64, 65: 128, 256: 128, 1000: 128}
    weights = cuda.padded(filters(130, 6))
    assert weights.shape == (256, 48)
    assert not weights[130:].any()
    assert not weights[:, 36:].any()


def tf32(values: np.ndarray) -> np.ndarray:
    """Round to the 10 bits after the point that a tensor core takes."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


@pytest.mark.parametrize("matched", [False, True])
def test_three_tf32_products_keep_the_bound_and_one_would_not(matched: bool) -> None:
    """What the interpreter cannot show, since it multiplies in float32: the products of a GPU, in NumPy."""
    batch, bank = images(1, 40, 41)[0].numpy() + 3, filters(64, 6).numpy()
    patch = np.lib.stride_tricks.sliding_window_view(batch, (6, 6)).reshape(-1, 36)
    if matched:  # the largest responses that there can be
        bank[:] = patch[:: len(patch) // 64][:64].reshape(-1, 6, 6) - 3
        bank /= np.linalg.norm(bank, axis=(1, 2), keepdims=True)
    x = patch - patch.mean(1, keepdims=True, dtype=np.float64)
    contrast = np.sqrt((x**2).mean(1, keepdims=True) + 1e-4)
    weights = package._centred(torch.from_numpy(bank)).numpy().reshape(64, 36)
    high, low = (tf32(x), tf32(x - tf32(x))), (tf32(weights), tf32(weights - tf32(weights)))
    errors = {}
    for products in (1, 3):
        z = high[0] @ low[0].T + (high[1] @ low[0].T + high[0] @ low[1].T if products == 3 else 0)
        sides = np.concatenate([np.maximum(z / contrast - 0.2, 0), np.maximum(-z / contrast - 0.2, 0)], 1)
        errors[products] = np.abs(sides.mean(0) - patches_reference(batch[None], bank, 0.2, 1e-4, (1,))[0]).max()
    allowed = CUDA_TOLERANCE * scale(torch.from_numpy(bank), 0.2)
    assert errors[3] < allowed / 4
    assert errors[1] > allowed


def test_without_triton_the_error_on_a_gpu_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "triton":
            raise ImportError("No module named 'triton'")
        return real(name, *arguments, **named)

    monkeypatch.delitem(sys.modules, "fastrace.kernels.patches.cuda")
    monkeypatch.delattr(package, "cuda")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendMissing, match="CUDA build of torch"):
        package._triton()
