"""Forest plots: one line per estimate, chance marked, the paper's and the released code's numbers on the same line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fastrace.audit.document import Estimate
from fastrace.console.words import clip, number
from fastrace.modality import Published
from fastrace.report.estimates import SMALLEST, facts, interval
from fastrace.report.svg import Canvas, Drawing, Figure, Scale, auc_scale, fit, tag, text_width, tick_label

CHANCE = 0.5


@dataclass(frozen=True)
class Row:
    """One line; a row without an estimate is a heading."""

    label: str
    estimate: Estimate | None = None
    paper: Published | None = None
    code: Published | None = None
    main: bool = False
    of: str = SMALLEST


def forest(name: str, title: str, rows: Sequence[Row], *, mini: bool = False) -> Figure:
    """Draw a forest plot; ``mini`` is the small one of the first page."""
    if mini:
        drawing = _draw(rows, 330, mini=True)
        return Figure(name, title, describe(rows), drawing, drawing)
    return Figure(name, title, describe(rows), _draw(rows, 760), _narrow(rows))


def describe(rows: Sequence[Row]) -> str:
    """The plot in words."""
    return ". ".join(f"{row.label}: {_numbers(row)}" for row in rows if row.estimate is not None)[:4000]


def _numbers(row: Row) -> str:
    assert row.estimate is not None
    others = [f"{source} {number(ref.value)}" for source, ref in _references(row)]
    return ", ".join([interval(row.estimate), *others])


def _references(row: Row) -> list[tuple[str, Published]]:
    both = (("paper", row.paper), ("released code", row.code))
    return [(source, ref) for source, ref in both if ref is not None and ref.value is not None]


def _values(rows: Sequence[Row]) -> list[float]:
    values = []
    for row in rows:
        if row.estimate is not None:
            values += [v for v in (row.estimate.value, row.estimate.low, row.estimate.high) if v is not None]
        values += [ref.value for _, ref in _references(row) if ref.value is not None]
    return values


def _draw(rows: Sequence[Row], width: float, *, mini: bool = False) -> Drawing:
    size, step, second = (11.0, 19.0, 13.0) if mini else (12.5, 25.0, 15.0)
    labels = max([60.0, *(text_width(row.label, size, bold=row.main) for row in rows if row.estimate)]) + 12
    left = min(labels, width * (0.3 if mini else 0.34))
    right = width - text_width(".000 (.000–.000)", size, bold=True) - 14
    top = 16.0 if mini else 20.0
    heights = [step + (second if _references(row) else 0) for row in rows]
    bottom = top + sum(heights)
    canvas = Canvas(width, bottom + (20 if mini else 38), size)
    scale = auc_scale(_values(rows), left, right - 10)
    _axis(canvas, scale, top, bottom, mini)
    y = top
    for row, height in zip(rows, heights, strict=True):
        middle = y + step / 2
        if row.estimate is None:
            canvas.text(0, middle + size * 0.36, fit(row.label, width, size), "head halo")
        else:
            canvas.text(0, middle + size * 0.36, fit(row.label, left - 10, size), "strong" if row.main else "label")
            _mark(canvas, scale, row, middle)
            canvas.text(width, middle + size * 0.36, interval(row.estimate), "strong" if row.main else "", "end")
            _reference_line(canvas, scale, row, middle + second, size)
        y += height
    return canvas.svg()


def _narrow(rows: Sequence[Row]) -> Drawing:
    width, size = 340.0, 12.0
    top = 18.0
    heights = [26.0 if row.estimate is None else 40.0 + (14 if _references(row) else 0) for row in rows]
    bottom = top + sum(heights)
    canvas = Canvas(width, bottom + 38, size)
    scale = auc_scale(_values(rows), 6, width - 6)
    _axis(canvas, scale, top, bottom, mini=False)
    y = top
    for row, height in zip(rows, heights, strict=True):
        if row.estimate is None:
            canvas.text(0, y + 18, fit(row.label, width, size), "head halo")
        else:
            value = interval(row.estimate)
            style = "strong halo" if row.main else "halo"
            canvas.text(0, y + 14, fit(row.label, width - text_width(value, size, bold=True) - 12, size), style)
            canvas.text(width, y + 14, value, style, "end")
            _mark(canvas, scale, row, y + 27)
            _reference_line(canvas, scale, row, y + 42, size)
        y += height
    return canvas.svg()


def _axis(canvas: Canvas, scale: Scale, top: float, bottom: float, mini: bool) -> None:
    for tick in scale.ticks(30 if mini else 44):
        x = scale(tick)
        canvas.line(x, top, x, bottom, "grid")
        canvas.text(x, bottom + 14, tick_label(tick), "tick", "middle")
    x = scale(CHANCE)
    canvas.line(x, top - 4, x, bottom, "chance")
    canvas.text(x, top - 7, "chance", "tick", "middle")
    if not mini:
        canvas.text((scale.start + scale.end) / 2, bottom + 32, "AUC", "axis", "middle")


def _mark(canvas: Canvas, scale: Scale, row: Row, y: float) -> None:
    """Interval and value; open and dashed where the estimate carries a reservation."""
    estimate = row.estimate
    assert estimate is not None
    inside: list[Markup] = [tag("title", f"{row.label}: {facts(estimate, row.of)}")]
    style = "sure" if estimate.sure else "open"
    if estimate.low is not None and estimate.high is not None:
        x1, x2 = scale(estimate.low), scale(estimate.high)
        inside.append(tag("line", x1=x1, y1=y, x2=x2, y2=y, class_=f"whisker {style}"))
        inside += [tag("line", x1=x, y1=y - 3.5, x2=x, y2=y + 3.5, class_="whisker sure") for x in (x1, x2)]
    if estimate.value is not None:
        inside.append(tag("circle", cx=scale(estimate.value), cy=y, r=5 if row.main else 4, class_=f"dot {style}"))
    canvas.add("g", *inside)


def _reference_line(canvas: Canvas, scale: Scale, row: Row, y: float, size: float) -> None:
    """Below the estimate: the values of the paper and the released code, and their numbers at the end of the line."""
    found = _references(row)
    if not found:
        return
    if canvas.width < 400:  # no room for both
        found = found[:1]
    numbers = [f"{source} {number(ref.value)}" for source, ref in found]
    canvas.text(canvas.width, y + size * 0.36, " · ".join(numbers), "quiet halo", "end")
    for source, ref in found:
        assert ref.value is not None
        x = scale(ref.value)
        shape = (
            f"M{x - 4.5:.1f} {y:.1f}l4.5 -4.5 4.5 4.5 -4.5 4.5Z"
            if source == "paper"
            else f"M{x - 4.5:.1f} {y + 4:.1f}h9l-4.5 -8Z"
        )
        canvas.add(
            "path", tag("title", f"{source}: {clip(ref.text, 160) or number(ref.value)}"), d=shape, class_="reference"
        )
