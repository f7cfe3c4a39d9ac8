"""Which files there are: every regular file below the sources, whatever its name, in one fixed order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastrace.errors import UsageError
from fastrace.preprocess.dicomdir import is_dicomdir, referenced


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes
    ----------
    path : str
        As typed, joined with what was found below it.
    relative : str
        Below the source it was found in; what a label table's path column is compared with.
    size, mtime_ns : int
        -1 for what cannot be stat'ed or is no regular file.
    """

    path: str
    relative: str
    size: int
    mtime_ns: int


def scan(sources: Sequence[Path], leave_out: Sequence[Path | None] = ()) -> list[Source]:
    """List the input files.

    Folders are searched recursively, links followed once, and each file counted once however many sources reach it. A
    source that is a DICOMDIR is replaced by the files it lists. Sorted by relative path within each source, so that the
    dataset does not depend on the order in which a file system lists its entries.

    Parameters
    ----------
    sources : sequence of Path
    leave_out : sequence of Path or None
        Files and folders that are arguments of their own (label table, category map, salt, the dataset itself).

    Raises
    ------
    UsageError
        If a source does not exist.
    """
    not_images = {os.path.realpath(path) for path in leave_out if path is not None}
    seen: set[str] = set()
    found: list[Source] = []
    for source in sources:
        if not source.exists():
            raise UsageError(f"{source}: no such file or folder")
        if source.is_dir():
            pairs = _walk(str(source), not_images)
        elif is_dicomdir(source):
            pairs = referenced(source)
        else:
            pairs = iter([(str(source), source.name)])
        for path, relative in sorted(pairs, key=lambda pair: os.fsencode(pair[1])):
            real = os.path.realpath(path)
            if real in seen or real in not_images:
                continue
            seen.add(real)
            found.append(_source(path, relative))
    return found


def _source(path: str, relative: str) -> Source:
    try:
        status = os.stat(path)
    except OSError:
        return Source(path, relative, -1, -1)
    # Opening a FIFO or a device would wait for ever: the worker rejects what has no size.
    regular = os.path.isfile(path)
    return Source(path, relative, status.st_size if regular else -1, status.st_mtime_ns if regular else -1)


def _walk(top: str, leave_out: Collection[str]) -> Iterator[tuple[str, str]]:
    visited: set[tuple[int, int]] = set()
    folders = [top]
    while folders:
        folder = folders.pop()
        if os.path.realpath(folder) in leave_out:
            continue
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError:
            yield folder, os.path.relpath(folder, top)  # becomes a rejected input, not a silent gap
            continue
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.path)
            else:
                yield entry.path, os.path.relpath(entry.path, top)


def listing_hash(sources: Sequence[Source]) -> str:
    """Changes when a file is added, removed, resized or touched."""
    digest = hashlib.blake2b(digest_size=16)
    for source in sources:
        digest.update(repr((os.fsencode(source.relative), source.size, source.mtime_ns)).encode())
    return digest.hexdigest()
