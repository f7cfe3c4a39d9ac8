"""The seven questions of an audit: a file for each that is answered, and one line for each that is not yet.

A file of a question has ``ID``, ``TITLE``, ``ASKS`` and ``answer(findings)``. To add one: write the file, and put it in
`QUESTIONS` in place of its line.
"""

from __future__ import annotations

from types import ModuleType

import msgspec

from fastrace.audit.document import Question
from fastrace.audit.marks import NO_CONCLUSION, NOT_RUN
from fastrace.audit.questions import readable, where
from fastrace.audit.questions.findings import Findings

_NO_MODEL = "needs a model under audit, which is not built yet"
QUESTIONS: tuple[ModuleType | Question, ...] = (
    readable,
    where,
    Question(
        "Q3",
        "Covariates?",
        "How much of it do known covariates reach alone: body size, density, age, sex, disease, acquisition?",
        NOT_RUN,
        "covariates are not compared with images yet; what they reach alone is among the controls",
    ),
    Question(
        "Q4",
        "Remains?",
        "Does it remain inside strata of these, and after matching on them?",
        NOT_RUN,
        "matching and strata are not built yet",
    ),
    Question("Q5", "Encoded?", "Is it encoded in the clinical model under audit?", NOT_RUN, _NO_MODEL),
    Question("Q6", "Used?", "Does that model use it?", NOT_RUN, _NO_MODEL),
    Question(
        "Q7",
        "Harmed?",
        "Who is harmed: which groups are under-diagnosed, and how certain is that?",
        NOT_RUN,
        _NO_MODEL,
    ),
)


def answers(findings: Findings, *, void: bool) -> tuple[Question, ...]:
    """All questions with their answers, in order; ``void``: a control failed, so nothing is concluded."""
    found = tuple(one if isinstance(one, Question) else one.answer(findings) for one in QUESTIONS)
    return tuple(_void(one) if void and one.mark != NOT_RUN else one for one in found)


def _void(question: Question) -> Question:
    sentence = f"no conclusion, since a control failed (measured: {question.sentence})"
    return msgspec.structs.replace(question, mark=NO_CONCLUSION, sentence=sentence)
