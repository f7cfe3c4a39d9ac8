"""`fastrace bench`: which benchmarks run, what is refused before anything is measured, what --write renews."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench_documents import timed

from fastrace.bench import GROUPS, NAMES, QUICK_NAMES, machine, run, table, targets
from fastrace.bench.session import Settings
from fastrace.bench.targets import Target
from fastrace.cli.main import main
from fastrace.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every benchmark gives one row at once; which were called."""
    called: list[str] = []

    def apart(modules: Sequence[str], settings: Settings, log: Callable[[str], None]) -> Any:
        called.extend(module.removeprefix("fastrace.bench.") for module in modules)
        return {module: (timed(fastrace=[1.0], other=[2.0]), 0.1) for module in modules}, None

    monkeypatch.setattr(run, "run_apart", apart)
    return called


def test_a_busy_machine_is_not_refused_but_reported(stubs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(machine, "load", lambda: 99.0)
    run.run(["noise"], Settings(), lines.append)
    assert stubs == ["noise"]
    assert any("busy (load 99.00" in line for line in lines)


def test_without_names_all_run_and_quick_leaves_out_what_takes_long(stubs: list[str]) -> None:
    run.run([], Settings(), lambda line: None)
    assert tuple(stubs) == NAMES
    stubs.clear()
    lines: list[str] = []
    run.run([], Settings(quick=True), lines.append)
    assert tuple(stubs) == QUICK_NAMES
    assert any("leaves out pipeline" in line for line in lines)
    stubs.clear()
    run.run(["pipeline"], Settings(quick=True), lines.append)
    assert stubs == ["pipeline"]


def test_a_group_stands_for_its_benchmarks(stubs: list[str]) -> None:
    run.run(["stats", "kernels", "noise"], Settings(), lambda line: None)
    assert stubs == ["ranking", *GROUPS["kernels"]]
    assert {"window", "bandpass", "noise"} <= set(GROUPS["kernels"])


def test_a_wrong_result_of_ours_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{**row, "problem": "wrong result: error 1"} for row in timed(fastrace=[1.0], other=[2.0])]
    monkeypatch.setattr(run, "run_apart", lambda modules, settings, log: ({modules[0]: (wrong, 0.1)}, None))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "noise"])
    assert stop.value.code == 1
    assert "fastrace itself gives a wrong result: op: wrong result: error 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "'nonsense' is not one of"),
        (["--out", "no/such/folder/x.json"], "a folder that exists"),
        (["--write", "--quick"], "--write keeps a full run"),
        (["--write", "--peers", "scipy"], "--write keeps a full run"),
        (["--compare", "x", "--check-only"], "--compare needs times"),
        (["--compare", "no-such-file.json"], "--compare no-such-file.json: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error_before_anything_is_measured(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], stubs: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not stubs


def test_peers_without_a_match_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "run_apart", lambda modules, settings, log: ({modules[0]: ([], 0.1)}, None))
    with pytest.raises(UsageError, match="--peers nobody: no peer has such a name"):
        run.run(["noise"], Settings(peers="nobody"), lambda line: None)


def test_the_module_runs_by_its_name() -> None:
    command = [sys.executable, "-m", "fastrace.bench", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'nonsense' is not one of" in done.stderr


def test_write_renews_result_and_readme_of_a_checkout_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULT", tmp_path / "cpu.json")
    with pytest.raises(UsageError, match="not run from one"):
        run.require_checkout()
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--write"])
    assert stop.value.code == 2
    assert not stubs
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copy(ROOT / "bench" / "results" / "cpu.json", tmp_path)
    monkeypatch.setattr(targets, "TARGETS", (Target("op", "other", 3), Target("op", "fastrace", 1)))
    monkeypatch.setattr(table, "README_ROWS", (("op", "other"),))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--write"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["faster"] == 1
    result = json.loads((tmp_path / "cpu.json").read_text())
    start, end = "<!-- bench -->", "<!-- /bench -->"
    readme = (tmp_path / "README.md").read_text()
    shown = readme.split(start)[1].split(end)[0]
    assert shown.strip() == table.readme_block(result).strip()
    assert "| op | other 1.0 | >= 3x | 2.00x |" in shown
    assert "op | fastrace" not in shown
    assert (tmp_path / "cpu.md").read_text() == run.page(result)
    assert (tmp_path / "cpu.svg").read_text().startswith("<?xml")


def test_write_with_names_keeps_the_other_benchmarks_and_says_when_these_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubs: list[str]
) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULT", tmp_path / "cpu.json")
    for file in ("README.md", "bench/results/cpu.json"):
        shutil.copy(ROOT / file, tmp_path)
    before = json.loads((tmp_path / "cpu.json").read_text())
    monkeypatch.setattr(targets, "TARGETS", (Target("op", "other", 3),))
    monkeypatch.setattr(table, "README_ROWS", (("op", "other"),))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "noise", "--write"])
    assert stop.value.code == 0
    after = json.loads((tmp_path / "cpu.json").read_text())
    assert [row for row in after["rows"] if row["benchmark"] != "noise"] == [
        row for row in before["rows"] if row["benchmark"] != "noise"
    ]
    assert {row["operation"] for row in after["rows"] if row["benchmark"] == "noise"} == {"op"}
    assert after["environment"]["commit"] == before["environment"]["commit"]
    assert after["environment"]["renewed"]["noise"]["runs"] == 1
    assert any(line.startswith("noise was measured later: ") for line in table.described(after))
