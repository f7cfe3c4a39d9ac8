"""What the tests' workers do: functions of a module, since other processes import them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fastrace.errors import FastraceError, RejectedInput


def square(n: int) -> int:
    """The later of two neighbours is done first."""
    time.sleep(0.01 * (n % 2 == 0))
    return n * n


def fail(n: int) -> int:
    if n == 3:
        raise RejectedInput("empty", "task 3 has no bytes")
    return n


class Odd(Exception):
    """Cannot be pickled: its class is called with another number of arguments."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def fail_oddly(n: int) -> int:
    raise Odd(n, n)


def fail_once(task: tuple[Path, int]) -> int:
    """Fails at the first try; a file counts them, since the second may be in another process."""
    folder, n = task
    tried = folder / str(n)
    if n % 3 == 1 and not tried.exists():
        tried.touch()
        raise FastraceError("not yet")
    return n


def minus(n: int) -> int:
    return -n


def halves(n: int, answer: int) -> list[int]:
    """Two tasks follow from 10, and 40 from one of these: more than an executor may have in flight."""
    return {10: [11, 12], 11: [100] * 40}.get(n, [])


def end(n: int) -> int:
    """What a codec that crashes does to its process."""
    if n == 3:
        os._exit(11)
    return n


def environment(_: int) -> str:
    return os.environ.get("FASTRACE_TEST_INITIALIZED", "")


def initialize() -> None:
    os.environ["FASTRACE_TEST_INITIALIZED"] = "yes"


def broken() -> None:
    raise FastraceError("a library is missing")


def hang(n: int) -> int:
    """What a codec in an endless loop does."""
    if n == 3:
        time.sleep(10**6)
    return n


def short(_: int) -> float:
    return 1.0


def end_at_first_start() -> None:
    """The first process is ended while it starts."""
    started = Path(os.environ["FASTRACE_TEST_STARTED"])
    if not started.exists():
        started.touch()
        os._exit(9)
