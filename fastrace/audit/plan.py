"""The cells of an audit as tasks; a finished one is kept on disk, so that an interrupted audit does not compute it again."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from fastrace.audit.cells import FIRST, Again, Answer, cell_id, cell_of, score
from fastrace.audit.document import Cell
from fastrace.audit.engines import Engine
from fastrace.audit.engines.probe import Probe
from fastrace.audit.experiments import Experiment
from fastrace.audit.partition import Partition
from fastrace.audit.readers.embeddings import Embedding
from fastrace.audit.readers.tables import Tables
from fastrace.audit.subjects import Subjects
from fastrace.console.progress import Progress
from fastrace.files import write_atomic
from fastrace.run_folder import writing


@dataclass(frozen=True)
class Task:
    """One experiment for one feature set, whose patients are scored by ``partition``.

    ``embedding`` has patients and a table of its own.
    """

    experiment: Experiment
    features: str
    partition: Partition
    embedding: Embedding | None = None

    def subjects(self, tables: Tables) -> Subjects:
        """Its patients."""
        return tables.subjects if self.embedding is None else self.embedding.subjects

    def engine(self, tables: Tables) -> Engine:
        """The probe of its features."""
        experiment = self.experiment
        if self.embedding is not None:
            table = self.embedding.table()
            return Probe(table, np.full(table.shape[1], "embedding"), self.partition)
        unlike = experiment.train != experiment.test
        few = unlike or experiment.family == "reference"
        train, group = tables.table(self.features, experiment.train, experiment.parts, unlike=few)
        tested_on = tables.table(self.features, experiment.test, experiment.parts, unlike=True)[0] if unlike else None
        return Probe(train, group, self.partition, tested_on)


def answer(
    task: Task,
    tables: Tables,
    file: Path,
    seed: int,
    permutations: int,
    mm_per_pixel: float | None,
    progress: Progress,
) -> Answer:
    """The answer to a task, from ``file`` if it is there and whole."""

    def again(draws: NDArray[np.float64]) -> Again:
        return Again(lambda: task.engine(tables), task.subjects(tables), draws, seed)

    if file.is_file():
        try:
            with np.load(file, allow_pickle=False) as stored:  # a zip archive: every member has its CRC-32
                cell = msgspec.json.decode(str(stored["cell"]), type=Cell)
                kept, draws = stored["scores"], stored["draws"]
        except (
            OSError,
            ValueError,
            LookupError,
            EOFError,
            BadZipFile,
            zlib.error,
            NotImplementedError,
            msgspec.MsgspecError,
        ):
            progress.line(f"{file}: damaged; this cell is computed again")
        else:
            if cell.id == cell_id(task.experiment, task.features):
                return Answer(cell, kept, task.partition, again(draws))
    reference = task.experiment.family == "reference"
    count = min(FIRST, permutations) if reference else permutations
    scores, summary = score(task.engine(tables), task.subjects(tables), seed=seed, permutations=count)
    cell = cell_of(task.experiment, task.features, summary, tables.dataset.size, mm_per_pixel)
    if reference:
        cell = msgspec.structs.replace(cell, p=None)
    if task.embedding is not None:
        cell = task.embedding.discreet(cell)
    content = io.BytesIO()
    np.savez(content, scores=scores, draws=summary.draws, cell=np.array(msgspec.json.encode(cell).decode()))
    with writing(file):
        write_atomic(file, content.getvalue(), 0o600)
    return Answer(cell, scores, task.partition, again(summary.draws))
