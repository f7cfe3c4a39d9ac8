"""The rows as a table: for a terminal, and for README and bench/results. A ratio below 1 is a loss of ours, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from fastrace.bench.common import Row

README_START, README_END = "<!-- bench -->", "<!-- /bench -->"

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
    "patient-cluster interval, 20,000 rows, B = 2000, 1 core",
    "patient-cluster interval, 20,000 rows, B = 2000, 2 threads",
    "decode file JPEGLosslessSV1 3328x2560",
    "decode file JPEG2000Lossless 3328x2560",
    "JPEG Lossless 3328x2560 -> 1024x512, 2 processes",
    "whole command, 24 such files, start included",
)


def terminal(document: dict[str, Any]) -> str:
    """A block for each operation, a line for each peer, and what it comes to."""
    machine, rows = document["environment"], document["rows"]
    width = max((len(_name(row)) for row in rows), default=0) + 2
    lines = [
        f"{machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, load {machine['load']:.2f} at the start;"
        " medians of interleaved rounds",
        "",
        f"{'':{width}}{'time':>11}  {'its time / ours (p20-p80)':27}{'fastrace is':23}max error",
    ]
    for operation, group in groupby(rows, key=lambda row: row["operation"]):
        block = list(group)
        lines += [operation + ("   NOISY" if any(row["noisy"] for row in block) else "")]
        lines += [_line(row, width, ours=row is block[0]) for row in block] + [""]
    return "\n".join([*lines, *_summary(rows), f"{sum(machine['seconds'].values()):.0f} s"])


def _name(row: Row) -> str:
    absent = row["version"] == "not installed"
    return f"  {row['peer']}" if absent else f"  {row['peer']} {row['version']}".rstrip()


def _line(row: Row, width: int, ours: bool) -> str:
    if row["ms"] is None:
        return f"{_name(row):{width}}{row['problem'] or row['version']}"
    error = "" if row["max_error"] is None else f"{row['max_error']:.2g}"
    low, high = row["spread"]
    ratio = "" if ours else f"{row['ratio']:8.2f} ({low:.2f}-{high:.2f})"
    line = f"{_name(row):{width}}{_milliseconds(row['ms']):>11}  {ratio:27}{'' if ours else _verdict(row):23}{error}"
    return f"{line.rstrip()}   {row['problem'].upper()}" if row["problem"] else line.rstrip()


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"


def _verdict(row: Row) -> str:
    low, high = row["spread"]
    if low <= 1 <= high:
        return ("slower" if row["ratio"] < 1 else "faster") + ", within spread"
    return "SLOWER" if row["ratio"] < 1 else "faster"


def _summary(rows: Sequence[Row]) -> list[str]:
    ours = {row["operation"]: row for row in reversed(rows)}  # the first of each operation stays
    peers = [row for row in rows if row is not ours[row["operation"]]]
    timed = [row for row in peers if row["ms"] is not None]
    slower = sorted((row for row in timed if row["ratio"] < 1), key=lambda row: float(row["ratio"]))
    lines = [f"fastrace is faster in {len(timed) - len(slower)} comparisons, slower in {len(slower)}"]
    if slower:
        worst = slower[0]
        lines[0] += f" (most: {worst['ratio']:.2f}, {worst['operation']}, against {worst['peer']})"
    absent = sorted({row["peer"] for row in peers if row["version"] == "not installed"})
    if absent:
        lines.append(f"not installed: {'; '.join(absent)} (most of them: pip install 'fastrace[bench]')")
    lines += [f"{row['operation']}: {row['peer']} {row['problem']}" for row in rows if row["problem"]]
    noisy = sum(row["noisy"] for row in ours.values())
    if noisy:
        lines.append(f"NOISY in {noisy} of {len(ours)} operations: run again when nothing else is running")
    return lines


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
        problem = row.get("problem")
        name = f"{row['peer']} {row['version']}".strip() + (f" ({problem})" if problem else "")
        if row["ms"] is None:
            lines.append(f"| {row['operation']} | {name} | | | |")
            continue
        ratio = f"{row['ratio']:.2f}" if row["ratio"] >= 1 else f"**{row['ratio']:.2f}**"
        low, high = row["spread"]
        lines.append(f"| {row['operation']} | {name} | {ratio} | {low:.2f}-{high:.2f} | {ours[row['operation']]:.3g} |")
    return "\n".join(lines) + "\n"
