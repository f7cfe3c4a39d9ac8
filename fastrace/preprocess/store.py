"""Writing shards so that a kill at any moment loses only the shard being written.

Order: rows go to ``images-00007.npy.part``; when full it is fsynced and renamed; then ``part-00007.parquet`` records the
rows and rejections that came with it (`fastrace.preprocess.parts`). A shard without its part does not count and is written again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastrace.errors import DatasetError, UsageError
from fastrace.files import sync_folder
from fastrace.manifest import shard_facts, shard_name

# numpy pads its header to a multiple of 64; 128 leaves room for any row count.
_HEADER_BYTES = 128


def private_folder(out: Path) -> Path:
    """``DATA.private`` beside ``DATA``."""
    if out.name in ("", ".."):  # "." and ".." have their name only in full
        out = out.resolve()
    if not out.name:
        raise UsageError(f"--out {out}: nothing can lie beside it; name a folder")
    return out.with_name(out.name + ".private")


@contextmanager
def locked(private: Path) -> Iterator[None]:
    """Hold the operating system's lock on a dataset; it ends with the process, however that ends."""
    with (private / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatasetError(
                f"{private}: another fastrace preprocess is writing this dataset; wait for it or use another --out"
            ) from error
        yield


@contextmanager
def no_leftovers(out: Path, private: Path) -> Iterator[None]:
    """Remove files that a killed run left half written, and those of this run if it is stopped."""
    _remove_leftovers(out, private)
    try:
        yield
    except BaseException:
        _remove_leftovers(out, private)
        raise


def _remove_leftovers(out: Path, private: Path) -> None:
    for folder in (out, private, private / "parts"):
        for leftover in folder.glob("*.part"):
            leftover.unlink(missing_ok=True)


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Turn a failed write into a `DatasetError` with advice."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{out}: cannot be written ({error.strerror or error}); make room or correct the permissions, then run the same "
            "command again: it goes on where it stopped"
        ) from error


class ShardWriter:
    """Streams rows into one ``.npy`` file; memory is one row."""

    def __init__(self, folder: Path, number: int, size: tuple[int, int], dtype: str) -> None:
        self.number = number
        self.rows = 0
        self._size = size
        self._dtype = np.dtype(dtype)
        self._final = folder / shard_name(number)
        self._part = folder / (shard_name(number) + ".part")
        self._file: BinaryIO | None = None

    def add(self, image: np.ndarray) -> int:
        """Append one [H, W] image; returns its row."""
        if self._file is None:
            self._file = self._part.open("wb")
            self._file.write(b"\0" * _HEADER_BYTES)
        if image.shape != self._size or image.dtype != self._dtype:
            raise AssertionError(f"row of {image.shape} {image.dtype}, shard of {self._size} {self._dtype}")
        self._file.write(np.ascontiguousarray(image).data)
        self.rows += 1
        return self.rows - 1

    def finish(self) -> dict[str, Any]:
        """Write the header, fsync, rename; returns what dataset.json says of it."""
        if self._file is None:
            raise AssertionError("an empty shard is not written")
        self._file.seek(0)
        self._file.write(_npy_header((self.rows, *self._size), self._dtype))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._final)
        sync_folder(self._final.parent)
        return shard_facts(self._final, self.rows)

    def discard(self) -> None:
        """Remove what was written so far."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._part.unlink(missing_ok=True)


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """NPY format version 1.0 header of exactly `_HEADER_BYTES`."""
    facts = f"{{'descr': '{np.lib.format.dtype_to_descr(dtype)}', 'fortran_order': False, 'shape': {shape!r}, }}"
    body = facts.ljust(_HEADER_BYTES - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + body.encode("latin1")


def state_hash(*facts: object) -> str:
    """Names the inputs of a run, to notice when the same command meets other files or labels."""
    return hashlib.blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
