"""Audits of small planted datasets: quick, interrupted, and finished ones to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastrace.audit.request import AuditRequest
from fastrace.audit.run import audit
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset

HOSTILE = "<script>alert('x')</script>\"&\u202e=cmd|'/c calc'!A1; \u0627\u0644 y"


def request(data: Path, out: Path, **changes: Any) -> AuditRequest:
    """A quick audit: built-in features alone, 99 permutations."""
    found = AuditRequest(data=data, out=out, modality="any", target="group", readers=(), permutations=99)
    return replace(found, **changes)


class Stop(Progress):
    """Keeps lines and stages; stops like Ctrl-C at a step of a stage if one is named."""

    def __init__(self, stage: str = "", step: int = 0) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []
        self.at, self.left, self.stage = stage, step, ""

    def line(self, text: str) -> None:
        self.lines.append(text)

    def begin(self, what: str, total: int, unit: str = "") -> None:
        self.stages.append(what)
        self.stage = what

    def step(self, count: int = 1) -> None:
        if self.at and self.stage == self.at:
            self.left -= 1
            if self.left <= 0:
                raise KeyboardInterrupt


@contextmanager
def fewer_permutations(count: int = 4999) -> Iterator[None]:
    """The planted control takes 9,999 permutations, half of the time of a small audit. 4,999 are the fewest for 15 rings."""
    from fastrace.audit.controls import planted

    before = planted.PERMUTATIONS
    planted.PERMUTATIONS = count
    try:
        yield
    finally:
        planted.PERMUTATIONS = before


def lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    """What must not depend on when and in how many attempts an audit ran."""
    return {key: value for key, value in document.items() if key not in ("seconds", "environment", "created", "digest")}


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from walk(inner, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from walk(inner, f"{path}/{number}")
    else:
        yield path, value


def audited(wanted: AuditRequest, **options: Any) -> dict[str, Any]:
    """Run an audit and read what it wrote."""
    return dict(json.loads(audit(wanted, **options).to_json()))


@dataclass(frozen=True)
class Finished:
    """An audit that is done; do not write into it."""

    dataset: Dataset
    out: Path
    document: dict[str, Any]


def finish(folder: Path, dataset: Dataset, **changes: Any) -> Finished:
    with fewer_permutations():
        audit(request(dataset.path, folder / "audit", **changes))
    return Finished(dataset, folder / "audit", json.loads((folder / "audit" / "audit.json").read_text()))
