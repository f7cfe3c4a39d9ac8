"""Peers are compared, timed in turns, and named when they are absent, fail, are wrong or slow; caches are hot or cold."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bench_documents import document

from fastrace.bench import run, table, timing
from fastrace.bench.measure import Peer, hot_and_cold, measure
from fastrace.bench.row import Error, difference
from fastrace.bench.session import Session, Settings
from fastrace.bench.timing import Caches, interleave, threads


def absent_peer() -> None:
    import a_module_that_nobody_has  # type: ignore[import-not-found] # noqa: F401


def failing() -> None:
    raise ValueError("no such plugin\nand more")


def late() -> Callable[[], float]:
    """Works once, and fails when it is timed."""
    answers = iter([1.0])
    return lambda: next(answers)


def test_a_peer_that_is_absent_fails_or_is_wrong_is_named_and_does_not_stop_the_others(
    session: Session,
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
    rows = measure("op", peers, lambda result: difference(result, np.array(1.0)), rounds=3)
    assert [row["peer"] for row in rows] == [peer.name for peer in peers]
    rows_of = {row["peer"]: row for row in rows}
    assert rows_of["gone"]["version"] == "not installed"
    assert rows_of["failing"]["problem"] == "failed: ValueError: no such plugin"
    assert rows_of["late"]["problem"] == "failed: StopIteration"
    assert all(rows_of[name]["ms"] is None for name in ("gone", "failing", "late"))
    assert rows_of["wrong"]["problem"] == "wrong result: error 2, at most 0.5 is expected"
    assert rows_of["shape"]["problem"] == rows_of["nan"]["problem"]
    assert "another shape" in rows_of["nan"]["problem"]
    assert rows_of["right"]["problem"] is None
    assert rows_of["right"]["max_error"] == rows_of["right"]["rms_error"] == 0.25
    assert rows_of["nan"]["max_error"] is rows_of["nan"]["rms_error"] is None
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
    return difference(result, np.array(1.0))


def test_check_only_compares_and_times_nothing(session: Session) -> None:
    session.settings = Settings(check_only=True)
    calls: list[int] = []
    peers = [answer(1.0, "fastrace"), answer(3.0, "wrong"), Peer("counted", lambda: calls.append(1) or 1.25, limit=0.5)]
    rows = measure("op", peers, off_by, rounds=9)
    assert [row["ms"] for row in rows] == [None] * 3
    assert [row["max_error"] for row in rows] == [0.0, 2.0, 0.25]
    assert rows[1]["problem"].startswith("wrong result")
    assert calls == [1]
    assert "correct, error 0.25, RMS 0.25" in table.terminal(document(rows))


def test_fast_leaves_out_the_slow_with_a_reason(session: Session) -> None:
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


def test_named_peers_are_alone_with_ours(session: Session) -> None:
    session.settings = Settings(peers="OPENCV, numpy")
    peers = [answer(1.0, "fastrace"), answer(1.0, "OpenCV LUT"), answer(1.0, "torch"), answer(1.0, "numpy.fft")]
    assert [row["peer"] for row in measure("op", peers, rounds=1)] == ["fastrace", "OpenCV LUT", "numpy.fft"]
    assert measure("other", [peers[0], peers[2]], rounds=1) == []


def test_a_share_of_the_operation_counts_as_a_share_and_a_check_stands_for_a_draw(session: Session) -> None:
    clock = iter(range(1000))  # every call takes a second
    peers = [answer(1.0, "fastrace"), answer(9.0, "a tenth", part=0.1, check=lambda: 1.25)]
    rows = measure("op", peers, off_by, rounds=3, clock=lambda: float(next(clock)))
    assert rows[0]["ms"] == 1000.0
    assert rows[1]["ms"] == 10000.0
    assert rows[1]["ratio"] == 10.0
    assert rows[1]["max_error"] == 0.25


def test_the_work_of_an_operation_becomes_a_rate(session: Session) -> None:
    clock = iter(range(1000))
    rows = measure("op", [answer(1.0, "fastrace")], rounds=2, clock=lambda: float(next(clock)), work=(2e9, 6e9))
    speed, share = table.rate(rows[0], {"copy": {str(rows[0]["threads"]): 8.0}}) or (0.0, None)
    assert (speed, share) == (2.0, 0.25)
    assert table.rate(rows[0] | {"bytes": None}, None) is None


def test_an_error_is_the_largest_and_the_root_mean_square() -> None:
    exact = np.array([[0.0, 1.0], [2.0, 3.0]])
    found = difference(np.array([[0.0, 1.0], [2.0, 5.0]], dtype=np.float32), exact)
    assert found == Error(2.0, 1.0)
    assert difference(np.array([200, 0], np.uint8), np.array([0.0, 200.0])) == Error(200.0, 200.0)
    assert difference(np.zeros(0), np.zeros(0)) == Error(0.0, 0.0)
    for wrong in (np.zeros(4), np.full((2, 2), np.nan), np.full((2, 2), np.inf)):
        assert difference(wrong, exact) == Error(np.inf, np.inf)


# ---- what a call finds in the caches -------------------------------------------------------------------------------


def order_of(caches: Caches, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    """What happens in two rounds of "a" and "b": calls, "!" for emptied caches, and "(" and ")" for looks at the clock."""
    happened: list[str] = []
    looks = iter("()" * 100)

    def clock() -> float:
        happened.append(next(looks))
        return 0.0

    monkeypatch.setattr(timing, "evict", lambda: happened.append("!"))
    interleave({name: lambda name=name: happened.append(name) for name in "ab"}, 2, clock=clock, caches=caches, **more)
    return "".join(happened)


def test_each_timed_call_finds_the_caches_as_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert order_of(None, monkeypatch) == "(a)(b)(b)(a)"
    assert order_of("hot", monkeypatch) == "a(a)b(b)b(b)a(a)"
    assert order_of("hot", monkeypatch, slow=["b"]) == "a(a)(b)(b)a(a)"
    assert order_of("hot", monkeypatch, tries=2) == "a(a)(a)b(b)(b)b(b)(b)a(a)(a)"
    assert order_of("cold", monkeypatch) == "!(a)!(b)!(b)!(a)"
    assert order_of("cold", monkeypatch, tries=2, slow=["b"]) == "!(a)!(a)!(b)!(b)!(b)!(b)!(a)!(a)"


def test_a_peer_twenty_times_as_slow_has_no_untimed_call(session: Session) -> None:
    calls: list[str] = []

    def taking(name: str, seconds: float) -> Peer:
        return Peer(name, lambda: calls.append(name) or (time.sleep(seconds) if seconds else None))

    # Not even a millisecond of sleep: on a busy machine it takes five, and the slow one is then not twenty times as slow.
    measure("op", [taking("fastrace", 0), taking("quick", 0), taking("slow", 0.1)], rounds=2, caches="hot")
    assert [calls.count(name) for name in ("fastrace", "quick", "slow")] == [2 + 4, 2 + 4, 2 + 2]


def test_cold_rows_have_a_name_of_their_own_and_the_requested_peers(session: Session) -> None:
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
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
