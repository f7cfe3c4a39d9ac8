"""Who a patient is, where a table and the headers (or paths) of an archive each name one.

A person under two ids is on both sides of a split: a network then reads the person and the audit takes that for the attribute
(two archives of the same pixels once read "strong, AUC above .97" and "not shown"). So ids that do not agree one to one are an
error until the user says which ones count, and an image whose patient cannot be named by those is rejected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fastrace.cohort.matching import TRANSFORMATIONS, canonical
from fastrace.errors import RejectedInput, UsageError

_REMEDY = (
    "--patient-from table, --patient-from header, or --patient-from FILE (two columns: id in the header, patient; "
    "an id that it does not name stays what it is)"
)

_EXAMPLES = 3


def pattern_of(text: str) -> re.Pattern[str]:
    """The regular expression of ``--patient-pattern``: one group, which is the patient.

    Raises
    ------
    UsageError
    """
    try:
        found = re.compile(text)
    except re.error as error:
        raise UsageError(f"--patient-pattern {text}: no regular expression ({error})") from error
    if found.groups != 1:
        raise UsageError(
            f"--patient-pattern {text}: has {found.groups} groups, expected one around the patient: 'train/(patient\\d+)/'"
        )
    return found


def issuer_of(text: str | None) -> str:
    """Issuer of Patient ID (0010,0021) is typed: case and spaces do not make another one. Empty: none."""
    return "".join((text or "").casefold().split())


@dataclass(frozen=True)
class PatientFile:
    """The file of ``--patient-from``.

    Attributes
    ----------
    rows : mapping
        (id in the header, its issuer, empty in a file of two columns) -> patient.
    by_issuer : bool
        Whether it has three columns.
    """

    rows: Mapping[tuple[str, str], str] = field(default_factory=dict)
    by_issuer: bool = False

    def of(self, header: str | None, issuer: str | None) -> str | None:
        """The patient of an id, None where no row names it."""
        return self.rows.get((header or "", issuer_of(issuer) if self.by_issuer else ""))

    def called(self, header: str | None, issuer: str | None) -> str | None:
        """The patient of an id: an id that the file does not name stays what it is, one of another issuer is nobody's."""
        return self.of(header, issuer) if header in self.ids else header

    def of_row(self, cell: str | None) -> str | None:
        """Whom a label table means by an id: a patient of the file, else who an id of the headers is.

        A row about an id that is several patients stays about that id, by which no image is called.
        """
        patients = self.ids.get(cell or "", frozenset())
        return cell if cell in self.patients or len(patients) != 1 else next(iter(patients))

    @cached_property
    def ids(self) -> dict[str, frozenset[str]]:
        """Id of the headers -> its patients: several, where issuers tell them apart."""
        found: dict[str, set[str]] = {}
        for (one, _), patient in self.rows.items():
            found.setdefault(one, set()).add(patient)
        return {one: frozenset(patients) for one, patients in found.items()}

    @cached_property
    def patients(self) -> frozenset[str]:
        """All that it names."""
        return frozenset(self.rows.values())


_ISSUER = frozenset({"issuer", "issuerofpatientid", "hospital", "site", "source"})
_ID_OR_PATIENT = frozenset(
    {"id", "ids", "header", "headerid", "idinheader", "idintheheader", "dicomid", "person", "patient", "participant"}
)


def read_patients(file: Path) -> PatientFile:
    """A table of two columns, ids of the headers and patients, or of three: id, Issuer of Patient ID, patient.

    Its first line must name them in known words: were it a row, one person would be left out, or become two.

    Raises
    ------
    UsageError
        Another number of columns, a first line that is a row or may be one, an id with two patients.
    """
    from fastrace.cohort.tables import read_table  # pandas, which workers that read headers must not load
    from fastrace.cohort.vocabulary import KEYS, plain

    table = read_table(file).cells
    if len(table.columns) not in (2, 3):
        raise UsageError(
            f"{file}: has {len(table.columns)} columns, expected two (id in the header, patient) or three (id in the header, "
            "Issuer of Patient ID (0010,0021), patient)"
        )
    ids = _ID_OR_PATIENT | set(KEYS["patient"])
    known = (ids, _ISSUER, ids) if len(table.columns) == 3 else (ids, ids)
    if not all(plain(name) in words for name, words in zip(table.columns, known, strict=True)):
        names = "id,issuer,patient" if len(known) == 3 else "id,patient"
        raise UsageError(
            f"{file}: its first line does not name its columns in words that are known, and may be one of its rows: write "
            f"{names} above the rows (id: Patient ID (0010,0020) of the header)"
        )
    patients: dict[tuple[str, str], str] = {}
    for number, (one, *between, other) in enumerate(zip(*(table[name] for name in table.columns), strict=True), 2):
        of_header, patient = one.strip(), other.strip()
        place = of_header, issuer_of(between[0]) if between else ""
        if of_header and patient and patients.setdefault(place, patient) != patient:
            raise UsageError(f"{file}: row {number} gives an id of the headers another patient than a row before it")
    return PatientFile(patients, len(table.columns) == 3)


@dataclass
class Naming:
    """How table and headers name the patients of the same images; state: what was seen.

    Attributes
    ----------
    match : tuple of str
        Differences that do not count.
    pairs : Counter
        (id in the header or None, id in the table or None) -> images.
    example : dict
        Pair -> path of its first image.
    """

    match: tuple[str, ...] = ()
    pairs: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    example: dict[tuple[str | None, str | None], str] = field(default_factory=dict)

    def add(self, header: str | None, table: str | None, path: str) -> None:
        """Count an image."""
        pair = (header or None, table or None)
        self.pairs[pair] += 1
        self.example.setdefault(pair, path)

    def sides(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Id of the table -> ids of the headers, and the reverse, where both are given."""
        by_table: dict[str, list[str]] = {}
        by_header: dict[str, list[str]] = {}
        for header, table in sorted(self._together()):
            by_table.setdefault(table, []).append(header)
            by_header.setdefault(header, []).append(table)
        return by_table, by_header

    def _together(self) -> set[tuple[str, str]]:
        """Ids of one image, and ids of different images that are the same but for what ``match`` ignores."""
        found = {(header, table) for header, table in self.pairs if header is not None and table is not None}
        if self.match:
            headers: dict[str, list[str]] = {}
            for header in {header for header, _ in self.pairs if header is not None}:
                headers.setdefault(canonical(header, self.match), []).append(header)
            for table in {table for _, table in self.pairs if table is not None}:
                found |= {(header, table) for header in headers.get(canonical(table, self.match), ())}
        return found

    def other_names(self, match: Sequence[str]) -> list[tuple[str, str]]:
        """Pairs of ids that are not the same, whatever ``match`` ignores."""
        return sorted(
            (header, table)
            for header, table in self.pairs
            if header is not None and table is not None and canonical(header, match) != canonical(table, match)
        )

    @property
    def unconnected(self) -> bool:
        """Some images have one id, some the other, none both, and no id occurs on both sides: nothing says that they agree."""
        headers = {header for header, table in self.pairs if table is None and header is not None}
        tables = {table for header, table in self.pairs if header is None and table is not None}
        both = any(None not in pair for pair in self.pairs)
        return bool(headers and tables) and not both and not headers & tables

    @property
    def agrees(self) -> bool:
        """One id of the table for each of the headers, the reverse, and the same ones."""
        by_table, by_header = self.sides()
        one_to_one = all(len(ids) == 1 for ids in (*by_table.values(), *by_header.values()))
        return one_to_one and not self.other_names(self.match) and not self.unconnected

    def question(self, keyed: Callable[[str], str]) -> str:
        """What to ask the user, with counts, and examples under keyed hashes.

        Parameters
        ----------
        keyed : callable
            Id -> its keyed hash: ids do not go to a terminal or a log.
        """
        by_table, by_header = self.sides()
        images = sum(count for pair, count in self.pairs.items() if None not in pair)
        if self.unconnected:
            return (
                f"the table names the patients of {_images(self, 1)} files and the header those of {_images(self, 0)} others; no "
                f"file has both, so that a patient may have two ids. Say which ones count: {_REMEDY}"
            )
        several = sum(len(ids) > 1 for ids in by_table.values())
        reverse = sum(len(ids) > 1 for ids in by_header.values())
        facts = (
            f"on {images} files the table names {len(by_table)} patients and Patient ID (0010,0020) of the header "
            f"{len(by_header)}: "
            f"{several} ids of the table have several in the headers, {reverse} of the headers several in the table, "
            f"{len(self.other_names(()))} pairs are written differently"
        )
        if self.match:
            facts += f", {len(self.other_names(self.match))} of them in more than --match ignores"
        examples = "; ".join(self._examples(keyed))
        return f"{facts}. Say which ones count: {_REMEDY}. {self._alike(bool(several or reverse))}By keyed hash: {examples}"

    def _alike(self, several: bool) -> str:
        """Whether the two differ only in how they are written."""
        different = self.other_names(self.match)
        for names in ([name] for name in TRANSFORMATIONS if name not in self.match):
            if different and not several and not self.other_names((*self.match, *names)):
                return f"All would agree if {TRANSFORMATIONS[names[0]][0]} were ignored: or add --match {names[0]}. "
        return ""

    def _examples(self, keyed: Callable[[str], str]) -> list[str]:
        """The first of what does not agree: ids with several on the other side, then pairs that are not the same."""
        by_table, by_header = self.sides()
        said = [
            f"table {keyed(table)} = header {_several(by_table[table], keyed)}{self._path(by_table[table][0], table)}"
            for table in _worst(by_table)
        ] + [
            f"header {keyed(header)} = table {_several(by_header[header], keyed)}{self._path(header, by_header[header][0])}"
            for header in _worst(by_header)
        ]
        pairs = [] if said else self.other_names(self.match)[:_EXAMPLES]
        said += [f"table {keyed(table)} = header {keyed(header)}{self._path(header, table)}" for header, table in pairs]
        return said[:_EXAMPLES]

    def _path(self, header: str, table: str) -> str:
        path = self.example.get((header, table))
        return "" if path is None else f" ({path})"

    def without(self, tables: Container[str]) -> Naming:
        """The same without the images of some ids of the table."""
        kept = Counter({pair: count for pair, count in self.pairs.items() if pair[1] is None or pair[1] not in tables})
        return Naming(self.match, kept, self.example)


def _worst(ids: Mapping[str, list[str]]) -> list[str]:
    several = [one for one, others in ids.items() if len(others) > 1]
    return sorted(several, key=lambda one: (-len(ids[one]), one))[:_EXAMPLES]


def _several(ids: Sequence[str], keyed: Callable[[str], str]) -> str:
    more = f" and {len(ids) - _EXAMPLES} more" if len(ids) > _EXAMPLES else ""
    return ", ".join(map(keyed, ids[:_EXAMPLES])) + more


def _images(naming: Naming, side: int) -> int:
    return sum(count for pair, count in naming.pairs.items() if pair[side] is not None)


@dataclass(frozen=True)
class Patients:
    """Names the patient of an image.

    Attributes
    ----------
    source : "agreed" | "table" | "header" | "file"
    of_header, of_table : mapping
        Id of the header -> the one id of the table that it has, and the reverse: for images that lack one of them.
    of_file : PatientFile
        Id of the header -> patient.
    """

    source: str = "agreed"
    of_header: Mapping[str, str] = field(default_factory=dict)
    of_table: Mapping[str, str] = field(default_factory=dict)
    of_file: PatientFile = PatientFile()

    @classmethod
    def choose(cls, source: str | None, naming: Naming) -> Patients:
        """From what was seen; ``source`` None where the ids agree."""
        by_table, by_header = naming.sides()
        of_header = {header: tables[0] for header, tables in by_header.items() if len(tables) == 1}
        of_table = {table: headers[0] for table, headers in by_table.items() if len(headers) == 1}
        return cls(source or "agreed", of_header, of_table)

    def of(self, header: str | None, table: str | None, issuer: str | None = None) -> str:
        """The patient of an image.

        Raises
        ------
        RejectedInput
            ``no_patient``.
        """
        header, table = header or None, table or None
        if self.source == "file":
            found = self.of_file.called(header, issuer)
            what = "its Patient ID (0010,0020) is empty, which no row of the file of --patient-from names"
            if header is not None:
                what = (
                    "the file of --patient-from names its Patient ID (0010,0020), but not with its Issuer of Patient ID "
                    "(0010,0021)"
                )
        elif self.source == "table":
            found = table or self.of_header.get(header or "")
            what = "the label table names no patient for it, and --patient-from is table"
        elif self.source == "header":
            found = header or self.of_table.get(table or "")
            what = "its Patient ID (0010,0020) is empty or names nobody, and --patient-from is header"
        else:
            found = header or self.of_table.get(table or "", table)
            what = (
                "no Patient ID (0010,0020) that names somebody and no patient column in the label table; splits must be made by "
                "patient: give a table with a patient column, or --patient-pattern"
            )
        if not found:
            raise RejectedInput("no_patient", what)
        return found


AGREED = Patients()
"""Table and headers name the same patients, or one of them names none."""
