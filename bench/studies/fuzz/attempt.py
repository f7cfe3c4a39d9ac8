"""One input: made from a seed and a number alone, so that it can be made again; and what the reader does with it."""

from __future__ import annotations

import copy
import hashlib
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastrace.bench.studies.fuzz import containers, elements
from fastrace.bench.studies.fuzz.random_bytes import CANARY, cut, flip
from fastrace.dataset import ACQUISITION_TEXTS
from fastrace.preprocess.facts import IDENTIFIERS
from fastrace.preprocess.task import Settings, Task
from fastrace.preprocess.worker import work

SECONDS_EACH = 10.0
_MOST_SPARSE = 8 << 30  # bytes that a file claims to have, and that no disk holds


@dataclass
class Outcome:
    """What became of one input."""

    number: int
    seed: str
    mutators: list[str]
    reasons: list[str] = field(default_factory=list)
    decoded: int = 0
    digest: str = ""
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


class Attempts:
    """Makes inputs of one random seed and reads them; keeps the parsed files."""

    def __init__(self, seed: int, files: dict[str, bytes]) -> None:
        self.seed, self.files, self.names = seed, files, sorted(files)
        self.parsed = {name: elements.parse(content) for name, content in files.items()}

    def make(self, number: int, path: Path) -> Outcome:
        """Write input `number` to `path`."""
        rng = np.random.default_rng((self.seed, number))
        name = self.names[rng.integers(len(self.names))]
        outcome = Outcome(number, name, [])
        content, parsed = self.files[name], self.parsed[name]
        if parsed is not None:
            content = self._dicom(rng, copy.deepcopy(parsed), outcome)
        elif rng.integers(8):
            content, kind = containers.mutate(rng, content)
            outcome.mutators.append(kind)
        if rng.integers(8) == 0 or not outcome.mutators:
            other = self.files[self.names[rng.integers(len(self.names))]]
            damaged = {
                "flip": flip(rng, content, int(rng.choice((600, 4000, 1 << 30)))),
                "cut": cut(rng, content),
                "splice": content[: rng.integers(len(content) + 1)] + other[rng.integers(len(other)) :],
            }
            chosen = list(damaged)[rng.integers(len(damaged))]
            content = damaged[chosen]
            outcome.mutators.append(chosen)
        path.write_bytes(content)
        if rng.integers(64) == 0:
            outcome.mutators.append("sparse")
            os.truncate(path, len(content) + int(rng.integers(_MOST_SPARSE)))
        return outcome

    def _dicom(self, rng: np.random.Generator, file: elements.File, outcome: Outcome) -> bytes:
        for _ in range(rng.integers(1, 4)):
            mutate = elements.MUTATORS[rng.integers(len(elements.MUTATORS))]
            outcome.mutators.append(mutate.__name__)
            mutate(rng, file)
        pixels = next((node for node in file.nodes if node.fragments and len(node.fragments) > 1), None)
        if pixels is not None and pixels.fragments and rng.integers(2):
            place = int(rng.integers(1, len(pixels.fragments)))
            pixels.fragments[place], kind = containers.mutate(rng, pixels.fragments[place])
            outcome.mutators.append(f"inside {kind}")
        return elements.write(file)


def read(path: Path, outcome: Outcome, settings: Settings) -> None:
    """Read a file as a worker of `fastrace preprocess` does, first and second frames, and note what must not happen."""
    started = time.process_time()  # of this process: others may share the machine
    results = work(settings, Task(0, str(path), path.stat().st_size))
    outcome.seconds = time.process_time() - started
    if outcome.seconds > SECONDS_EACH:
        outcome.failures.append(f"more than {SECONDS_EACH:g} s of processor time")
    digest = hashlib.blake2b(digest_size=8)
    for result in results:
        digest.update(repr((result.reason, result.message, result.frames)).encode())
        if result.reason is not None:
            outcome.reasons.append(result.reason)
            if result.reason == "decoder_crashed":
                outcome.failures.append(f"unforeseen: {result.message}")
        else:
            outcome.decoded += 1
            assert result.pixels is not None
            digest.update(np.ascontiguousarray(result.pixels).tobytes())
        if CANARY.casefold() in _open_text(result).casefold():
            outcome.failures.append(f"a planted name is shown: {_open_text(result)[:400]}")
    outcome.digest = digest.hexdigest()


# What stays on the custodian's machine, and texts of devices, which pass a vocabulary of the whole archive later.
# Identifiers, which the parent replaces by keyed hashes, and texts that it keeps only where several patients have them: one
# file alone never does (`fastrace.preprocess.vocabulary`; docs/identity.md searches what is written).
_PRIVATE = frozenset(
    (*IDENTIFIERS, *ACQUISITION_TEXTS, "manufacturer", "model", "body_part", "withheld", "pixel_digest")
)


def _open_text(result: Any) -> str:
    """All that leaves the private folder: message, notes, facts."""
    facts = {name: value for name, value in (result.facts or {}).items() if name not in _PRIVATE}
    return repr((result.message, result.notes, facts))
