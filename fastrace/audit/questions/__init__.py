"""The seven questions of an audit: a file for each that is answered, and one line for each that is not yet.

The file of a question has a function from `Findings` to its `Question`. To add one: write the file, and put the function in
`QUESTIONS` in place of its line.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fastrace.audit.document import Question, QuestionId
from fastrace.audit.marks import NO_CONCLUSION, NOT_RUN
from fastrace.audit.questions import readable, where
from fastrace.audit.questions.findings import Findings

Answer = Callable[[Findings], Question]


def _later(id: QuestionId, title: str, asks: str, why: str) -> Answer:
    """A question that is not built yet."""
    return lambda findings: Question(id, title, asks, NOT_RUN, why)


_NO_MODEL = "needs a model under audit, which is not built yet"
QUESTIONS: tuple[Answer, ...] = (
    readable.answer,
    where.answer,
    _later(
        "Q3",
        "Covariates?",
        "How much of it do known covariates reach alone: body size, density, age, sex, disease, acquisition?",
        "covariates are not compared with images yet; what they reach alone is among the controls",
    ),
    _later(
        "Q4",
        "Remains?",
        "Does it remain inside strata of these, and after matching on them?",
        "matching and strata are not built yet",
    ),
    _later("Q5", "Encoded?", "Is it encoded in the clinical model under audit?", _NO_MODEL),
    _later("Q6", "Used?", "Does that model use it?", _NO_MODEL),
    _later("Q7", "Harmed?", "Who is harmed: which groups are under-diagnosed, and how certain is that?", _NO_MODEL),
)


def answers(findings: Findings, *, void: bool) -> tuple[Question, ...]:
    """All questions with their answers, in order; ``void``: a control failed, so nothing is concluded."""
    found = tuple(answer(findings) for answer in QUESTIONS)
    return tuple(_void(one) if void and one.mark != NOT_RUN else one for one in found)


def _void(question: Question) -> Question:
    sentence = f"no conclusion, since a control failed (measured: {question.sentence})"
    return msgspec.structs.replace(question, mark=NO_CONCLUSION, sentence=sentence)
