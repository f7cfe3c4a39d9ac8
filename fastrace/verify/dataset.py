"""A dataset against its dataset.json: fingerprint, digests, sizes, index against shards, and the custodian's table beside it."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastrace import manifest
from fastrace.dataset import INDEX_COLUMNS, SCHEMA
from fastrace.digest import Digests, file_digests
from fastrace.execute.cpus import quota, usable_cpus
from fastrace.manifest import Shard
from fastrace.verify.private import against_sources
from fastrace.verify.result import Verification


@dataclass(frozen=True)
class _Read:
    """A file as it was found: its digests, or why it could not be read."""

    digests: Digests | None
    why: str = ""


def verify_dataset(folder: Path) -> Verification:
    """Check a dataset folder, and the private one where it lies beside it and may be read.

    Raises
    ------
    DatasetError
        No dataset.json, or one that cannot be read.
    """
    meta = manifest.read(folder, SCHEMA)
    problems, checked = [], []
    why = manifest.changed(meta)
    if why is not None:
        problems.append(f"{manifest.FILE}: {why}")
    else:
        checked.append(f"{manifest.FILE}: fingerprint {meta['fingerprint']}")
    problems += [f"{name}: not listed in dataset.json" for name in manifest.unlisted(folder, meta)]
    index, about_files = _files(folder, meta)
    problems += about_files
    checked.append(f"{', '.join(meta['files'])}: BLAKE2b-256")
    started, read = time.perf_counter(), 0
    shards = manifest.shards_of(meta)
    for shard, found in _read_all(folder, list(shards.values())):
        problems += _shard(shard, found, meta["recipe"])
        read += found.digests.size if found.digests else 0
    seconds = max(time.perf_counter() - started, 1e-9)
    checked.append(
        f"{len(shards)} shards: size, header, BLAKE2b-256 and XXH3-128 ({read / 1e9:.2f} GB in {seconds:.1f} s, "
        f"{read / 1e9 / seconds:.1f} GB/s)"
    )
    if index is not None:
        problems += _index(index, shards, meta)
        checked.append(f"{manifest.INDEX}: {len(index)} rows against shards and counts")
    about_private, line = against_sources(folder, meta, index)
    return Verification("dataset", (*checked, line), (*problems, *about_private))


def _files(folder: Path, meta: Mapping[str, Any]) -> tuple[pd.DataFrame | None, list[str]]:
    """The index, and what is wrong with the files that are no shards; each is read once."""
    index, problems = None, []
    if manifest.INDEX not in meta["files"]:
        problems.append(f"{manifest.FILE}: lists no {manifest.INDEX}")
    for name, listed in meta["files"].items():
        try:
            content = (folder / Path(name).name).read_bytes()
        except OSError as error:
            problems.append(f"{name}: {'missing' if isinstance(error, FileNotFoundError) else error.strerror}")
            continue
        if manifest.file_facts(content) != listed:
            problems.append(f"{name}: its content changed (digest differs)")
        if name == manifest.INDEX:
            try:
                index = pd.read_parquet(io.BytesIO(content))
            except (OSError, ValueError) as error:
                problems.append(f"{name}: cannot be read ({str(error)[:120]})")
    return index, problems


def _read_all(folder: Path, shards: list[Shard]) -> Iterator[tuple[Shard, _Read]]:
    """Every shard, read once: hashing releases the interpreter lock, so that each processor has a file of its own."""

    def one(shard: Shard) -> _Read:
        try:
            return _Read(file_digests(folder / shard.file))
        except FileNotFoundError:
            return _Read(None, "missing")
        except OSError as error:
            return _Read(None, f"cannot be read ({error.strerror})")

    with ThreadPoolExecutor(max(1, min(usable_cpus(), quota()))) as pool:
        yield from zip(shards, pool.map(one, shards), strict=True)


def _shard(shard: Shard, found: _Read, recipe: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one shard."""
    if found.digests is None:
        yield f"{shard.file}: {found.why}"
        return
    if found.digests.size != shard.bytes:
        yield f"{shard.file}: {found.digests.size} bytes, {shard.bytes} when it was made"
    elif (found.digests.blake2b, found.digests.xxh3) != (shard.blake2b, shard.xxh3):
        yield f"{shard.file}: its content changed (digest differs)"
    wanted = (shard.rows, *recipe["size"])
    try:
        shape, dtype, end = _header(found.digests.head)
    except ValueError as error:
        yield f"{shard.file}: no array of numpy ({str(error)[:80]})"
        return
    if shape != wanted or dtype != np.dtype(recipe["dtype"]) or end + math.prod(shape) * dtype.itemsize != shard.bytes:
        yield f"{shard.file}: {'x'.join(map(str, shape))} {dtype} does not fit rows, size and type in dataset.json"


def _header(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and length of the header of a ``.npy`` file."""
    file = io.BytesIO(head)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"format version {version}")
    shape, by_columns, dtype = read[version](file)
    if by_columns:
        raise ValueError("stored by columns")
    return shape, dtype, file.tell()


def _index(index: pd.DataFrame, shards: Mapping[int, Shard], meta: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between index, shards and counts."""
    name, counts = manifest.INDEX, meta["counts"]
    missing = [column for column in (*INDEX_COLUMNS, *meta["labels"]) if column not in index]
    if missing:
        yield f"{name}: columns missing: {', '.join(missing)}"
        return
    for number, shard in shards.items():
        used = index.loc[index["shard"] == number, "row"].to_numpy()
        places = np.sort(np.concatenate([used, np.array(shard.unused, used.dtype)]))
        if not np.array_equal(places, np.arange(shard.rows)):
            yield f"{name}: {len(used)} rows of {shard.file} do not cover its {shard.rows} images once each"
    astray = sorted(set(index["shard"].unique()) - set(shards))
    if astray:
        yield f"{name}: names shards that dataset.json does not list: {', '.join(map(str, astray[:6]))}"
    if index["image_key"].duplicated().any():
        yield f"{name}: an image key occurs twice"
    if len(index) != counts.get("indexed"):
        yield f"{name}: {len(index)} rows, dataset.json counts {counts.get('indexed')}"
    if index["patient_key"].nunique() != counts.get("patients"):
        yield f"{name}: {index['patient_key'].nunique()} patients, dataset.json counts {counts.get('patients')}"
    rejected = counts.get("rejected", {})
    if counts.get("indexed", 0) + sum(rejected.values()) != counts.get("inputs"):
        yield f"{manifest.FILE}: indexed and rejected do not add up to inputs"
