"""`fastrace bench` says what it measured, against whom, how exactly, and hides neither losses nor who is missing."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_documents import document, timed
from click.testing import CliRunner

from fastrace.bench import GROUPS, NAMES, QUICK_NAMES, common, machine, pipeline, run, table
from fastrace.bench.common import COLD, Error, Peer, Row, Settings, figures, hot_and_cold, interleave, measure, restless
from fastrace.bench.machine import version
from fastrace.cli.main import cli, main
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import TOLERANCE as BANDPASS_TOLERANCE
from fastrace.kernels.noise import NORMAL_ERROR
from fastrace.kernels.ranking import TOLERANCE as RANKING_TOLERANCE
from fastrace.kernels.window import TOLERANCE as WINDOW_TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ["ms", "ratio", "spread", "samples"]
KEYS = ["benchmark", "operation", "peer", "version", "caches", *MEASURED, "max_error", "rms_error", "lsb"]
KEYS += ["problem", "noisy", "why", "load", "threads", "first_ms", "peak_mb", "bytes", "flops", "ratios"]
HIDDEN = ("SimpleITK", "dicomsdl")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> common.Session:
    """A session of this process alone, whose settings a test may change."""
    monkeypatch.setattr(common, "SESSION", common.Session())
    return common.SESSION


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of `fastrace bench --quick --json` where two peers cannot be imported; nothing here looks at a time."""
    folder = tmp_path_factory.mktemp("bench")
    for name in HIDDEN:  # before the installed ones on the path of the process that measures
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('hidden', name={name!r})")
    out = folder / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(common.Settings, "__init__", partialmethod(common.Settings.__init__, rounds=1))
        result = CliRunner().invoke(cli, ["bench", "--quick", "--json", "--out", str(out)], standalone_mode=False)
    assert result.exception is None, result.output
    assert result.return_value == 0, result.output
    document: dict[str, Any] = json.loads(out.read_text())
    assert json.loads(result.stdout) == document
    return document


@pytest.mark.slow
def test_quick_prints_one_document_with_the_machine_and_a_row_for_each_peer(quick: dict[str, Any]) -> None:
    assert list(quick) == ["schema", "environment", "roofs", "rows"]
    assert quick["schema"] == run.SCHEMA
    machine = quick["environment"]
    assert machine["quick"] is True
    assert machine["cores"] >= 1
    assert machine["versions"]["torch"] == version("torch")
    assert set(machine["seconds"]) == set(QUICK_NAMES)
    assert {"copy", "cached", "peak"} == set(quick["roofs"])
    for row in quick["rows"]:
        assert list(row) == KEYS
        assert row["noisy"] == bool(row["why"])
        assert (row["caches"] == "cold") == row["operation"].endswith(COLD)
        assert (row["caches"] is None) == (row["benchmark"] not in GROUPS["kernels"])
        assert row["caches"] != "cold" or row["operation"].startswith(common.QUICK_COLD)
        if row["ms"] is None:
            assert row["version"] == "not installed" or row["problem"].startswith("failed"), row
            continue
        assert row["ms"] > 0
        assert row["ratio"] > 0
        assert row["ratios"] == [row["ratio"]]
        assert row["spread"][0] <= row["spread"][1]
        assert row["first_ms"] > 0
    assert len({(row["operation"], row["peer"]) for row in quick["rows"]}) == len(quick["rows"])
    for start in common.QUICK_COLD:
        cold = {row["operation"] for row in quick["rows"] if row["caches"] == "cold"}
        assert any(operation.startswith(start) for operation in cold), start
    for word in ("VOI", "bandpass", "noise", "decode", "AUC", "patient-cluster interval"):
        assert any(row["operation"].startswith(word) for row in quick["rows"]), word


@pytest.mark.slow
def test_the_samples_give_the_medians_ratios_and_percentiles(quick: dict[str, Any]) -> None:
    ours: dict[str, Row] = {}
    for row in quick["rows"]:
        base = ours.setdefault(row["operation"], row)
        if row["ms"] is not None:
            again = figures(row["samples"], base["samples"])
            assert {key: row[key] for key in MEASURED} == again


@pytest.mark.slow
def test_peers_that_are_missing_stay_in_the_table(quick: dict[str, Any]) -> None:
    absent = {(row["operation"].split()[0], row["peer"]) for row in quick["rows"] if row["version"] == "not installed"}
    assert {("VOI", "SimpleITK IntensityWindowing"), ("decode", "simpleitk"), ("decode", "dicomsdl")} <= absent
    shown = table.terminal(quick).splitlines()
    assert any("simpleitk" in line and line.endswith("not installed") for line in shown)


@pytest.mark.slow
def test_our_own_errors_are_below_the_tolerances_of_the_kernels(quick: dict[str, Any]) -> None:
    ours = {row["operation"]: row for row in quick["rows"] if common.is_ours(row)}
    bounds = {
        "VOI": 0.5 / 255 + WINDOW_TOLERANCE,  # rounding to 8 bits
        "bandpass": BANDPASS_TOLERANCE[torch.float32],
        "noise gaussian": 0.1 * NORMAL_ERROR + 2.0**-22,  # and the rounding of a float32 between 1 and 2
        "decode": 0.0,
        "gather": 0.0,
        "one image, 20 cut-offs": BANDPASS_TOLERANCE[torch.float32],
        "AUC": RANKING_TOLERANCE,
        "patient-cluster interval": RANKING_TOLERANCE,
    }
    for start, bound in bounds.items():
        rows = [row for operation, row in ours.items() if operation.startswith(start)]
        assert rows, start
        assert all(row["rms_error"] <= row["max_error"] <= bound for row in rows), start
        assert all((row["rms_error"] > 0) == (row["max_error"] > 0) for row in rows), start
    assert not [row for row in ours.values() if row["problem"]]
    assert {row["operation"] for row in quick["rows"]} == set(ours)


@pytest.mark.slow
def test_the_pipeline_runs_on_a_small_archive(monkeypatch: pytest.MonkeyPatch, session: common.Session) -> None:
    session.settings = Settings(rounds=1)
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


def test_a_peer_that_is_absent_fails_or_is_wrong_is_named_and_does_not_stop_the_others(
    session: common.Session,
) -> None:
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
    assert said["right"]["max_error"] == said["right"]["rms_error"] == 0.25
    assert said["nan"]["max_error"] is said["nan"]["rms_error"] is None
    text = table.terminal(document(rows))
    assert "WRONG RESULT" in text
    assert "op: failing failed: ValueError: no such plugin" in text
    json.dumps(rows, allow_nan=False)


def test_a_failure_of_ours_is_raised() -> None:
    with pytest.raises(ValueError, match="no such plugin"):
        measure("op", [Peer("fastrace", failing), Peer("other", lambda: 1)], rounds=1)


def answer(value: float, name: str = "other", **more: Any) -> Peer:
    return Peer(name, lambda: value, ("numpy",), 0.5, **more)


def off_by(result: float) -> Error:
    return common.difference(result, np.array(1.0))


def test_check_only_judges_and_times_nothing(session: common.Session) -> None:
    session.settings = Settings(check_only=True)
    calls: list[int] = []
    peers = [answer(1.0, "fastrace"), answer(3.0, "wrong"), Peer("counted", lambda: calls.append(1) or 1.25, limit=0.5)]
    rows = measure("op", peers, off_by, rounds=9)
    assert [row["ms"] for row in rows] == [None] * 3
    assert [row["max_error"] for row in rows] == [0.0, 2.0, 0.25]
    assert rows[1]["problem"].startswith("wrong result")
    assert calls == [1]
    assert "correct, error 0.25, RMS 0.25" in table.terminal(document(rows))


def test_fast_leaves_out_the_slow_and_says_so(session: common.Session) -> None:
    session.settings = Settings(peers="fast")
    calls: list[int] = []

    def slow() -> float:
        calls.append(1)
        time.sleep(0.2)
        return 1.0

    peers = [
        Peer("fastrace", lambda: time.sleep(0.002) or 1.0, limit=0.5),
        answer(1.0, "quick"),
        Peer("slow", slow, limit=0.5),
    ]
    rows = measure("op", peers, off_by, rounds=9)
    assert rows[2]["problem"].startswith("left out (slow): a second call took ")
    assert rows[2]["ms"] is None
    assert rows[1]["ms"] is not None
    assert len(calls) == 2
    text = table.terminal(document(rows))
    assert "left out (slow)" in next(line for line in text.splitlines() if line.startswith("  slow"))


def test_named_peers_are_alone_with_ours(session: common.Session) -> None:
    session.settings = Settings(peers="OPENCV, numpy")
    peers = [answer(1.0, "fastrace"), answer(1.0, "OpenCV LUT"), answer(1.0, "torch"), answer(1.0, "numpy.fft")]
    assert [row["peer"] for row in measure("op", peers, rounds=1)] == ["fastrace", "OpenCV LUT", "numpy.fft"]
    assert measure("other", [peers[0], peers[2]], rounds=1) == []


def test_a_share_of_the_operation_counts_as_a_share_and_a_check_stands_for_a_draw(session: common.Session) -> None:
    clock = iter(range(1000))  # every call takes a second
    peers = [answer(1.0, "fastrace"), answer(9.0, "a tenth", part=0.1, check=lambda: 1.25)]
    rows = measure("op", peers, off_by, rounds=3, clock=lambda: float(next(clock)))
    assert rows[0]["ms"] == 1000.0
    assert rows[1]["ms"] == 10000.0
    assert rows[1]["ratio"] == 10.0
    assert rows[1]["max_error"] == 0.25


def test_the_work_of_an_operation_becomes_a_rate(session: common.Session) -> None:
    clock = iter(range(1000))
    rows = measure("op", [answer(1.0, "fastrace")], rounds=2, clock=lambda: float(next(clock)), work=(2e9, 6e9))
    speed, share = table.rate(rows[0], {"copy": {str(rows[0]["threads"]): 8.0}}) or (0.0, None)
    assert (speed, share) == (2.0, 0.25)
    assert table.rate(rows[0] | {"bytes": None}, None) is None


def test_an_error_is_the_largest_and_the_root_mean_square() -> None:
    exact = np.array([[0.0, 1.0], [2.0, 3.0]])
    found = common.difference(np.array([[0.0, 1.0], [2.0, 5.0]], dtype=np.float32), exact)
    assert found == Error(2.0, 1.0)
    assert common.difference(np.array([200, 0], np.uint8), np.array([0.0, 200.0])) == Error(200.0, 200.0)
    assert common.difference(np.zeros(0), np.zeros(0)) == Error(0.0, 0.0)
    for wrong in (np.zeros(4), np.full((2, 2), np.nan), np.full((2, 2), np.inf)):
        assert common.difference(wrong, exact) == Error(np.inf, np.inf)


# ---- what a call finds in the caches -------------------------------------------------------------------------------


def order_of(caches: common.Caches, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    """What happens in two rounds of "a" and "b": calls, "!" for emptied caches, and "(" and ")" for looks at the clock."""
    happened: list[str] = []
    looks = iter("()" * 100)

    def clock() -> float:
        happened.append(next(looks))
        return 0.0

    monkeypatch.setattr(common, "evict", lambda: happened.append("!"))
    interleave({name: lambda name=name: happened.append(name) for name in "ab"}, 2, clock=clock, caches=caches, **more)
    return "".join(happened)


def test_each_timed_call_finds_the_caches_as_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert order_of(None, monkeypatch) == "(a)(b)(b)(a)"
    assert order_of("hot", monkeypatch) == "a(a)b(b)b(b)a(a)"
    assert order_of("hot", monkeypatch, slow=["b"]) == "a(a)(b)(b)a(a)"
    assert order_of("hot", monkeypatch, tries=2) == "a(a)(a)b(b)(b)b(b)(b)a(a)(a)"
    assert order_of("cold", monkeypatch) == "!(a)!(b)!(b)!(a)"
    assert order_of("cold", monkeypatch, tries=2, slow=["b"]) == "!(a)!(a)!(b)!(b)!(b)!(b)!(a)!(a)"


def test_who_is_twenty_times_as_slow_is_spared_the_untimed_call(session: common.Session) -> None:
    calls: list[str] = []

    def taking(name: str, seconds: float) -> Peer:
        return Peer(name, lambda: calls.append(name) or time.sleep(seconds))

    measure("op", [taking("fastrace", 1e-3), taking("quick", 1e-3), taking("slow", 0.1)], rounds=2, caches="hot")
    assert [calls.count(name) for name in ("fastrace", "quick", "slow")] == [2 + 4, 2 + 4, 2 + 2]


def test_cold_rows_have_a_name_of_their_own_and_the_peers_that_were_asked_for(session: common.Session) -> None:
    peers = [answer(1.0, "fastrace"), answer(1.0, "scipy, each"), answer(1.0, "numpy"), answer(1.0, "scipy, shared")]
    rows = hot_and_cold("op", peers, off_by, cold=("scipy",), rounds=1, lsb=1.0)
    assert [(row["operation"], row["caches"], row["peer"]) for row in rows] == [
        *(("op", "hot", peer.name) for peer in peers),
        *(("op, caches cold", "cold", peers[n].name) for n in (0, 1, 3)),
    ]
    assert [row["caches"] for row in hot_and_cold("op", peers, off_by, cold=(), rounds=1)] == ["hot"] * 4
    # A result is as right with cold caches as with hot ones, and a quick run has few cold rows.
    for settings in (Settings(check_only=True), Settings(quick=True)):
        session.settings = settings
        assert [row["caches"] for row in hot_and_cold("op", peers, off_by, cold=("scipy",), rounds=1)] == ["hot"] * 4
    shown = table.terminal(document(rows)).splitlines()
    assert "op   caches hot" in {line.partition("   NOISY")[0] for line in shown}
    assert "op, caches cold" in {line.partition("   NOISY")[0] for line in shown}
    text = table.markdown({**document(rows), "environment": run.environment(quick=False)})
    assert "| op | hot | numpy" in text
    assert "| op, caches cold | cold | scipy, each" in text
    lines = csv.DictReader(table.csv_text(document(rows)).splitlines())
    assert {json.loads(line["extra_benchmark_config_str"])["caches"] for line in lines} == {"hot", "cold"}


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with common.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


# ---- the table -----------------------------------------------------------------------------------------------------


def test_a_loss_is_a_word_and_not_only_a_number() -> None:
    rows = timed(fastrace=[1.0] * 5, quicker=[0.5] * 5, slower=[2.0] * 5, even=[0.9, 0.9, 0.9, 1.1, 1.1])
    text = table.terminal(document(rows))
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert "SLOWER" in lines["quicker"]
    assert "faster" in lines["slower"]
    assert "slower, within spread" in lines["even"]
    assert "faster in 1 comparisons, slower in 2 (most: 0.50, op, against quicker)" in text
    assert "**0.50**" in table.markdown({**document(rows), "environment": run.environment(quick=False)})


def test_errors_stand_beside_the_times_and_in_steps_of_an_integer_result() -> None:
    rows = timed(fastrace=[1.0], exact=[2.0], unlike=[3.0])
    rows[0] |= {"max_error": 0.5 / 255, "rms_error": 0.25 / 255}
    rows[1] |= {"max_error": 1 / 255, "rms_error": 0.5 / 255}
    result = {**document([row | {"lsb": 1 / 255} for row in rows]), "environment": run.environment(quick=False)}
    result["environment"] |= {"seconds": {"noise": 1.0}}
    lines = {line.split()[0]: line for line in table.terminal(result).splitlines() if line.startswith("  ")}
    assert "0.0039 = 1 LSB    0.002 = 0.5 LSB" in lines["exact"]
    assert "LSB" not in lines["unlike"]
    text = table.markdown(result)
    assert text.splitlines()[2].endswith("| max error (ours) | RMS (ours) |")
    assert "| 0.0039 = 1 LSB (0.002 = 0.5 LSB) | 0.002 = 0.5 LSB (0.00098 = 0.25 LSB) |" in text
    assert "| - (0.002 = 0.5 LSB) | - (0.00098 = 0.25 LSB) |" in text
    extra = next(csv.DictReader(table.csv_text(result).splitlines()))["extra_benchmark_config_str"]
    assert json.loads(extra)["rms_error"] == 0.25 / 255
    stored = document([row | {"lsb": 1.0, "max_error": 3.0} for row in rows])
    assert "3 LSB" in table.terminal(stored)


def test_a_result_without_states_and_square_errors_keeps_its_table() -> None:
    rows = [row | {"max_error": 0.1} for row in timed(fastrace=[1.0], other=[2.0])]
    result = {**document(rows), "environment": run.environment(quick=False)}
    for row in result["rows"]:
        for key in ("caches", "rms_error", "lsb"):
            del row[key]
    assert "| operation | peer | its time / ours | p20-p80 | ours, ms |" in table.markdown(result).splitlines()


def test_restless_times_of_ours_are_marked() -> None:
    assert not any(row["noisy"] for row in timed(fastrace=[1.0, 1.0, 1.1, 1.2, 1.2], peer=[1.0, 9.0, 1.0, 9.0, 1.0]))
    rows = timed(fastrace=[1.0, 1.0, 1.2, 1.4, 1.4], peer=[1.0] * 5)
    assert all(row["noisy"] for row in rows)
    assert "op   NOISY: our own times spread by 1.40 (p80/p20)" in table.terminal(document(rows))


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (None, []),
        ((0.1, 0.01), []),
        ((0.6, 0.0), ["other processes used 0.6 cores"]),
        ((0.0, 0.07), ["the hypervisor took 7% of the time"]),
    ],
)
def test_a_restless_machine_is_a_reason(
    machine: tuple[float, float] | None, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "load", lambda: 0.5)
    assert restless([1.0, 1.0, 1.0], machine) == words


def test_the_load_stands_for_what_others_use_where_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "load", lambda: 99.0)
    assert restless([1.0], None)[0].startswith("load 99.0 on ")
    assert restless([1.0], (0.0, 0.0)) == []


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every benchmark gives one row at once; which were called."""
    called: list[str] = []

    def apart(modules: Sequence[str], settings: Settings, say: Callable[[str], None]) -> Any:
        called.extend(module.removeprefix("fastrace.bench.") for module in modules)
        return {module: (timed(fastrace=[1.0], other=[2.0]), 0.1) for module in modules}, None

    monkeypatch.setattr(run, "run_apart", apart)
    return called


def test_a_busy_machine_is_not_refused_but_said(stubs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(machine, "load", lambda: 99.0)
    run.run(["noise"], Settings(), said.append)
    assert stubs == ["noise"]
    assert any("busy (load 99.00" in line for line in said)


def test_without_names_all_run_and_quick_leaves_out_what_takes_long(stubs: list[str]) -> None:
    run.run([], Settings(), lambda line: None)
    assert tuple(stubs) == NAMES
    stubs.clear()
    said: list[str] = []
    run.run([], Settings(quick=True), said.append)
    assert tuple(stubs) == QUICK_NAMES
    assert any("leaves out pipeline" in line for line in said)
    stubs.clear()
    run.run(["pipeline"], Settings(quick=True), said.append)
    assert stubs == ["pipeline"]


def test_a_group_stands_for_its_benchmarks(stubs: list[str]) -> None:
    run.run(["stats", "kernels", "noise"], Settings(), lambda line: None)
    assert stubs == ["ranking", *GROUPS["kernels"]]
    assert {"window", "bandpass", "noise"} <= set(GROUPS["kernels"])


def test_a_wrong_result_of_ours_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{**row, "problem": "wrong result: error 1"} for row in timed(fastrace=[1.0], other=[2.0])]
    monkeypatch.setattr(run, "run_apart", lambda modules, settings, say: ({modules[0]: (wrong, 0.1)}, None))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "noise"])
    assert stop.value.code == 1
    assert "fastrace itself gives a wrong result: op: wrong result: error 1" in capsys.readouterr().err


def test_several_runs_are_pooled_and_each_keeps_its_ratio() -> None:
    first = timed(fastrace=[1.0, 1.0], other=[2.0, 2.0])
    second = timed(fastrace=[1.0, 1.0], other=[4.0, 4.0])
    third = timed(fastrace=[1.0, 2.0])  # the peer crashed
    several = run.merged([{"seconds": {"noise": 1.0}, "roofs": None, "rows": rows} for rows in (first, second, third)])
    ours, other = several["rows"]
    assert ours["samples"] == [1.0] * 5 + [2.0]
    assert other["samples"] == [2.0, 2.0, 4.0, 4.0]
    assert other["ratios"] == [2.0, 4.0, None]
    assert other["ratio"] == 3.0
    assert not ours["noisy"]  # in one run of three
    assert ours["why"] == ["run 3: our own times spread by 1.50 (p80/p20)"]
    assert several["seconds"] == {"noise": 3.0}


def test_the_csv_has_a_line_for_each_time_and_memory() -> None:
    lines = list(csv.DictReader(table.csv_text(document(timed(fastrace=[1.0, 2.0], other=[4.0, 4.0]))).splitlines()))
    assert [(line["kernel_provider"], line["metric_name"]) for line in lines] == [
        ("fastrace", "speed"), ("fastrace", "memory"), ("other", "speed"), ("other", "memory")
    ]  # fmt: skip
    assert [float(lines[0][f"y_value_{q}"]) for q in (20, 50, 80)] == [1.2, 1.5, 1.8]
    assert lines[2]["kernel_name"] == "noise"
    assert lines[2]["x_value"] == "op"
    assert json.loads(lines[2]["extra_benchmark_config_str"])["ratio"] == pytest.approx(3.0)


# ---- how it is asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nonsense"], "'nonsense' is not one of"), (["--out", "no/such/folder/x.json"], "a folder that exists")],
)
def test_what_cannot_be_done_is_a_usage_error_before_anything_is_measured(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], stubs: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not stubs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--write", "--quick"], "--write keeps a full run"),
        (["--write", "noise"], "--write keeps a full run"),
        (["--compare", "x", "--check-only"], "--compare needs times"),
        (["--compare", "no-such-file.json"], "--compare no-such-file.json: cannot be read"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], stubs: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not stubs


def test_peers_that_nobody_is_called_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "run_apart", lambda modules, settings, say: ({modules[0]: ([], 0.1)}, None))
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
    monkeypatch.setattr(run, "README_OPERATIONS", ("op",))
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--write"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["faster"] == 1
    result = json.loads((tmp_path / "cpu.json").read_text())
    start, end = "<!-- bench -->", "<!-- /bench -->"
    readme = (tmp_path / "README.md").read_text()
    shown = readme.split(start)[1].split(end)[0]
    assert shown.strip() == table.markdown(result, ("op",)).strip()
    assert "| op | other 1.0 | 2.00 |" in shown
    assert (tmp_path / "cpu.md").read_text() == run.page(result)
    assert (tmp_path / "cpu.svg").read_text().startswith("<?xml")
