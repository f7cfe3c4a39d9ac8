"""The page and its files: what is in them, in which order, accessible, escaped, and without what must not be there."""

from __future__ import annotations

import csv
import re
import stat
import xml.etree.ElementTree as ElementTree
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
from audit_documents import FEATURES, failed_control, put, rich, suppressed_class
from page_outline import Outline, outline

from fastrace.report import write

SVG = "{http://www.w3.org/2000/svg}"
TEMPLATES = resources.files("fastrace.report") / "templates"


def read(folder: Path) -> Outline:
    return outline((folder / "report.html").read_text())


def test_sections_come_in_their_order(reports: dict[str, Path]) -> None:
    ids = [one.attributes.get("id") for one in read(reports["rich"]).all("section") if "id" in one.attributes]
    expected = "q1 q2 not-run controls exclusions features low limits use statistics checklists repeat"
    assert ids == expected.split()


def test_the_seven_questions_are_always_there_and_link_to_their_place(report: Path) -> None:
    page = read(report)
    links = [one.attributes["href"] for one in page.all("a") if one.parents[-1] == "h3"]
    assert links == [f"#q{k}" for k in range(1, 8)]
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert set(links) <= {f"#{id}" for id in ids}


def test_ids_are_unique_and_every_link_inside_the_page_resolves(report: Path) -> None:
    page = read(report)
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9-]+", id) for id in ids)
    for one in page.all("a"):
        target = one.attributes["href"]
        assert target[1:] in ids if target.startswith("#") else (report / target).is_file(), target
    for one in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(one.attributes.get(name, "").split()) <= set(ids)


def test_headings_are_in_order_and_landmarks_present(report: Path) -> None:
    page = read(report)
    levels = [int(one.tag[1]) for one in page.all("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert [len(page.all(tag)) for tag in ("header", "main", "footer")] == [1, 1, 1]
    assert page.all("html")[0].attributes["lang"] == "en"
    first = next(one for one in page.all("a"))
    assert (first.attributes["class"], first.attributes["href"]) == ("skip", "#q1")


def test_tables_have_captions_and_scopes_and_pictures_have_words(report: Path) -> None:
    page = read(report)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(one.attributes.get("scope") in ("col", "row") for one in page.all("th"))
    assert all(one.attributes["alt"].strip() for one in page.all("img"))
    charts = [one for one in page.all("svg") if "chart" in one.attributes["class"]]
    assert all(one.attributes["role"] == "img" and one.attributes["aria-labelledby"] for one in charts)
    assert all(one.attributes.get("aria-hidden") == "true" for one in page.all("svg") if one not in charts)
    scrolling = [one for one in page.all("div") if one.attributes.get("class") == "scroll"]
    assert all(one.attributes["tabindex"] == "0" and one.attributes["aria-label"] for one in scrolling)


def test_the_page_loads_nothing_from_elsewhere(report: Path) -> None:
    page = read(report)
    assert not page.all("script", "iframe", "object", "embed", "form", "base", "input")
    assert all(not name.startswith("on") for one in page.elements for name in one.attributes)
    for one in page.elements:
        for name in ("src", "href", "xlink:href", "action"):
            value = one.attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,", "data:,", "figures/", "tables/")), value[:60]
    html = (report / "report.html").read_text()
    assert "@import" not in html
    assert "url(" not in html
    policy = next(one for one in page.all("meta") if one.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_hostile_names_are_text_everywhere(reports: dict[str, Path]) -> None:
    folder = reports["hostile"]
    page = read(folder)
    assert "<script>alert('x')</script>" in page.all("title")[0].text
    assert "<script>alert" not in (folder / "report.html").read_text()
    assert "\u202e" not in (folder / "report.html").read_text()
    for file in (folder / "figures").iterdir():
        tags = {one.tag for one in ElementTree.parse(file).iter()}
        assert f"{SVG}script" not in tags
        assert re.fullmatch(r"[a-z0-9-]+\.svg", file.name), file.name
    assert (
        max(len(one) for one in re.findall(r"y+", page.all("body")[0].text)) <= 4000
    )  # 10,000 characters are cut; the longest that is shown is the command


def test_no_cell_of_a_table_is_a_formula(report: Path) -> None:
    files = sorted((report / "tables").glob("*.csv"))
    assert [file.name for file in files] == [
        "cells.csv", "controls.csv", "exclusions.csv", "features.csv", "groups.csv", "questions.csv",
    ]  # fmt: skip
    for file in files:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))
        assert len({len(row) for row in rows}) == 1, file
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell[:40]
            assert not cell.startswith("-") or float(cell) < 0


def test_files_are_for_their_owner_alone_and_figures_stand_alone(report: Path) -> None:
    for folder in (report / "figures", report / "tables"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not list(folder.glob("*.part"))
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.iterdir())
    assert stat.S_IMODE((report / "report.html").stat().st_mode) == 0o600
    shown = {one.attributes["href"] for one in read(report).all("a")}
    for file in (report / "figures").iterdir():
        root = ElementTree.parse(file).getroot()
        assert root.find(f"{SVG}style") is not None
        assert root.findtext(f"{SVG}title", "").strip()
        assert root.findtext(f"{SVG}desc", "").strip()
        assert f"figures/{file.name}" in shown


def test_writing_again_gives_the_same_bytes_and_takes_old_figures_away(tmp_path: Path) -> None:
    folder = put(tmp_path / "audit", rich())
    before = write(folder).read_bytes()
    (folder / "figures" / "q2-cutoffs-9-gone.svg").write_text("old")
    (folder / "figures" / "mine.svg").write_text("mine")
    assert write(folder).read_bytes() == before
    assert not (folder / "figures" / "q2-cutoffs-9-gone.svg").exists()
    assert (folder / "figures" / "mine.svg").exists()


def test_a_failed_control_comes_first_and_nothing_is_concluded(tmp_path: Path) -> None:
    page = outline(write(put(tmp_path / "a", failed_control())).read_text())
    text = page.all("header")[0].text.strip()
    assert text.startswith("A control failed: Planted leak")
    assert "No conclusion is drawn from this audit" in text
    marks = [one.text.strip() for one in page.all("span") if one.attributes.get("class", "").startswith("mark ")]
    assert marks.count("no conclusion") >= 4  # Q1 and Q2, on the first page and in their sections
    body = page.all("main")[0].text
    assert "strongest in" not in body
    assert "Found:" not in body
    assert not [one for one in page.elements if one.attributes.get("class") == "found"]


def test_suppressed_cells_cannot_be_computed(reports: dict[str, Path]) -> None:
    page = read(reports["suppressed class"])
    groups = next(one for one in page.all("table") if "Groups compared" in one.text)
    assert re.sub(r"\s+", " ", groups.text).count("suppressed") == 4  # two groups, patients and images
    hidden = [one for one in page.all("tr") if one.text.strip().startswith(("Asian vs rest", "Native vs rest"))]
    assert len(hidden) == 4
    assert all("suppressed" in one.text and not re.search(r"\.\d{3} \(", one.text) for one in hidden)
    with (reports["suppressed class"] / "tables" / "groups.csv").open() as lines:
        rows = {row["group"]: row for row in csv.DictReader(lines)}
    assert rows["Asian"]["patients"] == rows["Native"]["images"] == "suppressed"


def test_no_total_is_printed_where_a_part_of_it_is_suppressed(tmp_path: Path, reports: dict[str, Path]) -> None:
    assert "images left out" not in read(reports["rich"]).all("header")[0].text
    document = suppressed_class()
    for step in document["flow"]:
        for one in step["left_out"]:
            one["suppressed"] = False
    page = outline(write(put(tmp_path / "a", document)).read_text())
    assert "412 images left out, and why" in page.all("header")[0].text


def test_every_number_of_the_paper_carries_its_origin(reports: dict[str, Path]) -> None:
    text = read(reports["rich"]).all("body")[0].text
    # Once for each feature set.
    assert text.count("study .81 (.794–.818), Black against White[Table 3]") == len(FEATURES)
    assert text.count(".88 on another test set[released notebook]") == len(FEATURES)


def test_lists_among_the_numbers_of_a_control_are_read_as_lists(reports: dict[str, Path]) -> None:
    text = re.sub(r"\s+", " ", read(reports["rich"]).all("body")[0].text)
    assert "planted: 20, 40 · found: 19, 41 · overlap: 0.909" in text


def test_the_words_describe_and_claim_no_cause(report: Path) -> None:
    text = "".join(file.read_text() for file in TEMPLATES.iterdir() if file.name.endswith(".html")).lower()
    for word in ("explain", "because", "due to", "no effect", "driven by", "responsible for", "caused"):
        assert word not in text, word
    body = read(report).all("body")[0].text
    assert "Race is a social construct" in body
    assert "Inferring the race" in body
    assert "It is no clearance" in body


def _channels(colour: str) -> list[float]:
    return [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]


def _luminance(channels: list[float]) -> float:
    """WCAG 2.2, relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: list[float], other: list[float]) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_all_text_is_at_least_4_5(scheme: str) -> None:
    css = (TEMPLATES / "colours.css").read_text()
    block = css.split("@media")[0 if scheme == "light" else 1]
    colours = {name: _channels(value) for name, value in re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)}
    pairs = [(ink, "paper") for ink in ("ink", "quiet", "link", "one", "two", "bad", "note")]
    pairs += [("ink", "sheet"), ("quiet", "sheet"), ("ink", "bad-sheet"), ("bad", "bad-sheet"), ("ink", "note-sheet")]
    pairs += [("note", "note-sheet"), ("found-edge", "found"), ("link", "note-sheet")]
    for ink, ground in pairs:
        assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    # The darkest field of a map: 0.42 of the shade over the sheet, as in fastrace/report/bands.py.
    field = [0.42 * a + 0.58 * b for a, b in zip(colours["shade"], colours["sheet"], strict=True)]
    assert _contrast(colours["ink"], field) >= 4.5
    # Lines and shapes that carry meaning: 3:1 (WCAG 2.2, 1.4.11).
    for shape in ("one", "two", "strong-rule", "found-edge", "focus"):
        assert _contrast(colours[shape], colours["paper"]) >= 3, shape
