"""`python -m bench [NAME...] [--write]`: window, bandpass, noise, decode, pipeline; all of them without a name.

`--write` puts the rows, with the machine they were measured on, into bench/results (cpu.json, cpu.md) and the
rows that have a target into README.md.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import sys
from pathlib import Path

from bench.common import README_END, README_OPERATIONS, README_START, Row, markdown, show, version

NAMES = ("window", "bandpass", "noise", "decode", "pipeline")
ROOT = Path(__file__).parents[1]
RESULT = ROOT / "bench" / "results" / "cpu.json"


def main(arguments: list[str]) -> None:
    """Measure and print."""
    names = [name for name in arguments if name != "--write"]
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    rows: list[Row] = []
    for name in names or NAMES:
        before = os.getloadavg()[0]
        rows += [{**row, "load": round(before, 2)} for row in importlib.import_module(f"bench.{name}").rows()]
    show(rows)
    if "--write" in arguments:
        write(rows)


def write(rows: list[Row]) -> None:
    """Keep the rows and renew the README's table."""
    RESULT.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(README_START)
    _, _, after = rest.partition(README_END)
    result = json.loads(RESULT.read_text())
    RESULT.with_suffix(".md").write_text("# CPU benchmark\n\n" + markdown(result))
    table = markdown(result, README_OPERATIONS)
    readme.write_text(f"{before}{README_START}\n{table}{README_END}{after}")


def environment() -> dict[str, object]:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ("fastrace", "torch", "numpy", "numba", "scipy", "imagecodecs", "pydicom")
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


if __name__ == "__main__":
    main(sys.argv[1:])
