"""Every clause that concerns display: what four programs show is what docs/conformance.md says, and nothing is unexplained."""

from __future__ import annotations

import os
import re

import pytest

from . import compressed
from .conventions import WHY
from .page import MODULES, PAGE, Row, render, run
from .readers import no_dcmtk
from .standard import entry, linear, linear_exact

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # files are written that pydicom warns of
CASES = [case for cases in MODULES.values() for case in cases]
HEADING = "## Compressed transfer syntaxes"


def demand(absent: str | None) -> None:
    """Fail in CI, skip elsewhere, where a program to compare with is missing."""
    if absent and os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(absent)
    if absent:
        pytest.skip(absent)


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    demand(no_dcmtk())
    return {title: run(cases) for title, cases in MODULES.items()}


@pytest.mark.parametrize("title", MODULES)
def test_no_difference_is_unexplained_and_every_explanation_predicts_what_is_seen(
    rows: dict[str, list[Row]], title: str
) -> None:
    assert [fault for row in rows[title] for fault in row.faults] == []


def test_fastrace_follows_the_standard_wherever_it_shows_an_image(rows: dict[str, list[Row]]) -> None:
    shown = [row for listed in rows.values() for row in listed if not isinstance(row.answers["fastrace"].shown, str)]
    assert [row.case.name for row in shown if not row.answers["fastrace"].is_right] == []
    assert len(shown) > 130


def test_the_page_is_what_the_programs_show_today(rows: dict[str, list[Row]]) -> None:
    page = PAGE.read_text().partition(HEADING)[0]
    # A new version of another program matters when a value changes, not before.
    there, here = (re.sub(r"(pydicom|highdicom|DCMTK) [\d.]+", r"\1", text) for text in (page, render(rows)))
    assert there.split("\n") == [*here.split("\n"), ""], "run: python -m tests.conformance"


def test_lossless_syntaxes_give_every_decoder_the_values_that_were_encoded() -> None:
    demand(no_dcmtk() or compressed.no_gdcm())
    found = compressed.decode()
    assert {cell for cells in found.values() for cell in cells} == {"equal", "no decoder"}
    assert all(cell == "equal" for (_, decoder), cells in found.items() if decoder == "fastrace" for cell in cells)
    assert "".join(PAGE.read_text().partition(HEADING)[1:]) == compressed.render(found), (
        "run: python -m tests.conformance"
    )


def test_the_cases_cover_the_six_modules_and_are_named_once() -> None:
    names = [(title, case.name) for title, cases in MODULES.items() for case in cases]
    assert len(set(names)) == len(names) >= 60
    for clause in ("C.7.6.3", "C.7.6.16", "C.8.11", "C.11.1", "C.11.2", "C.11.6"):
        assert sum(case.clause.startswith(clause) for case in CASES) >= 5, clause


def test_every_reason_is_used_and_every_file_without_a_right_value_says_why() -> None:
    assert {differs.why for case in CASES for differs in case.differs.values()} == set(WHY)
    assert [case.name for case in CASES if case.shown is None and not case.verdict] == []
    assert [case.name for case in CASES if case.probe not in case.values] == []


def test_the_formulas_give_the_examples_of_the_standard() -> None:
    assert [linear(x, 2048, 4096) for x in (0, 4095)] == [0, 1]
    assert [linear(x, 2048, 1) for x in (2047, 2048)] == [0, 1]
    assert [linear(x, 0, 100) for x in (-50, 49)] == [0, 1]
    assert [linear_exact(x, 0, 100) for x in (-50, 0, 50)] == [0, 0.5, 1]
    assert [entry(x, 10, (5, 6, 7)) for x in (0, 10, 12, 99)] == [5, 5, 7, 7]


def test_no_sentence_of_the_page_is_longer_than_a_reader_bears() -> None:
    cells = [
        cell for line in PAGE.read_text().splitlines() if line.startswith("| ") for cell in re.split(r" \| ", line)
    ]
    assert max(len(cell) for cell in cells) < 160
