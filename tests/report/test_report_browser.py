"""The report in a real browser: no error, no request, no overflow, readable in the dark and on A4."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CI = os.environ.get("CI", "").lower() in ("1", "true")
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
A4_POINTS = (595, 842)


def _missing(message: str) -> None:
    if CI:
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        _missing("no Chromium here: apt install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("no playwright here: pip install -e '.[test]'")
    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield found
        found.close()


class Visit:
    """An open page, its messages and its requests."""

    def __init__(self, browser: Any, folder: Path, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.messages.append(dialog.message), dialog.dismiss()))
        self.context.route("**/*", self._route)
        self.page.goto((folder / "report.html").resolve().as_uri())

    def _route(self, route: Any) -> None:
        address = route.request.url
        self.requests.append(address)
        if address.startswith(("file:", "data:")):
            route.continue_()
        else:
            route.abort()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_error_no_request_and_no_sideways_scrolling(browser: Any, report: Path, width: int) -> None:
    with Visit(browser, report, width) as visit:
        assert visit.messages == []
        page = (report / "report.html").resolve().as_uri()
        assert [one for one in visit.requests if one != page and not one.startswith("data:")] == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        broken = "[...document.images].filter(one => !one.complete || one.naturalWidth === 0).length"
        assert visit.page.evaluate(broken) == 0


def test_every_link_inside_leads_somewhere_visible(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["rich"]) as visit:
        inside = visit.page.locator("a[href^='#']")
        targets = sorted({inside.nth(k).get_attribute("href") for k in range(inside.count())})
        assert len(targets) >= 14
        for target in targets:
            assert visit.page.locator(target).is_visible(), target
        visit.page.locator(".q a").nth(1).click()
        assert visit.page.url.endswith("#q2")
        assert visit.page.locator("#q2-title").bounding_box()["y"] < 200


@pytest.mark.parametrize("width", [390, 1280])
def test_exactly_one_size_of_each_chart_is_shown_and_no_text_leaves_it(
    browser: Any, reports: dict[str, Path], width: int
) -> None:
    for name in ("rich", "three classes", "small archive", "hostile"):
        with Visit(browser, reports[name], width) as visit:
            sizes = "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg.chart')]"
            shown = visit.page.evaluate(f"{sizes}.filter(s => s.getBoundingClientRect().width > 0).length)")
            assert set(shown) == {1}
            outside = visit.page.evaluate(
                """[...document.querySelectorAll('svg.chart')].flatMap(s => {
                    const b = s.getBoundingClientRect();
                    if (!b.width) return [];
                    return [...s.querySelectorAll('text')].filter(t => {
                        const r = t.getBoundingClientRect();
                        return r.width && (r.left < b.left - 1 || r.right > b.right + 1
                            || r.top < b.top - 2 || r.bottom > b.bottom + 2);
                    }).map(t => s.getAttribute('aria-labelledby') + ': ' + t.textContent.slice(0, 40));
                })"""
            )
            assert outside == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_two_labels_of_a_chart_overlap(browser: Any, reports: dict[str, Path], width: int) -> None:
    for name in ("rich", "three classes", "small archive", "partial"):
        with Visit(browser, reports[name], width) as visit:
            overlapping = visit.page.evaluate(
                """[...document.querySelectorAll('svg.chart')].flatMap(s => {
                    const boxes = [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
                        .filter(([, r]) => r.width);
                    const found = [];
                    boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
                        const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                        const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                        if (across > 1 && down > 4) found.push(`${s.getAttribute('aria-labelledby')}: ${a} | ${b}`);
                    }));
                    return found;
                })"""
            )  # line boxes overlap by up to 4 pixels where the letters in them do not
            assert overlapping == []


def test_dark_mode_is_dark_and_print_is_not(browser: Any, reports: dict[str, Path]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with (
        Visit(browser, reports["rich"], scheme="light") as light,
        Visit(browser, reports["rich"], scheme="dark") as dark,
    ):
        assert light.page.evaluate(ground) == "rgb(255, 255, 255)"
        assert max(map(int, re.findall(r"\d+", dark.page.evaluate(ground)))) < 50
        dark.page.emulate_media(media="print", color_scheme="dark")
        assert dark.page.evaluate(ground) == "rgb(255, 255, 255)"


def test_the_first_key_shows_the_skip_link_and_focus_is_visible(browser: Any, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["rich"]) as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.className") == "skip"
        assert visit.page.locator(".skip").bounding_box()["x"] >= 0
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_it_prints_on_a4_with_the_first_page_on_the_first_sheet(browser: Any, reports: dict[str, Path]) -> None:
    for name in ("rich", "failed control", "three classes"):
        with Visit(browser, reports[name]) as visit:
            pdf = visit.page.pdf(prefer_css_page_size=True, print_background=True)
            boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", pdf)
            assert len(boxes) > 5
            assert {tuple(round(float(side)) for side in box) for box in boxes} == {A4_POINTS}
            visit.page.emulate_media(media="print")
            visit.page.set_viewport_size({"width": 680, "height": 1000})  # 180 mm of 210 at 96 pixels per inch
            height = visit.page.locator("#first").bounding_box()["height"]
            assert height < 1005  # 266 mm of 297
