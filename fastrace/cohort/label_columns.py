"""The cells of label columns become values: strata, numbers, and what counts where a patient has several.

What a patient has once (race) is decided over all rows of the patient, where the table names patients; everything else over the
rows of one key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastrace.cohort.ages import (
    LIMIT_YEARS,
    OLDEST_YEARS,
    age_in_text,
    age_of_cell,
    capped,
    is_age,
    is_age_group,
    read_age,
)
from fastrace.cohort.answers import strata
from fastrace.cohort.known_terms import is_known
from fastrace.cohort.non_answers import NO_ANSWER, no_answers, stratum
from fastrace.cohort.numbers import column_numbers
from fastrace.cohort.policy import RECORDED, Policy, changes, codes_of, encode, patients_with, resolve, resolve_number
from fastrace.cohort.said import Said
from fastrace.cohort.vocabulary import OF_PATIENTS, asks_who, is_amount, of_person, plain, read_fact, states_no_sex
from fastrace.dicom.views import OTHER
from fastrace.errors import UsageError

Cells = Sequence[str | None]
DECIDED = ("sex", "age_years")
"""Facts that a policy may decide, and of which header or table may be right; others say which image it is."""


@dataclass(frozen=True)
class Columns:
    """What is read of a table.

    Attributes
    ----------
    kind : str
        Of the key.
    keys, patients : sequence of str or None
        Key and patient of each row.
    cells : mapping
        Column -> its cells, None where missing.
    kept : tuple of str
        Label columns.
    facts : mapping
        Column of the index -> column of the table.
    binned : frozenset of str
        Label columns that must be numbers.
    """

    kind: str
    keys: Cells
    patients: Cells
    cells: Mapping[str, Cells]
    kept: tuple[str, ...]
    facts: Mapping[str, str]
    binned: frozenset[str]


@dataclass
class Shown:
    """Values by row of the table, the kinds of the label columns, values of recorded columns, notes, values that name nobody.

    And what each row says of a person (`fastrace.cohort.person_columns`): in label columns, and for the sex of the index.
    """

    values: dict[str, list[Any]] = field(default_factory=dict)
    identity: dict[str, list[Any]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str | Said] = field(default_factory=list)
    terms: dict[str, frozenset[str]] = field(default_factory=dict)
    answers: dict[str, Sequence[str]] = field(default_factory=dict)
    sex: Sequence[Any] = ()


def read_columns(file: Path, columns: Columns, mapping: Mapping[str, str] | None, policy: Policy) -> Shown:
    """Values of all label columns and facts.

    Raises
    ------
    UsageError
        A value that the category map does not name; a column for ``--bins`` that is no number.
    """
    shown = Shown()
    for name in columns.kept:
        _label(file, name, columns, mapping, policy, shown)
    for fact, name in columns.facts.items():
        read = [age_of_cell(cell) if fact == "age_years" else read_fact(fact, cell) for cell in columns.cells[name]]
        if fact in DECIDED:
            groups = groups_of(columns, of_patients=True) if fact == "sex" else columns.keys
            decided = decide(columns.keys, read, groups, policy)
            several = sum(one is None and other is not None for one, other in zip(decided, read, strict=True))
            if several:
                shown.notes.append(f"labels: {several} rows contradict another row's {fact} ({name!r}): none is taken")
            shown.values[fact] = decided
            if fact == "sex":
                shown.sex = read
        else:
            shown.identity[fact] = read
        if fact == "age_years":
            lost = sum(
                one is None and cell is not None and stratum(cell) is None
                for one, cell in zip(read, columns.cells[name], strict=True)
            )
            if lost:
                rows = f"{lost} rows have" if lost > 1 else "1 row has"
                shown.notes.append(
                    f"labels: column {name!r}: {rows} no age that can be read (44, 044Y, 44 years, 90+ can; from 0 to 130): "
                    "left empty"
                )
            shown.notes += _like_codes(name, columns.cells[name])
        shown.notes += _not_understood(fact, name, columns.cells[name], read)
    return shown


def _not_understood(fact: str, name: str, cells: Cells, read: Sequence[object]) -> list[Said]:
    """What a column that fills the index says in words that headers do not have."""
    pairs = {(cell, one) for cell, one in zip(cells, read, strict=True) if cell is not None}
    ask = "no known sex, read as missing (write F, M or O)"
    kinds = {
        "sex": (
            ("read as O, another sex than F or M", {cell for cell, one in pairs if one == "O"}),
            (ask, {cell for cell, one in pairs if one is None and not states_no_sex(cell)}),
        ),
        "laterality": (
            (
                "no known side, read as missing (write L, R or B)",
                {c for c, one in pairs if one is None and stratum(c) is None},
            ),
        ),
        "view": (
            ("no known view, read as other", {cell for cell, one in pairs if one == OTHER and cell.lower() != OTHER}),
        ),
    }
    said = ((before, tuple((cell, repr(cell)) for cell in sorted(found))) for before, found in kinds.get(fact, ()))
    return [Said(name, before, entries) for before, entries in said if entries]


def _label(
    file: Path, name: str, columns: Columns, mapping: Mapping[str, str] | None, policy: Policy, shown: Shown
) -> None:
    cells = columns.cells[name]
    try:
        without = no_answers(cells, codes=asks_who(name))
        answered = [None if cell is None or cell in without else cell for cell in cells]
        named = mapping is not None and any(cell is not None and cell.lower() in mapping for cell in cells)
        codes = plain(name) not in OF_PATIENTS and not named
        numbers = column_numbers(name, answered) if codes or name in columns.binned else None
        if is_age(name) and not named:
            cells, numbers, lost = _of_age(name, cells, answered, numbers)
            if lost:
                rows = f"{lost} rows have" if lost > 1 else "1 row has"
                shown.notes.append(f"labels: column {name!r}: {rows} no age from 0 to 130 years: left empty")
            if not is_age_group(name) and name not in columns.facts.values():
                shown.notes += _like_codes(name, columns.cells[name])
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    if name in columns.binned and numbers is None:
        raise UsageError(f"{file}: --bins {name}: not all of its values are numbers")
    if numbers is not None and (
        name in columns.binned or is_amount(name, numbers) or (is_age(name) and not is_age_group(name))
    ):
        shown.kinds[name] = "numeric"
        shown.values[name] = decide(columns.keys, numbers, columns.keys, policy)
        lost = len(
            {
                k
                for k, a, b in zip(columns.keys, shown.values[name], numbers, strict=True)
                if a is None and b is not None
            }
        )
        if lost:
            shown.notes.append(
                f"labels: column {name!r}: {lost} {columns.kind} keys have several numbers: none is taken"
            )
        return
    all_numbers = column_numbers_or_none(name, answered)
    values, notes = strata(file, name, cells, mapping, all_numbers)
    shown.notes += notes
    shown.kinds[name] = "categorical"
    shown.terms[name] = frozenset((mapping or {}).values()) | {value for value in values if is_known(name, value)}
    of_patients = of_person(name)
    if of_patients:
        shown.answers[name] = values
    groups = groups_of(columns, of_patients=of_patients)
    who = "patients" if of_patients and any(columns.patients) else f"{columns.kind} keys"
    decide_strata(name, groups, values, policy, shown, who)


def groups_of(columns: Columns, *, of_patients: bool) -> list[str | None]:
    """Rows that are decided together: those of a patient or of a key, which may have the same name and are kept apart."""
    return [
        f"patient {patient}" if of_patients and patient is not None else None if key is None else f"key {key}"
        for key, patient in zip(columns.keys, columns.patients, strict=True)
    ]


def _of_age(
    name: str, cells: Cells, answered: Cells, numbers: list[float | None] | None
) -> tuple[Cells, list[float | None] | None, int]:
    """Cells and numbers of a column of ages, as a dataset may hold them, and how many are no age."""
    if numbers is None:
        read = [age_of_cell(cell) for cell in answered]
        if any(answered) and all((one is None) == (cell is None) for one, cell in zip(read, answered, strict=True)):
            numbers = read
    elif is_age_group(name) and all(number is None or number <= OLDEST_YEARS for number in numbers):
        return cells, numbers, 0
    texts = [age_in_text(cell, name) if cell and said else cell for cell, said in zip(cells, answered, strict=True)]
    ages = numbers and [None if number is None else read_age(number, name) for number in numbers]
    known: Sequence[object] = texts if ages is None else ages
    lost = sum(one is None and cell is not None for one, cell in zip(known, answered, strict=True))
    return texts, ages, lost


def _like_codes(name: str, cells: Cells) -> list[str]:
    """A line about ages that may be codes: they are kept, as those of headers are."""
    if capped(LIMIT_YEARS, name) > OLDEST_YEARS:  # not in years
        return []
    said = []
    for age in (0, 99):
        count = sum(cell is not None and re.fullmatch(f"0*{age}(?:[.,]0*)?", cell) is not None for cell in cells)
        said += [f"{age} in {count} row{'s' * (count > 1)}"] * bool(count)
    if not said:
        return []
    return [
        f"labels: column {name!r}: {' and '.join(said)} read as an age (0 of an infant, 99 kept as 90): if it is a code for no "
        "answer, empty the cell"
    ]


def column_numbers_or_none(name: str, cells: Cells) -> bool:
    """Whether all cells are numbers, whatever their commas mean."""
    try:
        return column_numbers(name, cells) is not None
    except UsageError:
        return False


def decide(keys: Cells, values: Sequence[Any], groups: Sequence[str | None], policy: Policy) -> list[Any]:
    """The number or fact that counts for each row."""
    together: dict[str | None, list[Any]] = {}
    for group, value in zip(groups, values, strict=True):
        together.setdefault(group, []).append(value)
    chosen = {group: resolve_number(several, policy) for group, several in together.items()}
    return [None if key is None else chosen[group] for key, group in zip(keys, groups, strict=True)]


def decide_strata(
    name: str, groups: Sequence[str | None], values: Sequence[str], policy: Policy, shown: Shown, who: str
) -> None:
    """The stratum that counts for each row, and all that are recorded where a group has several."""
    together: dict[str, list[str]] = {}
    for group, value in zip(groups, values, strict=True):
        if group is not None:
            together.setdefault(group, []).append(value)
    patients = patients_with(together)
    chosen = {group: resolve(several, policy, patients) for group, several in together.items()}
    shown.values[name] = [None if group is None else chosen[group] for group in groups]
    several = [set(found) for found in together.values() if len(set(found)) > 1]
    if not several:
        return
    answers = sum(len(found - NO_ANSWER) > 1 for found in several)
    if answers:
        effect = ", ".join(f"{other} {count}" for other, count in changes(together).items() if other != "consistent")
        shown.notes.append(
            f"labels: column {name!r}: {answers} of {len(together)} {who} have different recorded values; --policy {policy} is "
            f"taken (consistent: none of them); by policy, those that would differ from consistent: {effect}"
        )
    beside = sum(len(found - NO_ANSWER) == 1 for found in several)
    if beside:
        shown.notes.append(
            f"labels: column {name!r}: {beside} {who} have an answer beside unknown or declined: the answer is taken"
        )
    codes = codes_of(together)
    coded = {group: encode(found, codes) for group, found in together.items()}
    shown.kinds[name + RECORDED] = "recorded"
    shown.values[name + RECORDED] = [None if group is None else coded[group] for group in groups]
    shown.recorded[name + RECORDED] = tuple(codes)
    shown.terms[name + RECORDED] = shown.terms[name]
