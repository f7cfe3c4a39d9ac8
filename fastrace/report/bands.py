"""Bands: the third-octave scan with the band that the rule found, and the table of band edges as a map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fastrace.audit.document import Cell
from fastrace.console.words import number, short, span
from fastrace.report.curve import Axes, frame, hover
from fastrace.report.estimates import facts, interval
from fastrace.report.forest import CHANCE
from fastrace.report.svg import Canvas, Drawing, Figure, Scale, auc_scale, tag, text_width

THIRD = 2 ** (1 / 3)


def edges(cell: Cell) -> tuple[float, float] | None:
    """Both edges of a cell's band, where it has a lower one above 0 and an upper one."""
    if cell.x_low is None or cell.x_high is None or not 0 < cell.x_low < cell.x_high:
        return None
    return cell.x_low, cell.x_high


def ring(cell: Cell) -> tuple[float, float] | None:
    """The edges of a third octave on a logarithmic axis: one without a lower, or upper, edge is drawn a third octave wide."""
    low, high = cell.x_low or None, cell.x_high
    if high is None and low is not None:
        return low, low * THIRD
    if low is None and high is not None and high > 0:
        return high / THIRD, high
    return edges(cell)


def band_name(cell: Cell) -> str:
    """``19–24``; ``below 5`` and ``from 200`` for the ends of the spectrum."""
    if not cell.x_low and cell.x_high:
        return f"below {short(cell.x_high)}"
    if cell.x_high is None and cell.x_low:
        return f"from {short(cell.x_low)}"
    return span(cell.x_low or 0.0, cell.x_high or 0.0)


def scan(name: str, title: str, cells: Sequence[Cell], found: tuple[float, float] | None, axes: Axes) -> Figure:
    """Draw one bar per band, from chance to its AUC."""
    points = ", ".join(f"{band_name(c)}: {interval(c.estimate)}" for c in cells if ring(c))
    description = f"AUC in bands of {axes.unit}: {points}. " + (
        f"Band found: {span(*found)}" if found else "No band found"
    )
    wide, narrow = (_scan(cells, found, axes, *size) for size in ((520, 300), (340, 280)))
    return Figure(name, title, description, wide, narrow)


def _scan(cells: Sequence[Cell], found: tuple[float, float] | None, axes: Axes, width: float, height: float) -> Drawing:
    canvas = Canvas(width, height)
    shown = [(cell, *e) for cell in cells if (e := ring(cell))]
    values = [v for c, _, _ in shown for v in (c.estimate.value, c.estimate.low, c.estimate.high) if v is not None]
    margin = text_width("chance", 12) + 12
    low, high = min(e[1] for e in shown), max(e[2] for e in shown)
    x = Scale(low, high, 36, width - margin, log=True)
    y = auc_scale(values, height - 44, 52)
    top = 34.0
    if found:
        a, b = x(found[0]), x(found[1])
        canvas.add("rect", x=a, y=top, width=max(b - a, 2), height=y.start - top, class_="found")
        canvas.line(a, y.end, a, y.start, "found-edge")
        canvas.line(b, y.end, b, y.start, "found-edge")
    frame(canvas, x, y, axes, top)
    overlapping = any(after < high_edge for (_, _, high_edge), (_, after, _) in pairwise(shown))
    for cell, low_edge, high_edge in shown:
        if overlapping:  # octaves, a third apart: each is drawn as its middle third
            third = (high_edge / low_edge) ** (1 / 3)
            low_edge, high_edge = low_edge * third, high_edge / third
        _bar(canvas, cell, x, y, low_edge, high_edge)
    canvas.text(x.end + 8, y(CHANCE) + 4, "chance", "tick")
    if found:
        label = f"found {span(*found)}"
        half = text_width(label, 12) / 2
        centre = min(max((x(found[0]) + x(found[1])) / 2, x.start + half), x.end - half)
        canvas.text(centre, 48, label, "found-label", "middle")
    return canvas.svg()


def _bar(canvas: Canvas, cell: Cell, x: Scale, y: Scale, low: float, high: float) -> None:
    a, b, middle = x(low) + 1, x(high) - 1, (x(low) + x(high)) / 2
    inside = [tag("title", hover(cell, f"{band_name(cell)} cycles/image"))]
    value = cell.estimate.value
    if value is None:
        inside.append(tag("text", "-", x=middle, y=y(CHANCE) - 6, class_="tick", text_anchor="middle"))
    else:
        top, base = sorted((y(value), y(CHANCE)))
        style = "bar hit" if cell.finding else "bar"
        inside.append(tag("rect", x=a, y=top, width=max(b - a, 1), height=max(base - top, 1), class_=style))
        if cell.estimate.low is not None and cell.estimate.high is not None:
            inside.append(
                tag(
                    "line",
                    x1=middle,
                    y1=y(cell.estimate.low),
                    x2=middle,
                    y2=y(cell.estimate.high),
                    class_="whisker sure",
                )
            )
    canvas.add("g", *inside)


def heat(name: str, title: str, cells: Sequence[Cell]) -> Figure:
    """Draw a map of lower edge against upper edge; the number stands in every field, so shade is never alone."""
    points = ", ".join(f"{span(*e)}: {interval(c.estimate)}" for c in cells if (e := edges(c)))
    wide, narrow = (_heat(cells, width) for width in (520, 340))
    return Figure(name, title, f"AUC by lower and upper edge in cycles/image: {points}", wide, narrow)


def _heat(cells: Sequence[Cell], width: float) -> Drawing:
    shown = {e: cell for cell in cells if (e := edges(cell))}
    lows = sorted({low for low, _ in shown})
    highs = sorted({high for _, high in shown})
    left, top = 56.0, 44.0
    across = (width - left) / len(highs)
    down = min(34.0, across * 0.72)
    canvas = Canvas(width, top + down * len(lows) + 4, 12)
    canvas.text(left, 12, "to below (cycles/image)", "axis")
    canvas.text(0, top - 8, "from", "axis")
    values = [c.estimate.value for c in shown.values() if c.estimate.value is not None]
    ceiling = max([0.6, *values])
    for k, high in enumerate(highs):
        canvas.text(left + (k + 0.5) * across, top - 8, short(high), "tick", "middle")
    for j, low in enumerate(lows):
        y = top + j * down
        canvas.text(left - 10, y + down / 2 + 4, short(low), "tick", "end")
        for k, high in enumerate(highs):
            found = shown.get((low, high))
            if found is None:
                continue
            value = found.estimate.value
            share = 0.0 if value is None else min(max((value - CHANCE) / (ceiling - CHANCE), 0.0), 1.0)
            x = left + k * across
            canvas.add(
                "g",
                tag("title", f"{span(low, high)} cycles/image: AUC {facts(found.estimate)}"),
                tag("rect", x=x + 1, y=y + 1, width=across - 2, height=down - 2, class_="field"),
                tag(
                    "rect", x=x + 1, y=y + 1, width=across - 2, height=down - 2, class_="shade",
                    fill_opacity=f"{0.42 * share:.3f}",
                ),
                tag(
                    "text", number(value), x=x + across / 2, y=y + down / 2 + 4, text_anchor="middle",
                    class_="label" if found.estimate.sure else "quiet",
                ),
            )  # fmt: skip
    return canvas.svg()
