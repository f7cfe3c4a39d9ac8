"""Try damaged files for a time: this process watches another one that reads them."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fastrace.bench.machine import ROOT
from fastrace.bench.studies.fuzz.attempt import Attempts, Outcome, read
from fastrace.bench.studies.fuzz.page import page
from fastrace.bench.studies.fuzz.seeds import from_folders, generated
from fastrace.bench.studies.fuzz.statistics import Statistics
from fastrace.dicom.bounds import memory_limit
from fastrace.execute.limits import limit_memory
from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Recipe
from fastrace.preprocess.task import Settings

MAX_PIXELS = 1 << 28
_WAIT_SECONDS = 60.0  # on a machine that others use, six times what an input may take
_SAVE_EVERY = 20.0


def main(arguments: list[str]) -> int:
    """Run, write, and return 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m fastrace.bench.studies.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same files")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--files", type=int, help="how many files at most")
    parser.add_argument(
        "--data", type=Path, action="append", default=[], help="folder of real files to begin with (repeatable)"
    )
    parser.add_argument("--findings", type=Path, help="where the files go that must not be possible [none are kept]")
    parser.add_argument("--json", type=Path, help="statistics, written every 20 s")
    parser.add_argument("--write", action="store_true", help="write docs/fuzz.md and bench/results/fuzz.json")
    parser.add_argument("--read", type=Path, metavar="JSON", help="try nothing: take the statistics that --json wrote")
    given = parser.parse_args(arguments)
    found = run(given).as_json() if given.read is None else json.loads(given.read.read_text())
    text = page(found)
    if given.write:
        (ROOT / "bench/results/fuzz.json").write_text(json.dumps(found, indent=1) + "\n")
        (ROOT / "docs/fuzz.md").write_text(text)
    sys.stdout.write(text)
    return 1 if found["findings"] else 0


def run(given: argparse.Namespace) -> Statistics:
    """Try files until the time is over."""
    files = {**generated(), **from_folders(given.data)}
    found = Statistics(seed=given.seed, seeds=len(files))
    started, saved = 0.0, time.monotonic()
    number = given.first
    last = None if given.files is None else given.first + given.files
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        while (found.seconds < given.seconds) and (last is None or number < last):
            with _reader(Path(folder), files, given.seed, number) as (process, pipe):
                started = started or time.monotonic()
                while found.seconds < given.seconds and (last is None or number < last):
                    pipe.send(number)
                    answer = _answer(pipe)
                    found.seconds = time.monotonic() - started
                    if isinstance(answer, str):
                        _lost(found, answer, process, number, Path(folder), files, given)
                        number += 1
                        break
                    found.add(answer)
                    for failure in answer["failures"]:
                        _keep(found, failure, answer, Path(folder) / "input", given)
                    number += 1
                    if given.json and time.monotonic() - saved > _SAVE_EVERY:
                        saved = time.monotonic()
                        _save(given.json, found)
    if given.json:
        _save(given.json, found)
    return found


def _answer(pipe: Connection) -> dict[str, Any] | str:
    try:
        if not pipe.poll(_WAIT_SECONDS):
            return f"no answer after {_WAIT_SECONDS:g} s"
        answer: dict[str, Any] = pipe.recv()
        return answer
    except (EOFError, OSError):
        return "its process ended"


def _lost(
    found: Statistics, what: str, process: Any, number: int, folder: Path, files: Any, given: argparse.Namespace
) -> None:
    if what.startswith("no answer"):
        process.kill()
    process.join()
    outcome = Attempts(given.seed, files).make(number, folder / "input")
    found.add({**outcome.as_json(), "peak_bytes": 0, "printed": 0})
    _keep(found, f"{what} (exit code {process.exitcode})", outcome.as_json(), folder / "input", given)


def _keep(found: Statistics, what: str, outcome: dict[str, Any], path: Path, given: argparse.Namespace) -> None:
    found.findings.append(
        {"what": what, "number": outcome["number"], "seed": outcome["seed"], "mutators": outcome["mutators"]}
    )
    if given.findings is not None and path.stat().st_size < 1 << 28:
        given.findings.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, given.findings / f"{given.seed}-{outcome['number']}")


def _save(path: Path, found: Statistics) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(found.as_json(), indent=1) + "\n")
    part.replace(path)


@contextmanager
def _reader(folder: Path, files: dict[str, bytes], seed: int, first: int) -> Iterator[tuple[Any, Connection]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, folder, files, seed), daemon=True)
    process.start()
    theirs.close()
    if ours.recv() != "ready":
        raise AssertionError("the reader did not start")
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(pipe: Connection, folder: Path, files: dict[str, bytes], seed: int) -> None:
    """Read files until the parent ends; what libraries print goes into a file and is counted."""
    import torch

    torch.set_num_threads(1)
    attempts = Attempts(seed, files)
    preset = get_modality("any")
    settings = Settings(Recipe.from_preset(preset, size=(32, 32)), preset, MAX_PIXELS)
    path, printed = folder / "input", folder / "printed"
    descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    for name, content in files.items():  # what is loaded late is loaded here
        path.write_bytes(content)
        read(path, Outcome(-1, name, []), settings)
    base = _peak_bytes()
    limit_memory(memory_limit(MAX_PIXELS))
    pipe.send("ready")
    while True:
        number = pipe.recv()
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        outcome = attempts.make(number, path)
        read(path, outcome, settings)
        pipe.send({**outcome.as_json(), "peak_bytes": _peak_bytes() - base, "printed": os.fstat(descriptor).st_size})


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
