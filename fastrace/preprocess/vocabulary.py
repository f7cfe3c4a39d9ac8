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

from fastrace.cohort.labels import Labels
from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.dicom.identity import Withheld
from fastrace.dicom.terms import is_term
from fastrace.preprocess.facts import OURS
from fastrace.preprocess.label_cells import LABEL

ENOUGH = 2  # patients who make a value known
COMMON = 10  # as many patients without a coincidence for each with one
REASONS = {
    "rare": f"fewer than {ENOUGH} patients have it",
    "personal": "it repeats a name, number or date of a header, or an id of the label table",
    "unlearned": "its column has too many different values",
}
_KEYS = ("image_key", "patient_key", "study_key", "pixel_hash", "institution_key", "thumbnail_hash")
_MOST_PATIENTS = 100
_ORDER = ("stands", "glued", "shared")
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

    def __init__(self, salt: bytes, labels: Labels | None = None) -> None:
        self.withheld: dict[str, Counter[str]] = defaultdict(Counter)
        self._salt = salt
        self._terms = {} if labels is None else {LABEL + name: found for name, found in (labels.terms or {}).items()}
        self._words = {} if labels is None else {LABEL + name: found for name, found in (labels.values or {}).items()}
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
                for text in self._unknown(column, value):
                    if _how(marks, column) != "glued" and not self._remember(values, text, owner, _MOST_PATIENTS):
                        self._full.add(column)

    def _unknown(self, column: str, value: Any) -> list[str]:
        """The texts of a cell that are no known terms: one, or all those of a column of recorded values."""
        if not isinstance(value, str):
            return []
        if not column.startswith(LABEL):
            return [] if is_term(column, value) else [value]
        words = self._words.get(column)
        said = [value] if words is None else [words[int(code)] for code in dict.fromkeys(value.split(","))]
        return [text for text in said if text not in self._terms.get(column, ())]

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
            cells: list[Any] = []
            for value, marks in zip(rows[column], marked, strict=True):
                unknown = self._unknown(column, value)
                known = all(self._kept(column, text) for text in unknown)
                if known and unknown and _how(marks, column) == "shared":
                    known = all(len(self._patients[column].get(text, ())) >= COMMON for text in unknown)
                cells.append(value if known and not pd.isna(value) else None)
                if not known:
                    self.withheld[column.removeprefix(LABEL)][self._reason(column, unknown, marks)] += 1
            changed[column] = cells
        for column in set(_labels(rows)) - set(changed):  # numbers: an id may be that of the patient before
            numbers = [None if self._is_id(number) else number for number in rows[column]]
            lost = sum(a is None and b is not None for a, b in zip(numbers, rows[column], strict=True))
            if lost:
                self.withheld[column.removeprefix(LABEL)]["personal"] += lost
                changed[column] = numbers
        for marks in marked:
            for column, (found, _) in marks.items():
                if found == "stands":
                    self.withheld[column.removeprefix(LABEL)]["personal"] += 1
        return rows.assign(**{name: pd.Series(cells, rows.index, dtype=object) for name, cells in changed.items()})

    def _kept(self, column: str, text: str) -> bool:
        """Of a label column, what one patient alone has is kept: the user asked for it, if it names nobody."""
        needed = self._needed(text)
        if column.startswith(LABEL) and needed == ENOUGH:
            return True
        return len(self._patients[column].get(text, ())) >= needed

    def _is_id(self, number: Any) -> bool:
        whole = isinstance(number, float) and number.is_integer() and abs(number) >= 1000
        return whole and _hashed(self._salt, str(float(number))) in self._coincidences

    def shown(self, name: str, value: str) -> bool:
        """Whether a value of a label column may be printed: two patients have it, and it names nobody."""
        return len(self._patients[LABEL + name].get(value, ())) >= self._needed(value)

    def _reason(self, column: str, values: Sequence[str], marks: Mapping[str, tuple[str, str]]) -> str:
        if column in marks or any(_hashed(self._salt, value) in self._coincidences for value in values):
            return "personal"
        unseen = not all(value in self._patients[column] for value in values)
        return "unlearned" if column in self._full and unseen else "rare"

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
    """Columns of the index that may hold text of a header or of the label table."""
    for name in (*_COLUMNS, *_labels(rows)):
        if name in rows and (rows[name].dtype == object or pd.api.types.is_string_dtype(rows[name])):
            yield name


def _labels(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows if str(name).startswith(LABEL)]


def _how(marks: Mapping[str, tuple[str, str]], column: str) -> str:
    return marks.get(column, ("", ""))[0]


def _marked(cell: Any) -> dict[str, tuple[str, str]]:
    if not isinstance(cell, str):
        return {}
    listed = json.loads(cell)
    # Of a column of recorded values, which may have several marks, the gravest counts.
    listed.sort(key=lambda one: _ORDER.index(one[1]), reverse=True)
    return {column: (found, hashed) for column, found, hashed in listed}
