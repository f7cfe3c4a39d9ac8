"""The dataset on disk: shards of resized images, one index row per image, one JSON of facts. numpy and pandas read it.

::

    DATA/dataset.json       schema version, recipe, counts, label columns, digests of all files, fingerprint of all this
    DATA/images-00000.npy   [n, H, W] uint16 (display value * 65535) or uint8 (* 255), memory-mapped when read
    DATA/index.parquet      one row per image; ``shard`` and ``row`` are the place of its pixels
    DATA/README.md          a datasheet
    DATA.private/           salt, sources.parquet, contact sheet: stays with the custodian (mode 0700)

Patients, studies, images and institutions are named by BLAKE2b keyed with the salt. Texts of a header are there only where
they are words of the standard or several patients have them (`fastrace.preprocess.vocabulary`), dates only as days since the
patient's first study. Nothing else that identifies anyone is in DATA.

The fingerprint covers dataset.json, which holds a digest of every other file: it stands for the whole folder. Opening a dataset
checks dataset.json and the index; `Dataset.check_shard` checks pixels (see `fastrace.trust`), `fastrace verify` everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
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

from fastrace import manifest
from fastrace.digest import quick_hash
from fastrace.errors import DatasetError, UsageError
from fastrace.files import write_atomic, write_parquet
from fastrace.manifest import shard_name

if TYPE_CHECKING:
    from torch import Tensor

# 1 hashed pixels by SHA-256: identical images of two datasets would not be found. 2 had few acquisition columns, texts of the
# header that no vocabulary had passed, and a fingerprint that did not cover all of dataset.json.
SCHEMA = 3
SCALE = {"uint16": 65535, "uint8": 255}
LOOK_SECONDS = 1.0  # between two checks of a shard's size: 4 us each, a tenth of what it takes to copy an image

# How an image was taken, where it was read from its header: numbers, then texts and truths.
ACQUISITION_NUMBERS = (
    "kvp", "tube_current_ma", "exposure_time_ms", "exposure_mas", "exposure_index", "target_exposure_index",
    "compression_force_n", "body_part_thickness_mm", "slice_thickness_mm", "reconstruction_diameter_mm", "window_center",
    "window_width", "row_spacing_mm", "column_spacing_mm", "days_since_first_study",
)  # fmt: skip
ACQUISITION_TEXTS = (
    "anode_material", "filter_material", "grid", "detector_type", "convolution_kernel", "software_versions", "institution_key",
)  # fmt: skip

# What every index holds, in this order; label columns follow. An allow-list: nothing else leaves the source.
INDEX_COLUMNS = (
    "image_key", "patient_key", "study_key", "modality", "view", "laterality", "age_years", "sex",
    "manufacturer", "model", "photometric", "bits_stored", "body_part",
    "transfer_syntax", "burned_in", "voi_source", "source_rows", "source_columns", "frame",
    "mm_per_pixel", "spacing_source", "official_split", "pixel_hash", "shard", "row",
    "notes",
    "sop_class", "image_type", "presentation_intent", "view_modifiers", "image_kinds",
    "thumbnail_hash",
    *ACQUISITION_NUMBERS, *ACQUISITION_TEXTS,
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


# Digests of files that were compared in this process. A file that was written a moment ago is not believed by its time: file
# systems count in steps of some milliseconds, and a second change within the step would not show.
_KNOWN: dict[tuple[int, int, int, int], str] = {}
_SETTLED_NS = 100_000_000


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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
    _checked: dict[int, int] = field(default_factory=dict, repr=False, compare=False)  # shard -> mtime_ns of its file
    _maps: dict[int, _Map] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path | str) -> Dataset:
        """Open a finished dataset.

        Raises
        ------
        DatasetError
            If there is none, it is unfinished, of another schema version, or dataset.json or the index was changed.
        """
        path = Path(path)
        meta = manifest.read(path, SCHEMA)
        if (why := manifest.changed(meta)) is not None:
            raise DatasetError(
                f"{path / manifest.FILE}: {why}; restore it from a copy or make the dataset again (`fastrace verify {path}` "
                "checks the other files)"
            )
        return cls(path, meta, _read_index(path, meta))

    @property
    def shards(self) -> dict[int, manifest.Shard]:
        """What dataset.json says of each shard, by number."""
        return manifest.shards_of(self.meta)

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
        """Digest of dataset.json, which holds a digest of every file."""
        return str(self.meta["fingerprint"])

    @property
    def salt_id(self) -> str:
        """Equal for datasets made with the same salt."""
        return str(self.meta["salt_id"])

    @property
    def labels(self) -> list[str]:
        """Names of the label columns; all recorded values of one (kind ``recorded``) are no label of their own."""
        return [name for name, facts in self.meta["labels"].items() if facts.get("kind") != "recorded"]

    def shard(self, number: int) -> np.memmap:
        """The memory-mapped pixels of one shard, [n, H, W]."""
        if number not in self._shards:
            file = self.path / shard_name(number)
            try:
                self._shards[number] = np.load(file, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise DatasetError(f"{file}: cannot be read ({error}); check with `fastrace verify`") from error
        return self._shards[number]

    def check_shard(self, number: int) -> int:
        """Compare a shard with its digest (XXH3-128: finds accidents), once in a process while its file stays as it is.

        `images` compares it again when the file's time of change moves.

        Returns
        -------
        int
            Bytes read: 0 if it was compared before.

        Raises
        ------
        DatasetError
            It is missing, was changed, or is not listed in dataset.json.
        """
        file = self.path / shard_name(number)
        listed = self.shards.get(number)
        if listed is None:
            raise DatasetError(
                f"{file}: the index names it, dataset.json does not; check with `fastrace verify {self.path}`"
            )
        try:
            now = file.stat()
            known = _KNOWN.get(_identity(now)) == listed.xxh3
            found = listed.xxh3 if known else quick_hash(file)
        except OSError as error:
            raise DatasetError(
                f"{file}: cannot be read ({error.strerror}); restore it from a copy or make the dataset again; "
                f"`fastrace verify {self.path}` names all that is missing"
            ) from error
        if found != listed.xxh3:
            raise DatasetError(
                f"{file}: changed after the dataset was made ({now.st_size} bytes, {listed.bytes} when made; its digest "
                f"differs); restore it from a copy or make the dataset again; `fastrace verify {self.path}` names all that "
                "changed"
            )
        self._checked[number] = now.st_mtime_ns
        if time.time_ns() - now.st_mtime_ns > _SETTLED_NS:
            _KNOWN[_identity(now)] = found
        return 0 if known else now.st_size

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
                found = os.stat(one.file)
                if found.st_size < one.end:
                    raise DatasetError(
                        f"{one.file}: was truncated to {found.st_size} of {one.end} bytes while in use; check with "
                        "`fastrace verify`"
                    )
                if number in self._checked and found.st_mtime_ns != self._checked[number]:
                    self.check_shard(number)
        return one.pixels

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        return self.index["shard"].to_numpy(dtype=np.int64), self.index["row"].to_numpy(dtype=np.int64)


def _read_index(path: Path, meta: Mapping[str, Any]) -> pd.DataFrame:
    """The index, if it is the one that was written; its file is read once."""
    file = path / manifest.INDEX
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror}); make the dataset again") from error
    if meta["files"].get(manifest.INDEX) != manifest.file_facts(content):
        raise DatasetError(
            f"{file}: changed after the dataset was made (its digest differs); restore it from a copy or make the dataset "
            f"again; `fastrace verify {path}` names all that changed"
        )
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot be read ({error}); make the dataset again") from error


def write_dataset(
    path: Path,
    index: pd.DataFrame,
    shards: Sequence[Mapping[str, Any]],
    *,
    recipe: Mapping[str, Any],
    labels: Mapping[str, Any],
    counts: Mapping[str, Any],
    salt: bytes,
    readme: str | None = None,
) -> dict[str, Any]:
    """Finish a dataset whose shards are in place: index and datasheet first, ``dataset.json`` last, since it marks the end.

    Parameters
    ----------
    path : Path
    index : DataFrame
        Columns `INDEX_COLUMNS` and the label columns; ``shard`` and ``row`` point into the shards.
    shards : sequence of mapping
        As `fastrace.manifest.shard_facts` makes them.
    recipe : mapping
        At least ``size`` ([H, W]) and ``dtype``.
    labels : mapping
        Per label column {"kind": "categorical" or "numeric"}.
    counts, salt
    readme : str, optional
        The text of ``README.md``.

    Returns
    -------
    dict
        What was written to ``dataset.json``.
    """
    write_parquet(index[[*INDEX_COLUMNS, *labels]], path / manifest.INDEX)
    if readme is not None:
        write_atomic(path / manifest.README, readme.encode())
    return write_manifest(path, shards, recipe=recipe, labels=labels, counts=counts, salt=salt)


def write_manifest(
    path: Path,
    shards: Sequence[Mapping[str, Any]],
    *,
    recipe: Mapping[str, Any],
    labels: Mapping[str, Any],
    counts: Mapping[str, Any],
    salt: bytes,
) -> dict[str, Any]:
    """Write ``dataset.json``, where shards, index and datasheet are in place: from here on the dataset is finished.

    Arguments and result as those of `write_dataset`.
    """
    from fastrace import __version__

    present = [name for name in (manifest.INDEX, manifest.README) if (path / name).is_file()]
    meta = {
        "schema": SCHEMA,
        "fastrace": __version__,
        "recipe": dict(recipe),
        "counts": dict(counts),
        "labels": dict(labels),
        "shards": [dict(shard) for shard in shards],
        "files": {name: manifest.file_facts((path / name).read_bytes()) for name in present},
        "salt_id": salt_id(salt),
    }
    meta = json.loads(json.dumps(meta))  # tuples become lists, as whoever reads it will find them
    meta["fingerprint"] = manifest.fingerprint(meta)
    write_atomic(path / manifest.FILE, (json.dumps(meta, indent=2) + "\n").encode())
    return meta
