"""bench.gpu without a GPU: what it refuses, how it counts, what it writes; and every way that it times, run once, small."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_on_host import install

pytest.importorskip("triton", reason="triton comes with the CUDA build of torch")

from fastrace.bench import gpu, gpu_cases, gpu_clock
from fastrace.bench.gpu_clock import FLUSH_AT_LEAST, compared, flush_bytes, numbers, wrong
from fastrace.kernels.bandpass import choice

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


# ---- what it refuses -------------------------------------------------------------------------------------------------


@without_gpu
def test_without_a_gpu_it_prints_one_sentence_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "NVIDIA GPU" in captured.err
    assert torch.__version__ in captured.err


@without_gpu
def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "fastrace.bench.gpu"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "finds none here" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_option_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        gpu.main(["--fast"])
    assert stopped.value.code == 2


def test_the_interpreter_is_not_measured_and_a_package_has_no_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "unset it" in str(gpu.refusal(False))
    monkeypatch.delenv("TRITON_INTERPRET")
    assert gpu.refusal(True) is None
    monkeypatch.setattr(gpu, "RESULTS", tmp_path)
    assert gpu.refusal(False) is None
    assert "not run from one" in str(gpu.refusal(True))


# ---- how it counts ---------------------------------------------------------------------------------------------------


def test_times_become_rates_of_the_bytes_that_must_move() -> None:
    row = numbers([0.002, 0.001, 0.004, 0.002, 0.002], count=100, minimum_bytes=4_000_000, copy=2e9 * 4)
    assert row["us_per_image"] == pytest.approx(20)
    assert row["images_per_s"] == pytest.approx(50_000)
    assert row["gb_per_s"] == pytest.approx(2)
    assert row["percent_of_copy"] == pytest.approx(25)
    assert row["us_p20"] < row["us_per_image"] < row["us_p80"]
    assert row["noisy"]
    assert not numbers([0.002] * 5, 100, 4_000_000, 1e9)["noisy"]


def test_a_cold_call_follows_twice_the_l2() -> None:
    assert flush_bytes(200 << 20) == 400 << 20
    assert flush_bytes(40 << 20) == FLUSH_AT_LEAST
    assert flush_bytes(0) == FLUSH_AT_LEAST


def test_wrong_results_are_named_and_nan_is_wrong() -> None:
    assert wrong(1e-6, 1e-6) is None
    assert wrong(None, 0.0) is None
    assert wrong(2e-6, 1e-6) == "wrong: off by 2e-06 from float64, allowed 1e-06"
    assert "wrong" in str(wrong(math.nan, 1e-6))


def test_ratios_are_to_the_first_row_and_missing_without_it() -> None:
    rows = [{"cold": {"us_per_image": 2.0}}, {"cold": {"us_per_image": 1.0}}, {"problem": "not installed"}]
    assert [row["ratio"] for row in compared(rows)] == [1.0, 0.5, None]
    assert [row["ratio"] for row in compared([{"problem": "out of memory"}, {"cold": {"us_per_image": 1.0}}])] == [
        None
    ] * 2


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm4-40gb"),
        ("Tesla T4 (2nd)", "tesla-t4-2nd"),
    ],
)
def test_a_gpu_names_its_file(name: str, file: str) -> None:
    assert gpu.slug(name) == file


# ---- what it writes --------------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    timed = numbers([0.001, 0.0011, 0.001], 64, 64 * 224 * 224 * 8, 3e12)
    row = {
        "operation": "bandpass 0:25",
        "count": 64,
        "version": "1",
        "minimum_bytes": 1,
        "limit": 1e-6,
        "problem": None,
    }
    row |= {"max_error": 5e-7, "launches": 4, "peak_bytes": 3 << 20, "first_call_s": 1.5, "hot": timed, "cold": timed}
    ours = row | {"peer": "fastrace", "note": "as it is", "other": ""}
    rows = [ours, row | {"peer": "torch", "other": "other noise", "max_error": None, "launches": None}]
    broken = {"operation": "bandpass 0:25", "count": 64, "peer": "kornia", "version": "not installed"}
    rows.append(broken | {"problem": "ModuleNotFoundError: No module named 'kornia'"})
    about = dict.fromkeys(gpu.PACKAGES, "1.0") | {"gpu": "NVIDIA H100 80GB HBM3", "bandpass": "callbacks: a trial"}
    about |= {"time": "2030-01-01T00:00:00+00:00", "commit": "abc", "cuda": "13.0", "python": "3.12.3"}
    checks = [{"name": "tests/gpu", "outcome": "passed", "summary": "90 passed"}]
    checks.append({"name": "compute-sanitizer memcheck", "outcome": "not run: not found", "summary": ""})
    return {
        "schema": gpu.SCHEMA,
        "machine": about | {"uncommitted_changes": False},
        "checks": checks,
        "copy_gb_per_s": 3000.0,
        "flush_bytes": 256 << 20,
        "rows": compared(rows),
    }


def test_the_page_shows_every_row_losses_and_what_is_missing() -> None:
    page = gpu.markdown(json.loads(json.dumps(document())))
    lines = page.splitlines()
    table = [
        line for line in lines if line.startswith("| ") and ("fastrace" in line or "torch" in line or "kornia" in line)
    ]
    assert len([line for line in table if line.count("|") == len(gpu.COLUMNS) + 1]) == 3
    assert "No module named 'kornia'" in page
    assert "other noise" in page
    assert "not run: not found" in page
    assert "as it is" in page
    assert "H100" in lines[0]
    assert "3000 GB/s" in page


def test_only_a_tested_commit_becomes_the_record() -> None:
    assert gpu.unfit(document()) is None
    untested = document() | {"checks": []}
    assert "have not passed" in str(gpu.unfit(untested))
    failed = document()
    failed["checks"][0]["outcome"] = "FAILED (exit code 1)"
    assert "have not passed" in str(gpu.unfit(failed))
    changed = document()
    changed["machine"]["uncommitted_changes"] = True
    assert "uncommitted changes" in str(gpu.unfit(changed))


def test_wrong_numbers_fail_the_command_and_slow_ones_do_not() -> None:
    rows = document()["rows"]
    assert not gpu.lost(rows)
    assert gpu.lost([*rows, {"peer": "torch", "problem": "wrong: off by 1"}])
    assert gpu.lost([*rows, {"peer": "fastrace", "problem": "RuntimeError: no"}])

    assert not gpu.lost([*rows, {"peer": "fastrace, callbacks", "problem": "BackendMissing: no"}])
    assert gpu.lost([*rows, {"peer": "fastrace, eager", "problem": "RuntimeError: no"}])
    assert gpu.lost([*rows, {"peer": "fastrace, callbacks", "problem": "wrong: off by 1"}])


def test_the_outcome_of_a_check_is_its_exit_code() -> None:
    assert gpu.check_row("x", 0, "...\n= 3 passed in 1s =\n")["summary"] == "3 passed in 1s"
    bad = gpu.check_row("x", 99, "3 passed\n========= ERROR SUMMARY: 1 error\n")
    assert bad["outcome"] == "FAILED (exit code 99)"
    assert "ERROR SUMMARY: 1 error" in bad["summary"]
    assert gpu.failed([bad])
    assert not gpu.failed([{"name": "x", "outcome": "not run: not found"}])


def test_the_sanitizer_is_looked_for_in_three_places_and_its_absence_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu.sysconfig, "get_path", lambda name: str(tmp_path / "site"))
    assert gpu.find_sanitizer() is None
    assert [row["outcome"] for row in gpu.sanitizer()] == [
        "not run: compute-sanitizer not found on PATH, in CUDA_HOME or beside torch"
    ] * 2

    def put(place: Path) -> Path:
        place.mkdir(parents=True)
        (place / "compute-sanitizer").write_text("#!/bin/sh\n")
        (place / "compute-sanitizer").chmod(0o755)
        return place / "compute-sanitizer"

    packaged = put(tmp_path / "site" / "nvidia" / "cu13" / "bin")
    assert gpu.find_sanitizer() == packaged
    home = put(tmp_path / "cuda" / "bin")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    assert gpu.find_sanitizer() == home
    assert gpu.find_sanitizer() != put(tmp_path / "bin")
    assert gpu.find_sanitizer() == tmp_path / "bin" / "compute-sanitizer"


# ---- what it times ---------------------------------------------------------------------------------------------------


@without_gpu
@pytest.mark.parametrize("number", range(12))
def test_every_way_computes_what_it_is_timed_for(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    install(monkeypatch, tmp_path_factory.mktemp("cuda"))
    made = gpu_cases.cases(torch.device("cpu"), 2, 16, (52, 40))
    assert len(made) == 12
    case = made[number][1]()
    assert case.count == (gpu_cases.SWEEP if "cut-offs" in case.operation else 2)
    assert case.minimum_bytes > 0
    names = [peer.name for peer in case.peers]
    assert len(set(names)) == len(names)
    ran = 0
    for peer in case.peers:
        if peer.graph or "compile" in peer.name or "kornia" in peer.name:
            continue
        result = peer.call()
        ran += 1
        if not peer.other:
            assert wrong(case.error(result), case.limit) is None, peer.name
    assert ran >= 2


@without_gpu
def test_the_bytes_that_must_move_are_one_read_and_one_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path)
    monkeypatch.setattr(choice, "choose", lambda device: choice.Choice(choice.PLAIN, "as tested here"))
    made = dict(gpu_cases.cases(torch.device("cpu"), 3, 8, (52, 40)))
    pixels = 3 * 8 * 8
    assert made["noise gaussian"]().minimum_bytes == pixels * (4 + 4)
    assert made["bandpass 0:25"]().minimum_bytes == pixels * (4 + 4)
    assert made["bandpass, 20 cut-offs"]().minimum_bytes == 8 * 8 * (4 + 20 * 4)
    assert made["bandpass, noise, clamp"]().minimum_bytes == pixels * (2 + 2)
    assert made["window"]().minimum_bytes == pixels * (2 + 2)
    assert made["patches"]().minimum_bytes == 3 * 4 * (8 * 8 + 2 * 256 * 10)
    assert made["window of mammograms"]().minimum_bytes == 3 * 2 * (52 * 40 + 16 * 8)


def test_a_peer_that_is_not_installed_is_named() -> None:
    assert gpu_clock.version("no-such-package", "torch") == torch.__version__.split("+")[0] or "+" in torch.__version__
    assert gpu_clock.version("no-such-package") == "not installed"
