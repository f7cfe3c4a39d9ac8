"""`fastrace audit` as it is typed: what it prints, and what it refuses in one line."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from audit_archives import Finished, fewer_permutations
from planted import dataset_of_groups

from fastrace.cli.main import main
from fastrace.dataset import Dataset


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str


def call(*words: object, command: str = "audit") -> Done:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with fewer_permutations(99), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([command, *map(str, words)])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


QUICK = ("--readers", "none", "--permutations", 99)


def test_it_prints_the_first_page_and_where_to_go_next(tmp_path: Path, tiny: Dataset) -> None:
    done = call(tiny.path, "--out", tmp_path / "audit", "--only", "Q1", *QUICK)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "fastrace audit · any · 40 images · 40 patients · attribute: group, 2 groups"
    for number in range(1, 8):
        assert any(line.startswith(f"Q{number} ") for line in lines)
    assert sum(line.startswith("control ") for line in lines) == 6
    assert lines[-1] == f"next: fastrace report {tmp_path / 'audit'}"


def test_json_is_the_document_and_nothing_else(tmp_path: Path, tiny: Dataset) -> None:
    done = call(tiny.path, "--out", tmp_path / "audit", "--only", "C2a", "--json", *QUICK)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "audit" / "audit.json").read_text())


@pytest.mark.parametrize(
    ("only", "experiments"),
    [
        ("Q1", {"A1", "A1f"}),
        ("C1a", {"A1", "A1f", "A1r", "C1a"}),
        ("C1b, C2", {"A1", "A1f", "A1r", "C1b", "C2a", "C2b"}),
    ],
)
def test_only_runs_what_is_named_and_a1(tmp_path: Path, tiny: Dataset, only: str, experiments: set[str]) -> None:
    done = call(tiny.path, "--out", tmp_path / "audit", "--only", only, "--json", *QUICK)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert {cell["experiment"] for cell in found["cells"]} == experiments
    assert found["status"] == "partial"
    where = found["questions"][1]
    assert (where["mark"] == "not run") == (only == "Q1")
    if only != "Q1":
        assert "not run" not in where["sentence"]


def test_the_old_name_of_the_readers_still_works(tmp_path: Path, tiny: Dataset) -> None:
    words = ("--features", "none", "--only", "Q1", "--permutations", 99, "--json")
    done = call(tiny.path, "--out", tmp_path / "audit", *words)
    assert done.exit_code == 0, done.stderr
    assert "--readers none" in json.loads(done.stdout)["repeat"]


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["--only", "Q9"], 2, ("--only Q9", "Q1", "C1a")),
        (["--only", "C"], 2, ("--only C",)),
        (["--target", "rase"], 2, ("--target rase", "candidates", "group")),
        (["--target", "age_years"], 2, ("--target age_years", "candidates")),
        (["--modality", "mammo"], 2, ("--modality mammo", "cxr")),
        (["--class", "A"], 1, ("two classes",)),
        (["--readers", "no_such_model"], 2, ("no_such_model",)),
        (["--readers", "resnet18=nowhere.pt"], 2, ("nowhere.pt",)),
        (["--embeddings", "nowhere.parquet"], 2, ("nowhere.parquet: no such file",)),
        (["--key", "patient=who"], 2, ("--key", "--embeddings FILE")),
        (["--readers", "nowhere.at_all:embed"], 2, ("no module 'nowhere'",)),
        (["--permutations", "98"], 2, ("98",)),
        (["--seed", "-1"], 2, ("-1",)),
        (["--engine", "retrain"], 2, ("retrain",)),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_before_anything_is_written(
    tmp_path: Path, chest: Dataset, words: Sequence[str], code: int, parts: Sequence[str]
) -> None:
    done = call(chest.path, "--out", tmp_path / "audit", *words)
    assert done.exit_code == code, done.stderr
    for part in parts:
        assert part in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    if not errors[0].startswith("Usage:"):  # click's own
        assert len(errors) == 1, errors
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "audit" / "audit.json").exists()


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("chest") / "data"
    return dataset_of_groups(path, groups={"A": 20, "B": 20}, size=(24, 24), modality="cxr")


def test_without_data_it_is_refused_with_what_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (done := call()).exit_code == 2
    assert "--modality" in done.stderr
    done = call("--modality", "cxr")
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1


def options(document: dict[str, Any]) -> list[str]:
    """The words of the command that repeats an audit, from its document."""
    words = shlex.split(document["repeat"])
    assert words[:3] == ["fastrace", "audit", "DATA"]
    return words[3:]


def test_the_command_that_repeats_an_audit_repeats_it(tmp_path: Path, crowded: Finished) -> None:
    words = options(crowded.document)
    place = words.index("--out") + 1
    # The same command with a question less, to be quick: what matters is that every option is understood as it was meant.
    replaced = [*words[:place], str(tmp_path / "audit"), *words[place + 1 :], "--only", "Q1", "--json"]
    done = call(crowded.dataset.path, *replaced)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    for key, value in crowded.document["arguments"].items():
        if key not in ("only", "target"):
            assert found["arguments"][key] == value, key
    assert found["target"] == crowded.document["target"]
    assert found["cells"][0]["estimate"] == crowded.document["cells"][0]["estimate"]
    assert found["cells"][0]["p"] == crowded.document["cells"][0]["p"]


def test_the_repeating_command_quotes_names_of_several_words(tmp_path: Path, crowded: Finished) -> None:
    from audit_archives import finish

    classes = ("C", "B, of two words")
    again = finish(tmp_path, crowded.dataset, target="primary race", classes=classes, only=("Q1",))
    words = options(again.document)
    assert [words[k + 1] for k, word in enumerate(words) if word == "--class"] == list(classes)
    assert words[words.index("--target") + 1] == "primary race"
