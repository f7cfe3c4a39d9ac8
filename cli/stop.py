"""How a command is stopped: Ctrl-C, SIGTERM and the end of the terminal all leave it the same way, and tidily.

Each becomes an exception in the main thread, so that what the command holds is given back on the way out: worker processes are
ended, half-written files removed, locks freed. Only a SIGKILL leaves such files; the next run removes them. The exit code is the
shell's: 128 and the number of the signal.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# `timeout` sends a signal twice within milliseconds: the second must not interrupt the tidying up. One that comes later is meant.
_AGAIN_SECONDS = 1.0

# What was finished, and how to go on, of the commands that keep something. The others begin again.
GO_ON = {
    "preprocess": "the same command goes on after the last finished shard",
    "train": "the same command with --resume goes on after the last finished epoch",
    "audit": "the same command with --resume goes on after the last finished step",
}


class Stopped(KeyboardInterrupt):
    """A signal asked for the end."""


class Stops:
    """State: the signal that asked for the end, if one did."""

    def __init__(self) -> None:
        self.number = 0
        self._since = 0.0

    def handle(self, number: int, _: FrameType | None) -> None:
        """Raise `Stopped` in the main thread."""
        now = time.monotonic()
        if self.number and now - self._since < _AGAIN_SECONDS:
            return
        self.number, self._since = number, now
        raise Stopped

    def sentence(self, command: str) -> str:
        """What happened, and how to go on: the only instruction that a stopped command prints."""
        what = "stopped by Ctrl-C" if self.number == signal.SIGINT else f"stopped by {signal.Signals(self.number).name}"
        return f"{what}; nothing of it runs on; {GO_ON.get(command, 'run the command again')}"

    @property
    def code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def stoppable() -> Iterator[Stops]:
    """Turn the signals into `Stopped` for as long as the context lasts; one that is ignored (nohup) stays ignored."""
    stops = Stops()
    if threading.current_thread() is not threading.main_thread():
        yield stops  # signals are the main thread's matter
        return
    asked = [one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {one: signal.signal(one, stops.handle) for one in asked}
    try:
        yield stops
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
