"""How many processors this process may use: by its affinity, and by the quota of its control group."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cpus() -> int:
    """Processors this process may run on; a quota does not count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota() -> int:
    """Processors whose time the control group (version 2) grants, rounded; those of the machine if it grants all."""
    try:
        time, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, round(int(time) / int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return os.cpu_count() or 1


def set_threads(jobs: int | None = None) -> int:
    """Let torch use the processors this process may use, or so many threads; else OMP_NUM_THREADS wins. Returns the number.

    torch counts the machine's processors, which in a container with a quota is too many: threads then wait for each other.
    """
    import torch

    if jobs is not None:
        torch.set_num_threads(jobs)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), usable_cpus(), quota())))
    return torch.get_num_threads()
