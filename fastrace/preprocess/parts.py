"""The finished steps of a run: which rows and rejections came with a shard, and where in the scan it ended.

``parts/part-00007.parquet`` is written after ``images-00007.npy``: what has a part is kept by the next run. The last part is
marked; `fastrace.preprocess.finish` makes the index of them, one after the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fastrace.files import sync_folder


@dataclass(frozen=True)
class Part:
    """One finished step: its rows, its shard (or None if it had no image) and whether the scan ended with it."""

    rows: pd.DataFrame
    shard: dict[str, Any] | None
    last: bool


def part_file(private: Path, number: int) -> Path:
    """Where part ``number`` lies."""
    return private / "parts" / f"part-{number:05d}.parquet"


def write_part(private: Path, number: int, part: Part) -> None:
    """Write, fsync and rename a part."""
    table = pa.Table.from_pandas(part.rows, preserve_index=False)
    facts = json.dumps({"shard": part.shard, "last": part.last})
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"fastrace": facts.encode()})
    final = part_file(private, number)
    temporary = final.with_name(final.name + ".part")
    pq.write_table(table, temporary, compression="zstd")
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    sync_folder(final.parent)


def read_part(private: Path, number: int) -> Part | None:
    """Part ``number``, or None where there is none."""
    file = part_file(private, number)
    if not file.is_file():
        return None
    table = pq.read_table(file)
    facts = json.loads(table.schema.metadata[b"fastrace"])
    return Part(table.to_pandas(), facts["shard"], facts["last"])


def finished_parts(private: Path) -> Iterator[Part]:
    """Parts in order; memory is one part."""
    number = 0
    while (part := read_part(private, number)) is not None:
        yield part
        number += 1


def forget_parts(private: Path, first: int = 0) -> None:
    """Remove parts from ``first`` on, that one last: what remains after a kill in between does not count."""
    files = [file for file in (private / "parts").glob("part-*.parquet") if int(file.stem.split("-")[1]) >= first]
    for file in sorted(files, reverse=True):
        file.unlink()
    sync_folder(private / "parts")
