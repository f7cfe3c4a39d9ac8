"""Q1. Is the attribute readable from the images at all?"""

from __future__ import annotations

from typing import Final

from fastrace.audit.document import Question
from fastrace.audit.marks import mark
from fastrace.audit.questions.findings import Findings

ID: Final = "Q1"
TITLE = "Readable?"
ASKS = "Is the attribute readable from the images at all?"


def answer(findings: Findings) -> Question:
    """The AUC on unchanged images, of the feature set that answers first; then those of the others."""
    first = findings.headline
    others = [cell for cell in findings.cells if cell.family == "primary" and cell is not first]
    sentence = f"patient-level AUC {first.estimate} by {first.features}"
    if others:
        sentence += "; " + "; ".join(f"{one.features} {one.estimate}, {mark(one)}" for one in others)
    return Question(ID, TITLE, ASKS, mark(first), sentence, first.estimate)
