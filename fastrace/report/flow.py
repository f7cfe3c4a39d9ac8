"""The flow diagram: what was read, what was left out and why, what was analysed."""

from __future__ import annotations

from collections.abc import Sequence

from fastrace.audit.document import Flow, LeftOut
from fastrace.console.words import HIDDEN, clip, count
from fastrace.report.svg import Canvas, Drawing, Figure, wrap

SIZE, LINE = 12.5, 17.0


def counted(one: Flow | LeftOut) -> str:
    """``412 images of 98 patients``; ``14 images, patients suppressed``."""
    if one.suppressed and one.images is None and one.patients is None:
        return HIDDEN
    images = f"{count(one.images)} images" if one.images is not None else ""
    if one.patients is not None:
        return " of ".join(filter(None, (images, f"{count(one.patients, patients=True)} patients")))
    return ", ".join(filter(None, (images, f"patients {HIDDEN}" if one.suppressed else "")))


def flow(name: str, steps: Sequence[Flow]) -> Figure:
    """Draw the steps from top to bottom, what was left out beside each (below it on narrow pages)."""
    parts = []
    for step in steps:
        reasons = "; ".join(f"{clip(one.reason)}: {counted(one)}" for one in step.left_out)
        parts.append(f"{clip(step.label)}: {counted(step)}" + (f". Left out: {reasons}" if reasons else ""))
    wide = _draw(steps, 760, 300, 372, 388)
    narrow = _draw(steps, 340, 340, 28, 312)
    return Figure(name, "Flow of images and patients", ". ".join(parts), wide, narrow)


def _draw(steps: Sequence[Flow], width: float, main: float, side_x: float, side: float) -> Drawing:
    canvas = Canvas(width, 0, SIZE)
    beside = side_x > main
    spine = main / 2 if beside else 14.0
    y = 4.0
    for k, step in enumerate(steps):
        y = _box(canvas, 1, y, main - 2, wrap(step.label, main - 28, SIZE, 2), counted(step), "box")
        if not step.left_out and k == len(steps) - 1:
            continue
        start = y
        if step.left_out:
            lines = [line for one in step.left_out for line in _reason(one, side - 28)]
            top = y + 14
            bottom = _list(canvas, side_x, top, side - 2, lines)
            middle = (top + bottom) / 2 if beside else top + 22
            canvas.line(spine, middle, side_x - 5, middle, "arrow")
            canvas.add("path", d=f"M{side_x - 7:.1f} {middle - 4:.1f}l6 4-6 4Z", class_="arrow-head")
            y = bottom
        y += 16 if k < len(steps) - 1 else 0
        if k < len(steps) - 1:
            canvas.line(spine, start, spine, y - 5, "arrow")
            canvas.add("path", d=f"M{spine - 4:.1f} {y - 7:.1f}l4 6 4-6Z", class_="arrow-head")
        else:
            canvas.line(spine, start, spine, middle, "arrow")
    canvas.height = y + 4
    return canvas.svg()


def _box(canvas: Canvas, x: float, y: float, width: float, lines: list[str], counts: str, style: str) -> float:
    height = 20 + LINE * (len(lines) + (1 if counts else 0))
    canvas.add("rect", x=x, y=y, width=width, height=height, rx=4, class_=style)
    for k, line in enumerate(lines):
        canvas.text(x + 13, y + 22 + k * LINE, line, "strong")
    canvas.text(x + 13, y + 22 + len(lines) * LINE, counts, "label")
    return y + height


def _reason(one: LeftOut, width: float) -> list[tuple[str, str]]:
    lines = [(line, "label") for line in wrap(one.reason, width, SIZE, 2)]
    return [*lines, (counted(one), "quiet")]


def _list(canvas: Canvas, x: float, y: float, width: float, lines: list[tuple[str, str]]) -> float:
    height = 20 + LINE * len(lines)
    canvas.add("rect", x=x, y=y, width=width, height=height, rx=4, class_="box side")
    for k, (line, style) in enumerate(lines):
        canvas.text(x + 13, y + 22 + k * LINE, line, style)
    return y + height
