"""Training's input against the bare gather: the share of its rate that remains where the model does nothing.

`fastrace bench train`. The batches are those of an epoch (shuffled, 32 of 1024 x 512 uint8), read ahead by training's own thread.
What a step does to them before the network (to float32, shifts) follows in rows of its own: on a CPU it writes several times
the bytes that the gather writes, so its rate does not describe reading. Peers read the same images as training scripts
usually do, with PyTorch's DataLoader. The files have been read once. ms is per image.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fastrace.bench.gather import BATCH, HEIGHT, WIDTH, make_dataset
from fastrace.bench.measure import Peer, measure
from fastrace.bench.row import Row
from fastrace.bench.timing import threads
from fastrace.cohort.selection import labelled
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN
from fastrace.execute.cpus import usable_cpus
from fastrace.kernels.gather import as_shard, gather
from fastrace.train.augment import changes, draw
from fastrace.train.batches import Reader, epoch_order
from fastrace.train.options import TrainingRecipe, get_recipe
from fastrace.train.pipeline import Pipeline

STEPS = 4  # of an epoch, for what takes long
PNG_IMAGES = 64  # of an epoch, for the peer that decodes them: 5 ms each


def rows(quick: bool = False) -> list[Row]:
    """Measure.

    Parameters
    ----------
    quick : bool
        Fewer rounds.
    """
    rounds = 5 if quick else 11
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        feed = Feed(make_dataset(Path(temporary) / "data"))
        found: list[Row] = []
        for count in (1, 2) if usable_cpus() > 1 else (1,):
            stack.enter_context(threads(count))
            cores = f"{count} thread{'s' if count > 1 else ''}"
            what = f"training: feeding {HEIGHT}x{WIDTH} uint8, batch {BATCH}, {cores}"
            peers = [Peer("fastrace", feed.batches), Peer("fastrace gather alone", feed.gather_alone)]
            if count == 2:
                peers += [
                    Peer("DataLoader, 2 workers, numpy memmap", feed.loader(stack), ("torch",)),
                    Peer(
                        "DataLoader, 2 workers, PNG by Pillow",
                        feed.png(Path(temporary), stack),
                        ("pillow",),
                        part=feed.png_part,
                    ),
                ]
            found += measure(what, peers, rounds=rounds, per=feed.images, memory=False)
        for name, recipe in (("to float32", None), ("to float32 and shifted", get_recipe("current", "any", "small"))):
            peers = [
                Peer("fastrace", partial(feed.inputs, recipe), part=STEPS / len(feed.plan)),
                Peer("fastrace gather alone", feed.gather_alone),
            ]
            what = f"training: feeding, {name}, {HEIGHT}x{WIDTH}, batch {BATCH}, {torch.get_num_threads()} threads"
            found += measure(what, peers, rounds=3, per=feed.images, memory=False)
    return found


class Feed:
    """One epoch of a dataset, in the ways to read it."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.cohort = labelled(dataset, "group")
        self.reader = Reader(dataset, self.cohort, torch.device("cpu"))
        self.plan = epoch_order(np.arange(len(self.cohort.rows)), BATCH, seed=0, epoch=1)
        self.images = sum(map(len, self.plan))
        # NumPy's memory, as the reader's: it comes in huge pages where the system has them, torch's does not.
        self.out = torch.from_numpy(np.empty((len(self.plan[0]), HEIGHT, WIDTH), dtype=np.uint8))
        self.png_part = PNG_IMAGES / self.images

    def batches(self) -> None:
        """What training reads, taken and dropped."""
        count = 0
        for batch in self.reader.batches(self.plan):
            count += len(batch.pixels)
        assert count == self.images

    def gather_alone(self) -> None:
        """The same images by the kernel alone, into one batch's memory."""
        index = self.dataset.index
        shards = [as_shard(self.dataset.shard(number)) for number in range(int(index["shard"].max()) + 1)]
        shard, row = _places(index)
        for positions in self.plan:
            gather(shards, shard[positions], row[positions], out=self.out)

    def inputs(self, recipe: TrainingRecipe | None) -> None:
        """Up to what degradation and network are given."""
        pipeline = Pipeline(torch.nn.Identity(), CLEAN, seed=0)
        drawn = draw(len(self.cohort.rows), 0, 1)
        for batch in self.reader.batches(self.plan[:STEPS]):
            change = changes(recipe, drawn[batch.positions], self.reader.device) if recipe else None
            pipeline.degraded(batch.pixels, batch.ids, batch.mm_per_pixel, 1, recipe, change)

    def loader(self, stack: ExitStack) -> Callable[[], None]:
        """A map-style dataset over the memory maps, two processes."""
        index = self.dataset.index
        images = _Mapped([str(self.dataset.path / name) for name in _names(self.dataset)], *_places(index))
        return self._epoch(images, self.plan, stack)

    def png(self, folder: Path, stack: ExitStack) -> Callable[[], None]:
        """One PNG file an image, as the released code reads them; part of an epoch."""

        def call() -> None:
            from PIL import Image

            if not (folder / "png").exists():
                (folder / "png").mkdir()
                rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
                smooth = 120 + 60 * np.sin(rows / 150) * np.cos(columns / 99)  # random pixels would decode too slowly
                rng = np.random.default_rng(0)
                for number in range(PNG_IMAGES):
                    noisy = smooth + rng.normal(0, 3, smooth.shape)
                    Image.fromarray(noisy.astype(np.uint8)).save(folder / "png" / f"{number}.png")
                plan = [np.arange(start, start + BATCH) for start in range(0, PNG_IMAGES, BATCH)]
                opened.append(self._epoch(_Png(folder / "png"), plan, stack))
            opened[0]()

        opened: list[Callable[[], None]] = []
        return call

    @staticmethod
    def _epoch(
        images: torch.utils.data.Dataset[Tensor], plan: list[np.ndarray], stack: ExitStack
    ) -> Callable[[], None]:
        loader = torch.utils.data.DataLoader(
            images,
            batch_sampler=[positions.tolist() for positions in plan],
            num_workers=2,
            persistent_workers=True,
            multiprocessing_context="spawn",  # fork after threads were started may hang
        )

        def call() -> None:
            count = 0
            for batch in loader:
                count += len(batch)
            assert count == sum(map(len, plan))

        return call


def _places(index: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return index["shard"].to_numpy(dtype=np.int64), index["row"].to_numpy(dtype=np.int64)


def _names(dataset: Dataset) -> Iterator[str]:
    return (shard["file"] for shard in dataset.meta["shards"])


class _Mapped(torch.utils.data.Dataset[Tensor]):
    """Images of memory-mapped shards, opened in each worker."""

    def __init__(self, files: list[str], shard: np.ndarray, row: np.ndarray) -> None:
        self.files, self.shard, self.row = files, shard, row
        self.maps: dict[int, np.ndarray] = {}

    def __getitem__(self, position: int) -> Tensor:
        number = int(self.shard[position])
        if number not in self.maps:
            self.maps[number] = np.load(self.files[number], mmap_mode="r")
        return torch.from_numpy(self.maps[number][self.row[position]].copy())


class _Png(torch.utils.data.Dataset[Tensor]):
    """Images of a folder of PNG files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, position: int) -> Tensor:
        from PIL import Image

        with Image.open(self.folder / f"{position}.png") as image:
            return torch.from_numpy(np.array(image))
