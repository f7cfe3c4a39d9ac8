"""A run that was interrupted, killed or met a full disk goes on to the same result; a folder of others is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from planted import make_dataset

from fastrace.errors import RunError
from fastrace.train import Options, train
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.progress import Talk

Ask = Callable[..., Options]


class Record(Talk):
    """Keeps the lines; stops like Ctrl-C at a step of an epoch if asked."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.stop_at = stop_at
        self.what = ""

    def line(self, text: str) -> None:
        self.lines.append(text)

    def begin(self, what: str, total: int) -> None:
        self.what = what

    def step(self) -> None:
        if self.what == f"epoch {self.stop_at}/4":
            raise KeyboardInterrupt


def files(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


@pytest.mark.parametrize("stop_at", [1, 3])
def test_an_interrupted_run_resumed_equals_an_undisturbed_one(trained: Path, ask: Ask, stop_at: int) -> None:
    options = ask()
    talk = Record(stop_at)
    with pytest.raises(KeyboardInterrupt):
        train(options, talk=talk)
    assert "--resume" in talk.lines[-1]
    assert "metrics.json" not in files(options.out)
    talk = Record()
    train(options, resume=True, talk=talk)
    assert any("resumed after epoch 2" in line for line in talk.lines) == (stop_at == 3)
    for name in ("metrics.json", "split.parquet", "predictions.parquet"):
        assert (options.out / name).read_bytes() == (trained / name).read_bytes()
    history, undisturbed = (pd.read_parquet(run / "history.parquet") for run in (options.out, trained))
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), undisturbed.drop(columns="seconds"))
    assert "state.pt" not in files(options.out)


KILLED_IN_EPOCH_3 = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from planted import options_for
from fastrace.train import train
from fastrace.train.progress import Talk

class Killer(Talk):
    def begin(self, what, total):
        self.what = what
    def step(self):
        if self.what == "epoch 3/4":
            os.kill(os.getpid(), signal.SIGKILL)

train(options_for(Path(sys.argv[1]), Path(sys.argv[2])), talk=Killer())
"""


def test_a_killed_process_resumed_equals_an_undisturbed_one(trained: Path, ask: Ask) -> None:
    options = ask()
    here = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", KILLED_IN_EPOCH_3, str(options.data), str(options.out), here]
    ended = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert "state.pt" in files(options.out)
    with pytest.raises(RunError, match=r"holds a run that was interrupted; go on with --resume"):
        train(options)
    talk = Record()
    train(options, resume=True, talk=talk)
    assert any("resumed after epoch 2" in line for line in talk.lines)
    assert (options.out / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()


def test_a_finished_run_is_not_overwritten_but_read_again(trained: Path, ask: Ask) -> None:
    options = ask(out=trained)
    with pytest.raises(RunError, match="holds a finished run; choose another --out"):
        train(options)
    talk = Record()
    assert train(options, resume=True, talk=talk).metrics["target"] == "group"
    assert talk.lines == [f"{trained}: already finished"]


def test_resume_with_other_options_is_refused_with_the_difference(trained: Path, ask: Ask, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="seed: 0 there, 5 asked"):
        train(ask(out=trained, seed=5), resume=True)
    with pytest.raises(RunError, match="epochs: 4 there, 9 asked"):
        train(ask(out=trained, recipe=replace(ask().recipe, epochs=9)), resume=True)
    other = make_dataset(tmp_path / "other", patients=20)
    with pytest.raises(RunError, match="the dataset"):
        train(ask(out=trained, data=other.path), resume=True)


def test_a_folder_with_something_else_is_not_touched(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty and no run of fastrace"):
        train(ask(out=tmp_path / "full"))
    assert files(tmp_path / "full") == {"thesis.txt"}
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        train(ask(out=tmp_path / "file" / "run"))


def test_two_processes_cannot_train_into_one_folder(ask: Ask) -> None:
    from fastrace.run_folder import RunFolder

    folder = RunFolder(ask().out)
    folder.create()
    with folder.locked(), pytest.raises(RunError, match="in use by another fastrace process"):
        train(ask())


def test_a_full_disk_is_one_line_and_the_run_can_go_on(
    trained: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from fastrace import run_folder

    def full(path: Path, content: bytes, mode: int = 0o644) -> None:
        if path.name == "checkpoint.pt":
            path.with_name(path.name + ".part").write_bytes(content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content, mode)

    write = run_folder.write_atomic
    monkeypatch.setattr(run_folder, "write_atomic", full)
    with pytest.raises(RunError, match=r"checkpoint.pt: cannot be written \(No space left on device\); make room"):
        train(ask())
    assert not [name for name in files(ask().out) if name.endswith(".part")]
    monkeypatch.setattr(run_folder, "write_atomic", write)
    train(ask(), resume=True)
    assert (ask().out / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()


def test_a_run_folder_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    from fastrace.run_folder import RunFolder

    folder = RunFolder(tmp_path)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(RunError, match=r"run.json: not a document of fastrace"):
        folder.read_json("run.json")
    torch.save([1], tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match=r"checkpoint.pt: not a file of fastrace"):
        folder.read_tensors("checkpoint.pt")
    folder.write_tensors("checkpoint.pt", {"schema": 0})
    with pytest.raises(RunError, match=r"not a checkpoint of this version"):
        Checkpoint.load(tmp_path)
    folder.write_tensors("checkpoint.pt", {"schema": 1, "classes": ["a"]})
    with pytest.raises(RunError, match=r"incomplete"):
        Checkpoint.load(tmp_path)
