"""Rows of the memory-mapped shards to batches on a device, read one batch ahead by a thread.

The order of an epoch is a pure function of (seed, epoch): a resumed run sees what an undisturbed one saw. Pixels travel as the
stored integers, half the bytes of float32, and become numbers on the device.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastrace.dataset import Dataset
from fastrace.train.cohort import Cohort

AHEAD = 2  # batches read before they are asked for


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
    shuffled = np.random.default_rng([seed, epoch]).permutation(positions)
    steps = max(1, round(len(shuffled) / batch_size))
    size = len(shuffled) // steps
    return [shuffled[step * size : (step + 1) * size] for step in range(steps)]


def in_order(positions: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Batches for scoring; the last may be smaller."""
    return [positions[start : start + batch_size] for start in range(0, len(positions), batch_size)]


class Reader:
    """Makes batches of a cohort.

    Parameters
    ----------
    dataset : Dataset
    cohort : Cohort
    device : torch.device
    """

    def __init__(self, dataset: Dataset, cohort: Cohort, device: torch.device) -> None:
        self.dataset, self.cohort, self.device = dataset, cohort, device
        self._ids, self._mm = cohort.ids, cohort.mm_per_pixel

    def read(self, positions: np.ndarray) -> Batch:
        """One batch, now."""
        return Batch(
            pixels=self._move(self.dataset.images(self.cohort.rows[positions])),
            ids=self._move(self._ids[positions]),
            mm_per_pixel=torch.from_numpy(self._mm[positions]),
            labels=self._move(self.cohort.labels[positions]),
            positions=positions,
        )

    def _move(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def batches(self, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
        """All batches of a plan, read ahead by a thread; an error there is raised here."""
        return _ahead(self.read(positions) for positions in plan)


def _ahead(source: Iterable[Batch]) -> Iterator[Batch]:
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for batch in source:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:  # handed to the reader, who raises it
            put(error)

    thread = threading.Thread(target=work, name="fastrace-batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
