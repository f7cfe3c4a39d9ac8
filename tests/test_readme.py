"""The README does not rot: its file tree is the real one, its commands exist, its claims about files hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fastrace.bench.table import README_END, README_OPERATIONS, README_START, markdown
from fastrace.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def tree() -> list[str]:
    """Paths of the captioned file tree."""
    block = README.split("<!-- tree -->")[1].split("```")[1]
    return [line.split()[0] for line in block.splitlines() if line.strip() and line.split()[0] != "text"]


def test_every_path_of_the_tree_exists() -> None:
    assert [path for path in tree() if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", ["fastrace", "kernels", "cli", "bench"])
def test_every_module_has_a_caption(folder: str) -> None:
    shown = set(tree())
    modules = {f"{folder}/{file.name}" for file in (ROOT / folder).glob("*.py")}
    packages = {f"{folder}/{file.parent.name}/" for file in (ROOT / folder).glob("*/__init__.py")} - {
        "fastrace/kernels/",
        "fastrace/cli/",
        "fastrace/bench/",
    }
    left_out = {f"{folder}/__init__.py", f"{folder}/__main__.py"}
    assert sorted((modules | packages) - shown - left_out) == []


def test_every_command_named_exists() -> None:
    named = set(re.findall(r"(?:^|[`/ ])fastrace ([a-z]+)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.S))))
    assert named
    assert named <= set(COMMANDS)


def test_the_ci_script_runs_the_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]'" in script
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest" in README


def test_the_performance_table_is_the_one_of_the_committed_result() -> None:
    result = json.loads((ROOT / "bench" / "results" / "cpu.json").read_text())
    shown = README.split(README_START)[1].split(README_END)[0]
    assert shown.strip() == markdown(result, README_OPERATIONS).strip()
