"""The demo as a user runs it: the planted band is found, nothing is found where nothing is, and a used folder is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FASTRACE = [sys.executable, "-m", "fastrace.cli"]


@pytest.mark.slow
@pytest.mark.timeout(900)  # two archives and two audits; a test machine may be doing other things
def test_the_demo_finds_the_planted_band_and_nothing_in_the_control(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = subprocess.run([*FASTRACE, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the planted band was found, and nothing where nothing was planted" in done.stdout
    assert "a small network separates them" in done.stdout
    truth = json.loads((out / "leak" / "archive.truth.json").read_text())["band"]
    leak, control = (json.loads((out / name / "audit" / "audit.json").read_text()) for name in ("leak", "control"))
    low, high = leak["location"]["found"]
    shared = min(high, truth["high"]) - max(low, truth["low"])
    assert shared / (max(high, truth["high"]) - min(low, truth["low"])) >= 0.5
    assert not [one for one in leak["controls"] + control["controls"] if one["status"] == "failed"]
    assert leak["questions"][0]["mark"] == "strong"
    assert [cell["id"] for cell in control["cells"] if cell["finding"]] == []
    page = (out / "leak" / "audit" / "report.html").read_text()
    assert "strongest in" in page.lower()
    for archive in ("leak", "control"):
        assert not list((out / archive / "archive").rglob("*truth*"))
        assert not (out / archive / "audit" / "work").exists()
    again = subprocess.run([*FASTRACE, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "needs a new folder" in again.stderr
    assert "Traceback" not in again.stderr
