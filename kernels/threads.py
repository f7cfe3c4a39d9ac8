"""Several images at once on the CPU, one thread for each: never threads inside one image. And whether numba can cache.

Threads in numba or OpenMP would be shorter to write, but a process that was forked after they were started (a
DataLoader worker) hangs or is ended by the OpenMP runtime. These threads live as long as one call, and a process in
which torch may use one thread only (again a DataLoader worker) starts none.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import torch


def for_ranges(work: Callable[[int, int], None], count: int, cost: int) -> None:
    """Call ``work(first, last)`` on ranges that cover ``0 .. count``, in as many threads as torch may use.

    Parameters
    ----------
    work : callable
        Handles the images ``first`` to ``last - 1``; it has to release the interpreter lock to gain anything.
    count : int
        Number of images.
    cost : int
        Pixels per image; below about 10^5 pixels in all, starting a thread (60 us) costs more than it saves.
    """
    threads = min(torch.get_num_threads(), count, max(1, count * cost // 100_000))
    if threads <= 1:
        work(0, count)
        return
    edges = [count * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


def _nothing() -> None: ...


def _can_cache() -> bool:
    try:
        numba.njit(cache=True)(_nothing)
    except RuntimeError:
        return False
    return True


# Whether numba finds a folder that it may write compiled kernels to. In a read-only installation without a home folder
# (a container, for example) it finds none and could not be imported; there each process compiles anew, in some seconds.
NUMBA_CACHE = _can_cache()
