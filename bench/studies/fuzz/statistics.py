"""Counts of a run, small enough to be written every 20 seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_SLOWEST = 5


@dataclass
class Statistics:
    """What was tried and what became of it."""

    seed: int
    seeds: int
    seconds: float = 0.0
    files: int = 0
    decoded_files: int = 0
    decoded_frames: int = 0
    printed_files: int = 0
    peak_bytes: int = 0
    peak_file: dict[str, Any] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    mutators: Counter[str] = field(default_factory=Counter)
    slowest: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, outcome: dict[str, Any]) -> None:
        """Count one file."""
        self.files += 1
        self.decoded_frames += outcome["decoded"]
        self.decoded_files += outcome["decoded"] > 0
        self.printed_files += outcome["printed"] > 0
        self.reasons.update(set(outcome["reasons"]))
        self.mutators.update(set(outcome["mutators"]))
        place = {name: outcome[name] for name in ("number", "seed", "mutators")}
        if outcome["peak_bytes"] > self.peak_bytes:
            self.peak_bytes, self.peak_file = outcome["peak_bytes"], {**place, "reasons": outcome["reasons"]}
        self.slowest.append({"seconds": round(outcome["seconds"], 3), **place})
        self.slowest = sorted(self.slowest, key=lambda one: -one["seconds"])[:_SLOWEST]

    def as_json(self) -> dict[str, Any]:
        """Plain types, counters by size."""
        return {
            **vars(self),
            "seconds": round(self.seconds, 1),
            "reasons": dict(self.reasons.most_common()),
            "mutators": dict(self.mutators.most_common()),
        }
