"""What is metered while a benchmark runs: the processors that others used, and the memory of a call. Linux; elsewhere None."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fastrace.bench.machine import text_of


class Meter:
    """How much of the processors others used, and the hypervisor took, since it was last read."""

    SHORTEST = 0.5  # s; the counters tick every 10 ms, so that a shorter time means little and is joined with the next

    def __init__(self) -> None:
        self._mark = self._counters()
        self._last: tuple[float, float] | None = None

    def read(self) -> tuple[float, float] | None:
        """Cores that processes other than this one and its children used, and the stolen share; None if unknown."""
        now, before = self._counters(), self._mark
        if now is None or before is None:
            return None
        elapsed, total = now[0] - before[0], now[2] - before[2]
        if elapsed >= self.SHORTEST and total > 0:
            others = (now[1] - before[1] - (now[4] - before[4])) / elapsed
            self._last = max(0.0, others), (now[3] - before[3]) / total
            self._mark = now
        return self._last

    @staticmethod
    def _counters() -> tuple[float, float, float, float, float] | None:
        """Clock, and seconds since the start of the machine: busy, all, stolen, used by us."""
        text = text_of("/proc/stat")
        if not text or not hasattr(os, "sched_getaffinity"):
            return None
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = (line.split() for line in text.splitlines() if line.startswith("cpu"))
        sums = np.sum([[int(word) for word in line[1:9]] for line in lines if line[0] in ours], axis=0)
        ticks = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, irq, softirq, stolen = sums / ticks
        busy = user + nice + system + irq + softirq
        return time.monotonic(), float(busy), float(sums.sum() / ticks), float(stolen), _used_by_us(ticks)


def _used_by_us(ticks: int) -> float:
    """Seconds used by this process and all that descend from it, the ended ones included."""
    parents, used = {}, {}
    for folder in os.listdir("/proc"):
        if folder.isdigit() and (text := text_of(f"/proc/{folder}/stat")):
            fields = text.rpartition(")")[2].split()  # a name may hold anything
            parents[int(folder)], used[int(folder)] = int(fields[1]), sum(map(int, fields[11:15]))
    family, found = {os.getpid()}, {os.getpid()}
    while found:
        found = {one for one, parent in parents.items() if parent in found} - family
        family |= found
    return sum(used.get(one, 0) for one in family) / ticks


def peak_memory(call: Callable[[], object]) -> tuple[float | None, float]:
    """MB that one call needed beyond what was there before, its result included (None if unknown), and its seconds."""
    # Free memory goes back first: what the call before left in the allocator would be used again and not counted.
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    known = True
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
    except OSError:
        known = False
    before = _status("VmRSS")
    started = time.perf_counter()
    call()
    seconds = time.perf_counter() - started
    peak = _status("VmHWM")
    if not known or before is None or peak is None:
        return None, seconds
    return round(max(0, peak - before) * 1024 / 1e6, 1), seconds


def _status(name: str) -> int | None:
    lines = (line.split() for line in text_of("/proc/self/status").splitlines())
    return next((int(words[1]) for words in lines if words[0] == f"{name}:"), None)
