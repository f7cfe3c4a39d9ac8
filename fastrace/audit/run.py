"""`fastrace audit`: a dataset in, an audit folder out. Interrupted, it goes on after the last finished cell.

::

    AUDIT/run.json     arguments, versions, dataset fingerprint
    AUDIT/audit.json   the result, written last: an audit that has it is finished
    AUDIT/work/        feature tables, scores and the small network: about patients, removed when the audit is finished
"""

from __future__ import annotations

import datetime
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from fastrace import __version__
from fastrace.audit.cells import MANY, MOST, Answer, ask, correct, described
from fastrace.audit.controls import run_controls
from fastrace.audit.curves import add_bands
from fastrace.audit.document import document, self_reported
from fastrace.audit.networks import Network, backbone, small_cnn
from fastrace.audit.probe import Partition, Probe
from fastrace.audit.protocol import Experiment, experiments
from fastrace.audit.subjects import Subjects, select_subjects
from fastrace.audit.tables import BUILT_IN, Tables
from fastrace.dataset import Dataset
from fastrace.degrade import Degradation
from fastrace.errors import RunError, UsageError
from fastrace.run_folder import RunFolder, environment, set_threads
from fastrace.train.cohort import choose_target
from fastrace.train.progress import Talk

SCHEMA = 1
SMALL = "small"
NETWORK_EXPERIMENTS = ("A1", "C1a", "C1b", "C2a", "C2b")
"""What networks are asked: an image through a network costs as much as all radial filters of the built-in features."""


@dataclass(frozen=True)
class Audit:
    """What is asked.

    Attributes
    ----------
    data, out : Path
    modality : str
        Preset; decides the published numbers shown beside, and the backbone.
    target : str or None
        None: the only attribute column.
    classes : tuple of str
        Empty: all with enough patients.
    features : tuple of str
        Beside the built-in ones: ``small``, a timm model, ``NAME=FILE``.
    only : tuple of str
        Questions (``Q2``) or experiments (``C1``, ``C1a``) wanted; empty: all. A1 always runs.
    seed, permutations : int
    variant : str
        ``corrected``: what the study's text says, not what its released code did.
    purpose : str or None
    keep_work : bool
        Leave feature tables, scores and the small network in the folder.
    """

    data: Path
    out: Path
    modality: str
    target: str | None = None
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = (SMALL,)
    only: tuple[str, ...] = ()
    seed: int = 0
    permutations: int = MANY
    variant: str = "corrected"
    purpose: str | None = None
    keep_work: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain types; paths as typed."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def audit(asked: Audit, *, resume: bool = False, talk: Talk | None = None) -> dict[str, Any]:
    """Run an audit.

    Returns
    -------
    dict
        The content of ``audit.json``.

    Raises
    ------
    FastraceError
        No such target, too few patients, a folder in use, another audit in the folder.
    """
    talk = talk or Talk()
    dataset = Dataset.open(asked.data)
    folder = RunFolder(asked.out)
    _check_place(folder, asked, dataset, resume)
    if (folder.path / "audit.json").is_file():
        talk.line(f"{folder.path}: already finished")
        return folder.read_json("audit.json")
    wanted = _experiments(asked, dataset)
    subjects = select_subjects(dataset, asked.target, asked.classes)
    set_threads()
    folder.create()
    with folder.locked(), talk:
        arguments = asked.to_json()
        folder.write_json(
            "run.json",
            {
                "schema": SCHEMA,
                "command": "audit",
                "arguments": arguments,
                "dataset": {"fingerprint": dataset.fingerprint, "salt_id": dataset.salt_id},
                "environment": environment("cpu"),
            },
        )
        try:
            found = _run(asked, dataset, subjects, wanted, folder, talk)
        except KeyboardInterrupt:
            talk.line(f"{folder.path}: stopped; the same command with --resume goes on after the last finished step")
            raise
        folder.write_json("audit.json", found)
        if not asked.keep_work:
            shutil.rmtree(folder.path / "work", ignore_errors=True)
    return found


def _run(
    asked: Audit,
    dataset: Dataset,
    subjects: Subjects,
    wanted: Sequence[Experiment],
    folder: RunFolder,
    talk: Talk,
) -> dict[str, Any]:
    work = folder.path / "work"
    work.mkdir(exist_ok=True, mode=0o700)
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name] = round(time.perf_counter() - started, 2)
        started = time.perf_counter()

    partition = subjects.partition(asked.seed)
    networks = _networks(asked, dataset, subjects, partition, work, talk)
    lap("networks")
    tables = Tables(
        work / "features",
        dataset,
        subjects,
        wanted,
        [(network, _degradations(wanted)) for network in networks],
        asked.seed,
    )
    tables.build(talk)
    lap("features")
    spacing = _spacing(subjects)
    plan = [(experiment, BUILT_IN, partition) for experiment in wanted]
    plan += [(one, net.name, net.partition) for net in networks for one in wanted if one.id in NETWORK_EXPERIMENTS]
    plan += [(_part(wanted[0], part), BUILT_IN, partition) for part in PARTS]
    talk.begin("cells", len(plan))

    def one(number: int) -> Answer:
        experiment, features, judged = plan[number]
        return _answer(work / "cells", number, experiment, features, judged, tables, asked, spacing)

    (work / "cells").mkdir(exist_ok=True, mode=0o700)
    answers = []
    # Matrices of a hundred rows: two cells at once on two cores, not two threads on one product.
    with threadpool_limits(1), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for answer in pool.map(one, range(len(plan))):
            answers.append(answer)
            talk.step()
        talk.end()
        correct(answers, asked.permutations)
    add_bands(answers, subjects, asked.seed)
    lap("cells")
    controls = run_controls(tables, partition, asked.seed, asked.permutations, talk)
    lap("controls")
    return {
        "schema": SCHEMA,
        "fastrace": __version__,
        "created": datetime.date.today().isoformat(),
        **document(
            dataset,
            subjects,
            [answer.cell for answer in answers],
            controls,
            networks,
            spacing,
            partial=bool(asked.only),
        ),
        "purpose": asked.purpose,
        "engine": "probe",
        "variant": asked.variant,
        "seed": asked.seed,
        "arguments": {key: value for key, value in asked.to_json().items() if key not in ("data", "out")},
        "repeat": _repeat(asked, subjects),
        "environment": environment("cpu"),
        "seconds": seconds,
    }


PARTS = ("spectrum", "tiles", "peaks", "pixels", "histogram")


def _part(clean: Experiment, part: str) -> Experiment:
    """The primary question to one family of features alone: which of them see it?"""
    return Experiment("A1f", f"{part} alone", "Q1", clean.train, clean.test, parts=(part,))


def _check_place(folder: RunFolder, asked: Audit, dataset: Dataset, resume: bool) -> None:
    if not folder.exists:
        return
    finished = (folder.path / "audit.json").is_file()
    if not resume:
        what = "a finished audit" if finished else "an audit that was interrupted"
        hint = "choose another --out" if finished else "go on with --resume, or choose another --out"
        raise RunError(f"{folder.path}: holds {what}; {hint}")
    before = folder.read_json("run.json")
    if before.get("command") != "audit":
        raise RunError(f"{folder.path}: holds a run of `fastrace {before.get('command')}`; choose another --out")
    arguments = json.loads(json.dumps(asked.to_json()))
    free = ("data", "out", "purpose", "keep_work")
    different = [key for key in arguments if key not in free and arguments[key] != before["arguments"].get(key)]
    if before.get("dataset", {}).get("fingerprint") != dataset.fingerprint:
        different.insert(0, "the dataset")
    if different:
        raise RunError(
            f"{folder.path}: --resume needs the options of that audit ({', '.join(different)} differ); choose another --out"
        )


def _experiments(asked: Audit, dataset: Dataset) -> tuple[Experiment, ...]:
    if asked.variant != "corrected":
        raise UsageError(f"--variant {asked.variant}: only 'corrected' is built")
    every = experiments(asked.modality, dataset.size)
    if not self_reported(choose_target(dataset, asked.target)):
        # What was printed is about race: beside another attribute it would mean nothing.
        every = tuple(replace(one, paper=None, released_code=None) for one in every)
    if not asked.only:
        return every
    known = {one.question for one in every} | {one.id for one in every} | {one.id[:2] for one in every}
    unknown = [name for name in asked.only if name not in known]
    if unknown:
        raise UsageError(f"--only {','.join(unknown)}: unknown; choose from {', '.join(sorted(known))}")
    names = tuple(asked.only)
    return tuple(one for one in every if one.id == "A1" or one.question in names or one.id.startswith(names))


def _networks(
    asked: Audit, dataset: Dataset, subjects: Subjects, partition: Partition, work: Path, talk: Talk
) -> list[Network]:
    found = []
    for text in dict.fromkeys(asked.features):
        if text == SMALL:
            found.append(small_cnn(dataset, subjects, work / "small", asked.modality, asked.seed, talk))
        else:
            found.append(backbone(text, partition))
    return found


def _degradations(wanted: Sequence[Experiment]) -> list[Degradation]:
    asked = [one for one in wanted if one.id in NETWORK_EXPERIMENTS]
    return list(dict.fromkeys(d for one in asked for d in (one.train, one.test)))


def _spacing(subjects: Subjects) -> float | None:
    """Median mm per pixel, where all images have one."""
    mm = subjects.cohort.mm_per_pixel
    return float(np.median(mm)) if len(mm) and np.isfinite(mm).all() else None


def _answer(
    folder: Path,
    number: int,
    experiment: Experiment,
    features: str,
    partition: Partition,
    tables: Tables,
    asked: Audit,
    spacing: float | None,
) -> Answer:
    """One cell: from disk if it was finished before."""
    facts = described(experiment, features, tables.dataset.size, spacing)

    def probe() -> Probe:
        train, group = tables.table(features, experiment.train, experiment.parts)
        other = experiment.train != experiment.test
        return Probe(
            train, group, partition, tables.table(features, experiment.test, experiment.parts)[0] if other else None
        )

    def p_again() -> float:
        return ask(probe(), tables.subjects, seed=asked.seed, permutations=MOST * asked.permutations)[1]["p"]

    file = folder / f"{number:04d}.npz"
    if file.is_file():
        with np.load(file, allow_pickle=False) as stored:
            cell = json.loads(str(stored["cell"]))
            if cell["id"] == facts["id"]:
                return Answer(cell, stored["scores"], partition, p_again)
    scores, said = ask(probe(), tables.subjects, seed=asked.seed, permutations=asked.permutations)
    cell = {**facts, **said}
    part = file.with_suffix(".part.npz")
    np.savez(part, scores=scores, cell=np.array(json.dumps(cell)))
    part.replace(file)
    return Answer(cell, scores, partition, p_again)


def _repeat(asked: Audit, subjects: Subjects) -> str:
    words = ["fastrace audit DATA", f"--modality {asked.modality}", f"--target {subjects.cohort.target}"]
    words += [f"--class {name}" for name in asked.classes]
    words += [f"--features {name}" for name in asked.features] if asked.features != (SMALL,) else []
    words += [f"--only {','.join(asked.only)}"] if asked.only else []
    words += [f"--seed {asked.seed}", "--out AUDIT"]
    return " ".join(words)
