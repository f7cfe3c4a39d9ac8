"""The machine under the numbers: what it is, and what is installed on it. Linux; elsewhere less.

Everything is read from /proc, /sys and git; what cannot be read is None or left out. Nothing names the host, a user or a path.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

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
    info = dict(line.split("\t", 1) for line in text_of("/proc/cpuinfo").split("\n\n")[0].splitlines() if "\t" in line)
    info = {key.strip(): value.partition(":")[2].strip() for key, value in info.items()}
    flags = set(info.get("flags", "").split())
    memory = next(
        (line.split()[1] for line in text_of("/proc/meminfo").splitlines() if line.startswith("MemTotal")), None
    )
    return {
        "date": datetime.date.today().isoformat(),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": info.get("model name") or platform.processor() or "an unnamed processor",
        "level": next((level for level, needed in LEVELS.items() if set(needed.split()) <= flags), None),
        "cores": usable_cpus(),
        "cache": _caches(),
        "memory_gb": round(int(memory) / 1e6, 1) if memory else None,
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
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


def text_of(path: str | Path) -> str:
    """What a file holds; nothing where it cannot be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _caches() -> dict[str, str]:
    """Sizes of the data caches that the first processor uses."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (text_of(folder / name).strip() for name in ("level", "type", "size"))
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
        line.split(":", 2)[2].lstrip("/") for line in text_of("/proc/self/cgroup").splitlines() if line.count(":") > 1
    ]
    limits = {
        "cpu": ("cpu.max", "cpu/cpu.cfs_quota_us"),
        "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    }
    for what, names in limits.items():
        places = [Path("/sys/fs/cgroup") / group / name for group in [*groups, ""] for name in names]
        value = next(filter(None, (text_of(place).strip() for place in places)), "")
        if (
            value and not value.startswith(("max", "-1")) and len(value) < 19
        ):  # version 1 has a huge number for "no limit"
            found[what] = value
    return found


def _commit() -> dict[str, Any] | None:
    """The commit of a checkout and whether tracked files were changed since; None in an installed wheel."""
    if not (ROOT / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):  # no git, or a checkout of another owner
            return None
        return done.stdout.strip()

    sha, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return {"sha": sha, "modified": None if changed is None else bool(changed)} if sha else None
