"""A target is met by the ratios that were measured, run by run, against the best of those it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_documents import timed

from fastrace.bench import run, table, targets
from fastrace.bench.targets import Target, outcomes, targets_markdown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "TARGETS", (Target("op", "scipy", 2.0), Target("not measured", "scipy", 2.0)))


def runs(*ratios: float, peer: str = "scipy.fft") -> dict[str, Any]:
    several = [timed(fastrace=[1.0], **{peer: [ratio], "scipy, slow": [9.0]}) for ratio in ratios]
    return run.merged([{"seconds": {}, "roofs": None, "rows": rows} for rows in several])


@pytest.mark.parametrize(
    ("ratios", "words", "reached"),
    [
        ((2.0, 2.5, 3.0, 4.0, 1.9), "met in 4 of 5", True),
        ((2.0, 2.5, 3.0, 1.9, 1.9), "met in 3 of 5", False),
        ((1.9,), "met in 0 of 1", False),
        ((2.0,), "met in 1 of 1", True),
    ],
)
def test_a_target_is_counted_in_every_run(ratios: tuple[float, ...], words: str, reached: bool) -> None:
    (outcome,) = outcomes(runs(*ratios))
    assert outcome.words() == words
    assert outcome.reached == reached
    assert (f"| **{words}** |" in targets_markdown(runs(*ratios))) != reached


def test_a_peer_that_was_wrong_or_absent_proves_nothing() -> None:
    document = runs(3.0)
    for row in document["rows"][1:]:
        row["problem"] = "wrong result: error 1"
    (outcome,) = outcomes(document)
    assert not outcome.reached
    assert outcome.words() == "wrong result: error 1"
    for row in document["rows"][1:]:
        row |= {"problem": None, "ms": None, "version": "not installed"}
    assert outcomes(document)[0].words() == "not installed"
    assert "not installed |" in targets_markdown(document).replace("**", "")


def test_every_target_names_an_operation_and_a_peer_of_the_committed_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    result = json.loads((ROOT / "bench" / "results" / "cpu.json").read_text())
    if result.get("schema") != run.SCHEMA:
        pytest.skip("the committed result is older than some operations; run `fastrace bench --write`")
    measured = {(row["operation"], row["peer"]) for row in result["rows"]}
    for target in targets.TARGETS:
        assert any(target.operation == op and peer.startswith(target.peer) for op, peer in measured), target
    assert {(target.operation, target.peer) for target in targets.TARGETS} >= set(table.README_ROWS)
