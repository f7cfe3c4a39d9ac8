"""`verify` notices every change of a dataset, a run and an audit, and whoever uses one is stopped by those that matter to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from planted import dataset_of_groups, make_dataset, options_for, reseal
from verify_changes import AUDIT, DATASET, FIRST, RUN, SECOND, Change, flip, page

from fastrace import api
from fastrace.cli.main import main
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError, FastraceError, RunError
from fastrace.manifest import shard_facts
from fastrace.preprocess.recipe import job_for
from fastrace.preprocess.run import preprocess
from fastrace.report import differences
from fastrace.run_folder import RunFolder, json_text
from fastrace.train import train
from fastrace.trust import check
from fastrace.verify import examine, verify

ROOT = Path(__file__).parents[1]
QUICK = ["--model", "small", "--epochs", "1", "--device", "cpu"]


def fastrace(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset as preprocessing makes it, with its private folder: two shards of three images, one input rejected."""
    folder = tmp_path_factory.mktemp("archive")
    labels = api.phantom(folder / "src", patients=6, images_per_patient=1, size=(96, 80), modality="cxr")
    (folder / "src" / "empty.dcm").touch()
    job = job_for((folder / "src",), folder / "data", "cxr", size=(32, 32), labels=labels, jobs=1)
    preprocess(replace(job, rows_per_shard=3))
    assert {one.name for one in (folder / "data").iterdir()} >= {FIRST, SECOND, "README.md"}
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    make_dataset(folder / "data", patients=100, images_each=1, size=(16, 16), rows_per_shard=60)
    counts = {"files": 100, "inputs": 100, "indexed": 100, "patients": 100, "rejected": {}}
    return reseal(folder / "data", counts=counts).path


@pytest.fixture(scope="module")
def trained(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    options = options_for(planted, tmp_path_factory.mktemp("trained") / "run")
    return train(replace(options, recipe=replace(options.recipe, epochs=1))).folder


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    data = dataset_of_groups(folder / "data", groups={"A": 16, "B": 16}, size=(16, 16)).path
    api.audit(data, folder / "audit", readers=(), only=["Q1"], permutations=99)
    api.report(folder / "audit")
    return folder / "audit"


def compare(change: Change, folder: Path, use: Callable[[Path], object], kind: type[FastraceError]) -> None:
    """Make the change, then verify and use the folder."""
    change.make(folder)
    try:
        found = verify(folder)
    except FastraceError as error:
        found = [str(error).removeprefix(f"{folder}/")]
    found = [one.removeprefix(f"{folder}/") for one in found]
    if change.found:
        assert any(one.startswith(change.found) for one in found), found
    else:
        assert found == []
    if change.used:
        with pytest.raises(kind, match=re.escape(change.used)) as refused:
            use(folder)
        assert str(folder) in str(refused.value)
    else:
        use(folder)


@pytest.mark.parametrize("change", DATASET, ids=lambda change: change.what)
def test_every_change_of_a_dataset_is_named(archive: Path, tmp_path: Path, change: Change) -> None:
    shutil.copytree(archive / "data", tmp_path / "data")
    shutil.copytree(archive / "data.private", tmp_path / "data.private")

    def use(folder: Path) -> None:
        dataset = Dataset.open(folder)
        check(dataset, np.arange(len(dataset)), trust=False, progress=Progress())

    compare(change, tmp_path / "data", use, DatasetError)


@pytest.mark.parametrize("change", RUN, ids=lambda change: change.what)
def test_every_change_of_a_run_is_named(trained: Path, planted: Path, tmp_path: Path, change: Change) -> None:
    shutil.copytree(trained, tmp_path / "run")
    compare(change, tmp_path / "run", lambda folder: api.evaluate(folder, planted, device="cpu"), RunError)


@pytest.mark.parametrize("change", AUDIT, ids=lambda change: change.what)
def test_every_change_of_an_audit_is_named(audited: Path, tmp_path: Path, change: Change) -> None:
    shutil.copytree(audited, tmp_path / "audit")
    compare(change, tmp_path / "audit", api.report, RunError)


def test_the_page_in_docs_is_this_table() -> None:
    assert (ROOT / "docs" / "verify.md").read_text() == page(), (
        "make it again: python tests/verify_changes.py > docs/verify.md"
    )


# ---- train, evaluate and audit


@pytest.mark.parametrize("command", ["train", "evaluate", "audit"])
def test_no_command_uses_a_damaged_shard_unless_told_to(
    planted: Path, trained: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(planted, tmp_path / "data")
    flip(SECOND)(tmp_path / "data")
    arguments: list[str | Path] = {
        "train": ["train", tmp_path / "data", "--out", tmp_path / "out", *QUICK],
        "evaluate": ["evaluate", trained, tmp_path / "data", "--device", "cpu"],
        "audit": ["audit", tmp_path / "data", "--out", tmp_path / "out", "--readers", "none", "--only", "Q1",
                  "--permutations", "99"],
    }[command]  # fmt: skip
    assert fastrace(*arguments) == 1
    said = capsys.readouterr().err
    assert f"fastrace: {tmp_path / 'data' / SECOND}: changed after the dataset was made" in said
    assert f"`fastrace verify {tmp_path / 'data'}`" in said
    assert not (tmp_path / "out").exists()
    assert fastrace(*arguments, "--trust") == 0
    assert "pixels: 2 shards, not compared with their digests (--trust)" in capsys.readouterr().err
    if command == "audit":
        found = api.read_audit(tmp_path / "out")
        assert (found.dataset.shards, found.dataset.shards_checked) == (2, 0)
        assert found.limits[4].startswith("The images were used as they were found (--trust)")
    if command == "train":
        recorded = RunFolder(tmp_path / "out").read_json("run.json")["dataset"]["checked"]
        assert (recorded["shards"], recorded["compared"], recorded["bytes"]) == (2, 0, 0)


def test_what_was_compared_is_recorded(trained: Path, audited: Path, planted: Path) -> None:
    recorded = RunFolder(trained).read_json("run.json")["dataset"]["checked"]
    assert recorded["shards"] == recorded["compared"] == 2
    audit = api.read_audit(audited)
    assert audit.dataset.shards == audit.dataset.shards_checked == 1
    assert "check" in audit.seconds
    assert not any("--trust" in sentence for sentence in audit.limits)
    assert api.evaluate(trained, planted, device="cpu")["data_checked"]["compared"] == 2


def test_a_shard_is_compared_once_in_a_process_and_again_when_its_time_moves(planted: Path, tmp_path: Path) -> None:
    shutil.copytree(planted, tmp_path / "data")  # keeps the times: the files are older than a file system's steps
    size = sum(one.stat().st_size for one in (tmp_path / "data").glob("*.npy"))
    rows = np.arange(100)

    def compared() -> int:
        return check(Dataset.open(tmp_path / "data"), rows, trust=False, progress=Progress()).bytes

    assert [compared(), compared()] == [size, 0]
    (tmp_path / "data" / FIRST).touch()
    assert compared() == (tmp_path / "data" / FIRST).stat().st_size
    flip(FIRST)(tmp_path / "data")
    with pytest.raises(DatasetError, match=FIRST):
        compared()


def test_only_the_shards_that_are_read_are_compared(planted: Path, tmp_path: Path) -> None:
    shutil.copytree(planted, tmp_path / "data")
    flip(SECOND)(tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    assert check(dataset, [0, 5], trust=False, progress=Progress()).shards == 1
    with pytest.raises(DatasetError, match=SECOND):
        check(dataset, [0, 60], trust=False, progress=Progress())


def test_a_shard_that_changes_while_in_use_is_noticed(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(planted, tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    check(dataset, [0], trust=False, progress=Progress())
    monkeypatch.setattr("fastrace.dataset.LOOK_SECONDS", -1.0)
    before = dataset.images([0])
    (tmp_path / "data" / FIRST).touch()
    assert (dataset.images([0]) == before).all()
    flip(FIRST)(tmp_path / "data")
    with pytest.raises(DatasetError, match=rf"{FIRST}: changed after the dataset was made"):
        dataset.images([0])


# ---- what cannot be found, and what is no folder of ours


def test_all_digests_rewritten_are_a_new_dataset_with_another_fingerprint(planted: Path, tmp_path: Path) -> None:
    shutil.copytree(planted, tmp_path / "data")
    flip(SECOND)(tmp_path / "data")
    shards = json.loads((tmp_path / "data" / "dataset.json").read_text())["shards"]
    shards[1] = shard_facts(tmp_path / "data" / SECOND, shards[1]["rows"])
    forged = reseal(tmp_path / "data", shards=shards)
    assert verify(tmp_path / "data") == []
    assert forged.fingerprint != Dataset.open(planted).fingerprint


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"shards": [{"file": "../images-00000.npy"}]}, "shards: "),
        ({"shards": [{"file": "../x.npy", "rows": 1, "bytes": 1, "blake2b": "", "xxh3": ""}]}, "not the name of a shard"),
        ({"shards": [{"file": FIRST, "rows": 1, "bytes": 1, "blake2b": "", "xxh3": ""}] * 2}, "listed twice"),
        ({"shards": "none"}, "not the description of a dataset"),
        ({"files": []}, "files missing or of another type"),
        ({"schema": 2}, "schema version 2, this fastrace reads 3; make the dataset again"),
    ],
)  # fmt: skip
def test_a_description_that_is_none_is_refused_in_one_line(
    planted: Path, tmp_path: Path, facts: dict[str, object], words: str
) -> None:
    shutil.copytree(planted, tmp_path / "data")
    with pytest.raises(DatasetError, match=words):
        reseal(tmp_path / "data", **facts)
    with pytest.raises(DatasetError, match=words) as refused:
        verify(tmp_path / "data")
    assert "\n" not in str(refused.value)


def test_an_index_that_does_not_fit_is_named_though_its_digest_does(planted: Path, tmp_path: Path) -> None:
    # Written so by whoever made the dataset: the second line of defence.
    shutil.copytree(planted, tmp_path / "data")
    index = pd.read_parquet(planted / "index.parquet")
    index.loc[0, "row"] = 1
    reseal(tmp_path / "data", index)
    assert any("do not cover its 60 images once each" in one for one in verify(tmp_path / "data"))
    reseal(tmp_path / "data", index.assign(row=0, shard=9), counts={"inputs": 9, "indexed": 4, "rejected": {}})
    found = "\n".join(verify(tmp_path / "data"))
    for words in (
        "names shards that dataset.json does not list: 9",
        "100 rows, dataset.json counts 4",
        "do not add up to inputs",
    ):
        assert words in found


def test_a_dataset_that_was_handed_on_is_checked_without_its_private_folder(archive: Path, tmp_path: Path) -> None:
    shutil.copytree(archive / "data", tmp_path / "data")
    found = examine(tmp_path / "data")
    assert found.problems == ()
    assert found.checked[-1] == "data.private: not beside the dataset, so its inputs were not counted again"


@pytest.mark.parametrize("name", ["salt", "sources.parquet"])
def test_a_file_that_is_missing_in_the_private_folder_is_named(archive: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(archive / "data", tmp_path / "data")
    shutil.copytree(archive / "data.private", tmp_path / "data.private")
    (tmp_path / "data.private" / name).unlink()
    assert verify(tmp_path / "data") == [f"data.private/{name}: missing"]


@pytest.mark.parametrize("name", [".", "nowhere"])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"no dataset here \(dataset.json is missing\), no run .* and no audit"):
        verify(tmp_path / name)


def test_an_unfinished_run_says_so(trained: Path, tmp_path: Path) -> None:
    run = {key: value for key, value in RunFolder(trained).read_json("run.json").items() if key != "files"}
    (tmp_path / "run.json").write_bytes(json_text(run))
    found = examine(tmp_path)
    assert (found.problems, found.checked[1]) == ((), "not finished: run.json lists no other file yet")


def test_the_command_says_what_it_checked(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastrace("verify", archive / "data") == 0
    said = capsys.readouterr().out
    assert f"fingerprint {Dataset.open(archive / 'data').fingerprint}" in said
    assert re.search(r"2 shards: size, header, BLAKE2b-256 and XXH3-128 \(0.00 GB in", said)
    assert said.endswith(f"{archive / 'data'}: dataset unchanged\n")
    shutil.copytree(archive / "data", tmp_path / "data")
    flip(FIRST)(tmp_path / "data")
    assert fastrace("verify", tmp_path / "data") == 1
    assert f"wrong    {FIRST}: its content changed" in capsys.readouterr().out


def test_a_weight_that_torch_would_load_changed_is_refused(trained: Path, tmp_path: Path) -> None:
    # Without run.json, as a checkpoint that was handed on: its own digest.
    content = bytearray((trained / "checkpoint.pt").read_bytes())
    weights = torch.load(trained / "checkpoint.pt", weights_only=True)["weights"]
    largest = bytes(max(weights.values(), key=torch.numel).untyped_storage())  # as it lies in memory, channels last
    content[content.index(largest) + 2] ^= 1
    (tmp_path / "checkpoint.pt").write_bytes(content)
    changed = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["weights"]  # no complaint
    assert any(not torch.equal(weights[name], changed[name]) for name in weights)
    with pytest.raises(RunError, match=r"checkpoint.pt: changed after it was written"):
        RunFolder(tmp_path).read_tensors("checkpoint.pt")


def test_a_report_is_compared_with_its_audit(audited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastrace("report", audited, "--verify") == 0
    assert differences(audited) == []
    shutil.copytree(audited, tmp_path / "audit")
    (tmp_path / "audit" / "report.html").unlink()
    capsys.readouterr()
    assert fastrace("report", tmp_path / "audit", "--verify") == 1
    assert capsys.readouterr().out.startswith("report.html: missing; write the report again by `fastrace report ")
    assert any(problem.startswith("report.html: missing") for problem in verify(tmp_path / "audit"))
