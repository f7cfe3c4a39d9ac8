"""Simulations in blocks that are kept one by one: an interrupted study goes on, and several processes may share it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastrace.files import write_atomic

Row = dict[str, Any]


def run_blocks(
    keep: Path | None, name: str, blocks: int, simulate: Callable[[int], list[Row]]
) -> tuple[list[Row], float]:
    """Rows of all blocks, and the processor hours they took.

    Parameters
    ----------
    keep : Path, optional
        Folder with a file for each finished block; a block that has one is not simulated again.
    name : str
        Of the study and everything that its rows depend on.
    blocks : int
    simulate : callable
        From the number of a block, which is its seed, to its rows.
    """
    rows: list[Row] = []
    seconds = 0.0
    for block in range(blocks):
        file = None if keep is None else keep / f"{name}-{block:05d}.json"
        if file is not None and file.is_file():
            found = json.loads(file.read_text())
        else:
            started = time.process_time()
            found = {"rows": simulate(block), "seconds": round(time.process_time() - started, 2)}
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, json.dumps(found).encode(), 0o644)
            sys.stderr.write(f"{name}: block {block + 1} of {blocks}, {found['seconds']:.0f} s\n")
        rows += found["rows"]
        seconds += found["seconds"]
    return rows, seconds / 3600
