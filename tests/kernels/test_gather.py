"""gather: the kernel against NumPy's indexing, bit for bit, in every arrangement; what is not there is refused by name."""

from __future__ import annotations

import gc
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.library import opcheck

from fastrace.errors import UsageError
from fastrace.kernels import _extension
from fastrace.kernels.gather import as_shard, gather, gather_reference

DTYPES = ("uint8", "uint16", "float16", "float32")
STREAMED = 1 << 20  # bytes from which the kernel writes past the caches


def shard_arrays(dtype: str, lengths: list[int], height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Random bits: among the floats are NaN, infinities and subnormals."""
    rng = np.random.default_rng(seed)
    size = np.dtype(dtype).itemsize
    return [rng.integers(0, 256, (n, height, width * size), dtype=np.uint8).view(dtype) for n in lengths]


def choose(lengths: list[int], n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shard = rng.integers(0, len(lengths), n)
    return shard, rng.integers(0, np.array(lengths)[shard])


def assert_same_bits(result: torch.Tensor, expected: np.ndarray) -> None:
    found = result.numpy()
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    height, width, n = draw(st.integers(1, 9)), draw(st.integers(1, 90)), draw(st.integers(0, 7))
    shard, row = choose(lengths, n, draw(st.integers(0, 99)))
    return {
        "shards": shard_arrays(draw(st.sampled_from(DTYPES)), lengths, height, width),
        "shard": shard,
        "row": row,
    }


@given(questions())
def test_any_choice_of_images_is_numpys_indexing(question: dict[str, Any]) -> None:
    shards, shard, row = (question[name] for name in ("shards", "shard", "row"))
    starts = np.cumsum([0, *map(len, shards)])
    images = np.concatenate(shards)[starts[shard] + row]
    assert_same_bits(gather(**question), images)
    assert_same_bits(torch.from_numpy(gather_reference(**question)), images)


# Lines that fill vectors of 16 and 64 bytes, that do not, and that begin anywhere in them; batches in and beyond the caches.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [16, 17, 31, 32, 64, 96, 224, 250])
@pytest.mark.parametrize("size", [STREAMED // 2, STREAMED + 1])
def test_lines_of_every_alignment_side_by_side_or_apart(dtype: str, width: int, size: int) -> None:
    line = width * np.dtype(dtype).itemsize
    height = size // (3 * line) + 2
    shards = shard_arrays(dtype, [2, 1], height, width + 3)
    shard, row = [0, 1, 0], [1, 0, 1]
    for left in (0, 3, 1):  # columns of which lines begin anywhere in a vector
        apart = [one[:, :, left : left + width] for one in shards]
        expected = gather_reference(apart, shard, row)
        memory = np.zeros(expected.nbytes + 64, dtype=np.uint8)
        for shift in (0, 4, 16):  # bytes
            out = torch.from_numpy(memory[shift : shift + expected.nbytes].view(dtype).reshape(expected.shape))
            memory[:] = 0
            assert gather(apart, shard, row, out=out) is out
            assert_same_bits(out, expected)
            assert not memory[:shift].any()
            assert not memory[shift + expected.nbytes :].any()
        whole = [np.ascontiguousarray(one) for one in apart]
        assert_same_bits(gather(whole, shard, row), expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_large_images_and_many_small_ones_are_shared_among_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for lengths, height, width, n in (([2, 1], 1031, 1021, 4), ([300], 7, 13, 20_000), ([3], 1, 300_000, 3)):
            shards = shard_arrays("uint8", lengths, height, width)
            shard, row = choose(lengths, n)
            assert_same_bits(gather(shards, shard, row), gather_reference(shards, shard, row))
    finally:
        torch.set_num_threads(before)


def test_calls_from_several_threads_do_not_disturb_each_other() -> None:
    shards = shard_arrays("uint16", [20, 30], 65, 127)
    results: dict[int, tuple[torch.Tensor, np.ndarray]] = {}

    def work(seed: int) -> None:
        for again in range(20):
            shard, row = choose([20, 30], 64, seed=100 * seed + again)
            found = gather(shards, shard, row)
        results[seed] = found, gather_reference(shards, shard, row)

    running = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(results) == 4
    for found, expected in results.values():
        assert_same_bits(found, expected)


def test_empty_batches_and_empty_images() -> None:
    shards = shard_arrays("uint16", [3], 5, 6)
    assert gather(shards, [], []).shape == (0, 5, 6)
    assert gather([one[:, :0] for one in shards], [0, 0], [1, 2]).shape == (2, 0, 6)
    assert gather([np.empty((0, 5, 6), dtype=np.uint8)], [], []).shape == (0, 5, 6)


def test_shards_may_be_slices_and_expanded_and_transposed_in_their_first_axes() -> None:
    (array,) = shard_arrays("uint16", [8], 9, 40)
    tensor = torch.from_numpy(array)
    for view in (tensor[1::2, ::3, 4:37], tensor.transpose(0, 1), tensor[:1].expand(8, 9, 40)):
        expected = view.contiguous().numpy()[[3, 0, 3]]
        assert_same_bits(gather([view], [0, 0, 0], [3, 0, 3]), expected)


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_only_maps_are_read_where_they_lie_without_a_warning(dtype: str, tmp_path: Path) -> None:
    maps = []
    for number, array in enumerate(shard_arrays(dtype, [3, 2], 11, 13)):
        np.save(tmp_path / f"{number}.npy", array)
        maps.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = gather(maps, [1, 0, 1], [1, 2, 0])
        assert as_shard(maps[0]).data_ptr() == maps[0].__array_interface__["data"][0]
    assert_same_bits(result, gather_reference(maps, [1, 0, 1], [1, 2, 0]))
    assert not maps[0].flags.writeable


def test_a_shard_keeps_its_map_alive_and_a_deleted_file_stays_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    (array,) = shard_arrays("uint8", [40], 64, 100)
    np.save(file, array)
    shard = as_shard(np.load(file, mmap_mode="r"))
    gc.collect()
    file.unlink()
    assert_same_bits(gather([shard], np.zeros(40, dtype=int), np.arange(40)), array)


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shard": [0, 2], "row": [0, 0]}, r"image 1 is of shard 2; there are 2"),
        ({"shard": [-1], "row": [0]}, r"image 0 is of shard -1"),
        ({"shard": [0, 1, 1], "row": [2, 0, 1]}, r"image 2 is row 1 of shard 1, which has 1"),
        ({"shard": [0], "row": [-1]}, r"image 0 is row -1 of shard 0, which has 3"),
        ({"shard": [0], "row": [2**62]}, r"image 0 is row 4611686018427387904"),
    ],
)
def test_what_is_not_there_is_named(arguments: dict[str, Any], message: str) -> None:
    question = {"shard": [0, 0], "row": [0, 1], **arguments}
    with pytest.raises(IndexError, match=message):
        gather(shard_arrays("uint8", [3, 1], 5, 6), **question)


GOOD = torch.zeros((3, 5, 6), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shards": []}, r"shards must be \[n, H, W\], not none"),
        ({"shards": [GOOD[0]]}, r"shards must be \[n, H, W\], not \[5, 6\]"),
        ({"shards": [GOOD, GOOD[:, :4]]}, r"shard 1 is \[3, 4, 6\].*shard 0 \[3, 5, 6\].*one size"),
        ({"shards": [GOOD, GOOD.float()]}, r"shard 1 is \[3, 5, 6\] torch.float32"),
        ({"shards": [GOOD.transpose(1, 2)]}, r"columns of shard 0 lie 6 elements apart"),
        ({"shards": [GOOD.double()]}, r"torch.float64; elements must have 1, 2 or 4 bytes"),
        ({"shards": [np.zeros((3, 5, 6), dtype=">u2")]}, r"an array of >u2"),
        ({"shards": [np.zeros((3, 5, 6), dtype=np.uint8)[:, ::-1]]}, r"strides"),
        ({"shard": [0, 0, 0]}, r"3 shard numbers, 2 rows"),
        ({"row": [0.5, 1.0]}, r"row is \[2\] torch.float64.*not \[N\] int"),
        ({"row": [[0, 1]]}, r"row is \[1, 2\]"),
        ({"shard": [False, True]}, r"shard is \[2\] torch.bool"),
        ({"out": torch.zeros((2, 5, 5), dtype=torch.uint8)}, r"out is \[2, 5, 5\].*not \[2, 5, 6\]"),
        ({"out": torch.zeros((2, 5, 6), dtype=torch.int16)}, r"out is .*int16"),
        ({"out": torch.zeros((2, 5, 12), dtype=torch.uint8)[:, :, ::2]}, r"contiguous"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it(arguments: dict[str, Any], message: str) -> None:
    question = {"shards": [GOOD], "shard": [0, 0], "row": [0, 1], **arguments}
    with pytest.raises(UsageError, match=message):
        gather(**question)


def test_the_operation_itself_refuses_as_well_and_writes_nothing() -> None:
    _extension.load()
    out = torch.full((2, 5, 6), 7, dtype=torch.uint8)
    for row in (-1, 3):
        with pytest.raises(RuntimeError, match=f"row {row}"):
            torch.ops.fastrace.gather([GOOD], torch.tensor([0, 0]), torch.tensor([0, row]), out)
    assert (out == 7).all()


# ---- torch -----------------------------------------------------------------------------------------------------------


def test_the_operation_passes_opcheck() -> None:
    shards = [torch.from_numpy(array) for array in shard_arrays("uint8", [3, 2], 5, 6)]
    numbers, places = torch.tensor([1, 0]), torch.tensor([0, 2])
    out = torch.zeros((2, 5, 6), dtype=torch.uint8)
    opcheck(torch.ops.fastrace.gather, (shards, numbers, places, out))


def test_torch_compile_traces_through_it() -> None:
    shards = [torch.from_numpy(array) for array in shard_arrays("uint8", [3, 2], 5, 6)]

    @torch.compile(fullgraph=True)
    def step(numbers: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return gather(shards, numbers, places).float() / 255

    numbers, places = torch.tensor([1, 0, 0]), torch.tensor([0, 2, 2])
    assert torch.equal(step(numbers, places), gather(shards, numbers, places).float() / 255)


def test_other_threads_run_while_a_batch_is_gathered() -> None:
    gather([GOOD], [0], [0])  # loads the kernel
    operation = torch.ops.fastrace.gather_cpu.default
    shards, n = [torch.zeros((8, 1024, 512), dtype=torch.uint8)], 128
    arguments = (shards, torch.zeros(n, dtype=torch.int64), torch.arange(n) % 8)
    out = torch.empty((n, 1024, 512), dtype=torch.uint8)

    def first_to_finish(work: Callable[[], object]) -> str:
        finished: list[str] = []
        go = threading.Event()

        def wait() -> None:
            go.wait()
            finished.append("thread")

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.005)
        go.set()
        work()
        finished.append("work")
        thread.join()
        return finished[0]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # seconds: the other thread gets the interpreter only if this one lets go of it
    try:
        assert first_to_finish(lambda: sum(range(1_000_000))) == "work"
        # A busy machine may not wake the thread in the few milliseconds of one gather; if the lock is held it never can.
        tries = (first_to_finish(lambda: operation(*arguments, out)) for _ in range(200))
        assert "thread" in tries
    finally:
        sys.setswitchinterval(before)
