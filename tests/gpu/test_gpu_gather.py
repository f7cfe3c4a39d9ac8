"""Batches on a GPU: streamed through pinned memory that is used again, or resident; the pixels are those of the shards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import make_dataset

from fastrace.cohort.selection import labelled
from fastrace.dataset import Dataset
from fastrace.train import batches
from fastrace.train.batches import AHEAD, RESIDENT_SHARE, Reader, epoch_order, in_order, place

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


@pytest.fixture(scope="module", params=["uint8", "uint16"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("data") / request.param
    return make_dataset(path, patients=150, size=(65, 127), dtype=request.param, rows_per_shard=37)


def reader(data: Dataset, resident: bool) -> Reader:
    return Reader(data, labelled(data, "group"), CUDA, resident=resident)


@pytest.mark.parametrize("resident", [False, True])
def test_batches_on_the_device_are_the_rows_of_the_shards(data: Dataset, resident: bool) -> None:
    source = reader(data, resident)
    cohort = source.cohort
    for plan in (epoch_order(np.arange(300), 32, seed=1, epoch=1), in_order(np.arange(300), 64), [np.array([7])]):
        seen = 0
        for batch, positions in zip(source.batches(plan), plan, strict=True):
            assert batch.pixels.is_cuda
            np.testing.assert_array_equal(batch.pixels.cpu().numpy(), data.images(cohort.rows[positions]))
            np.testing.assert_array_equal(batch.ids.cpu().numpy(), cohort.ids[positions])
            np.testing.assert_array_equal(batch.labels.cpu().numpy(), cohort.labels[positions])
            assert not batch.mm_per_pixel.is_cuda
            seen += 1
        assert seen == len(plan)


@pytest.mark.parametrize("read_at_once", [1, 100_000])
def test_pinned_memory_is_not_overwritten_before_its_copy_has_ended(
    data: Dataset, read_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is kept busy, so copies queue up while the thread reads on."""
    monkeypatch.setattr(batches, "READ_AT_ONCE", read_at_once)
    source = reader(data, resident=False)
    plan = epoch_order(np.arange(300), 6, seed=2, epoch=1)
    weights = torch.randn(4096, 4096, device=CUDA)
    kept = []
    for batch in source.batches(plan):
        for _ in range(4):
            weights = (weights @ weights).tanh()
        kept.append((batch.pixels.clone(), batch.labels.clone()))
    torch.cuda.synchronize()
    for (pixels, labels), positions in zip(kept, plan, strict=True):
        np.testing.assert_array_equal(pixels.cpu().numpy(), data.images(source.cohort.rows[positions]))
        np.testing.assert_array_equal(labels.cpu().numpy(), source.cohort.labels[positions])


def test_batches_may_be_used_on_a_stream_of_the_callers(data: Dataset) -> None:
    source = reader(data, resident=False)
    plan = epoch_order(np.arange(300), 10, seed=3, epoch=1)
    sums, stream = [], torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for batch in source.batches(plan):
            torch.cuda._sleep(1_000_000)  # cycles: the batch is read long after Python has dropped it
            sums.append(batch.pixels.to(torch.float64).sum())
    stream.synchronize()
    for total, positions in zip(sums, plan, strict=True):
        assert float(total) == data.images(source.cohort.rows[positions]).astype(np.float64).sum()


def test_batches_are_gathered_into_the_same_pinned_memory_again(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[int] = []
    images = Dataset.images

    def spy(self: Dataset, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        assert out is not None
        places.append(out.__array_interface__["data"][0])
        return images(self, rows, out)

    monkeypatch.setattr(Dataset, "images", spy)
    monkeypatch.setattr(batches, "READ_AT_ONCE", 1)  # each batch alone
    for batch in reader(data, resident=False).batches([np.arange(k, k + 8) for k in range(100)]):
        batch.pixels.float().sum()
        torch.cuda.synchronize()
    assert len(places) == 100
    assert len(set(places)) <= 2 * (AHEAD + 3)


def test_cohorts_become_resident_if_they_fit(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = labelled(data, "group")
    placement = place(data, cohort, CUDA)
    assert placement.resident
    assert placement.device_free_bytes is not None
    assert placement.image_bytes <= RESIDENT_SHARE * placement.device_free_bytes
    assert "all on the device" in str(placement)
    monkeypatch.setattr(batches, "RESIDENT_SHARE", placement.image_bytes / placement.device_free_bytes / 2)
    assert not place(data, cohort, CUDA).resident


def test_an_error_of_the_reading_thread_reaches_the_caller_and_the_reader_works_on(data: Dataset) -> None:
    source = reader(data, resident=False)
    with pytest.raises(IndexError):
        list(source.batches([np.array([0]), np.array([10**6])]))
    assert len(source.read(np.arange(5)).pixels) == 5
