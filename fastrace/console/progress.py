"""The progress of long work on stderr: a bar on a terminal; otherwise plain lines, one in a while within a long step."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    """Prints nothing; the library's default."""

    def line(self, text: str) -> None:
        """One sentence."""

    def begin(self, what: str, total: int, unit: str = "batches") -> None:
        """Begin a step of ``total`` units."""

    def reach(self, done: int, note: str = "") -> None:
        """So many units are done; ``note`` follows in a plain line."""

    def step(self) -> None:
        """One more unit is done."""

    def end(self) -> None:
        """The step is done."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class TerminalProgress(Progress):
    """Lines on stderr, with a rich bar under them where stderr is a terminal.

    Parameters
    ----------
    every_seconds : float
        Shortest time between two plain lines about the same step.
    """

    def __init__(self, every_seconds: float = 60.0) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._every = every_seconds
        self._what, self._unit, self._done, self._total = "", "", 0, 0
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        """One sentence."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def begin(self, what: str, total: int, unit: str = "batches") -> None:
        """Begin a step of ``total`` units."""
        self._what, self._unit, self._done, self._total = what, unit, 0, total
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, unit=unit)

    def reach(self, done: int, note: str = "") -> None:
        """So many units are done; ``note`` follows in a plain line."""
        self._done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        elif time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self.line(f"{self._what}: {done} of {self._total} {self._unit}{f', {note}' if note else ''}")

    def step(self) -> None:
        """One more unit is done."""
        self.reach(self._done + 1)

    def end(self) -> None:
        """The step is done."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
