"""What a caller states about its work, and what every executor guarantees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")
_Task = TypeVar("_Task", contravariant=True)
_Answer = TypeVar("_Answer", covariant=True)
_Self = TypeVar("_Self")

# A worker may be ended from outside, for example when memory is short; where it ends twice at a task, the task is the cause.
TRIES = 2


def _nothing(*_: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Work(Generic[Task, Answer]):
    """What is done with a task, wherever that is; the functions, tasks and answers must be picklable for other processes.

    Attributes
    ----------
    function : callable
        Task -> answer. The answer must not depend on the worker or on the tasks before.
    initializer : callable
        Called once by each worker before its first task: imports that take long, and settings of libraries.
    follow_up : callable
        (task, answer) -> the tasks that come directly after this one, for example the remaining frames of a long file.
    lost : callable, optional
        Task -> its answer if it failed twice: it raised, or its process ended (a crash in a library, no memory). Without it
        an exception is raised to the caller.
    quiet : bool
        Whether a worker process prints nothing once it has started, because its libraries could quote what must not be seen.
    limit_seconds : callable, optional
        Task -> how long it may take in an executor that can end it: a library that hangs would hold up everything behind it.
    overtime : callable, optional
        Task -> its answer when it was ended because of that; needed with ``limit_seconds``.
    """

    function: Callable[[Task], Answer]
    initializer: Callable[[], object] = _nothing
    follow_up: Callable[[Task, Answer], Iterable[Task]] = _nothing
    lost: Callable[[Task], Answer] | None = None
    quiet: bool = False
    limit_seconds: Callable[[Task], float] | None = None
    overtime: Callable[[Task], Answer] | None = None


class Executor(Protocol[_Task, _Answer]):
    """Runs tasks in workers. A context: when it is left, also by Ctrl-C, no worker is left running."""

    def __enter__(self: _Self) -> _Self:
        """Make it ready; workers may start later, with the first tasks."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all workers."""
        ...

    def results(self, tasks: Iterable[_Task]) -> Iterator[_Answer]:
        """Yield the answer of each task, in order; the tasks that follow from an answer come before the next one.

        Memory is bounded: at most `fastrace.execute.order.AHEAD` tasks for each worker are drawn from ``tasks`` and not yet
        consumed as answers.

        Raises
        ------
        Exception
            What ``work.function`` raised, in the place of the answer.
        FastraceError
            A worker cannot start, or ended twice at a task, and ``work.lost`` is not given.
        """
        ...
