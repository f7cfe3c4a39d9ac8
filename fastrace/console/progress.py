"""The progress of long work on stderr: a bar on a terminal; otherwise plain lines, one in a while within a long step."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from fastrace.console.words import seconds


class Progress:
    """Prints nothing; the library's default."""

    def line(self, text: str) -> None:
        """One sentence."""

    def begin(self, what: str, total: int, unit: str = "batches") -> None:
        """Begin a step of ``total`` units."""

    def reach(self, done: int, note: str = "") -> None:
        """So many units are done; ``note`` follows in a plain line."""

    def step(self, count: int = 1) -> None:
        """So many more units are done."""

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
        self._last = self._began = time.monotonic()

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
        self._began = time.monotonic()
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
            self.line(state(self._what, done, self._total, self._unit, self._last - self._began, note))

    def step(self, count: int = 1) -> None:
        """So many more units are done."""
        self.reach(self._done + count)

    def end(self) -> None:
        """The step is done."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


class LoggedProgress(Progress):
    """What another progress shows, and the same in a file: a line for each sentence and step, and one in a while within a step.

    Parameters
    ----------
    shown : Progress
    file : Path
        Lines are added at its end, each with the time (UTC).
    every_seconds : float
    """

    def __init__(self, shown: Progress, file: Path, every_seconds: float = 10.0) -> None:
        self._shown, self._file, self._every = shown, file, every_seconds
        self._what, self._unit, self._done, self._total = "", "", 0, 0
        self._last = self._began = time.monotonic()

    def line(self, text: str) -> None:
        """One sentence."""
        self._write(text)
        self._shown.line(text)

    def begin(self, what: str, total: int, unit: str = "batches") -> None:
        """Begin a step of ``total`` units."""
        self._what, self._unit, self._done, self._total = what, unit, 0, total
        self._last = self._began = time.monotonic()
        self._write(f"{what}: {total:,} {unit}")
        self._shown.begin(what, total, unit)

    def reach(self, done: int, note: str = "") -> None:
        """So many units are done."""
        self._log(done, note)
        self._shown.reach(done, note)

    def step(self, count: int = 1) -> None:
        """So many more units are done."""
        self._log(self._done + count)
        self._shown.step(count)

    def end(self) -> None:
        """The step is done."""
        self._shown.end()

    def _log(self, done: int, note: str = "") -> None:
        self._done = done
        if time.monotonic() - self._last >= self._every or done == self._total:
            self._last = time.monotonic()
            self._write(state(self._what, done, self._total, self._unit, self._last - self._began, note))

    def _write(self, text: str) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        # A full disk, or a folder that is gone, must not end an audit for its log.
        with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as file:
            file.write(f"{now:%Y-%m-%d %H:%M:%S} {text}\n")


def state(what: str, done: int, total: int, unit: str, elapsed_seconds: float, note: str = "") -> str:
    """``features: 1,200 of 10,000 images, 35 a second, about 4 min 11 s left``; without a rate in the first second."""
    text = f"{what}: {done:,} of {total:,} {unit}"
    if note:
        return f"{text}, {note}"
    if elapsed_seconds < 1 or done < 1 or done >= total:
        return text
    rate = done / elapsed_seconds
    speed = f"{rate:.0f} a second" if rate >= 2 else f"{60 * rate:.0f} a minute"
    return f"{text}, {speed}, about {seconds((total - done) / rate)} left"
