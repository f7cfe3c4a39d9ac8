"""Q2. Where is the signal, in frequency and resolution, and when is it lost?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fastrace.audit.document import Cell, Location, Question
from fastrace.audit.locate import RULE, ScanStep, aliased_share, found_band, found_octave
from fastrace.audit.marks import NOT_RUN, NOT_SHOWN, few, strength
from fastrace.audit.questions.findings import Findings
from fastrace.audit.questions.wording import could_have_been_found, missing_patients
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.console.words import number
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
        sentence += _edges(by_scan[used], found) if used == SCANS[0] else ", found in whole octaves only"
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


def _edges(scan: Sequence[Cell], found: tuple[float, float]) -> str:
    """Which neighbours of the band may be read as well as its best part, by limits that hold for the whole scan at once."""
    limits = [one.band[0] for one in scan if one.band and one.x_low is not None and found[0] <= one.x_low < found[1]]
    beside = [
        f"{one.x_low:g}-{one.x_high:g}"
        for one in scan
        if (one.x_high == found[0] or one.x_low == found[1]) and one.band and limits and one.band[1] >= max(limits)
    ]
    return f", not told apart from the neighbouring {' and '.join(beside)}" if beside else ""


def answer(findings: Findings) -> Question:
    """The band, and the strongest filters after which the attribute is still read, each with its AUC.

    The mark is that of the largest lower limit of the simultaneous bands of its findings.
    """
    by = first = findings.headline.features
    if not any(cell.question == ID and cell.features == by for cell in findings.cells):
        by = BUILT_IN  # embeddings were shown no degraded image
    own = [cell for cell in findings.cells if cell.features == by and cell.mode == "train+test"]
    parts = [findings.location.sentence] if findings.location.scan else []
    named = []
    if low := _found(own, "C1a"):
        parts.append(f"still read after low-pass {_with_size(low[0])}")
        named.append(low[0])
    if high := _found(own, "C1b"):
        parts.append(f"after high-pass {_with_size(high[-1])}")
        named.append(high[-1])
    if side := _found(own, "C2a"):
        parts.append(f"at {_with_size(side[0], ' pixels')}")
        named.append(side[0])
    best = _best(own)
    if best is not None and best.band is not None and best not in named:
        band = "-".join(map(number, best.band))
        size = f"{number(best.estimate.value)} ({band}, simultaneous for all filters)"
        parts.append(f"most under {best.degradation} at AUC {size}")
    if by != BUILT_IN and parts:
        parts.append(f"by {by} (bands are scanned with the built-in features alone)")
    elif by != first and parts:
        parts.append(f"by {by} ({first} was shown no degraded image)")
    tried = [cell for cell in own if cell.question == ID and cell.family != "reference"]
    if not tried:
        if not _ran(findings):
            return Question(ID, TITLE, ASKS, NOT_RUN, ", ".join(parts) or "none of its experiments was run")
        return Question(ID, TITLE, ASKS, NOT_SHOWN, ", ".join(parts) or "not shown in the experiments that were run")
    if any(map(few, tried)):
        return Question(ID, TITLE, ASKS, NOT_ENOUGH, missing_patients(tried[0]))
    found = [cell for cell in tried if cell.finding]
    if not found:
        hardest = max(tried, key=lambda cell: cell.detectable or 1.0)
        parts.append(f"no {_kinds(tried)} images are a finding; any of them {could_have_been_found(hardest)}")
        return Question(ID, TITLE, ASKS, NOT_SHOWN, ", ".join(parts))
    limit = 0.5 if best is None or best.band is None else best.band[0]
    return Question(ID, TITLE, ASKS, strength(limit), ", ".join(parts))


def _best(cells: Sequence[Cell]) -> Cell | None:
    """The finding with the largest simultaneous lower limit, which is what the mark goes by."""
    found = [(cell.band[0], cell) for cell in cells if cell.finding and cell.band is not None and cell.question == ID]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _kinds(cells: Sequence[Cell]) -> str:
    """What was done to images: ``filtered, coarser or noisy``."""
    names = {"C1": "filtered", "C2a": "coarser", "C2b": "noisy"}
    there = [word for id, word in names.items() if any(cell.experiment.startswith(id) for cell in cells)]
    return " or ".join([", ".join(there[:-1]), there[-1]] if len(there) > 1 else there)


def _ran(findings: Findings) -> bool:
    return any(cell.question == ID for cell in findings.cells)


def _found(cells: Sequence[Cell], experiment: str) -> list[Cell]:
    """Findings of an experiment, in the order of its axis."""
    found = [cell for cell in cells if cell.experiment == experiment and cell.finding and cell.x is not None]
    return sorted(found, key=lambda cell: cell.x or 0.0)


def _with_size(cell: Cell, unit: str = "") -> str:
    return f"{cell.x:g}{unit} at AUC {cell.estimate}"


def _steps(scan: Sequence[Cell]) -> list[ScanStep]:
    return [
        ScanStep(cell.x_low, cell.x_high, np.nan if cell.d_prime is None else cell.d_prime, bool(cell.finding))
        for cell in scan
        if cell.x_low is not None and cell.x_high is not None
    ]
