"""docs/architecture.md does not rot: its layers are those that are enforced, what it names exists, its ways stay short."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:md|toml))(?::([\w.]+))?`", PAGE)))


@lru_cache
def definitions(file: Path) -> frozenset[str]:
    """``function``, ``Class``, ``Class.method`` and ``CONSTANT`` of a module."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def enforced(container: str) -> list[list[str]]:
    """The layers of a contract of pyproject.toml, from the top; read as text, since Python 3.10 reads no TOML."""
    contracts = (ROOT / "pyproject.toml").read_text().split("[[tool.importlinter.contracts]]")
    own = next(one for one in contracts if f'containers = ["{container}"]' in one)
    rows = own.partition("layers = [")[2].partition("]")[0].strip().splitlines()
    return [sorted(row.strip().strip('",').split(" | ")) for row in rows]


@pytest.mark.parametrize("container", ["fastrace", "fastrace.audit"])
def test_the_drawing_shows_the_layers_that_are_enforced(container: str) -> None:
    block = PAGE.split(f"<!-- layers {container} -->")[1].split("```")[1].removeprefix("text\n")
    drawn = [sorted(line.split("  ")[0].split(" | ")) for line in block.splitlines()]
    assert drawn == enforced(container)
    assert all(len(line.split("  ")) > 1 for line in block.splitlines()), "every layer has a caption"


def test_every_file_and_function_named_exists() -> None:
    assert len(NAMED) > 60
    there = [(file, name) for file, name in NAMED if "NAME" not in file]
    assert [file for file, _ in there if not (ROOT / file).exists()] == []
    assert [f"{file}:{name}" for file, name in there if name and name not in definitions(ROOT / file)] == []
    assert [file for file, _ in NAMED if not (ROOT / file).parent.is_dir()] == []


@pytest.mark.parametrize(("way", "most"), [("file", 9), ("degradation", 5), ("question", 6)])
def test_a_way_is_short_and_begins_every_station_with_its_function(way: str, most: int) -> None:
    stations = re.findall(r"^\d+\. (.*)$", PAGE.split(f"<!-- way {way} -->")[1].split("\n\n")[0], re.M)
    assert 1 <= len(stations) <= most
    assert all(re.match(r"`[\w./]+\.py:[\w.]+`", station) for station in stations)


def test_the_rooms_of_an_audit_are_listed_where_one_adds_to_them() -> None:
    table = PAGE.split("## Where to add what")[1]
    kinds = {
        line.split("|")[1].strip().split(" ", 1)[1] for line in table.splitlines() if line.startswith(("| a ", "| an "))
    }
    assert kinds >= {
        "kernel", "modality", "codec", "reason of rejection", "degradation", "experiment", "reader", "engine", "question",
        "control", "place to run", "kind of leak", "figure",
    }  # fmt: skip
