"""Run the benchmarks that were named and describe the machine: what `fastrace bench` and `python -m fastrace.bench` call."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastrace.bench import NAMES, QUICK_NAMES
from fastrace.bench.common import Row, usable_cpus, version
from fastrace.bench.table import README_END, README_OPERATIONS, README_START, markdown
from fastrace.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]  # of the checkout: fastrace/bench is a link there
RESULT = ROOT / "bench" / "results" / "cpu.json"
PACKAGES = ("fastrace", "torch", "numpy", "numba", "scipy", "scikit-learn", "imagecodecs", "pydicom")
# Variables that change how many threads the libraries start.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(names: Sequence[str], quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    names : sequence of str
        From `NAMES`; empty means all of them, or with `quick` those that fit into a minute.
    quick : bool
        Fewer cases and rounds.
    say : callable
        Takes a line about the progress.

    Returns
    -------
    dict
        "environment" and "rows"; plain JSON.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise UsageError(f"no benchmark {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    chosen = tuple(dict.fromkeys(names)) or (QUICK_NAMES if quick else NAMES)
    if not names and quick:
        say("--quick leaves out pipeline; name it to run it")
    described = environment(quick)
    cores = usable_cpus()
    if described["load"] >= 1:
        say(
            f"this machine is busy (load {described['load']:.2f} on {cores} cores): times will be too long and restless; "
            "ratios, taken in turns, less so"
        )
    rows: list[Row] = []
    for number, name in enumerate(chosen, 1):
        say(f"{name}, {number} of {len(chosen)}")
        load, started = _load(), time.perf_counter()
        found = _rows(name, quick)
        described["seconds"][name] = round(time.perf_counter() - started, 1)
        rows += [{**row, "noisy": row["noisy"] or load > cores, "load": round(load, 2)} for row in _agree(found)]
    return {"environment": described, "rows": rows}


def _rows(name: str, quick: bool) -> list[Row]:
    found: list[Row] = importlib.import_module(f"fastrace.bench.{name}").rows(quick=quick)
    return found


def _agree(rows: list[Row]) -> list[Row]:
    """Give every row the same keys, and all of one operation its mark."""
    noisy = {row["operation"] for row in rows if row.get("noisy")}
    measured = ("operation", "peer", "version", "ms", "ratio", "spread", "max_error")
    return [
        {
            **{key: row[key] for key in measured},
            "noisy": row["operation"] in noisy,
            "problem": row.get("problem"),
        }
        for row in rows
    ]


def ours_wrong(document: dict[str, Any]) -> list[str]:
    """Our own results that miss their tolerance: there is nothing to be fast about."""
    return [f"{r['operation']}: {r['problem']}" for r in document["rows"] if r["problem"] and r["peer"] == "fastrace"]


def environment(quick: bool) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _processor(),
        "cores": usable_cpus(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "load": round(_load(), 2),
        "quick": quick,
        "seconds": {},
    }


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "an unnamed processor")


def require_checkout() -> None:
    """Raise UsageError where there are no committed results to renew."""
    if not (RESULT.is_file() and (ROOT / "README.md").is_file()):
        raise UsageError(
            "--write renews the committed results of a checkout, and this fastrace is not run from one; use --out FILE"
        )


def write(document: dict[str, Any]) -> None:
    """Keep the rows and renew the README's table."""
    RESULT.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(README_START)
    _, _, after = rest.partition(README_END)
    RESULT.with_suffix(".md").write_text("# CPU benchmark\n\n" + markdown(document))
    table = markdown(document, README_OPERATIONS)
    readme.write_text(f"{before}{README_START}\n{table}{README_END}{after}")
