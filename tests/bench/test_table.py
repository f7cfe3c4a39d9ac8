"""The table and the CSV: losses are words, errors stand beside times, noisy times are marked, several runs are pooled."""

from __future__ import annotations

import csv
import json

import pytest
from bench_documents import document, timed

from fastrace.bench import row as rows_module
from fastrace.bench import run, table, targets
from fastrace.bench.row import restless
from fastrace.bench.targets import Target


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
    monkeypatch.setattr(rows_module, "load", lambda: 0.5)
    assert restless([1.0, 1.0, 1.0], machine) == words


def test_the_load_stands_for_what_others_use_where_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "load", lambda: 99.0)
    assert restless([1.0], None)[0].startswith("load 99.0 on ")
    assert restless([1.0], (0.0, 0.0)) == []


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


def test_the_readme_shows_a_few_rows_and_names_every_miss_and_every_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = timed("shown", fastrace=[1.0], peer=[5.0]) + timed("far", fastrace=[1.0], peer=[1.5], unseen=[9.0])
    rows += timed("lost", fastrace=[1.0] * 3, quick=[0.5] * 3, even=[0.9, 0.9, 1.1], **{"fastrace, bare": [0.1] * 3})
    monkeypatch.setattr(targets, "TARGETS", (Target("shown", "peer", 2), Target("far", "peer", 2)))
    monkeypatch.setattr(table, "README_ROWS", (("shown", "peer"),))
    found = {**document(rows), "environment": run.environment(quick=False)}
    text = table.readme_block(found)
    assert [line for line in text.splitlines() if line.startswith("| ")][1:] == [
        "| shown | peer 1.0 | >= 2x | 5.00x | 5.00-5.00 | met in 1 of 1 |"
    ]
    assert text.split("met in 1 of 1 |\n\n")[1].splitlines() == [
        "1 of 2 targets were reached in at least four of five runs. Not reached:",
        "",
        "- far: 1.50x against peer, target 2x, met in 0 of 1",
        "",
        "Other libraries that are faster (their time / ours):",
        "",
        "- lost: quick 0.50",
    ]


def test_the_csv_has_a_line_for_each_time_and_memory() -> None:
    lines = list(csv.DictReader(table.csv_text(document(timed(fastrace=[1.0, 2.0], other=[4.0, 4.0]))).splitlines()))
    assert [(line["kernel_provider"], line["metric_name"]) for line in lines] == [
        ("fastrace", "speed"), ("fastrace", "memory"), ("other", "speed"), ("other", "memory")
    ]  # fmt: skip
    assert [float(lines[0][f"y_value_{q}"]) for q in (20, 50, 80)] == [1.2, 1.5, 1.8]
    assert lines[2]["kernel_name"] == "noise"
    assert lines[2]["x_value"] == "op"
    assert json.loads(lines[2]["extra_benchmark_config_str"])["ratio"] == pytest.approx(3.0)
