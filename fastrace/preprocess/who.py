"""Before anything is written: who are the patients, and is each one person? A pass over headers alone.

It asks where table and headers name different patients (`fastrace.cohort.patients`), where one Patient ID has several issuers,
where the table contradicts the headers of most patients (`fastrace.cohort.persons`), and where a column that is not known to
name patients looks as if it did (`fastrace.cohort.unlisted`). Raster files have no header: eight bytes of them are read.

A row by accession or study whose images turn out to be of two patients labels nobody, nor does one that ``--match`` gives to two
persons (`Who.shared`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastrace.cohort.labels import Labels, Row
from fastrace.cohort.patients import Naming, Patients, read_patients
from fastrace.cohort.person_columns import by_person
from fastrace.cohort.persons import Doubts, PersonFacts, Persons
from fastrace.cohort.unlisted import Unlisted
from fastrace.cohort.vocabulary import FACTS, plain
from fastrace.console.progress import Progress
from fastrace.dataset import keyed_hash
from fastrace.errors import RejectedInput, UsageError
from fastrace.execute.processes import Processes
from fastrace.execute.protocol import Work
from fastrace.preprocess.identify import Identifiers
from fastrace.preprocess.label_rows import LabelRows
from fastrace.preprocess.nobody import Either
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.store import private_folder
from fastrace.preprocess.task import LIMIT_BYTES_PER_SECOND, LIMIT_SECONDS, Settings

_FILES_PER_TASK = 64  # 0.9 ms each: less than the time to hand over a task would not pay; paths must fit into a pipe
_FILES_PER_WORKER = 1024  # a worker takes 0.8 s of a processor to start, as long as it reads these
_FILES_HERE = 256
"""Up to so many are read in this process: 0.2 s, where the first worker takes 0.8 to start. Parsing a header runs no codec."""
_OF_ONE_PATIENT = frozenset({"study", "accession"})
"""Kinds of keys that belong to one patient, beside patients with --match; rows about images are compared at the end."""
_Ids = tuple[str | None, str | None, str | None]
_RASTER_BYTES = 8  # enough to tell PNG, JPEG and TIFF


@dataclass(frozen=True)
class _Task:
    """Places in the scan, paths and sizes."""

    files: tuple[tuple[int, str, int], ...]


class Who:
    """Collects how headers and table name and describe the patients; state: what was seen."""

    def __init__(self, job: Job, labels: Labels | None, sources: Sequence[Source] = ()) -> None:
        self._job, self._labels = job, labels
        self._rows = None if labels is None else LabelRows(labels, sources)
        file = job.join.patients_file
        self._file = None if file is None else read_patients(file)
        self._identifiers = Identifiers(job.join.patient_pattern, self._file)
        self._naming, self._persons = Naming(job.join.match), Persons()
        self._either = Either()
        answered = job.join.patient_from is not None or job.join.patient_pattern is not None
        spare = None if labels is None or answered else labels.spare
        self._unlisted = None if spare is None else Unlisted(spare)
        # Key of a row -> ids of its images: header, table, issuer; the tuple of one is shared by all rows of a patient.
        self._of_keys: dict[str, tuple[_Ids, ...]] = {}
        self._ids: dict[_Ids, tuple[_Ids, ...]] = {}

    def see(self, source: Source, facts: Mapping[str, Any]) -> PersonFacts:
        """Take up an image; returns what is known of its person.

        Raises
        ------
        RejectedInput
            It will be no row of the dataset.
        """
        found = self._identifiers.of(source, facts)
        header = self._identifiers.patient(source, facts)
        row: Row = {}
        table = None
        if self._labels is not None and self._rows is not None:
            key, row = self._rows.find(source, found)
            in_table = key if self._labels.key == "patient" else row.get("patient_id")
            table = None if in_table is None else str(in_table)
            ids = header, table, facts.get("issuer")
            if self._labels.key in _OF_ONE_PATIENT or _alike(self._labels) or self._labels.persons:
                before = self._of_keys.setdefault(key, self._ids.setdefault(ids, (ids,)))
                if ids not in before:
                    self._of_keys[key] = (*before, ids)
            if self._unlisted is not None:
                self._unlisted.add(header, key, _by_name(self._labels, row, facts))
        if self._labels is not None and can_differ(self._labels):
            self._naming.add(header, table, source.path)
        of_header = self._job.join.patient_pattern is None
        said = PersonFacts(
            header,
            facts.get("issuer") if of_header else None,
            table,
            facts.get("sex"),
            facts.get("age_years"),
            facts.get("birth_day"),
            _sex(row),
            _age(row, self._labels),
        )
        self._persons.add(said, source.path)
        self._either.add(said, source.path)
        return said

    def offer(self, source: Source, facts: Mapping[str, Any]) -> str | None:
        """Options that would join an image that has no row."""
        return None if self._labels is None else self._labels.offers.of(self._identifiers.of(source, facts))

    def patients(self) -> Patients:
        """Who the patient of an image is."""
        join = self._job.join
        if self._file is not None:
            return Patients("file", of_file=self._file)
        if self._labels is None or not can_differ(self._labels):
            return Patients(join.patient_from or "agreed")
        return Patients.choose(join.patient_from, self._settled())

    def _settled(self) -> Naming:
        """How table and headers name the patients, without rows that label nobody: about those nothing has to be asked."""
        return self._naming.without(self._strangers())

    def _strangers(self) -> frozenset[str]:
        """Rows of patients that ``--match`` gives to several persons; the file of ``--patient-from`` knows who they are."""
        asked = self._labels is not None and _alike(self._labels) and self._file is None
        return self._persons.strangers() if asked else frozenset()

    def doubts(self) -> Doubts:
        """How many patients may be several persons, or other ones than the table's."""
        return replace(self._persons.doubts(self.patients()), shared_rows=len(self.shared()))

    def shared(self) -> frozenset[str]:
        """Keys whose images are of several patients, where a row is about one: whose labels they are cannot be known."""
        if self._labels is None or not (self._labels.key in _OF_ONE_PATIENT or _alike(self._labels)):
            return frozenset()
        patients = self.patients()
        several = ((key, ids) for key, ids in self._of_keys.items() if len(ids) > 1)
        return self._strangers() | {key for key, ids in several if len(_named(patients, ids)) > 1}

    def labels(self) -> Labels | None:
        """The table, in which those rows are about nobody, and what a person has once is decided over all of the person's."""
        if self._labels is None:
            return None
        patients = self.patients()
        names = {one: _named(patients, one) for one in set(self._of_keys.values())}
        of_key = {key: next(iter(names[ids])) for key, ids in self._of_keys.items() if len(names[ids]) == 1}
        return by_person(self._labels, of_key).of_several_patients(self.shared())

    def questions(self) -> list[str]:
        """What the user has to answer first."""
        join, labels, keyed = self._job.join, self._labels, _keyed(self._job)
        asked = []
        naming = self._settled()
        if labels is not None and can_differ(labels) and join.patient_from is None and not naming.agrees:
            asked.append(f"{join.labels}: {naming.question(keyed)}")
        if labels is not None and self._unlisted is not None:
            question = self._unlisted.question(f"{labels.key}={labels.column}", keyed)
            asked += [f"{join.labels}: {question}"] if question else []
        by_table = join.patient_from == "table" and labels is not None and labels.key != "patient"
        question = self._persons.question(keyed, by_table=by_table, named=self._file.ids if self._file else ())
        asked += [question] if question else []
        if join.patient_from is None:
            question = self._either.question()
            asked += [question] if question else []
        doubts = self.doubts()
        if doubts.not_in_file and not doubts.in_file:
            asked.append(
                f"{join.patients_file}: names none of {doubts.not_in_file} Patient IDs of the headers: is it the right file, "
                "with the id in the header first?"
            )
        if doubts.other_table and join.sex_and_age_from is None:
            asked.append(
                f"{join.labels}: {doubts.differences()}: is it the table of this archive? If not, name the right one, or another "
                "--key; if it is, say whose sex and age count: --sex-and-age-from header or --sex-and-age-from table"
            )
        return asked


@dataclass(frozen=True)
class Known:
    """Who the patient of an image is, how many may not be one person, and the label table for the run."""

    patients: Patients
    doubts: Doubts
    labels: Labels | None = None


def who_of(job: Job, labels: Labels | None, sources: Sequence[Source], progress: Progress) -> Known:
    """Read the headers and compare them with the table.

    Raises
    ------
    UsageError
        Something must be answered by the user.
    """
    who = Who(job, labels, sources)
    for number, facts in headers(job, sources, progress):
        try:
            who.see(sources[number], facts)
        except RejectedInput:
            continue  # it will be no row of the dataset
    for question in who.questions():
        raise UsageError(question)
    return Known(who.patients(), who.doubts(), who.labels())


def _named(patients: Patients, several: Iterable[_Ids]) -> set[str]:
    """The patients of some images; those that have none will be no rows of the dataset."""
    found = set()
    for ids in several:
        with suppress(RejectedInput):
            found.add(patients.of(*ids))
    return found


def _by_name(labels: Labels, row: Row, facts: Mapping[str, Any]) -> dict[str, str | None]:
    """What groups people, by column: label columns of words, and the sex of the header, else of the table."""
    words = [name for name, kind in labels.columns.items() if kind == "categorical"]
    sex = facts.get("sex")
    return {**{name: _text(row.get(name)) for name in words}, "sex": sex if sex is not None else _sex(row)}


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell)


def _sex(row: Row) -> str | None:
    return None if row.get("sex") is None else str(row["sex"])


def _age(row: Row, labels: Labels | None) -> float | None:
    """Of the row; a table of patients has it where it is kept (``--column``), and is then compared with the nearest study."""
    named = [name for name, kind in (labels.columns if labels else {}).items() if kind == "numeric"]
    for name in ("age_years", *(one for one in named if plain(one) in FACTS["age_years"])):
        found = row.get(name)
        if isinstance(found, int | float):
            return float(found)
    return None


def can_differ(labels: Labels) -> bool:
    """Whether the table may name another patient than the header of an image that it describes."""
    return bool(labels.match) if labels.key == "patient" else labels.names_patients


def _alike(labels: Labels) -> bool:
    """Whether a row of one patient may be found by several ids of headers."""
    return labels.key == "patient" and bool(labels.match)


def _keyed(job: Job) -> Callable[[str], str]:
    """The first digits of a keyed hash, with the salt of the dataset if there is one; else with one that is forgotten."""
    kept = private_folder(job.out) / "salt"
    file = job.salt if job.salt is not None else kept if kept.is_file() else None
    salt = secrets.token_bytes(32) if file is None else file.read_bytes()[:64]
    return lambda name: keyed_hash(salt, "patient", name)[:8]


def headers(job: Job, sources: Sequence[Source], progress: Progress) -> Iterator[tuple[int, dict[str, Any]]]:
    """Identifiers in the header of each file that the modality keeps, with its place in the scan; no pixels are read."""
    settings = Settings(job.recipe, job.preset, job.max_pixels)
    files = [(number, source.path, source.size) for number, source in enumerate(sources) if source.size > 0]
    tasks = (_Task(tuple(files[start : start + _FILES_PER_TASK])) for start in range(0, len(files), _FILES_PER_TASK))
    if len(files) <= _FILES_HERE:
        for task in tasks:
            yield from _read(settings, task) or ()
        return
    jobs = max(1, min(job.jobs, -(-len(files) // _FILES_PER_WORKER)))
    work = Work(partial(_read, settings), _load, _singly, _lost, True, _limit_seconds, _lost)
    progress.begin("headers", len(files), "files")
    done = 0
    with Processes(work, jobs) as executor:
        for answer in executor.results(tasks):
            yield from answer or ()
            done = min(len(files), done + _FILES_PER_TASK)
            progress.reach(done, "")


def _load() -> None:
    import fastrace.dicom  # noqa: F401


def _lost(task: _Task) -> None:
    """A file that ends the process, or takes too long, will do so again when it is decoded: it is counted there."""


def _singly(task: _Task, answer: list[tuple[int, dict[str, Any]]] | None) -> list[_Task]:
    """Files of a task without an answer, one by one: it costs one file."""
    return [_Task((file,)) for file in task.files] if answer is None and len(task.files) > 1 else []


def _limit_seconds(task: _Task) -> float:
    return LIMIT_SECONDS + sum(size for _, _, size in task.files) / LIMIT_BYTES_PER_SECOND


def _read(settings: Settings, task: _Task) -> list[tuple[int, dict[str, Any]]] | None:
    from fastrace.preprocess.opening import machine_errors

    found = []
    for number, path, _ in task.files:
        try:
            with machine_errors():
                found.append((number, _identifiers(settings, path)))
        except RejectedInput:
            continue  # rejected again, with its reason, when it is decoded
    return found


def _identifiers(settings: Settings, path: str) -> dict[str, Any]:
    from fastrace.dicom import open_frames
    from fastrace.dicom.raster import is_raster
    from fastrace.preprocess.belongs import check_header
    from fastrace.preprocess.facts import person_facts

    with Path(path).open("rb") as file:
        if is_raster(file.read(_RASTER_BYTES)):
            return {}
    header = open_frames(Path(path), voi="full", max_pixels=settings.max_pixels, selection=True).header
    check_header(settings.preset, settings.recipe, header)
    return person_facts(header)
