"""What the machine can do at most: the rates of copies and of a matrix product, measured in the run that is held against them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from fastrace.execute.cpus import usable_cpus


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
