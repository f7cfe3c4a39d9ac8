"""What a GPU needs for an operation: CUDA events, hot and with a cold L2, against the copy bandwidth of the same run.

GB/s are those of the bytes that *must* move, every input read once and every output written once: a kernel that moves more
is slow, not fast. Hot: the same buffers again, which for a small batch lie in L2. Cold: a buffer of at least twice the L2
is overwritten before each call. Peers take turns within each round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]

from fastrace.bench.machine import version

Row = dict[str, Any]
FLUSH_AT_LEAST = 256 << 20  # bytes; more than any L2 today
COPY_BYTES = 1 << 30


@dataclass(frozen=True)
class Peer:
    """One way to do an operation; `call` returns its result.

    Attributes
    ----------
    packages : tuple of str
        Names under which it may have been installed; the first that is gives the version.
    other : str
        What it computes instead of the same numbers ("other noise"), so that there is no error to compare; empty if nothing.
    graph : bool
        Replay it from a CUDA graph.
    """

    name: str
    call: Callable[[], torch.Tensor]
    packages: tuple[str, ...] = ("torch",)
    other: str = ""
    graph: bool = False


@dataclass(frozen=True)
class Case:
    """An operation on a batch, and the ways to do it; the first peer is the one that others are compared with."""

    operation: str
    count: int
    minimum_bytes: int
    peers: Sequence[Peer]
    error: Callable[[torch.Tensor], float]  # largest difference of the result from float64, in display units
    limit: float
    note: str = ""


def captured(call: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Capture a call in a CUDA graph, after a warm-up on the stream of the capture; return its replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        result = call()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def flush_bytes(l2_bytes: int) -> int:
    """Bytes to overwrite before a cold call: twice the L2 and not less than `FLUSH_AT_LEAST`."""
    return max(2 * l2_bytes, FLUSH_AT_LEAST)


def copy_bandwidth(rounds: int = 20) -> float:  # pragma: no cover (GPU)
    """Bytes per second that a device-to-device copy reads and writes."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    seconds = timed([lambda: target.copy_(source)], rounds, None)[0]
    return 2 * COPY_BYTES / float(np.median(seconds))


def timed(
    calls: Sequence[Callable[[], object]], rounds: int, flush: torch.Tensor | None
) -> list[list[float]]:  # pragma: no cover (GPU)
    """Seconds of each call in each round by CUDA events, in turn; `flush` is overwritten before each."""
    for call in calls:
        call()
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        pairs = []
        for number in [(turn + k) % len(calls) for k in range(len(calls))]:
            if flush is not None:
                flush.zero_()
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            calls[number]()
            stop.record()
            pairs.append((number, start, stop))
        torch.cuda.synchronize()
        for number, start, stop in pairs:
            seconds[number].append(start.elapsed_time(stop) / 1000)
    return seconds


def launches(call: Callable[[], object]) -> int | None:  # pragma: no cover (GPU)
    """Kernels, copies and fills that a call puts on the device; None where the profiler gives none."""
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            call()
            torch.cuda.synchronize()
        return sum(event.device_type == DeviceType.CUDA for event in profile.events())
    except Exception:  # no CUPTI, or another tool holds it
        return None


def numbers(seconds: Sequence[float], count: int, minimum_bytes: int, copy: float) -> Row:
    """Turn the times of a batch into what the table shows.

    Parameters
    ----------
    seconds : sequence of float
        Of the batch, one per round.
    count : int
        Images in the batch.
    minimum_bytes : int
        Of the batch.
    copy : float
        Bytes per second of the copy.
    """
    low, middle, high = (float(np.quantile(seconds, q)) for q in (0.2, 0.5, 0.8))
    rate = minimum_bytes / middle
    return {
        "us_per_image": 1e6 * middle / count,
        "us_p20": 1e6 * low / count,
        "us_p80": 1e6 * high / count,
        "images_per_s": count / middle,
        "gb_per_s": rate / 1e9,
        "percent_of_copy": 100 * rate / copy,
        "noisy": high > 1.3 * low,
    }


def measure(case: Case, rounds: int, copy: float, flush: torch.Tensor) -> list[Row]:  # pragma: no cover (GPU)
    """Check and time every peer of a case; one that fails or is wrong is named, and not timed."""
    rows: list[Row] = []
    calls: list[tuple[Row, Callable[[], torch.Tensor]]] = []
    for peer in case.peers:
        row: Row = {
            "operation": case.operation,
            "count": case.count,
            "peer": peer.name,
            "version": version(*peer.packages),
            "minimum_bytes": case.minimum_bytes,
            "limit": case.limit,
            "note": case.note,
            "other": peer.other,
        }
        rows.append(row)
        try:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before, started = torch.cuda.memory_allocated(), time.perf_counter()
            call = captured(peer.call) if peer.graph else peer.call
            result = call()
            torch.cuda.synchronize()
            row["first_call_s"] = time.perf_counter() - started
            row["peak_bytes"] = torch.cuda.max_memory_allocated() - before
            row["max_error"] = None if peer.other else case.error(result)
            row["launches"] = launches(call)
        except Exception as error:  # not installed, not supported, out of memory: shown, not dropped
            row["problem"] = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
            continue
        row["problem"] = wrong(row["max_error"], case.limit)
        if row["problem"] is None:
            calls.append((row, call))
    for temperature, buffer in (("hot", None), ("cold", flush)):
        for (row, _), seconds in zip(calls, timed([call for _, call in calls], rounds, buffer), strict=True):
            row[temperature] = numbers(seconds, case.count, case.minimum_bytes, copy)
    return compared(rows)


def wrong(error: float | None, limit: float) -> str | None:
    """Return that a result is wrong, or None. NaN is wrong."""
    if error is None or error <= limit:
        return None
    return f"wrong: off by {error:.3g} from float64, allowed {limit:.3g}"


def compared(rows: list[Row]) -> list[Row]:
    """Give each timed row its `ratio` to the first: its time over ours, with a cold L2; below 1 ours is slower."""
    ours = rows[0].get("cold")
    for row in rows:
        cold = row.get("cold")
        row["ratio"] = cold["us_per_image"] / ours["us_per_image"] if ours and cold else None
    return rows
