"""A process pool that keeps order, bounds what is in flight, survives crashing libraries and ends with its parent.

Each worker has a pipe of its own. With the shared queue of concurrent.futures, a worker that was killed while it sent its
result left half a message in the queue, and the interpreter, when interrupted, waited for the rest for ever. With pipes, a
worker that has ended is an end of file, and its task is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic

from fastrace.errors import FastraceError
from fastrace.execute.limits import silence
from fastrace.execute.order import Slot, in_order
from fastrace.execute.protocol import TRIES, Answer, Task, Work

_PR_SET_PDEATHSIG = 1
# The second task waits in the pipe, so that a worker need not wait for the parent between two tasks.
_TASKS_PER_WORKER = 2
# A worker that is ended from outside while it starts (memory is short) is replaced; where none can start, that is an error.
_STARTS = 3
# A killed process ends at once, but for one that waits inside the system for a device that does not answer.
_JOIN_SECONDS = 10.0
_TICK_SECONDS = 1.0  # how often limits of time are looked at


@dataclass(eq=False)
class _Worker(Generic[Task, Answer]):
    process: BaseProcess
    pipe: Connection
    slots: deque[Slot[Task, Answer]] = field(default_factory=deque)
    started: bool = False
    since: float = 0.0  # when it began the first of its tasks, by the clock of `Processes`


@dataclass(frozen=True)
class _Raised:
    """An exception on its way to the parent, with its traceback as text, since tracebacks cannot be pickled."""

    error: Exception
    text: str


class Processes(Generic[Task, Answer]):
    """An `fastrace.execute.protocol.Executor`: worker processes of this machine.

    Processes are spawned, not forked: torch and codec threads do not survive a fork. Tasks should be small, such as paths: one
    that does not fit into the buffer of a pipe (64 KiB) waits for a worker that may itself wait to send an answer.

    Parameters
    ----------
    work : Work
        Sent to each worker when it starts.
    jobs : int
        Number of processes; they start when there are tasks for them.
    """

    def __init__(self, work: Work[Task, Answer], jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"{jobs} workers: at least one is needed")
        self._work = work
        self._jobs = jobs
        self._workers: list[_Worker[Task, Answer]] = []
        self._failed_starts = 0
        self._clock, self._looked = 0.0, time.monotonic()

    def __enter__(self) -> Processes[Task, Answer]:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # at once: its answer is not needed
        for worker in self._workers:
            worker.process.join(_JOIN_SECONDS)
            worker.pipe.close()
        self._workers = []

    def results(self, tasks: Iterable[Task]) -> Iterator[Answer]:
        """Yield the answers in order, as `fastrace.execute.protocol.Executor` describes.

        Raises
        ------
        FastraceError
            If workers end as soon as they start.
        """
        return in_order(self._work, tasks, self._jobs, self._assign, self._receive)

    def _assign(self, slots: list[Slot[Task, Answer]]) -> None:
        """Give tasks to workers with room, starting workers as long as there are too few."""
        for slot in slots:
            if slot.outcome is not None:
                continue
            worker = min(self._workers, key=lambda worker: len(worker.slots), default=None)
            if len(self._workers) < self._jobs and (worker is None or worker.slots):
                worker = self._start()
            if worker is None or len(worker.slots) >= _TASKS_PER_WORKER:
                return
            slot.outcome = Future()
            if not worker.slots:
                worker.since = self._clock
            worker.slots.append(slot)
            with contextlib.suppress(OSError):  # it has ended: _receive() notices
                worker.pipe.send(slot.task)

    def _start(self) -> _Worker[Task, Answer]:
        context = multiprocessing.get_context("spawn")
        # A process inherits what is blocked: Ctrl-C, which reaches the whole group, cannot end it before it ignores that.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._work, os.getpid()), daemon=True)
            process.start()
            theirs.close()  # or this end would stay open here, and the end of the worker would be no end of file
            worker: _Worker[Task, Answer] = _Worker(process, ours)
            self._workers.append(worker)
            return worker
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _receive(self, _: Slot[Task, Answer]) -> None:
        """Wait until a worker has an answer, has ended or must be ended."""
        self._tick()
        ready = wait(
            [worker.pipe for worker in self._workers], None if self._work.limit_seconds is None else _TICK_SECONDS
        )
        self._tick()
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._ended(worker)
                continue
            if worker.started:
                _settle(worker.slots.popleft(), message)
            worker.started, worker.since = True, self._clock  # its first message is the start
            self._failed_starts = 0
        for worker in [worker for worker in self._workers if self._seconds_left(worker) <= 0]:
            worker.process.kill()
            slot = worker.slots.popleft()
            assert self._work.overtime is not None
            _settle(slot, self._work.overtime(slot.task))
            self._ended(worker, at_work=False)

    def _tick(self) -> None:
        """Advance the clock of the limits, which stands while this process is stopped (Ctrl-Z, a suspended machine)."""
        now = time.monotonic()
        self._clock += min(now - self._looked, 2 * _TICK_SECONDS)
        self._looked = now

    def _seconds_left(self, worker: _Worker[Task, Answer]) -> float:
        limit = self._work.limit_seconds
        if limit is None or not worker.started or not worker.slots:
            return math.inf
        return worker.since + limit(worker.slots[0].task) - self._clock

    def _ended(self, worker: _Worker[Task, Answer], at_work: bool = True) -> None:
        """Return the tasks of a worker that ended; for the one that it ran, this counts as a try."""
        worker.process.join(_JOIN_SECONDS)
        worker.pipe.close()
        self._workers.remove(worker)
        self._failed_starts += not worker.started
        if self._failed_starts >= _STARTS:
            raise FastraceError(
                "worker processes end as soon as they start; a script that calls fastrace must be a file and do so "
                "below  if __name__ == '__main__':  - otherwise see what the workers printed above"
            )
        for place, slot in enumerate(worker.slots):
            slot.tries += at_work and worker.started and place == 0
            if slot.tries < TRIES:
                slot.outcome = None
            else:
                _settle(slot, self._lost(slot.task))

    def _lost(self, task: Task) -> Answer | _Raised:
        if self._work.lost is not None:
            return self._work.lost(task)
        message = "the process of a task ended twice (a crash in a library, or the system ran out of memory)"
        return _Raised(FastraceError(message), f"{message}: {task!r:.200}")


def _settle(slot: Slot[Task, Answer], message: Any) -> None:
    """Set the outcome of a task: its answer, or what it raised."""
    assert slot.outcome is not None
    if isinstance(message, _Raised):
        message.error.__cause__ = RuntimeError(f"in a worker process:\n{message.text}")
        slot.outcome.set_exception(message.error)
    else:
        slot.outcome.set_result(message)


def _serve(pipe: Connection, work: Work[Task, Answer], parent: int) -> None:
    """Run a worker process, which ignores Ctrl-C (the parent ends it) and ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        # An idle worker would see the end of its pipe; one in a long decode would go on without this.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    work.initializer()
    if work.quiet:
        silence()
    pipe.send("ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(_answer(work, pipe.recv()))


def _answer(work: Work[Task, Answer], task: Task) -> Answer | _Raised:
    """Do a task; an exception costs this task, and the process goes on."""
    for _ in range(TRIES if work.lost is not None else 1):
        try:
            return work.function(task)
        except Exception as error:
            raised = _raised(error)
    return raised if work.lost is None else work.lost(task)


def _raised(error: Exception) -> _Raised:
    text = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # of a class that cannot be pickled: its text can
        return _Raised(FastraceError(f"{type(error).__name__}: {error}"), text)
    return _Raised(error, text)
