"""Rows of the shards to batches on a device: read a few batches ahead by a thread, or all of them once.

The order of an epoch is a pure function of (seed, epoch): a resumed run has the batches of an uninterrupted one. Pixels are
copied as the stored integers, half the bytes of float32 or a quarter, and converted to float on the device.

Two ways, which give the same batches:

streamed
    A thread gathers rows of the memory-mapped shards, `AHEAD` portions of some batches before they are needed. For CUDA they
    are gathered into pinned memory, which torch hands out again when the copy from it has ended, and copied on a stream of
    its own while the model computes. On the CPU their memory is used again once no reference to one of the batches is left.
resident
    All images of the cohort lie on the device, read once; a batch is an ``index_select``. Chosen on CUDA where they take up
    no more than `RESIDENT_SHARE` of the free memory. On the CPU it would gain nothing: the shards are in memory already, as
    cached files.
"""

from __future__ import annotations

import math
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fastrace.cohort.selection import Cohort
from fastrace.dataset import Dataset

AHEAD = 2  # portions read before they are needed
KEPT = AHEAD + 3  # blocks of memory: one is computed with, one waits for a place in the queue, one is filled
RESIDENT_SHARE = 0.5  # of the free device memory; the rest is for weights, activations and the degradation
# Bytes: batches are read in portions of this size, cut afterwards. Python's part of a read, 0.1 ms and more, is then nothing
# beside the copy's 4 ms; a batch of 32 small images alone is gathered in 0.15 ms.
READ_AT_ONCE = 64 << 20

Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """Images on a device.

    Attributes
    ----------
    pixels : Tensor [N, H, W] uint16 or uint8
        Stored values; display value 1 is the largest integer.
    ids : Tensor [N] int64
    mm_per_pixel : Tensor [N] float64
        On the host, where cut-offs are computed.
    labels : Tensor [N] int64
    positions : ndarray [N] int64
        Of these images in the cohort (host).
    """

    pixels: Tensor
    ids: Tensor
    mm_per_pixel: Tensor
    labels: Tensor
    positions: np.ndarray


def epoch_order(positions: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Shuffled batches of one equal size.

    Fewer than one image per batch is left over and dropped, others in each epoch: a last batch of one image would break batch
    normalisation, and one of another size would be compiled again.
    """
    permuted = np.random.default_rng([seed, epoch]).permutation(positions)
    steps = max(1, round(len(permuted) / batch_size))
    size = len(permuted) // steps
    return [permuted[step * size : (step + 1) * size] for step in range(steps)]


def in_order(positions: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Batches for scoring; the last may be smaller."""
    return [positions[start : start + batch_size] for start in range(0, len(positions), batch_size)]


@dataclass(frozen=True)
class Placement:
    """Where the images of a run are while it computes.

    Attributes
    ----------
    resident : bool
        On the device, all of them; otherwise streamed from the shards.
    image_bytes : int
        Of all images of the cohort.
    device_free_bytes : int or None
        What the device had left when this was decided; None for a CPU.
    """

    resident: bool
    image_bytes: int
    device_free_bytes: int | None

    def __str__(self) -> str:
        size = f"{self.image_bytes / 1e9:.2f} GB"
        if self.resident:
            return f"images: {size}, all on the device"
        return f"images: {size}, read ahead from the shards"


def place(dataset: Dataset, cohort: Cohort, device: torch.device) -> Placement:
    """Choose by size: on the device if it is a GPU and they take up at most `RESIDENT_SHARE` of what it has left."""
    image_bytes = (
        len(cohort.rows) * dataset.size[0] * dataset.size[1] * np.dtype(dataset.meta["recipe"]["dtype"]).itemsize
    )
    if device.type != "cuda":
        return Placement(False, image_bytes, None)
    free, _ = torch.cuda.mem_get_info(device)
    return Placement(image_bytes <= RESIDENT_SHARE * free, image_bytes, free)


class Reader:
    """Makes batches of a cohort.

    Parameters
    ----------
    dataset : Dataset
    cohort : Cohort
    device : torch.device
    resident : bool
        Whether all images are to lie on the device, from the first batch on; see `place`. Worth it for more than one pass.
    """

    def __init__(self, dataset: Dataset, cohort: Cohort, device: torch.device, *, resident: bool = False) -> None:
        self.dataset, self.cohort, self.device, self.resident = dataset, cohort, device, resident
        self._ids, self._mm = cohort.ids, cohort.mm_per_pixel
        self._dtype = np.dtype(dataset.meta["recipe"]["dtype"])
        self._image_bytes = dataset.size[0] * dataset.size[1] * self._dtype.itemsize
        self._memory = _Memory()
        self._all: tuple[Tensor, Tensor, Tensor] | None = None  # pixels, ids, labels of the whole cohort
        self._copies: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def read(self, positions: np.ndarray) -> Batch:
        """One batch, now."""
        (batch,) = self.batches([positions])
        return batch

    def batches(self, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
        """All batches of a plan, in its order; an error of the reading thread is raised here."""
        return self._select(plan) if self.resident else self._stream(plan)

    # ---- resident

    def _select(self, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
        if self._all is None:
            self._all = self._load()
        pixels, ids, labels = self._all
        # One transfer for the whole plan: one of pageable memory each step would make the host wait for the device.
        chosen = torch.from_numpy(np.concatenate([*plan, np.empty(0, dtype=np.int64)])).to(self.device)
        done = 0
        for positions in plan:
            at = chosen[done : done + len(positions)]
            done += len(positions)
            yield Batch(
                pixels=_pick(pixels, at),
                ids=ids[at],
                mm_per_pixel=torch.from_numpy(self._mm[positions]),
                labels=labels[at],
                positions=positions,
            )

    def _load(self) -> tuple[Tensor, Tensor, Tensor]:
        n, dtype = len(self.cohort.rows), getattr(torch, self._dtype.name)
        pixels = torch.empty((n, *self.dataset.size), dtype=dtype, device=self.device)
        for batch in self._stream(in_order(np.arange(n), max(1, READ_AT_ONCE // self._image_bytes))):
            first = int(batch.positions[0])
            pixels[first : first + len(batch.positions)].copy_(batch.pixels)
        ids, labels = torch.from_numpy(self._ids.copy()), torch.from_numpy(self.cohort.labels.copy())
        return pixels, ids.to(self.device), labels.to(self.device)

    # ---- streamed

    def _stream(self, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
        portions = list(_portions(plan, max(1, READ_AT_ONCE // self._image_bytes)))
        read = self._arrive if self._copies is not None else self._read
        for whole, portion in zip(read(np.concatenate(portion) for portion in portions), portions, strict=True):
            done = 0
            for positions in portion:
                mine = slice(done, done + len(positions))
                done += len(positions)
                yield Batch(
                    whole.pixels[mine], whole.ids[mine], whole.mm_per_pixel[mine], whole.labels[mine], positions
                )

    def _read(self, positions: Iterable[np.ndarray]) -> Iterator[Batch]:
        return _ahead(self._fetch(some) for some in positions)

    def _arrive(self, positions: Iterable[np.ndarray]) -> Iterator[Batch]:
        for batch, arrived in _ahead(self._fetch_to_gpu(some) for some in positions):
            current = torch.cuda.current_stream(self.device)
            current.wait_event(arrived)
            for tensor in (batch.pixels, batch.ids, batch.labels):
                tensor.record_stream(
                    current
                )  # made on the copies' stream: not to be used again before this one is done
            yield batch

    def _fetch(self, positions: np.ndarray) -> Batch:
        pixels = self._memory.take((len(positions), *self.dataset.size), self._dtype)
        return Batch(
            pixels=torch.from_numpy(self.dataset.images(self.cohort.rows[positions], out=pixels)),
            ids=torch.from_numpy(self._ids[positions]),
            mm_per_pixel=torch.from_numpy(self._mm[positions]),
            labels=torch.from_numpy(self.cohort.labels[positions]),
            positions=positions,
        )

    def _fetch_to_gpu(self, positions: np.ndarray) -> tuple[Batch, torch.cuda.Event]:
        """Gather into pinned memory and start the copy; the event marks its end.

        torch keeps pinned memory (page-locking 16 MB takes milliseconds) and gives it out again only after the copies from it.
        """
        stream = self._copies
        assert stream is not None
        n, dtype = len(positions), getattr(torch, self._dtype.name)
        host = torch.empty((n, *self.dataset.size), dtype=dtype, pin_memory=True)
        self.dataset.images(self.cohort.rows[positions], out=host.numpy())
        words = torch.empty((2, n), dtype=torch.int64, pin_memory=True)
        words[0], words[1] = torch.from_numpy(self._ids[positions]), torch.from_numpy(self.cohort.labels[positions])
        with torch.cuda.stream(stream):
            pixels, (ids, labels) = host.to(self.device, non_blocking=True), words.to(self.device, non_blocking=True)
            arrived = stream.record_event()
        return Batch(pixels, ids, torch.from_numpy(self._mm[positions]), labels, positions), arrived


def _portions(plan: Sequence[np.ndarray], images: int) -> Iterator[list[np.ndarray]]:
    """Consecutive batches that together have at most so many images; a larger batch is a portion of its own."""
    portion: list[np.ndarray] = []
    for positions in plan:
        if portion and sum(map(len, portion)) + len(positions) > images:
            yield portion
            portion = []
        portion.append(positions)
    if portion:
        yield portion


def _pick(pixels: Tensor, at: Tensor) -> Tensor:  # [N, H, W], [n] -> [n, H, W]
    """``pixels[at]``; torch has no selection of uint16, whose bits are those of int16."""
    if pixels.dtype == torch.uint16:
        return pixels.view(torch.int16).index_select(0, at).view(torch.uint16)
    return pixels.index_select(0, at)


class _Memory:
    """Memory of batches on the CPU, used again when no reference to its batch is left.

    New memory for each batch costs more than filling it: the system clears every page first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[tuple[np.ndarray, Callable[[], Any]]] = []  # bytes; weak reference to their array

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array that was not initialised. A tensor made of it, and the tensor's views, hold it."""
        size = math.prod(shape) * dtype.itemsize
        with self._lock:
            free = [k for k, (block, user) in enumerate(self._blocks) if user() is None and len(block) >= size]
            block = self._blocks.pop(free[0])[0] if free else np.empty(size, dtype=np.uint8)
            array: np.ndarray = block[:size].view(dtype).reshape(shape)
            self._blocks.append((block, weakref.ref(array)))
            del self._blocks[:-KEPT]  # the oldest are freed with the last reference to their array
            return array


def _ahead(source: Iterable[Item]) -> Iterator[Item]:
    """Items of ``source``, made by a thread: `AHEAD` of them before they are needed."""
    # Two queues without Python's conditions and timeouts, which cost a tenth of the time in which a batch is gathered.
    ready: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
    places: queue.SimpleQueue[None] = queue.SimpleQueue()  # one for each item that may be made
    stop = threading.Event()

    def work() -> None:
        try:
            for item in iter(source):
                ready.put(item)
                del item  # its memory is free once the other side has dropped it
                places.get()
                if stop.is_set():
                    return
            ready.put(None)
        except BaseException as error:  # passed to the reader, which raises it
            ready.put(error)

    for _ in range(AHEAD - 1):
        places.put(None)
    thread = threading.Thread(target=work, name="fastrace-batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            places.put(None)
            yield item
    finally:
        stop.set()
        places.put(None)
        thread.join()
