"""Tables of the page: their columns, each number with its interval, and with its n in the table and on hover."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastrace.audit.document import Audit, Cell, Estimate, Flow, LeftOut
from fastrace.console.words import clip, count, limits, lp, lp_span, number, p_value, typeset
from fastrace.modality import Published
from fastrace.report.bands import edges
from fastrace.report.estimates import SMALLEST, facts, interval
from fastrace.report.figures import comparison_rows


@dataclass(frozen=True)
class Field:
    """One field: its text, the small text below it, and the text on hover."""

    text: str
    below: str = ""
    hover: str = ""
    kind: str = "number"


@dataclass(frozen=True)
class Table:
    """The first field of a row is its heading."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Field, ...], ...]
    folded: bool = False


def text(value: str, below: str = "") -> Field:
    """A field of words."""
    return Field(value, below, kind="words")


def reference(one: Published | None) -> Field:
    """The paper's or the released code's number with its origin; ``-`` where there is none."""
    if one is None:
        return Field("-")
    shown = one.text or number(one.value)
    return Field(
        clip(typeset(shown), 120),
        f"[{clip(one.source, 60)}]" if one.source else "",
        kind="words",
    )


def yours(estimate: Estimate, extra: str = "", of: str = SMALLEST) -> Field:
    """An estimate of this audit."""
    below = extra if estimate.status in ("ok", "") else "; ".join(filter(None, (estimate.status, extra)))
    return Field(interval(estimate), below, facts(estimate, of))


def patients(estimate: Estimate, below: str = "") -> Field:
    """``812 of 3,102``: patients of the class (of the smallest one for a mean) of all."""
    if estimate.suppressed or (estimate.n_patients is None and estimate.value is not None):
        return Field(count(None, suppressed=True))
    total = count(estimate.n_patients, patients=True)
    if estimate.n_positive is None:
        return Field(total)
    return Field(f"{count(estimate.n_positive, patients=True)} of {total}", below)


def readable(audit: Audit) -> Table | None:
    """Q1: paper | released code | yours, for each feature set and comparison."""
    rows = []
    for cell in audit.of("A1"):
        for k, row in enumerate(comparison_rows(cell)):
            assert row.estimate is not None
            rows.append(
                (
                    text(row.label, clip(cell.features, 60)),
                    reference(cell.paper if k == 0 else None),
                    reference(cell.released_code if k == 0 else None),
                    yours(row.estimate, of=row.of),
                    patients(row.estimate, SMALLEST if row.main and len(cell.classes) > 2 else ""),
                    Field(count(row.estimate.n_images)),
                    Field(p_value(cell.p_adjusted), "", _family(cell)) if k == 0 else Field("-"),
                )
            )
    heads = (
        "Comparison",
        "Paper",
        "Released code",
        "Yours: AUC (interval)",
        "Patients of the class",
        "Images",
        "p, corrected",
    )
    return Table("Q1. AUC over patients on clean images", heads, tuple(rows)) if rows else None


def _family(cell: Cell) -> str:
    kinds = {"primary": "Holm, primary family", "exploratory": "Benjamini-Yekutieli, exploratory grid"}
    return kinds.get(cell.family, cell.family)


def grid(audit: Audit, experiments: Sequence[str], caption: str, first: str) -> Table | None:
    """Cells of some experiments: a row per degradation, a column per feature set; folded, since the figure shows them."""
    cells = audit.of(*experiments)
    if not cells:
        return None
    columns = list(dict.fromkeys((cell.features, cell.mode) for cell in cells))
    modes = {mode for _, mode in columns}
    named = [clip(f, 40) + (f" ({m})" if len(modes) > 1 else "") for f, m in columns]
    rows: dict[str, dict[tuple[str, str], Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.degradation, {})[cell.features, cell.mode] = cell
    spacing = any(_millimetres(audit, cell) != "-" for cell in cells)
    compared = any(cell.paper or cell.released_code for cell in cells)
    found = []
    for degradation, by_column in rows.items():
        one = next(iter(by_column.values()))
        row = [text(clip(degradation, 60))]
        row += [Field(_millimetres(audit, one))] * spacing
        row += [reference(one.paper), reference(one.released_code)] * compared
        row += [_cell(by_column.get(column)) for column in columns]
        found.append((*row, _images(by_column.values())))
    heads = [first, *["lp/mm"] * spacing, *["Paper", "Released code"] * compared, *named, "Patients, images"]
    return Table(caption, tuple(heads), tuple(found), folded=True)


def _cell(cell: Cell | None) -> Field:
    if cell is None:
        return Field("-")
    parts = []
    if cell.band is not None:
        parts.append(f"band {limits(*cell.band)}")
    if cell.p_adjusted is not None:
        parts.append(f"p {p_value(cell.p_adjusted)}{', a finding' if cell.finding else ''}")
    return yours(cell.estimate, "; ".join(parts))


def _images(cells: Iterable[Cell]) -> Field:
    """The sample, once if all columns share it."""
    seen = {
        f"{count(c.estimate.n_patients, patients=True)}, {count(c.estimate.n_images)}"
        for c in cells
        if not c.estimate.suppressed
    }
    return Field(" / ".join(sorted(seen)) or count(None, suppressed=True))


def _millimetres(audit: Audit, cell: Cell) -> str:
    """The cell's edges in line pairs per millimetre at the median spacing."""
    scale = audit.lp_per_mm
    if scale is None or cell.experiment in ("C2a", "C2b", "A1"):
        return "-"
    if (both := edges(cell)) is not None:
        return lp_span(both[0] * scale, both[1] * scale)
    edge = cell.x if cell.x is not None else cell.x_low or cell.x_high
    return "-" if edge is None else lp(edge * scale)


def controls(audit: Audit) -> Table | None:
    """All estimates of all controls."""
    rows = tuple(
        (
            text(clip(control.title or control.id, 90), clip(named.name, 90)),
            yours(named.estimate),
            patients(named.estimate),
            Field(count(named.estimate.n_images)),
        )
        for control in audit.controls
        for named in control.estimates
    )
    return Table("Controls", ("Control", "AUC (interval)", "Patients of the class", "Images"), rows) if rows else None


def groups(audit: Audit) -> Table | None:
    """The groups compared."""
    rows = tuple(
        (
            text(clip(one.name, 120)),
            _count(one.patients, one.suppressed, patients=True),
            _count(one.images, one.suppressed),
        )
        for one in audit.classes
    )
    return Table("Groups compared", ("Group", "Patients", "Images"), rows) if rows else None


def exclusions(audit: Audit) -> Table | None:
    """The flow diagram as a table."""
    rows = []
    for step in audit.flow:
        rows.append(_flow_row(clip(step.label, 120), "", step))
        rows += [_flow_row("left out", clip(one.reason, 160), one) for one in step.left_out]
    return (
        Table("What was read, left out and analysed", ("Step", "Reason", "Images", "Patients"), tuple(rows))
        if rows
        else None
    )


def _flow_row(label: str, reason: str, one: Flow | LeftOut) -> tuple[Field, ...]:
    return (
        text(label),
        text(reason or "-"),
        _count(one.images, one.suppressed),
        _count(one.patients, one.suppressed, patients=True),
    )


def _count(n: int | None, suppressed: bool, *, patients: bool = False) -> Field:
    return Field(count(n, suppressed=suppressed, patients=patients))
