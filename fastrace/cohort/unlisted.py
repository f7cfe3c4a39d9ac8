"""A column that groups the Patient IDs of the headers as a column of patients would, whatever it is called.

Where a table names no patient, those of the headers count. If they are fresh in every image, and a column "code" says whose
images they are, each person is many patients, and the audit reads persons for the attribute. What such a column looks like:

- each id of the headers has one value of it; values have few ids each, and many have several. A site, a scanner or a date may
  look so as well, where few patients share each;
- the ids of a value agree in sex and race (if nothing of that is known, in another label), as those of one person do, and those
  of one day or one site do not.

Nothing is decided here: the user is asked.
"""

from __future__ import annotations

import re
import shlex
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastrace.cohort.non_answers import NO_ANSWER
from fastrace.cohort.vocabulary import OF_PATIENTS, clean, plain

MIN_VALUES = 10
"""Fewer values are sites, scanners, or too little to judge by."""
MOST_IDS = 20
"""Ids of headers that a value has, on average."""
MIN_SHARE = 0.05
"""Of the values that have several ids of headers, and at most of the ids that have several values."""
_MIN_GROUPS = 3
_MIN_AGREEING = 0.5  # of what chance leaves open: 0 as among strangers, 1 as in one person
_MIN_EXPECTED = 5.0  # groups that would disagree by chance: fewer tell nothing
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_DATE = re.compile(
    r"(?:(?:1[89]|20)\d\d(?:[-/.]?(?:0?[1-9]|1[0-2])(?:[-/.]?(?:0?[1-9]|[12]\d|3[01]))?)?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d\d|\d{4}))?"
    r"[T ]*(?:\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AaPp][Mm])?|\d{6}\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
)
_EXAMPLES = 3


@dataclass(frozen=True)
class Spare:
    """Columns of a table that it uses for nothing and that may name patients.

    Attributes
    ----------
    rows : mapping
        Key -> its first row.
    codes : mapping
        Column -> number of the value of each row, -1 where missing.
    values : mapping
        Column -> its values.
    """

    rows: Mapping[str, int]
    codes: Mapping[str, Sequence[int]]
    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, keys: Sequence[str | None], columns: Mapping[str, Iterable[str]]) -> Spare:
        """Those of the columns that are neither dates nor measurements, and have values of several keys."""
        rows: dict[str, int] = {}
        for number, key in enumerate(keys):
            if key is not None:
                rows.setdefault(key, number)
        codes, values = {}, {}
        for name, cells in columns.items():
            known, of_value = _numbered(cells)
            if len(of_value) < MIN_VALUES or _measures(of_value):
                continue
            keyed = Counter(known[row] for row in rows.values())
            if sum(count > 1 for code, count in keyed.items() if code >= 0) >= _MIN_GROUPS:
                codes[name], values[name] = known, tuple(of_value)
        return cls(rows, codes, values)


def _numbered(cells: Iterable[str]) -> tuple[array[int], dict[str, int]]:
    """The number of each cell's value, -1 where missing, and of each value; each spelling is read once."""
    of_value: dict[str, int] = {}
    of_cell: dict[str, int] = {}
    known = array("i")
    for cell in cells:
        code = of_cell.get(cell)
        if code is None:
            one = clean(cell)
            code = of_cell[cell] = -1 if one is None else of_value.setdefault(one, len(of_value))
        known.append(code)
    return known, of_value


def _measures(values: Collection[str]) -> bool:
    if all(map(_DATE.fullmatch, values)):
        return True
    return all(map(_NUMBER.fullmatch, values)) and any(re.search("[.,]", one) for one in values)


class Unlisted:
    """Collects which rows an id of the headers has; state: that, 0.3 KB for each id."""

    def __init__(self, spare: Spare) -> None:
        self.spare = spare
        self._rows: dict[str, list[int]] = {}
        self._said: dict[str, tuple[tuple[str, str], ...]] = {}
        self._files = 0

    def add(self, header: str | None, key: str, said: Mapping[str, str | None]) -> None:
        """Take up an image with its id, the key of its row, and what is said of its patient by name."""
        if header is None:
            return
        self._files += 1
        rows, row = self._rows.setdefault(header, []), self.spare.rows[key]
        if row not in rows[-8:]:  # images of one id come together: a longer memory would cost more than the repetition
            rows.append(row)
        self._said.setdefault(header, tuple((name, one) for name, one in said.items() if one and one not in NO_ANSWER))

    def groups(self, column: str) -> dict[int, list[str]] | None:
        """Value -> ids of headers, where the column groups them as one of patients would."""
        codes = self.spare.codes[column]
        found: dict[int, list[str]] = {}
        many = known = 0
        for header, rows in self._rows.items():
            several = {codes[row] for row in rows} - {-1}
            known += bool(several)
            many += len(several) > 1
            if len(several) == 1:
                found.setdefault(several.pop(), []).append(header)
        grouped = sum(len(headers) > 1 for headers in found.values())
        if (
            len(found) < MIN_VALUES
            or many > MIN_SHARE * known
            or 2 * known < len(self._rows)
            or known > MOST_IDS * len(found)
            or grouped < max(_MIN_GROUPS, MIN_SHARE * len(found))
        ):
            return None
        return found if self._of_persons(column, list(found.values())) else None

    def _of_persons(self, column: str, groups: Sequence[Sequence[str]]) -> bool:
        """Whether ids of a value agree as those of one person do."""
        said = {header: dict(words) for header, words in self._said.items()}
        names = {name for words in said.values() for name in words}
        agreeing = {name: share for name in names if (share := _agreement(name, groups, said)) is not None}
        if not agreeing:  # small numbers are ages and counts as often as patients
            return not all(re.fullmatch(r"\d{1,3}", one) for one in self.spare.values[column])
        of_patients = [share for name, share in agreeing.items() if plain(name) in (*OF_PATIENTS, "sex")]
        if of_patients:
            return min(of_patients) >= _MIN_AGREEING
        return max(agreeing.values()) >= _MIN_AGREEING

    def question(self, key: str, keyed: Callable[[str], str]) -> str | None:
        """What to ask, with counts, and examples under keyed hashes; None: nothing.

        Parameters
        ----------
        key : str
            The ``KIND=COLUMN`` that joins, which has to be named beside that of the patient.
        keyed : callable
            Id -> its keyed hash: ids do not go to a terminal or a log.
        """
        found = {name: groups for name in self.spare.codes if (groups := self.groups(name)) is not None}
        if not found:
            return None
        column = min(found, key=lambda name: (len(found[name]), name))  # of patients and their studies, the patients
        groups = found[column]
        others = ", ".join(map(repr, sorted(set(found) - {column})))
        worst = sorted(groups, key=lambda code: (-len(groups[code]), code))[:_EXAMPLES]
        examples = "; ".join(
            f"{keyed(self.spare.values[column][code])} = header {', '.join(map(keyed, groups[code][:3]))}"
            + (f" and {len(groups[code]) - 3} more" if len(groups[code]) > 3 else "")
            for code in worst
        )
        options = shlex.join(["--key", key, "--key", f"patient={column}"])
        return (
            f"no column is known to name the patients, but column {column!r} groups those of the headers as one of patients "
            f"would: on {self._files} files Patient ID (0010,0020) names {sum(map(len, groups.values()))}, each has one of "
            f"{len(groups)} values, and {sum(len(one) > 1 for one in groups.values())} values have several"
            f"{f' (so do columns {others})' if others else ''}. If the column names the patients, add {options} --patient-from "
            f"table; if the headers do, add --patient-from header. By keyed hash: {examples}"
        )


def _agreement(name: str, groups: Sequence[Sequence[str]], said: Mapping[str, Mapping[str, str]]) -> float | None:
    """Share of the groups that agree, of those that would not by chance; None: too few would not."""
    words = [[said[header][name] for header in group if name in said[header]] for group in groups]
    words = [one for one in words if len(one) > 1]
    counts = Counter(word for one in words for word in one)
    total = sum(counts.values())
    alike = {size: sum((count / total) ** size for count in counts.values()) for size in set(map(len, words))}
    by_chance = sum(alike[len(one)] for one in words)
    if len(words) - by_chance < _MIN_EXPECTED:
        return None
    return (sum(len(set(one)) == 1 for one in words) - by_chance) / (len(words) - by_chance)
