"""Which texts of headers may be in a dataset: words of the standard, and what several patients have.

A field of a device should hold words of the device, but people type into it. What one patient alone has says who that is, so
a text is kept only if two patients have it; what repeats a name, number or date of its own header (`fastrace.dicom.identity`)
is not kept in that row, and counts as known elsewhere only where ten times as many patients have it without such a
coincidence: PHILIPS is a maker although a Mr Philips was examined. Words of the standard (`fastrace.dicom.terms`) need no
learning. An archive with one patient, or with one patient for each scanner, keeps the words of the standard alone.

Two passes over the parts of a run: `see` them all, then `apply` to each. Memory does not grow with the images: of every value
up to a hundred patients are remembered, of every column up to ten thousand values; later ones do not become known.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.dicom.identity import Withheld
from fastrace.dicom.terms import is_term
from fastrace.preprocess.facts import OURS

ENOUGH = 2  # patients who make a value known
COMMON = 10  # as many patients without a coincidence for each with one
REASONS = {
    "rare": f"fewer than {ENOUGH} patients have it",
    "personal": "it repeats a name, number or date of a header",
    "unlearned": "its column has too many different values",
}
_KEYS = ("image_key", "patient_key", "study_key", "pixel_hash", "institution_key", "thumbnail_hash")
_MOST_PATIENTS = 100
_MOST_VALUES = 10_000
# Known words where a header gave them, but a label table may have filled them with anything.
_OF_TABLES = ("modality", "view", "laterality", "official_split")
_COLUMNS = tuple(name for name in INDEX_COLUMNS if name in _OF_TABLES or name not in (*_KEYS, *OURS))


def part_cell(salt: bytes, withheld: Sequence[Withheld]) -> str | None:
    """The cell ``withheld`` of a part: column, how, and a keyed hash of the value; None for nothing."""
    if not withheld:
        return None
    return json.dumps([[one.column, one.found, _hashed(salt, one.value)] for one in withheld])


def _hashed(salt: bytes, value: str) -> str:
    return keyed_hash(salt, "withheld", value)


class Vocabulary:
    """The values that several patients share.

    Attributes
    ----------
    withheld : dict
        Column -> reason (`REASONS`) -> images whose value `apply` left out.
    """

    def __init__(self, salt: bytes) -> None:
        self.withheld: dict[str, Counter[str]] = defaultdict(Counter)
        self._salt = salt
        self._patients: dict[str, dict[str, set[int]]] = defaultdict(dict)  # column -> value -> who has it
        self._coincidences: dict[str, set[int]] = {}  # keyed hash of a value -> patients whose header it repeats
        self._full: set[str] = set()  # columns with more values than are remembered
        self._allowed: dict[str, frozenset[str]] = {}

    def see(self, rows: pd.DataFrame) -> None:
        """Learn from the rows of a part: ``outcome``, ``patient_key``, ``withheld`` and the columns of the index."""
        self._allowed = {}
        kept = rows[rows["outcome"] == "indexed"]
        owners = [int(key[:15], 16) for key in kept["patient_key"]]
        marked = [_marked(cell) for cell in kept["withheld"]]
        for owner, marks in zip(owners, marked, strict=True):
            for found, hashed in marks.values():
                if found != "shared":
                    self._remember(self._coincidences, hashed, owner, COMMON)
        for column in _texts(kept):
            values = self._patients[column]
            for owner, value, marks in zip(owners, kept[column], marked, strict=True):
                if not isinstance(value, str) or is_term(column, value):
                    continue
                if marks.get(column, ("", ""))[0] != "glued" and not self._remember(
                    values, value, owner, _MOST_PATIENTS
                ):
                    self._full.add(column)

    @staticmethod
    def _remember(values: dict[str, set[int]], value: str, owner: int, most: int) -> bool:
        if value not in values:
            if len(values) >= _MOST_VALUES:
                return False
            values[value] = set()
        if len(values[value]) < most:
            values[value].add(owner)
        return True

    def allowed(self, column: str) -> frozenset[str]:
        """The values of a column that are kept, beside the words of the standard."""
        if column not in self._allowed:
            self._allowed[column] = frozenset(
                value for value, patients in self._patients[column].items() if len(patients) >= self._needed(value)
            )
        return self._allowed[column]

    def _needed(self, value: str) -> int:
        if len(self._coincidences) >= _MOST_VALUES:  # no more are remembered: any value may have some
            return _MOST_PATIENTS
        return max(ENOUGH, COMMON * len(self._coincidences.get(_hashed(self._salt, value), ())))

    def apply(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with None for what is not known; counts it in `withheld`. ``rows`` stays as it is."""
        marked = [_marked(cell) for cell in rows["withheld"]]
        changed: dict[str, list[Any]] = {}
        for column in _texts(rows):
            allowed = self.allowed(column)
            cells: list[Any] = []
            for value, marks in zip(rows[column], marked, strict=True):
                known = not isinstance(value, str) or is_term(column, value) or value in allowed
                few = marks.get(column, ("", ""))[0] == "shared" and isinstance(value, str)
                if known and few and not is_term(column, value):
                    known = len(self._patients[column].get(value, ())) >= COMMON
                cells.append(value if known and not pd.isna(value) else None)
                if not known:
                    self.withheld[column][self._reason(column, value, marks)] += 1
            changed[column] = cells
        for marks in marked:
            for column, (found, _) in marks.items():
                if found == "stands":
                    self.withheld[column]["personal"] += 1
        return rows.assign(**{name: pd.Series(cells, rows.index, dtype=object) for name, cells in changed.items()})

    def _reason(self, column: str, value: str, marks: Mapping[str, tuple[str, str]]) -> str:
        if column in marks or _hashed(self._salt, value) in self._coincidences:
            return "personal"
        return "unlearned" if column in self._full and value not in self._patients[column] else "rare"

    def counts(self) -> dict[str, dict[str, int]]:
        """What `apply` left out, as ``dataset.json`` holds it: column -> reason -> images; never a value."""
        return {name: dict(sorted(found.items())) for name, found in sorted(self.withheld.items()) if found}


def withheld_lines(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The counts in words, for the printed summary."""
    return [
        f"{name}: left out of the index for {count} image{'s' * (count > 1)}, since {REASONS[reason]}"
        for name, reasons in counts.items()
        for reason, count in reasons.items()
    ]


def _texts(rows: pd.DataFrame) -> Iterator[str]:
    """Columns of the index that may hold text of a header."""
    for name in _COLUMNS:
        if name in rows and (rows[name].dtype == object or pd.api.types.is_string_dtype(rows[name])):
            yield name


def _marked(cell: Any) -> dict[str, tuple[str, str]]:
    return {column: (found, hashed) for column, found, hashed in json.loads(cell)} if isinstance(cell, str) else {}
