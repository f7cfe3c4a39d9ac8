"""Which texts of headers may be in a dataset: words of the standard, and what several patients have.

A field of a device should hold words of the device, but people type into it. What one patient alone has says who that is, so
a text is kept only if two patients have it; what repeats a name, number or date of its own header (`fastrace.dicom.identity`)
is not kept in that row, and counts as known elsewhere only where ten times as many patients have it without such a
coincidence: PHILIPS is a maker although a Mr Philips was examined. A value of a label table is a term for all where 11 patients
have it whose own header does not hold it (Blanco is a race although a Ms Blanco was examined), or 100 if it is a name of ten or
more; but never where it is a place of a header: that is the place of all its patients. The whole name of anybody in the archive
is treated alike. Words of the standard (`fastrace.dicom.terms`) need no learning. An archive with one patient, or with one
patient for each scanner, keeps the words of the standard alone.

Two passes over the parts of a run: `see` them all, then `apply` to each. Memory does not grow with the images: of every value
up to a hundred patients are remembered, of every column up to ten thousand values; later ones do not become known. Of names
a hash of 8 bytes is remembered.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.cohort.vocabulary import of_person
from fastrace.console.words import MIN_CELL
from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.dicom.identity import Withheld
from fastrace.dicom.name_forms import full_name
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
_TITLE = re.compile(r"\b(?:mr\.|mrs\b|herr|frau|prof\b)\.? *[^\W\d_]", re.I)  # MR alone is a modality
_KEYS = ("image_key", "patient_key", "study_key", "pixel_hash", "institution_key", "thumbnail_hash")
_MOST_PATIENTS = 100
_NOT_WITHOUT = ("stands", "place", "glued")  # such a patient has the value because of the own header
_FEWEST_IDS = 3  # patients whose number is their id, before a whole column is one of ids
_CLASS = 3  # patients who make a value a class
_REMARK = 4  # words from which on a cell of a column of persons may be a sentence ("Refused by the wife of")
_Marks = Mapping[str, Sequence[tuple[str, str]]]  # column -> how a value of its cell repeats the header, its keyed hash
_MOST_VALUES = 10_000
# Known words where a header gave them, but a label table may have filled them with anything.
_OF_TABLES = ("modality", "view", "laterality", "official_split")
_COLUMNS = tuple(name for name in INDEX_COLUMNS if name in _OF_TABLES or name not in (*_KEYS, *OURS))


def part_cell(salt: bytes, withheld: Sequence[Withheld]) -> str | None:
    """The cell ``withheld`` of a part: column, how, and a keyed hash of the value; None for nothing."""
    if not withheld:
        return None
    return json.dumps([[one.column, one.found, _hashed(salt, one.value)] for one in withheld])


def part_names(salt: bytes, names: Iterable[str]) -> str | None:
    """The cell ``names`` of a part: keyed hashes of whole names; None for nothing."""
    hashes = sorted(name_hash(salt, name) for name in names)
    return json.dumps(hashes) if hashes else None


def name_hash(salt: bytes, name: str) -> str:
    """A keyed hash of a whole name, 16 hex digits."""
    return keyed_hash(salt, "name", name)[:16]


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
        columns = {} if labels is None else labels.columns
        self._numeric = {LABEL + name for name, kind in columns.items() if kind == "numeric"}
        self._patients: dict[str, dict[str, set[int]]] = defaultdict(dict)  # column -> value -> who has it
        self._coincidences: dict[str, set[int]] = {}  # keyed hash of a value -> patients whose header it repeats
        self._places: set[str] = set()  # keyed hashes of values that are a place of some header
        self._names: set[int] = set()  # keyed hashes of the whole names in all headers
        self._own: dict[str, dict[str, set[int]]] = defaultdict(dict)  # label column -> keyed hash -> whom it repeats
        # Label column of numbers -> patient -> whether it is an id.
        self._ids: dict[str, dict[int, bool]] = defaultdict(dict)
        self._full: set[str] = set()  # columns with more values than are remembered
        self._allowed: dict[str, frozenset[str]] = {}
        self._texts_of: dict[str, dict[str, str]] = {}

    def see(self, rows: pd.DataFrame) -> None:
        """Learn from the rows of a part: ``outcome``, ``patient_key``, ``withheld``, ``names`` and the columns of the index."""
        self._allowed, self._texts_of = {}, {}
        kept = rows[rows["outcome"] == "indexed"]
        owners = [int(key[:15], 16) for key in kept["patient_key"]]
        marked = [_marked(cell) for cell in kept["withheld"]]
        for cell in kept["names"].dropna() if "names" in kept else ():
            self._names.update(int(name, 16) for name in json.loads(cell))
        for owner, marks in zip(owners, marked, strict=True):
            for column, several in marks.items():
                for found, hashed in several:
                    self._coincide(column, found, hashed, owner)
        for column in _texts(kept):
            values = self._patients[column]
            for owner, value, marks in zip(owners, kept[column], marked, strict=True):
                own = _own(marks, column)
                for text in self._unknown(column, value):
                    if own and own.get(_hashed(self._salt, text)) in _NOT_WITHOUT:
                        continue
                    if not self._remember(values, text, owner, _MOST_PATIENTS):
                        self._full.add(column)
        for column in set(_labels(kept)) - (set(_texts(kept)) - self._numeric):
            is_id = self._ids[column]
            for owner, number, marks in zip(owners, kept[column], marked, strict=True):
                if (column in marks or not pd.isna(number)) and (owner in is_id or len(is_id) < _MOST_VALUES):
                    is_id[owner] = is_id.get(owner, False) or column in marks

    def _coincide(self, column: str, found: str, hashed: str, owner: int) -> None:
        """Remember that a value repeats something of the header of a patient."""
        if found in _NOT_WITHOUT:
            self._remember(self._coincidences, hashed, owner, COMMON)
            if column.startswith(LABEL):
                self._remember(self._own[column], hashed, owner, _MOST_PATIENTS)
        if found == "place" and len(self._places) < _MOST_VALUES:
            self._places.add(hashed)

    def _said(self, column: str, value: Any) -> list[str]:
        """The texts of a cell: one, or all those of a column of recorded values."""
        if not isinstance(value, str):
            return []
        words = self._words.get(column)
        return [value] if words is None else [words[int(code)] for code in dict.fromkeys(value.split(","))]

    def _unknown(self, column: str, value: Any) -> list[str]:
        """Those that are no known terms."""
        if not column.startswith(LABEL):
            return [text for text in self._said(column, value) if not is_term(column, text)]
        return [text for text in self._said(column, value) if text not in self._terms.get(column, ())]

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
                value
                for value, patients in self._patients[column].items()
                if len(patients) >= self._needed(column, value)
            )
        return self._allowed[column]

    def _needed(self, column: str, value: str) -> float:
        """How many patients must have a value whose own header does not hold it."""
        hashed = _hashed(self._salt, value)
        whose = len(self._coincidences.get(hashed, ()))
        if len(self._coincidences) >= _MOST_VALUES:  # no more are remembered: any value may have some
            return _MOST_PATIENTS
        if not column.startswith(LABEL):
            return max(ENOUGH, COMMON * whose)
        if hashed in self._places:
            return math.inf
        if not whose and not self._is_somebody(value):
            return ENOUGH
        return MIN_CELL if whose < COMMON else _MOST_PATIENTS

    def _is_somebody(self, value: str) -> bool:
        """Whether a text is the whole name of anybody in the headers: a row of the table that stands one too low."""
        name = full_name(value) if self._names else ""
        return bool(name) and int(name_hash(self._salt, name), 16) in self._names

    def apply(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with None for what is not known; counts it in `withheld`. ``rows`` stays as it is."""
        marked = [_marked(cell) for cell in rows["withheld"]]
        changed: dict[str, list[Any]] = {}
        texts = set(_texts(rows)) - self._numeric
        for column in texts:
            changed[column] = [self._cell(column, *cell) for cell in zip(rows[column], marked, strict=True)]
        for column in set(_labels(rows)) - texts:  # numbers: an id may be that of the patient before
            numbers = [None if self._is_id(column, number) else number for number in rows[column]]
            lost = sum(a is None and not pd.isna(b) for a, b in zip(numbers, rows[column], strict=True))
            if lost:
                self.withheld[column.removeprefix(LABEL)]["personal"] += lost
                changed[column] = numbers
        for marks in marked:
            for column, several in marks.items():
                counted = column in texts and column.startswith(LABEL)  # cell by cell
                if not counted and any(_out(found) for found, _ in several):
                    self.withheld[column.removeprefix(LABEL)]["personal"] += 1
        return rows.assign(**{name: pd.Series(cells, rows.index, dtype=object) for name, cells in changed.items()})

    def _cell(self, column: str, value: Any, marks: _Marks) -> Any:
        """A text as the index has it; counts what is left out."""
        own = _own(marks, column)
        if column.startswith(LABEL) and own and not isinstance(value, str):
            value = next((self._again(column, hashed) for hashed, found in own.items() if _out(found)), None)
            if value is None:
                self.withheld[column.removeprefix(LABEL)]["personal"] += 1
            return value
        unknown = self._unknown(column, value)
        known = all(self._kept(column, text) for text in unknown)
        if known and own:
            for text in self._said(column, value):
                how = own.get(_hashed(self._salt, text))
                without = len(self._patients[column].get(text, ()))
                known &= (
                    without >= COMMON if how == "shared" else not _out(how) or without >= self._needed(column, text)
                )
        if not known:
            self.withheld[column.removeprefix(LABEL)][self._reason(column, unknown, marks)] += 1
        return value if known and not pd.isna(value) else None

    def _again(self, column: str, hashed: str) -> str | None:
        """A value that was taken out of its cell, where it has turned out to be a term."""
        if column not in self._texts_of:
            self._texts_of[column] = {_hashed(self._salt, text): text for text in self.allowed(column)}
        return self._texts_of[column].get(hashed)

    def _kept(self, column: str, text: str) -> bool:
        """Of a label column, what one patient alone has is kept: the user asked for it, if it names nobody and is no remark."""
        needed = self._needed(column, text)
        if column.startswith(LABEL) and needed == ENOUGH and not _is_remark(column, text):
            return True
        return len(self._patients[column].get(text, ())) >= needed

    def _is_id(self, column: str, number: Any) -> bool:
        is_id = self._ids[column].values()
        if sum(is_id) >= max(_FEWEST_IDS, len(is_id) / 2):
            return True
        whole = isinstance(number, float) and number.is_integer() and abs(number) >= 1000
        return whole and _hashed(self._salt, str(float(number))) in self._coincidences

    def shown(self, name: str, value: str) -> bool:
        """Whether a value of a label column may be printed: two patients have it, and it names nobody."""
        return len(self._patients[LABEL + name].get(value, ())) >= self._needed(LABEL + name, value)

    def lines(self) -> list[str]:
        """Label columns that lost a whole class, or all of their numbers; never a value."""
        said = []
        for column, values in sorted(self._own.items()):
            if column in self._numeric or column in self._words:  # the column of what was recorded loses them too
                continue
            hashes = {_hashed(self._salt, text): owners for text, owners in self._patients[column].items()}
            lost = [
                owners | hashes.get(hashed, set())
                for hashed, owners in values.items()
                if self._again(column, hashed) is None
            ]
            classes = [len(owners) for owners in lost if len(owners) >= _CLASS]
            if classes:
                what = f"a value of {classes[0]}" if len(classes) == 1 else f"{len(classes)} values, of {sum(classes)}"
                said.append(
                    f"labels: column {column.removeprefix(LABEL)!r}: {what} patients is missing, since it is also a name, a "
                    "place or an id in the header of some of them: if it names nobody, say so with a category map (--categories "
                    "FILE)"
                )
        for column, is_id in sorted(self._ids.items()):
            if sum(is_id.values()) >= max(_FEWEST_IDS, len(is_id) / 2):
                said.append(
                    f"labels: column {column.removeprefix(LABEL)!r} is missing: its numbers are ids or dates of their images for "
                    "half of the patients or more"
                )
        return said

    def _reason(self, column: str, values: Sequence[str], marks: _Marks) -> str:
        if column in marks or any(
            _hashed(self._salt, value) in self._coincidences or self._is_somebody(value) for value in values
        ):
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


def _is_remark(column: str, text: str) -> bool:
    """Whether a cell reads like a sentence about somebody: the title of a person, or four words in a column of race, sex, ..."""
    if _TITLE.search(text):
        return True
    return of_person(column.removeprefix(LABEL)) and len(re.findall(r"[^\W\d_]+", text)) >= _REMARK


def _own(marks: _Marks, column: str) -> dict[str, str]:
    """Keyed hash of a value of a cell -> how it repeats its own header."""
    return {hashed: found for found, hashed in marks.get(column, ())}


def _out(found: str | None) -> bool:
    """Whether it is taken out of its own cell."""
    return found in ("stands", "place")


def _marked(cell: Any) -> _Marks:
    marks: dict[str, list[tuple[str, str]]] = {}
    for column, found, hashed in json.loads(cell) if isinstance(cell, str) else ():
        marks.setdefault(column, []).append((found, hashed))
    return marks
