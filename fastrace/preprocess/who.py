"""Before anything is written: do table and headers name the same patients? A pass over headers alone, where they could differ.

They can where the table names a patient beside another key (a path, an image), or is joined by patients with ``--match``. Raster
files have no header and are not opened.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastrace.cohort.labels import Labels
from fastrace.cohort.patients import Naming, Patients, read_patients
from fastrace.console.progress import Progress
from fastrace.dataset import keyed_hash
from fastrace.errors import RejectedInput, UsageError
from fastrace.execute.processes import Processes
from fastrace.execute.protocol import Work
from fastrace.preprocess.identify import Identifiers
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.store import private_folder
from fastrace.preprocess.task import Settings

_FILES_PER_TASK = 64  # 0.7 ms each: less than the time to hand over a task would not pay; paths must fit into a pipe
_RASTER_BYTES = 8  # enough to tell PNG, JPEG and TIFF


@dataclass(frozen=True)
class _Task:
    """Places in the scan, and paths."""

    files: tuple[tuple[int, str, int], ...]


def patients_of(job: Job, labels: Labels | None, sources: Sequence[Source], progress: Progress) -> Patients:
    """Who the patient of an image is.

    Raises
    ------
    UsageError
        Table and headers disagree, and the user has not said which counts.
    """
    join = job.join
    if join.patients_file is not None:
        return Patients("file", of_file=read_patients(join.patients_file))
    if labels is None or not can_differ(labels):
        return Patients(join.patient_from or "agreed")
    naming = Naming(join.match)
    identifiers = Identifiers(join.patient_pattern)
    for number, facts in headers(job, sources, progress):
        source = sources[number]
        try:
            found = identifiers.of(source, facts)
            key, row = labels.find(found)
        except RejectedInput:
            continue  # it will be no row of the dataset
        in_table = key if labels.key == "patient" else row.get("patient_id")
        naming.add(next(iter(found["patient"]), None), None if in_table is None else str(in_table), source.path)
    if join.patient_from is None and not naming.agrees:
        raise UsageError(f"{join.labels}: {naming.question(_keyed(job))}")
    return Patients.choose(join.patient_from, naming)


def can_differ(labels: Labels) -> bool:
    """Whether the table may name another patient than the header of an image that it describes."""
    return bool(labels.match) if labels.key == "patient" else labels.names_patients


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
    jobs = max(1, min(job.jobs, -(-len(files) // (4 * _FILES_PER_TASK))))
    progress.begin("headers", len(files), "files")
    done = 0
    with Processes(Work(partial(_read, settings), _load, lost=_lost), jobs) as executor:
        for answer in executor.results(tasks):
            yield from answer
            done = min(len(files), done + _FILES_PER_TASK)
            progress.reach(done, "")


def _load() -> None:
    import fastrace.dicom  # noqa: F401


def _lost(task: _Task) -> list[tuple[int, dict[str, Any]]]:
    return []  # the same files will end the process that decodes them: they are counted there


def _read(settings: Settings, task: _Task) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for number, path, _ in task.files:
        try:
            found.append((number, _identifiers(settings, path)))
        except (RejectedInput, OSError, MemoryError):
            continue  # rejected again, with its reason, when it is decoded
    return found


def _identifiers(settings: Settings, path: str) -> dict[str, Any]:
    from fastrace.dicom import open_frames
    from fastrace.dicom.raster import is_raster
    from fastrace.preprocess.belongs import check_header

    with Path(path).open("rb") as file:
        if is_raster(file.read(_RASTER_BYTES)):
            return {}
    header = open_frames(Path(path), voi="full", max_pixels=settings.max_pixels).header
    check_header(settings.preset, settings.recipe, header)
    return {
        "patient_id": header.patient_id,
        "study_uid": header.study_uid,
        "accession": header.accession,
        "image_uid": header.image_uid,
    }
