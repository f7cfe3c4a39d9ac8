"""CSV tables: every number of the report, for spreadsheets and scripts.

A cell of text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, "CSV injection"). Undefined
numbers are empty, suppressed ones hold "suppressed".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from fastrace.audit.document import Audit, Cell, Estimate, Flow, LeftOut
from fastrace.console.tables import harmless
from fastrace.console.words import FEW, HIDDEN, MIN_CELL
from fastrace.modality import Published

Value = str | float | int | bool | None
_ESTIMATE = ("value", "low", "high", "level", "n_patients", "n_positive", "n_images", "unit", "method", "status")


def safe(value: Value) -> Value:
    """Text that is only text in any spreadsheet; numbers as they are."""
    return harmless(value) if isinstance(value, str) else value


def document(heads: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """One table, RFC 4180."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heads)
    writer.writerows([["" if cell is None else safe(cell) for cell in row] for row in rows])
    return out.getvalue()


def csv_files(audit: Audit) -> dict[str, str]:
    """File name -> content."""
    return {
        "questions.csv": document(
            ("question", "title", "mark", "sentence", *_ESTIMATE),
            ([q.id, q.title, q.mark, q.sentence, *_estimate(q.estimate)] for q in audit.questions),
        ),
        "cells.csv": document(_CELL, (row for cell in _cells(audit) for row in _comparisons(cell))),
        "controls.csv": document(
            ("control", "title", "outcome", "sentence", "estimate", *_ESTIMATE),
            (
                [
                    c.id,
                    c.title,
                    c.status,
                    c.sentence,
                    one.name if one else None,
                    *_estimate(one.estimate if one else None),
                ]
                for c in audit.controls
                for one in (c.estimates or (None,))
            ),
        ),
        "groups.csv": document(
            ("group", "patients", "images"),
            (
                [g.name, _count(g.patients, g.suppressed, patients=True), _count(g.images, g.suppressed)]
                for g in audit.classes
            ),
        ),
        "exclusions.csv": document(("step", "left_out_because", "images", "patients"), _flow(audit)),
        "features.csv": document(
            ("features", "dimensions", "learned_from_labels", "evaluation", "sees", "blind_to"),
            ([f.name, f.dimensions, f.learned_from_labels, f.evaluation, f.sees, f.blind_to] for f in audit.features),
        ),
    }


_CELL = (
    "id", "question", "experiment", "title", "features", "degradation", "described", "mode", "comparison",
    *_ESTIMATE, "band_low", "band_high", "p", "p_adjusted", "family", "finding", "d_prime",
    "x", "low_cycles_per_image", "high_cycles_per_image", "low_lp_per_mm", "high_lp_per_mm",
    "paper", "paper_text", "paper_source", "released_code", "released_code_text", "released_code_source",
)  # fmt: skip


def _cells(audit: Audit) -> list[tuple[Cell, float | None]]:
    return [(cell, audit.lp_per_mm) for cell in audit.cells]


def _comparisons(cell_and_scale: tuple[Cell, float | None]) -> Iterable[list[Value]]:
    cell, scale = cell_and_scale
    head = [
        cell.id, cell.question, cell.experiment, cell.title, cell.features, cell.degradation, cell.described, cell.mode,
    ]  # fmt: skip
    low, high = cell.band or (None, None)
    edges = [cell.x_low, cell.x_high]
    tail: list[Value] = [low, high, cell.p, cell.p_adjusted, cell.family, cell.finding, cell.d_prime, cell.x, *edges]
    tail += [None if edge is None or scale is None else round(edge * scale, 6) for edge in edges]
    tail += [*_reference(cell.paper), *_reference(cell.released_code)]
    yield [*head, "macro mean of one against the rest", *_estimate(cell.estimate), *tail]
    for one in cell.classes:
        yield [*head, f"{one.name} against the rest", *_estimate(one.estimate)] + [None] * len(tail)
    for one in cell.pairs:
        yield [*head, one.name, *_estimate(one.estimate)] + [None] * len(tail)


def _estimate(one: Estimate | None) -> list[Value]:
    if one is None:
        return [None] * len(_ESTIMATE)
    if one.suppressed:
        return [HIDDEN] + [None] * (len(_ESTIMATE) - 1)
    return [
        one.value, one.low, one.high, one.level, _count(one.n_patients, False, patients=True),
        _count(one.n_positive, False, patients=True), one.n_images, one.unit, one.method, one.status,
    ]  # fmt: skip


def _reference(one: Published | None) -> list[Value]:
    return [None] * 3 if one is None else [one.value, one.text, one.source]


def _count(n: int | None, suppressed: bool, *, patients: bool = False) -> Value:
    if suppressed and n is None:
        return HIDDEN
    return FEW if patients and n is not None and 0 < n < MIN_CELL else n


def _flow(audit: Audit) -> Iterable[list[Value]]:
    def counts(one: Flow | LeftOut) -> list[Value]:
        return [_count(one.images, one.suppressed), _count(one.patients, one.suppressed, patients=True)]

    for step in audit.flow:
        yield [step.label, None, *counts(step)]
        for one in step.left_out:
            yield [step.label, one.reason, *counts(one)]
