"""Simulations in blocks that are kept one by one: an interrupted study goes on, and several processes may share it.

Also what studies have in common on the command line: `options` and `publish`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastrace.bench.machine import ROOT
from fastrace.files import write_atomic

Row = dict[str, Any]


def run_blocks(
    keep: Path | None, name: str, blocks: int, simulate: Callable[[int], list[Row]], own: range | None = None
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
    own : range, optional
        Blocks of this process, where several share the folder: the others' are read if they are finished, never simulated.
        None: all.

    Returns
    -------
    (list of dict, float)
        Rows in the order of the blocks, and processor time (user and system, of ended children too) in hours.
    """
    rows: list[Row] = []
    seconds = 0.0
    for block in range(blocks):
        file = None if keep is None else keep / f"{name}-{block:05d}.json"
        if file is not None and file.is_file():
            found = json.loads(file.read_text())
        elif own is not None and block not in own:
            continue
        else:
            started = _processor_seconds()
            found = {"rows": simulate(block), "seconds": round(_processor_seconds() - started, 2)}
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, json.dumps(found).encode(), 0o644)
            sys.stderr.write(f"{name}: block {block + 1} of {blocks}, {found['seconds']:.0f} s\n")
        rows += found["rows"]
        seconds += found["seconds"]
    return rows, seconds / 3600


def _processor_seconds() -> float:
    return sum(os.times()[:4])


def options(study: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser with ``--keep FOLDER`` and ``--write``.

    Parameters
    ----------
    study : str
        Name of its module.
    doc : str, optional
        Docstring of the module; its first line is the description.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m fastrace.bench.studies.{study}", description=(doc or "").partition("\n")[0]
    )
    parser.add_argument("--keep", type=Path, help="folder of finished blocks, to go on with")
    parser.add_argument("--write", action="store_true", help=f"write docs/{study}.md")
    return parser


def share_options(parser: argparse.ArgumentParser) -> None:
    """``--first K --step M`` for process K of M which share ``--keep``; see `own_blocks`."""
    parser.add_argument("--first", type=int, default=0, help="first block of this process, from 0")
    parser.add_argument("--step", type=int, default=1, help="processes that share the folder of --keep")


def own_blocks(given: argparse.Namespace, blocks: int) -> range:
    """The blocks that this process simulates."""
    return range(given.first, blocks, given.step)


def all_there(finished: int, wanted: int, what: str, *, write: bool) -> bool:
    """Whether a page can be made: of something, and, if it is to be written, of everything that was asked for.

    Else says on stderr how much there is: other processes have the rest.
    """
    enough = finished >= (wanted if write else 1)
    if not enough:
        sys.stderr.write(f"{finished:,} of {wanted:,} {what} are finished: no page yet\n")
    return enough


def publish(study: str, text: str, *, write: bool) -> None:
    """Print a page; with ``write``, also to docs."""
    sys.stdout.write(text)
    if write:
        (ROOT / "docs" / f"{study}.md").write_text(text)
