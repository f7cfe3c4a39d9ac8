"""`python -m bench [NAME...]`: window, bandpass, noise, decode, pipeline; all of them without a name."""

from __future__ import annotations

import importlib
import sys

from bench.common import show

NAMES = ("window", "bandpass", "noise", "decode", "pipeline")


def main(names: list[str]) -> None:
    """Measure and print."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    rows = []
    for name in names or NAMES:
        rows += importlib.import_module(f"bench.{name}").rows()
    show(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
