"""A later run is slower only by the ratios to peers that both runs timed, beyond the spread of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_documents import document, timed

from fastrace.bench import run
from fastrace.bench.compare import compare, comparison, load
from fastrace.bench.row import Row
from fastrace.cli.main import main
from fastrace.errors import UsageError


def scaled(times: list[float], factor: float) -> list[float]:
    return [factor * value for value in times]


STEADY = [1.0, 1.01, 1.0, 1.02, 1.0]


def result(ours: float = 1.0, peers: float = 1.0, **peer_versions: str) -> dict[str, Any]:
    """A run on a machine that makes ours and the peers so many times as slow."""
    rows = timed(fastrace=scaled(STEADY, ours), scipy=scaled(STEADY, 2 * peers), numpy=scaled(STEADY, 3 * peers))
    for row in rows:
        row["version"] = peer_versions.get(row["peer"], row["version"])
    return document(rows)


def test_a_slower_machine_is_no_regression() -> None:
    (change,) = compare(result(), result(ours=3.0, peers=3.0))
    assert change.raw == pytest.approx(1 / 3, rel=1e-3)
    assert change.ratio == pytest.approx(1.0)
    assert not change.regression


def test_slower_than_the_same_peers_is_one() -> None:
    old, new = result(), result(ours=1.2)
    (change,) = compare(old, new)
    assert change.ratio == pytest.approx(1 / 1.2, rel=1e-3)
    assert change.regression
    assert "REGRESSION" in comparison(old, new)
    assert not compare(old, result(ours=1.08))[0].regression
    assert not compare(new, old)[0].regression


def test_peers_that_recovered_are_none_unless_the_machine_is_another() -> None:
    old, new = result(peers=1.5), result(ours=0.97)
    (change,) = compare(old, new)
    assert change.ratio == pytest.approx(1 / 1.5 / 0.97, rel=1e-2)
    assert not change.regression
    new["environment"]["cpu"] = "another"
    assert compare(old, new)[0].regression


def test_another_row_of_ours_is_no_peer() -> None:
    old = timed(fastrace=[1.0] * 3, **{"fastrace, 1 thread": [2.0] * 3, "scipy": [3.0] * 3})
    new = timed(fastrace=[1.5] * 3, **{"fastrace, 1 thread": [6.0] * 3, "scipy": [3.0] * 3})
    (change,) = compare(document(old), document(new))
    assert change.peer == "scipy"
    assert change.ratio == pytest.approx(1 / 1.5, rel=1e-3)


def test_within_the_spread_is_none() -> None:
    rows = timed(fastrace=[1.2] * 5, scipy=[1.2, 1.4, 2.0, 2.4, 2.8])
    old = timed(fastrace=[1.0] * 5, scipy=[1.2, 1.6, 2.0, 2.6, 2.8])
    (change,) = compare(document(old), document(rows))
    assert change.decides is not None
    assert change.decides < 1 / 1.1
    assert not change.regression


def test_a_peer_of_another_version_is_not_compared() -> None:
    old, new = result(), result(ours=2.0, peers=2.0, scipy="2.0", numpy="2.0")
    (change,) = compare(old, new)
    assert change.ratio is None
    assert change.regression  # raw time decides
    new["environment"]["cpu"] = "another"
    (change,) = compare(old, new)
    assert change.decides is None
    assert not change.regression
    text = comparison(old, new)
    assert "another machine" in text
    assert "cannot be compared" in text


def test_a_wrong_result_is_a_regression_whatever_its_speed() -> None:
    old, new = result(), result(ours=0.5)
    new["rows"][0]["problem"] = "wrong result: error 1"
    assert compare(old, new)[0].regression
    assert not compare(new, new)[0].regression  # it was wrong before


def test_what_only_one_run_measured_is_counted() -> None:
    old = document([*timed("a", fastrace=[1.0], scipy=[2.0]), *timed("b", fastrace=[1.0], scipy=[2.0])])
    new = document([*timed("b", fastrace=[1.0], scipy=[2.0]), *timed("c", fastrace=[1.0], scipy=[2.0])])
    assert [change.operation for change in compare(old, new)] == ["b"]
    assert "0 slower or wrong of 1 operations; measured only then: 1, only now: 1" in comparison(old, new)


def test_a_result_of_the_schema_before_is_read(tmp_path: Path) -> None:
    """It had neither states of the caches nor root mean square errors, and the names that the hot rows have."""
    old, file = result(), tmp_path / "old.json"
    for row in old["rows"]:
        for key in ("caches", "rms_error", "lsb"):
            del row[key]
    file.write_text(json.dumps(old | {"schema": 2}))
    (change,) = compare(load(file), result(ours=1.2))
    assert change.regression


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[]", "holds no benchmark"),
        ('{"rows": []}', "has schema 1"),
        ('{"rows": [], "schema": 99}', "has schema 99"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "old.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=words):
        load(file)


def test_the_command_fails_on_a_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(rows: list[Row]) -> None:
        monkeypatch.setattr(run, "run_apart", lambda modules, settings, log: ({modules[0]: (rows, 0.1)}, None))

    def command(*arguments: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["bench", "noise", *arguments])
        return int(stop.value.code or 0)

    old = str(tmp_path / "old.json")
    answer(timed(fastrace=[1.0] * 3, scipy=[2.0] * 3))
    assert command("--out", old) == 0
    assert json.loads(Path(old).read_text())["schema"] == run.SCHEMA
    assert command("--compare", old) == 0
    answer(timed(fastrace=[1.5] * 3, scipy=[2.0] * 3))
    capsys.readouterr()
    assert command("--compare", old, "--json") == 1
    printed = capsys.readouterr()
    assert "REGRESSION" in printed.err
    assert json.loads(printed.out)["rows"]
