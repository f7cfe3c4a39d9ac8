"""Q2. Where is the signal, in frequency and resolution, and when is it lost?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fastrace.audit.document import Cell, Location, Question
from fastrace.audit.locate import RULE, ScanStep, aliased_share, found_band, found_octave
from fastrace.audit.marks import NOT_RUN, NOT_SHOWN, few
from fastrace.audit.questions.findings import Findings
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.statistics import NOT_ENOUGH

ID: Final = "Q2"
TITLE = "Where?"
ASKS = "Where is the signal (frequency, resolution), and when is it lost?"
SCANS = ("C1s", "C1o")


def locate(cells: Sequence[Cell], size: tuple[int, int], mm_per_pixel: float | None) -> Location:
    """The band in which the attribute is read best, by the rule of `fastrace.audit.locate`."""
    by_scan = {id: [cell for cell in cells if cell.experiment == id] for id in SCANS}
    found, used = found_band(_steps(by_scan[SCANS[0]])), SCANS[0]
    if found is None and (wider := found_octave(_steps(by_scan[SCANS[1]]))) is not None:
        found, used = wider, SCANS[1]
    per_mm = None if found is None or not mm_per_pixel else tuple(edge / (max(size) * mm_per_pixel) for edge in found)
    if found:
        sentence = f"strongest in {found[0]:g}-{found[1]:g} cycles/image"
        sentence += f" ({per_mm[0]:.2g}-{per_mm[1]:.2g} lp/mm)" if per_mm else ""
        sentence += "" if used == SCANS[0] else ", found in whole octaves only"
    else:
        sentence = "no third octave and no octave is a finding by itself" if by_scan[used] else NOT_RUN
    return Location(
        RULE,
        found,
        None if per_mm is None else (per_mm[0], per_mm[1]),
        sentence,
        tuple(cell.id for cell in by_scan[used]),
        aliased_share(found, size) if found else None,
    )


def answer(findings: Findings) -> Question:
    """The band, and the strongest filters after which the attribute is still read."""
    by = first = findings.headline.features
    if not any(cell.question == ID and cell.features == by for cell in findings.cells):
        by = BUILT_IN  # embeddings were shown no degraded image
    own = [cell for cell in findings.cells if cell.features == by and cell.mode == "train+test"]
    parts = [findings.location.sentence] if findings.location.scan else []
    if low := _amounts(own, "C1a"):
        parts.append(f"still read after low-pass {min(low):g}")
    if high := _amounts(own, "C1b"):
        parts.append(f"after high-pass {max(high):g}")
    if side := _amounts(own, "C2a"):
        parts.append(f"at {min(side):g} pixels")
    if by != BUILT_IN and parts:
        parts.append(f"by {by} (bands are scanned with the built-in features alone)")
    elif by != first and parts:
        parts.append(f"by {by} ({first} was shown no degraded image)")
    ran = any(cell.question == ID for cell in findings.cells)
    finding = any(cell.finding for cell in own if cell.question == ID)
    empty = "not shown in the experiments that were run" if ran else NOT_RUN
    word = NOT_RUN if not ran else NOT_ENOUGH if any(map(few, own)) else "clear" if finding else NOT_SHOWN
    return Question(ID, TITLE, ASKS, word, ", ".join(parts) or empty)


def _amounts(cells: Sequence[Cell], experiment: str) -> list[float]:
    """Places on its axis where an experiment is a finding."""
    return [cell.x for cell in cells if cell.experiment == experiment and cell.finding and cell.x is not None]


def _steps(scan: Sequence[Cell]) -> list[ScanStep]:
    return [
        ScanStep(cell.x_low, cell.x_high, np.nan if cell.d_prime is None else cell.d_prime, bool(cell.finding))
        for cell in scan
        if cell.x_low is not None and cell.x_high is not None
    ]
