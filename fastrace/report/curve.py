"""AUC against a cut-off, a resolution or an amount of noise: a line per series, with its simultaneous band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastrace.audit.document import Cell
from fastrace.console.words import limits, number, short
from fastrace.report.estimates import facts
from fastrace.report.forest import CHANCE
from fastrace.report.svg import Canvas, Drawing, Figure, Scale, auc_scale, spread, tag, text_width, tick_label


@dataclass(frozen=True)
class Series:
    """Cells in the order of ``x``; ``style`` (one, two) is colour and shape."""

    label: str
    cells: tuple[Cell, ...]
    style: str


@dataclass(frozen=True)
class Axes:
    """What is along x, and what else the plot shows.

    Attributes
    ----------
    label : str
    unit : str
        For the words on hover.
    log : bool
    second : float or None
        Second axis above: its value for one unit of x (lp/mm for one cycle/image).
    clean : float or None
        AUC on clean images read in the same way, drawn as a level.
    edge : float or None
        Where the spectrum of a square image ends along its axes.
    """

    label: str
    unit: str
    log: bool = True
    second: float | None = None
    clean: float | None = None
    edge: float | None = None
    ticks: tuple[float, ...] = ()


SECOND = "lp/mm"


def curve(name: str, title: str, series: Sequence[Series], axes: Axes, *, mini: bool = False) -> Figure:
    """Draw curves; ``mini`` is the small one of the first page."""
    description = describe(series, axes)
    if mini:
        drawing = _draw(series, axes, 330, 132, mini=True)
        return Figure(name, title, description, drawing, drawing)
    return Figure(name, title, description, _draw(series, axes, 520, 300), _draw(series, axes, 340, 270))


def describe(series: Sequence[Series], axes: Axes) -> str:
    """The curves in words."""
    parts = []
    for one in series:
        points = ", ".join(f"{short(c.x)}: {number(c.estimate.value)}" for c in one.cells if c.x is not None)
        parts.append(f"{one.label}, AUC at {axes.unit} {points}")
    if axes.clean is not None:
        parts.append(f"unchanged images, read in the same way: {number(axes.clean)}")
    return ". ".join(parts)


def hover(cell: Cell, where: str) -> str:
    """The text on hover over a point or a bar."""
    text = f"{where}: AUC {facts(cell.estimate)}"
    if cell.band is not None:
        text += f"; simultaneous band {limits(*cell.band)}"
    return text


def x_scale(values: Sequence[float], log: bool, start: float, end: float) -> Scale:
    """An axis from the smallest to the largest value, with some air."""
    low, high = min(values), max(values)
    if not log:
        return Scale(min(0.0, low), high * 1.04 or 1.0, start, end)
    return Scale(low / 1.12, high * 1.12, start, end, log=True)


def frame(canvas: Canvas, x: Scale, y: Scale, axes: Axes, top: float, *, mini: bool = False) -> None:
    """Grid, axes and their labels; the frame ends at ``top``, the axis of the AUC may end below it."""
    bottom = y.start
    for tick in y.ticks(22 if mini else 30):
        canvas.line(x.start, y(tick), x.end, y(tick), "grid")
        canvas.text(x.start - 7, y(tick) + 4, tick_label(tick), "tick", "end")
    for tick in _apart(axes.ticks, x, 24) if axes.ticks else x.ticks(30 if mini else 34):
        canvas.line(x(tick), bottom, x(tick), bottom + 4, "axis-line")
        canvas.text(x(tick), bottom + 16, short(tick), "tick", "middle")
    canvas.line(x.start, bottom, x.end, bottom, "axis-line")
    canvas.line(x.start, y(CHANCE), x.end, y(CHANCE), "chance")
    if axes.second and not mini:
        above = Scale(x.low * axes.second, x.high * axes.second, x.start, x.end, x.log)
        canvas.line(x.start, top, x.end, top, "axis-line")
        for tick in (t for t in above.ticks(38) if above(t) > x.start + 24):
            canvas.line(above(tick), top, above(tick), top - 4, "axis-line")
            canvas.text(above(tick), top - 8, short(tick), "tick", "middle")
        canvas.text(x.end + 8, top - 8, SECOND, "axis")
    if not mini:
        canvas.text(x.start - 7, top - (8 if axes.second else 10), "AUC", "axis", "end")
        canvas.text((x.start + x.end) / 2, bottom + 34, axes.label, "axis", "middle")


def _apart(ticks: Sequence[float], x: Scale, gap: float) -> list[float]:
    """Ticks from the largest down that keep their distance."""
    kept: list[float] = []
    for tick in sorted(ticks, reverse=True):
        if not kept or x(kept[-1]) - x(tick) >= gap:
            kept.append(tick)
    return kept


def _draw(series: Sequence[Series], axes: Axes, width: float, height: float, *, mini: bool = False) -> Drawing:
    size = 11.0 if mini else 12.0
    canvas = Canvas(width, height, size)
    cells = [cell for one in series for cell in one.cells]
    values = [v for c in cells for v in (c.estimate.value, *(c.band or ())) if v is not None]
    ends = [(one.label, f"end {one.style}") for one in series] + [("chance", "tick")]
    ends += [("clean", "tick")] if axes.clean is not None else []
    margin = max(text_width(label, size, bold=True) for label, _ in ends) + 12
    x = x_scale([c.x for c in cells if c.x is not None], axes.log, 30 if mini else 36, width - margin)
    air = 8.0 if axes.second and not mini else 0.0  # between the upper axis and the line of AUC 1
    top = 8.0 if mini else 34.0 if axes.second else 22.0
    y = auc_scale(
        [*values, *([axes.clean] if axes.clean is not None else [])], height - (20 if mini else 44), top + air
    )
    frame(canvas, x, y, axes, top, mini=mini)
    if axes.edge is not None and x.low < axes.edge < x.high:
        canvas.line(x(axes.edge), y.end, x(axes.edge), y.start, "edge")
    if axes.clean is not None:
        canvas.line(x.start, y(axes.clean), x.end, y(axes.clean), "clean")
    for one in series:
        _band(canvas, one, x, y)
    places = [y(CHANCE) + 4, *([y(axes.clean) + 4] if axes.clean is not None else [])]
    lasts = []
    for one in series:
        _line(canvas, one, x, y, axes, 2.8 if mini else 4.0)
        shown = [c.estimate.value for c in one.cells if c.estimate.value is not None]
        lasts.append(y(shown[-1]) + 4 if shown else y(CHANCE) + 4)
    moved = spread([*lasts, *places], size + 2, y.end + 6, y.start + 4)
    for (label, style), place in zip(ends, moved, strict=True):
        canvas.text(x.end + 8, place, label, style)
    return canvas.svg()


def _runs(series: Series, defined: Callable[[Cell], bool]) -> list[list[Cell]]:
    """Neighbouring cells for which something is defined."""
    runs: list[list[Cell]] = [[]]
    for cell in series.cells:
        if cell.x is not None and defined(cell):
            runs[-1].append(cell)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _band(canvas: Canvas, series: Series, x: Scale, y: Scale) -> None:
    for run in _runs(series, lambda cell: cell.band is not None):
        upper = [(x(c.x), y(c.band[1])) for c in run if c.x is not None and c.band]
        lower = [(x(c.x), y(c.band[0])) for c in run if c.x is not None and c.band]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*upper, *reversed(lower)])
        canvas.add("polygon", points=points, class_=f"area {series.style}")


def _line(canvas: Canvas, series: Series, x: Scale, y: Scale, axes: Axes, radius: float) -> None:
    for run in _runs(series, lambda cell: cell.estimate.value is not None):
        places = [(x(c.x), y(c.estimate.value)) for c in run if c.x is not None and c.estimate.value is not None]
        canvas.add("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in places), class_=f"curve {series.style}")
        for cell, (a, b) in zip(run, places, strict=True):
            title = tag("title", hover(cell, f"{series.label} {short(cell.x or 0.0)} {axes.unit}"))
            style = f"dot {series.style} {'sure' if cell.estimate.sure else 'open'}"
            if series.style == "two":
                side = radius * 1.8
                canvas.add("rect", title, x=a - side / 2, y=b - side / 2, width=side, height=side, class_=style)
            else:
                canvas.add("circle", title, cx=a, cy=b, r=radius, class_=style)
