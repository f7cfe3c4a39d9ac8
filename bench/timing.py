"""Interleaved timing: every peer takes its turn in each round, so a drift of the machine affects all alike.

What a call finds in the caches would be what the peer before it left there, which is no usual state, and unfair to a
peer that follows one that writes much. Where it matters, each timed call is therefore prepared, untimed (`caches`):

- **hot**: the same call came immediately before, as in a loop. Peers that take more than 20 times as long as ours are
  called once: fetching the operation's data from memory takes about as long as our call, a twentieth of theirs.
- **cold**: other data fill the caches of all cores (`caches.evict`). The second thread of a library sleeps by
  then, as it does between the calls of a program that also does something else; waking it is part of a cold time.

Where neither is requested (decoding, statistics, whole commands), a call takes so long that it does not matter.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Literal

import numpy as np

from fastrace.bench.caches import evict

Caches = Literal["hot", "cold"] | None


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    *,
    tries: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    caches: Caches = None,
    slow: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Seconds of each call in each round (the best of `tries`); warm-up is the caller's.

    With hot caches an untimed call comes before the first try, except to those that are `slow`; with cold ones the caches are
    emptied before each try.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)  # the peer after one that fills the caches is not always the same
        for name in names[first:] + names[:first]:
            seconds = []
            if caches == "hot" and name not in slow:
                calls[name]()
            for _ in range(tries):
                if caches == "cold":
                    evict()
                started = clock()
                calls[name]()
                seconds.append(clock() - started)
            times[name].append(min(seconds))
    return {name: np.asarray(values) for name, values in times.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Give every library this many threads, and afterwards what it had before."""
    import torch

    cv2, sitk = _optional("cv2"), _optional("SimpleITK")
    before = (
        torch.get_num_threads(),
        cv2.getNumThreads() if cv2 else 0,
        sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() if sitk else 0,
    )

    def give(for_torch: int, for_cv2: int, for_sitk: int) -> None:
        torch.set_num_threads(for_torch)
        if cv2:
            cv2.setNumThreads(for_cv2)
        if sitk:
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(for_sitk)

    give(count, count, count)
    try:
        yield
    finally:
        give(*before)


def _optional(name: str) -> ModuleType | None:
    """The module, or None where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except Exception:  # one that is there and broken must not end the run; calling it gives its message
        return None
