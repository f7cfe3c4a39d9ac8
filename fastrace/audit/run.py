"""`fastrace audit`: a dataset in, an audit folder out. Interrupted, it goes on after the last finished cell.

::

    AUDIT/run.json           arguments, versions, dataset fingerprint
    AUDIT/partition.parquet  patient key, repeat, fold
    AUDIT/audit.json         the result, written last: an audit that has it is finished
    AUDIT/work/              feature tables, scores and the small network: about patients, removed when the audit is finished
"""

from __future__ import annotations

import datetime
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from fastrace import __version__
from fastrace.audit.asked import Audit, check_place, command_line, public_arguments, wanted_experiments
from fastrace.audit.cells import MOST, Answer, ask, correct, described
from fastrace.audit.controls import run_controls
from fastrace.audit.curves import add_bands
from fastrace.audit.document import document
from fastrace.audit.features import FAMILIES
from fastrace.audit.networks import LEAST_OF_A_CLASS, Network, backbone, can_be_judged, check_backbone, small_cnn
from fastrace.audit.probe import Partition, Probe
from fastrace.audit.protocol import Experiment
from fastrace.audit.subjects import Subjects, select_subjects
from fastrace.audit.tables import BUILT_IN, Tables
from fastrace.dataset import Dataset
from fastrace.degrade import Degradation
from fastrace.errors import UsageError
from fastrace.kernels.bandpass import backend
from fastrace.models import SMALL
from fastrace.run_folder import RunFolder, environment, set_threads
from fastrace.train.pipeline import choose_device
from fastrace.train.progress import Talk

SCHEMA = 1
NETWORK_EXPERIMENTS = ("A1", "C1a", "C1b", "C2a", "C2b")
"""What networks are asked: an image through a network costs as much as all radial filters of the built-in features."""


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
    check_place(folder, asked, dataset, resume)
    if (folder.path / "audit.json").is_file():
        talk.line(f"{folder.path}: already finished")
        return folder.read_json("audit.json")
    wanted = wanted_experiments(asked, dataset)
    subjects = select_subjects(dataset, asked.target, asked.classes)
    # Before a folder is made: a slip of the pen must not leave one that no other command accepts.
    backbones = [text for text in asked.features if text != SMALL]
    named = [f"{text.partition('=')[0]} {check_backbone(text).sentence}" for text in backbones]
    if len(set(named)) < len(named):
        raise UsageError(f"--features {' '.join(backbones)}: two of one name; give their files different names")
    set_threads()
    folder.create()
    with folder.locked(), talk:
        device = choose_device("auto").type if asked.features else "cpu"
        talk.line(f"band-pass: {backend(device)}")
        arguments = asked.to_json()
        folder.write_json(
            "run.json",
            {
                "schema": SCHEMA,
                "command": "audit",
                "arguments": arguments,
                "dataset": {"fingerprint": dataset.fingerprint, "salt_id": dataset.salt_id},
                "environment": environment(device),
            },
        )
        try:
            found = _run(asked, dataset, subjects, wanted, folder, talk)
        except KeyboardInterrupt:
            talk.line(f"{folder.path}: stopped; the same command with --resume goes on after the last finished step")
            raise
        folder.write_json("audit.json", found)
        if asked.keep_work:
            for kept in (folder.path / "work").rglob("*"):
                kept.chmod(0o700 if kept.is_dir() else 0o600)
        else:
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
    folder.write_table("partition.parquet", _folds(subjects, partition))
    (folder.path / "partition.parquet").chmod(0o600)
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
    plan += [(_part(wanted[0], part), BUILT_IN, partition) for part in FAMILIES]
    talk.begin("cells", len(plan))

    def one(number: int) -> Answer:
        experiment, features, judged = plan[number]
        return _answer(work / "cells", number, experiment, features, judged, tables, asked, spacing)

    (work / "cells").mkdir(exist_ok=True, mode=0o700)
    answers = []
    # Matrices of a hundred rows: two cells at once on two cores, not two threads on one product.
    with threadpool_limits(1), ThreadPoolExecutor(_workers(subjects)) as pool:
        for answer in pool.map(one, range(len(plan))):
            answers.append(answer)
            talk.step()
        talk.end()
        correct(answers, asked.permutations)
    add_bands(answers, subjects, asked.seed)
    lap("cells")
    controls = run_controls(tables, asked.seed, asked.permutations, talk)
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
        "arguments": public_arguments(asked),
        "repeat": command_line(asked, subjects.cohort.target),
        "environment": environment(networks[0].device.type if networks else "cpu"),
        "seconds": seconds,
    }


def _workers(subjects: Subjects) -> int:
    """Cells at once: a thread each, while their matrices fit in 4 GB."""
    return max(1, min(torch.get_num_threads(), (1 << 32) // (len(subjects) * 800 * 60)))


def _folds(subjects: Subjects, partition: Partition) -> pd.DataFrame:
    rows = [
        pd.DataFrame({"patient_key": subjects.keys[fold.test], "repeat": repeat, "fold": number})
        for repeat, folds in enumerate(partition.repeats)
        for number, fold in enumerate(folds)
    ]
    return pd.concat(rows).sort_values(["repeat", "patient_key"], ignore_index=True)


def _part(clean: Experiment, part: str) -> Experiment:
    """The primary question to one family of features alone: which of them see it?"""
    return Experiment("A1f", f"{part} alone", "Q1", clean.train, clean.test, parts=(part,))


def _networks(
    asked: Audit, dataset: Dataset, subjects: Subjects, partition: Partition, work: Path, talk: Talk
) -> list[Network]:
    found = []
    for text in dict.fromkeys(asked.features):
        if text == SMALL and not can_be_judged(subjects):
            talk.line(f"small network: not trained, a class has fewer than {LEAST_OF_A_CLASS} patients")
        elif text == SMALL:
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
