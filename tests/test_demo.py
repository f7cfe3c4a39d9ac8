"""The demo as a user runs it: it must find what was planted, lose it without the band, and refuse a used folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FASTRACE = [sys.executable, "-m", "fastrace.cli"]


@pytest.mark.slow
def test_the_demo_finds_the_planted_band_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = subprocess.run([*FASTRACE, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "that is where it lives" in done.stdout
    found = {
        file.stem.split("-", 1)[1]: json.loads(file.read_text())["patient"]["macro"]
        for file in (out / "run" / "evaluations").glob("*.json")
    }
    clean = next(one for name, one in found.items() if "notch" not in name)
    without = next(one for name, one in found.items() if "notch" in name)
    # The ideal observer reads 1; seeds 0 to 3 gave .93 to 1, at 12 to 20 epochs.
    # Without the band the lower limit must reach chance.
    assert clean["low"] > 0.7
    assert clean["n_positive"] >= 30
    assert without["low"] <= 0.5
    assert (out / "data.private" / "contact_sheet.png").stat().st_size > 10_000
    assert not list((out / "archive").rglob("*truth*"))
    again = subprocess.run([*FASTRACE, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "needs a new folder" in again.stderr
    assert "Traceback" not in again.stderr
