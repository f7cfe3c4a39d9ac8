"""The rows as a table: terminal, README, bench/results, other programs. A ratio below 1 is a loss, and is marked."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from fastrace.bench.row import Row, is_ours
from fastrace.bench.targets import outcomes, targets_markdown

# Operation and peer of the targets that the README shows: what a user notices. The rest is in bench/results.
README_ROWS = (
    ("VOI linear, 2 threads", "pydicom modality + VOI"),
    ("JPEG Lossless 3328x2560 -> 1024x512, 2 processes", "dicomsdl"),
    ("bandpass 10:150 224x224 float32, batch 32, 1 core", "released code"),
    ("gather random 1024x512 uint8, batch 32, 1 thread", "numpy memmap loop"),
    ("patient-cluster interval, 20,000 rows, B = 2000, 1 core", "sklearn loop"),
)

# Columns of Liger-Kernel's benchmark tables, so that its plots and its readers take ours.
CSV_COLUMNS = (
    "kernel_name", "kernel_provider", "kernel_operation_mode", "metric_name", "metric_unit", "x_name", "x_label", "x_value",
    "y_value_50", "y_value_20", "y_value_80", "extra_benchmark_config_str", "gpu_name", "timestamp", "liger_version",
)  # fmt: skip


def described(document: dict[str, Any]) -> list[str]:
    """The machine in a few lines; what is not known is left out."""
    machine = document["environment"]
    found = _described(machine, document.get("roofs"))
    parts: dict[str, list[str]] = {}
    for name, other in machine.get("renewed", {}).items():
        parts.setdefault("; ".join(_described(other, None)), []).append(name)
    return found + [
        f"{' and '.join(names)} {'were' if len(names) > 1 else 'was'} measured later: {said}"
        for said, names in parts.items()
    ]


def _described(machine: dict[str, Any], roofs: dict[str, Any] | None) -> list[str]:
    found = []
    virtual = "virtual machine" if machine.get("virtual") else None
    container = ", ".join(f"{key} {value}" for key, value in machine.get("container", {}).items())
    caches = ", ".join(f"{name} {size}" for name, size in machine.get("cache", {}).items())
    memory = f"{machine['memory_gb']:g} GB" if machine.get("memory_gb") else None
    parts = [
        machine.get("level"),
        caches,
        memory,
        machine.get("governor"),
        virtual,
        container and f"container ({container})",
    ]
    found.append(f"{machine['cores']} cores of {machine['cpu']}: " + ", ".join(part for part in parts if part))
    if roofs:
        found.append(
            "possible here: "
            + "; ".join(
                f"{n} thread{'s' * (int(n) > 1)} copy {roofs['copy'][n]:g} GB/s ({roofs['cached'][n]:g} in cache), "
                f"{roofs['peak'][n]:g} GFLOP/s"
                for n in roofs["copy"]
            )
        )
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value != "not installed")
    found.append(f"{machine['system']}, Python {machine['python']}, {versions}")
    if commit := machine.get("commit"):
        found.append(
            f"commit {commit['sha'][:12]}{' and changes' if commit['modified'] else ''}, seed {machine['seed']}"
        )
    variables = ", ".join(f"{name}={value}" for name, value in machine["variables"].items())
    runs = machine.get("runs", 1)
    found.append(
        f"load {machine['load']:.2f} at the start, {runs} run{'s' * (runs > 1)}{', ' * bool(variables)}{variables}"
    )
    return found


def terminal(document: dict[str, Any]) -> str:
    """A block for each operation, a line for each peer, and what it comes to."""
    machine, rows = document["environment"], document["rows"]
    width = max((len(_name(row)) for row in rows), default=0) + 2
    lines = [
        *described(document),
        "medians of interleaved rounds; caches hot: after the same call, cold: after other data; LSB: step of an integer result",
        "first: first call, imports and compilation included; memory: of a later call; errors are against float64",
        "",
        f"{'':{width}}{'time':>11}  {'its time / ours (p20-p80)':27}{'fastrace is':23}{'max error':18}{'RMS':18}"
        f"{'first':>9}{'memory':>11}",
    ]
    for operation, group in groupby(rows, key=lambda row: row["operation"]):
        block = list(group)
        why = (
            block[0]["why"]
            if machine.get("runs", 1) == 1
            else [f"in {len(block[0]['why'])} runs", *block[0]["why"][:1]]
        )
        noisy = f"   NOISY: {'; '.join(why)}" if any(row["noisy"] for row in block) else ""
        hot = "caches hot" if block[0]["caches"] == "hot" else ""  # cold ones are in the name
        lines += ["   ".join(filter(None, (operation, hot, _reached(block[0], document.get("roofs"))))) + noisy]
        lines += [_line(row, width, ours=row is block[0]) for row in block] + [""]
    lines += [
        f"target: {o.target.operation}: {o.target.ratio:g}x {o.target.peer}: {o.words()}" for o in outcomes(document)
    ]
    return "\n".join([*lines, *_summary(rows), f"{sum(machine['seconds'].values()):.0f} s"])


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """What it comes to, in one line of JSON: the last that a run prints."""
    timed = [row for row in document["rows"] if row["ms"] is not None and not is_ours(row)]
    targets = outcomes(document)
    return {
        "faster": sum(row["ratio"] >= 1 for row in timed),
        "slower": sum(row["ratio"] < 1 for row in timed),
        "noisy_operations": len({row["operation"] for row in document["rows"] if row["noisy"]}),
        "targets_met": sum(outcome.reached for outcome in targets),
        "targets": len(targets),
        "problems": sum(bool(row["problem"]) for row in document["rows"]),
        "seconds": round(sum(document["environment"]["seconds"].values()), 1),
    }


def rate(row: Row, roofs: dict[str, Any] | None) -> tuple[float, float | None] | None:
    """GB/s of the bytes that must be moved, and their share of a copy's with as many threads; None where not stated."""
    if not row.get("bytes") or row["ms"] is None:
        return None
    speed = row["bytes"] / row["ms"] / 1e6
    copy = (roofs or {}).get("copy", {}).get(str(row["threads"]))
    return speed, speed / copy if copy else None


def _reached(ours: Row, roofs: dict[str, Any] | None) -> str:
    found = rate(ours, roofs)
    if found is None:
        return ""
    return f"{ours['bytes'] / 1e6:.3g} MB, {found[0]:.3g} GB/s" + (f" = {found[1]:.0%} of a copy" if found[1] else "")


def _name(row: Row) -> str:
    absent = row["version"] == "not installed"
    return f"  {row['peer']}" if absent else f"  {row['peer']} {row['version']}".rstrip()


def _line(row: Row, width: int, ours: bool) -> str:
    error, rms = (_error(row, key) for key in ("max_error", "rms_error"))
    if row["ms"] is None:
        checked = f"correct, error {error}, RMS {rms}" if error else "runs"
        return f"{_name(row):{width}}{row['problem'] or ('not installed' if row['version'] == 'not installed' else checked)}"
    low, high = row["spread"]
    ratio = "" if ours else f"{row['ratio']:8.2f} ({low:.2f}-{high:.2f})"
    first = "" if row["first_ms"] is None else _milliseconds(row["first_ms"])
    memory = "" if row["peak_mb"] is None else f"{row['peak_mb']:.1f} MB"
    line = f"{_name(row):{width}}{_milliseconds(row['ms']):>11}  {ratio:27}{'' if ours else _verdict(row):23}"
    line = f"{line}{error:18}{rms:18}{first:>9}{memory:>11}".rstrip()
    return f"{line}   {row['problem'].upper()}" if row["problem"] else line


def _error(row: Row, key: str) -> str:
    """An error in its unit, and in steps of the result where that is of integers; nothing where there is none."""
    value, lsb = row.get(key), row.get("lsb")
    if value is None:
        return ""
    return f"{value:.2g}" + (f" = {value / lsb:.2g} LSB" if lsb and lsb != 1 else " LSB" * bool(lsb))


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms" if value < 999.5 else f"{value / 1000:.3g} s"


def _verdict(row: Row) -> str:
    low, high = row["spread"]
    if low <= 1 <= high:
        return ("slower" if row["ratio"] < 1 else "faster") + ", within spread"
    return "SLOWER" if row["ratio"] < 1 else "faster"


def _summary(rows: Sequence[Row]) -> list[str]:
    ours = {row["operation"]: row for row in reversed(rows)}  # the first of each operation stays
    peers = [row for row in rows if not is_ours(row)]
    timed = [row for row in peers if row["ms"] is not None]
    slower = sorted((row for row in timed if row["ratio"] < 1), key=lambda row: float(row["ratio"]))
    lines = [f"fastrace is faster in {len(timed) - len(slower)} comparisons, slower in {len(slower)}"] if timed else []
    if slower:
        worst = slower[0]
        lines[0] += f" (most: {worst['ratio']:.2f}, {worst['operation']}, against {worst['peer']})"
    absent = sorted({row["peer"] for row in peers if row["version"] == "not installed"})
    if absent:
        lines.append(f"not installed: {'; '.join(absent)} (most of them: pip install 'fastrace[bench]')")
    wrong = [row for row in rows if row["problem"] and not row["problem"].startswith("left out")]
    lines += [f"{row['operation']}: {row['peer']} {row['problem']}" for row in wrong]
    noisy = sum(row["noisy"] for row in ours.values())
    if noisy:
        lines.append(f"NOISY in {noisy} of {len(ours)} operations: run again when nothing else is running")
    return lines


def readme_block(result: dict[str, Any]) -> str:
    """What the README shows of a committed result: a few targets, then every target missed and every library that is faster."""
    found = outcomes(result)
    missed = [
        f"- {o.target.operation}: {o.row['ratio'] if o.row else math.nan:.2f}x against {o.target.peer}, target "
        f"{o.target.ratio:g}x, {o.words()}"
        for o in found
        if not o.reached
    ]
    lines = [_measured(result["environment"]), "", targets_markdown(result, README_ROWS)]
    lines += [f"{len(found) - len(missed)} of {len(found)} targets were reached in at least four of five runs"]
    lines[-1] += ". Not reached:" if missed else "."
    lines += ["", *missed] * bool(missed)
    if faster := _faster(result["rows"]):
        lines += ["", "Other libraries that are faster (their time / ours):", "", *faster]
    return "\n".join(lines) + "\n"


def _faster(rows: Sequence[Row]) -> list[str]:
    """Libraries that take less time, and not within the spread, by operation."""
    lost = [
        row for row in rows if row["ms"] is not None and row["spread"][1] < 1 and not row["peer"].startswith("fastrace")
    ]
    return [
        f"- {operation}: " + ", ".join(f"{row['peer']} {row['ratio']:.2f}" for row in group)
        for operation, group in groupby(lost, key=lambda row: row["operation"])
    ]


def _measured(machine: dict[str, Any]) -> str:
    later = {name: other["date"] for name, other in machine.get("renewed", {}).items()}
    again = "; " + ", ".join(f"{name} {date}" for name, date in later.items()) if later else ""
    return (
        f"Measured {machine['date']}{again} on {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, "
        f"torch {machine['versions']['torch']}, imagecodecs {machine['versions']['imagecodecs']}."
    )


def markdown(result: dict[str, Any]) -> str:
    """A table of a committed result: one line a peer, losses in bold."""
    rows, roofs = result["rows"], result.get("roofs")
    # What no row has gets no column: a result of an earlier schema keeps its table.
    stated, caches = any(rate(row, roofs) for row in rows), any(row.get("caches") for row in rows)
    exact = any(row.get("rms_error") is not None for row in rows)
    columns = ["operation", *["caches"] * caches, "peer", "its time / ours", "p20-p80", "ours, ms"]
    columns += ["ours, GB/s (of a copy)"] * stated + ["max error (ours)", "RMS (ours)"] * exact
    lines = [
        _measured(result["environment"]),
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
    ]
    ours = {row["operation"]: row for row in reversed(rows) if is_ours(row)}
    for row in rows:
        base = ours[row["operation"]]
        if row is base:
            continue
        problem = row.get("problem")
        name = f"{row['peer']} {row['version']}".strip() + (f" ({problem})" if problem else "")
        cells = [row["operation"], *[row.get("caches") or ""] * caches, name]
        if row["ms"] is not None:
            ratio = f"{row['ratio']:.2f}" if row["ratio"] >= 1 else f"**{row['ratio']:.2f}**"
            low, high = row["spread"]
            cells += [ratio, f"{low:.2f}-{high:.2f}", f"{base['ms']:.3g}"]
            if stated:
                found = rate(base, roofs)
                cells.append(f"{found[0]:.3g}" + (f" ({found[1]:.0%})" if found[1] else "") if found else "")
            if exact:
                pairs = [(_error(row, key), _error(base, key)) for key in ("max_error", "rms_error")]
                cells += [f"{its or '-'} ({mine})" if mine else its for its, mine in pairs]
        cells += [""] * (len(columns) - len(cells))
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def csv_text(document: dict[str, Any]) -> str:
    """Times and memory in the columns of Liger-Kernel's tables: what could be timed, a line for each row and metric."""
    machine, text = document["environment"], io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in document["rows"]:
        if row["ms"] is None:
            continue
        keys = (
            "version", "caches", "ratio", "max_error", "rms_error", "lsb", "noisy", "threads", "bytes", "flops",
        )  # fmt: skip
        extra = json.dumps({key: row[key] for key in keys}, allow_nan=False)
        low, high = (float(f"{np.percentile(row['samples'], q):.5g}") for q in (20, 80))
        metrics = [("speed", "ms", row["ms"], low, high)]
        metrics += (
            [("memory", "MB", row["peak_mb"], row["peak_mb"], row["peak_mb"])] if row["peak_mb"] is not None else []
        )
        for metric, unit, middle, least, most in metrics:
            name = [row["benchmark"], row["peer"], "forward", metric, unit, "operation", "operation", row["operation"]]
            about = [extra, machine["cpu"], machine["time"], machine["versions"]["fastrace"]]
            writer.writerow([*name, middle, least, most, *about])
    return text.getvalue()
