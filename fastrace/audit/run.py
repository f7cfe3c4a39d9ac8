"""`fastrace audit`: a dataset in, an audit folder out. Interrupted, it goes on after the last finished cell.

::

    AUDIT/run.json           arguments, versions, dataset fingerprint; when finished, digests of the other two
    AUDIT/partition.parquet  patient key, repeat, fold
    AUDIT/audit.json         the result with its digest, written last: an audit that has it is finished
    AUDIT/work/              feature tables, scores and the small network: about patients, removed when the audit is finished;
                             progress.log, what was done when
"""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch

from fastrace import __version__
from fastrace.audit import document
from fastrace.audit.begin import check_place, inputs_of, wanted_experiments
from fastrace.audit.cells import Answer
from fastrace.audit.controls import coverage, run_controls
from fastrace.audit.controls.material import Material
from fastrace.audit.correction import correct, primary_permutations
from fastrace.audit.covariates.sets import Role, roles
from fastrace.audit.declared import declared, digest_of
from fastrace.audit.document import Audit, Cell, FeatureSet, Group, Images
from fastrace.audit.experiments import ALIKE, SAMPLED, Experiment, part
from fastrace.audit.flow import flow, patients_by
from fastrace.audit.limits import limits
from fastrace.audit.marks import silenced, unequal
from fastrace.audit.partition import Partition
from fastrace.audit.plan import Task, answer
from fastrace.audit.questions import answers as answer_questions
from fastrace.audit.questions.findings import Findings, headline
from fastrace.audit.questions.where import locate
from fastrace.audit.readers.backbone import backbone
from fastrace.audit.readers.brought import Brought, check_readers, joined, tried
from fastrace.audit.readers.built_in import BUILT_IN, built_in
from fastrace.audit.readers.embeddings import Embedding
from fastrace.audit.readers.extract import reading_device
from fastrace.audit.readers.function import FunctionReader
from fastrace.audit.readers.networks import ImageReader
from fastrace.audit.readers.rings import FAMILIES, radial
from fastrace.audit.readers.sample import Sample
from fastrace.audit.readers.small import small_network
from fastrace.audit.readers.tables import Tables
from fastrace.audit.request import AuditRequest, command_line, public_arguments
from fastrace.audit.schedule import Schedule
from fastrace.audit.simultaneous import with_bands
from fastrace.audit.subjects import Subjects, not_trained, repeats, select_subjects, self_reported
from fastrace.console.progress import LoggedProgress, Progress
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN, Degradation
from fastrace.execute.cpus import set_threads
from fastrace.execute.memory import give_back
from fastrace.execute.threads import blas_threads
from fastrace.files import make_folder
from fastrace.kernels.bandpass import backend
from fastrace.models import SMALL
from fastrace.run_folder import RunFolder, environment
from fastrace.train.pipeline import choose_device
from fastrace.trust import Checked, check

LOG = "progress.log"


def audit(request: AuditRequest, *, resume: bool = False, progress: Progress | None = None) -> Audit:
    """Run an audit.

    Returns
    -------
    Audit
        The content of ``audit.json``.

    Raises
    ------
    FastraceError
        No such target, too few patients, a folder in use, another audit in the folder.
    """
    progress = progress or Progress()
    dataset = Dataset.open(request.data)
    folder = RunFolder(request.out)
    inputs = inputs_of(request)
    check_place(folder, request, dataset, inputs, resume)
    if (folder.path / document.FILE).is_file():
        progress.line(f"{folder.path}: already finished")
        return document.read(folder.path)
    wanted = wanted_experiments(request, dataset)
    subjects = select_subjects(dataset, request.target, request.classes)
    functions = check_readers(request)
    covariates = roles(subjects, dataset, request.covariates, request.no_covariate)
    embeddings = joined(request, inputs, dataset, subjects, progress)
    set_threads(request.jobs)
    checked = check(dataset, subjects.cohort.rows, trust=request.trust, progress=progress)
    partition = subjects.partition(request.seed)
    given = Brought(tried(functions, dataset, subjects, partition), embeddings)
    folder.create()
    make_folder(folder.path / "work", 0o700)
    progress = LoggedProgress(progress, folder.path / "work" / LOG)
    with folder.locked(), progress:
        tests = declared(request, subjects, wanted)
        device, why = reading_device(request.device)
        progress.line(why or f"band-pass: {backend(device.type)}")
        folder.write_json(
            "run.json",
            {
                "schema": document.SCHEMA,
                "command": "audit",
                "arguments": request.to_json(),
                "dataset": {
                    "fingerprint": dataset.fingerprint,
                    "salt_id": dataset.salt_id,
                    "checked": checked.to_json(),
                },
                "inputs": inputs,
                "tests": {**tests, "digest": digest_of(tests)},
                "environment": _environment(request, device),
            },
        )
        found = _run(
            request, dataset, subjects, partition, given, covariates, checked, wanted, folder, device, progress
        )
        folder.seal(["partition.parquet"], document.FILE, found.to_json())
        if request.keep_work:
            for kept in (folder.path / "work").rglob("*"):
                kept.chmod(0o700 if kept.is_dir() else 0o600)
        else:
            shutil.rmtree(folder.path / "work", ignore_errors=True)
    return found


def _run(
    request: AuditRequest,
    dataset: Dataset,
    subjects: Subjects,
    partition: Partition,
    given: Brought,
    covariates: Sequence[Role],
    checked: Checked,
    wanted: Sequence[Experiment],
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
) -> Audit:
    """The audit in the order of its report: patients, readers, cells, corrections, location, controls, questions."""
    work = folder.path / "work"
    if (said := repeats(subjects.cohort)) is not None:
        progress.line(said)
    clock = _Clock()
    folder.write_table("partition.parquet", _folds(subjects, partition))
    (folder.path / "partition.parquet").chmod(0o600)

    networks = _networks(request, dataset, subjects, partition, given.functions, work, progress)
    clock.lap("networks")
    read, sample = _degradations(wanted), Sample.of(subjects.labels, request.seed)
    tables = Tables(
        work / "features",
        dataset,
        subjects,
        wanted,
        [(network, read) for network in networks],
        request.seed,
        sample,
        device,
    )
    tables.build(progress)
    make_folder(work / "embeddings", 0o700)
    for one in given.embeddings:
        one.build()
    clock.lap("features")

    spacing = _spacing(subjects)
    tasks = _tasks(wanted, partition, networks, sample, given.embeddings, request.seed)
    schedule = Schedule.of(len(subjects))
    primary = primary_permutations(sum(task.experiment.family == "primary" for task in tasks), request.permutations)
    found = _answer_all(tasks, tables, work / "cells", request, primary, spacing, schedule, progress)
    found = correct(found, request.permutations, schedule.each, primary=primary)
    found = with_bands(found, {one.id for one in wanted if one.curve}, subjects, request.seed)
    clock.lap("cells")

    with blas_threads(schedule.threads):
        material = Material(tables, request.seed, request.permutations, progress, covariates, given.embeddings)
        controls = run_controls(material)
    clock.lap("controls")

    brought = (reader.facts for reader in given.embeddings)
    features = (
        _read_of(built_in(dataset.size, len(subjects)), wanted, sample.said(sample.other, "coarser and noisy")),
        *(_read_of(one.facts, wanted, sample.said(sample.networks, "degraded")) for one in networks),
        *brought,
    )
    differ = [name for one in controls if one.id == coverage.ID for name in coverage.differing(one.estimates)]
    cells = _in_order([silenced(unequal(one.cell, differ), features) for one in found])
    location = locate(cells, dataset.size, spacing)
    void = any(control.status == "failed" for control in controls)
    target = subjects.cohort.target
    return Audit(
        fastrace=__version__,
        created=datetime.date.today().isoformat(),
        status="partial" if request.only else "complete",
        purpose=request.purpose,
        engine="probe",
        variant=request.variant,
        seed=request.seed,
        tests=digest_of(declared(request, subjects, wanted)),
        dataset=_images(dataset, subjects, checked, spacing),
        target=target,
        self_reported=self_reported(target),
        classes=_groups(subjects),
        flow=flow(dataset, subjects),
        features=features,
        controls=controls,
        questions=answer_questions(Findings(cells, location), void=void),
        cells=cells,
        location=location,
        limits=limits(
            subjects,
            cells,
            features,
            dataset.meta["counts"],
            trusted=request.trust,
            brought=[*given.functions, *(one.name for one in given.embeddings)],
            not_read=not_trained(subjects) if SMALL in request.readers else None,
            incomplete=[one.limit for one in given.embeddings if one.limit is not None],
        ),
        arguments=public_arguments(request),
        repeat=command_line(request),
        environment=_environment(request, device),
        seconds={"check": round(checked.seconds, 2), **clock.seconds},
    )


def _environment(request: AuditRequest, device: torch.device) -> dict[str, Any]:
    """Of the networks, which need no CuPy, and of the band-pass where images are read."""
    return environment(choose_device(request.device).type) | {"bandpass": backend(device.type)}


class _Clock:
    """Seconds of the steps of an audit; after each, memory that it no longer needs is given back."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def lap(self, name: str) -> None:
        give_back()
        self.seconds[name] = round(time.perf_counter() - self._started, 2)
        self._started = time.perf_counter()


def _networks(
    request: AuditRequest,
    dataset: Dataset,
    subjects: Subjects,
    partition: Partition,
    functions: Mapping[str, FunctionReader],
    work: Path,
    progress: Progress,
) -> list[ImageReader]:
    found: list[ImageReader] = []
    for text in dict.fromkeys(request.readers):
        if text in functions:
            found.append(functions[text])
        elif text != SMALL:
            found.append(backbone(text, partition, request.device))
        elif (why := not_trained(subjects)) is not None:
            progress.line(why)
        else:
            found.append(small_network(dataset, subjects, work / "small", request, progress))
    return found


def _degradations(wanted: Sequence[Experiment]) -> list[Degradation]:
    """What networks read."""
    return list(dict.fromkeys(d for one in wanted if one.networks for d in (one.train, one.test)))


def _tasks(
    wanted: Sequence[Experiment],
    partition: Partition,
    networks: Sequence[ImageReader],
    sample: Sample,
    embeddings: Sequence[Embedding],
    seed: int,
) -> list[Task]:
    """All cells: the protocol with the built-in features, its part for networks with each of them, unchanged images with each
    embedding, and each family alone. The order of the readers decides which of them answers, so it does not look at any result.
    """
    some = partition.restricted(sample.other)
    tasks = [Task(one, BUILT_IN, partition if radial(one.test) else some) for one in wanted]
    if any(one.test != CLEAN and not one.parts for one in wanted):
        tasks.append(Task(ALIKE, BUILT_IN, partition))
    if len(sample.other) < sample.patients and not all(radial(one.test) for one in wanted):
        tasks.append(Task(SAMPLED, BUILT_IN, some))
    for network in networks:
        some, own = network.partition.restricted(sample.networks), [one for one in wanted if one.networks]
        tasks += [Task(one, network.name, network.partition if one.test == CLEAN else some) for one in own]
        if len(sample.networks) < sample.patients and any(one.test != CLEAN for one in own):
            tasks.append(Task(SAMPLED, network.name, some))
    tasks += [Task(wanted[0], one.name, one.partition(seed), one) for one in embeddings]
    tasks += [Task(part(wanted[0], family), BUILT_IN, partition) for family in FAMILIES]
    return tasks


def _answer_all(
    tasks: Sequence[Task],
    tables: Tables,
    folder: Path,
    request: AuditRequest,
    primary: int,
    mm_per_pixel: float | None,
    schedule: Schedule,
    progress: Progress,
) -> list[Answer]:
    make_folder(folder, 0o700)
    progress.begin("cells", len(tasks), "cells")

    def one(number: int) -> Answer:
        file = folder / f"{number:04d}.npz"
        count = primary if tasks[number].experiment.family == "primary" else request.permutations
        return answer(tasks[number], tables, file, request.seed, count, mm_per_pixel, progress)

    found = []
    for one_answer in schedule.each(one, range(len(tasks))):
        found.append(one_answer)
        progress.step()
    progress.end()
    return found


def _read_of(facts: FeatureSet, wanted: Sequence[Experiment], said: str) -> FeatureSet:
    """The facts of a reader, with the patients whose degraded images it reads, if they are not all."""
    degrades = any(one.test != CLEAN for one in wanted)
    return msgspec.structs.replace(facts, evaluation=facts.evaluation + said) if degrades else facts


def _in_order(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The feature set that answers comes first; else as they were run."""
    first = headline(cells).features
    return tuple(sorted(cells, key=lambda cell: cell.features != first))


def _folds(subjects: Subjects, partition: Partition) -> pd.DataFrame:
    rows = [
        pd.DataFrame({"patient_key": subjects.keys[fold.test], "repeat": repeat, "fold": number})
        for repeat, folds in enumerate(partition.repeats)
        for number, fold in enumerate(folds)
    ]
    return pd.concat(rows).sort_values(["repeat", "patient_key"], ignore_index=True)


def _spacing(subjects: Subjects) -> float | None:
    """Median mm per pixel, where all images have one."""
    mm = subjects.cohort.mm_per_pixel
    return float(np.median(mm)) if len(mm) and np.isfinite(mm).all() else None


def _images(dataset: Dataset, subjects: Subjects, checked: Checked, mm_per_pixel: float | None) -> Images:
    return Images(
        modality=dataset.meta["recipe"].get("modality") or "any",
        size=dataset.size,
        images=len(subjects.cohort.rows),
        patients=len(subjects),
        fingerprint=dataset.fingerprint,
        salt_id=dataset.salt_id,
        mm_per_pixel=mm_per_pixel,
        window=patients_by(subjects, "voi_source"),
        shards=checked.shards,
        shards_checked=checked.compared,
    )


def _groups(subjects: Subjects) -> tuple[Group, ...]:
    patients = np.bincount(subjects.labels, minlength=len(subjects.classes))
    images = np.bincount(subjects.labels[subjects.owner], minlength=len(subjects.classes))
    return tuple(Group(name, int(patients[k]), int(images[k])) for k, name in enumerate(subjects.classes))
