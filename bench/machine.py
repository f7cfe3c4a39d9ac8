"""The machine under the numbers: what it is, what it can do at most, and who else used it meanwhile. Linux; elsewhere less.

Everything is read from /proc, /sys and git; what cannot be read is None or left out. Nothing names the host, a user or a path.
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np

from fastrace.execute.cpus import usable_cpus

ROOT = Path(__file__).resolve().parents[1]  # of the checkout: fastrace/bench is a link there
# Every library that is measured or measured against -> the names under which it may have been installed.
PACKAGES: dict[str, tuple[str, ...]] = {
    name: (name,)
    for name in (
        "fastrace", "torch", "numpy", "numba", "scipy", "scikit-learn", "imagecodecs", "pydicom", "pillow", "pyfftw",
        "SimpleITK", "dicomsdl", "python-gdcm", "pylibjpeg", "pyjpegls", "torchmetrics", "zarr", "tensorstore",
        "safetensors", "h5py", "litdata",
    )
}  # fmt: skip
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
PACKAGES["OpenCV"] = OPENCV
# Variables that change how many threads the libraries start, or which code they choose.
VARIABLES = ("OMP_", "MKL_", "OPENBLAS_", "NUMBA_", "KMP_", "GOMP_", "ATEN_", "CPU_")
SEED = 0  # of every benchmark's input
# Levels of the x86-64 ABI, by flags that the level below lacks.
LEVELS = {"x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64-v3": "avx2 bmi1 bmi2 f16c fma movbe"}


def version(*packages: str) -> str:
    """Version of the first that is installed, or "not installed"."""
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def load() -> float:
    """Processes that ran or waited in the last minute, ours included."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def environment(quick: bool) -> dict[str, Any]:
    """What the numbers depend on; plain JSON."""
    info = dict(line.split("\t", 1) for line in _text("/proc/cpuinfo").split("\n\n")[0].splitlines() if "\t" in line)
    info = {key.strip(): value.partition(":")[2].strip() for key, value in info.items()}
    flags = set(info.get("flags", "").split())
    memory = next(
        (line.split()[1] for line in _text("/proc/meminfo").splitlines() if line.startswith("MemTotal")), None
    )
    return {
        "date": datetime.date.today().isoformat(),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": info.get("model name") or platform.processor() or "an unnamed processor",
        "level": next((level for level, needed in LEVELS.items() if set(needed.split()) <= flags), None),
        "cores": usable_cpus(),
        "cache": _caches(),
        "memory_gb": round(int(memory) / 1e6, 1) if memory else None,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "virtual": "hypervisor" in flags,
        "container": _container(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(*names) for name, names in PACKAGES.items()},
        "variables": _variables(os.environ),
        "commit": _commit(),
        "seed": SEED,
        "load": round(load(), 2),
        "quick": quick,
    }


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _caches() -> dict[str, str]:
    """Sizes of the data caches that the first processor uses."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(folder / name).strip() for name in ("level", "type", "size"))
        if kind in ("Data", "Unified") and size:
            found[f"L{level}"] = size
    return found


def _variables(variables: Any) -> dict[str, str]:
    chosen = {name: value for name, value in sorted(variables.items()) if name.startswith(VARIABLES)}
    return {name: "(a path)" if "/" in value else value for name, value in chosen.items()}


def _container() -> dict[str, str]:
    """Kind of container and limits of the control group; version 2, or version 1 where it is still mounted."""
    found = {}
    for mark, kind in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if Path(mark).exists():
            found["kind"] = kind
    groups = [
        line.split(":", 2)[2].lstrip("/") for line in _text("/proc/self/cgroup").splitlines() if line.count(":") > 1
    ]
    limits = {
        "cpu": ("cpu.max", "cpu/cpu.cfs_quota_us"),
        "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    }
    for what, names in limits.items():
        places = [Path("/sys/fs/cgroup") / group / name for group in [*groups, ""] for name in names]
        value = next(filter(None, (_text(place).strip() for place in places)), "")
        if (
            value and not value.startswith(("max", "-1")) and len(value) < 19
        ):  # version 1 has a huge number for "no limit"
            found[what] = value
    return found


def _commit() -> dict[str, Any] | None:
    """The commit of a checkout and whether files that git knows were changed since; None in an installed wheel."""
    if not (ROOT / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):  # no git, or a checkout that it does not trust
            return None
        return done.stdout.strip()

    sha, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return {"sha": sha, "modified": None if changed is None else bool(changed)} if sha else None


# ---- who else ------------------------------------------------------------------------------------------------------


class Meter:
    """How much of the processors others used, and the hypervisor took, since it was last read."""

    SHORTEST = 0.5  # s; the counters tick every 10 ms, so that less says little and is joined with what follows

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
        text = _text("/proc/stat")
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
        if folder.isdigit() and (text := _text(f"/proc/{folder}/stat")):
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
    lines = (line.split() for line in _text("/proc/self/status").splitlines())
    return next((int(words[1]) for words in lines if words[0] == f"{name}:"), None)


# ---- the caches ----------------------------------------------------------------------------------------------------


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
        size = _text(levels[-1] / "size").strip() if levels else ""
        if size.endswith("K"):
            found[_text(levels[-1] / "shared_cpu_list")] = int(size[:-1]) << 10
    return sum(found.values())


# ---- the roof ------------------------------------------------------------------------------------------------------


def roofs(quick: bool = False) -> dict[str, dict[str, float]]:
    """Measure what is possible here, with one thread and with all: the best of several tries.

    Parameters
    ----------
    quick : bool
        Fewer tries.

    Returns
    -------
    dict
        ``copy`` and ``cached``: GB/s, read plus written, of copying between two buffers of 128 MB, and of 128 KB, which stay
        in the second-level cache; ``peak``: GFLOP/s of a float32 matrix product of 1024 x 1024. Keys: number of threads.
    """
    import torch

    tries = 7 if quick else 15
    large, small = (np.ones(size, np.uint8) for size in (128 << 20, 128 << 10))
    targets = {large.size: np.ones_like(large)}
    a, b = torch.ones(1024, 1024), torch.ones(1024, 1024)
    product = torch.empty(1024, 1024)
    found: dict[str, dict[str, float]] = {"copy": {}, "cached": {}, "peak": {}}
    before = torch.get_num_threads()
    for count in sorted({1, usable_cpus()}):
        torch.set_num_threads(count)
        with ThreadPoolExecutor(count) as pool:
            parts = list(zip(np.array_split(targets[large.size], count), np.array_split(large, count), strict=True))
            private = [(small.copy(), small.copy()) for _ in range(count)]

            def copy(parts: list[Any] = parts, pool: ThreadPoolExecutor = pool) -> None:
                list(pool.map(_copies, parts))

            def cached(private: list[Any] = private, pool: ThreadPoolExecutor = pool) -> None:
                list(pool.map(partial(_copies, times=1000), private))

            numpy, torchs = _best(copy, tries), _best(lambda: _torch_copy(targets[large.size], large), tries)
            found["copy"][str(count)] = round(2 * large.size / min(numpy, torchs) / 1e9, 1)
            found["cached"][str(count)] = round(count * 1000 * 2 * small.size / _best(cached, tries) / 1e9, 1)
        seconds = _best(lambda: torch.mm(a, b, out=product), tries)
        found["peak"][str(count)] = round(2 * 1024**3 / seconds / 1e9, 1)
    torch.set_num_threads(before)
    for rates in found.values():  # with more threads than one, one is still possible
        for key in rates:
            rates[key] = max(rates["1"], rates[key])
    return found


def _copies(pair: tuple[np.ndarray, np.ndarray], times: int = 1) -> None:
    for _ in range(times):
        np.copyto(*pair)


def _torch_copy(target: np.ndarray, source: np.ndarray) -> None:
    import torch

    torch.from_numpy(target).copy_(torch.from_numpy(source))


def _best(call: Callable[[], object], tries: int) -> float:
    call()
    seconds = []
    for _ in range(tries):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
