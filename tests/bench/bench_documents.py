"""Results of benchmarks without running one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrace.bench import run
from fastrace.bench.row import Row, figures, why_noisy


def document(rows: Sequence[Row], load: float = 0.0, **more: Any) -> dict[str, Any]:
    """What `run.run` makes of the rows of one run."""
    machine = run.environment(quick=True) | {"seconds": {"noise": 1.0}}
    one = {"seconds": {}, "roofs": None, "rows": [{"benchmark": "noise", **row} for row in rows]}
    return {"schema": run.SCHEMA, "environment": machine, **run.merged([one]), **more}


def timed(operation: str = "op", version: str = "1.0", **samples: list[float]) -> list[Row]:
    """Rows of one operation, the first one ours, by their times in ms."""
    ours = next(iter(samples.values()))
    why = why_noisy(ours, (0.0, 0.0))  # a quiet machine
    rest: Row = {"max_error": None, "rms_error": None, "lsb": None, "problem": None, "noisy": bool(why), "why": why}
    rest |= {"load": 0.0, "threads": 1, "first_ms": 1.0, "peak_mb": 0.0, "bytes": None, "flops": None}
    return [
        {"operation": operation, "peer": peer, "version": version, "caches": None, **figures(times, ours), **rest}
        for peer, times in samples.items()
    ]
