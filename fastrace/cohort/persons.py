"""Whether one id is one person: what the headers and the label table say of sex, age, birth and issuer is compared.

A Patient ID is unique within its issuer (PS3.3 C.7.1.1: Issuer of Patient ID (0010,0021)): 1001 of two hospitals is two persons.
Two persons under one id, or the table of another hospital whose ids happen to exist here, look like a perfect join. So ids of
several issuers are an error until the user says who they are, and a table that contradicts the headers of most patients in sex
or age until the user says which of them is right. Everything else is counted, and no value leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from dataclasses import asdict, dataclass

from fastrace.cohort.ages import OLDEST_YEARS
from fastrace.cohort.matching import spelled_alike
from fastrace.cohort.patients import Patients, issuer_of
from fastrace.errors import RejectedInput

YEARS_APART = 2.0
"""Ages that differ by more are of two persons: one may be that at the visit and one that at the end of the year."""
MIN_COMPARED = 10
"""Patients below which a majority is no reason to stop."""
_SEXES = frozenset({"M", "F"})
_EXAMPLES = 3


@dataclass(frozen=True)
class PersonFacts:
    """What is known of the person of one image; None: not said.

    Attributes
    ----------
    header, issuer, table : str or None
        Patient ID of the header (or of the path), its issuer, and the patient's id in the table.
    sex, table_sex : str or None
        M, F or O.
    age, table_age : float or None
        Years.
    birth_day : int or None
        Any number that stands for a date.
    """

    header: str | None
    issuer: str | None = None
    table: str | None = None
    sex: str | None = None
    age: float | None = None
    birth_day: int | None = None
    table_sex: str | None = None
    table_age: float | None = None


@dataclass(slots=True)
class _Person:
    """State: what was said of the images of one id, in 0.1 KB: archives have millions of them."""

    example: str = ""  # a path, where an issuer is given: of the others none is shown
    images: int = 0
    sex: str | None = None
    birth_day: int | None = None
    several: bool = False  # sexes or birth dates
    same_sex: bool | None = None  # in header and table, None: not compared
    years: float | None = None  # the least between header and table

    def add(self, said: PersonFacts) -> None:
        sex = said.sex if said.sex in _SEXES else None
        compared = sex is not None and said.table_sex in _SEXES
        years = None
        if said.age is not None and said.table_age is not None:
            years = abs(min(said.age, OLDEST_YEARS) - min(said.table_age, OLDEST_YEARS))
        self.join(_Person("", 1, sex, said.birth_day, False, sex == said.table_sex if compared else None, years))

    def join(self, other: _Person) -> None:
        self.images += other.images
        self.several |= other.several or _differ(self.sex, other.sex) or _differ(self.birth_day, other.birth_day)
        self.sex, self.birth_day = self.sex or other.sex, self.birth_day or other.birth_day
        if other.same_sex is not None:
            self.same_sex = other.same_sex and self.same_sex is not False
        if other.years is not None:
            self.years = other.years if self.years is None else min(self.years, other.years)


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _one_person(persons: Collection[_Person], *, exact: bool) -> bool:
    """Whether ids that are alike may be taken for one person; ``exact``: the table has one of them as it is written."""
    together = _Person()
    for person in persons:
        together.join(person)
    known = all(person.birth_day is not None for person in persons)
    return not together.several and (known or not exact)


@dataclass(frozen=True)
class Doubts:
    """How many patients give reason to ask whether each is one person.

    Attributes
    ----------
    other_birth_or_sex : int
        Patients whose headers have different birth dates, or both M and F.
    several_issuers : int
        Patient IDs of several issuers, about which the user has said who they are.
    sex_compared, sex_differs, age_compared, age_differs : int
        Patients whose header and row of the label table both say it, and those where they differ.
    alike : int
        Patients whose name differs from another one's in leading zeros, `.0` or case alone.
    shared_rows : int
        Rows of a label table, but those about images, whose images are of several patients: no image gets their labels.
    in_file, not_in_file : int
        Patient IDs that the file of ``--patient-from`` names, and others.
    shared_studies, shared_pixels, shared_pixels_other_labels : int
        Studies that several patients of the dataset have, identical images, and those of them with different labels.
    """

    other_birth_or_sex: int = 0
    several_issuers: int = 0
    sex_compared: int = 0
    sex_differs: int = 0
    age_compared: int = 0
    age_differs: int = 0
    alike: int = 0
    shared_rows: int = 0
    in_file: int = 0
    not_in_file: int = 0
    shared_studies: int = 0
    shared_pixels: int = 0
    shared_pixels_other_labels: int = 0

    @property
    def other_table(self) -> bool:
        """Whether the table contradicts most patients: is it that of this archive?"""
        pairs = ((self.sex_differs, self.sex_compared), (self.age_differs, self.age_compared))
        return any(compared >= MIN_COMPARED and 2 * differs > compared for differs, compared in pairs)

    def as_json(self) -> dict[str, int]:
        """For ``dataset.json``."""
        return asdict(self)

    def lines(self, kept: str = "header") -> list[str]:
        """Sentences for the summary and the datasheet; ``kept``: whose sex and age are in the index."""
        said = []
        one = "if that is one person, --patient-from FILE with another --out"
        if self.shared_studies:
            said.append(
                f"{self.shared_studies} studies have images of several patients, though a study is of one (PS3.3 A.1.2): {one}"
            )
        if self.shared_pixels:
            said.append(
                f"{self.shared_pixels} images are those of several patients, pixel by pixel, "
                f"{self.shared_pixels_other_labels} of them with different labels: {one}"
            )
        if self.other_birth_or_sex:
            said.append(
                f"{self.other_birth_or_sex} Patient IDs have headers with different birth dates or sexes: is each one person?"
            )
        if self.several_issuers:
            said.append(
                f"{self.several_issuers} Patient IDs have several issuers (Issuer of Patient ID (0010,0021)): who they are is as "
                "--patient-from says"
            )
        if self.sex_differs or self.age_differs:
            said.append(f"{self.differences()}: the {kept}'s is kept")
        if self.shared_rows:
            said.append(
                f"{self.shared_rows} rows of the label table fit images of several patients: none of these images gets a label "
                "(ambiguous_patient)"
            )
        if self.not_in_file:
            said.append(
                f"{self.not_in_file} of {self.in_file + self.not_in_file} Patient IDs are not in the file of --patient-from, "
                "and stay what they are"
            )
        if self.alike:
            said.append(
                f"{self.alike} Patient IDs differ from another one in leading zeros, '.0' or upper and lower case alone, and are "
                "patients of their own: if two are one person, --patient-from FILE with another --out"
            )
        return said

    def differences(self) -> str:
        """How often header and table contradict each other."""
        sex = f"sex of {self.sex_differs} of {self.sex_compared} patients"
        age = f"age of {self.age_differs} of {self.age_compared} patients (by more than {YEARS_APART:g} years)"
        compared = ((sex, self.sex_compared), (age, self.age_compared))
        return f"{', '.join(words for words, number in compared if number)} differs between header and table"


class Persons:
    """Collects what is said of the images of each id; state: that."""

    def __init__(self) -> None:
        self._by_ids: dict[tuple[str | None, str, str | None], _Person] = {}

    def add(self, said: PersonFacts, path: str) -> None:
        """Take up an image; one without any id is of nobody."""
        header, table = said.header or None, said.table or None
        if header is None and table is None:
            return
        issuer = issuer_of(said.issuer)
        self._by_ids.setdefault((header, issuer, table), _Person(path if issuer else "")).add(said)

    def _issuers(self, *, by_table: bool, named: Container[str] = ()) -> dict[str, list[str]]:
        """Ids of headers of several issuers -> a path for each.

        ``by_table``: but for those whose images the table all names; ``named``: for those of the file of ``--patient-from``.
        """
        issuers: dict[str, dict[str, str]] = {}
        unnamed: set[str] = set()
        for (header, issuer, table), person in self._by_ids.items():
            if header is not None:
                issuers.setdefault(header, {}).setdefault(issuer, person.example)
                if table is None:
                    unnamed.add(header)
        found = {header: [path for one, path in paths.items() if one] for header, paths in issuers.items()}
        return {
            header: paths
            for header, paths in found.items()
            if len(paths) > 1 and header not in named and (not by_table or header in unnamed)
        }

    def question(
        self, keyed: Callable[[str], str], *, by_table: bool = False, named: Container[str] = ()
    ) -> str | None:
        """What to ask about ids of several issuers, with counts, and examples under keyed hashes; None: nothing.

        Parameters
        ----------
        keyed : callable
            Id -> its keyed hash: ids do not go to a terminal or a log.
        by_table : bool
            Whether an image that the table names a patient for has that one.
        named : container of str
            Ids about which the file of ``--patient-from`` says who they are.
        """
        found = self._issuers(by_table=by_table, named=named)
        if not found:
            return None
        files = sum(person.images for (header, _, _), person in self._by_ids.items() if header in found)
        examples = "; ".join(f"{keyed(one)} ({', '.join(found[one][:2])})" for one in sorted(found)[:_EXAMPLES])
        return (
            f"{len(found)} Patient IDs (0010,0020) on {files} files have several issuers (Issuer of Patient ID (0010,0021)): "
            "each may be several persons. Say who they are: --patient-from FILE (three columns: id in the header, issuer, "
            f"patient; or two, id and patient, where each is one person). By keyed hash: {examples}"
        )

    def strangers(self) -> frozenset[str]:
        """Ids of a table of patients that are those of several headers but for how they are written, not of one person.

        00003 and 3 are two persons where sex or birth date differ. Where no birth date tells, and the row is written as one of
        them is, it is that one's, or was meant for the other: nobody knows.
        """
        by_table: dict[str, dict[str, _Person]] = {}
        for (header, _, table), person in self._by_ids.items():
            if header is not None and table is not None:
                by_table.setdefault(table, {}).setdefault(header, _Person()).join(person)
        return frozenset(
            table
            for table, headers in by_table.items()
            if len(headers) > 1 and not _one_person(headers.values(), exact=table in headers)
        )

    def doubts(self, patients: Patients) -> Doubts:
        """Counts over the patients that `patients` names."""
        persons: dict[str, _Person] = {}
        of_headers: set[str] = set()  # spellings of the others are said of the table (`fastrace.cohort.row_patients`)
        for (header, issuer, table), person in self._by_ids.items():
            try:
                name = patients.of(header, table, issuer)
            except RejectedInput:
                continue  # its images are no rows of the dataset
            if header is not None:
                of_headers.add(name)
            persons.setdefault(name, _Person()).join(person)
        listed = {header: header in patients.of_file.ids for header, _, _ in self._by_ids if header is not None}
        sexes = [one.same_sex for one in persons.values() if one.same_sex is not None]
        years = [one.years for one in persons.values() if one.years is not None]
        return Doubts(
            other_birth_or_sex=sum(one.several for one in persons.values()),
            several_issuers=len(self._issuers(by_table=patients.source == "table")),
            sex_compared=len(sexes),
            sex_differs=sexes.count(False),
            age_compared=len(years),
            age_differs=sum(one > YEARS_APART for one in years),
            alike=spelled_alike(of_headers, ("decimals", "case", "zeros")),
            in_file=sum(listed.values()),
            not_in_file=sum(not one for one in listed.values()) if patients.source == "file" else 0,
        )
