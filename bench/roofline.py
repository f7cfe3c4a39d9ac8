"""What was achieved against what is possible, as one SVG: a roofline (Williams et al., CACM 2009), and the ratios as bars.

An operation has a place on the horizontal axis, its arithmetic intensity: floating-point operations of the textbook's
algorithm for each byte that has to be moved (inputs read once, results written once). All peers of an operation have that place;
their height is the speed at which that work was done. The roof is what this machine reached in the same run: copying between
two large buffers, and a matrix product. A speed above a roof is no error: the data were in the cache, or vectors
were wider than those of the product (on AMD torch's reaches 103 GFLOP/s a core, its convolution with AVX-512 206).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from fastrace.bench.row import COLD, Row, is_ours
from fastrace.bench.targets import TARGETS
from fastrace.report.svg import Canvas, Scale, fit, spread, tag, text_width

WIDTH, MARGIN = 960.0, 64.0
PLOT_TOP, PLOT_BOTTOM, LEGEND = 74.0, 430.0, 484.0
ROW, HEADING, GAP = 17.0, 19.0, 11.0
# Words in a peer's name -> whose it is: its mark and colour (Okabe and Ito's, which colour-blind readers distinguish).
LIBRARIES = {
    "fastrace": ("dot", "#0b3d91"),
    "released code": ("cross", "#555555"),
    "pydicom": ("square", "#d55e00"),
    "OpenCV": ("up", "#009e73"),
    "SimpleITK": ("down", "#cc79a7"),
    "numpy": ("diamond", "#e69f00"),
    "scipy": ("plus", "#a0522d"),
    "torch": ("ring", "#b0171f"),
    "pyfftw": ("left", "#0072b2"),
    "other": ("small", "#777777"),
}
# Drawn beside the operations that have a target: where another library is as fast or faster, and what has none.
BESIDE = (
    f"VOI linear, 2 threads{COLD}",
    "VOI sigmoid (table), 2 threads",
    "noise gaussian 0.1 224x224 float32, batch 32, 1 core",
    "decode file JPEGLosslessSV1 3328x2560",
    "decode file JPEG2000Lossless 3328x2560",
    "decode file uncompressed 3328x2560",
    "whole command, 24 such files, start included",
)
STYLE = """
text { font: 12px Helvetica, Arial, "Liberation Sans", sans-serif; fill: #1b1e24; }
.title { font-size: 15px; font-weight: 700; } .bold { font-weight: 700; } .small { font-size: 11px; }
.quiet { fill: #5a616c; font-size: 11px; } .loss { fill: #b3460a; font-weight: 700; }
.letter { font-weight: 700; font-size: 11px; fill: #ffffff; } .tag { fill: #0b3d91; }
.ground { fill: #ffffff; } .frame { fill: none; stroke: #1b1e24; } .grid { stroke: #e6e8ec; }
.roof { fill: none; stroke: #1b1e24; stroke-width: 1.8; } .one { stroke-dasharray: 7 4; }
.cache { stroke: #8a919d; stroke-width: 1.2; } .column { stroke: #c3c9d2; stroke-dasharray: 2 3; }
.won { fill: #9db8de; } .lost { fill: #f0b48a; } .whisker, .even { stroke: #1b1e24; }
"""


def roofline(document: dict[str, Any]) -> str:
    """Draw a document of `run`.

    Returns
    -------
    str
        A whole SVG file without scripts, links or fonts of its own. The same document gives the same bytes.
    """
    timed = [row for row in document["rows"] if row["ms"] is not None]
    names = {*BESIDE, *(target.operation for target in TARGETS)}
    shown = [row for row in timed if row["operation"] in names] or timed
    blocks = [list(group) for _, group in groupby(shown, key=lambda row: row["operation"])]
    blocks = [block for block in blocks if is_ours(block[0])]
    placed = [block for block in blocks if block[0].get("bytes") and block[0].get("flops")]
    placed.sort(key=lambda block: block[0]["flops"] / block[0]["bytes"])
    letters = {block[0]["operation"]: chr(65 + k) for k, block in enumerate(placed[:26])}
    canvas = Canvas(WIDTH, 0)
    machine = document["environment"]
    canvas.text(MARGIN, 26, "fastrace bench: achieved against possible", "title")
    about = f"{machine['cores']} cores of {machine['cpu']}, {machine['date']}; medians of interleaved rounds. "
    about += "Operations of equal intensity stand side by side. Above a roof: data in the cache, or wider vectors."
    canvas.text(MARGIN, 43, about, "quiet")
    top = 66.0
    if placed and document.get("roofs"):
        _plot(canvas, placed[:26], letters, document["roofs"])
        top = LEGEND + 50
    height = _bars(canvas, blocks, letters, top)
    inside = tag("style", Markup(STYLE)) + tag("rect", width=WIDTH, height=height, class_="ground")
    figure = tag(
        "svg",
        tag("title", "fastrace bench: roofline and ratios"),
        tag(
            "desc",
            "Speed of each operation against the machine's roof, and the time of other libraries over fastrace's.",
        ),
        inside,
        *canvas.parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        width=WIDTH,
        height=height,
        role="img",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{figure}\n'


def library(peer: str) -> str:
    """Whose a peer is."""
    return next((name for name in LIBRARIES if name.lower() in peer.lower()), "other")


def _plot(
    canvas: Canvas, blocks: Sequence[Sequence[Row]], letters: dict[str, str], roofs: dict[str, dict[str, float]]
) -> None:
    intensity = {block[0]["operation"]: block[0]["flops"] / block[0]["bytes"] for block in blocks}
    speeds = [row["flops"] / row["ms"] / 1e6 for block in blocks for row in block]
    most = max(roofs["peak"], key=int)
    left, right = MARGIN, WIDTH - 24
    x = Scale(min(0.1, min(intensity.values()) / 2), max(100.0, max(intensity.values()) * 4), left, right, log=True)
    y = Scale(min(speeds) / 2, 2 * max(*roofs["peak"].values(), *speeds), PLOT_BOTTOM, PLOT_TOP, log=True)
    for value in _decades(x):
        canvas.line(x(value), PLOT_TOP, x(value), PLOT_BOTTOM, "grid")
        canvas.text(x(value), PLOT_BOTTOM + 16, f"{value:g}", "", "middle")
    for value in _decades(y):
        canvas.line(left, y(value), right, y(value), "grid")
        canvas.text(left - 7, y(value) + 4, f"{value:g}", "", "end")
    canvas.add("rect", x=left, y=PLOT_TOP, width=right - left, height=PLOT_BOTTOM - PLOT_TOP, class_="frame")
    canvas.text(
        (left + right) / 2, PLOT_BOTTOM + 34, "arithmetic intensity, FLOP per byte that has to be moved", "", "middle"
    )
    middle = (PLOT_TOP + PLOT_BOTTOM) / 2
    canvas.add("text", "GFLOP/s", x=16.0, y=middle, text_anchor="middle", transform=f"rotate(-90 16 {middle:.0f})")
    for kind, count, style in (("cached", most, "cache"), ("copy", "1", "one"), ("copy", most, "")):
        if count in roofs[kind] and not (count == "1" == most and style == "one"):
            _roof(canvas, x, y, roofs, kind, count, style)
    places = spread([x(intensity[block[0]["operation"]]) for block in blocks], 44, left + 22, right - 22)
    for block, place in zip(blocks, places, strict=True):
        operation = block[0]["operation"]
        heights = [y(row["flops"] / row["ms"] / 1e6) for row in block]
        canvas.line(place, PLOT_TOP, place, max(heights), "column")
        for k, (row, height) in enumerate(zip(block[1:], heights[1:], strict=True)):
            _mark(canvas, library(row["peer"]), place + (k - len(block) / 2 + 1) * min(7, 32 / len(block)), height)
        _mark(canvas, library(block[0]["peer"]), place, heights[0])
        _letter(canvas, letters[operation], place, PLOT_TOP)
    _legend(canvas, {library(row["peer"]) for block in blocks for row in block}, left)


def _decades(scale: Scale) -> list[float]:
    low, high = math.ceil(math.log10(scale.low) - 1e-9), math.floor(math.log10(scale.high) + 1e-9)
    return [10.0**power for power in range(low, high + 1)]


def _roof(
    canvas: Canvas, x: Scale, y: Scale, roofs: dict[str, dict[str, float]], kind: str, count: str, style: str
) -> None:
    """From the left edge up to the ridge, and level from there; its name along the slope."""
    bandwidth, peak = roofs[kind][count], roofs["peak"][count]
    start = max(x.low, y.low / bandwidth)
    ridge = peak / bandwidth
    points = [(x(start), y(bandwidth * start)), (x(ridge), y(peak)), (x.end, y(peak))]
    joined = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
    canvas.add("polyline", points=joined, class_=f"roof {style}".strip())
    threads = f"{count} thread{'s' * (int(count) > 1)}"
    (x0, y0), (x1, y1), _ = points
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    words = f"{'copy in cache' if kind == 'cached' else 'copy'} {bandwidth:.3g} GB/s, {threads}"
    # Above the line of all threads, below that of one: two roofs may be close.
    away, along = (15.0, 0.06) if style == "one" else (-6.0, 0.06)
    at = (x0 + along * (x1 - x0), y0 + along * (y1 - y0))
    canvas.add(
        "text", words, x=at[0], y=at[1] + away, class_="quiet",
        transform=f"rotate({angle:.1f} {at[0]:.1f} {at[1]:.1f})",
    )  # fmt: skip
    if kind == "copy":
        down = 15.0 if style == "one" else -6.0
        canvas.text(x.end - 6, y(peak) + down, f"matrix product {peak:.3g} GFLOP/s, {threads}", "quiet", "end")


def _mark(canvas: Canvas, name: str, x: float, y: float) -> None:
    kind, colour = LIBRARIES[name]
    outline = {
        "square": "M-4,-4H4V4H-4Z", "up": "M0,-5L5,4H-5Z", "down": "M0,5L5,-4H-5Z", "diamond": "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
        "left": "M-5,0L4,-5V5Z", "cross": "M-4,-4L4,4M-4,4L4,-4", "plus": "M0,-5V5M-5,0H5",
    }  # fmt: skip
    if kind in outline:
        style = f"fill:{'none' if kind in ('cross', 'plus') else '#ffffff'};stroke:{colour};stroke-width:1.8"
        canvas.add("path", d=outline[kind], style=style, transform=f"translate({x:.1f} {y:.1f})")
        return
    radius = {"dot": 6.0, "ring": 4.5, "small": 3.0}[kind]
    style = f"fill:{'#ffffff' if kind == 'ring' else colour};stroke:{colour if kind == 'ring' else '#ffffff'};stroke-width:1.8"
    canvas.add("circle", cx=x, cy=y, r=radius, style=style)


def _letter(canvas: Canvas, letter: str, x: float, y: float) -> None:
    canvas.add("circle", cx=x, cy=y, r=8.5, class_="tag")
    canvas.text(x, y + 4, letter, "letter", "middle")


def _legend(canvas: Canvas, names: set[str], left: float) -> None:
    across = left + 6
    for name in LIBRARIES:
        if name in names:
            _mark(canvas, name, across, LEGEND)
            canvas.text(across + 11, LEGEND + 4, name)
            across += 11 + text_width(name, 12) + 20


def _bars(canvas: Canvas, blocks: Sequence[Sequence[Row]], letters: dict[str, str], top: float) -> float:
    """Two columns of operations, in each a bar for each peer; returns the height that the figure needs."""
    canvas.text(MARGIN, top, "Time of others / time of fastrace", "bold")
    canvas.text(
        WIDTH - 24, top, "whisker: 20th to 80th percentile; left of 1, in orange: fastrace is slower", "quiet", "end"
    )
    heights = [HEADING + ROW * (len(block) - 1) + GAP for block in blocks]
    half, first = sum(heights) / 2, len(blocks)
    for number in range(len(blocks)):
        if sum(heights[: number + 1]) >= half:
            first = number + 1
            break
    ratios = [value for block in blocks for row in block[1:] for value in row["spread"]]
    low, high = min([0.5, *ratios]), max([10.0, *ratios])
    bottom = top
    for column, part in enumerate((blocks[:first], blocks[first:])):
        left = MARGIN - 40 if column == 0 else WIDTH / 2 + 12
        scale = Scale(low, high, left + 212, left + 404, log=True)
        down = top + 22
        for block in part:
            down = _block(canvas, block, letters.get(block[0]["operation"]), left, down, scale)
        bottom = max(bottom, down)
    return bottom + 10


def _block(canvas: Canvas, block: Sequence[Row], letter: str | None, left: float, down: float, scale: Scale) -> float:
    ours = block[0]
    if letter:
        _letter(canvas, letter, left + 8.5, down - 4)
    time = f"{ours['ms']:.3g} ms" if ours["ms"] < 1000 else f"{ours['ms'] / 1000:.3g} s"
    room = scale.end + 58 - left - 22
    canvas.text(left + 22, down, fit(f"{ours['operation']}: {time}{', NOISY' * ours['noisy']}", room, 12), "bold")
    down += HEADING
    even = scale(1)
    canvas.line(even, down - 13, even, down - 13 + ROW * (len(block) - 1), "even")
    for row in block[1:]:
        low, high = (scale(value) for value in row["spread"])
        tip, lost = scale(row["ratio"]), row["ratio"] < 1
        canvas.text(
            scale.start - 8, down, fit(row["peer"] + " (wrong)" * bool(row["problem"]), 200, 11), "small", "end"
        )
        canvas.add(
            "rect", x=min(tip, even), y=down - 11, width=abs(tip - even), height=12.0, class_="lost" if lost else "won"
        )  # fmt: skip
        canvas.line(low, down - 5, high, down - 5, "whisker")
        canvas.text(
            max(high, tip, even) + 6,
            down,
            f"{row['ratio']:.{2 if row['ratio'] < 9.995 else 0}f}",
            "loss small" if lost else "small",
        )
        down += ROW
    return down + GAP
