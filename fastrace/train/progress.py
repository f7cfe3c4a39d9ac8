"""What a long run tells on stderr: a bar on a terminal; otherwise plain lines, one a minute within a long step."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class Talk:
    """Says nothing; the library's default."""

    def line(self, text: str) -> None:
        """One sentence."""

    def begin(self, what: str, total: int) -> None:
        """A new bar of ``total`` steps."""

    def step(self) -> None:
        """One step done."""

    def end(self) -> None:
        """The bar is done."""

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Terminal(Talk):
    """Lines on stderr, with a rich bar under them where stderr is a terminal.

    Parameters
    ----------
    every_seconds : float
        How often a step without a bar is heard of.
    """

    def __init__(self, every_seconds: float = 60.0) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._every = every_seconds
        self._what, self._done, self._total = "", 0, 0
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        """One sentence."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def begin(self, what: str, total: int) -> None:
        """A new bar of ``total`` steps."""
        self._what, self._done, self._total = what, 0, total
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total)

    def step(self) -> None:
        """One step done."""
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self.line(f"{self._what}: {self._done} of {self._total} batches")

    def end(self) -> None:
        """The bar is done."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
