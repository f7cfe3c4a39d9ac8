"""What commands share: parameter types, the workspace, progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fastrace.preprocess.run import Progress


class Size(click.ParamType):
    """``HxW``, rows by columns."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse ``1024x512`` into (1024, 512)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) != 2 or not all(part.isdigit() and 1 <= int(part) <= 16384 for part in parts):
            self.fail(f"{value!r} is not HxW with whole numbers from 1 to 16384, for example 224x224", param, ctx)
        return int(parts[0]), int(parts[1])


class Voi(click.ParamType):
    """Which VOI transform: ``window:N``, ``lut:N``, ``CENTER,WIDTH``, ``robust`` or ``full``."""

    name = "VOI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the grammar; the text itself travels on."""
        from fastrace.dicom.voi import parse_voi
        from fastrace.errors import FastraceError

        try:
            parse_voi(str(value))
        except FastraceError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def workspace(modality: str) -> Path:
    """Where data and runs go when no folder is named."""
    return Path("fastrace-work") / modality


def usable_cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A bar on a terminal, a line every ten seconds otherwise; always on stderr."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            line = bar.add_task(what, total=None)
            yield lambda done, total, indexed: bar.update(line, completed=done, total=total)
        return
    last = time.monotonic()

    def report(done: int, total: int, indexed: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            click.echo(f"{what}: {done} of {total} files, {indexed} images", err=True)

    yield report
