"""Progress of long work: rates, what is left, and the same in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastrace.console.progress import LoggedProgress, Progress, state


@pytest.mark.parametrize(
    ("done", "elapsed", "expected"),
    [
        (0, 5.0, "features: 0 of 10,000 images"),
        (1200, 0.5, "features: 1,200 of 10,000 images"),
        (1200, 30.0, "features: 1,200 of 10,000 images, 40 a second, about 3 min 40 s left"),
        (10, 60.0, "features: 10 of 10,000 images, 10 a minute, about 16 h 39 min left"),
        (10000, 60.0, "features: 10,000 of 10,000 images"),
    ],
)
def test_a_step_says_how_fast_it_is_and_what_is_left(done: int, elapsed: float, expected: str) -> None:
    assert state("features", done, 10_000, "images", elapsed) == expected


class Shown(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def line(self, text: str) -> None:
        self.told.append(text)

    def begin(self, what: str, total: int, unit: str = "batches") -> None:
        self.told.append((what, total, unit))

    def step(self, count: int = 1) -> None:
        self.told.append(count)


def test_a_log_holds_what_is_shown_with_the_time(tmp_path: Path) -> None:
    shown, file = Shown(), tmp_path / "progress.log"
    with LoggedProgress(shown, file) as progress:
        progress.line("band-pass: C++")
        progress.begin("features", 3, "images")
        progress.step(2)
        progress.step(1)
    assert shown.told == ["band-pass: C++", ("features", 3, "images"), 2, 1]
    lines = file.read_text().splitlines()
    assert [line[20:] for line in lines] == ["band-pass: C++", "features: 3 images", "features: 3 of 3 images"]
    assert all(line[4] == line[7] == "-" and line[13] == line[16] == ":" for line in lines)


def test_a_folder_that_is_gone_does_not_end_the_work(tmp_path: Path) -> None:
    shown = Shown()
    LoggedProgress(shown, tmp_path / "gone" / "progress.log").line("done")
    assert shown.told == ["done"]
