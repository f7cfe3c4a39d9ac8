"""`fastrace bench --quick` measures everything: its document, errors within the kernels' tolerances, absent peers."""

from __future__ import annotations

import json
from functools import partialmethod
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from fastrace.bench import GROUPS, QUICK_NAMES, pipeline, run, table
from fastrace.bench.machine import version
from fastrace.bench.measure import QUICK_COLD
from fastrace.bench.row import COLD, Row, figures, is_ours
from fastrace.bench.session import Session, Settings
from fastrace.cli.main import cli
from fastrace.kernels.bandpass import TOLERANCE as BANDPASS_TOLERANCE
from fastrace.kernels.noise import NORMAL_ERROR
from fastrace.kernels.patches import TOLERANCE as PATCHES_TOLERANCE
from fastrace.kernels.ranking import TOLERANCE as RANKING_TOLERANCE
from fastrace.kernels.window import TOLERANCE as WINDOW_TOLERANCE

MEASURED = ["ms", "ratio", "spread", "samples"]
KEYS = ["benchmark", "operation", "peer", "version", "caches", *MEASURED, "max_error", "rms_error", "lsb"]
KEYS += ["problem", "noisy", "why", "load", "threads", "first_ms", "peak_mb", "bytes", "flops", "ratios"]
HIDDEN = ("SimpleITK", "dicomsdl")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of `fastrace bench --quick --json` where two peers cannot be imported; nothing here looks at a time."""
    folder = tmp_path_factory.mktemp("bench")
    for name in HIDDEN:  # before the installed ones on the path of the process that measures
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('hidden', name={name!r})")
    out = folder / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(Settings, "__init__", partialmethod(Settings.__init__, rounds=1))
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
        assert row["caches"] != "cold" or row["operation"].startswith(QUICK_COLD)
        if row["ms"] is None:
            assert row["version"] == "not installed" or row["problem"].startswith("failed"), row
            continue
        assert row["ms"] > 0
        assert row["ratio"] > 0
        assert row["ratios"] == [row["ratio"]]
        assert row["spread"][0] <= row["spread"][1]
        assert row["first_ms"] > 0
    assert len({(row["operation"], row["peer"]) for row in quick["rows"]}) == len(quick["rows"])
    for start in QUICK_COLD:
        cold = {row["operation"] for row in quick["rows"] if row["caches"] == "cold"}
        assert any(operation.startswith(start) for operation in cold), start
    for word in ("VOI", "bandpass", "noise", "patches", "decode", "AUC", "patient-cluster interval"):
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
    ours = {row["operation"]: row for row in quick["rows"] if is_ours(row)}
    bounds = {
        "VOI": 0.5 / 255 + WINDOW_TOLERANCE,  # rounding to 8 bits
        "bandpass": BANDPASS_TOLERANCE[torch.float32],
        "noise gaussian": 0.1 * NORMAL_ERROR + 2.0**-22,  # and the rounding of a float32 between 1 and 2
        "patches": PATCHES_TOLERANCE * 10,  # filters of length 1.3 at most, 6 x 6, threshold 1: scale is 9
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
def test_the_pipeline_runs_on_a_small_archive(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    session.settings = Settings(rounds=1)
    monkeypatch.setattr(pipeline, "HEIGHT", 332)
    monkeypatch.setattr(pipeline, "WIDTH", 256)
    rows = pipeline.rows(quick=True)
    assert len({row["operation"] for row in rows}) == 4
    for row in rows:
        assert (row["ms"] is None) == (row["version"] == "not installed"), row
    peers = [*["fastrace", *pipeline.PEERS] * 2, *["fastrace", *pipeline.PEERS_MORE] * 2]
    assert [row["peer"] for row in rows] == peers
