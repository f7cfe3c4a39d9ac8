"""Which files there are: every regular file below the sources, whatever its name, in one fixed order."""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from fastrace.errors import UsageError
from fastrace.preprocess.dicomdir import is_dicomdir, referenced


@dataclass(frozen=True, slots=True)
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


class Listing(Sequence[Source]):
    """The input files of an archive, made one by one when they are needed: 30 bytes and the relative path for each file."""

    def __init__(self) -> None:
        self._tops: list[str] = []
        self._names = bytearray()
        self._ends = array("q", [0])
        self._facts = array("q")  # size, mtime_ns, number of its top
        self.not_in_use = 0  # files that a DICOMDIR lists as such, and no other source reaches

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: Any) -> Any:
        """A `Source`, or a list of them for a slice."""
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        relative = os.fsdecode(bytes(self._names[self._ends[number] : self._ends[number + 1]]))
        size, mtime_ns, top = self._facts[3 * number : 3 * number + 3]
        return Source(_join(self._tops[top], relative), relative, size, mtime_ns)

    def add(self, top: str, relative: str, size: int, mtime_ns: int) -> None:
        """Append a file."""
        if not self._tops or self._tops[-1] != top:
            self._tops.append(top)
        self._names += os.fsencode(relative)
        self._ends.append(len(self._names))
        self._facts.extend((size, mtime_ns, len(self._tops) - 1))


def scan(sources: Sequence[Path], leave_out: Sequence[Path | None] = ()) -> Listing:
    """List the input files.

    Folders are searched recursively, links followed once, and each file counted once however many sources reach it. A
    source that is a DICOMDIR is replaced by the files it lists as in use. Sorted by relative path within each source, so that the
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
    not_used: set[bytes] = set()
    not_images = {os.path.realpath(path) for path in leave_out if path is not None}
    seen: set[bytes] = set()
    found = Listing()
    for source in sources:
        if not source.exists():
            raise UsageError(f"{source}: no such file or folder")
        if source.is_dir():
            top, names = str(source), _walk(str(source), not_images)
        elif is_dicomdir(source):
            listed = list(referenced(source))
            top, names = str(source.parent), (one.relative for one in listed if one.in_use)
            not_used.update(_key(os.path.realpath(one.path)) for one in listed if not one.in_use)
        else:
            top, names = str(source.parent), iter([source.name])
        for relative in sorted(names, key=os.fsencode):
            path = _join(top, relative)
            real = os.path.realpath(path)
            key = _key(real)
            if key in seen or real in not_images:
                continue
            seen.add(key)
            found.add(top, relative, *_size_and_time(path))
    found.not_in_use = len(not_used - seen)
    return found


def _key(real: str) -> bytes:
    return xxhash.xxh3_128_digest(os.fsencode(real))  # paths themselves would be the largest thing in memory


def _join(top: str, relative: str) -> str:
    """The path as typed: the parent of a bare file name is "."."""
    if relative == ".":
        return top
    return relative if top == "." else os.path.join(top, relative)


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    # Opening a FIFO or a device would wait for ever: the worker rejects what has no size.
    regular = stat.S_ISREG(status.st_mode)
    return (status.st_size, status.st_mtime_ns) if regular else (-1, -1)


def _walk(top: str, leave_out: Collection[str]) -> Iterator[str]:
    """Paths of what is in a folder, relative to it."""
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
            yield os.path.relpath(folder, top)  # becomes a rejected input, not a silent gap
            continue
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.path)
            else:
                yield os.path.relpath(entry.path, top)


def listing_hash(sources: Sequence[Source]) -> str:
    """Changes when a file is added, removed, resized or touched."""
    digest = hashlib.blake2b(digest_size=16)
    for source in sources:
        digest.update(repr((os.fsencode(source.relative), source.size, source.mtime_ns)).encode())
    return digest.hexdigest()
