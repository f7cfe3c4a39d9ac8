"""Patches on the CPU: torch's chain as authority, float64, layout by hand, physics, what may not matter, the contract."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from patch_cases import filters, images

from fastrace.bench.patches import torch_chain
from fastrace.kernels.patches import TOLERANCE, patches, patches_reference, scale
from fastrace.kernels.patches.plan import LONGEST, features, make_plan

# Images, height, width, filters, side: one position, one row, primes, odd ones, more than a panel, every side up to 12.
SIZES = [
    (1, 1, 1, 1, 1),
    (2, 6, 6, 3, 6),
    (1, 6, 50, 2, 6),
    (1, 67, 5, 2, 5),
    (3, 50, 50, 40, 6),
    (2, 17, 31, 37, 5),
    (2, 29, 23, 129, 7),
    (1, 71, 139, 5, 12),
    (1, 12, 13, 16, 11),
    (1, 40, 261, 17, 2),
    (1, 33, 19, 1, 10),
    (2, 13, 14, 255, 3),
    (1, 21, 20, 65, 9),
    (1, 19, 23, 15, 8),
    (1, 11, 30, 31, 4),
]
GRIDS = [(1,), (3,), (1, 3), (2, 5, 1), (7,), (4, 4)]


def assert_agrees(
    batch: torch.Tensor,
    bank: torch.Tensor,
    threshold: float = 0.5,
    epsilon: float = 1e-4,
    grids: tuple[int, ...] = (1, 3),
) -> None:
    got = patches(batch, bank, threshold, epsilon, grids)
    expected = patches_reference(batch.numpy(), bank.numpy(), threshold, epsilon, grids)
    assert got.shape == expected.shape
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    error = np.abs(got.double().numpy() - expected).max(initial=0)
    assert error <= TOLERANCE * scale(bank, threshold)


# ---- authorities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_reference_is_torchs_chain_of_convolutions_and_pooling(size: tuple[int, int, int, int, int]) -> None:
    count, height, width, many, side = size
    batch, bank = images(count, height, width), filters(many, side)
    for grids in GRIDS:
        expected = torch_chain(batch.double(), bank.double(), 0.5, 1e-4, grids).numpy()
        found = patches_reference(batch.numpy(), bank.numpy(), 0.5, 1e-4, grids)
        # Where p = 1, torch's variance is the rounding of a difference, 1e-16, beside 0 and an epsilon of 1e-4.
        assert np.abs(found - expected).max() < 1e-10


@pytest.mark.parametrize("size", SIZES)
def test_the_kernel_agrees_with_the_float64_reference(size: tuple[int, int, int, int, int]) -> None:
    count, height, width, many, side = size
    for grids in GRIDS:
        for threshold in (0.0, 0.1, 1.0):
            assert_agrees(images(count, height, width), filters(many, side), threshold, 1e-4, grids)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    many=st.integers(1, 70),
    side=st.integers(1, 12),
    threshold=st.floats(0, 3),
    epsilon=st.floats(1e-6, 10),
    grids=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    brightness=st.floats(-10, 10),
    seed=st.integers(0, 1000),
)
def test_any_size_filter_threshold_and_grid_agree(
    height: int,
    width: int,
    many: int,
    side: int,
    threshold: float,
    epsilon: float,
    grids: tuple[int, ...],
    brightness: float,
    seed: int,
) -> None:
    side = min(side, height, width)
    batch = images(1, height, width, seed=seed) + brightness
    assert_agrees(batch, filters(many, side, seed), threshold, epsilon, grids)


def test_the_layout_is_side_filter_cell_for_each_grid_in_turn() -> None:
    # Differences of neighbours: z is 1 / sqrt(1 / 4 + epsilon) / 2 each way, 1 to 1.00001; rows of two columns, p = 2.
    batch = torch.tensor([[[0.0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]])
    right = torch.tensor([[[-0.5, 0.5], [-0.5, 0.5]], [[0.5, -0.5], [0.5, -0.5]]])  # rising to the right; and falling
    found = patches(batch, right, 1.0, 1e-30, (1, 3))[0].numpy()
    assert found.shape == (2 * 2 * (1 + 9),)
    step = 1.0  # the one column of positions where brightness rises: z = 2, less the threshold
    assert found[:4] == pytest.approx([step / 3, 0, 0, step / 3])
    whole = found[4:].reshape(2, 2, 3, 3)
    assert whole[0, 0] == pytest.approx(np.array([[0, step, 0]] * 3))
    assert whole[1, 1] == pytest.approx(whole[0, 0])
    assert not whole[0, 1].any()
    assert not whole[1, 0].any()


@given(length=st.integers(1, 200), grids=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple))
def test_pieces_make_up_the_cells_of_torchs_adaptive_pooling(length: int, grids: tuple[int, ...]) -> None:
    plan = make_plan(length, length, grids)
    assert plan.rows[0] == 0
    assert plan.rows[-1] == length
    assert plan.rows.diff().min() > 0
    assert plan.rows.diff().max() <= LONGEST
    assert len(plan.cells) == features(grids)
    line = torch.eye(length)[:, None]  # an image for each position
    at = 0
    for g in grids:
        share = F.adaptive_avg_pool1d(line, g)[:, 0].T > 0  # which positions a cell has
        for i in range(g):
            top, bottom = plan.rows[plan.cells[at + i * g, 0]], plan.rows[plan.cells[at + i * g, 1]]
            assert share[i].nonzero().flatten().tolist() == list(range(int(top), int(bottom)))
        at += g * g


# ---- physics ------------------------------------------------------------------------------------------------------


def test_brightness_does_not_matter_even_where_it_is_a_million_times_the_contrast() -> None:
    batch, bank = torch.round(images(2, 20, 20) * 64) / 64, filters(8, 5)
    plain = patches(batch, bank, 0.2)
    for brightness in (1.0, -100.0, 65536.0):
        moved = batch + brightness
        assert torch.equal(moved - brightness, batch)  # exact in float32, so that only the kernel can differ
        assert torch.equal(patches(moved, bank, 0.2), plain)


def test_contrast_does_not_matter_beside_a_small_epsilon() -> None:
    batch, bank = images(2, 20, 20), filters(8, 5)
    assert torch.equal(patches(4 * batch, bank, 0.2, 16e-4), patches(batch, bank, 0.2, 1e-4))
    assert_agrees(1e6 * batch, bank, 0.2, 1e-4)


def test_the_opposite_filter_answers_on_the_other_side() -> None:
    batch, bank = images(2, 20, 21), filters(8, 5)
    upper, lower = patches(batch, bank, 0.2, grids=(3,)).reshape(2, 2, 8 * 9).unbind(1)
    assert torch.equal(patches(batch, -bank, 0.2, grids=(3,)), torch.cat([lower, upper], 1))
    assert torch.equal(patches(1 - batch, bank, 1e3), torch.zeros(2, 160))
    mean = bank.mean((1, 2), keepdim=True)
    assert torch.allclose(patches(batch, bank - mean, 0.2, grids=(3,)), torch.cat([upper, lower], 1), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e5, 65535.0])
def test_a_constant_image_answers_to_nothing(value: float) -> None:
    for side in (1, 3, 6):
        found = patches(torch.full((2, 17, 19), value), filters(5, side), 0.0, 1e-30)
        assert torch.equal(found, torch.zeros(2, 100))


def test_cells_of_equal_size_average_to_the_whole() -> None:
    found = patches(images(3, 20, 26), filters(4, 6), 0.1, grids=(1, 3))  # 15 x 21 positions
    whole, cells = found[:, :8], found[:, 8:].reshape(3, 8, 9)
    assert torch.allclose(whole, cells.mean(2), atol=1e-6)


# ---- what may not matter ------------------------------------------------------------------------------------------


def test_an_image_does_not_depend_on_its_batch() -> None:
    batch, bank = images(9, 30, 37), filters(70, 6)
    together = patches(batch, bank)
    assert all(torch.equal(patches(batch[n : n + 1], bank)[0], together[n]) for n in range(9))
    order = torch.randperm(9)
    assert torch.equal(patches(batch[order], bank), together[order])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_neither_threads_nor_the_other_filters_change_a_bit(count: int) -> None:
    batch, bank, threads = images(count, 60, 61), filters(203, 6), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = patches(batch, bank)
        some = patches(batch, bank[:7])
        assert torch.equal(some[:, :14].reshape(-1, 2, 7), one[:, :406].reshape(-1, 2, 203)[:, :, :7])
        for several in (2, 3, 16):
            torch.set_num_threads(several)
            assert torch.equal(patches(batch, bank), one)
    finally:
        torch.set_num_threads(threads)


def test_strides_and_float64_filters_do_not_matter_and_the_input_is_left_alone() -> None:
    batch, bank = images(3, 20, 24), filters(6, 5)
    plain, before = patches(batch, bank), batch.clone()
    turned = batch.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(patches(turned, bank.transpose(0, 2).contiguous().transpose(0, 2)), plain)
    assert torch.equal(
        patches(images(3, 40, 48)[:, ::2, ::2], bank), patches(images(3, 40, 48)[:, ::2, ::2].clone(), bank)
    )
    assert torch.equal(patches(batch, bank.double()), plain)
    assert torch.equal(batch, before)


def test_an_empty_batch_comes_back_empty() -> None:
    assert patches(torch.zeros(0, 8, 8), filters(3, 4)).shape == (0, 60)
    assert patches_reference(np.zeros((0, 8, 8)), filters(3, 4).numpy()).shape == (0, 60)


@pytest.mark.slow
def test_fused_instruction_sets_give_the_same_bits_and_sse2_the_same_numbers(
    lesser_processors: dict[str, Path], tmp_path: Path
) -> None:
    script = """
import sys, numpy, torch
from fastrace.kernels import _extension
from fastrace.kernels.patches import patches
if len(sys.argv) > 2:
    _extension.load = lambda: torch.ops.load_library(sys.argv[2])
random, found = numpy.random.default_rng(0), []
for height, width, many, side in ((50, 50, 256, 6), (23, 90, 37, 5), (9, 9, 1, 1), (31, 17, 100, 11)):
    images = torch.from_numpy(random.random((2, height, width), dtype=numpy.float32))
    filters = torch.from_numpy(random.standard_normal((many, side, side), dtype=numpy.float32)) / side
    found += [patches(images, filters, 0.5, grids=grids) for grids in ((1, 3), (5,))]
torch.save(found, sys.argv[1])
"""
    results = {}
    for name, library in (("here", []), *((name, [str(path)]) for name, path in lesser_processors.items())):
        file = tmp_path / f"{name}.pt"
        done = subprocess.run(
            [sys.executable, "-c", script, str(file), *library], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        results[name] = torch.load(file)
    for here, avx2, baseline in zip(results["here"], results["avx2"], results["baseline"], strict=True):
        assert torch.equal(here, avx2)
        assert (here - baseline).abs().max() <= 2 * TOLERANCE * 7  # filters of length 1: scale is 0.5 + side at most


# ---- not finite ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, -1e20])
def test_what_is_not_finite_spoils_the_cells_of_its_patches_and_no_others(value: float) -> None:
    batch, bank = images(2, 20, 23), filters(19, 6)  # 15 x 18 positions: cells of 5 x 6
    clean = patches(batch, bank)
    spoiled = batch.clone()
    spoiled[1, 4, 8] = value  # in patches at rows 0 to 4 and columns 3 to 8: the first two cells
    found = patches(spoiled, bank)
    assert torch.equal(found[0], clean[0])
    whole, cells = found[1, :38], found[1, 38:].reshape(38, 9)
    assert whole.isnan().all()
    assert cells[:, :2].isnan().all()
    assert torch.equal(cells[:, 2:], clean[1, 38:].reshape(38, 9)[:, 2:])
    if abs(value) > 1e30:  # float64 holds such variances
        expected = patches_reference(spoiled.numpy(), bank.numpy())
        assert np.isnan(expected[1]).sum() in (0, found[1].isnan().sum())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_filter_that_is_not_finite_spoils_its_own_features(value: float) -> None:
    batch, bank = images(2, 20, 23), filters(19, 6)
    clean = patches(batch, bank).reshape(2, -1)
    bank[7, 2, 3] = value
    found = patches(batch, bank)
    expected = patches_reference(batch.numpy(), bank.numpy())
    assert np.array_equal(found.isnan().numpy(), np.isnan(expected))
    assert torch.equal(found[~found.isnan()], clean[~found.isnan()])
    assert found[0, :38].isnan().nonzero().flatten().tolist() == [7, 26]


@pytest.mark.parametrize("factor", [1e17, 1e-17, 1e-30, 0.0])
def test_extremes_follow_arithmetic(factor: float) -> None:
    for epsilon in (1e-30, 1e-4, 1e30):
        assert_agrees(images(1, 19, 22) * factor, filters(9, 5), 0.1, epsilon)
    assert_agrees(images(1, 19, 22), filters(9, 5) * max(factor, 1e-30), 0.0)
    assert_agrees(images(1, 19, 22), filters(9, 5), 1e30)


# ---- contract -----------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_named() -> None:
    batch, bank = images(2, 8, 9), filters(3, 4)
    with pytest.raises(ValueError, match=r"images \[N, H, W\] float32, not \[2, 8, 9\] torch.float64"):
        patches(batch.double(), bank)
    with pytest.raises(ValueError, match=r"images \[N, H, W\] float32, not \[8, 9\]"):
        patches(batch[0], bank)
    with pytest.raises(ValueError, match=r"filters \[K, p, p\] float32 or float64, not \[3, 4, 4\] torch.float16"):
        patches(batch, bank.half())
    for bad in (bank[:, :3], bank[:0], bank[:, :0, :0]):
        with pytest.raises(ValueError, match=r"one or more square filters \[K, p, p\], not"):
            patches(batch, bad)
    with pytest.raises(ValueError, match="images of 8 x 9 are smaller than a patch of 9 x 9"):
        patches(batch, filters(3, 9))
    with pytest.raises(ValueError, match="on the device of the images, cpu, not on meta"):
        patches(batch, bank.to("meta"))


@pytest.mark.parametrize("threshold", [-0.1, math.nan, math.inf])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="finite number of 0 or more, not"):
        patches(images(1, 8, 8), filters(1, 3), threshold)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 1e-31, math.nan, math.inf])
def test_an_epsilon_that_float32_cannot_add_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match="epsilon of patches lies between 1e-30 and 1e"):
        patches(images(1, 8, 8), filters(1, 3), 1.0, epsilon)


@pytest.mark.parametrize("grids", [(), (0,), (1, -2), (1.5,)])
def test_grids_that_have_no_cells_are_refused(grids: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="whole numbers of 1 or more, not"):
        patches(images(1, 8, 8), filters(1, 3), grids=grids)


def test_more_cells_than_positions_share_them_as_torch_has_it() -> None:
    assert_agrees(images(1, 7, 8), filters(3, 5), grids=(9, 4))


def test_the_cpu_operation_refuses_plans_that_leave_the_image() -> None:
    batch, bank = images(1, 8, 8), filters(1, 3)
    plan = make_plan(6, 6, (2,))
    call = torch.ops.fastrace.patches_cpu if patches(batch, bank).numel() else None
    edges = torch.tensor([0, 3, 7])
    with pytest.raises(RuntimeError, match="edges must rise from 0"):
        call(batch, bank, 1.0, 1e-4, edges, plan.columns, plan.cells)
    for column, value, match in (
        (1, 9, "outside the pieces"),
        (0, -1, "outside the pieces"),
        (4, 3, "outside its grid"),
    ):
        cells = plan.cells.clone()
        cells[0, column] = value
        with pytest.raises(RuntimeError, match=match):
            call(batch, bank, 1.0, 1e-4, plan.rows, plan.columns, cells)


def test_the_operation_passes_opcheck() -> None:
    torch.library.opcheck(torch.ops.fastrace.patches, (images(2, 9, 12), filters(3, 4), 0.5, 1e-4, [1, 3]))


def test_torch_compile_traces_through_without_a_break() -> None:
    @torch.compile(fullgraph=True)
    def step(batch: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
        return patches(batch * 2, bank, 0.5) + 1

    batch, bank = images(2, 16, 20), filters(5, 6)
    assert torch.equal(step(batch, bank), patches(batch * 2, bank, 0.5) + 1)
