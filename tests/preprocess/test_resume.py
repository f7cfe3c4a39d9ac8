"""What an earlier run left is believed only as far as it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError
from fastrace.modality import get_modality
from fastrace.preprocess import opening, worker
from fastrace.preprocess.parts import part_file
from fastrace.preprocess.recipe import Job, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess.store import private_folder
from fastrace.preprocess.task import Result, Settings, Task, limit_seconds

WriteDicom = Callable[..., Path]
PRESET = get_modality("any")
SETTINGS = Settings(Recipe.from_preset(PRESET, size=(8, 8)), PRESET, max_pixels=1 << 20)


class Lines(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def job(tmp_path: Path, write_dicom: WriteDicom) -> Job:
    for number in range(9):
        write_dicom(tmp_path / "archive" / f"{number}", PatientID=f"p{number}")
    return Job((tmp_path / "archive",), tmp_path / "out", SETTINGS.recipe, PRESET, rows_per_shard=3)


def content(job: Job) -> dict[str, bytes]:
    files = [*job.out.iterdir(), private_folder(job.out) / "sources.parquet"]
    return {file.name: file.read_bytes() for file in files}


def test_a_damaged_shard_is_made_again_and_said(job: Job) -> None:
    preprocess(job)
    before = content(job)
    shard = job.out / "images-00001.npy"
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    progress = Lines()
    assert preprocess(job, progress).resumed_images == 3  # those of the first shard
    assert content(job) == before
    (line,) = progress.lines
    assert line == f"{shard}: its content changed after it was written; made again from there"


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_or_missing_part_is_made_again(job: Job, damage: bytes | None) -> None:
    preprocess(job)
    before = content(job)
    part = private_folder(job.out) / "parts" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100] if damage is None else damage)
    progress = Lines()
    assert preprocess(job, progress).resumed_images == 3
    assert content(job) == before
    assert progress.lines[0].startswith(f"{part}: damaged")


def test_parts_of_another_version_are_made_again(job: Job) -> None:
    """Columns that a part did not have yet ended the run in a KeyError."""
    preprocess(job)
    before = content(job)
    (job.out / "dataset.json").unlink()
    part = part_file(private_folder(job.out), 1)
    table = pq.read_table(part)
    pq.write_table(table.drop_columns(["said"]), part)
    progress = Lines()
    assert preprocess(job, progress).resumed_images == 3
    assert content(job) == before
    assert progress.lines[0] == f"{part}: made by another version of fastrace; made again from there"


def test_while_it_is_made_again_it_is_no_finished_dataset(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocess(job)
    (job.out / "images-00002.npy").unlink()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastrace.preprocess.run._Writer.run", stop)
    with pytest.raises(KeyboardInterrupt):
        preprocess(job)
    with pytest.raises(DatasetError, match="not finished"):
        Dataset.open(job.out)


def test_of_two_runs_that_begin_together_the_second_leaves_the_salt_alone(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found no salt before the lock was taken first: the keys of the first were then made with a salt that nobody has."""
    from fastrace.preprocess import run

    private = private_folder(job.out)
    make_folders, inside = run.make_folders, []

    def second(job: Job, folder: Path) -> None:
        make_folders(job, folder)
        if not inside:
            inside.append(True)
            preprocess(job)

    monkeypatch.setattr(run, "make_folders", second)
    preprocess(job)
    from fastrace.dataset import salt_id

    assert Dataset.open(job.out).salt_id == salt_id((private / "salt").read_bytes())


def task(file: Path, **changes: object) -> Task:
    status = file.stat()
    return Task(0, str(file), status.st_size, mtime_ns=status.st_mtime_ns, **changes)  # type: ignore[arg-type]


def reasons(results: list[Result]) -> set[str | None]:
    return {result.reason for result in results}


def test_a_file_written_after_the_scan_is_rejected(tmp_path: Path, write_dicom: WriteDicom) -> None:
    file = write_dicom(tmp_path / "a")
    scanned = task(file)
    assert reasons(worker.work(SETTINGS, scanned)) == {None}
    os.utime(file, ns=(0, scanned.mtime_ns + 1))
    (result,) = worker.work(SETTINGS, scanned)
    assert result.reason == "changed"
    assert "wait until nothing writes" in str(result.message)


def test_a_file_written_while_it_is_read_is_rejected(
    tmp_path: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_dicom(tmp_path / "a")
    opened = opening.open_frames

    def cutting(path: Path, **options: object) -> object:
        path.write_bytes(path.read_bytes()[:-8])  # half of it is there: "truncated" would blame the sender
        return opened(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "open_frames", cutting)
    assert reasons(worker.work(SETTINGS, task(file))) == {"changed"}


def test_a_file_in_the_place_of_another_is_noticed_at_its_later_frames(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """Same size, same time: the frames of two files would become one series."""
    frames = np.random.default_rng(0).integers(0, 4096, (20, 8, 8))
    file = write_dicom(tmp_path / "a", frames, SOPInstanceUID="1.2.840.1")
    first = task(file)
    head = worker.work(SETTINGS, first)[-1].head
    later = Task(0, str(file), first.size, 16, 20, mtime_ns=first.mtime_ns, head=head)
    assert reasons(worker.work(SETTINGS, later)) == {None}
    write_dicom(file, frames, SOPInstanceUID="1.2.840.2")
    os.utime(file, ns=(0, first.mtime_ns))
    results = worker.work(SETTINGS, later)
    assert [(result.frame, result.reason) for result in results] == [(n, "changed") for n in range(16, 20)]


def test_a_file_that_became_a_fifo_does_not_hang(tmp_path: Path, write_dicom: WriteDicom) -> None:
    file = write_dicom(tmp_path / "a")
    scanned = task(file)
    file.unlink()
    os.mkfifo(file)
    assert reasons(worker.work(SETTINGS, scanned)) == {"changed"}


def test_the_time_limit_grows_with_the_file() -> None:
    assert limit_seconds(Task(0, "a", 0)) == 120
    assert limit_seconds(Task(0, "a", 17_000_000)) == 137
    assert limit_seconds(Task(0, "a", -1)) == 120
