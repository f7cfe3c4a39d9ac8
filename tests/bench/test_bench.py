"""`fastrace bench` says what it measured, against whom, how exactly, and hides neither losses nor who is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fastrace.bench import NAMES, QUICK_NAMES, common, pipeline, run, table
from fastrace.bench.__main__ import main as module_main
from fastrace.bench.common import Peer, Row, measure, rows_against
from fastrace.cli.main import cli, main
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import TOLERANCE as BANDPASS_TOLERANCE
from fastrace.kernels.noise import NORMAL_ERROR
from fastrace.kernels.ranking import TOLERANCE as RANKING_TOLERANCE
from fastrace.kernels.window import TOLERANCE as WINDOW_TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
KEYS = ["operation", "peer", "version", "ms", "ratio", "spread", "max_error", "noisy", "problem", "load"]
HIDDEN = ("SimpleITK", "dicomsdl")


def one_round(patch: pytest.MonkeyPatch) -> None:
    """Nothing here looks at a time."""
    interleave = common.interleave
    patch.setattr(common, "interleave", lambda calls, rounds, **rest: interleave(calls, 1, **(rest | {"tries": 1})))


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of `fastrace bench --quick --json` where two peers cannot be imported."""
    out = tmp_path_factory.mktemp("bench") / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        one_round(patch)
        for name in HIDDEN:
            patch.setitem(sys.modules, name, None)
        result = CliRunner().invoke(cli, ["bench", "--quick", "--json", "--out", str(out)], standalone_mode=False)
    assert result.exception is None, result.output
    assert result.return_value == 0
    document: dict[str, Any] = json.loads(out.read_text())
    assert json.loads(result.output.splitlines()[-1]) == document
    return document


@pytest.mark.slow
def test_quick_prints_one_document_with_the_machine_and_a_row_for_each_peer(quick: dict[str, Any]) -> None:
    assert set(quick) == {"environment", "rows"}
    machine = quick["environment"]
    assert machine["quick"] is True
    assert machine["cores"] >= 1
    assert machine["versions"]["torch"] == common.version("torch")
    assert set(machine["seconds"]) == set(QUICK_NAMES)
    for row in quick["rows"]:
        assert list(row) == KEYS
        assert isinstance(row["noisy"], bool)
        if row["ms"] is None:
            assert row["version"] == "not installed" or row["problem"].startswith("failed"), row
            continue
        assert row["ms"] > 0
        assert row["ratio"] > 0
        assert row["spread"][0] <= row["spread"][1]
    assert len({(row["operation"], row["peer"]) for row in quick["rows"]}) == len(quick["rows"])
    for word in ("VOI", "bandpass", "noise", "decode", "AUC", "patient-cluster interval"):
        assert any(row["operation"].startswith(word) for row in quick["rows"]), word


@pytest.mark.slow
def test_peers_that_are_missing_stay_in_the_table(quick: dict[str, Any]) -> None:
    absent = {(row["operation"].split()[0], row["peer"]) for row in quick["rows"] if row["version"] == "not installed"}
    assert {("VOI", "SimpleITK IntensityWindowing"), ("decode", "simpleitk"), ("decode", "dicomsdl")} <= absent
    shown = table.terminal(quick).splitlines()
    assert any("simpleitk" in line and line.endswith("not installed") for line in shown)


@pytest.mark.slow
def test_our_own_errors_are_below_the_tolerances_of_the_kernels(quick: dict[str, Any]) -> None:
    ours = {row["operation"]: row for row in quick["rows"] if row["peer"] == "fastrace"}
    bounds = {
        "VOI": 0.5 / 255 + WINDOW_TOLERANCE,  # rounding to 8 bits
        "bandpass": BANDPASS_TOLERANCE[torch.float32],
        "noise gaussian": 0.1 * NORMAL_ERROR + 2.0**-22,  # and the rounding of a float32 between 1 and 2
        "decode": 0.0,
        "AUC": RANKING_TOLERANCE,
        "patient-cluster interval": RANKING_TOLERANCE,
    }
    for start, bound in bounds.items():
        rows = [row for operation, row in ours.items() if operation.startswith(start)]
        assert rows, start
        assert all(row["max_error"] <= bound for row in rows), start
    assert not [row for row in ours.values() if row["problem"]]
    assert {row["operation"] for row in quick["rows"]} == set(ours)


@pytest.mark.slow
def test_the_pipeline_runs_on_a_small_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    one_round(monkeypatch)
    monkeypatch.setattr(pipeline, "HEIGHT", 332)
    monkeypatch.setattr(pipeline, "WIDTH", 256)
    rows = pipeline.rows(quick=True)
    assert len({row["operation"] for row in rows}) == 2
    for row in rows:
        assert (row["ms"] is None) == (row["version"] == "not installed"), row
    assert [row["peer"] for row in rows] == ["fastrace", *pipeline.PEERS] * 2


# ---- peers that misbehave ------------------------------------------------------------------------------------------


def absent_peer() -> None:
    import a_module_that_nobody_has  # type: ignore[import-not-found] # noqa: F401


def failing() -> None:
    raise ValueError("no such plugin\nand more")


def late() -> Callable[[], float]:
    """Works once, and fails when it is timed."""
    answers = iter([1.0])
    return lambda: next(answers)


def test_a_peer_that_is_absent_fails_or_is_wrong_is_named_and_does_not_stop_the_others() -> None:
    peers = [
        Peer("fastrace", lambda: 1.0, limit=0.0),
        Peer("gone", absent_peer, ("nobody-has-this",)),
        Peer("failing", failing, ("numpy",)),
        Peer("late", late(), ("numpy",)),
        Peer("wrong", lambda: 3.0, ("numpy",), 0.5),
        Peer("shape", lambda: np.ones(2), ("numpy",), 0.5),
        Peer("nan", lambda: float("nan"), ("numpy",), 0.5),
        Peer("right", lambda: 1.25, ("numpy",), 0.5),
    ]
    rows = measure("op", peers, lambda result: common.difference(result, np.array(1.0)), rounds=3)
    assert [row["peer"] for row in rows] == [peer.name for peer in peers]
    said = {row["peer"]: row for row in rows}
    assert said["gone"]["version"] == "not installed"
    assert said["failing"]["problem"] == "failed: ValueError: no such plugin"
    assert said["late"]["problem"] == "failed: StopIteration"
    assert all(said[name]["ms"] is None for name in ("gone", "failing", "late"))
    assert said["wrong"]["problem"] == "wrong result: error 2, at most 0.5 is expected"
    assert said["shape"]["problem"] == said["nan"]["problem"]
    assert "another shape" in said["nan"]["problem"]
    assert said["right"]["problem"] is None
    assert said["right"]["max_error"] == 0.25
    text = table.terminal(document(rows))
    assert "WRONG RESULT" in text
    assert "op: failing failed: ValueError: no such plugin" in text
    json.dumps(rows, allow_nan=False)


def test_a_failure_of_ours_is_raised() -> None:
    with pytest.raises(ValueError, match="no such plugin"):
        measure("op", [Peer("fastrace", failing), Peer("other", lambda: 1)], rounds=1)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with common.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


# ---- the table -----------------------------------------------------------------------------------------------------


def document(rows: list[Row]) -> dict[str, Any]:
    return {"environment": run.environment(quick=True), "rows": run._agree(rows)}


def timed(**seconds: list[float]) -> list[Row]:
    times = {name: np.array(values) for name, values in seconds.items()}
    return rows_against("op", "fastrace", times, dict.fromkeys(times, "1.0"), {})


def test_a_loss_is_a_word_and_not_only_a_number() -> None:
    rows = timed(fastrace=[1.0] * 5, quicker=[0.5] * 5, slower=[2.0] * 5, even=[0.9, 0.9, 0.9, 1.1, 1.1])
    text = table.terminal(document(rows))
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert "SLOWER" in lines["quicker"]
    assert "faster" in lines["slower"]
    assert "slower, within spread" in lines["even"]
    assert "faster in 1 comparisons, slower in 2 (most: 0.50, op, against quicker)" in text
    assert "**0.50**" in table.markdown({**document(rows), "environment": run.environment(quick=False)})


def test_restless_times_of_ours_are_marked() -> None:
    assert not any(row["noisy"] for row in timed(fastrace=[1.0, 1.0, 1.1, 1.2, 1.2], peer=[1.0, 9.0, 1.0, 9.0, 1.0]))
    rows = timed(fastrace=[1.0, 1.0, 1.2, 1.4, 1.4], peer=[1.0] * 5)
    assert all(row["noisy"] for row in rows)
    assert "op   NOISY" in table.terminal(document(rows))


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Every benchmark gives one row at once; which were called, and whether quick."""
    called: dict[str, bool] = {}

    def rows(name: str, quick: bool) -> list[Row]:
        called[name] = quick
        return timed(fastrace=[1.0], other=[2.0])

    monkeypatch.setattr(run, "_rows", rows)
    return called


def test_a_busy_machine_is_not_refused_but_said(stubs: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(run, "_load", lambda: 99.0)
    result = run.run(["noise"], False, said.append)
    assert stubs == {"noise": False}
    assert all(row["noisy"] for row in result["rows"])
    assert any("busy (load 99.00" in line for line in said)


def test_without_names_all_run_and_quick_leaves_out_what_takes_long(stubs: dict[str, bool]) -> None:
    run.run([], False, lambda line: None)
    assert tuple(stubs) == NAMES
    stubs.clear()
    said: list[str] = []
    run.run([], True, said.append)
    assert stubs == dict.fromkeys(QUICK_NAMES, True)
    assert any("leaves out pipeline" in line for line in said)
    stubs.clear()
    run.run(["pipeline"], True, said.append)
    assert stubs == {"pipeline": True}


def test_a_wrong_result_of_ours_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{**row, "problem": "wrong result: error 1"} for row in timed(fastrace=[1.0], other=[2.0])]
    monkeypatch.setattr(run, "_rows", lambda name, quick: wrong)
    with pytest.raises(SystemExit) as stop:
        main(["bench", "noise"])
    assert stop.value.code == 1
    assert "fastrace itself gives a wrong result: op: wrong result: error 1" in capsys.readouterr().err


# ---- how it is asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nonsense"], "'nonsense' is not one of"), (["--out", "no/such/folder/x.json"], "a folder that exists")],
)
def test_what_cannot_be_done_is_a_usage_error_before_anything_is_measured(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], stubs: dict[str, bool]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not stubs


def test_the_module_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str], stubs: dict[str, bool]) -> None:
    for arguments, words in (
        (["nonsense"], "no benchmark nonsense; choose from window"),
        (["--fast"], "no option --fast"),
        (["--quick", "--write"], "leave out --quick"),
    ):
        assert module_main(arguments) == 2
        assert words in capsys.readouterr().err
    assert not stubs


def test_the_module_runs_by_its_name() -> None:
    command = [sys.executable, "-m", "fastrace.bench", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: no benchmark nonsense")


def test_write_renews_result_and_readme_of_a_checkout_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubs: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULT", tmp_path / "cpu.json")
    with pytest.raises(UsageError, match="not run from one"):
        run.require_checkout()
    assert module_main(["--write"]) == 2
    assert not stubs
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copy(ROOT / "bench" / "results" / "cpu.json", tmp_path)
    monkeypatch.setattr(table, "README_OPERATIONS", ("op",))
    monkeypatch.setattr(run, "README_OPERATIONS", ("op",))
    assert module_main(["noise", "--write"]) == 0
    result = json.loads((tmp_path / "cpu.json").read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result["rows"]
    readme = (tmp_path / "README.md").read_text()
    shown = readme.split(table.README_START)[1].split(table.README_END)[0]
    assert shown.strip() == table.markdown(result, ("op",)).strip()
    assert "| op | other 1.0 | 2.00 |" in shown
    assert readme.split(table.README_END)[1] == (ROOT / "README.md").read_text().split(table.README_END)[1]
    assert (tmp_path / "cpu.md").read_text().startswith("# CPU benchmark")
