"""Random images of a dataset to one batch: the shards' memory maps against NumPy, torch and array stores; losses are shown.

`fastrace bench gather`. 600 images (300 with --quick) of 1024 x 512 uint8 lie in four shards, as `fastrace preprocess` would
write them; every call picks other images than the one before, so none of them lies in the processor's caches. The files have
been read once: what is measured is the way from the system's file cache to the batch, not the disk. ms is per image.

With the caches hot the same peer has just written the same batch: half of the third level is that batch, still to be
written back. With them cold something else went over the memory in between, as a training step does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fastrace.bench.measure import Peer, hot_and_cold
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.dataset import INDEX_COLUMNS, Dataset, keyed_hash, write_dataset
from fastrace.execute.cpus import usable_cpus
from fastrace.kernels.gather import as_shard, gather
from fastrace.manifest import shard_facts, shard_name

ROWS, SHARDS, BATCH = 600, 4, 32
HEIGHT, WIDTH = 1024, 512


def rows(quick: bool = False) -> list[Row]:
    """Measure.

    Parameters
    ----------
    quick : bool
        Fewer rounds, and half of the images.
    """
    rounds = 5 if quick else 25
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        batches = Batches(make_dataset(folder / "data", ROWS // 2 if quick else ROWS))
        found: list[Row] = []
        for count in (1, 2) if usable_cpus() > 1 else (1,):
            with threads(count):
                peers = batches.peers(folder, stack) if count == 1 else batches.scaling()
                cores = f"{count} thread{'s' if count > 1 else ''}"
                what = f"gather random {HEIGHT}x{WIDTH} uint8, batch {BATCH}, {cores}"
                cold = ("fastrace", "numpy memmap loop", "numpy take", "torch.stack")
                found += batches.measure(what, peers, rounds, cold)
    return found


def make_dataset(
    folder: Path, rows: int = ROWS, size: tuple[int, int] = (HEIGHT, WIDTH), shards: int = SHARDS
) -> Dataset:
    """Write and open a dataset of random uint8 pixels, one patient each, of two classes in turn."""
    folder.mkdir()
    rng, salt = np.random.default_rng(0), bytes(32)
    facts: list[dict[str, Any]] = []
    for number, part in enumerate(np.array_split(np.arange(rows), shards)):
        file = folder / shard_name(number)
        np.save(file, rng.integers(0, 256, (len(part), *size), dtype=np.uint8))
        facts.append(shard_facts(file, len(part)))
    index = pd.DataFrame(dict.fromkeys(INDEX_COLUMNS), index=pd.RangeIndex(rows))
    for kind in ("image", "patient", "study"):
        index[f"{kind}_key"] = [keyed_hash(salt, kind, str(row)) for row in range(rows)]
    index["pixel_hash"], index["mm_per_pixel"] = index["image_key"], 0.1
    index["shard"] = np.repeat(np.arange(shards), [fact["rows"] for fact in facts])
    index["row"] = np.concatenate([np.arange(fact["rows"]) for fact in facts])
    index["group"] = np.array(["A", "B"])[np.arange(rows) % 2]
    write_dataset(
        folder,
        index,
        facts,
        recipe={"modality": "any", "size": list(size), "dtype": "uint8"},
        labels={"group": {"kind": "categorical"}},
        counts={},
        salt=salt,
    )
    return Dataset.open(folder)


class Batches:
    """The images of each call, drawn at random, and the peers that read them."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.maps = [dataset.shard(number) for number in range(SHARDS)]
        self.shards = [as_shard(one) for one in self.maps]
        self.lengths = np.array([len(one) for one in self.maps])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.images = int(self.lengths.sum())
        for one in self.maps:  # as from the second epoch on: every page is in memory, and in the page table
            int(one.reshape(-1)[::4096].sum())
        self.out = torch.zeros((BATCH, HEIGHT, WIDTH), dtype=torch.uint8)
        self.rng = np.random.default_rng(1)
        self.next()

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """Shard and row of each image of a new batch."""
        self.shard = self.rng.integers(0, SHARDS, BATCH)
        self.row = self.rng.integers(0, self.lengths[self.shard])
        return self.shard, self.row

    def measure(self, operation: str, peers: list[Peer], rounds: int, cold: tuple[str, ...]) -> list[Row]:
        """Each result is compared with the images that its call had to read."""

        def error(result: Any) -> Error:
            images = np.stack([self.maps[s][r] for s, r in zip(self.shard, self.row, strict=True)])
            return difference(np.asarray(result).astype(np.int16), images)

        work = (2.0 * HEIGHT * WIDTH, 0.0)
        return hot_and_cold(operation, peers, error, cold=cold, rounds=rounds, per=BATCH, work=work, lsb=1.0)

    def ours(self) -> torch.Tensor:
        """The kernel."""
        return gather(self.shards, *self.next(), out=self.out)

    def numpy_loop(self) -> torch.Tensor:
        """The usual loop."""
        out = self.out.numpy()
        for i, (shard, row) in enumerate(zip(*self.next(), strict=True)):
            out[i] = self.maps[shard][row]
        return self.out

    def scaling(self) -> list[Peer]:
        """On two threads: ours on one thread, and peers without threads of their own."""

        def one_thread() -> torch.Tensor:
            before = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                return self.ours()
            finally:
                torch.set_num_threads(before)

        return [
            Peer("fastrace", self.ours, limit=0.0),
            Peer("fastrace, 1 thread", one_thread, limit=0.0),
            Peer("numpy memmap loop", self.numpy_loop, ("numpy",), limit=0.0),
            Peer("torch.stack of views", self.stack, ("torch",), limit=0.0),
        ]

    def stack(self) -> torch.Tensor:
        """As the DataLoader's collate function does it."""
        shard, row = self.next()
        return torch.stack([self.shards[s][r] for s, r in zip(shard.tolist(), row.tolist(), strict=True)], out=self.out)

    def peers(self, folder: Path, stack: ExitStack) -> list[Peer]:
        """All of them, on one thread."""
        whole = np.lib.format.open_memmap(folder / "whole.npy", "w+", np.uint8, (self.images, HEIGHT, WIDTH))
        np.concatenate(self.maps, out=whole)
        whole.flush()
        single = np.load(folder / "whole.npy", mmap_mode="r")
        tensor, numpy_out = as_shard(single), self.out.numpy()
        int(single.reshape(-1)[::4096].sum())

        def places() -> np.ndarray:
            shard, row = self.next()
            return self.starts[shard] + row

        def select() -> torch.Tensor:
            return torch.index_select(tensor, 0, torch.from_numpy(places()), out=self.out)

        return [
            Peer("fastrace", self.ours, limit=0.0),
            Peer("numpy memmap loop", self.numpy_loop, ("numpy",), limit=0.0),
            Peer("numpy fancy index, one array", lambda: single[places()], ("numpy",), limit=0.0),
            Peer(
                "numpy take, one array", lambda: np.take(single, places(), 0, numpy_out, "clip"), ("numpy",), limit=0.0
            ),
            Peer("torch.index_select, one array", select, ("torch",), limit=0.0),
            Peer("torch.stack of views", self.stack, ("torch",), limit=0.0),
            Peer("safetensors slices", self.safetensors(folder, stack), ("safetensors",), limit=0.0),
            Peer("zarr, a chunk an image", self.zarr(folder, places), ("zarr",), limit=0.0),
            Peer("tensorstore, a chunk an image", self.tensorstore(folder, places), ("tensorstore",), limit=0.0),
            Peer("h5py, contiguous", self.h5py(folder, stack, places), ("h5py",), limit=0.0),
            Peer("litdata", self.litdata(folder, places), ("litdata",), limit=0.0),
        ]

    # The stores below are written at the first call, which is not timed; an import that fails there gives "not installed".

    def safetensors(self, folder: Path, stack: ExitStack) -> Callable[[], torch.Tensor]:
        """One file a shard, images read by slicing."""
        slices: list[Any] = []

        def call() -> torch.Tensor:
            from safetensors import safe_open
            from safetensors.torch import save_file

            for number in range(SHARDS if not slices else 0):
                file = folder / f"{number}.safetensors"
                save_file({"images": torch.from_numpy(np.array(self.maps[number]))}, file)
                opened = stack.enter_context(safe_open(file, framework="pt"))
                slices.append(opened.get_slice("images"))
            for i, (shard, row) in enumerate(zip(*(values.tolist() for values in self.next()), strict=True)):
                self.out[i] = slices[shard][row]
            return self.out

        return call

    def zarr(self, folder: Path, places: Callable[[], np.ndarray]) -> Callable[[], torch.Tensor]:
        """One uncompressed chunk an image, read one by one: ten times as fast as its `oindex`."""
        opened: list[Any] = []

        def call() -> torch.Tensor:
            import zarr

            if not opened:
                array = zarr.create_array(
                    folder / "zarr",
                    shape=(self.images, HEIGHT, WIDTH),
                    chunks=(1, HEIGHT, WIDTH),
                    dtype="uint8",
                    compressors=None,
                )
                array[:] = np.concatenate(self.maps)
                opened.append(array)
            out = self.out.numpy()
            for i, place in enumerate(places().tolist()):
                out[i] = opened[0][place]
            return self.out

        return call

    def tensorstore(self, folder: Path, places: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        """One uncompressed chunk an image; one thread copies, as for all peers."""
        opened: list[Any] = []

        def call() -> np.ndarray:
            import tensorstore

            if not opened:
                store = {"driver": "file", "path": str(folder / "tensorstore")}
                metadata = {
                    "shape": [self.images, HEIGHT, WIDTH], "chunks": [1, HEIGHT, WIDTH], "dtype": "|u1", "compressor": None,
                }  # fmt: skip
                context = {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}}
                spec = {"driver": "zarr", "kvstore": store, "metadata": metadata, "context": context}
                array = tensorstore.open(spec, create=True).result()
                array.write(np.concatenate(self.maps)).result()
                opened.append(array)
            found: np.ndarray = opened[0].oindex[places()].read().result()
            return found

        return call

    def h5py(self, folder: Path, stack: ExitStack, places: Callable[[], np.ndarray]) -> Callable[[], torch.Tensor]:
        """One contiguous array, images read one by one into the batch."""
        opened: list[Any] = []
        out = self.out.numpy()

        def call() -> torch.Tensor:
            import h5py

            if not opened:
                file = stack.enter_context(h5py.File(folder / "images.h5", "w"))
                opened.append(file.create_dataset("images", data=np.concatenate(self.maps)))
            for i, place in enumerate(places().tolist()):
                opened[0].read_direct(out, np.s_[place], np.s_[i])
            return self.out

        return call

    def litdata(self, folder: Path, places: Callable[[], np.ndarray]) -> Callable[[], torch.Tensor]:
        """Its streaming dataset, indexed at random; images are bytes, so that no codec is used.

        One chunk holds them all: it maps one at a time, and changing it takes longer than the copy.
        """
        opened: list[Any] = []
        out = self.out.numpy()

        def call() -> torch.Tensor:
            import litdata
            from litdata.streaming.writer import BinaryWriter

            if not opened:
                writer = BinaryWriter(str(folder / "litdata"), chunk_bytes="1GB")
                for row, image in enumerate(np.concatenate(self.maps)):
                    writer[row] = image.tobytes()
                writer.done()
                writer.merge()
                opened.append(litdata.StreamingDataset(str(folder / "litdata")))
            for i, place in enumerate(places().tolist()):
                out[i] = np.frombuffer(opened[0][place], np.uint8).reshape(HEIGHT, WIDTH)
            return self.out

        return call
