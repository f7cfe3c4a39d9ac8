"""The description of the machine is read from it, and names no host and no user."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastrace.bench import caches, machine, meter
from fastrace.bench.roofs import roofs


def test_the_environment_is_this_machine_and_names_neither_host_nor_path() -> None:
    found = machine.environment(quick=False)
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert f"model name\t: {found['cpu']}" in Path("/proc/cpuinfo").read_text()
    assert found["python"] == platform.python_version()
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["OpenCV"] == machine.version(*machine.OPENCV)
    text = json.dumps(found)
    assert str(Path.home()) not in text
    assert f'"{platform.node()}"' not in text
    assert f'"{getpass.getuser()}"' not in text
    assert str(machine.ROOT) not in text


def test_the_commit_and_whether_files_were_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert machine._commit() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    found = machine._commit()
    assert found is not None
    assert len(found["sha"]) == 40
    assert found["modified"] is False
    (tmp_path / "file").write_text("2")
    assert machine._commit() == {"sha": found["sha"], "modified": True}


def test_variables_that_change_threads_are_kept_without_paths() -> None:
    given = {"OMP_NUM_THREADS": "3", "MKL_DIR": "/opt/x", "HOME": "/root", "OPENBLAS_CORETYPE": "Haswell"}
    assert machine._variables(given) == {"MKL_DIR": "(a path)", "OMP_NUM_THREADS": "3", "OPENBLAS_CORETYPE": "Haswell"}


def test_what_others_use_is_seen_and_what_we_and_our_children_use_is_not() -> None:
    """Other tests may run beside this one, so that only differences are looked at."""
    code = "import time\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass"
    before = meter._used_by_us(os.sysconf("SC_CLK_TCK"))
    child = subprocess.Popen([sys.executable, "-c", code])
    time.sleep(1)
    alive = meter._used_by_us(os.sysconf("SC_CLK_TCK"))
    child.wait()
    after = meter._used_by_us(os.sysconf("SC_CLK_TCK"))
    assert before + 0.1 < alive < after  # a child counts while it runs, and when it has ended
    # Ended with its parent, which is not ours: its time is not counted as ours.
    orphan = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", orphan], check=True)
    others = meter.Meter()
    time.sleep(0.8)
    found = others.read()
    assert found is not None
    assert found[0] > 0.3
    assert 0 <= found[1] <= 1
    assert others.read() == found  # too soon for another


def test_the_memory_of_a_call_is_what_it_needs_beyond_what_was_there() -> None:
    kept = np.ones(20_000_000)
    peak, seconds = meter.peak_memory(lambda: np.ones(10_000_000).sum())
    assert seconds > 0
    if peak is None:
        pytest.skip("this kernel does not reset the peak")
    assert 75 < peak < 100  # 80 MB
    small, _ = meter.peak_memory(lambda: kept.sum())
    assert small is not None
    assert small < 10


def test_every_core_goes_over_its_share_of_more_than_the_caches_hold() -> None:
    mine = os.sched_getaffinity(0)
    caches.evict()
    pool, shares, together = caches._eviction()
    before = [share.copy() for share in shares]
    caches.evict()
    assert all(np.array_equal(share, ~old) for share, old in zip(shares, before, strict=True))  # each element, once

    def bound() -> set[int]:
        together.wait()
        return os.sched_getaffinity(0)

    assert sorted(core for one in [pool.submit(bound) for _ in shares] for core in one.result()) == sorted(mine)
    assert os.sched_getaffinity(0) == mine
    last = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    if last.exists():
        assert sum(share.nbytes for share in shares) >= 4 * 1024 * int(last.read_text().strip().rstrip("K"))


def test_the_buffer_that_fills_the_caches_counts_for_no_call() -> None:
    caches.evict()
    peak, _ = meter.peak_memory(caches.evict)
    if peak is None:
        pytest.skip("this kernel does not reset the peak")
    assert peak < 10  # of 128 MB


def test_the_roofs_are_rates_of_this_machine() -> None:
    found = roofs(quick=True)
    counts = {str(n) for n in {1, machine.usable_cpus()}}
    assert {kind: set(rates) for kind, rates in found.items()} == dict.fromkeys(("copy", "cached", "peak"), counts)
    assert found["cached"]["1"] > found["copy"]["1"] > 0.1  # GB/s
    assert found["peak"]["1"] > 0.5  # GFLOP/s
    assert all(rate >= rates["1"] for rates in found.values() for rate in rates.values())
