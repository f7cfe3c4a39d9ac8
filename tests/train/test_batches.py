"""Batches: the right pixels in an order that depends on seed and epoch alone."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import make_dataset, options_for

from fastrace import dataset as dataset_module
from fastrace.cohort.selection import labelled
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError
from fastrace.run_folder import RunFolder
from fastrace.train import batches as batches_module
from fastrace.train import run as run_module
from fastrace.train import train
from fastrace.train.batches import Batch, Placement, Reader, epoch_order, in_order, place

CPU = torch.device("cpu")


@given(st.integers(1, 500), st.integers(2, 64), st.integers(0, 9))
def test_batches_have_one_size_and_few_images_are_left_over(n: int, batch_size: int, epoch: int) -> None:
    plan = epoch_order(np.arange(n), batch_size, seed=1, epoch=epoch)
    sizes = {len(batch) for batch in plan}
    assert len(sizes) == 1
    seen = np.concatenate(plan)
    assert len(np.unique(seen)) == len(seen)
    assert n - len(seen) < len(plan)
    assert sizes.pop() <= 1.5 * batch_size


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_order(np.arange(64), 8, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_scoring_sees_every_image_once_and_in_order() -> None:
    assert np.concatenate(in_order(np.arange(10), 4)).tolist() == list(range(10))
    assert [len(batch) for batch in in_order(np.arange(10), 4)] == [4, 4, 2]


def test_a_batch_holds_the_stored_values_of_its_rows(planted: Dataset) -> None:
    cohort = labelled(planted, "group")
    reader = Reader(planted, cohort, CPU)
    positions = np.array([150, 3, 77])
    (batch,) = reader.batches([positions])
    np.testing.assert_array_equal(batch.pixels.numpy(), planted.images(cohort.rows[positions]))
    np.testing.assert_array_equal(batch.labels.numpy(), cohort.labels[positions])
    np.testing.assert_array_equal(batch.ids.numpy(), cohort.ids[positions])
    np.testing.assert_array_equal(batch.mm_per_pixel.numpy(), 0.5)


def test_an_error_of_the_reading_thread_reaches_the_caller(planted: Dataset) -> None:
    cohort = labelled(planted, "group")
    (planted.path / "images-00001.npy").rename(planted.path / "hidden")
    try:
        reader = Reader(planted, cohort, CPU)
        with pytest.raises(DatasetError, match=r"images-00001.npy: cannot be read"):
            list(reader.batches([np.array([0]), np.array([150])]))
    finally:
        (planted.path / "hidden").rename(planted.path / "images-00001.npy")


def test_a_caller_that_stops_early_leaves_no_thread_behind(planted: Dataset) -> None:
    reader = Reader(planted, labelled(planted, "group"), CPU)
    batches = reader.batches([np.array([k]) for k in range(50)])
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastrace-batches"]


# ---- memory that is used again ---------------------------------------------------------------------------------------


def assert_holds(batch: Batch, dataset: Dataset, rows: np.ndarray) -> None:
    np.testing.assert_array_equal(batch.pixels.numpy(), dataset.images(rows[batch.positions]))


@pytest.mark.parametrize("images_at_once", [1, 20, 10**6])
def test_batches_that_are_kept_keep_their_pixels(
    planted: Dataset, images_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "READ_AT_ONCE", images_at_once * 32 * 32 * 2)
    cohort = labelled(planted, "group")
    reader = Reader(planted, cohort, CPU)
    kept = list(reader.batches([np.arange(k, k + 7) for k in range(30)]))
    for batch in kept:
        assert_holds(batch, planted, cohort.rows)
    first = [batch.pixels[0] for batch in kept]  # a view is enough, and so is an array of one
    arrays = [batch.pixels.numpy()[1] for batch in kept]
    del kept, batch
    list(reader.batches([np.arange(100, 107)] * 30))
    for k in range(30):
        np.testing.assert_array_equal(first[k].numpy(), planted.images(cohort.rows[[k]])[0])
        np.testing.assert_array_equal(arrays[k], planted.images(cohort.rows[[k + 1]])[0])


@pytest.mark.parametrize("images_at_once", [1, 9])
def test_memory_of_batches_that_are_dropped_is_used_again(
    planted: Dataset, images_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "READ_AT_ONCE", images_at_once * 32 * 32 * 2)
    cohort = labelled(planted, "group")
    reader = Reader(planted, cohort, CPU)
    places = set()
    for batch in reader.batches(in_order(np.arange(150), 4)):  # the last is smaller
        assert_holds(batch, planted, cohort.rows)
        places.add(batch.pixels.untyped_storage().data_ptr())
    assert len(places) <= 6  # of 38, or of 19 with two batches in each


# ---- resident --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_resident_batches_are_the_streamed_ones(dtype: str, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", patients=20, size=(9, 31), dtype=dtype, rows_per_shard=7)
    cohort = labelled(data, "group")
    plan = [*epoch_order(np.arange(40), 8, seed=3, epoch=1), np.array([5]), np.array([39, 0, 39])]
    streamed = list(Reader(data, cohort, CPU).batches(plan))
    reader = Reader(data, cohort, CPU, resident=True)
    for batches in (list(reader.batches(plan)), list(reader.batches(plan)), [reader.read(at) for at in plan]):
        for batch, expected in zip(batches, streamed, strict=True):
            for name in ("pixels", "ids", "mm_per_pixel", "labels"):
                found, needed = getattr(batch, name), getattr(expected, name)
                assert found.dtype == needed.dtype
                np.testing.assert_array_equal(found.numpy(), needed.numpy())
            np.testing.assert_array_equal(batch.positions, expected.positions)
    assert list(reader.batches([])) == []


def test_resident_images_are_read_once(planted_path: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", patients=6)
    reader = Reader(data, labelled(data, "group"), CPU, resident=True)
    before = reader.read(np.arange(12)).pixels
    for file in data.path.glob("images-*"):
        file.write_bytes(b"")
    assert torch.equal(reader.read(np.arange(12)).pixels, before)


def test_a_run_has_the_same_result_from_resident_images(
    planted_path: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "place", lambda *_: Placement(True, 0, 0))
    train(options_for(planted_path, tmp_path / "run"))
    for name in ("predictions.parquet", "history.parquet"):
        streamed, resident = (pd.read_parquet(folder / name) for folder in (trained, tmp_path / "run"))
        pd.testing.assert_frame_equal(
            resident.drop(columns="seconds", errors="ignore"), streamed.drop(columns="seconds", errors="ignore")
        )
    assert RunFolder(tmp_path / "run").read_json("run.json")["images"]["resident"] is True


def test_a_run_reports_where_its_images_are(planted: Dataset, trained: Path) -> None:
    cohort = labelled(planted, "group")
    placement = place(planted, cohort, CPU)
    assert placement == Placement(False, 200 * 32 * 32 * 2, None)
    assert str(placement) == "images: 0.00 GB, read ahead from the shards"
    assert RunFolder(trained).read_json("run.json")["images"] == asdict(placement)


# ---- datasets that change under a reader -----------------------------------------------------------------------------


def test_a_shard_that_is_cut_short_while_in_use_is_an_error_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_module, "LOOK_SECONDS", -1.0)  # at every batch
    data = make_dataset(tmp_path / "data", patients=6)
    whole = data.images(np.arange(12))
    file = data.path / "images-00000.npy"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 1)
    with pytest.raises(DatasetError, match=r"images-00000.npy: was truncated to \d+ of \d+ bytes"):
        data.images([0])
    with pytest.raises(DatasetError, match=r"images-00000.npy: cannot be read"):
        Dataset.open(data.path).images([0])
    file.unlink()  # what is mapped stays
    assert data.images(np.arange(11)).tobytes() == whole[:11].tobytes()


def test_an_index_that_does_not_fit_the_shards_is_named(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", patients=6, columns={"row": 12})
    with pytest.raises(
        DatasetError, match=r"index and shards disagree.*row 12 of shard 0, which has 12.*fastrace verify"
    ):
        Dataset.open(tmp_path / "data").images([3])
    make_dataset(tmp_path / "other", patients=6, recipe={"size": [32, 31]})
    with pytest.raises(DatasetError, match=r"index and shards disagree"):
        Dataset.open(tmp_path / "other").images([3])


def test_no_images_and_images_in_given_memory(planted: Dataset) -> None:
    assert planted.images([]).shape == (0, 32, 32)
    out = np.zeros((2, 32, 32), dtype=np.uint16)
    assert planted.images([150, 3], out=out) is out
    np.testing.assert_array_equal(out, np.stack([planted.shard(1)[50], planted.shard(0)[3]]))
