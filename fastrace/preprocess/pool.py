"""A process pool that keeps order, bounds what is in flight, survives crashing decoders and dies with its parent.

Each worker has a pipe of its own. With the shared queue of concurrent.futures, a worker that was killed while it sent its
result left half a message in the queue, and the interpreter waited for the rest of it for ever when it was interrupted.
With pipes, a dead worker is an end of file, and which task it was at is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from fastrace.errors import FastraceError
from fastrace.preprocess.task import FRAMES_PER_TASK, Result, Settings, Task

_PR_SET_PDEATHSIG = 1
# The second task waits in the pipe, so that a worker need not wait for the parent between two files.
_TASKS_PER_WORKER = 2
# A worker that dies may have been ended from outside, for want of memory say; one that dies twice at a task dies of it.
_TRIES = 2


@dataclass(eq=False)
class _Slot:
    """A task, in line for its turn."""

    task: Task
    tries: int = 0
    answer: list[Result] | None = None
    given: bool = False


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    slots: deque[_Slot] = field(default_factory=deque)
    started: bool = False


class Pool:
    """Runs tasks in worker processes and gives their results back in order.

    Processes are spawned, not forked: torch and codec threads do not survive a fork.
    """

    def __init__(self, settings: Settings, jobs: int) -> None:
        self._settings = settings
        self._jobs = jobs
        self._workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # at once: nobody waits for what it is at
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def results(self, tasks: Iterable[Task]) -> Iterator[list[Result]]:
        """Yield the results of each task in order; a file with many frames continues before the next file.

        Memory is bounded: at most four tasks for each worker are with the workers or waiting to be consumed.

        Raises
        ------
        FastraceError
            If workers end as soon as they start.
        """
        waiting = iter(tasks)
        line: deque[_Slot] = deque()
        limit = 4 * self._jobs
        while True:
            while len(line) < limit and (task := next(waiting, None)) is not None:
                line.append(_Slot(task))
            if not line:
                return
            self._hand_out(line, limit)
            if line[0].answer is None:
                self._receive()
                continue
            slot = line.popleft()
            answer = slot.answer or []
            line.extendleft(_Slot(task) for task in reversed(_rest(slot.task, answer)))
            yield answer

    def _hand_out(self, line: deque[_Slot], limit: int) -> None:
        """Give the first ``limit`` tasks to workers with room, starting workers as long as there are too few."""
        for place, slot in enumerate(line):
            if place >= limit:
                return
            if slot.given:
                continue
            worker = min(self._workers, key=lambda worker: len(worker.slots), default=None)
            if len(self._workers) < self._jobs and (worker is None or worker.slots):
                worker = self._start()
            if worker is None or len(worker.slots) >= _TASKS_PER_WORKER:
                return
            slot.given = True
            worker.slots.append(slot)
            with contextlib.suppress(OSError):  # it died: _receive() notices
                worker.pipe.send(slot.task)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._settings, os.getpid()), daemon=True)
        process.start()
        theirs.close()  # or its end would stay open here, and its death would be no end of file
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _receive(self) -> None:
        """Wait until a worker has an answer or is dead."""
        ready = wait([worker.pipe for worker in self._workers])
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if worker.started:
                worker.slots.popleft().answer = message
            worker.started = True  # its first message says only that

    def _bury(self, worker: _Worker) -> None:
        """Hand a dead worker's tasks out again; the one it was at counts a try."""
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        if not worker.started:
            raise FastraceError(
                "worker processes end as soon as they start; a script that calls preprocess() must be a file and do so "
                "below  if __name__ == '__main__':  - otherwise see what the workers printed above"
            )
        for slot in worker.slots:
            slot.given = False
        if worker.slots:
            slot = worker.slots[0]
            slot.tries += 1
            if slot.tries == _TRIES:
                slot.given, slot.answer = True, _crashed(slot.task)


def _rest(task: Task, answer: list[Result]) -> list[Task]:
    """The tasks for the other frames of a file whose first frames have been read."""
    if task.first or task.inspect or not answer or answer[-1].frames <= FRAMES_PER_TASK:
        return []
    total = answer[-1].frames
    starts = range(FRAMES_PER_TASK, total, FRAMES_PER_TASK)
    return [Task(task.source, task.path, task.size, start, total) for start in starts]


def _crashed(task: Task) -> list[Result]:
    message = (
        "the process that decoded it ended twice (a crash in the codec, or the system ran out of memory); "
        "try again with --jobs 1, or transcode the file"
    )
    lost = range(task.first, max(task.first + 1, min(task.frames, task.first + FRAMES_PER_TASK)))
    return [Result(task.source, frame, task.frames, "decoder_crashed", message) for frame in lost]


def _serve(pipe: Connection, settings: Settings, parent: int) -> None:
    """A worker's life: one thread, no reaction to Ctrl-C (the parent ends it), no life without the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # An idle worker would see the end of its pipe; one in a long decode would live on without this.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    import torch

    from fastrace.preprocess.worker import work

    torch.set_num_threads(1)
    pipe.send("ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(work(settings, pipe.recv()))
