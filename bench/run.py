"""Run the benchmarks that were named and describe the machine: what `fastrace bench` calls; keeps the committed result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from fastrace.bench import GROUPS, NAMES, QUICK_NAMES
from fastrace.bench.isolate import run_apart
from fastrace.bench.machine import ROOT, environment
from fastrace.bench.roofline import roofline
from fastrace.bench.row import Row, figures, is_ours
from fastrace.bench.session import Settings
from fastrace.bench.table import described, markdown, readme_block
from fastrace.bench.targets import targets_markdown
from fastrace.errors import UsageError
from fastrace.execute.cpus import usable_cpus

RESULT = ROOT / "bench" / "results" / "cpu.json"
# Of the document. 1, without a number, had no samples; 2 no state of the caches and no root mean square error.
SCHEMA = 3


def run(names: Sequence[str], settings: Settings, log: Callable[[str], None], repeat: int = 1) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    names : sequence of str
        Groups or single benchmarks, from `GROUPS` and `NAMES`; empty means all of them, or with ``quick`` those that fit
        into a minute.
    settings : Settings
    log : callable
        Takes a line about the progress.
    repeat : int
        How often everything is run; the samples of all runs count, and each row has the ratio of each run.

    Returns
    -------
    dict
        ``schema``, ``environment``, ``roofs`` and ``rows``; plain JSON.
    """
    chosen = tuple(dict.fromkeys(name for given in names for name in GROUPS.get(given, (given,))))
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        raise UsageError(
            f"no benchmark {', '.join(unknown)}; choose from the groups {', '.join(GROUPS)}, or from {', '.join(NAMES)}"
        )
    if not names and settings.quick:
        chosen = QUICK_NAMES
        log(f"--quick leaves out {', '.join(name for name in NAMES if name not in chosen)}; name what you want to run")
    machine, cores = environment(settings.quick), usable_cpus()
    machine |= {"peers": settings.peers, "check_only": settings.check_only, "runs": repeat}
    if machine["load"] >= 1:
        log(
            f"this machine is busy (load {machine['load']:.2f} on {cores} cores): times will be too long and noisy; "
            "ratios, taken in turns, are less so"
        )
    runs = [_run(chosen or NAMES, settings, log) for _ in range(repeat)]
    document = merged(runs)
    if not document["rows"]:
        raise UsageError(f"--peers {settings.peers}: no peer has such a name; leave it out to see all names")
    return {"schema": SCHEMA, "environment": machine | {"seconds": document.pop("seconds")}, **document}


def _run(chosen: Sequence[str], settings: Settings, log: Callable[[str], None]) -> dict[str, Any]:
    found, ceiling = run_apart([f"fastrace.bench.{name}" for name in chosen], settings, log)
    rows, seconds = [], {}
    for module, (several, taken) in found.items():
        name = module.rpartition(".")[2]
        seconds[name] = round(taken, 1)
        rows += [{"benchmark": name, **row} for row in several]
    return {"seconds": seconds, "roofs": ceiling, "rows": rows}


def merged(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One result from several runs: all samples together, and ``ratios``, which has the ratio of each run.

    An operation is noisy where it was in more than half of the runs.
    """
    several: dict[tuple[str, str], list[Row | None]] = {}
    for number, one in enumerate(runs):
        for row in one["rows"]:
            several.setdefault((row["operation"], row["peer"]), [None] * len(runs))[number] = row
    ours: dict[str, list[Row | None]] = {}
    for (operation, _), found in several.items():
        if any(row and is_ours(row) for row in found):
            ours.setdefault(operation, found)
    rows = []
    for (operation, _), found in several.items():
        there = [row for row in found if row]
        pairs = [
            (mine["samples"], base["samples"])
            for mine, base in zip(found, ours.get(operation, found), strict=True)
            if mine and base and mine["samples"]
        ]
        mine, base = ([value for pair in pairs for value in pair[side]] for side in (0, 1))
        why = {number: row["why"] for number, row in enumerate(found, 1) if row and row["noisy"]}
        rows.append(
            there[0]
            | figures(mine, base)
            | {
                **{key: _largest(there, key) for key in ("max_error", "rms_error", "peak_mb")},
                "problem": next((row["problem"] for row in there if row["problem"]), None),
                "noisy": len(why) * 2 > len(runs),
                "why": [f"run {number}: {'; '.join(reasons)}" for number, reasons in why.items()]
                if len(runs) > 1
                else there[0]["why"],
                "ratios": [row["ratio"] if row else None for row in found],
            }
        )
    seconds = {name: round(sum(one["seconds"][name] for one in runs), 1) for name in runs[0]["seconds"]}
    return {"seconds": seconds, "roofs": _best_roofs([one["roofs"] for one in runs if one["roofs"]]), "rows": rows}


def _largest(rows: Sequence[Row], key: str) -> float | None:
    return max((row[key] for row in rows if row[key] is not None), default=None)


def _best_roofs(found: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]] | None:
    """A roof is what is possible: the highest of all runs."""
    if not found:
        return None
    return {kind: {n: max(one[kind][n] for one in found) for n in found[0][kind]} for kind in found[0]}


def renewed(part: dict[str, Any]) -> dict[str, Any]:
    """The committed result with the benchmarks of ``part`` in place of its own; their machine and versions are kept too."""
    kept = json.loads(RESULT.read_text())
    names = {row["benchmark"] for row in part["rows"]}
    rows = [row for row in kept["rows"] if row["benchmark"] not in names] + part["rows"]
    machine, found = kept["environment"], part["environment"]
    return kept | {
        "environment": machine
        | {
            "seconds": machine["seconds"] | found["seconds"],
            "renewed": machine.get("renewed", {}) | dict.fromkeys(sorted(names), found),
        },
        "rows": sorted(rows, key=lambda row: NAMES.index(row["benchmark"])),
    }


def ours_wrong(document: dict[str, Any]) -> list[str]:
    """Our own results that miss their tolerance or are missing."""
    return [f"{r['operation']}: {r['problem']}" for r in document["rows"] if r["problem"] and is_ours(r)]


def require_checkout() -> None:
    """Raise UsageError where there are no committed results to renew."""
    if not (RESULT.is_file() and (ROOT / "README.md").is_file()):
        raise UsageError(
            "--write renews the committed results of a checkout, and this fastrace is not run from one; use --out FILE"
        )


def as_json(document: dict[str, Any]) -> str:
    """The document, a row a line: samples make it too long otherwise."""
    rows = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in document["rows"])
    head = json.dumps({**document, "rows": None}, indent=1, allow_nan=False)
    return head.replace('"rows": null', f'"rows": [\n{rows}\n ]') + "\n"


def page(document: dict[str, Any]) -> str:
    """bench/results/cpu.md."""
    return "\n".join(
        [
            "# CPU benchmark\n",
            "\n".join(f"- {line}" for line in described(document)) + "\n",
            "![achieved against possible](cpu.svg)\n",
            "## Targets\n",
            targets_markdown(document),
            "## All rows\n",
            "Caches hot: right after the same call; cold: after other data; neither: as they come. Errors are against float64, "
            "in the unit of the result (display units where it is windowed); LSB: in steps of an integer result.\n",
            markdown(document),
        ]
    )


def blocks(document: dict[str, Any]) -> dict[str, str]:
    """What README takes from a result, between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    return {"bench": readme_block(document)}


def write(document: dict[str, Any]) -> None:
    """Keep the result and renew what is made from it: the page, the figure, and the blocks of README that are there."""
    RESULT.write_text(as_json(document))
    RESULT.with_suffix(".md").write_text(page(document))
    RESULT.with_suffix(".svg").write_text(roofline(document))
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, block in blocks(document).items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(start)
        if found:
            text = f"{before}{start}\n{block}{end}{rest.partition(end)[2]}"
    readme.write_text(text)
