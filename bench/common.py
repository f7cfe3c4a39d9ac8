"""Interleaved timing: every peer takes its turn in each round, so a drift of the machine hits all alike.

`measure` is what a benchmark calls: it asks every peer for its result once, compares it with the float64 reference, and
times those that gave one. A peer that is not installed, fails, ends the process or is wrong stays in the table and is
named as such. What was asked for on the command line (`Settings`) and who listens (`SESSION`) is the same for all
benchmarks of a process, and is therefore not handed through each of them.

What a call finds in the caches would be what the peer before it left there, which is nobody's usual state and unfair to
whoever follows one that writes much. Where it matters, each timed call is therefore prepared, untimed (`caches`):

- **hot**: the same call came immediately before, as in a loop. Peers that take more than 20 times as long as we do are
  spared it: fetching the operation's data from memory takes about as long as we do, a twentieth of their time.
- **cold**: other data fill the caches of all cores (`machine.evict`). The second thread of a library has gone to sleep
  meanwhile, as it does between the calls of a program that also does something else; waking it is part of a cold time.

Where neither is asked for (decoding, statistics, whole commands), a call takes so long that it does not matter.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from fastrace.bench.machine import Meter, evict, load, peak_memory, version
from fastrace.execute.cpus import usable_cpus

__all__ = [
    "COLD",
    "SESSION",
    "Error",
    "Peer",
    "Row",
    "Settings",
    "difference",
    "figures",
    "hot_and_cold",
    "interleave",
    "is_ours",
    "measure",
    "optional",
]
__all__ += ["threads", "usable_cpus", "version"]

# operation, peer, version ("not installed");
# caches ("hot", "cold", or None where they are as they come);
# ms, ratio (its time / ours), spread (p20 and p80 of the ratio), samples (ms of each round): None without a time;
# max_error, rms_error (against the float64 reference; None where there is none), lsb (one step of an integer result, in the
# unit of the errors; None where the result is none), problem (a sentence, or None);
# noisy (our own time, or the machine, was restless) and why (sentences), load, threads;
# first_ms (the first call: imports and compilation), peak_mb (memory that a later call needs, its result included);
# bytes, flops (what the operation has to move and compute at least, per image; None where it is not stated).
Row = dict[str, Any]

NOISY_SPREAD = 1.3  # p80 / p20 of our own time
NOISY_OTHERS = 0.25  # cores that other processes used
NOISY_STOLEN = 0.02  # share of the time that the hypervisor gave to others
SLOW = 20  # `--peers fast` leaves out who takes this many times as long as we do
PATIENCE = 120.0  # seconds that one call may take; the slowest, a loop of the released code, takes 10
COLD_ROUNDS = 15  # at most
# How the operations begin whose cold rows are part of a quick run too.
QUICK_COLD = ("VOI linear + area 1024x512, 2 threads", "bandpass 0:25 224x224 float32, batch", "gather random")
COLD = ", caches cold"  # how the name of an operation ends whose calls find none of their data in the caches

Caches = Literal["hot", "cold"] | None


class Error(NamedTuple):
    """How far a result is from the float64 reference: largest absolute difference, and root of the mean square."""

    largest: float
    rms: float


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


@dataclass(frozen=True)
class Settings:
    """What was asked for.

    Attributes
    ----------
    quick : bool
        Fewer cases and rounds.
    peers : str
        ``all``, ``fast``, or parts of names with commas between them.
    check_only : bool
        Compare the results and time nothing.
    rounds : int or None
        At most so many.
    """

    quick: bool = False
    peers: str = "all"
    check_only: bool = False
    rounds: int | None = None

    def leaves_out(self, name: str) -> bool:
        """Whether a peer of that name was not asked for."""
        wanted = [part.strip().lower() for part in self.peers.split(",")]
        return self.peers not in ("all", "fast") and not any(part in name.lower() for part in wanted)


@dataclass
class Session:
    """What the benchmarks of one process share.

    Attributes
    ----------
    settings : Settings
    mark : callable
        Is told operation, peer and how many seconds it may take before each call, and two empty words after the last: what
        ended the process, if it ends, or has to be ended.
    emit : callable
        Takes the rows of each operation that is done.
    ended : dict
        (operation, peer) -> what is known of it: it ended an earlier process, and is not called again.
    done : frozenset
        Operations that an earlier process measured.
    """

    settings: Settings = field(default_factory=Settings)
    mark: Callable[[str, str, float], None] = lambda operation, peer, patience: None
    emit: Callable[[list[Row]], None] = lambda rows: None
    ended: Mapping[tuple[str, str], str] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    meter: Meter = field(default_factory=Meter)


SESSION = Session()


def is_ours(row: Row) -> bool:
    """Whether a row is ours and not a peer's."""
    return bool(row["peer"].startswith("fastrace"))


def optional(name: str) -> ModuleType | None:
    """The module, or None where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except Exception:  # one that is there and broken must not end the run; calling it shows what it says
        return None


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


def difference(result: Any, exact: np.ndarray) -> Error:
    """How far a result is from the reference; inf where the shapes differ or a value is not a number."""
    values, nothing_alike = np.asarray(result), Error(np.inf, np.inf)
    if values.shape != exact.shape:
        return nothing_alike
    apart = np.abs(values - exact).astype(np.float64, copy=False).reshape(-1)
    largest = float(apart.max(initial=0))
    if not np.isfinite(largest):
        return nothing_alike
    return Error(largest, float(np.sqrt(apart @ apart / max(apart.size, 1))))


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    *,
    tries: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    caches: Caches = None,
    slow: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Seconds of each call in each round (the best of `tries`); whoever needs a warm-up has had it.

    With hot caches an untimed call comes before the first try, except to those that are `slow`; with cold ones the caches are
    emptied before each try.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)  # whoever follows a peer that fills the caches is not always the same
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
        Result of a call -> its error against the float64 reference. inf stands for "not comparable".
    rounds, tries, clock, caches
        As for `interleave`.
    per : int
        Images in one call; times are per image.
    work : (float, float) or None
        Bytes that must be moved and floating-point operations that must be done per image, whoever does it: inputs read once
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
        One a peer, in the order given; none where the operation was measured before or none of its peers was asked for.
    """
    session, settings, ours = SESSION, SESSION.settings, peers[0]
    operation += COLD if caches == "cold" else ""
    wanted = [peer for peer in peers if peer is ours or not settings.leaves_out(peer.name)]
    if operation in session.done or (len(peers) > 1 and len(wanted) == 1):
        return []
    absent: set[str] = set()
    problems = {
        peer.name: session.ended[operation, peer.name] for peer in peers if (operation, peer.name) in session.ended
    }
    errors: dict[str, Error | None] = {}
    first: dict[str, float] = {}
    peaks: dict[str, float | None] = {}
    warm: dict[str, float] = {}
    if ours.name in problems:  # there is nothing to compare with
        wanted = []
    for peer in wanted:
        if peer.name in problems:
            continue
        session.mark(operation, peer.name, patience)
        try:
            started = time.perf_counter()
            result = peer.call()
            first[peer.name] = (time.perf_counter() - started) * 1e3
            if error is not None and peer.limit is not None:
                errors[peer.name], wrong = _judge(error(peer.check() if peer.check else result), peer.limit)
                problems |= {peer.name: wrong} if wrong else {}
            del result
            if not settings.check_only:
                session.mark(operation, peer.name, patience)
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
            problems[peer.name] = _failed(failure)
    out = {name for name, problem in problems.items() if problem.startswith(("failed", "left out"))}

    def guarded(peer: Peer) -> Callable[[], None]:
        def call() -> None:
            if peer.name in out:
                return
            session.mark(operation, peer.name, patience)
            try:
                peer.call()
            except Exception as failure:
                if peer is ours:
                    raise
                out.add(peer.name)
                problems[peer.name] = _failed(failure)

        return call

    seconds: dict[str, np.ndarray] = {}
    if wanted and not settings.check_only:
        calls = {peer.name: guarded(peer) for peer in wanted if peer.name not in absent | out}
        slow = [name for name in calls if warm[name] > SLOW * warm[ours.name]]
        rounds = min(rounds, settings.rounds or rounds)
        seconds = interleave(calls, rounds, tries=tries, clock=clock, caches=caches, slow=slow)
    session.mark("", "", 0)
    samples = {
        p.name: _rounded(seconds[p.name] / per / p.part) for p in wanted if p.name in seconds and p.name not in out
    }
    why = restless(samples[ours.name], session.meter.read()) if samples else []
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
            "first_ms": _digits(first.get(peer.name), 3),
            "peak_mb": peaks.get(peer.name),
            "bytes": work[0] if work else None,
            "flops": work[1] if work else None,
        }
        for peer in wanted or peers[:1]
    ]
    session.emit(rows)
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
    settings = SESSION.settings
    found = measure(operation, peers, error, rounds=rounds, caches="hot", **more)
    if not cold or settings.check_only or (settings.quick and not operation.startswith(QUICK_COLD)):
        return found
    some = [peer for peer in peers if peer is peers[0] or peer.name.startswith(tuple(cold))]
    return found + measure(operation, some, error, rounds=min(rounds, COLD_ROUNDS), caches="cold", **more)


def figures(samples: Sequence[float] | None, ours: Sequence[float] | None) -> Row:
    """Median, ratio to ours paired by round with its 20th and 80th percentile, and the samples, all in ms."""
    if not samples or not ours:
        return {"ms": None, "ratio": None, "spread": None, "samples": None}
    ratio = np.asarray(samples) / np.asarray(ours)
    return {
        "ms": _digits(float(np.median(samples)), 5),
        "ratio": round(float(np.median(ratio)), 3),
        "spread": [round(float(np.percentile(ratio, q)), 3) for q in (20, 80)],
        "samples": list(samples),
    }


def restless(samples: Sequence[float], machine: tuple[float, float] | None) -> list[str]:
    """Why the times of an operation are not to be trusted to the last per cent: nothing, or a sentence for each reason.

    Parameters
    ----------
    samples : sequence of float
        Our own times.
    machine : (float, float) or None
        Cores that others used meanwhile, and the share of the time that was stolen. Where they are not known, the load of the
        last minute stands for them, which counts us too.
    """
    low, high = np.percentile(samples, (20, 80))
    found = [f"our own times spread by {high / low:.2f} (p80/p20)"] if high > NOISY_SPREAD * low else []
    if machine is None:
        return found + ([f"load {load():.1f} on {usable_cpus()} cores"] if load() > usable_cpus() else [])
    others, stolen = machine
    found += [f"other processes used {others:.1f} cores"] if others > NOISY_OTHERS else []
    return found + ([f"the hypervisor took {stolen:.0%} of the time"] if stolen > NOISY_STOLEN else [])


def _threads() -> int:
    """Threads that a call may use, by what torch was told; 1 where nobody has imported it, which takes two seconds."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else 1


def _rounded(seconds: np.ndarray) -> list[float]:
    """Ms, with the digits that mean something: ratios are computed from these, so that others get the same ones."""
    return [float(f"{value * 1e3:.5g}") for value in seconds]


def _digits(value: float | None, digits: int) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}")


def _errors(error: Error | None) -> Row:
    return {"max_error": error.largest, "rms_error": error.rms} if error else {"max_error": None, "rms_error": None}


def _judge(error: Error, limit: float) -> tuple[Error | None, str | None]:
    if not np.isfinite(error.largest):
        return None, "wrong result: another shape, or values that are not numbers"
    wrong = f"wrong result: error {error.largest:.2g}, at most {limit:.2g} is expected"
    return error, wrong if error.largest > limit else None


def _failed(failure: Exception) -> str:
    said = (str(failure).splitlines() or [""])[0][:100]
    return f"failed: {type(failure).__name__}: {said}".rstrip(": ")
