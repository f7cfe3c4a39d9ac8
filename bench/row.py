"""A row of the table: what it holds, how an error and a ratio are computed, and when a time is noisy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrace.bench.machine import load
from fastrace.execute.cpus import usable_cpus

# operation, peer, version ("not installed");
# caches ("hot", "cold", or None where they are as they come);
# ms, ratio (its time / ours), spread (p20 and p80 of the ratio), samples (ms of each round): None without a time;
# max_error, rms_error (against the float64 reference; None where there is none), lsb (one step of an integer result, in the
# unit of the errors; None where the result is none), problem (a sentence, or None);
# noisy (our own time, or the machine) and why (sentences), load, threads;
# first_ms (the first call: imports and compilation), peak_mb (memory that a later call needs, its result included);
# bytes, flops (what the operation has to move and compute at least, per image; None where it is not stated).
Row = dict[str, Any]

NOISY_SPREAD = 1.3  # p80 / p20 of our own time
NOISY_OTHERS = 0.25  # cores that other processes used
NOISY_STOLEN = 0.02  # share of the time that the hypervisor gave to others
COLD = ", caches cold"  # how the name of an operation ends whose calls find none of their data in the caches


class Error(NamedTuple):
    """How far a result is from the float64 reference: largest absolute difference, and root of the mean square."""

    largest: float
    rms: float


def is_ours(row: Row) -> bool:
    """Whether a row is ours and not a peer's."""
    return bool(row["peer"].startswith("fastrace"))


def difference(result: Any, exact: np.ndarray) -> Error:
    """How far a result is from the reference; inf where the shapes differ or a value is not a number."""
    values, nothing_alike = np.asarray(result), Error(np.inf, np.inf)
    if values.shape != exact.shape:
        return nothing_alike
    differences = np.abs(values - exact).astype(np.float64, copy=False).reshape(-1)
    largest = float(differences.max(initial=0))
    if not np.isfinite(largest):
        return nothing_alike
    return Error(largest, float(np.sqrt(differences @ differences / max(differences.size, 1))))


def figures(samples: Sequence[float] | None, ours: Sequence[float] | None) -> Row:
    """Median, ratio to ours paired by round with its 20th and 80th percentile, and the samples, all in ms."""
    if not samples or not ours:
        return {"ms": None, "ratio": None, "spread": None, "samples": None}
    ratio = np.asarray(samples) / np.asarray(ours)
    return {
        "ms": digits(float(np.median(samples)), 5),
        "ratio": round(float(np.median(ratio)), 3),
        "spread": [round(float(np.percentile(ratio, q)), 3) for q in (20, 80)],
        "samples": list(samples),
    }


def why_noisy(samples: Sequence[float], machine: tuple[float, float] | None) -> list[str]:
    """Why the times of an operation are noisy: nothing, or a sentence for each reason.

    Parameters
    ----------
    samples : sequence of float
        Our own times.
    machine : (float, float) or None
        Cores that others used meanwhile, and the share of the time that was stolen. Where they are not known, the load of the
        last minute is used, which includes our own.
    """
    low, high = np.percentile(samples, (20, 80))
    found = [f"our own times spread by {high / low:.2f} (p80/p20)"] if high > NOISY_SPREAD * low else []
    if machine is None:
        return found + ([f"load {load():.1f} on {usable_cpus()} cores"] if load() > usable_cpus() else [])
    others, stolen = machine
    found += [f"other processes used {others:.1f} cores"] if others > NOISY_OTHERS else []
    return found + ([f"the hypervisor took {stolen:.0%} of the time"] if stolen > NOISY_STOLEN else [])


def rounded(seconds: np.ndarray) -> list[float]:
    """Ms, with the digits that mean something: ratios are computed from these, so that others get the same ones."""
    return [float(f"{value * 1e3:.5g}") for value in seconds]


def digits(value: float | None, count: int) -> float | None:
    """Rounded to so many significant digits."""
    return None if value is None else float(f"{value:.{count}g}")


def failed(failure: Exception) -> str:
    """The problem of a row whose call raised: the exception's kind and the first line of its message."""
    message = (str(failure).splitlines() or [""])[0][:100]
    return f"failed: {type(failure).__name__}: {message}".rstrip(": ")
