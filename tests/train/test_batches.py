"""Batches: the right pixels in an order that depends on seed and epoch alone."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastrace.dataset import Dataset
from fastrace.errors import DatasetError
from fastrace.train.batches import Reader, epoch_order, in_order
from fastrace.train.cohort import labelled


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
    reader = Reader(planted, cohort, torch.device("cpu"))
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
        reader = Reader(planted, cohort, torch.device("cpu"))
        with pytest.raises(DatasetError, match=r"images-00001.npy: cannot be read"):
            list(reader.batches([np.array([0]), np.array([150])]))
    finally:
        (planted.path / "hidden").rename(planted.path / "images-00001.npy")


def test_a_caller_that_stops_early_leaves_no_thread_behind(planted: Dataset) -> None:
    reader = Reader(planted, labelled(planted, "group"), torch.device("cpu"))
    batches = reader.batches([np.array([k]) for k in range(50)])
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastrace-batches"]
