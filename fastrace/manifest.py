"""``dataset.json``: what a dataset says of itself, with digests of all its files and the fingerprint of all this.

::

    shards       [{"file": "images-00000.npy", "rows": 512, "bytes": ..., "blake2b": ..., "xxh3": ...}, ...]
    files        {"index.parquet": {"bytes": ..., "blake2b": ...}, "README.md": ...}
    fingerprint  BLAKE2b-128 of everything else in dataset.json, by content

The fingerprint therefore stands for every byte of the folder: a dataset with the same fingerprint is the same dataset, and
one written down elsewhere (each run and each audit holds it) shows whether somebody exchanged this one. `fastrace.digest`
says what the two kinds of digests promise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastrace.digest import bytes_hash, document_digest, file_digests
from fastrace.errors import DatasetError

FILE = "dataset.json"
INDEX = "index.parquet"
README = "README.md"
_NEEDED = {"recipe": dict, "counts": dict, "labels": dict, "shards": list}
_SINCE_3 = {"files": dict, "salt_id": str}
_SHARD_FILE = re.compile(r"images-(\d{5,9})\.npy")


@dataclass(frozen=True)
class Shard:
    """What dataset.json says of one shard.

    Attributes
    ----------
    file : str
    rows, bytes : int
        Images, and the size of the file.
    blake2b, xxh3 : str
        Digests of the file.
    unused : sequence of int
        Rows that belong to no image, because theirs was withdrawn.
    """

    file: str
    rows: int
    bytes: int
    blake2b: str
    xxh3: str
    unused: Sequence[int] = ()

    @property
    def number(self) -> int:
        """As the index names it."""
        return int(self.file[len("images-") : -len(".npy")])


def shard_name(number: int) -> str:
    """``images-00000.npy`` for shard 0."""
    return f"images-{number:05d}.npy"


def shard_facts(file: Path, rows: int) -> dict[str, Any]:
    """What dataset.json says of a shard that is finished; reads it once."""
    found = file_digests(file)
    return {"file": file.name, "rows": rows, "bytes": found.size, "blake2b": found.blake2b, "xxh3": found.xxh3}


def file_facts(content: bytes) -> dict[str, Any]:
    """What dataset.json says of another file."""
    return {"bytes": len(content), "blake2b": bytes_hash(content)}


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """BLAKE2b-128 of the content of dataset.json without its fingerprint."""
    return document_digest(manifest, without="fingerprint")


def shards_of(manifest: Mapping[str, Any]) -> dict[int, Shard]:
    """Shards by their number.

    Raises
    ------
    ValueError
        An entry that is none, a name that is not that of a shard, or that occurs twice.
    """
    found: dict[int, Shard] = {}
    for entry in manifest["shards"]:
        try:
            shard = Shard(**entry)
        except TypeError as error:
            raise ValueError(f"shards: {error}") from error
        if not isinstance(shard.file, str) or not _SHARD_FILE.fullmatch(shard.file):
            raise ValueError(f"shards: {str(shard.file)[:80]!r} is not the name of a shard, such as {shard_name(0)}")
        if shard.number in found:
            raise ValueError(f"shards: {shard.file} is listed twice")
        found[shard.number] = shard
    return found


def read(folder: Path, schema: int) -> dict[str, Any]:
    """The content of dataset.json; whether it has its fingerprint is left to `changed`.

    Raises
    ------
    DatasetError
        None there, unfinished, of another schema version, or not a description of a dataset.
    """
    file = folder / FILE
    if not file.is_file():
        unfinished = folder.is_dir() and any(folder.glob("images-*"))
        raise DatasetError(
            f"{folder}: preprocessing was not finished; run the same `fastrace preprocess` command again"
            if unfinished
            else f"{folder}: no dataset here (dataset.json is missing); make one with `fastrace preprocess`"
        )
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: not valid JSON ({str(error)[:120]}); make the dataset again") from error
    if not isinstance(found, dict) or "schema" not in found or _wrong(found, _NEEDED):
        raise DatasetError(f"{file}: not the description of a dataset; make the dataset again")
    if found["schema"] != schema:
        raise DatasetError(
            f"{file}: schema version {str(found['schema'])[:20]}, this fastrace reads {schema}; make the dataset again"
        )
    if wrong := _wrong(found, _SINCE_3):
        raise DatasetError(f"{file}: {', '.join(wrong)} missing or of another type; make the dataset again")
    try:
        shards_of(found)
    except ValueError as error:
        raise DatasetError(f"{file}: {error}; make the dataset again") from error
    return found


def _wrong(manifest: Mapping[str, Any], needed: Mapping[str, type]) -> list[str]:
    return [name for name, kind in needed.items() if not isinstance(manifest.get(name), kind)]


def changed(manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with the fingerprint of a manifest, or None."""
    stated = manifest.get("fingerprint")
    if not isinstance(stated, str) or not stated:
        return "states no fingerprint, so nothing can be checked"
    if fingerprint(manifest) != stated:
        return "changed after it was made (its content does not have the fingerprint that it states)"
    return None


def unlisted(folder: Path, manifest: Mapping[str, Any]) -> Iterable[str]:
    """Names in the folder that dataset.json does not list."""
    listed = {FILE, *manifest["files"], *(shard.file for shard in shards_of(manifest).values())}
    return sorted(child.name for child in folder.iterdir() if child.name not in listed)
