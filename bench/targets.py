"""What fastrace must reach on two CPU cores, and in how many runs it did: the CPU rows that the design states as numbers.

One row is not here: the grid of cut-offs by probes against training on each takes hours (`bench/studies/retrain.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fastrace.bench.row import COLD, Row

SAME = 0.97  # "no slower": two timings of one function differ by this much


@dataclass(frozen=True)
class Target:
    """One number to reach.

    Attributes
    ----------
    operation : str
        As in the table.
    peer : str
        Beginning of the names of those it is against; where there are several, the fastest counts.
    ratio : float
        Their time / ours must be at least this.
    """

    operation: str
    peer: str
    ratio: float


BATCH, SINGLE = "bandpass {} float32, batch {}, 1 core", "bandpass {} float32, one image, 1 core"
SMALL = (BATCH.format("0:25 224x224", 32), BATCH.format("10:150 224x224", 32), SINGLE.format("0:25 224x224"))
LARGE = (
    BATCH.format("0:50 512x512", 8),
    BATCH.format("100:inf 512x512", 8),
    BATCH.format("0:100 1024x1024", 4),
    BATCH.format("200:inf 1024x1024", 4),
)
GATHER = "gather random 1024x512 uint8, batch 32, {}"
INTERVAL = "patient-cluster interval, 20,000 rows, B = 2000"

TARGETS = (
    Target("VOI linear, 2 threads", "pydicom modality + VOI", 60),
    Target("VOI linear, 2 threads", "OpenCV LUT", 2),
    Target("VOI linear + area 1024x512, 2 threads", "OpenCV INTER_AREA, no window", 3.5),
    Target("VOI linear + area 224x224, 2 threads", "OpenCV INTER_AREA, no window", 12),
    Target("decode codec JPEGLosslessSV1 3328x2560", "imagecodecs.", SAME),
    Target("JPEG Lossless 3328x2560 -> 1024x512, 2 processes", "pydicom + gdcm", 4),
    Target("JPEG Lossless 3328x2560 -> 1024x512, 2 processes", "dicomsdl", 1.5),
    *(
        Target("JPEG 2000 3328x2560 -> 1024x512, 2 processes", peer, SAME)
        for peer in ("pydicom + gdcm", "dicomsdl", "SimpleITK")
    ),
    Target("uncompressed 3328x2560 -> 1024x512, 2 processes", "dicomsdl", SAME),
    Target("decode file uncompressed 3328x2560", "dicomsdl", SAME),  # not met: docs/decisions.md, 2026-11-30
    *(Target(operation, "released code", 6) for operation in SMALL),
    *(Target(operation, "scipy", 1) for operation in (*SMALL, *LARGE)),
    Target("one image, 20 cut-offs, 224x224 float32, 1 core", "scipy", 2),
    Target("patches 6x6, 256 filters, 50x50 float32, batch 64, 1 core", "torch conv2d chain", 8),
    Target("patches 6x6, 256 filters, 50x50 float32, batch 64, 1 core", "torch unfold", 1),
    # Training writes into the same batches again and again (hot), or lets a model run in between (cold): both are targets.
    *(Target(GATHER.format("1 thread") + caches, "numpy memmap loop", 1) for caches in ("", COLD)),
    *(Target(GATHER.format("2 threads") + caches, "fastrace, 1 thread", 1.1) for caches in ("", COLD)),
    Target("training: feeding 1024x512 uint8, batch 32, 1 thread", "fastrace gather alone", 0.9),
    Target("training: feeding 1024x512 uint8, batch 32, 2 threads", "fastrace gather alone", 0.9),
    Target(f"{INTERVAL}, 1 core", "sklearn loop", 20),
    Target(f"{INTERVAL}, 2 threads", "sklearn loop", 20),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a target: ratio of each run that measured it; the row of the peer that counts, None if there is none."""

    target: Target
    ratios: tuple[float, ...]
    row: Row | None

    @property
    def met(self) -> int:
        """Number of runs that met it."""
        return sum(ratio >= self.target.ratio for ratio in self.ratios)

    def words(self) -> str:
        """``met in 5 of 5``, or why it is not known."""
        if not self.ratios:
            absent = self.row is not None and self.row["version"] == "not installed"
            return (self.row or {}).get("problem") or ("not installed" if absent else "not measured")
        return f"met in {self.met} of {len(self.ratios)}"

    @property
    def reached(self) -> bool:
        """Whether it was met in four of five runs."""
        return bool(self.ratios) and self.met * 5 >= len(self.ratios) * 4


def outcomes(document: dict[str, Any]) -> list[Outcome]:
    """One for each target whose operation was timed, in the order of `TARGETS`."""
    measured = {row["operation"] for row in document["rows"] if row["ms"] is not None}
    return [_outcome(target, document["rows"]) for target in TARGETS if target.operation in measured]


def _outcome(target: Target, rows: list[Row]) -> Outcome:
    peers = [row for row in rows if row["operation"] == target.operation and row["peer"].startswith(target.peer)]
    timed = [row for row in peers if row["ms"] is not None and not row["problem"]]
    if not timed:
        return Outcome(target, (), peers[0] if peers else None)
    several = [row.get("ratios") or [row["ratio"]] for row in timed]
    fastest = tuple(min(run) for one in zip(*several, strict=True) if (run := [r for r in one if r is not None]))
    return Outcome(target, fastest, min(timed, key=lambda row: float(row["ratio"])))


def targets_markdown(document: dict[str, Any], shown: Collection[tuple[str, str]] = ()) -> str:
    """A table of all targets, or of those for the operations and peers shown; not met in four of five runs: in bold."""
    lines = ["| work | against | target | measured | p20-p80 | |", "|---|---|---|---|---|---|"]
    for outcome in outcomes(document):
        target, row = outcome.target, outcome.row
        if shown and (target.operation, target.peer) not in shown:
            continue
        goal = "no slower" if target.ratio == SAME else f">= {target.ratio:g}x"
        name = f"{row['peer']} {row['version']}" if row else target.peer
        measured, spread = "", ""
        if row and row["ms"] is not None:
            low, high = row["spread"]
            measured, spread = f"{row['ratio']:.2f}x", f"{low:.2f}-{high:.2f}"
        words = outcome.words() if outcome.reached else f"**{outcome.words()}**"
        lines.append(f"| {target.operation} | {name} | {goal} | {measured} | {spread} | {words} |")
    return "\n".join(lines) + "\n"
