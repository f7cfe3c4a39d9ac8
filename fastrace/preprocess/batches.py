"""Headers of many files, read by worker processes in batches. A worker imports this: no torch and no pandas, which take longer to
load than a thousand headers to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fastrace.execute.processes import Processes
from fastrace.execute.protocol import Executor, Work
from fastrace.preprocess.task import Result, Settings, Task, crashed

_FILES_PER_BATCH = 32  # of 1 ms each: sending them one by one would take a good part of that


def batches(tasks: list[Task]) -> Iterator[tuple[Task, ...]]:
    """The tasks in their order, some at a time."""
    return (tuple(tasks[start : start + _FILES_PER_BATCH]) for start in range(0, len(tasks), _FILES_PER_BATCH))


def readers(settings: Settings, jobs: int) -> Executor[tuple[Task, ...], list[Result]]:
    """The executor that reads headers, in the order of the batches; a crash costs one file."""
    return Processes(Work(partial(_read, settings), _load, _singly, _lost), jobs)


def _load() -> None:
    import fastrace.preprocess.headers  # noqa: F401


def _read(settings: Settings, batch: tuple[Task, ...]) -> list[Result]:
    from fastrace.preprocess.headers import inspect

    return [result for task in batch for result in inspect(settings, task)]


def _lost(batch: tuple[Task, ...]) -> list[Result]:
    return crashed(batch[0]) if len(batch) == 1 else []


def _singly(batch: tuple[Task, ...], answer: list[Result]) -> list[tuple[Task, ...]]:
    """A batch that a crash left without an answer, file by file: it costs one file, as in the run itself."""
    return [] if answer else [(task,) for task in batch]
