"""The memory of `fastrace preprocess` over the length of the archive: the largest resident set of the parent process.

    python -m fastrace.bench.studies.memory [FILES ...]

Generated archives of files of 32 x 32 pixels, so that the number of files is all that grows. Writes bench/results/memory.json;
docs/faults.md shows it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from fastrace.bench.studies.tiny_archive import SIDE, tiny_archive
from fastrace.files import write_atomic

_ROOT = Path(__file__).resolve().parents[2]
RESULT = _ROOT / "bench" / "results" / "memory.json"
_FILES = (1_000, 5_000, 20_000, 100_000)
_LOOK_SECONDS = 0.02


def memory_kib(pid: int, field: str = "VmHWM") -> int:
    """A field of the status of a process, KiB; 0 where it has ended. The default is the largest resident set so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(field)), 0)


def measure(sources: list[Path], out: Path, jobs: int) -> dict[str, Any]:
    """Run the command; its peak, its own processor time and its duration."""
    command = [sys.executable, "-m", "fastrace.cli", "preprocess", *map(str, sources), "--out", str(out)]
    command += ["--modality", "any", "--size", "16x16", "--jobs", str(jobs), "--json"]
    started, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while process.poll() is None:
            peak = max(peak, memory_kib(process.pid))
            time.sleep(_LOOK_SECONDS)
        assert process.stdout is not None
        summary = json.loads(process.stdout.read())
    return {
        "files": summary["files"],
        "indexed": summary["indexed"],
        "parent_peak_mib": round(peak / 1024, 1),
        "seconds": round(time.monotonic() - started, 1),
    }


@click.command()
@click.argument("files", nargs=-1, type=int)
@click.option("--jobs", default=2, show_default=True)
def main(files: tuple[int, ...], jobs: int) -> None:
    """Measure archives of each length and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        tiny_archive(archive, max(files or _FILES))
        for count in files or _FILES:
            # Folders hold a thousand files each.
            sources = sorted(archive.iterdir())[: -(-count // 1000)]
            found = measure(sources, Path(folder) / f"out-{count}", jobs)
            click.echo(json.dumps(found))
            _keep(found, jobs)


def _keep(found: dict[str, Any], jobs: int) -> None:
    """Write a row, beside those of archives of other lengths that were measured with as many workers."""
    before = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    rows = before["rows"] if before.get("jobs") == jobs else []
    rows = sorted([found, *(row for row in rows if row["files"] != found["files"])], key=lambda row: row["files"])
    write_atomic(RESULT, (json.dumps({"jobs": jobs, "side_pixels": SIDE, "rows": rows}, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
