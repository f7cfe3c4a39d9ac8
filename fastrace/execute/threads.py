"""Threads of this process, for numerical code that releases the interpreter lock.

BLAS has one thread in each, unless more are asked for: on matrices of a hundred rows, threads inside a product cost more than
they save.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Generic

from threadpoolctl import threadpool_limits

from fastrace.execute.order import Slot, in_order
from fastrace.execute.protocol import TRIES, Answer, Task, Work


@contextmanager
def blas_threads(number: int) -> Iterator[None]:
    """Let every BLAS of this process use so many threads, and OpenMP in the calling thread."""
    with threadpool_limits(number):
        yield


class Threads(Generic[Task, Answer]):
    """An `fastrace.execute.protocol.Executor`: threads of this process, with `blas_threads` from entry to exit.

    Leaving it waits for the tasks that have begun: a thread cannot be ended from outside.

    Parameters
    ----------
    work : Work
    jobs : int
        Number of threads.
    blas : int
        Threads that BLAS may use in each of them.
    """

    def __init__(self, work: Work[Task, Answer], jobs: int, blas: int = 1) -> None:
        if jobs < 1:
            raise ValueError(f"{jobs} workers: at least one is needed")
        self._work = work
        self._jobs = jobs
        self._blas = blas
        self._stack = ExitStack()

    def __enter__(self) -> Threads[Task, Answer]:
        self._stack.enter_context(blas_threads(self._blas))
        self._pool = ThreadPoolExecutor(self._jobs, "fastrace", self._work.initializer)
        self._stack.callback(self._pool.shutdown, cancel_futures=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def results(self, tasks: Iterable[Task]) -> Iterator[Answer]:
        """Yield the answers in order, as `fastrace.execute.protocol.Executor` describes."""
        return in_order(self._work, tasks, self._jobs, self._assign, _wait)

    def _assign(self, slots: list[Slot[Task, Answer]]) -> None:
        for slot in slots:
            if slot.outcome is None:
                slot.outcome = self._pool.submit(self._answer, slot.task)

    def _answer(self, task: Task) -> Answer:
        if self._work.lost is None:
            return self._work.function(task)
        for _ in range(TRIES):
            with suppress(Exception):
                return self._work.function(task)
        return self._work.lost(task)


def _wait(first: Slot[Task, Answer]) -> None:
    assert first.outcome is not None  # the pool's own queue has room for every slot
    first.outcome.exception()
