"""Which figures an audit gets: one function per question, one chart per feature set, nothing computed but positions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastrace.audit.document import Audit, Cell
from fastrace.console.words import clip, number
from fastrace.report.bands import edges, heat, ring, scan
from fastrace.report.curve import Axes, Series, curve
from fastrace.report.estimates import CLASS
from fastrace.report.flow import flow
from fastrace.report.forest import Row, forest
from fastrace.report.svg import Figure

CYCLES = "cycles/image"


@dataclass(frozen=True)
class Panel:
    """A figure with the words above and below it; it is a file of its own under its name."""

    figure: Figure
    caption: str


def feature_sets(cells: Iterable[Cell]) -> list[str]:
    """Names in the order in which they first appear."""
    return list(dict.fromkeys(cell.features for cell in cells))


def comparison_rows(cell: Cell) -> list[Row]:
    """The macro mean, each class against the rest, each pair; with two classes all of them are the same one."""
    if len(cell.classes) <= 2:
        names = [clip(one.name, 40) for one in cell.classes]
        label = " vs ".join(names) or "all classes"
        return [Row(label, cell.estimate, cell.paper, cell.released_code, main=True)]
    rows = [Row("all classes (macro mean)", cell.estimate, cell.paper, cell.released_code, main=True)]
    rows += [Row(f"{clip(one.name, 40)} vs rest", one.estimate, of=CLASS) for one in cell.classes]
    return rows + [Row(clip(one.name, 60), one.estimate, of=CLASS) for one in cell.pairs]


def readable(audit: Audit) -> Panel | None:
    """Q1 in full: per feature set, all comparisons."""
    rows: list[Row] = []
    title = "Is it readable? AUC on clean images"
    for cell in audit.of("A1"):
        own = comparison_rows(cell)
        if len(own) > 1:
            rows += [Row(clip(cell.features, 60)), *own]
        else:  # two classes: all of them are one line
            rows.append(Row(clip(cell.features, 60), own[0].estimate, own[0].paper, own[0].code))
            title = f"Is it readable? AUC on clean images, {own[0].label}"
    if not rows:
        return None
    caption = (
        "Dot: AUC over patients; line: 95 % interval; open and dashed: not enough evidence; dashed vertical: chance"
    )
    if any(row.paper or row.code for row in rows):
        caption += ". Diamond: the paper; triangle: the released code; both on other data"
    return Panel(forest("q1-forest", title, rows), f"{title.removeprefix('Is it readable? ')}. {caption}")


MOST_SMALL = 6
"""Lines of the small figure."""


def readable_small(audit: Audit) -> Figure | None:
    """Q1 on the first page: one line per group (or per feature set where there are two groups)."""
    cells = audit.of("A1")
    if not cells:
        return None
    first = comparison_rows(cells[0])
    if len(first) > 1:
        rows = [r for r in first if " vs rest" in r.label or r.main][:6]
        rows[0] = Row("macro mean", rows[0].estimate, rows[0].paper, rows[0].code, main=True)
    else:
        shown = cells if len(cells) <= MOST_SMALL else cells[: MOST_SMALL - 1]
        rows = [Row(c.features, c.estimate, c.paper, c.released_code, main=k == 0) for k, c in enumerate(shown)]
        if len(shown) < len(cells):
            rows.append(Row(f"and {len(cells) - len(shown)} readers more, below", None))
    return forest("first-q1", "Q1 in small: AUC with interval", rows, mini=True)


MODES = {
    "train+test": "trained and tested on filtered images",
    "test": "trained on clean images, tested on filtered ones",
}


def _sorted(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    return tuple(sorted((c for c in cells if c.x is not None), key=lambda c: c.x or 0.0))


def _clean(audit: Audit, features: str, experiment: str) -> float | None:
    """The AUC of unchanged images that is comparable: of the same patients, read in the same way."""
    built_in = bool(audit.of("A1r", features=features))
    order = ("A1r", "A1") if built_in and not experiment.startswith("C2") else ("A1s", "A1r", "A1")
    found = (cell.estimate.value for id in order for cell in audit.of(id, features=features))
    return next(found, None)


def _clean_in_words(audit: Audit, features: str, experiment: str) -> str:
    """For a caption, where the level of unchanged images is not the answer to Q1."""
    alike = _clean(audit, features, experiment)
    whole = next((cell.estimate.value for cell in audit.of("A1", features=features)), None)
    if alike is None or alike == whole:
        return ""
    return f". Clean: unchanged images with the same features of the same patients ({number(whole)} with all of them)"


def _cut_offs(cells: Sequence[Cell]) -> list[Series]:
    """Low-pass and high-pass; a cut-off of 0 has no place on a logarithmic axis."""
    positive = [cell for cell in cells if cell.x is None or cell.x > 0]
    low = Series("low-pass", _sorted(c for c in positive if c.experiment == "C1a"), "one")
    high = Series("high-pass", _sorted(c for c in positive if c.experiment == "C1b"), "two")
    return [one for one in (low, high) if one.cells]


def _axes(audit: Audit, features: str) -> Axes:
    return Axes(
        f"cut-off ({CYCLES}, logarithmic)", CYCLES, second=audit.lp_per_mm, clean=_clean(audit, features, "C1a"),
        edge=max(audit.dataset.size) / 2,
    )  # fmt: skip


def _name(prefix: str, number: int, *words: str) -> str:
    """A file name of safe characters: ``q2-cutoffs-1-built-in``."""
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower().encode("ascii", "ignore").decode()).strip("-")[:32]
    return f"{prefix}-{number}" + (f"-{slug.strip('-')}" if slug.strip("-") else "")


def _panels(audit: Audit, experiments: Sequence[str]) -> list[tuple[int, str, str, tuple[Cell, ...]]]:
    """(number, feature set, mode, cells) for each feature set and mode that has cells of these experiments."""
    cells = audit.of(*experiments)
    found = list(dict.fromkeys((cell.features, cell.mode) for cell in cells))
    return [
        (k, features, mode, tuple(c for c in cells if (c.features, c.mode) == (features, mode)))
        for k, (features, mode) in enumerate(found, start=1)
    ]


def cut_offs(audit: Audit) -> list[Panel]:
    """AUC against cut-off, per feature set and mode."""
    panels = []
    for k, features, mode, cells in _panels(audit, ("C1a", "C1b")):
        if series := _cut_offs(cells):
            figure = curve(
                _name("q2-cutoffs", k, features),
                f"AUC against cut-off, {clip(features, 60)}",
                series,
                _axes(audit, features),
            )
            said = _clean_in_words(audit, features, "C1a")
            panels.append(Panel(figure, f"{clip(features, 60)}: {MODES.get(mode, mode)}{said}"))
    return panels


def cut_offs_small(audit: Audit) -> Figure | None:
    """Q2 on the first page: the first feature set."""
    for _, features, _, cells in _panels(audit, ("C1a", "C1b")):
        if series := _cut_offs(cells):
            return curve("first-q2", "Q2 in small: AUC against cut-off", series, _axes(audit, features), mini=True)
    return None


def band_maps(audit: Audit) -> list[Panel]:
    """Band-pass and notch, per feature set."""
    panels = []
    for experiment, what in (("C1c", "band-pass: only this band is kept"), ("C1d", "notch: this band is taken out")):
        for k, features, mode, cells in _panels(audit, (experiment,)):
            if any(edges(cell) for cell in cells):
                kind = what.split(":")[0]
                figure = heat(_name(f"q2-{kind}", k, features), f"AUC of {what}, {clip(features, 60)}", cells)
                panels.append(Panel(figure, f"{clip(features, 60)}, {what}; {MODES.get(mode, mode)}"))
    return panels


def scans(audit: Audit) -> list[Panel]:
    """The third-octave scan; the feature sets one below the other."""
    location = audit.location
    cells = audit.scan or audit.of(*SCAN)
    found = location.found if location and not broken(audit) else None
    panels = []
    for k, features in enumerate(feature_sets(cells), start=1):
        own = [cell for cell in cells if cell.features == features and ring(cell)]
        if own:
            axes = Axes(f"{CYCLES}, logarithmic", CYCLES, second=audit.lp_per_mm)
            figure = scan(_name("q2-scan", k, features), f"Scan of bands, {clip(features, 60)}", own, found, axes)
            panels.append(
                Panel(figure, f"{clip(features, 60)}: AUC with only this band kept. Filled: a finding after correction")
            )
    return panels


def broken(audit: Audit) -> bool:
    """A control failed: nothing may be concluded."""
    return bool(audit.failed)


def ladders(audit: Audit) -> list[Panel]:
    """Resolution and noise: per feature set, one line for retrained features and one for those that never saw it."""
    panels = []
    for experiment, what, label, unit in (
        ("C2a", "resolution", "pixels on the longer side (logarithmic)", "pixels"),
        ("C2b", "noise", "sigma of Gaussian noise (1 is black to white)", "sigma"),
    ):
        log = experiment == "C2a"
        for k, features in enumerate(feature_sets(audit.of(experiment)), start=1):
            own = _sorted(c for c in audit.of(experiment, features=features) if not log or (c.x or 0.0) > 0)
            modes = list(dict.fromkeys(c.mode for c in own))
            named = (
                {"train+test": "retrained", "test": "test only"} if len(modes) > 1 else dict.fromkeys(modes, "filtered")
            )
            series = [
                Series(named.get(mode, clip(mode, 20)), tuple(c for c in own if c.mode == mode), style)
                for mode, style in zip(modes, ("one", "two"), strict=False)
            ]
            if not series:
                continue
            ticks = tuple(dict.fromkeys([*([] if log else [0.0]), *(c.x for c in own if c.x is not None)]))
            axes = Axes(label, unit, log=log, clean=_clean(audit, features, experiment), ticks=ticks)
            title = f"AUC against {what}, {clip(features, 60)}"
            figure = curve(_name(f"q2-{what}", k, features), title, series, axes)
            described = "; ".join(MODES.get(mode, clip(mode, 20)) for mode in modes)
            panels.append(
                Panel(
                    figure, f"{clip(features, 60)}, {what}: {described}{_clean_in_words(audit, features, experiment)}"
                )
            )
    return panels


def controls(audit: Audit) -> Panel | None:
    """All estimates of all controls in one plot."""
    rows: list[Row] = []
    for control in audit.controls:
        if control.estimates:
            rows.append(Row(clip(control.title or control.id, 70)))
            rows += [Row(clip(one.name, 60) or "estimate", one.estimate) for one in control.estimates]
    if not rows:
        return None
    caption = "Dot: AUC; line: 95 % interval; dashed vertical: chance. Shuffled labels should lie at chance"
    return Panel(forest("controls-forest", "Controls: AUC with interval", rows), caption)


def other(audit: Audit, question: str) -> Panel | None:
    """Cells of a question that has no chart of its own."""
    rows = [
        Row(
            clip(f"{cell.title or cell.experiment}, {cell.features}", 70), cell.estimate, cell.paper, cell.released_code
        )
        for cell in audit.cells
        if cell.question == question and cell.experiment not in KNOWN
    ]
    if not rows:
        return None
    name = f"{question.lower()}-forest"
    return Panel(forest(name, f"{question}: AUC with interval", rows), "Dot: AUC; line: 95 % interval")


SCAN = ("C1s", "C1o")
KNOWN = ("A1", "C1a", "C1b", "C1c", "C1d", *SCAN, "C2a", "C2b")


def exclusions(audit: Audit) -> Panel | None:
    """The flow diagram."""
    if not audit.flow:
        return None
    return Panel(
        flow("exclusions-flow", audit.flow), "From top to bottom; at the side what was left out, with its reason"
    )
