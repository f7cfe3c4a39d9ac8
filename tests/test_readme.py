"""The README does not rot: its file tree is the real one, its commands exist, its claims about files hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fastrace.bench import run
from fastrace.bench.roofline import roofline
from fastrace.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TOPS = ("fastrace", "kernels", "cli", "bench")


def tree() -> list[str]:
    """Paths of the captioned file tree."""
    block = README.split("<!-- tree -->")[1].split("```")[1]
    return [line.split()[0] for line in block.splitlines() if line.strip() and line.split()[0] != "text"]


def test_every_path_of_the_tree_exists() -> None:
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_every_folder_has_a_caption() -> None:
    here = {str(file.parent.relative_to(ROOT)) + "/" for top in TOPS for file in (ROOT / top).rglob("*.*")}
    assert sorted(name for name in here - set(tree()) if "__pycache__" not in name) == []
    captions = README.split("<!-- tree -->")[1].split("```")[1].splitlines()[1:]
    assert all(re.fullmatch(r"[\w/.]+ {2,}\S.*", line) for line in captions)


def test_every_file_named_exists() -> None:
    named = set(re.findall(rf"`((?:{'|'.join(TOPS)}|docs|tests)/[\w./-]+|[A-Z]+\.md)`", README))
    named |= {link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link}
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_command_named_exists() -> None:
    named = set(re.findall(r"(?:^|[`/ ])fastrace ([a-z]+)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.S))))
    assert named
    assert named <= set(COMMANDS)


def test_the_ci_script_runs_the_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]'" in script
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest" in README


def test_what_is_made_from_the_committed_result_is_not_stale() -> None:
    """README's tables, the page and the figure: `fastrace bench --write` renews them all."""
    committed = ROOT / "bench" / "results" / "cpu.json"
    result = json.loads(committed.read_text())
    shown = dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", README, re.S))
    blocks = {name: block for name, block in run.blocks(result).items() if name in shown}
    assert "bench" in blocks
    assert {name: shown[name] for name in blocks} == blocks
    if result.get("schema") != run.SCHEMA:
        pytest.skip("the committed result is older than the page and the figure; run `fastrace bench --write`")
    assert committed.with_suffix(".md").read_text() == run.page(result)
    assert committed.with_suffix(".svg").read_text() == roofline(result)
