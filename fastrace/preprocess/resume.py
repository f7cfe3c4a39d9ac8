"""What an earlier run left, before this one goes on: are its files whole, and can be read now what could not be read then?

Every shard is compared with the hash in its part (BLAKE2b, 1.4 s of a processor for each GB), so that what a failing disk or a
hand changed is made again and not believed. Files that were rejected for reasons of the machine are read once more: the same
command after the fault then ends with the dataset that it would have made without it. Parts from the first difference on are
forgotten, since a file more moves all rows after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from fastrace.console.progress import Progress
from fastrace.digest import file_hash
from fastrace.errors import READ_AGAIN
from fastrace.files import sync_folder
from fastrace.preprocess import contested
from fastrace.preprocess.learned import PART_COLUMNS
from fastrace.preprocess.parts import Part, forget_parts, part_file, read_part
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.task import Settings, Task, decoders


@dataclass
class _Kept:
    """State of the check: how many parts are sound, and for each failed read the part that names it and how to repeat it."""

    parts: int = 0
    failed: list[tuple[int, Task]] = field(default_factory=list)


def check_parts(job: Job, private: Path, sources: Sequence[Source], settings: Settings, progress: Progress) -> None:
    """Forget what is damaged, and what now can be read differently; both are said in a line."""
    files = len(list((private / "parts").glob("part-*.parquet")))
    if not files:
        return
    progress.begin("check the earlier run", files, "shards")
    kept = _Kept()
    fault = None
    while part_file(private, kept.parts).is_file() and fault is None:
        part, fault = _read(job.out, private, kept.parts)
        if part is not None and fault is None:
            kept.failed += [(kept.parts, task) for task in _failed(part, sources)]
            kept.parts += 1
        progress.step()
    if fault is not None:
        progress.line(f"{fault}; made again from there")
        _forget(job.out, private, kept.parts)
    for number, task in _now_different(job, settings, kept.failed, progress):
        progress.line(
            f"{task.path}: was rejected for a reason that is gone; made again from part {number} of {kept.parts} on"
        )
        _forget(job.out, private, number)
        return


def _read(out: Path, private: Path, number: int) -> tuple[Part | None, str | None]:
    """A part, and what is wrong with it or its shard."""
    try:
        part = read_part(private, number)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        return None, f"{part_file(private, number)}: damaged ({type(error).__name__})"
    if part is not None and not {*PART_COLUMNS, *contested.PART_COLUMNS} <= set(part.rows):
        return None, f"{part_file(private, number)}: made by another version of fastrace"
    if part is None or part.shard is None:
        return part, None
    file = out / part.shard["file"]
    if not file.is_file():
        return part, f"{file}: missing"
    try:
        found = file_hash(file)
    except OSError as error:
        return part, f"{file}: cannot be read ({error.strerror})"
    same = found == part.shard["blake2b"]
    return part, None if same else f"{file}: its content changed after it was written"


def _failed(part: Part, sources: Sequence[Source]) -> Iterator[Task]:
    """Tasks that repeat what the machine may have prevented, one for each file."""
    rows = part.rows[part.rows["reason"].isin(list(READ_AGAIN))].drop_duplicates("source")
    for number, frame, frames in zip(rows["source"], rows["frame"], rows["frames"], strict=True):
        source = sources[number]
        if source.size >= 0:  # what could not even be listed would be another archive now
            yield Task(int(number), source.path, source.size, int(frame), int(frames), mtime_ns=source.mtime_ns)


def _now_different(
    job: Job, settings: Settings, failed: Sequence[tuple[int, Task]], progress: Progress
) -> Iterator[tuple[int, Task]]:
    """Those of the failed reads that do not fail for such a reason any more, in order."""
    if not failed:
        return
    progress.begin("read again what failed", len(failed), "files")
    left = {task.source: (number, task) for number, task in failed}
    with decoders(settings, job.jobs) as executor:
        for results in executor.results(task for _, task in failed):
            found = left.pop(results[0].source, None)  # the rest of a file with many frames says nothing new
            if found is not None:
                progress.step()
                if results[0].reason not in READ_AGAIN:
                    yield found


def _forget(out: Path, private: Path, first: int) -> None:
    """Forget parts; a dataset of which something is missing is unfinished."""
    (out / "dataset.json").unlink(missing_ok=True)
    sync_folder(out)
    forget_parts(private, first)
