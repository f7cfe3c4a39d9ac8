"""An audit is stopped anywhere, goes on, and has the same result; its folder is for its owner alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audit_archives import Stop, fewer_permutations, lasting, request

from fastrace.audit.run import audit
from fastrace.dataset import Dataset
from fastrace.errors import RunError
from fastrace.run_folder import RunFolder

ONLY = ("A1", "C1a", "C1s", "C2b")


def modes(folder: Path) -> dict[str, int]:
    return {str(file.relative_to(folder)): file.stat().st_mode & 0o777 for file in folder.rglob("*")}


@pytest.fixture(scope="module")
def undisturbed(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "audit"
    with fewer_permutations(99):
        audit(request(tiny.path, out, only=ONLY))
    return out


def content(out: Path) -> str:
    return json.dumps(lasting(json.loads((out / "audit.json").read_text())), indent=2)


@pytest.mark.parametrize(
    ("stage", "step"), [("features", 1), ("features", 3), ("cells", 1), ("cells", 9), ("planted control", 1)]
)
def test_stopped_and_resumed_it_has_the_same_result(
    tmp_path: Path, tiny: Dataset, undisturbed: Path, stage: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastrace.audit.readers.tables.PIXELS_AT_ONCE", 24 * 24 * 9)  # five pieces
    out = tmp_path / "audit"
    progress = Stop(stage, step)
    with fewer_permutations(99):
        with pytest.raises(KeyboardInterrupt):
            audit(request(tiny.path, out, only=ONLY), progress=progress)
        assert not (out / "audit.json").exists()
        again = Stop()
        audit(request(tiny.path, out, only=ONLY), resume=True, progress=again)
    assert content(out) == content(undisturbed)
    if stage != "features":
        assert "features" not in again.stages  # they were finished
    assert {file.name for file in out.iterdir()} == {"run.json", "audit.json", "lock", "partition.parquet"}


def test_a_finished_cell_is_not_computed_again(tmp_path: Path, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "audit"
    with fewer_permutations(99), pytest.raises(KeyboardInterrupt):
        audit(request(tiny.path, out, only=ONLY), progress=Stop("cells", 8))
    done = set((out / "work" / "cells").glob("*.npz"))
    before = {file: file.stat().st_mtime_ns for file in done}
    with fewer_permutations(99):
        audit(request(tiny.path, out, only=ONLY, keep_work=True), resume=True)
    assert len(done) >= 8
    assert {file: file.stat().st_mtime_ns for file in done} == before


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def garbage(file: Path) -> None:
    file.write_bytes(b"garbage" * 9)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("cells/0003.npz", cut), ("cells/0003.npz", garbage), ("cells/0003.npz", flip), ("features/parts.npy", cut),
     ("features/parts.npy", flip), ("features/done.json", garbage)],
)  # fmt: skip
def test_a_damaged_work_file_is_made_again_with_a_line(
    tmp_path: Path, tiny: Dataset, undisturbed: Path, name: str, damage: Callable[[Path], None]
) -> None:
    out = tmp_path / "audit"
    with fewer_permutations(99), pytest.raises(KeyboardInterrupt):
        audit(request(tiny.path, out, only=ONLY), progress=Stop("cells", 6))
    damage(out / "work" / name)
    again = Stop()
    with fewer_permutations(99):
        audit(request(tiny.path, out, only=ONLY), resume=True, progress=again)
    assert content(out) == content(undisturbed)
    (line,) = [line for line in again.lines if "damaged" in line]
    assert str(out / "work" / name.split("/")[0]) in line


def test_a_table_that_is_gone_is_not_read_as_zeros(
    tmp_path: Path, tiny: Dataset, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made new with zeros, and only the patients not yet done were filled in."""
    monkeypatch.setattr("fastrace.audit.readers.tables.PIXELS_AT_ONCE", 24 * 24 * 9)  # five pieces
    out = tmp_path / "audit"
    with fewer_permutations(99), pytest.raises(KeyboardInterrupt):
        audit(request(tiny.path, out, only=ONLY), progress=Stop("features", 3))
    (out / "work" / "features" / "parts.npy").unlink()
    with fewer_permutations(99):
        audit(request(tiny.path, out, only=ONLY), resume=True)
    assert content(out) == content(undisturbed)


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
import fastrace.audit.readers.tables
fastrace.audit.readers.tables.PIXELS_AT_ONCE = 24 * 24 * 9
from audit_archives import request, fewer_permutations
from fastrace.audit.run import audit
with fewer_permutations(99):
    audit(request(Path(sys.argv[2]), Path(sys.argv[3]), only=tuple(sys.argv[4].split(","))), resume=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_has_the_same_result(tmp_path: Path, tiny: Dataset, undisturbed: Path) -> None:
    out = tmp_path / "audit"
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tiny.path), str(out), ",".join(ONLY)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def far(name: str, count: int) -> bool:
        return len(list((out / "work").rglob(name))) >= count

    for name, count in (("done.json", 1), ("*.npz", 5)):
        process = subprocess.Popen(command, env=environment)
        try:
            until = time.monotonic() + 60
            while process.poll() is None and not far(name, count) and time.monotonic() < until:
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert (out / "run.json").is_file()
    subprocess.run(command, env=environment, check=True)
    assert content(out) == content(undisturbed)
    assert not (out / "work").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 1}, "seed"), ({"permutations": 199}, "permutations"), ({"only": ("A1",)}, "only"),
     ({"readers": ("small",)}, "readers"), ({"modality": "cxr"}, "modality"), ({"classes": ("B", "A")}, "classes")],
)  # fmt: skip
def test_resume_with_another_question_is_refused(
    undisturbed: Path, tiny: Dataset, change: dict[str, Any], named: str
) -> None:
    before = content(undisturbed)
    with pytest.raises(RunError, match=f"--resume needs the options of that audit.*{named}"):
        audit(request(tiny.path, undisturbed, **{"only": ONLY, **change}), resume=True)
    assert content(undisturbed) == before


def test_resume_with_other_data_is_refused(undisturbed: Path, leak: Any) -> None:
    with pytest.raises(RunError, match="the dataset"):
        audit(request(leak.dataset.path, undisturbed, only=ONLY), resume=True)


def test_a_finished_audit_is_read_and_not_made_again(undisturbed: Path, tiny: Dataset) -> None:
    before = (undisturbed / "audit.json").stat().st_mtime_ns
    progress = Stop()
    found = audit(request(tiny.path, undisturbed, only=ONLY, purpose="other words"), resume=True, progress=progress)
    assert json.loads(found.to_json()) == json.loads((undisturbed / "audit.json").read_text())
    assert (undisturbed / "audit.json").stat().st_mtime_ns == before
    assert progress.stages == []
    with pytest.raises(RunError, match="finished audit"):
        audit(request(tiny.path, undisturbed, only=ONLY))


def test_an_interrupted_audit_is_not_overwritten(tmp_path: Path, tiny: Dataset) -> None:
    out = tmp_path / "audit"
    with pytest.raises(KeyboardInterrupt):
        audit(request(tiny.path, out, only=("Q1",)), progress=Stop("features", 1))
    with pytest.raises(RunError, match=r"interrupted.*--resume"):
        audit(request(tiny.path, out, only=("Q1",)))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, tiny: Dataset) -> None:
    out = tmp_path / "audit"
    out.mkdir()
    (out / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        audit(request(tiny.path, out, only=("Q1",)))
    assert [file.name for file in out.iterdir()] == ["letter.txt"]


def test_the_folder_is_for_its_owner_alone_and_holds_no_patient(undisturbed: Path, tiny: Dataset) -> None:
    assert undisturbed.stat().st_mode & 0o777 == 0o700
    assert modes(undisturbed) == {"run.json": 0o600, "audit.json": 0o600, "lock": 0o600, "partition.parquet": 0o600}


def test_what_is_about_patients_stays_only_on_request_and_for_the_owner(tmp_path: Path, tiny: Dataset) -> None:
    out = tmp_path / "audit"
    with fewer_permutations(99):
        audit(request(tiny.path, out, only=("Q1",), keep_work=True))
    found = modes(out)
    assert any(name.startswith("work/features/") for name in found)
    assert any(name.startswith("work/cells/") for name in found)
    open_to_others = {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert not open_to_others


def test_an_audit_interrupted_under_another_schema_is_refused(tmp_path: Path, tiny: Dataset) -> None:
    out = tmp_path / "audit"
    with fewer_permutations(99), pytest.raises(KeyboardInterrupt):
        audit(request(tiny.path, out, only=ONLY), progress=Stop("cells", 2))
    folder = RunFolder(out)
    folder.write_json("run.json", {**folder.read_json("run.json"), "schema": 1})
    with pytest.raises(
        RunError, match=r"holds an audit of schema 1, this fastrace writes schema 3; choose another --out"
    ):
        audit(request(tiny.path, out, only=ONLY), resume=True)
    assert json.loads((out / "run.json").read_text())["schema"] == 1
