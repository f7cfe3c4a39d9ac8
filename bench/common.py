"""Interleaved timing: every peer takes its turn in each round, so a drift of the machine hits all alike.

`measure` is what a benchmark calls: it asks every peer for its result once, compares it with the float64 reference, and
times those that gave one. A peer that is not installed, fails or is wrong stays in the table and is named as such.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

# operation, peer, version ("not installed"), ms, ratio (its time / ours), spread (p20 and p80 of the ratio), max_error,
# noisy (our own time, or the machine, was restless), problem (a sentence, or None). A peer without a time has ms None.
Row = dict[str, Any]

NOISY_SPREAD = 1.3  # p80 / p20 of our own time


@dataclass(frozen=True)
class Peer:
    """One way to do an operation. In a list of them, the first is ours.

    Attributes
    ----------
    name : str
        As the table shows it.
    call : callable
        Does the operation once. It imports what it needs itself: whether a peer is there is found out by calling it.
    packages : tuple of str
        Names under which it may have been installed; the first that is gives the version.
    limit : float or None
        Largest error that still counts as the same result; None where there is no error to compare.
    """

    name: str
    call: Callable[[], Any]
    packages: tuple[str, ...] = ("fastrace",)
    limit: float | None = None


def version(*packages: str) -> str:
    """Version of the first that is installed, or "not installed"."""
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def optional(name: str) -> ModuleType | None:
    """The module, or None where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except Exception:  # one that is there and broken must not end the run; calling it shows what it says
        return None


def usable_cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Give every library this many threads, and afterwards what it had before."""
    import torch

    cv2, sitk = optional("cv2"), optional("SimpleITK")
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


def difference(result: Any, exact: np.ndarray) -> float:
    """Largest absolute difference; inf where the shapes differ or a value is not a number."""
    values = np.asarray(result)
    if values.shape != exact.shape:
        return float("inf")
    largest = float(np.abs(values - exact).max(initial=0))
    return largest if np.isfinite(largest) else float("inf")


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    *,
    tries: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: bool = True,
) -> dict[str, np.ndarray]:
    """Seconds of each call in each round (the best of `tries`), after one warm-up each."""
    for call in calls.values() if warm_up else ():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)  # whoever follows a peer that fills the caches is not always the same
        for name in names[first:] + names[:first]:
            seconds = []
            for _ in range(tries):
                started = clock()
                calls[name]()
                seconds.append(clock() - started)
            times[name].append(min(seconds))
    return {name: np.asarray(values) for name, values in times.items()}


def measure(
    operation: str,
    peers: Sequence[Peer],
    error: Callable[[Any], float] | None = None,
    *,
    rounds: int,
    per: int = 1,
    tries: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Row]:
    """Check and time all peers of one operation.

    Parameters
    ----------
    operation : str
        Name of the operation in the table.
    peers : sequence of Peer
        The first is ours; if it fails, its exception is raised, for there is nothing to compare with.
    error : callable
        Result of a call -> largest error against the float64 reference. inf stands for "not comparable".
    rounds, tries, clock
        As for `interleave`.
    per : int
        Images in one call; times are per image.

    Returns
    -------
    list of Row
        One a peer, in the order given.
    """
    absent: set[str] = set()
    problems: dict[str, str] = {}
    errors: dict[str, float | None] = {}
    for peer in peers:
        try:
            result = peer.call()
            if error is not None and peer.limit is not None:
                errors[peer.name], wrong = _judge(error(result), peer.limit)
                problems |= {peer.name: wrong} if wrong else {}
        except ModuleNotFoundError:
            if peer is peers[0]:
                raise
            absent.add(peer.name)
        except Exception as failure:
            if peer is peers[0]:
                raise
            problems[peer.name] = _failed(failure)
    failed = {name for name, problem in problems.items() if problem.startswith("failed")}

    def guarded(peer: Peer) -> Callable[[], None]:
        def call() -> None:
            if peer.name in failed:
                return
            try:
                peer.call()
            except Exception as failure:
                if peer is peers[0]:
                    raise
                failed.add(peer.name)
                problems[peer.name] = _failed(failure)

        return call

    calls = {peer.name: guarded(peer) for peer in peers if peer.name not in absent | failed}
    taken = interleave(calls, rounds, tries=tries, clock=clock, warm_up=False)  # each has been called above
    times = {name: seconds / per for name, seconds in taken.items()}
    versions = {peer.name: version(*peer.packages) for peer in peers}
    measured = {row["peer"]: row for row in rows_against(operation, peers[0].name, times, versions, errors)}
    nothing = {"ms": None, "ratio": None, "spread": None, "max_error": None}
    rows: list[Row] = []
    for peer in peers:
        row = measured.get(peer.name, {})
        if peer.name in absent | failed:
            row = {"operation": operation, "peer": peer.name, "version": versions[peer.name], **nothing}
        if peer.name in absent:
            row["version"] = "not installed"
        rows.append({**row, "problem": problems.get(peer.name)})
    return rows


def _judge(error: float, limit: float) -> tuple[float | None, str | None]:
    if not np.isfinite(error):
        return None, "wrong result: another shape, or values that are not numbers"
    return error, f"wrong result: error {error:.2g}, at most {limit:.2g} is expected" if error > limit else None


def _failed(failure: Exception) -> str:
    said = (str(failure).splitlines() or [""])[0][:100]
    return f"failed: {type(failure).__name__}: {said}".rstrip(": ")


def rows_against(
    operation: str,
    ours: str,
    times: Mapping[str, np.ndarray],
    versions: Mapping[str, str],
    max_error: Mapping[str, float | None],
) -> list[Row]:
    """One row a peer: ratio = its time / ours, paired by round; spread is the 20th and 80th percentile of the ratio."""
    rows: list[Row] = []
    low, high = np.percentile(times[ours], (20, 80))
    for name, seconds in times.items():
        ratio = seconds / times[ours]
        rows.append(
            {
                "operation": operation,
                "peer": name,
                "version": versions.get(name, ""),
                "ms": round(float(np.median(seconds)) * 1e3, 4),
                "ratio": round(float(np.median(ratio)), 3),
                "spread": [round(float(np.percentile(ratio, q)), 3) for q in (20, 80)],
                "max_error": max_error.get(name),
                "noisy": bool(high > NOISY_SPREAD * low),
            }
        )
    return rows
