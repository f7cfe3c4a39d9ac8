"""An audit to the page: its words, figures and tables. The templates hold the layout and the fixed text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fastrace.audit.document import IDS, Audit, Control, Question
from fastrace.console.words import (
    UNDEFINED,
    clip,
    count,
    lp,
    lp_span,
    number,
    percent,
    plural,
    seconds,
    short,
    span,
    typeset,
)
from fastrace.report import figures, tables
from fastrace.report.estimates import facts, interval, sample
from fastrace.report.figures import Panel, broken
from fastrace.report.gallery import gallery
from fastrace.report.marks import MEANING, Mark
from fastrace.report.svg import Figure

SENTENCE = 900  # characters of a sentence that are shown
LONG = 60  # characters of a control's number; what is longer is text


@dataclass(frozen=True)
class Line:
    """A question as it is shown: without a conclusion where a control failed."""

    id: str
    anchor: str
    title: str
    wording: str
    mark: str
    sentence: str
    detail: str
    hover: str
    small: Figure | None


@dataclass(frozen=True)
class Page:
    """The HTML, and the figures that are files as well."""

    html: str
    figures: tuple[Figure, ...]


def as_sentence(sentence: str) -> str:
    """A sentence of the audit: typeset, with a capital and a full stop, cut to what a page holds."""
    text = typeset(sentence.strip())
    if not text:
        return ""
    return clip(text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else "."), SENTENCE)


def lines(audit: Audit) -> list[Line]:
    """The seven questions, in their order."""
    small = {"Q1": figures.readable_small(audit), "Q2": figures.cut_offs_small(audit)}
    return [_line(audit, question, small.get(question.id)) for question in audit.questions]


def _line(audit: Audit, question: Question, small: Figure | None) -> Line:
    id, anchor, wording = question.id, question.id.lower(), clip(question.asks, 200)
    title, sentence, mark = clip(question.title, 40), as_sentence(question.sentence), clip(question.mark, 40)
    if mark == "not run":
        return Line(id, anchor, title, wording, mark, sentence, "", "", None)
    if broken(audit):
        mark, sentence = "no conclusion", "No conclusion: a control failed. What was measured is in the section."
    if question.estimate is None:
        return Line(id, anchor, title, wording, mark, sentence, "", "", small)
    value = number(question.estimate.value)
    detail = sample(question.estimate)
    if value != UNDEFINED and value not in sentence:
        detail = f"{interval(question.estimate)}; {detail}"
    return Line(id, anchor, title, wording, mark, sentence, detail, facts(question.estimate), small)


def render(audit: Audit, csv_names: tuple[str, ...]) -> Page:
    """Make the page of an audit."""
    panels = _panels(audit)
    environment = Environment(
        loader=PackageLoader("fastrace.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        Mark=Mark, clip=clip, as_sentence=as_sentence, short=short, lp=lp, percent=percent, plural=plural,
        control_numbers=control_numbers, one_number=one_number,
    )  # fmt: skip
    shown = lines(audit)
    html = environment.get_template("report.html").render(
        audit=audit,
        title=f"fastrace audit: {clip(audit.target, 60)}, {clip(audit.dataset.modality, 30)}, {clip(audit.created, 30)}",
        facts=header(audit),
        broken=broken(audit),
        broken_title=_broken_title(audit),
        questions=shown,
        left_out=left_out(audit),
        hidden_groups=any(group.suppressed for group in audit.classes),
        longest=max(audit.dataset.size),
        found=_found(audit),
        gallery=gallery(audit),
        meanings=list(MEANING.items()),
        level=_level(audit),
        repeat_facts=repeat_facts(audit),
        arguments=plain(audit.arguments),
        environment=plain(audit.environment),
        times=[(clip(name, 60), seconds(value)) for name, value in audit.seconds.items()],
        csv_names=csv_names,
        **panels,
        **_tables(audit),
    )
    return Page(html, tuple(_figures(panels)))


def _panels(audit: Audit) -> dict[str, Any]:
    return {
        "readable": figures.readable(audit),
        "scans": figures.scans(audit),
        "cut_offs": figures.cut_offs(audit),
        "band_maps": figures.band_maps(audit),
        "ladders": figures.ladders(audit),
        "controls_figure": figures.controls(audit),
        "exclusions": figures.exclusions(audit),
        "others": {id: [one] if (one := figures.other(audit, id)) else [] for id in IDS},
    }


def _figures(panels: Mapping[str, Any]) -> list[Figure]:
    found: list[Figure] = []
    for value in panels.values():
        inside = [one for several in value.values() for one in several] if isinstance(value, dict) else value
        some = inside if isinstance(inside, list) else [inside]
        found += [panel.figure for panel in some if isinstance(panel, Panel)]
    return found


def _tables(audit: Audit) -> dict[str, Any]:
    def grids(*wanted: tuple[tuple[str, ...], str, str]) -> list[tables.Table]:
        return [one for ids, caption, first in wanted if (one := tables.grid(audit, ids, caption, first))]

    scan = grids((figures.SCAN, "Third-octave scan", "Band (cycles/image)"))
    return {
        "readable_table": tables.readable(audit),
        "groups": tables.groups(audit),
        "scan_table": scan[0] if scan else None,
        "cut_off_tables": grids((("C1a",), "Low-pass", "Kept"), (("C1b",), "High-pass", "Kept")),
        "band_tables": grids((("C1c",), "Band-pass", "Kept"), (("C1d",), "Notch", "Taken out")),
        "ladder_tables": grids((("C2a",), "Resolution", "Pixels"), (("C2b",), "Gaussian noise", "Added")),
        "controls_table": tables.controls(audit),
        "exclusions_table": tables.exclusions(audit),
    }


def header(audit: Audit) -> list[str]:
    """The line under the title: modality, images, patients, attribute, groups, date."""
    names = ", ".join(clip(group.name, 24) for group in audit.classes[:5]) + (", …" if len(audit.classes) > 5 else "")
    attribute = f"attribute: {clip(audit.target, 60)}" + (" (self-reported)" if audit.self_reported else "")
    groups = plural(len(audit.classes), "group") + (f" ({names})" if names else "")
    return [
        clip(audit.dataset.modality, 30) or "modality not recorded",
        f"{count(audit.dataset.images)} images",
        f"{count(audit.dataset.patients, patients=True)} patients",
        attribute,
        groups,
        clip(audit.created, 30) or "date not recorded",
    ]


def left_out(audit: Audit) -> str:
    """The link to the exclusions; a total only where no part of it is suppressed and could be computed."""
    parts = [one for step in audit.flow for one in step.left_out]
    images = [one.images for one in parts if one.images is not None and not one.suppressed]
    if not audit.flow or len(images) < len(parts):
        return "What was left out, and why"
    if sum(images):
        return f"{plural(sum(images), 'image')} left out, and why"
    scored = [cell.estimate.n_patients for cell in audit.cells if cell.family == "primary"]
    some = any(n is not None and audit.dataset.patients is not None and n < audit.dataset.patients for n in scored)
    return "Nothing was left out" + (" (but a reader scores some of the patients only)" if some else "")


def _broken_title(audit: Audit) -> str:
    names = ", ".join(clip(control.title or control.id, 80) for control in audit.failed)
    return f"{'A control' if len(audit.failed) == 1 else 'Controls'} failed: {names}"


def _found(audit: Audit) -> str:
    location = audit.location
    if location is None or location.found is None:
        return ""
    text = f"{span(*location.found)} cycles/image"
    if audit.lp_per_mm:
        low, high = (edge * audit.lp_per_mm for edge in location.found)
        text += f" = {lp_span(low, high)} lp/mm"
    return text


def _level(audit: Audit) -> str:
    levels = {cell.estimate.level for cell in audit.cells} or {0.95}
    return " or ".join(f"{100 * level:g} %" for level in sorted(levels))


def one_number(control: Control) -> str:
    """The estimate of a control that has a single one, for the first page."""
    if len(control.estimates) != 1 or control.estimates[0].estimate.value is None:
        return ""
    return f" {number(control.estimates[0].estimate.value)}"


def control_numbers(control: Control) -> list[tuple[str, str]]:
    """Further numbers of a control, as plain text; sentences among them are in ``audit.json``."""
    return [(name, value) for name, value in plain(control.numbers) if len(value) <= LONG]


def plain(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Keys and values of a mapping as text."""
    return [(clip(name.replace("_", " "), 60), _plain(value)) for name, value in table.items()]


def _plain(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return short(value) if abs(value) < 1e15 else str(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str | int | float) for one in value):
        return clip(", ".join(map(_plain, value)), 400) or UNDEFINED
    return clip(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 400)


def repeat_facts(audit: Audit) -> list[tuple[str, str]]:
    """What is needed to repeat the audit."""
    window = ", ".join(
        f"{clip(name, 40)} {count(n, suppressed=True, patients=True)}" for name, n in audit.dataset.window.items()
    )
    size = f"{audit.dataset.size[0]} × {audit.dataset.size[1]} pixels"
    spacing = (
        "not known"
        if audit.dataset.mm_per_pixel is None
        else f"{short(audit.dataset.mm_per_pixel)} mm per pixel, median"
    )
    return [
        ("dataset fingerprint", clip(audit.dataset.fingerprint, 128) or UNDEFINED),
        ("salt id", clip(audit.dataset.salt_id, 64) or UNDEFINED),
        ("shards compared with their digests", f"{audit.dataset.shards_checked} of {audit.dataset.shards}"),
        ("images", size),
        ("spacing", spacing),
        *([("window taken from (patients)", window)] if window else []),
        ("engine", clip(audit.engine, 40) or UNDEFINED),
        ("variant", clip(audit.variant, 40) or UNDEFINED),
        ("seed", str(audit.seed)),
        ("tests declared in run.json, digest", clip(audit.tests, 64) or UNDEFINED),
        ("fastrace", clip(audit.fastrace, 40) or UNDEFINED),
    ]
