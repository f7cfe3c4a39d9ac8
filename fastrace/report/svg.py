"""Charts by hand: elements with everything escaped, scales with sensible ticks, and text measured before it is placed.

A chart is drawn twice, for wide and for narrow pages, because an SVG that is merely scaled has unreadable letters on a phone.
Colours are classes (``colours.css``, ``charts.css``), so a chart follows light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from fastrace.console.words import short

# Advance widths of Helvetica (Adobe's metrics, 1/1000 em) for space to tilde.
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556,
    556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
_ROOM = 1.08  # other system fonts are up to this much wider
_BOLD = 1.08


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Pixels that a text takes, about; other characters than ASCII count as one em, Latin-like ones as less."""
    units = 0
    for character in text:
        code = ord(character)
        units += _WIDTHS[code - 32] if 32 <= code < 127 else (600 if code < 0x2E80 else 1000)
    return units / 1000 * size * _ROOM * (_BOLD if bold else 1.0)


def fit(text: str, width: float, size: float) -> str:
    """The text, or its beginning with an ellipsis, so that it fits."""
    text = text[:400]
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, width: float, size: float, lines: int = 3) -> list[str]:
    """Break at spaces, inside a word only where it is wider than a line; what does not fit ends in an ellipsis."""
    rest = text[:1200].split()
    done: list[str] = []
    while rest and len(done) < lines:
        line = rest.pop(0)
        if text_width(line, size) > width:
            kept = line
            while text_width(kept, size) > width:
                kept = kept[:-1]
            rest.insert(0, line[len(kept) :])
            line = kept
        while rest and text_width(f"{line} {rest[0]}", size) <= width:
            line += " " + rest.pop(0)
        done.append(line)
    if rest:
        done[-1] = fit(done[-1] + " " + " ".join(rest), width, size)
    return done or [""]


def tag(name: str, *content: str | Markup, **attributes: str | float | None) -> Markup:
    """One element. Strings are escaped, `Markup` is not; ``class_`` and ``text_anchor`` become class and text-anchor."""
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _attribute(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(part) for part in content)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), pairs, inside)


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Scale:
    """Values to pixels, linear or logarithmic; what lies outside is drawn at the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixels of a value."""
        value = min(max(value, self.low), self.high)
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, spacing: float) -> list[float]:
        """Round values at least ``spacing`` pixels apart: 1, 2, 5 and their tens."""
        return self._log_ticks(spacing) if self.log else self._linear_ticks(spacing)

    def _linear_ticks(self, spacing: float) -> list[float]:
        most = max(1.0, abs(self.end - self.start) / spacing)
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step *= next((k for k in (1, 2, 5, 10) if (self.high - self.low) / (k * step) <= most), 10)
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 10) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _log_ticks(self, spacing: float) -> list[float]:
        found: list[float] = []
        for multiples in ((1,), (1, 3), (1, 2, 5)):
            decades = range(math.floor(math.log10(self.low)) - 1, math.ceil(math.log10(self.high)) + 1)
            ticks = [m * 10.0**d for d in decades for m in multiples]
            inside = [t for t in ticks if self.low * 0.999 <= t <= self.high * 1.001]
            places = sorted(self(t) for t in inside)
            if found and any(b - a < spacing for a, b in pairwise(places)):
                break
            found = inside
        return found


def auc_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """An axis for AUCs: 1 at the end, .4 or less at the start, so that chance is always seen."""
    lowest = min([0.45, *values])
    return Scale(max(-1.0, math.floor(lowest * 10) / 10), max(1.0, *values, 1.0), start, end)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart to at least ``gap``, in their order, within bounds."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = [places[k] for k in order]
    for _ in range(60):
        for k in range(1, len(moved)):
            lack = gap - (moved[k] - moved[k - 1])
            if lack > 0:
                moved[k - 1] -= lack / 2
                moved[k] += lack / 2
        if moved:
            moved[0] = max(moved[0], low)
            moved[-1] = min(moved[-1], high)
    result = [0.0] * len(places)
    for k, place in zip(order, moved, strict=True):
        result[k] = place
    return result


@dataclass
class Canvas:
    """A drawing under way: elements in the order in which they are painted."""

    width: float
    height: float
    size: float = 12.0
    parts: list[Markup] = field(default_factory=list)

    def add(self, name: str, *content: str | Markup, **attributes: str | float | None) -> None:
        """Paint an element."""
        self.parts.append(tag(name, *content, **attributes))

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str | None = None) -> None:
        """Write ``text`` with its baseline at ``y``."""
        self.add("text", text, x=x, y=y, class_=style or None, text_anchor=anchor)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)

    def svg(self) -> Drawing:
        """Finish."""
        return Drawing(self.width, self.height, Markup("").join(self.parts))


@dataclass(frozen=True)
class Drawing:
    """The inside of an SVG and its size."""

    width: float
    height: float
    content: Markup


@dataclass(frozen=True)
class Figure:
    """A chart for wide and narrow pages, with the words that describe it.

    Attributes
    ----------
    name : str
        File name without suffix, and the base of its ids; made of our own words.
    title, description : str
        What it is, and what it shows, for screen readers.
    wide, narrow : Drawing
    """

    name: str
    title: str
    description: str
    wide: Drawing
    narrow: Drawing

    def inline(self) -> Markup:
        """Both drawings; style sheets show one."""
        if self.wide is self.narrow:
            return self._svg(self.wide, "only")
        return self._svg(self.wide, "wide") + self._svg(self.narrow, "narrow")

    def standalone(self, style: str) -> str:
        """The wide drawing as a file of its own."""
        drawing = self.wide
        ground = tag("rect", width=drawing.width, height=drawing.height, class_="ground")
        inside = tag("style", Markup(style)) + ground + drawing.content
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + str(self._element(drawing, "file", inside)) + "\n"

    def _svg(self, drawing: Drawing, kind: str) -> Markup:
        return self._element(drawing, kind, drawing.content)

    def _element(self, drawing: Drawing, kind: str, inside: Markup) -> Markup:
        title, description = f"{self.name}-{kind}-title", f"{self.name}-{kind}-desc"
        return tag(
            "svg",
            tag("title", self.title, id=title),
            tag("desc", self.description, id=description),
            inside,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {drawing.width:g} {drawing.height:g}",
            width=drawing.width,
            height=drawing.height,
            class_=f"chart {kind}",
            role="img",
            aria_labelledby=f"{title} {description}",
        )


def tick_label(value: float) -> str:
    """``.5``, ``1``, ``0.2`` on a cut-off axis is written by `short`."""
    text = short(value)
    return text[1:] if text.startswith("0.") else text.replace("-", "−")
