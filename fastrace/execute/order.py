"""Answers in the order of the tasks, and a bound on what is in flight; what executors share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Generic

from fastrace.execute.protocol import Answer, Task, Work

AHEAD = 4
"""Tasks for each worker that are with the workers or whose answers wait to be consumed."""


@dataclass(eq=False)
class Slot(Generic[Task, Answer]):
    """A task in line for its turn; ``outcome`` is None until a worker has it."""

    task: Task
    outcome: Future[Answer] | None = None
    tries: int = 0


def in_order(
    work: Work[Task, Answer],
    tasks: Iterable[Task],
    jobs: int,
    assign: Callable[[list[Slot[Task, Answer]]], None],
    wait: Callable[[Slot[Task, Answer]], object],
) -> Iterator[Answer]:
    """Yield the answers in the order of the tasks; an exception is raised in the place of its answer.

    Parameters
    ----------
    jobs : int
        Workers; `AHEAD` times as many slots are in line, and the next task is drawn when an answer is consumed.
    assign : callable
        Given the first slots in line, it gives those without a worker to one, as far as there is room.
    wait : callable
        Given the first slot, it returns when something has happened: this outcome is known, or another, or a worker ended.
    """
    waiting = iter(tasks)
    line: deque[Slot[Task, Answer]] = deque()
    limit = AHEAD * jobs
    while True:
        line.extend(Slot(task) for task in islice(waiting, max(0, limit - len(line))))
        if not line:
            return
        assign(list(islice(line, limit)))  # follow-up tasks may have made the line longer
        first = line[0]
        if first.outcome is None or not first.outcome.done():
            wait(first)
            continue
        line.popleft()
        answer = first.outcome.result()
        line.extendleft(Slot(task) for task in reversed(list(work.follow_up(first.task, answer))))
        yield answer
