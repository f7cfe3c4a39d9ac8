"""Everything that needs a GPU, in one command: `python -m fastrace.bench.gpu [--quick] [--no-sanitizer] [--write]`.

1. the machine; 2. the tests of tests/gpu; 3. compute-sanitizer (memcheck, racecheck) over tests/gpu/test_gpu_sanitizer.py;
4. timings of the kernels, of whole degradations and of other libraries; 5. with ``--write``, the committed record
bench/results/<gpu>.json and .md, from the measurements of this run alone.

Needs torch with CUDA, its triton, CuPy (`pip install 'fastrace[cuda,test]'`). Written for Python 3.12, torch 2.11,
triton 3.6, CuPy 14.2 and what is newer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import torch

from fastrace.bench.gpu_cases import cases
from fastrace.bench.gpu_clock import Row, copy_bandwidth, flush_bytes, measure
from fastrace.bench.machine import version

SCHEMA = 1
ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
COUNTS, QUICK_COUNTS = (64, 1024), (64,)
ROUNDS, QUICK_ROUNDS = 50, 10
TOOLS = ("memcheck", "racecheck")
OPTIONAL = "fastrace, callbacks"  # not on every GPU; being wrong is a failure there too
PACKAGES = {"cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"), "kornia": ("kornia",), "numba": ("numba",)}
PACKAGES |= {name: (name,) for name in ("fastrace", "torch", "triton", "numpy")}
# A memory error of a kernel of ours must not lie inside a block that torch or CuPy keeps for reuse.
UNCACHED = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}


def main(arguments: Sequence[str]) -> int:
    """Run; return the exit code: 0 done, 1 no GPU or something failed, 2 usage."""
    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"batches of {QUICK_COUNTS[0]} and fewer rounds")
    parser.add_argument("--no-sanitizer", action="store_true", help="leave compute-sanitizer out")
    parser.add_argument("--no-tests", action="store_true", help="leave the tests out; nothing can be written then")
    parser.add_argument("--keep-going", action="store_true", help="measure although a test or the sanitizer failed")
    parser.add_argument("--write", action="store_true", help="write bench/results/<gpu>.json and .md")
    options = parser.parse_args(arguments)
    problem = refusal(options.write)
    if problem:
        click.echo(problem, err=True)
        return 1
    return run(options)  # pragma: no cover (GPU)


def refusal(write: bool) -> str | None:
    """Return in one sentence why this cannot run here, or None."""
    if not torch.cuda.is_available():
        return (
            f"bench.gpu measures kernels on an NVIDIA GPU, and torch {torch.__version__} finds none here; "
            "run it on a machine with one"
        )
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        return "TRITON_INTERPRET=1 would measure Triton's interpreter on the CPU; unset it"
    if write and not (RESULTS / "resources.json").is_file():
        return "--write renews the committed results of a checkout, and this fastrace is not run from one"
    return None


def run(options: argparse.Namespace) -> int:  # pragma: no cover (GPU)
    """Do everything, on a GPU."""
    document: dict[str, Any] = {"schema": SCHEMA, "machine": machine(), "checks": []}
    click.echo("\n".join(f"{key}: {value}" for key, value in document["machine"].items()))
    if not options.no_tests:
        document["checks"].append(tests())
    if not options.no_sanitizer:
        document["checks"] += sanitizer()
    for check in document["checks"]:
        click.echo(f"{check['name']}: {check['outcome']}")
    if failed(document["checks"]) and not options.keep_going:
        click.echo("stopped before the timings; --keep-going measures all the same", err=True)
        return 1
    copy = copy_bandwidth()
    document["copy_gb_per_s"] = copy / 1e9
    document["quick"] = options.quick
    flush = torch.empty(flush_bytes(l2_bytes()), dtype=torch.uint8, device="cuda")
    document["flush_bytes"] = flush.numel()
    document["rows"] = []
    for count in QUICK_COUNTS if options.quick else COUNTS:
        rounds = QUICK_ROUNDS if options.quick else ROUNDS
        document["rows"] += timings(count, rounds, copy, flush)
    text = markdown(document)
    click.echo(text)
    if options.write:
        if refused := unfit(document):
            click.echo(refused, err=True)
            return 1
        stem = RESULTS / slug(document["machine"]["gpu"])
        stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
        stem.with_suffix(".md").write_text(text)
    click.echo(json.dumps(document))
    return 1 if failed(document["checks"]) or lost(document["rows"]) else 0


def timings(count: int, rounds: int, copy: float, flush: torch.Tensor) -> list[Row]:  # pragma: no cover (GPU)
    """Measure every operation; one that does not fit into the memory has a problem in its row."""
    rows: list[Row] = []
    for name, make in cases(torch.device("cuda"), count):
        click.echo(f"{name}, batch {count} ...", err=True)
        try:
            rows += measure(make(), rounds, copy, flush)
        except torch.cuda.OutOfMemoryError:
            rows.append(
                {"operation": name, "count": count, "peer": "all", "problem": "its images do not fit into the memory"}
            )
        torch.cuda.empty_cache()
    return rows


def machine() -> dict[str, Any]:  # pragma: no cover (GPU)
    """The machine of the measurement."""
    from fastrace.kernels.bandpass import backend

    properties = torch.cuda.get_device_properties(0)
    query = "driver_version,clocks.max.sm,clocks.max.mem,power.limit,ecc.mode.current,mig.mode.current"
    answer = output("nvidia-smi", "-i", "0", f"--query-gpu={query}", "--format=csv,noheader")
    git = output("git", "-C", str(ROOT), "rev-parse", "HEAD")
    changed = output("git", "-C", str(ROOT), "status", "--porcelain")
    return {
        "gpu": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": l2_bytes(),
        **dict(zip(query.split(","), (answer or "").split(", "), strict=False)),
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        **{name: version(*names) for name, names in PACKAGES.items()},
        "commit": git,
        "uncommitted_changes": changed not in (None, ""),
        "bandpass": backend("cuda:0"),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "variables": {k: v for k, v in os.environ.items() if k.startswith(("FASTRACE_", "TRITON_", "TORCHINDUCTOR_"))},
    }


def l2_bytes() -> int:  # pragma: no cover (GPU)
    """Size of the L2, 0 where torch does not give it."""
    return int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0))


def output(*command: str) -> str | None:
    """What a command prints, or None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def tests() -> Row:
    """Run the GPU tests of the checkout; `outcome` is passed, failed or why there was nothing to run."""
    folder = ROOT / "tests" / "gpu"
    if not folder.is_dir():
        return {"name": "tests/gpu", "outcome": "not run: this is no checkout", "summary": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return check_row("tests/gpu", done.returncode, done.stdout + done.stderr)


def sanitizer() -> list[Row]:
    """Run compute-sanitizer over the small tests; "not found" is an outcome, and in the record."""
    tool = find_sanitizer()
    file = ROOT / "tests" / "gpu" / "test_gpu_sanitizer.py"
    rows = []
    for check in TOOLS:
        name = f"compute-sanitizer {check}"
        if tool is None or not file.is_file():
            why = "compute-sanitizer not found on PATH, in CUDA_HOME or beside torch" if tool is None else "no checkout"
            rows.append({"name": name, "outcome": f"not run: {why}", "summary": ""})
            continue
        command = [str(tool), "--tool", check, "--error-exitcode", "99", "--target-processes", "all", sys.executable]
        command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=0", "-m", "gpu", str(file)]
        environment = {**os.environ, **UNCACHED}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        rows.append(check_row(name, done.returncode, done.stdout + done.stderr))
    return rows


def check_row(name: str, code: int, printed: str) -> Row:
    """Turn an exit code into a row, with the last lines that hold a result; a run without tests has failed."""
    lines = [
        line
        for line in printed.splitlines()
        if re.search(r"\d+ (passed|failed|error)|ERROR SUMMARY|no tests ran", line)
    ]
    outcome = "passed" if code == 0 else f"FAILED (exit code {code})"
    row: Row = {"name": name, "outcome": outcome, "summary": "; ".join(line.strip("= ") for line in lines[-2:])}
    if code != 0:
        row["tail"] = printed[-4000:]
    return row


def find_sanitizer() -> Path | None:
    """Look for compute-sanitizer on PATH, in CUDA_HOME and in NVIDIA's packages beside torch."""
    if found := shutil.which("compute-sanitizer"):
        return Path(found)
    homes = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [home / part for home in homes for part in ("bin", "compute-sanitizer")]
    for place in places:
        if (place / "compute-sanitizer").is_file():
            return place / "compute-sanitizer"
    packages = Path(sysconfig.get_path("purelib")) / "nvidia"
    return next(
        (path for path in sorted(packages.rglob("compute-sanitizer")) if os.access(path, os.X_OK) and path.is_file()),
        None,
    )


def failed(checks: Sequence[Row]) -> bool:
    """True if a check ran and failed."""
    return any(check["outcome"].startswith("FAILED") for check in checks)


def lost(rows: Sequence[Row]) -> bool:
    """True if a result is wrong, or ours is missing; being slower is printed, and no failure."""
    return any(
        problem.startswith("wrong") or (problem and peer.startswith("fastrace") and not peer.startswith(OPTIONAL))
        for peer, problem in ((row["peer"], row.get("problem") or "") for row in rows)
    )


def unfit(document: dict[str, Any]) -> str | None:
    """Return why a run must not become the committed record, or None."""
    if not any(check["name"] == "tests/gpu" and check["outcome"] == "passed" for check in document["checks"]):
        return "not written: the tests of tests/gpu have not passed in this run"
    if document["machine"]["uncommitted_changes"]:
        return "not written: there are uncommitted changes, so that no commit belongs to these numbers"
    return None


def slug(name: str) -> str:
    """File name of a GPU: "NVIDIA H100 80GB HBM3" is nvidia-h100-80gb-hbm3."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def markdown(document: dict[str, Any]) -> str:
    """Return the record as a page; nothing in it that is not in the document."""
    about = document["machine"]
    lines = [
        f"# {about['gpu']}",
        "",
        f"Measured {about['time']} at commit {about['commit'] or 'unknown'}; driver {about.get('driver_version', 'unknown')}, "
        f"CUDA {about['cuda']}, Python {about['python']}, "
        + ", ".join(f"{name} {about[name]}" for name in PACKAGES)
        + f". Band-pass takes the path {about['bandpass']}.",
        "",
        f"Copy bandwidth in this run {document['copy_gb_per_s']:.0f} GB/s (read + written). GB/s are those of the bytes that "
        f"must move. Cold: {document['flush_bytes'] >> 20} MiB overwritten before each call. Ratio: time / time of the first "
        "row, cold; below 1 the first row loses.",
        "",
        "| check | outcome | |",
        "| --- | --- | --- |",
        *(f"| {check['name']} | {check['outcome']} | {check['summary']} |" for check in document["checks"]),
    ]
    group = None
    for row in document["rows"]:
        if group != (row["operation"], row["count"]):
            group = row["operation"], row["count"]
            lines += ["", f"## {row['operation']}, batch {row['count']}", ""]
            lines += [*([row["note"], ""] if row.get("note") else []), HEAD, RULE]
        lines.append(_line(row))
    return "\n".join(lines) + "\n"


COLUMNS: tuple[str, ...] = ("peer", "version", "hot us/image", "cold us/image", "cold GB/s", "% of copy", "ratio")
COLUMNS += ("max error", "launches", "peak MiB", "first call s")
HEAD = "| " + " | ".join(COLUMNS) + " |"
RULE = "|" + " --- |" * len(COLUMNS)


def _line(row: Row) -> str:
    if row.get("problem"):
        return f"| {row['peer']} | {row.get('version', '')} | {row['problem']} |" + " |" * (len(COLUMNS) - 3)
    hot, cold = row["hot"], row["cold"]
    mark = " NOISY" if cold["noisy"] else ""
    error = row["other"] or f"{row['max_error']:.2g}"
    cells = [
        row["peer"],
        row["version"],
        f"{hot['us_per_image']:.3f}",
        f"{cold['us_per_image']:.3f} [{cold['us_p20']:.3f}, {cold['us_p80']:.3f}]{mark}",
        f"{cold['gb_per_s']:.0f}",
        f"{cold['percent_of_copy']:.0f}",
        f"{row['ratio']:.2f}",
        error,
        "unknown" if row["launches"] is None else str(row["launches"]),
        f"{row['peak_bytes'] / 2**20:.0f}",
        f"{row['first_call_s']:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
