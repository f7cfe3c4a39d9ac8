"""What is refused before the first file is read, and that refusing it leaves nothing behind."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fastrace.cli.main import main
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError, UsageError
from fastrace.modality import get_modality
from fastrace.preprocess.begin import inputs
from fastrace.preprocess.parts import forget_parts
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess.store import private_folder


def job(archive: Path, out: Path, **options: Any) -> Job:
    preset = get_modality("cxr")
    join = Join(**{one.name: options.pop(one.name) for one in fields(Join) if one.name in options})
    recipe = Recipe.from_preset(preset, size=(8, 8))
    return Job(sources=(archive,), out=out, recipe=recipe, preset=preset, join=join, **options)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "file").write_bytes(b"not an image")
    return tmp_path / "archive"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": ("patient_id",)}, "--key is about the label table; name it with --labels"),
        ({"columns": ("bmi",)}, "--column is about the label table"),
        ({"categories": Path("map.txt")}, "--categories is about the label table"),
        ({"salt": Path(__file__)}, "a salt has 16 to 64"),
    ],
)
def test_a_wrong_option_leaves_no_folder_behind(
    archive: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        preprocess(job(archive, tmp_path / "out", **options))
    with pytest.raises(UsageError, match="no such file or folder"):
        preprocess(job(tmp_path / "mistyped", tmp_path / "out"))
    assert os.listdir(tmp_path) == ["archive"]


def test_a_dataset_inside_its_archive_is_no_input_of_itself(archive: Path) -> None:
    out = archive / "made" / "data"
    before = inputs(job(archive, out))
    for made in (out / "images-00000.npy", private_folder(out) / "salt"):
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(b"x" * 32)
    assert list(inputs(job(archive, out))) == list(before)
    assert [source.relative for source in before] == ["file"]


def test_the_archive_itself_is_no_place_for_the_dataset(archive: Path) -> None:
    with pytest.raises(DatasetError, match="not empty"):
        preprocess(job(archive, archive))
    assert os.listdir(archive) == ["file"]


def test_the_private_folder_lies_beside_the_dataset_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert private_folder(Path(".")) == tmp_path / "a" / "b.private"
    assert private_folder(Path("..")) == tmp_path / "a.private"
    assert private_folder(Path("../c/")) == Path("../c.private")
    with pytest.raises(UsageError, match="name a folder"):
        private_folder(Path("/"))


def test_parts_are_forgotten_from_the_last_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later part without the first counts for nothing; the first without its followers would."""
    (tmp_path / "parts").mkdir()
    for number in (0, 1, 10):
        (tmp_path / "parts" / f"part-{number:05}.parquet").touch()
    gone: list[str] = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self: (gone.append(self.name), unlink(self))[1])
    forget_parts(tmp_path)
    assert gone == ["part-00010.parquet", "part-00001.parquet", "part-00000.parquet"]


@pytest.mark.parametrize("content", ["[]", "{}", "nonsense", '{"schema": 1}'])
def test_a_dataset_whose_facts_are_damaged_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DatasetError, match=r"dataset\.json: not .*; make the dataset again"):
        Dataset.open(tmp_path)


def test_an_unforeseen_error_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("first line\nsecond line")

    monkeypatch.setattr("fastrace.verify.examine", fail)
    with pytest.raises(SystemExit) as stop:
        main(["verify", "somewhere"])
    errors = capsys.readouterr().err
    assert stop.value.code == 1
    assert errors.startswith("fastrace: KeyError: ")
    assert errors.count("\n") == 1
    assert "Traceback" not in errors
