"""The figure shows the numbers of the document, each once, and stays inside its frame."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from bench_documents import document, timed

from fastrace.bench.roofline import LIBRARIES, library, roofline

SVG = "{http://www.w3.org/2000/svg}"
ROOFS = {"copy": {"1": 10.0, "2": 18.0}, "cached": {"1": 80.0, "2": 150.0}, "peak": {"1": 90.0, "2": 170.0}}


def result(**more: Any) -> dict[str, Any]:
    rows = []
    for name, work in (("a & b", (3e6, 2e6)), ("filter", (4e5, 4e6)), ("same", (4e5, 4e6)), ("decode", (None, None))):
        some = timed(name, fastrace=[1.0] * 3, scipy=[2.0] * 3, OpenCV=[0.5] * 3, unknown=[4.0] * 3)
        rows += [row | {"bytes": work[0], "flops": work[1]} for row in some]
    return document(rows, roofs=ROOFS, **more)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_same_document_gives_the_same_bytes_and_nothing_is_fetched() -> None:
    given = result()
    svg = roofline(given)
    assert svg == roofline(given)
    assert not re.search(r"@import|url\(|href|<script", svg)
    ElementTree.fromstring(svg)


def test_every_operation_and_peer_is_named_and_losses_are_marked() -> None:
    drawn = texts(roofline(result()))
    for name in ("a & b", "filter", "same", "decode"):
        assert f"{name}: 1 ms" in drawn
    assert drawn.count("2.00") == drawn.count("0.50") == drawn.count("4.00") == 4
    svg = ElementTree.fromstring(roofline(result()))
    losses = [node.text for node in svg.iter(f"{SVG}text") if "loss" in (node.get("class") or "")]
    assert losses == ["0.50"] * 4
    assert {"A", "B", "C"} <= set(drawn)  # the operations whose work is stated, by intensity
    assert "D" not in drawn
    assert any("copy 18 GB/s, 2 threads" in text for text in drawn)
    assert any("matrix product 90 GFLOP/s, 1 thread" in text for text in drawn)


def test_the_height_of_a_mark_is_its_speed() -> None:
    """On a logarithmic axis twice as fast is log10(2) of a decade higher."""
    svg = ElementTree.fromstring(roofline(result()))
    dots = [node for node in svg.iter(f"{SVG}circle") if LIBRARIES["fastrace"][1] in (node.get("style") or "")]
    in_plot = sorted(
        (float(node.get("cx", 0)), float(node.get("cy", 0))) for node in dots if float(node.get("cy", 0)) < 440
    )
    plus = [node.get("transform", "") for node in svg.iter(f"{SVG}path") if node.get("d") == "M0,-5V5M-5,0H5"]
    heights = [float(text.split()[1].rstrip(")")) for text in plus]
    labels = [
        float(node.get("y", 0))
        for node in svg.iter(f"{SVG}text")
        if node.text == "1" and node.get("text-anchor") == "end"
    ]
    ten = [
        float(node.get("y", 0))
        for node in svg.iter(f"{SVG}text")
        if node.text == "10" and node.get("text-anchor") == "end"
    ]
    decade = labels[0] - ten[0]
    assert len(in_plot) == 3
    assert in_plot[1][0] < in_plot[2][0]  # equal intensity: side by side
    assert heights[0] - in_plot[0][1] == pytest.approx(0.30103 * decade, abs=0.3)
    assert in_plot[0][1] - in_plot[1][1] == pytest.approx(0.30103 * decade, abs=0.3)  # 2 and 4 GFLOP/s


def test_without_roofs_or_work_the_ratios_remain() -> None:
    drawn = texts(roofline(result() | {"roofs": None}))
    assert "GFLOP/s" not in drawn
    assert "filter: 1 ms" in drawn


def test_everything_is_inside() -> None:
    svg = ElementTree.fromstring(roofline(result()))
    width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
    for node in svg.iter(f"{SVG}text"):
        assert 0 <= float(node.get("x", 0)) <= width
        assert 0 <= float(node.get("y", 0)) <= height


def test_peers_belong_to_libraries() -> None:
    assert library("OpenCV INTER_AREA, no window") == "OpenCV"
    assert library("released code, np.fft complex128") == "released code"
    assert library("simpleitk") == "SimpleITK"
    assert library("sklearn loop") == "other"
