"""`fastrace train` and `fastrace evaluate` as typed: what they print, where they write, how they fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from planted import make_dataset

from fastrace.cli.main import main
from fastrace.console.progress import TerminalProgress

QUICK = ["--model", "small", "--epochs", "1", "--device", "cpu"]


def fastrace(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_train_prints_one_table_on_stdout_and_talks_on_stderr(
    planted_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fastrace("train", planted_path, "--out", tmp_path / "run", *QUICK) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^A vs B, by patient +[.01]\d* ?.*30 +60 +not enough evidence$", out, re.MULTILINE)
    assert f"run {tmp_path / 'run'}" in out
    assert "small: random initial weights (it has no ImageNet weights)" in err
    assert "train: A 30 patients / 60 images, B 30 patients / 60 images" in err
    assert re.search(r"^epoch 1/1  loss \d.* images/s$", err, re.MULTILINE)


def test_a_repeated_degradation_means_one_model_each(
    planted_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = ["--degrade", "none", "--degrade", "lowpass:4", "--json"]
    assert fastrace("train", planted_path, "--out", tmp_path / "runs", *QUICK, *several) == 0
    document = json.loads(capsys.readouterr().out)
    assert [run["degradation"] for run in document["runs"]] == ["none", "lowpass:4"]
    assert [Path(run["run"]) for run in document["runs"]] == [
        tmp_path / "runs" / "none",
        tmp_path / "runs" / "lowpass-4",
    ]


def test_the_short_forms_use_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_dataset(Path("fastrace-work/any/data"), patients=40)
    assert fastrace("train", "--modality", "any", *QUICK) == 0
    assert Path("fastrace-work/any/runs/group/metrics.json").is_file()
    assert fastrace("evaluate", "--modality", "any", "--device", "cpu") == 0
    assert "test part of the training data" in capsys.readouterr().out
    assert fastrace("train", "--modality", "any", *QUICK, "--degrade", "blur:1", "--target", "sex") == 0
    assert Path("fastrace-work/any/runs/sex-blur-1/metrics.json").is_file()
    assert fastrace("evaluate", "--modality", "any") == 2
    assert "several runs; name one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--degrade", "band:9:3"], 2, "at character 8 expected a high edge above the low edge 9, got '3'"),
        (["--target", "race"], 2, "--target race: .* has no such column to predict .candidates: group, sex"),
        (["--model", "resnt34"], 2, "--model resnt34: unknown"),
        (["--init", "imagenet"], 1, "--init imagenet: no weights of|--init imagenet: model small"),
        (["--modality", "lung"], 2, "'lung' is not one of"),
        (["--class", "A", "--class", "B", "--class", "Z"], 1, "every class needs at least 3 patients.*'Z' 0"),
        (["--split", "official"], 1, "--split official: .*use --split patient"),
        (["--batch-size", "1"], 2, "1 is not in the range"),
        (["--resume", "--device", "cuda"], 1, "--device cuda: torch finds no CUDA device"),
    ],
)
def test_a_wrong_option_fails_in_one_line(
    planted_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert fastrace("train", planted_path, "--out", tmp_path / "run", "--model", "small", *arguments) == code
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_train_without_data_names_the_options_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert fastrace("train") == 2
    assert "name a dataset folder, or --modality" in capsys.readouterr().err


def test_a_modality_must_be_the_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_dataset(tmp_path / "d", patients=4, recipe={"modality": "mammo"})
    assert fastrace("train", tmp_path / "d", "--modality", "cxr") == 2
    assert "was made for mammo" in capsys.readouterr().err
    make_dataset(tmp_path / "e", patients=4, recipe={"modality": None})
    assert fastrace("train", tmp_path / "e") == 2
    assert "does not say its modality" in capsys.readouterr().err


def test_a_run_that_is_there_is_resumed_only_on_request(
    trained: Path, planted_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", planted_path, "--out", trained, "--model", "small", "--epochs", "4", "--batch-size", "16"]
    assert fastrace(*command, "--device", "cpu") == 1
    assert "holds a finished run" in capsys.readouterr().err
    assert fastrace(*command, "--device", "cpu", "--resume") == 0
    assert "already finished" in capsys.readouterr().err


def test_evaluate_prints_groups_never_patients(
    trained: Path, planted_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    run = shutil.copytree(trained, tmp_path / "run")
    assert fastrace("evaluate", run, planted_path, "--device", "cpu", "--out", tmp_path / "found.json") == 0
    out = capsys.readouterr().out
    assert "test part of the training data" in out
    assert "A vs B, by patient" in out
    assert "sex F" in out
    assert "view PA" in out
    assert "left out: not in the test part: 70 patients / 140 images" in out
    assert not re.search(r"\b[0-9a-f]{32}\b", out)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (tmp_path / "found.json").stat().st_mode & 0o777 == 0o600
    assert fastrace("evaluate", run, planted_path, "--device", "cpu", "--json") == 0
    assert json.loads(capsys.readouterr().out) == found


def test_evaluate_marks_small_strata_as_not_shown(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    run = shutil.copytree(trained, tmp_path / "run")
    sexes = ["F", "F"] * 36 + ["M", "M"] * 4
    other = make_dataset(tmp_path / "other", patients=40, first_patient=1000, columns={"sex": sexes})
    assert fastrace("evaluate", run, other.path, "--device", "cpu") == 0
    assert re.search(r"^sex M +not shown: few patients$", capsys.readouterr().out, re.MULTILINE)


def test_scores_made_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"id": range(80), "race": ["Black", "White"] * 40})
    table["p"] = [(7 * k) % 80 + 20 * (k % 2 == 0) for k in range(80)]
    table.to_csv(tmp_path / "s.csv", index=False)
    command = ["evaluate", "--predictions", tmp_path / "s.csv", "--label", "race", "--score", "Black=p"]
    assert fastrace(*command, "--patient", "id") == 0
    out, err = capsys.readouterr()
    assert re.search(r"^Black vs rest, by patient  \.\d{3} \(\.\d{3}-\.\d{3}\) +40 of 80 +80$", out, re.MULTILINE)
    assert not err
    assert fastrace(*command, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["evaluations"][0]["patients_known"] is False
    assert "every row counts as a patient of its own" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name RUN and DATA, or --modality"),
        (["RUN"], "name RUN and DATA"),
        (["RUN", "DATA", "--label", "race"], "--label belongs to --predictions"),
        (["RUN", "DATA", "--score", "a=b"], "--score belongs to --predictions"),
        (["--predictions", "s.csv"], "--predictions needs --label"),
        (["--predictions", "s.csv", "--label", "race", "--score", "p"], "expected CLASS=COLUMN"),
        (["--predictions", "s.csv", "--label", "race", "--score", "a=p", "--score", "a=q"], "class a was given before"),
        (["RUN", "--predictions", "s.csv", "--label", "race"], "stands alone"),
    ],
)
def test_evaluate_names_what_is_missing(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert fastrace("evaluate", *arguments) == 2
    assert message in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"race": ["Black", "White"] * 20, "p": range(40)})
    table.to_csv(tmp_path / "s.csv", index=False)
    command = ["evaluate", "--predictions", tmp_path / "s.csv", "--label", "race", "--score", "Black=p"]
    assert fastrace(*command, "--out", tmp_path / "missing" / "found.json") == 1
    assert "found.json: cannot be written (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_needs_no_torch(command: str) -> None:
    code = (
        "import sys\nfrom fastrace.cli.main import main\n"
        f"try:\n    main(['{command}', '--help'])\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example:" in done.stdout


class FakeTerminal:
    """A stderr that is a terminal and keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_a_terminal_gets_a_bar_and_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with TerminalProgress() as progress:
        progress.line("before [not markup]")
        for _ in range(2):
            progress.begin("epoch", 3)
            progress.step()
        progress.line("within")
    progress.line("after")
    assert "before [not markup]\n" in screen.text
    assert "within" in screen.text
    assert screen.text.endswith("after\n")


def test_a_log_file_gets_a_line_now_and_then_within_a_long_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress(every_seconds=0)
    progress.begin("epoch 1/2", 3)
    progress.step()
    assert capsys.readouterr().err == "epoch 1/2: 1 of 3 batches\n"
    progress = TerminalProgress(every_seconds=60)
    progress.begin("epoch 1/2", 3)
    progress.step()
    assert capsys.readouterr().err == ""
