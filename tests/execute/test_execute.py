"""What every executor guarantees, by one body for all of them; then what each adds."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import execute_tasks as tasks  # beside this file
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fastrace.errors import FastraceError, RejectedInput
from fastrace.execute import cpus
from fastrace.execute.order import AHEAD
from fastrace.execute.processes import Processes
from fastrace.execute.protocol import Executor, Work
from fastrace.execute.threads import Threads

Make = Callable[[Work[Any, Any], int], Executor[Any, Any]]
every_executor = pytest.mark.parametrize("make", [Processes, Threads])


def running() -> set[object]:
    return {*multiprocessing.active_children(), *threading.enumerate()}


@every_executor
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_answers_come_in_the_order_of_the_tasks(make: Make, jobs: int) -> None:
    with make(Work(tasks.square), jobs) as executor:
        assert list(executor.results(range(30))) == [n * n for n in range(30)]
        assert list(executor.results([])) == []
        assert list(executor.results([7])) == [49]  # it can be used again


@every_executor
def test_what_is_in_flight_is_bounded(make: Make) -> None:
    drawn = 0

    def endless() -> Iterator[int]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    with make(Work(tasks.square), 2) as executor:
        for consumed, answer in zip(range(50), executor.results(endless()), strict=False):
            assert answer == (consumed + 1) ** 2
            assert drawn <= consumed + 2 * AHEAD


@every_executor
def test_following_tasks_come_before_the_next_one(make: Make) -> None:
    with make(Work(tasks.minus, follow_up=tasks.halves), 2) as executor:
        found = list(executor.results([1, 10, 2]))
    assert found == [-1, -10, -11, *[-100] * 40, -12, -2]


@every_executor
def test_an_exception_is_raised_in_the_place_of_its_answer(make: Make) -> None:
    with make(Work(tasks.fail), 2) as executor:
        results = executor.results(range(8))
        assert list(islice(results, 3)) == [0, 1, 2]
        with pytest.raises(RejectedInput, match="task 3 has no bytes") as raised:
            next(results)
        assert list(executor.results([8, 9])) == [8, 9]  # the others go on
    assert raised.value.reason == "empty"
    assert "in fail\n" in "".join(traceback.format_exception(raised.value))  # where it was raised


@every_executor
def test_an_exception_that_cannot_be_pickled_arrives_in_words(make: Make) -> None:
    with make(Work(tasks.fail_oddly), 1) as executor, pytest.raises((FastraceError, tasks.Odd), match="4 and 4"):
        list(executor.results([4]))


@every_executor
def test_a_task_that_fails_once_is_tried_again(make: Make, tmp_path: Path) -> None:
    with make(Work(tasks.fail_once, lost=tasks.minus), 2) as executor:
        assert list(executor.results([(tmp_path, n) for n in range(8)])) == list(range(8))


@every_executor
def test_a_task_that_fails_twice_has_the_answer_of_a_lost_one(make: Make) -> None:
    with make(Work(tasks.fail, lost=tasks.minus), 2) as executor:
        assert list(executor.results(range(8))) == [0, 1, 2, -3, 4, 5, 6, 7]


@every_executor
def test_a_worker_is_initialized_before_its_first_task(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTRACE_TEST_INITIALIZED", "no")
    with make(Work(tasks.environment, tasks.initialize), 2) as executor:
        assert set(executor.results(range(4))) == {"yes"}


@every_executor
def test_a_worker_that_cannot_start_is_an_error_and_no_hang(make: Make) -> None:
    with make(Work(tasks.minus, tasks.broken), 2) as executor, pytest.raises((FastraceError, RuntimeError)):
        list(executor.results(range(4)))


@every_executor
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_runs_on_when_it_is_left(make: Make, error: type[BaseException]) -> None:
    before = running()

    def leave() -> None:
        with make(Work(tasks.square), 2) as executor:
            assert next(executor.results(range(1000))) == 0
            assert running() > before
            raise error

    with pytest.raises(error):
        leave()
    assert running() <= before


def test_a_process_that_ends_costs_one_task() -> None:
    with Processes(Work(tasks.end, lost=tasks.minus), 2) as executor:
        assert list(executor.results(range(8))) == [0, 1, 2, -3, 4, 5, 6, 7]


def test_a_process_that_ends_twice_is_an_error_without_an_answer_for_lost_tasks() -> None:
    with Processes(Work(tasks.end), 2) as executor, pytest.raises(FastraceError, match="ended twice"):
        list(executor.results(range(8)))


def test_an_exception_costs_its_task_and_no_process(capfd: pytest.CaptureFixture[str]) -> None:
    with Processes(Work(tasks.process, lost=tasks.minus), 1) as executor:
        found = list(executor.results([1, -2, 3, -4, 5]))
    assert [found[1], found[3]] == [2, 4]
    assert len({found[0], found[2], found[4]}) == 1
    assert capfd.readouterr() == ("", "")  # no traceback, which would quote what the exception quotes


@pytest.mark.parametrize("quiet", [True, False])
def test_what_libraries_print_is_dropped_where_it_could_quote_a_file(
    quiet: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with Processes(Work(tasks.print_much, quiet=quiet), 1) as executor:
        assert list(executor.results([1, 2])) == [1, 2]
    assert ("QXMUELLER" in "".join(capfd.readouterr())) is not quiet


def test_memory_is_limited_above_what_the_worker_began_with_and_the_next_task_has_it_again() -> None:
    with Processes(Work(tasks.allocate, tasks.limit_to_300_mib), 1) as executor:
        assert list(executor.results([200, 500, 250])) == ["200 MiB", "MemoryError", "250 MiB"]


def test_memory_that_earlier_tasks_lost_is_not_blamed_on_a_later_one() -> None:
    with Processes(Work(tasks.leak, tasks.limit_to_300_mib, lost=tasks.minus), 1) as executor:
        assert list(executor.results([100] * 7)) == [1, 2, 3, 1, 2, 3, 1]


def test_a_process_that_hangs_is_ended_and_costs_one_task() -> None:
    work = Work(tasks.hang, limit_seconds=tasks.short, overtime=tasks.minus)
    with Processes(work, 2) as executor:
        assert list(executor.results(range(8))) == [0, 1, 2, -3, 4, 5, 6, 7]


def test_the_time_that_this_process_was_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-Z, an hour and fg, every worker would seem to hang."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    executor: Processes[int, int] = Processes(Work(tasks.minus, limit_seconds=tasks.short, overtime=tasks.minus), 1)
    for seconds in (0.5, 3600.0, 0.5):
        now[0] += seconds
        executor._tick()
    assert executor._clock == 0.5 + 2.0 + 0.5


def test_a_process_that_is_ended_while_it_starts_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTRACE_TEST_STARTED", str(tmp_path / "started"))
    with Processes(Work(tasks.minus, tasks.end_at_first_start), 1) as executor:
        assert list(executor.results(range(3))) == [0, -1, -2]


def test_blas_has_one_thread_while_threads_run_and_as_many_as_before_afterwards() -> None:
    def blas(_: int = 0) -> list[int]:
        return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]

    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas()
    assert before
    with Threads(Work(blas), 2) as executor:
        assert all(set(found) == {1} for found in executor.results(range(4)))
    assert blas() == before


def test_a_quota_is_rounded_and_none_grants_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("250000 100000", 2), ("10000 100000", 1), ("max 100000", 7)):
        monkeypatch.setattr(Path, "read_text", lambda _, text=text: text)
        monkeypatch.setattr("os.cpu_count", lambda: 7)
        assert cpus.quota() == expected


def test_no_executor_imports_torch_or_pandas() -> None:
    """Worker processes pass through these modules, and commands that refuse do not need them."""
    program = (
        "import sys, fastrace.execute.processes, fastrace.execute.cpus, fastrace.preprocess.task\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'pydicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
