"""A process pool that keeps order, bounds what is in flight, survives crashing decoders and dies with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from fastrace.errors import FastraceError
from fastrace.preprocess.task import FRAMES_PER_TASK, Result, Settings, Task

_PR_SET_PDEATHSIG = 1
_settings: Settings


def _start(settings: Settings, parent: int) -> None:
    """Set a worker up: one thread each, no reaction to Ctrl-C (the parent ends it), no life without the parent."""
    global _settings
    _settings = settings
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # Without it, workers of a killed parent would wait on their queue for ever and hold its files.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    import torch

    torch.set_num_threads(1)


def _run(task: Task) -> list[Result]:
    from fastrace.preprocess.worker import work

    return work(_settings, task)


class Pool:
    """Runs tasks in worker processes and gives their results back in order.

    Processes are spawned, not forked: torch and codec threads do not survive a fork.
    """

    def __init__(self, settings: Settings, jobs: int) -> None:
        self._settings = settings
        self._jobs = jobs
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _new(self, jobs: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            jobs,
            multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._settings, os.getpid()),
        )

    def _stop(self) -> None:
        if self._executor is None:
            return
        processes = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:  # shutdown() alone would finish a long decode first
            with contextlib.suppress(OSError, ValueError):
                process.kill()
        self._executor = None

    def results(self, tasks: Iterable[Task]) -> Iterator[list[Result]]:
        """Yield the results of each task in order; a file with many frames continues before the next file.

        Memory is bounded: at most four tasks for each worker are in flight or waiting to be consumed.
        """
        waiting = iter(tasks)
        pending: deque[tuple[Task, Future[list[Result]] | None]] = deque()
        flying = 0
        limit = 4 * self._jobs
        while True:
            for place, (task, future) in enumerate(pending):  # continuations come first in line
                if future is None and flying < limit:
                    pending[place] = (task, self._submit(task))
                    flying += 1
            while flying < limit and (following := next(waiting, None)) is not None:
                pending.append((following, self._submit(following)))
                flying += 1
            if not pending:
                return
            task, first = pending.popleft()
            flying -= 1
            try:
                answer = first.result() if first is not None else []
            except BrokenProcessPool:
                self._stop()
                answer = self._isolated(task)
                # The others in flight died with the pool; they are submitted again to a new one.
                pending = deque((other, None) for other, _ in pending)
                flying = 0
            if answer and task.first == 0 and answer[-1].frames > FRAMES_PER_TASK:
                total = answer[-1].frames
                starts = range(FRAMES_PER_TASK, total, FRAMES_PER_TASK)
                if not task.inspect:
                    rest = [Task(task.source, task.path, task.size, start, total) for start in starts]
                    pending.extendleft((piece, None) for piece in reversed(rest))
            yield answer

    def _submit(self, task: Task) -> Future[list[Result]] | None:
        if self._executor is None:
            self._executor = self._new(self._jobs)
        try:
            return self._executor.submit(_run, task)
        except BrokenProcessPool:
            broken: Future[list[Result]] = Future()
            broken.set_exception(BrokenProcessPool())
            return broken

    def _isolated(self, task: Task) -> list[Result]:
        """Run one task alone, to find out whether it was the one that took the pool down."""
        with self._new(1) as executor:
            try:
                return executor.submit(_run, task).result()
            except BrokenProcessPool:
                self._check_start()
                message = (
                    "the process that decoded it ended (a crash in the codec, or the system ran out of memory); "
                    "try again with --jobs 1, or transcode the file"
                )
                lost = range(task.first, max(task.first + 1, min(task.frames, task.first + FRAMES_PER_TASK)))
                return [Result(task.source, frame, task.frames, "decoder_crashed", message) for frame in lost]

    def _check_start(self) -> None:
        """Tell a file that ends its process from processes that never start, which would reject every file in turn."""
        with self._new(1) as executor:
            try:
                executor.submit(os.getpid).result()
            except BrokenProcessPool as error:
                raise FastraceError(
                    "worker processes end as soon as they start; a script that calls preprocess() must be a file and do so "
                    "below  if __name__ == '__main__':  - otherwise see what the workers printed above"
                ) from error
