"""One file in a worker: whatever the machine does to it is that file's matter, and the rest goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastrace.dicom import Frames, open_frames
from fastrace.modality import get_modality
from fastrace.preprocess import opening, worker
from fastrace.preprocess.facts import person_facts
from fastrace.preprocess.headers import inspect
from fastrace.preprocess.recipe import Recipe
from fastrace.preprocess.task import Result, Settings, Task

PRESET = get_modality("cxr")
SETTINGS = Settings(Recipe.from_preset(PRESET, size=(8, 8)), PRESET, max_pixels=1 << 20)


def read(path: Path) -> list[Result]:
    return worker.work(SETTINGS, task(path))


def task(path: Path) -> Task:
    return Task(0, str(path), path.stat().st_size)


def test_a_file_that_vanishes_between_header_and_pixels_is_rejected(
    tmp_path: Path, write_dicom: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_dicom(tmp_path / "a")

    def vanishing(path: Path, **options: object) -> Frames:
        frames = opened(path, **options)  # type: ignore[arg-type]
        path.unlink()
        return frames

    opened = opening.open_frames
    monkeypatch.setattr(opening, "open_frames", vanishing)
    (result,) = read(file)
    assert result.reason == "unreadable"
    assert "No such file or directory" in str(result.message)


def test_a_file_that_does_not_fit_into_memory_is_rejected(
    tmp_path: Path, write_dicom: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_dicom(tmp_path / "a")

    def exhausted(self: Frames, index: int) -> None:
        raise MemoryError

    monkeypatch.setattr(Frames, "frame", exhausted)
    (result,) = read(file)
    assert result.reason == "no_memory"
    assert "lower --jobs" in str(result.message)


def test_an_inspection_reads_the_header_of_a_file(tmp_path: Path, write_dicom: Callable[..., Path]) -> None:
    file = write_dicom(tmp_path / "a", np.random.default_rng(0).integers(0, 4096, (5, 8, 8)))
    [result] = inspect(SETTINGS, task(file))
    assert (result.frames, result.pixels, result.reason) == (5, None, None)
    whole = read(file)
    assert len(whole) == 5
    found, facts = result.facts or {}, whole[0].facts or {}
    both = found.keys() & facts.keys()
    assert {name: found[name] for name in both} == {name: facts[name] for name in both}
    # What only asks whether one id is one person leaves with no image.
    assert found.keys() - facts.keys() == {"birth_day"}
    assert person_facts(open_frames(file).header).items() <= found.items()


def test_workers_that_cannot_start_are_not_blamed_on_the_files(tmp_path: Path) -> None:
    """A program read from standard input has no file that a spawned process could import."""
    program = (
        "from pathlib import Path\n"
        "from fastrace.execute.processes import Processes\n"
        "from fastrace.execute.protocol import Work\n"
        "with Processes(Work(print), 1) as pool:\n"
        "    list(pool.results([1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "FastraceError: worker processes end as soon as they start" in done.stderr
