"""Which column of a table names the image, the study, the patient: by its name, or by ``--key``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastrace.cohort.vocabulary import KEYS, listed, plain
from fastrace.errors import UsageError


@dataclass(frozen=True)
class KeyColumns:
    """The columns chosen.

    Attributes
    ----------
    kind, column : str
        What joins: one of `KEYS`, and the column.
    patient, study : str or None
        Columns that name the patient and the study of a row; the patient's may be the one that joins, if the user said so.
    others : tuple of (str, str)
        Kind and column of those that could have joined.
    """

    kind: str
    column: str
    patient: str | None
    study: str | None
    others: tuple[tuple[str, str], ...]

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that holds ids."""
        names = (self.column, self.patient, self.study, *(name for _, name in self.others))
        return tuple(dict.fromkeys(name for name in names if name is not None))


def choose_keys(file: Path, columns: Sequence[str], given: Sequence[str]) -> KeyColumns:
    """Choose by ``--key``, else by the names of `KEYS`, the most specific first.

    Raises
    ------
    UsageError
        No such column, a kind twice, or nothing that names anything.
    """
    stated: dict[str, str] = {}
    for text in given:
        kind, column = _parse(file, columns, text)
        if kind in stated:
            raise UsageError(f"--key {text}: {kind} is column {stated[kind]!r} already; name one column for each kind")
        stated[kind] = column
    words = [(column, plain(column)) for column in columns]
    known = [
        (kind, column)
        for kind, plains in KEYS.items()
        for name in dict.fromkeys(plains)
        for column, word in words
        if word == name
    ]
    if not (stated or known):
        raise UsageError(
            f"{file}: no column names a patient, study, accession, image or path; {listed(columns)}. Name one with --key, for "
            "example --key patient=COLUMN"
        )
    kind, column = next((one, stated[one]) for one in KEYS if one in stated) if stated else known[0]
    beside = {name: found for name, found in reversed(known) if found != column}
    patient, study = (stated.get(name, beside.get(name)) for name in ("patient", "study"))
    if kind == "patient":
        patient = column
    named = {stated.get("patient"), stated.get("study"), column}
    others = tuple((name, found) for name, found in known if found not in named)
    return KeyColumns(kind, column, patient, study, others)


def _parse(file: Path, columns: Sequence[str], text: str) -> tuple[str, str]:
    kind, _, column = ("", "", text) if text in columns else text.partition("=")
    if column not in columns:
        raise UsageError(f"{file}: no column {column or text!r} (--key); {listed(columns)}")
    if not kind:
        kind = next((name for name, plains in KEYS.items() if plain(column) in plains), "")
    if kind not in KEYS:
        raise UsageError(f"--key {text}: state what it identifies, for example --key patient={column}")
    return kind, column
