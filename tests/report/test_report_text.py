"""Numbers, names and table cells: one form for each, and nothing hostile gets through."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastrace.audit import marks as audit_marks
from fastrace.audit.document import Estimate
from fastrace.console import words
from fastrace.report import csv_text, marks, svg
from fastrace.report.estimates import facts, interval


def test_numbers_are_written_alike_on_the_terminal_and_on_the_page() -> None:
    assert [words.number(value) for value in (0.8124, 0.5, 1.0, 0.0, -0.05, None, float("nan"))] == [
        ".812", ".500", "1.000", ".000", "−0.050", "-", "-",
    ]  # fmt: skip
    assert words.interval(0.8124, 0.79, 0.8333) == ".812 (.790-.833)"
    assert words.typeset(words.interval(0.8124, 0.79, 0.8333)) == ".812 (.790–.833)"
    assert words.interval(0.8124, None, None) == ".812 (no interval)"


def test_undefined_numbers_are_a_dash_and_small_cells_are_not_counted() -> None:
    assert (words.number(None), words.limits(None, 0.7), words.p_value(None), words.count(None)) == ("-", "-", "-", "-")
    assert [words.count(n, patients=True) for n in (0, 1, 10, 11)] == ["0", "fewer than 11", "fewer than 11", "11"]
    assert words.count(None, suppressed=True) == "suppressed"
    assert words.count(10) == "10"  # images are no patients


def test_a_sentence_gets_en_dashes_in_its_intervals_and_nowhere_else() -> None:
    sentence = "AUC .81 (.794-.818) in 10-75 cycles/image (0.2-1.4 lp/mm), group A-1, 2026-11-23, 60-70"
    assert words.typeset(sentence) == (
        "AUC .81 (.794–.818) in 10–75 cycles/image (0.2–1.4 lp/mm), group A-1, 2026-11-23, 60-70"
    )


@given(st.text())
def test_cleaned_text_has_no_controls_and_no_direction_overrides(text: str) -> None:
    found = words.clean(text)
    found.encode("utf-8")
    assert not any(
        ord(c) < 32 or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f" for c in found
    )


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_in_svg_is_read_back_as_that_text(content: str, attribute: str) -> None:
    content, attribute = words.clean(content), words.clean(attribute)
    element = ElementTree.fromstring(str(svg.tag("text", content, data_name=attribute)))
    assert (element.text or "", element.get("data-name")) == (content, attribute)


@given(st.text(min_size=1, max_size=40))
@example("\x85=1+1")
@example("  @SUM(A1)")
@example("\t-1")
def test_no_csv_cell_of_text_starts_like_a_formula(text: str) -> None:
    document = csv_text.document(("name", "n"), [[text, -0.5]])
    cell, number = next(iter(list(csv.reader(io.StringIO(document, newline="")))[1:]))
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "|", "%"))
    assert cell in (text, "'" + text)
    assert float(number) == -0.5


@given(st.text(max_size=300), st.floats(20, 400), st.integers(1, 4))
def test_wrapped_text_fits(text: str, width: float, lines: int) -> None:
    found = svg.wrap(words.clean(text), width, 12, lines)
    assert 1 <= len(found) <= lines
    assert all(svg.text_width(line, 12) <= width or line == "…" for line in found)


def test_a_cut_text_shows_the_cut() -> None:
    assert words.clip("x" * 10_000, 10) == "xxxxxxxxx…"
    assert svg.fit("abc", 400, 12) == "abc"
    assert svg.fit("a" * 500, 100, 12).endswith("…")


@pytest.mark.parametrize(
    ("low", "high", "spacing", "expected"),
    [
        (1, 200, 34, [1, 2, 5, 10, 20, 50, 100, 200]),
        (0.02, 3, 34, [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]),
        (40, 60, 34, [50]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks(low: float, high: float, spacing: float, expected: list[float]) -> None:
    ticks = svg.Scale(low, high, 0, 400, log=True).ticks(spacing)
    assert ticks == pytest.approx(expected)


@given(st.floats(-1, 0.99), st.floats(0.011, 1), st.floats(60, 700))
def test_linear_ticks_are_inside_and_apart(low: float, width: float, pixels: float) -> None:
    scale = svg.Scale(low, low + width, 0, pixels)
    ticks = scale.ticks(30)
    assert all(low - 1e-6 <= tick <= low + width + 1e-6 for tick in ticks)
    places = [scale(tick) for tick in ticks]
    assert all(b - a > 29 for a, b in pairwise(places))


@given(st.lists(st.floats(0, 200), max_size=6))
def test_labels_pushed_apart_keep_their_order(places: list[float]) -> None:
    moved = svg.spread(places, 14, 0, 400)
    order = sorted(range(len(places)), key=lambda k: places[k])
    apart = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap > 13 for gap in apart)  # a pixel of tolerance: the pushing stops after 60 rounds


def test_every_mark_has_a_shape_of_its_own() -> None:
    shapes = [marks.Mark(word).icon for word in (*marks.MEANING, "ok", "failed", "for comparison", "anything else")]
    assert len(set(shapes)) == len(shapes)
    assert marks.Mark("<script>").style == "other"


def test_the_marks_mean_what_the_audit_means_by_them() -> None:
    assert words.number(audit_marks.STRONG).rstrip("0") in marks.MEANING["strong"]
    assert words.number(audit_marks.CLEAR).rstrip("0") in marks.MEANING["clear"]
    assert words.number(audit_marks.CLEAR).rstrip("0") in marks.MEANING["weak"]


def test_an_estimate_states_its_interval_its_n_and_its_reservation() -> None:
    one = Estimate(
        value=0.812, low=0.79, high=0.833, n_patients=3102, n_positive=812, n_images=12431, unit="patient",
        method="logit DeLong", status="not enough evidence",
    )  # fmt: skip
    assert interval(one) == ".812 (.790–.833)"
    assert facts(one) == (
        ".812, 95 % interval .790–.833; 3,102 patients (812 in the smallest class), 12,431 images; logit DeLong; "
        "not enough evidence"
    )
    assert interval(one.hidden()) == "suppressed"
    undefined = msgspec.structs.replace(one, value=None, low=None, high=None, n_positive=0, status="undefined")
    assert interval(undefined) == "-"
