"""Interleaved timing: every peer takes its turn in each round, so a drift of the machine hits all alike."""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]

README_START, README_END = "<!-- bench -->", "<!-- /bench -->"


def version(package: str) -> str:
    """Installed version, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def interleave(calls: Mapping[str, Callable[[], object]], rounds: int = 15) -> dict[str, np.ndarray]:
    """Seconds of each call in each round, after one warm-up each."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)  # whoever follows a peer that fills the caches is not always the same
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - started)
    return {name: np.asarray(values) for name, values in times.items()}


def rows_against(
    operation: str,
    ours: str,
    times: Mapping[str, np.ndarray],
    versions: Mapping[str, str],
    max_error: Mapping[str, float | None],
) -> list[Row]:
    """One row a peer: ratio = its time / ours, paired by round; spread is the 20th and 80th percentile of the ratio."""
    rows: list[Row] = []
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
            }
        )
    return rows


def show(rows: list[Row]) -> None:
    """A table for people, then one JSON line for programs. A ratio below 1 is a loss of ours."""
    print(f"{'operation':44}{'peer':34}{'version':16}{'ms':>10}{'ratio':>8}  {'p20-p80':16}max error")
    for row in rows:
        if row["ms"] is None:
            print(f"{row['operation']:44}{row['peer']:34}{row['version']}")
            continue
        low, high = row["spread"]
        error = "" if row["max_error"] is None else f"{row['max_error']:.2g}"
        print(
            f"{row['operation']:44}{row['peer']:34}{row['version']:16}{row['ms']:>10.3f}{row['ratio']:>8.2f}  "
            f"{f'{low:.2f}-{high:.2f}':16}{error}"
        )
    print(json.dumps(rows))


# What the README shows: the operations with a target, every peer of each, losses included. The rest is in bench/results.
README_OPERATIONS = (
    "VOI linear, 2 threads",
    "VOI sigmoid (table), 2 threads",
    "VOI linear + area 1024x512, 2 threads",
    "VOI linear + area 224x224, 2 threads",
    "bandpass 0:25 224x224 float32, batch 32, 1 core",
    "bandpass 10:150 224x224 float32, batch 32, 1 core",
    "bandpass 0:25 224x224 float32, one image, 1 core",
    "noise gaussian 0.1 224x224 float32, batch 32, 1 core",
    "decode file JPEGLosslessSV1 3328x2560",
    "decode file JPEG2000Lossless 3328x2560",
    "JPEG Lossless 3328x2560 -> 1024x512, 2 processes",
    "whole command, 24 such files, start included",
)


def markdown(result: dict[str, Any], operations: Sequence[str] | None = None) -> str:
    """A table of a committed result: one line a peer, losses in bold; all operations or the given ones."""
    machine = result["environment"]
    lines = [
        f"Measured {machine['date']} on {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, "
        f"torch {machine['versions']['torch']}, imagecodecs {machine['versions']['imagecodecs']}.",
        "",
        "| operation | peer | its time / ours | p20-p80 | ours, ms |",
        "|---|---|---|---|---|",
    ]
    ours = {row["operation"]: row["ms"] for row in result["rows"] if row["peer"].startswith("fastrace")}
    for row in result["rows"]:
        if row["peer"].startswith("fastrace") or (operations and row["operation"] not in operations):
            continue
        name = f"{row['peer']} {row['version']}".strip()
        if row["ms"] is None:
            lines.append(f"| {row['operation']} | {name} | | | |")
            continue
        ratio = f"{row['ratio']:.2f}" if row["ratio"] >= 1 else f"**{row['ratio']:.2f}**"
        low, high = row["spread"]
        lines.append(f"| {row['operation']} | {name} | {ratio} | {low:.2f}-{high:.2f} | {ours[row['operation']]:.3g} |")
    return "\n".join(lines) + "\n"
