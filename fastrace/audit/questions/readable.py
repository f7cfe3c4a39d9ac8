"""Q1. Is the attribute readable from the images at all?"""

from __future__ import annotations

from typing import Final

from fastrace.audit.document import Cell, Question
from fastrace.audit.marks import COVERAGE, GAVE_NOTHING, LEARNED_NOTHING, few, mark
from fastrace.audit.questions.findings import Findings
from fastrace.audit.questions.wording import could_have_been_found, missing_patients, of_a_hundred
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.console.words import plural

ID: Final = "Q1"
TITLE = "Readable?"
ASKS = "Is the attribute readable from the images at all?"


def answer(findings: Findings) -> Question:
    """The size on unchanged images in words, the AUC of the feature set that answers first, then those of the others."""
    first = findings.headline
    others = [cell for cell in findings.cells if cell.family == "primary" and cell is not first]
    sentence = f"{of_a_hundred(first)}: patient-level AUC {first.estimate} by {first.features}{_unless_found(first)}"
    if first.finding and first.features != BUILT_IN:
        sentence += (
            f" (named because it is a finding and {BUILT_IN} is not; AUCs that are chosen so are too high on average)"
        )
    if others:
        sentence += "; " + "; ".join(
            f"{one.features} {one.estimate}{_of(one, first)}, {mark(one)}{_unless_found(one)}" for one in others
        )
    return Question(ID, TITLE, ASKS, mark(first), sentence, first.estimate)


def _of(cell: Cell, first: Cell) -> str:
    """How many patients it scored, where they are not those of the first."""
    n = cell.estimate.n_patients
    return "" if n is None or n == first.estimate.n_patients else f" of {plural(n, 'patient')}"


def _unless_found(cell: Cell) -> str:
    if few(cell):
        return f" ({missing_patients(cell)})"
    if mark(cell) == GAVE_NOTHING:
        return " (every patient has the same score: its numbers do not vary)"
    if mark(cell) == COVERAGE:
        return " (which images or patients have a vector goes with the group, so that what is read may be that)"
    return "" if cell.finding or mark(cell) == LEARNED_NOTHING else f" ({could_have_been_found(cell)})"
