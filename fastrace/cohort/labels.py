"""The label table: race and covariates come from a table in most archives, joined to the images by a key.

A table may name patients, studies, accessions, images or paths; the most specific key it has is used, and the other columns that
could have been are named. DICOM has an attribute for "ethnic group or race of the patient", Ethnic Group (0010,2160), which
PS3.6 2025a replaced by Ethnic Group Code Sequence (0010,2161) and Ethnic Groups (0010,2162). Few headers hold it, and none says
who recorded it and how, so it is counted but never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from fastrace.cohort.bins import Bins, table_column
from fastrace.cohort.grouping import ungrouped
from fastrace.cohort.key_columns import KeyColumns, choose_keys
from fastrace.cohort.known_terms import is_known
from fastrace.cohort.label_columns import DECIDED, Columns, groups_of, read_columns
from fastrace.cohort.matching import Keys, Offers
from fastrace.cohort.patients import PatientFile
from fastrace.cohort.person_columns import NOTHING_SAID, PersonColumns
from fastrace.cohort.policy import POLICIES, Policy
from fastrace.cohort.row_patients import row_patients
from fastrace.cohort.said import Remedy, Said, Shown
from fastrace.cohort.tables import read_categories, read_table
from fastrace.cohort.unlisted import Spare
from fastrace.cohort.vocabulary import ALSO, FACTS, KEPT, PERSON_FACTS, clean_column, listed, names_rows, plain
from fastrace.dataset import INDEX_COLUMNS
from fastrace.errors import RejectedInput, UsageError

Row = Mapping[str, str | float | None]


@dataclass(frozen=True)
class Labels:
    """A label table, read, checked and indexed by its key.

    Attributes
    ----------
    key : str
        Kind: one of `fastrace.cohort.vocabulary.KEYS`.
    columns : dict
        Label column -> "categorical", "numeric" or "recorded" (all values of another column, see `fastrace.cohort.policy`).
    rows : dict
        Key value -> {column: value}; values are str, float or None.
    conflicts : dict
        Key value -> why it is unusable.
    said : tuple of str, Said or Remedy
        One line each for the terminal: what was chosen, columns left out, rows merged; `lines` has them in words.
    match : tuple of str
        What is ignored when keys are compared (`fastrace.cohort.matching.TRANSFORMATIONS`).
    others : mapping
        (kind, column) -> its values: columns that could have been the key.
    values : mapping
        Column of recorded values -> the value of each number.
    names_patients : bool
        Whether its rows name a patient.
    facts : mapping
        Column of the table -> column of the index that it describes.
    column : str
        The key's.
    terms : mapping
        Label column -> its values that name nobody: known terms, and what the category map makes.
    ids : mapping
        Key value -> all ids in its rows.
    not_kept : tuple of str
        Columns that are in no way used.
    spare : Spare or None
        Columns used for nothing, where no column names the patients.
    shared : frozenset of str
        Keys whose images are of several patients (`of_several_patients`).
    persons : PersonColumns
        What its rows say of persons, where they are about something else.
    """

    key: str
    columns: Mapping[str, str]
    rows: Mapping[str, Row]
    conflicts: Mapping[str, str]
    said: tuple[str | Said | Remedy, ...] = ()
    match: tuple[str, ...] = ()
    others: Mapping[tuple[str, str], frozenset[str]] | None = None
    values: Mapping[str, tuple[str, ...]] | None = None
    names_patients: bool = False
    facts: Mapping[str, str] | None = None
    column: str = ""
    terms: Mapping[str, frozenset[str]] | None = None
    ids: Mapping[str, frozenset[str]] | None = None
    not_kept: tuple[str, ...] = ()
    spare: Spare | None = None
    shared: frozenset[str] = frozenset()
    persons: PersonColumns = NOTHING_SAID

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines, where nothing is known of the images yet."""
        return self.lines(is_known)

    def lines(self, shown: Shown, *, made: bool = False) -> tuple[str, ...]:
        """One line each for the terminal; a value of the table is in them only if ``shown`` says so, or if it is a known term.

        ``made``: the dataset has images, so that an option that is named needs another ``--out``.
        """
        return tuple(
            note.line(shown) if isinstance(note, Said) else note.line(made=made) if isinstance(note, Remedy) else note
            for note in self.said
        )

    def find(self, identifiers: Mapping[str, Sequence[str]]) -> tuple[str, Row]:
        """The row that belongs to an image.

        Parameters
        ----------
        identifiers : mapping
            Key kind -> candidate values of this image, tried in order.

        Returns
        -------
        (key value, row)

        Raises
        ------
        RejectedInput
            ``no_label``, ``contradictory_label`` or ``ambiguous_patient``.
        """
        found = self.keys.find(identifiers)
        if found is None:
            raise RejectedInput("no_label", f"its {self.key} is in no row of the label table (column {self.column!r})")
        if found in self.shared:
            raise RejectedInput("ambiguous_patient", self.conflicts[found])
        if found in self.conflicts:
            raise RejectedInput("contradictory_label", self.conflicts[found])
        return found, self.rows[found]

    def of_several_patients(self, shared: frozenset[str]) -> Labels:
        """The same table, in which rows of these keys are about nobody.

        One accession of two hospitals, one study under two Patient IDs, or 3 where headers say 00003 and 3: whose label it is
        cannot be known.
        """
        message = (
            f"its row of the label table, by {self.key} (column {self.column!r}), fits images of several patients: none of them "
            "gets its label; name another --key, or say with --patient-from FILE who they are"
        )
        return replace(self, conflicts={**self.conflicts, **dict.fromkeys(shared, message)}, shared=shared)

    @cached_property
    def keys(self) -> Keys:
        """To find rows with."""
        return Keys(self.key, self.rows, self.match)

    @cached_property
    def offers(self) -> Offers:
        """What would join an image that has no row."""
        return Offers(self.keys, self.others or {})


def read_labels(
    file: Path,
    *,
    key: str | Sequence[str] | None = None,
    columns: Sequence[str] = (),
    categories: Path | None = None,
    match: Sequence[str] = (),
    policy: Policy = "consistent",
    bins: Sequence[Bins] = (),
    over_headers: bool = False,
    persons: PatientFile | None = None,
) -> Labels:
    """Read a label table.

    Parameters
    ----------
    file : Path
        See `fastrace.cohort.tables.read_table`.
    key : str or sequence of str, optional
        ``COLUMN`` or ``KIND=COLUMN`` (kind: path, image, accession, study, patient), one for each kind. The most specific joins,
        the others name the study and the patient. Default: the most specific known.
    columns : sequence of str
        Label columns kept besides the known ones.
    categories : Path, optional
        Category map, see `read_categories`.
    match : sequence of str
        Names of `fastrace.cohort.matching.TRANSFORMATIONS`.
    policy : str
        Which of several recorded values counts, see `fastrace.cohort.policy`.
    bins : sequence of Bins
        Numbers that are kept for their classes.
    over_headers : bool
        Whether its sex and age count where the header has others; said, and done by who joins.
    persons : PatientFile, optional
        Who the ids are: rows about ids of one patient are rows of that patient.

    Raises
    ------
    UsageError
        Unreadable file, unknown column, no usable key, a value that the category map does not name.
    """
    if policy not in POLICIES:
        raise UsageError(f"--policy {policy}: unknown; choose from {', '.join(POLICIES)}")
    typed = {one for text in ((key,) if isinstance(key, str) else key or ()) for one in (text, text.partition("=")[2])}
    typed |= {*columns, *(one.column for one in bins)}
    read = read_table(file, lambda name: name in typed or names_rows(name))
    table = read.cells
    if table.empty:
        raise UsageError(f"{file}: the table has no rows, only the names of its columns")
    names = {plain(name): name for name in reversed(table.columns)}
    keys = choose_keys(file, list(table.columns), (key,) if isinstance(key, str) else key or ())
    about = tuple(FACTS) if keys.kind in ("image", "path") else PERSON_FACTS
    facts = {
        fact: next(names[name] for name in FACTS[fact] if name in names)
        for fact in about
        if names.keys() & set(FACTS[fact])
    }
    for column in columns:
        if column not in table.columns:
            hint = f"; {column} of the index comes from {facts[column]!r}" if column in facts else ""
            raise UsageError(f"{file}: no column {column!r}; {listed(list(table.columns))}{hint}")
    meant = [name for one in bins if (name := table_column(one.column, table.columns)) is not None]
    binned = [name for name in meant if name not in facts.values()]
    kept = [name for name in table.columns if plain(name) in KEPT and name not in facts.values()]
    # A column of the index may be asked for as a label column too, unless that has the same name.
    in_index = {name for name in facts.values() if name in INDEX_COLUMNS}
    kept += [name for name in dict.fromkeys([*columns, *binned]) if name not in kept and name not in in_index]
    taken = [name for name in kept if name in INDEX_COLUMNS]
    if taken:
        raise UsageError(f"{file}: column {taken[0]!r} has the name of a column of the index; rename it in the table")

    # Ids are text: NA is an id, and so is 007. Only an empty cell names nothing.
    ids = {name: [cell.strip() or None for cell in table[name]] for name in keys.named}
    found = ids[keys.column]
    if keys.kind == "path":
        found = [cell and str(PurePosixPath(cell)) for cell in found]
    patient, doubtful = row_patients(keys, ids, match)
    if persons is not None:
        patient = list(map(persons.of_row, patient))
        found = list(map(persons.of_row, found)) if keys.kind == "patient" else found
    cells = {name: clean_column(table[name]) for name in (*kept, *facts.values())}
    also = {fact: names[ALSO[fact]] for fact in facts if ALSO.get(fact) in names and facts[fact] != names[ALSO[fact]]}
    for fact, other in also.items():
        first = cells[facts[fact]]
        cells[facts[fact]] = [
            one or also_said for one, also_said in zip(first, clean_column(table[other]), strict=True)
        ]
    owners = patient if keys.patient is not None else found
    left_out = ungrouped({name: cells[name] for name in kept if name not in (*columns, *binned)}, owners)
    kept = [name for name in kept if name not in left_out]
    mapping = read_categories(categories) if categories else None
    read_from = Columns(keys.kind, found, patient, cells, tuple(kept), facts, frozenset(binned))
    shown = read_columns(file, read_from, mapping, policy)
    persons_said = NOTHING_SAID
    if keys.kind != "patient":
        persons_said = PersonColumns(policy, found, groups_of(read_from, of_patients=True), shown.answers, shown.sex)
    if keys.kind != "patient" and keys.patient is not None:
        shown.identity["patient_id"] = patient
    if keys.kind not in ("study", "patient") and keys.study is not None:
        shown.identity["study_id"] = ids[keys.study]
    rows, conflicts, merged = _index(found, shown.identity, shown.values, keys.kind)
    notes: list[str | Said | Remedy] = [
        *read.notes,
        *_notes(table, keys, rows, kept, facts, left_out, over_headers, also),
    ]
    notes += [
        _in_index(fact, name, over_headers) for fact, name in facts.items() if name in columns and name in in_index
    ]
    notes += [*doubtful, *shown.notes]
    notes += _merged(merged, cells, keys.kind, policy)
    not_kept = tuple(name for name in _unused(table, keys, kept, facts) if name not in also.values())
    spare = Spare.of(found, {name: table[name] for name in not_kept}) if keys.patient is None else None
    if conflicts:
        notes.append(f"labels: {len(conflicts)} {keys.kind} keys have contradictory rows; their images are rejected")
    return Labels(
        keys.kind, shown.kinds, rows, conflicts, tuple(notes), tuple(match),
        {(kind, name): frozenset(filter(None, ids[name])) for kind, name in keys.others}, shown.recorded,
        keys.patient is not None, {name: fact for fact, name in facts.items()}, keys.column,
        shown.terms, _ids(found, ids), not_kept, spare if spare is not None and spare.codes else None,
        persons=persons_said,
    )  # fmt: skip


def _ids(keys: Sequence[str | None], ids: Mapping[str, Sequence[str | None]]) -> dict[str, frozenset[str]]:
    """All ids in the rows of a key."""
    found: dict[str, set[str]] = {}
    for key, *others in zip(keys, *ids.values(), strict=True):
        if key is not None:
            found.setdefault(key, {key}).update(one for one in others if one is not None)
    return {key: frozenset(several) for key, several in found.items()}


def _notes(
    table: pd.DataFrame,
    keys: KeyColumns,
    rows: Mapping[str, Row],
    kept: Sequence[str],
    facts: Mapping[str, str],
    left_out: Mapping[str, str],
    over_headers: bool,
    also: Mapping[str, str],
) -> list[str | Remedy]:
    said = {fact: f"{fact} from {name!r}" for fact, name in facts.items()}
    said.update({fact: f"{said[fact]}, and from {other!r} where that is empty" for fact, other in also.items()})
    if keys.kind == "patient" and "age_years" in said:
        said["age_years"] += ", one for each patient: the same for all studies of a patient"
    first = [said.pop(fact) for fact in DECIDED if over_headers and fact in said]
    parts = (("instead of the header's", first), ("where the header has none", list(said.values())))
    of_index = "; ".join(f"{when}: {', '.join(several)}" for when, several in parts if several)
    notes: list[str | Remedy] = [
        f"labels: {len(rows)} {keys.kind} keys from column {keys.column!r}; label columns: {', '.join(kept) or 'none'}"
        + (f"; for the index, {of_index}" if of_index else "")
    ]
    if keys.others:
        listed = ", ".join(f"{kind}={name}" for kind, name in keys.others)
        notes.append(Remedy(f"labels: other columns that could be the key: {listed}; choose with --key"))
    notes += map(Remedy, left_out.values())
    ignored = [name for name in _unused(table, keys, kept, facts) if name not in (*left_out, *also.values())]
    if ignored:
        notes.append(Remedy(f"labels: columns not kept: {', '.join(ignored)}; add with --column NAME"))
    return notes


def _unused(table: pd.DataFrame, keys: KeyColumns, kept: Sequence[str], facts: Mapping[str, str]) -> list[str]:
    used = {*keys.named, *kept, *facts.values()}  # ids have a line of their own, and are no attributes
    return [name for name in table.columns if name not in used]


def _in_index(fact: str, name: str, over_headers: bool) -> str:
    """What becomes of a column that was asked for, but has the name of the column of the index that it describes."""
    always = " (--sex-and-age-from table: always)" if fact in DECIDED else ""
    when = "instead of the header's" if over_headers and fact in DECIDED else "where the header has none" + always
    return f"labels: --column {name}: column {name!r} is {fact} of the index, {when}"


def _merged(
    merged: Sequence[tuple[int, int]], cells: Mapping[str, Sequence[str | None]], kind: str, policy: str
) -> list[str]:
    """How many rows have the key of a row before them: with the same cells, and with others."""
    other = sum(any(column[one] != column[number] for column in cells.values()) for one, number in merged)
    said = []
    if same := len(merged) - other:
        said.append(f"labels: {same} rows repeat another row's {kind} key and values; merged")
    if other:
        said.append(
            f"labels: {other} rows have the {kind} key of a row before them and other values: --policy {policy} says which count"
        )
    return said


def _index(
    keys: Sequence[str | None], identity: Mapping[str, Sequence[Any]], values: Mapping[str, Sequence[Any]], kind: str
) -> tuple[dict[str, Row], dict[str, str], list[tuple[int, int]]]:
    """One row for each key, and which rows (by number) went into which.

    What says who or what an image is must be the same in all rows of a key.
    """
    rows: dict[str, Row] = {}
    conflicts: dict[str, str] = {}
    merged: list[tuple[int, int]] = []
    first: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key is None:
            continue
        first.setdefault(key, number)
        row = {name: column[number] for name, column in (*identity.items(), *values.items())}
        before = rows.setdefault(key, row)
        if before is row:
            continue
        differing = [name for name in identity if row[name] != before[name]]
        if differing:
            conflicts[key] = (
                f"the label table has different values of {', '.join(differing)} for this {kind} (row {number + 2})"
            )
        else:
            merged.append((first[key], number))
    return rows, conflicts, merged
