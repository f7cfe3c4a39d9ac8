"""The patient that each row of a table names: gaps, ids that lost digits, and spellings of one id.

P1 and p1 in the patient column of a table may be one person, who would then be on both sides of a split. As between table and
headers (`fastrace.cohort.matching`) nothing is guessed: such ids are counted, and ``--match`` makes them one. Folders, extensions
and slashes are no spellings of a person: siteA/001 and siteB/001 are two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastrace.cohort.key_columns import KeyColumns
from fastrace.cohort.matching import TRANSFORMATIONS, canonical, lost_digits, spelled_alike
from fastrace.cohort.said import Remedy
from fastrace.cohort.vocabulary import clean

SPELLINGS = ("spaces", "decimals", "case", "zeros")
"""Of `TRANSFORMATIONS`, those that may make two ids of one column one person."""


def row_patients(
    keys: KeyColumns, ids: Mapping[str, Sequence[str | None]], match: Sequence[str] = ()
) -> tuple[list[str | None], list[str | Remedy]]:
    """The patient of each row, and lines about ids that are gaps, lost digits, or are spelled in several ways.

    Parameters
    ----------
    keys : KeyColumns
    ids : mapping
        Column of ids -> its cells.
    match : sequence of str
        Names of `TRANSFORMATIONS`; those of `SPELLINGS` make ids of the patient column one.
    """
    said: list[str | Remedy] = [
        f"labels: column {name!r}: {lost} cells are numbers in scientific notation that lost digits in a spreadsheet, so that "
        "one may be several persons: no row is joined by them, nor does one name a patient; export the column as text"
        for name in dict.fromkeys((keys.column, keys.patient))
        if name is not None and (lost := sum(cell is not None and lost_digits(cell) for cell in ids[name]))
    ]
    if keys.patient is None:
        return [None] * len(ids[keys.column]), said
    named = ids[keys.patient]
    if keys.kind == "patient":
        return list(named), [*said, *_hint(keys, named, ())]
    # A key "NA" matches only an image that says so. Here it would make one person of all the rows that have no patient.
    gaps = [cell for cell in named if cell is not None and clean(cell) is None]
    if gaps:
        words = ", ".join(map(repr, sorted(set(gaps))))
        said.append(f"labels: {len(gaps)} rows have no patient in column {keys.patient!r} but {words}: read as none")
    found = [None if cell is None or clean(cell) is None or lost_digits(cell) else cell for cell in named]
    names = tuple(name for name in match if name in SPELLINGS)
    first: dict[str, str] = {}
    joined = [cell and first.setdefault(canonical(cell, names), cell) for cell in found]
    if other := len(set(found)) - len(set(joined)):
        options = " ".join(f"--match {name}" for name in names)
        said.append(f"labels: column {keys.patient!r}: {other} read as another spelling of an id before: {options}")
    return joined, [*said, *_hint(keys, joined, names)]


def _hint(keys: KeyColumns, named: Sequence[str | None], names: Sequence[str]) -> list[Remedy]:
    """How many ids differ from another one in nothing but how they are written, and what would make them one."""
    ids = {cell for cell in named if cell is not None}
    needed = [name for name in SPELLINGS if name not in names]
    count = spelled_alike(ids, needed)
    if not count:
        return []
    for name in tuple(needed):
        fewer = [other for other in needed if other != name]
        if spelled_alike(ids, fewer) == count:
            needed = fewer
    ignored = " and ".join(TRANSFORMATIONS[name][0] for name in needed)
    options = " ".join(f"--match {name}" for name in needed)
    # A row is found by the id of a header, whose spelling decides: ids of rows alone do not make headers one patient.
    remedy = "correct the table, or say with --patient-from FILE" if keys.kind == "patient" else f"add {options}"
    return [
        Remedy(
            f"labels: {count} ids of column {keys.patient!r} differ from another one in {ignored} alone, and are patients of "
            f"their own: if two are one person, {remedy}"
        )
    ]
