"""A peer that ends the process ends nothing else: it is named, and the others are measured."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fastrace.bench import isolate, run, session
from fastrace.bench.isolate import run_apart
from fastrace.bench.session import Settings

HEAD = """
import ctypes, os, signal, sys, time
from pathlib import Path
from fastrace.bench.measure import Peer, measure
from fastrace.bench.row import Error

calls = Path(__file__).with_suffix(".calls")

def note(word):
    with calls.open("a") as file:
        file.write(word + "\\n")

def peer(name, call):
    return Peer(name, call, ("numpy",), 0.5)

def error(result):
    return Error(abs(result - 1.0), abs(result - 1.0))

def segfault():
    ctypes.string_at(0)

def late():
    note("late")
    if calls.read_text().splitlines().count("late") > 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
"""

CRASHING = """
def rows(quick):
    print("a library that prints")
    good = peer("fastrace", lambda: note("good") or 1.0)
    return [
        *measure("first", [good, peer("other", lambda: 1.25)], error, rounds=2),
        *measure("second", [good, peer("segfault", segfault), peer("late", late), peer("last", lambda: 3.0)], error, rounds=4),
        *measure("third", [peer("fastrace", lambda: 1.0), peer("leaves", lambda: os._exit(7))], error, rounds=2),
    ]
"""

OURS = """
def rows(quick):
    return [
        *measure("dies", [peer("fastrace", segfault), peer("other", lambda: 1.0)], error, rounds=2),
        *measure("raises", [peer("fastrace", lambda: 1 / 0), peer("other", lambda: 1.0)], error, rounds=2),
        *measure("works", [peer("fastrace", lambda: 1.0), peer("other", lambda: 1.0)], error, rounds=2),
    ]
"""

OUTSIDE = """
def rows(quick):
    done = measure("done", [peer("fastrace", lambda: 1.0)], error, rounds=2)
    raise ValueError("no such file")
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write modules that the other process can import."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules: str) -> list[str]:
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(HEAD + text)
        return list(modules)

    return write


def test_a_peer_that_ends_the_process_is_named_and_the_rest_is_measured_once(
    written: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = written(crashing=CRASHING, after=OURS.replace("segfault", "lambda: 1.0").replace("1 / 0", "1.0"))
    lines: list[str] = []
    found, _ = run_apart(names, Settings(), lines.append)
    assert list(found) == names
    rows = {(row["operation"], row["peer"]): row for row in found["crashing"][0]}
    assert list(rows) == [
        ("first", "fastrace"), ("first", "other"),
        ("second", "fastrace"), ("second", "segfault"), ("second", "late"), ("second", "last"),
        ("third", "fastrace"), ("third", "leaves"),
    ]  # fmt: skip
    problems = {key: row["problem"] for key, row in rows.items() if row["problem"]}
    assert problems == {
        ("second", "segfault"): "failed: killed by signal 11 (SIGSEGV)",
        ("second", "late"): "failed: killed by signal 9 (SIGKILL)",
        ("second", "last"): "wrong result: error 2, at most 0.5 is expected",
        ("third", "leaves"): "failed: ended the process with exit code 7",
    }
    timed = [key for key, row in rows.items() if row["ms"] is not None]
    assert timed == [
        ("first", "fastrace"), ("first", "other"), ("second", "fastrace"), ("second", "last"), ("third", "fastrace")
    ]  # fmt: skip
    assert all(row["ms"] is not None for row in found["after"][0])
    assert "second: segfault failed: killed by signal 11 (SIGSEGV); going on without it" in lines
    # Nothing is measured twice. "first": check, second call, two rounds. "second": check and second call in three processes, of
    # which one came to its first round and one through all four.
    calls = (tmp_path / "crashing.calls").read_text().splitlines()
    assert calls.count("good") == 4 + 3 * 2 + 1 + 4
    assert calls.count("late") == 4
    assert capfd.readouterr().out == ""  # standard output is the document's


HANGING = """
import subprocess, tempfile

def holding():
    ctypes.PyDLL(None).sleep(600)  # with the lock of the interpreter, as a library in C may

def late():
    note("late")
    if calls.read_text().splitlines().count("late") > 3:
        time.sleep(600)
    return 1.0

def starting():
    process = subprocess.Popen(["sleep", "600"])
    note(f"started {process.pid}")
    process.wait()

def rows(quick):
    good = peer("fastrace", lambda: 1.0)
    note(f"folder {tempfile.mkdtemp()}")
    hanging = [good, peer("holding", holding), peer("late", late), peer("starting", starting), peer("last", lambda: 1.25)]
    found = measure("first", hanging, error, rounds=4, patience=1.0)
    time.sleep(1.5)  # between the calls there is no limit
    return found + measure("second", [good, peer("slow", lambda: time.sleep(1.5) or 1.0)], error, rounds=1, patience=60.0)
"""


def test_a_peer_that_does_not_return_is_named_and_the_rest_is_measured(
    written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolate, "_GRACE", 0.5)
    (name,) = written(hanging=HANGING)
    lines: list[str] = []
    found, _ = run_apart([name], Settings(quick=True), lines.append)
    rows = {(row["operation"], row["peer"]): row for row in found[name][0]}
    assert {key: row["problem"] for key, row in rows.items()} == {
        ("first", "fastrace"): None,
        ("first", "holding"): "failed: no answer in 1 s",
        ("first", "late"): "failed: no answer in 1 s",
        ("first", "starting"): "failed: no answer in 1 s",
        ("first", "last"): None,
        ("second", "fastrace"): None,
        ("second", "slow"): None,
    }
    assert all((row["ms"] is None) == bool(row["problem"]) for row in rows.values())
    assert "first: late failed: no answer in 1 s; going on without it" in lines
    # Neither what a peer had started nor what was written stays behind.
    notes = [line.split() for line in (tmp_path / "hanging.calls").read_text().splitlines()]
    for process in (Path("/proc", words[1], "stat") for words in notes if words[0] == "started"):
        assert not process.exists() or process.read_text().rpartition(")")[2].split()[0] == "Z"
    folders = [Path(words[1]) for words in notes if words[0] == "folder"]
    assert len(folders) == 4  # a process for each that hung, and one without them
    assert not any(folder.exists() for folder in folders)


def test_a_crash_or_a_failure_of_ours_is_a_row_and_the_others_are_measured(written: Any) -> None:
    (name,) = written(ours=OURS)
    found, _ = run_apart([name], Settings(check_only=True), lambda line: None)
    rows = {(row["operation"], row["peer"]): row["problem"] for row in found[name][0]}
    assert rows == {
        ("dies", "fastrace"): "failed: killed by signal 11 (SIGSEGV)",
        ("raises", "fastrace"): "failed: ZeroDivisionError: division by zero",
        ("works", "fastrace"): None,
        ("works", "other"): None,
    }
    document = run.merged([{"seconds": {}, "roofs": None, "rows": found[name][0]}])
    assert len(run.ours_wrong(document)) == 2
    json.dumps(document, allow_nan=False)


def test_a_benchmark_that_cannot_go_on_keeps_what_it_has(written: Any) -> None:
    names = written(
        outside=OUTSIDE, missing="import a_module_that_nobody_has", fine=OURS.replace("segfault", "lambda: 1.0")
    )
    found, _ = run_apart(names, Settings(check_only=True), lambda line: None)
    assert [(row["operation"], row["problem"]) for row in found["outside"][0]] == [
        ("done", None),
        ("outside", "failed: ValueError: no such file"),
    ]
    assert (
        found["missing"][0][0]["problem"] == "failed: ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    )
    assert len(found["fine"][0]) == 5


def test_the_other_process_ends_with_the_run(written: Any, tmp_path: Path) -> None:
    text = """
def rows(quick):
    note(str(os.getpid()))
    return measure("op", [peer("fastrace", lambda: time.sleep(60))], rounds=1)
"""
    (name,) = written(endless=text)

    calls = tmp_path / "endless.calls"

    def interrupt(line: str) -> None:
        end = time.monotonic() + 60
        while not calls.exists() and time.monotonic() < end:
            time.sleep(0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_apart([name], Settings(check_only=True), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(calls.read_text()), signal.SIG_DFL)


def test_the_session_of_this_process_stays_as_it_was(written: Any) -> None:
    before = session.SESSION
    run_apart(written(quiet=OURS), Settings(check_only=True), lambda line: None)
    assert session.SESSION is before
    assert session.SESSION.settings == Settings()
