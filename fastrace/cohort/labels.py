"""The label table: race and covariates come from a table and are joined by a key.

A table may name patients, studies, accessions, images or paths; the most specific key it has is used. DICOM has an attribute
for "ethnic group or race of the patient", Ethnic Group (0010,2160), which PS3.6 2025a replaced by Ethnic Group Code Sequence
(0010,2161) and Ethnic Groups (0010,2162). Few headers hold it, and none says who recorded it and how, so it is counted but
never read: how to join a table is the most frequent question about the study's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from fastrace.cohort.tables import read_categories, read_table
from fastrace.cohort.vocabulary import (
    FACTS,
    KEPT,
    KEYS,
    PATIENT_FACTS,
    STUDY_FACTS,
    clean,
    kind_of,
    plain,
    read_fact,
    stratify,
)
from fastrace.dataset import INDEX_COLUMNS
from fastrace.errors import RejectedInput, UsageError


@dataclass(frozen=True)
class Labels:
    """A label table, read, checked and indexed by its key.

    Attributes
    ----------
    key : str
        One of `KEYS`.
    columns : dict
        Label column -> "categorical" or "numeric".
    rows : dict
        Key value -> {column: value}; values are str, float or None.
    conflicts : dict
        Key value -> why it is unusable.
    notes : tuple of str
        One line each for the terminal: columns left out, rows merged.
    """

    key: str
    columns: Mapping[str, str]
    rows: Mapping[str, Mapping[str, str | float | None]]
    conflicts: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def find(self, identifiers: Mapping[str, Sequence[str]]) -> tuple[str, Mapping[str, str | float | None]]:
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
            ``no_label`` or ``contradictory_label``.
        """
        for value in identifiers.get(self.key, ()):
            if value in self.conflicts:
                raise RejectedInput("contradictory_label", self.conflicts[value])
            if value in self.rows:
                return value, self.rows[value]
        if self.key == "path":
            return self._find_path(identifiers)
        raise RejectedInput("no_label", f"its {self.key} is in no row of the label table")

    def _find_path(self, identifiers: Mapping[str, Sequence[str]]) -> tuple[str, Mapping[str, str | float | None]]:
        """The table's path is the end of the file's path, or the file's path below SRC is the end of the table's."""
        for value in (*identifiers.get("absolute", ()), *identifiers.get("path", ())):
            parts = PurePosixPath(value).parts
            for start in range(1, len(parts)):
                tail = "/".join(parts[start:])
                if tail in self.conflicts:
                    raise RejectedInput("contradictory_label", self.conflicts[tail])
                if tail in self.rows:
                    return tail, self.rows[tail]
        for value in identifiers.get("path", ()):
            found = self._by_tail.get(value, ())
            if len(found) > 1:
                raise RejectedInput(
                    "contradictory_label",
                    f"its path below SRC is the end of {len(found)} paths of the label table; name a SRC further up, so that "
                    "it is the end of one",
                )
            if found:
                if found[0] in self.conflicts:
                    raise RejectedInput("contradictory_label", self.conflicts[found[0]])
                return found[0], self.rows[found[0]]
        raise RejectedInput("no_label", "its path is in no row of the label table")

    @property
    def _by_tail(self) -> dict[str, list[str]]:
        """End of a path of the table -> the paths that end so."""
        cached = self.__dict__.get("_tails")
        if cached is None:
            cached = {}
            for full in self.rows:
                parts = PurePosixPath(full).parts
                for start in range(1, len(parts)):
                    cached.setdefault("/".join(parts[start:]), []).append(full)
            self.__dict__["_tails"] = cached
        return cached


def read_labels(
    file: Path, *, key: str | None = None, columns: Sequence[str] = (), categories: Path | None = None
) -> Labels:
    """Read a CSV, TSV or Parquet label table.

    Parameters
    ----------
    file : Path
        Comma, semicolon or tab separated with one header line (UTF-8, with or without BOM), or Parquet.
    key : str, optional
        ``COLUMN`` or ``KIND=COLUMN`` (kind: path, image, accession, study, patient). Default: the most specific known.
    columns : sequence of str
        Label columns kept besides the known ones.
    categories : Path, optional
        Category map, see `read_categories`.

    Raises
    ------
    UsageError
        Unreadable file, unknown column, no usable key, a value that the category map does not name.
    """
    table = read_table(file)
    names = {plain(name): name for name in table.columns}
    kind, key_column = _choose_key(file, table, names, key)
    for column in columns:
        if column not in table.columns:
            raise UsageError(f"{file}: no column {column!r}; it has {', '.join(map(repr, table.columns))}")
    about = {"patient": PATIENT_FACTS, "study": STUDY_FACTS, "accession": STUDY_FACTS}.get(kind, tuple(FACTS))
    facts = {fact: names[name] for fact in about for name in FACTS[fact] if name in names}
    kept = [name for name in table.columns if plain(name) in KEPT and name not in facts.values()]
    kept += [name for name in columns if name not in kept and name not in facts.values()]
    taken = [name for name in kept if name in INDEX_COLUMNS]
    if taken:
        raise UsageError(f"{file}: column {taken[0]!r} has the name of a column of the index; rename it in the table")
    patient = next((names[name] for name in KEYS["patient"] if name in names), None)
    study = next((names[name] for name in KEYS["study"] if name in names), None)

    cells = {name: [clean(cell) for cell in table[name]] for name in table.columns}
    values = pd.DataFrame(cells, dtype=object)  # not pandas' str type, which would turn None into NaN
    kinds = {name: kind_of(values[name]) for name in kept}
    mapping = read_categories(categories) if categories else None
    for name in kept:
        if kinds[name] == "categorical":
            values[name] = stratify(file, name, values[name], mapping)
        else:
            values[name] = pd.Series([None if cell is None else float(cell) for cell in values[name]], dtype=object)
    shown = pd.DataFrame({name: values[name] for name in kept}, dtype=object)
    for fact, name in facts.items():
        if name not in kept:
            shown[fact] = pd.Series([read_fact(fact, cell) for cell in values[name]], dtype=object)
    if patient is not None and kind != "patient":
        shown["patient_id"] = values[patient]
    if study is not None and kind not in ("study", "patient"):
        shown["study_id"] = values[study]
    rows, conflicts, merged = _index(values[key_column], shown, kind)
    ignored = [n for n in table.columns if n not in (key_column, patient, study, *kept, *facts.values())]
    notes = [f"labels: {len(rows)} {kind} keys from column {key_column!r}; label columns: {', '.join(kept) or 'none'}"]
    if ignored:
        notes.append(f"labels: columns not kept (add with --column NAME): {', '.join(ignored)}")
    if merged:
        notes.append(f"labels: {merged} rows repeat another row's key and values; merged")
    if conflicts:
        notes.append(f"labels: {len(conflicts)} {kind} keys have contradictory rows; their images are rejected")
    return Labels(kind, kinds, rows, conflicts, tuple(notes))


def _choose_key(file: Path, table: pd.DataFrame, names: Mapping[str, str], key: str | None) -> tuple[str, str]:
    if key is not None:
        kind, _, column = key.rpartition("=")
        if column not in table.columns:
            raise UsageError(f"{file}: no column {column!r} (--key); it has {', '.join(map(repr, table.columns))}")
        if not kind:
            kind = next((name for name, plains in KEYS.items() if plain(column) in plains), "")
        if kind not in KEYS:
            raise UsageError(f"--key {key}: state what it identifies, for example --key patient={column}")
        return kind, column
    for kind, plains in KEYS.items():
        for name in plains:
            if name in names:
                return kind, names[name]
    raise UsageError(
        f"{file}: no column names a patient, study, accession, image or path; it has "
        f"{', '.join(map(repr, table.columns))}. Name one with --key, for example --key patient=COLUMN"
    )


def _index(
    keys: pd.Series, shown: pd.DataFrame, kind: str
) -> tuple[dict[str, dict[str, str | float | None]], dict[str, str], int]:
    rows: dict[str, dict[str, str | float | None]] = {}
    conflicts: dict[str, str] = {}
    merged = 0
    records = shown.astype(object).where(shown.notna(), None).to_dict("records")
    for number, (key, row) in enumerate(zip(keys, records, strict=True), 2):
        if key is None:
            continue
        key = str(PurePosixPath(key)) if kind == "path" else str(key)
        before = rows.setdefault(key, row)
        if before is row:
            continue
        differing = [str(name) for name in row if row[name] != before[name]]
        if differing:
            conflicts[key] = (
                f"the label table has different values of {', '.join(differing)} for this {kind} (row {number})"
            )
        else:
            merged += 1
    return rows, conflicts, merged
