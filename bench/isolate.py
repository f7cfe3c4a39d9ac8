"""Benchmarks in a process of their own: a peer that crashes ends that process, is named, and the rest is measured without it.

The peers of one operation take their turns in one process, as before; the rows are read by another. Before each call
the child writes into shared memory which peer runs and until when it may run, which costs 0.8 microseconds. When the child
ends, or the parent ends it because the call has not returned by then, the parent has the rows so far and the peer's name, and
starts the benchmark again without that peer; operations that are done are not measured again.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from fastrace.bench import session
from fastrace.bench.roofs import roofs
from fastrace.bench.row import Row, failed, figures, is_ours
from fastrace.bench.session import Session, Settings

_PR_SET_PDEATHSIG = 1
_LABEL = 1024  # bytes: operation, a newline, peer
_LOOK = 0.5  # s between two looks at whether a call still runs
_GRACE = 10.0  # s between terminate and kill

Found = dict[str, tuple[list[Row], float]]


def run_apart(
    modules: Sequence[str], settings: Settings, log: Callable[[str], None]
) -> tuple[Found, dict[str, dict[str, float]] | None]:
    """Measure in another process.

    Parameters
    ----------
    modules : sequence of str
        Modules that have ``rows(quick)``, by their full names.
    settings : Settings
    log : callable
        Takes a line about the progress.

    Returns
    -------
    dict, dict or None
        Module -> its rows and seconds; what the machine can do (`roofs.roofs`), None with ``check_only``.
    """
    found: Found = {}
    ceiling: dict[str, dict[str, float]] | None = None
    ended: dict[tuple[str, str], str] = {}
    done: dict[str, list[Row]] = {}  # operation -> rows, of the module that is under way
    started = time.perf_counter()
    while waiting := [module for module in modules if module not in found]:
        with _Child(waiting, settings, ended, frozenset(done), roof=ceiling is None) as child:
            for kind, content in child:
                if kind == "roofs":
                    ceiling, started = content, time.perf_counter()  # imports belong to no module
                elif kind == "begin":
                    name = content.rpartition(".")[2]
                    log(f"{name}, {len(found) + 1} of {len(modules)}")
                elif kind == "rows":
                    done[content[0]["operation"]] = content
                elif kind == "end":
                    module, rows = content
                    # What measure() gave may have been changed by the benchmark; what an earlier process measured was kept.
                    done |= {operation: [] for operation in dict.fromkeys(row["operation"] for row in rows)}
                    for row in rows:
                        done[row["operation"]].append(row)
                    found[module] = [row for rows in done.values() for row in rows], time.perf_counter() - started
                    done, started = {}, time.perf_counter()
            operation, peer = child.running()
            problem = child.problem
        if problem is None:
            continue
        module = next(module for module in modules if module not in found)
        if operation and (operation, peer) not in ended:
            log(f"{operation}: {peer} {problem}; going on without it")
            ended[operation, peer] = problem
        else:  # outside of every call: the benchmark cannot be run
            rows = [row for rows in done.values() for row in rows]
            rows.append(_failure(module.rpartition(".")[2], problem))
            found[module] = rows, time.perf_counter() - started
            done, started = {}, time.perf_counter()
    return found, ceiling


def _failure(benchmark: str, problem: str) -> Row:
    unknown = ("caches", "max_error", "rms_error", "lsb", "load", "threads", "first_ms", "peak_mb", "bytes", "flops")
    row: Row = {"operation": benchmark, "peer": "fastrace", "version": "", **dict.fromkeys(unknown)}
    row |= figures(None, None)
    row |= {"problem": problem, "noisy": False, "why": []}
    assert is_ours(row)
    return row


class _Child:
    """The other process: iterate over its messages; afterwards `problem` and `running` hold how it ended."""

    def __init__(
        self,
        modules: Sequence[str],
        settings: Settings,
        ended: dict[tuple[str, str], str],
        done: frozenset[str],
        roof: bool,
    ) -> None:
        context = multiprocessing.get_context("spawn")  # after a fork the libraries' threads would not run
        self._label = context.RawArray(ctypes.c_char, _LABEL)
        self._limit = context.RawArray(ctypes.c_double, 2)  # when the call has to be back, and how long that was
        self._pipe, other = context.Pipe(duplex=False)
        self._folder = tempfile.TemporaryDirectory(
            ignore_cleanup_errors=True
        )  # all that it writes, also if it is killed
        self.problem: str | None = None
        self._stuck: tuple[str, str] | None = (
            None  # the call that was given up; it may return until the process is ended
        )
        shared = (self._label, self._limit)
        arguments = (other, shared, self._folder.name, list(modules), settings, ended, done, roof, os.getpid())
        self._process = context.Process(target=_serve, args=arguments)
        self._process.start()
        other.close()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._process.terminate()
        self._process.join(_GRACE)
        if self._process.is_alive():  # in a call that does not return
            self._process.kill()
            self._process.join()
        assert self._process.pid
        with contextlib.suppress(ProcessLookupError, PermissionError):  # no process is left
            os.killpg(self._process.pid, signal.SIGKILL)  # workers of a peer that was ended in the middle
        self._folder.cleanup()

    def __iter__(self) -> Any:
        with contextlib.suppress(EOFError, OSError):
            while True:
                while not self._pipe.poll(_LOOK):
                    if self._late():
                        return
                kind, content = self._pipe.recv()
                if kind == "failed":  # an exception of ours, or outside of all calls
                    self.problem = content
                yield kind, content
        self._process.join()
        code = self._process.exitcode or 0
        if code and self.problem is None:
            self.problem = f"failed: {_how(code)}"

    def _late(self) -> bool:
        """Whether the call that runs has not returned in its time."""
        called, (until, patience) = self.running(), self._limit
        if not called[0] or time.monotonic() < until:
            return False
        self._stuck, self.problem = called, f"failed: no answer in {patience:g} s"
        return True

    def running(self) -> tuple[str, str]:
        """Operation and peer of the last call that did not return."""
        operation, _, peer = self._label.value.decode(errors="replace").partition("\n")
        return self._stuck or (operation, peer)


def _how(code: int) -> str:
    if code > 0:
        return f"ended the process with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    return f"killed by signal {-code}"


def _serve(
    pipe: Connection,
    shared: tuple[Any, Any],
    folder: str,
    modules: list[str],
    settings: Settings,
    ended: dict[tuple[str, str], str],
    done: frozenset[str],
    roof: bool,
    parent: int,
) -> None:
    """Run the child: it ignores Ctrl-C, writes nothing to standard output, and ends with its parent."""
    os.setpgid(0, 0)  # with all workers of peers, so that they can be ended together
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    tempfile.tempdir = folder
    os.dup2(2, 1)  # some libraries print; the document on standard output is the parent's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    label, limit = shared

    def mark(operation: str, peer: str, patience: float) -> None:
        limit[:] = (
            time.monotonic() + patience,
            patience,
        )  # before the name: a peer never has the limit of the one before
        label.value = f"{operation}\n{peer}".encode()[: _LABEL - 1] if operation else b""

    def emit(rows: list[Row]) -> None:
        pipe.send(("rows", rows))

    session.SESSION = current = Session(settings, mark, emit, ended, done)
    try:
        if roof and not settings.check_only:
            pipe.send(("roofs", roofs(settings.quick)))
        for module in modules:
            pipe.send(("begin", module))
            pipe.send(("end", (module, importlib.import_module(module).rows(quick=settings.quick))))
            current.done = frozenset()
    except Exception as failure:  # of ours: named in the table, and in the exit code
        pipe.send(("failed", failed(failure)))
