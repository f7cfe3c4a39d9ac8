"""What the tests' workers do: functions of a module, since other processes import them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fastrace.errors import FastraceError, RejectedInput
from fastrace.execute.limits import end_if_grown, limit_memory


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


def process(n: int) -> int:
    """Fails like a mistake in Python, else says which process it is."""
    if n < 0:
        raise RecursionError("a value of the file")
    return os.getpid()


def print_much(n: int) -> int:
    """What C libraries do, and Python's warnings."""
    os.write(1, b"QXMUELLER on stdout\n")
    os.write(2, b"QXMUELLER on stderr\n")
    print("QXMUELLER printed")  # noqa: T201
    return n


def allocate(mebibytes: int) -> str:
    """More than the limit is an error of this task, in Python and in C."""
    try:
        return f"{len(bytearray(mebibytes << 20)) >> 20} MiB"
    except MemoryError:
        return "MemoryError"


def limit_to_300_mib() -> None:
    limit_memory(300 << 20)


LEAKED: list[bytearray] = []


def leak(mebibytes: int) -> int:
    """Each task keeps memory; where there is none left, the process is ended and the task tried in a new one."""
    try:
        LEAKED.append(bytearray(mebibytes << 20))
    except MemoryError:
        end_if_grown()
        return -1
    return len(LEAKED)


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
