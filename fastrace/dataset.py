"""The dataset on disk: shards of resized images, one index row per image, one JSON of facts. numpy and pandas read it.

::

    DATA/dataset.json       schema version, recipe, counts, label columns, shard hashes, fingerprint
    DATA/images-00000.npy   [n, H, W] uint16 (display value * 65535) or uint8 (* 255), memory-mapped when read
    DATA/index.parquet      one row per image; ``shard`` and ``row`` are the place of its pixels
    DATA/README.md          a datasheet
    DATA.private/           salt, sources.parquet, contact sheet: stays with the custodian (mode 0700)

Patients, studies and images are named by BLAKE2b keyed with the salt. Nothing else that identifies anyone is in DATA.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastrace.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 2  # 1 hashed pixels by SHA-256: identical images of two datasets would not be found
SCALE = {"uint16": 65535, "uint8": 255}
LOOK_SECONDS = 1.0  # between two checks of a shard's size: 4 us each, a tenth of what it takes to copy an image

# What every index holds, in this order; label columns follow. An allow-list: nothing else leaves the source.
INDEX_COLUMNS = (
    "image_key", "patient_key", "study_key", "modality", "view", "laterality", "age_years", "sex",
    "manufacturer", "model", "photometric", "bits_stored", "kvp", "exposure_mas", "body_part",
    "transfer_syntax", "burned_in", "voi_source", "source_rows", "source_columns", "frame",
    "mm_per_pixel", "spacing_source", "official_split", "pixel_hash", "shard", "row",
)  # fmt: skip


def keyed_hash(salt: bytes, kind: str, *parts: str | bytes) -> str:
    """BLAKE2b-128 of ``parts`` keyed with the salt, as 32 hex digits; ``kind`` separates patients from images."""
    digest = hashlib.blake2b(key=salt, digest_size=16, person=kind.encode()[:16])
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "little") + raw)  # length first: ("ab", "c") is not ("a", "bc")
    return digest.hexdigest()


def salt_id(salt: bytes) -> str:
    """Names a salt without revealing it: equal ids mean that patients of two datasets can be compared."""
    return hashlib.blake2b(b"fastrace salt id", key=salt, digest_size=8).hexdigest()


def file_hash(path: Path) -> str:
    """BLAKE2b-256 of a file, read in pieces."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write, fsync, rename: a reader sees the old file or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it that are missing; a power cut afterwards leaves them there. Nothing, where it exists."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    sync_folder(path.parent)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """A parquet file whose bytes depend on the rows alone."""
    part = path.with_name(path.name + ".part")
    frame.to_parquet(part, engine="pyarrow", index=False, compression="zstd")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


@dataclass
class _Map:
    """A shard as `fastrace.kernels.gather` reads it; its file must have ``end`` bytes, and had when last checked."""

    pixels: Tensor
    file: str
    end: int
    looked: float = -math.inf


@dataclass(frozen=True)
class Dataset:
    """A dataset folder, opened for reading.

    Attributes
    ----------
    path : Path
    meta : dict
        The content of ``dataset.json``.
    index : DataFrame
        One row per image, see `INDEX_COLUMNS`, then the label columns.
    """

    path: Path
    meta: dict[str, Any]
    index: pd.DataFrame
    _shards: dict[int, np.memmap] = field(default_factory=dict, repr=False, compare=False)
    _maps: dict[int, _Map] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path | str) -> Dataset:
        """Open a finished dataset.

        Raises
        ------
        DatasetError
            If there is none, it is unfinished, or of another schema version.
        """
        path = Path(path)
        meta_file = path / "dataset.json"
        if not meta_file.is_file():
            unfinished = path.is_dir() and any(path.glob("images-*"))
            raise DatasetError(
                f"{path}: preprocessing was not finished; run the same `fastrace preprocess` command again"
                if unfinished
                else f"{path}: no dataset here (dataset.json is missing); make one with `fastrace preprocess`"
            )
        try:
            meta = json.loads(meta_file.read_text())
        except ValueError as error:
            raise DatasetError(f"{meta_file}: not valid JSON ({error}); make the dataset again") from error
        if not isinstance(meta, dict) or not {"schema", "recipe", "counts", "labels", "shards"} <= set(meta):
            raise DatasetError(f"{meta_file}: not the description of a dataset; make the dataset again")
        if meta["schema"] != SCHEMA:
            raise DatasetError(
                f"{meta_file}: schema version {meta['schema']}, this fastrace reads {SCHEMA}; make the dataset again"
            )
        try:
            index = pd.read_parquet(path / "index.parquet")
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path / 'index.parquet'}: cannot be read ({error})") from error
        return cls(path, meta, index)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of every image."""
        height, width = self.meta["recipe"]["size"]
        return int(height), int(width)

    @property
    def scale(self) -> int:
        """Stored value of display value 1."""
        return SCALE[self.meta["recipe"]["dtype"]]

    @property
    def fingerprint(self) -> str:
        """Hash of recipe, shards and index."""
        return str(self.meta["fingerprint"])

    @property
    def salt_id(self) -> str:
        """Equal for datasets made with the same salt."""
        return str(self.meta["salt_id"])

    @property
    def labels(self) -> list[str]:
        """Names of the label columns."""
        return list(self.meta["labels"])

    def shard(self, number: int) -> np.memmap:
        """The memory-mapped pixels of one shard, [n, H, W]."""
        if number not in self._shards:
            file = self.path / shard_name(number)
            try:
                self._shards[number] = np.load(file, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise DatasetError(f"{file}: cannot be read ({error}); check with `fastrace verify`") from error
        return self._shards[number]

    def images(self, rows: Sequence[int] | np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Pixels of the given index rows, [n, H, W], in the stored integer type.

        Parameters
        ----------
        rows : sequence of int
        out : ndarray [n, H, W], optional
            Where to put them; contiguous, of the stored type.

        Raises
        ------
        DatasetError
            A shard that is missing, truncated or does not match the index.
        """
        from fastrace.kernels.gather import as_shard, gather  # torch is imported by those who read pixels

        rows = np.asarray(rows, dtype=np.int64)
        if out is None:
            out = np.empty((len(rows), *self.size), dtype=self.meta["recipe"]["dtype"])
        if not len(rows):
            return out
        shards, places = self._places
        used, numbers = np.unique(shards[rows], return_inverse=True)
        opened = [self._mapped(number) for number in used.tolist()]
        try:
            gather(opened, numbers, places[rows], out=as_shard(out))
        except (IndexError, UsageError) as error:
            raise DatasetError(
                f"{self.path}: index and shards disagree ({error}; its shards are {used.tolist()} here); check with "
                "`fastrace verify`"
            ) from error
        return out

    def _mapped(self, number: int) -> Tensor:
        """A shard's memory, after a check of its file: reading a map beyond the end of its file ends the process."""
        from fastrace.kernels.gather import as_shard

        if number not in self._maps:
            pixels = self.shard(number)
            end = pixels.offset + pixels.nbytes
            self._maps[number] = _Map(as_shard(pixels), str(self.path / shard_name(number)), end)
        one, now = self._maps[number], time.monotonic()
        if now - one.looked > LOOK_SECONDS:
            one.looked = now
            with contextlib.suppress(FileNotFoundError):  # what is mapped stays whole when its file is deleted or moved
                if (size := os.stat(one.file).st_size) < one.end:
                    raise DatasetError(
                        f"{one.file}: was truncated to {size} of {one.end} bytes while in use; check with `fastrace verify`"
                    )
        return one.pixels

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        return self.index["shard"].to_numpy(dtype=np.int64), self.index["row"].to_numpy(dtype=np.int64)


def shard_name(number: int) -> str:
    """``images-00000.npy`` for shard 0."""
    return f"images-{number:05d}.npy"


def fingerprint(recipe: Mapping[str, Any], shards: Sequence[Mapping[str, Any]], index: Path) -> str:
    """BLAKE2b over recipe, shard hashes and index file."""
    facts = json.dumps([SCHEMA, recipe, list(shards), file_hash(index)], sort_keys=True)
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()


def write_dataset(
    path: Path,
    index: pd.DataFrame,
    shards: Sequence[Mapping[str, Any]],
    *,
    recipe: Mapping[str, Any],
    labels: Mapping[str, Any],
    counts: Mapping[str, Any],
    salt: bytes,
) -> dict[str, Any]:
    """Finish a dataset whose shards are in place: index first, ``dataset.json`` last, since it marks the end.

    Parameters
    ----------
    path : Path
    index : DataFrame
        Columns `INDEX_COLUMNS` and the label columns; ``shard`` and ``row`` point into the shards.
    shards : sequence of {"file": str, "rows": int, "blake2b": str}
    recipe : mapping
        At least ``size`` ([H, W]) and ``dtype``.
    labels : mapping
        Per label column {"kind": "categorical" or "numeric"}.
    counts, salt

    Returns
    -------
    dict
        What was written to ``dataset.json``.
    """
    write_parquet(index[[*INDEX_COLUMNS, *labels]], path / "index.parquet")
    meta = describe(path, shards, recipe=recipe, labels=labels, counts=counts, salt=salt)
    write_meta(path, meta)
    return meta


def describe(
    path: Path,
    shards: Sequence[Mapping[str, Any]],
    *,
    recipe: Mapping[str, Any],
    labels: Mapping[str, Any],
    counts: Mapping[str, Any],
    salt: bytes,
) -> dict[str, Any]:
    """The content of ``dataset.json``, where index and shards are in place; arguments as those of `write_dataset`."""
    from fastrace import __version__

    return {
        "schema": SCHEMA,
        "fastrace": __version__,
        "recipe": dict(recipe),
        "counts": dict(counts),
        "labels": dict(labels),
        "shards": [dict(shard) for shard in shards],
        "salt_id": salt_id(salt),
        "fingerprint": fingerprint(recipe, shards, path / "index.parquet"),
    }


def write_meta(path: Path, meta: Mapping[str, Any]) -> None:
    """Write ``dataset.json``: from here on the dataset is finished."""
    write_atomic(path / "dataset.json", (json.dumps(meta, indent=2) + "\n").encode())
