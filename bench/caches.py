"""Caches made cold: other data go over the caches of all cores before a call is timed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Barrier

import numpy as np

from fastrace.bench.machine import text_of
from fastrace.execute.cpus import usable_cpus


def evict() -> None:
    """Fill the caches of all cores this process may use with other data, none of which has still to be written back.

    Each core goes over its share of a buffer of four times the last-level caches, first writing, then reading. One core alone
    would leave the others their second level, of which AMD's last level holds no copy. After writing alone the next call also
    pays for writing that back: NumPy's loop over images in `bench gather` took 56 us an image instead of 52, ours, which
    writes past the caches, 41 both ways.
    """
    pool, shares, together = _eviction()
    list(pool.map(_overwrite, shares, [together] * len(shares)))


@cache
def _eviction() -> tuple[ThreadPoolExecutor, list[np.ndarray], Barrier]:
    """A thread for each core, bound to it, and what it goes over; made once, so that no call's memory includes it."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None] * usable_cpus()
    free = iter(cores)

    def bind() -> None:
        if (core := next(free)) is not None:
            os.sched_setaffinity(0, {core})  # of this thread alone

    buffer = np.ones(max(128 << 20, 4 * _last_level()) // 8, np.uint64)
    return ThreadPoolExecutor(len(cores), "evict", bind), np.array_split(buffer, len(cores)), Barrier(len(cores))


def _overwrite(share: np.ndarray, together: Barrier) -> None:
    together.wait()  # no thread takes two shares: each is on a core of its own
    np.invert(share, out=share)
    share.max()


def _last_level() -> int:
    """Bytes of all last-level caches of the cores this process may use, 0 where they are not known."""
    found = {}
    for core in os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ():
        levels = sorted(Path(f"/sys/devices/system/cpu/cpu{core}/cache").glob("index*"))
        size = text_of(levels[-1] / "size").strip() if levels else ""
        if size.endswith("K"):
            found[text_of(levels[-1] / "shared_cpu_list")] = int(size[:-1]) << 10
    return sum(found.values())
