"""`measure` is what a benchmark calls: each peer's result against the float64 reference, then all peers timed in turns.

It calls every peer once, compares the result with the reference, and times those that gave one. A peer that is not
installed, fails, ends the process or is wrong stays in the table and is named as such.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrace.bench import session
from fastrace.bench.machine import load, version
from fastrace.bench.meter import peak_memory
from fastrace.bench.row import COLD, Error, Row, digits, failed, figures, rounded, why_noisy
from fastrace.bench.timing import Caches, interleave

SLOW = 20  # `--peers fast` leaves out peers that take this many times as long as ours
PATIENCE = 120.0  # seconds that one call may take; the slowest, a loop of the released code, takes 10
COLD_ROUNDS = 15  # at most
# How the operations begin whose cold rows are part of a quick run too.
QUICK_COLD = ("VOI linear + area 1024x512, 2 threads", "bandpass 0:25 224x224 float32, batch", "gather random")


@dataclass(frozen=True)
class Peer:
    """One way to do an operation. In a list of them, the first is ours.

    Attributes
    ----------
    name : str
        As the table shows it; ours begin with "fastrace".
    call : callable
        Does the operation once. It imports what it needs itself: whether a peer is there is found out by calling it.
    packages : tuple of str
        Names under which it may have been installed; the first that is gives the version.
    limit : float or None
        Largest error that still counts as the same result; None where there is no error to compare.
    check : callable or None
        Gives the result to compare, where that of `call` cannot be (it draws at random).
    part : float
        Share of the operation that one call does; times are divided by it.
    """

    name: str
    call: Callable[[], Any]
    packages: tuple[str, ...] = ("fastrace",)
    limit: float | None = None
    check: Callable[[], Any] | None = None
    part: float = 1.0


def measure(
    operation: str,
    peers: Sequence[Peer],
    error: Callable[[Any], Error] | None = None,
    *,
    rounds: int,
    per: int = 1,
    tries: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    caches: Caches = None,
    work: tuple[float, float] | None = None,
    lsb: float | None = None,
    memory: bool = True,
    patience: float = PATIENCE,
) -> list[Row]:
    """Check and time all peers of one operation.

    Parameters
    ----------
    operation : str
        Name of the operation in the table; `COLD` is added to it where it is so.
    peers : sequence of Peer
        The first is ours; if it fails, its exception is raised, for there is nothing to compare with.
    error : callable
        Result of a call -> its error against the float64 reference. inf: not comparable.
    rounds, tries, clock, caches
        As for `interleave`.
    per : int
        Images in one call; times are per image.
    work : (float, float) or None
        Bytes that must be moved and floating-point operations that must be done per image, by any peer: inputs read once
        and results written once, and the operations of the textbook's algorithm. They place the operation under the roof.
    lsb : float or None
        One step of the result where it is of integers, in the unit of the error: 1/255 for an error in display units.
    memory : bool
        Whether the memory of a call is that of this process.
    patience : float
        Seconds after which a call that has not returned is taken for one that never will (in a process of its own only).

    Returns
    -------
    list of Row
        One a peer, in the order given; none where the operation was measured before or none of its peers was requested.
    """
    shared = session.SESSION
    settings, ours = shared.settings, peers[0]
    operation += COLD if caches == "cold" else ""
    chosen = [peer for peer in peers if peer is ours or not settings.leaves_out(peer.name)]
    if operation in shared.done or (len(peers) > 1 and len(chosen) == 1):
        return []
    absent: set[str] = set()
    problems = {
        peer.name: shared.ended[operation, peer.name] for peer in peers if (operation, peer.name) in shared.ended
    }
    errors: dict[str, Error | None] = {}
    first: dict[str, float] = {}
    peaks: dict[str, float | None] = {}
    warm: dict[str, float] = {}
    if ours.name in problems:  # there is nothing to compare with
        chosen = []
    for peer in chosen:
        if peer.name in problems:
            continue
        shared.mark(operation, peer.name, patience)
        try:
            started = time.perf_counter()
            result = peer.call()
            first[peer.name] = (time.perf_counter() - started) * 1e3
            if error is not None and peer.limit is not None:
                errors[peer.name], wrong = _evaluated(error(peer.check() if peer.check else result), peer.limit)
                problems |= {peer.name: wrong} if wrong else {}
            del result
            if not settings.check_only:
                shared.mark(operation, peer.name, patience)
                peak, taken = peak_memory(peer.call)
                peaks[peer.name], warm[peer.name] = peak if memory else None, taken / peer.part
                if settings.peers == "fast" and warm[peer.name] > SLOW * warm[ours.name]:
                    times = warm[peer.name] / warm[ours.name]
                    problems[peer.name] = f"left out (slow): a second call took {times:.0f} times as long as ours"
        except ModuleNotFoundError:
            if peer is ours:
                raise
            absent.add(peer.name)
        except Exception as failure:
            if peer is ours:
                raise
            problems[peer.name] = failed(failure)
    out = {name for name, problem in problems.items() if problem.startswith(("failed", "left out"))}

    def guarded(peer: Peer) -> Callable[[], None]:
        def call() -> None:
            if peer.name in out:
                return
            shared.mark(operation, peer.name, patience)
            try:
                peer.call()
            except Exception as failure:
                if peer is ours:
                    raise
                out.add(peer.name)
                problems[peer.name] = failed(failure)

        return call

    seconds: dict[str, np.ndarray] = {}
    if chosen and not settings.check_only:
        calls = {peer.name: guarded(peer) for peer in chosen if peer.name not in absent | out}
        slow = [name for name in calls if warm[name] > SLOW * warm[ours.name]]
        rounds = min(rounds, settings.rounds or rounds)
        seconds = interleave(calls, rounds, tries=tries, clock=clock, caches=caches, slow=slow)
    shared.mark("", "", 0)
    samples = {
        p.name: rounded(seconds[p.name] / per / p.part) for p in chosen if p.name in seconds and p.name not in out
    }
    why = why_noisy(samples[ours.name], shared.meter.read()) if samples else []
    rows = [
        {
            "operation": operation,
            "peer": peer.name,
            "version": "not installed" if peer.name in absent else version(*peer.packages),
            "caches": caches,
            **figures(samples.get(peer.name), samples.get(ours.name)),
            **_errors(None if peer.name in absent | out else errors.get(peer.name)),
            "lsb": lsb,
            "problem": problems.get(peer.name),
            "noisy": bool(why),
            "why": why,
            "load": round(load(), 2),
            "threads": _threads(),
            "first_ms": digits(first.get(peer.name), 3),
            "peak_mb": peaks.get(peer.name),
            "bytes": work[0] if work else None,
            "flops": work[1] if work else None,
        }
        for peer in chosen or peers[:1]
    ]
    shared.emit(rows)
    return rows


def hot_and_cold(
    operation: str,
    peers: Sequence[Peer],
    error: Callable[[Any], Error] | None = None,
    *,
    rounds: int,
    cold: Sequence[str],
    **more: Any,
) -> list[Row]:
    """`measure` with the caches hot, and with them cold those peers alone whose names begin with a word of `cold`, if any.

    Emptying the caches takes 20 ms a call, more than most calls: cold rows have fewer peers and rounds, and are few in a quick
    run.
    """
    settings = session.SESSION.settings
    found = measure(operation, peers, error, rounds=rounds, caches="hot", **more)
    if not cold or settings.check_only or (settings.quick and not operation.startswith(QUICK_COLD)):
        return found
    some = [peer for peer in peers if peer is peers[0] or peer.name.startswith(tuple(cold))]
    return found + measure(operation, some, error, rounds=min(rounds, COLD_ROUNDS), caches="cold", **more)


def _threads() -> int:
    """Threads that a call may use, by torch's setting; 1 where torch is not imported, which takes two seconds."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else 1


def _errors(error: Error | None) -> Row:
    return {"max_error": error.largest, "rms_error": error.rms} if error else {"max_error": None, "rms_error": None}


def _evaluated(error: Error, limit: float) -> tuple[Error | None, str | None]:
    if not np.isfinite(error.largest):
        return None, "wrong result: another shape, or values that are not numbers"
    wrong = f"wrong result: error {error.largest:.2g}, at most {limit:.2g} is expected"
    return error, wrong if error.largest > limit else None
