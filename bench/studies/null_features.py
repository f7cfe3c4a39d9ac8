"""Archives whose features know nothing of the groups: what `studies.null_tables` audits.

    embeddings         drawn: six kinds of numbers, 128 to 2,048 a patient, of 200 to 5,000 patients, one to four images each
    built-in features  of real or computed images, a sample of whose patients are given groups at random

An archive has a first reader, and in half of them one or two embeddings more, of which half lack some of the patients.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastrace.audit.experiments import experiments
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.tables import Tables
from fastrace.audit.subjects import Subjects, image_weights, patient_means, select_subjects
from fastrace.bench.studies.level import SHARES, assigned, log_uniform, patients_for
from fastrace.cohort.selection import Cohort
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN
from fastrace.statistics import MIN_CLASS_PATIENTS

F32 = NDArray[np.float32]
LEAST, MOST = 200, 5000
"""Patients of an archive of embeddings."""
NARROWEST, WIDEST = 128, 2048
"""Numbers of an embedding."""
FROM_IMAGES = 0.3
"""Share of archives with built-in features, where images are given."""
MORE_READERS, SEVERAL_IMAGES, INCOMPLETE = 0.5, 1 / 3, 0.5
LEAST_COVERED = 0.7
"""Share of the patients who have a vector of a reader that lacks some."""


def normal(rng: np.random.Generator, n: int, d: int) -> F32:
    """Independent numbers."""
    return rng.standard_normal((n, d), dtype=np.float32)


def spectrum(rng: np.random.Generator, n: int, d: int) -> F32:
    """Correlated numbers: 128 factors whose deviations fall as a power of their number, and a little noise."""
    factors = normal(rng, n, 128) * np.arange(1, 129, dtype=np.float32) ** -np.float32(rng.uniform(0.5, 1.5))
    return factors @ normal(rng, 128, d) + np.float32(0.1) * normal(rng, n, d)


def heavy(rng: np.random.Generator, n: int, d: int) -> F32:
    """Student's t of three degrees of freedom: single patients stand far out."""
    return rng.standard_t(3, (n, d)).astype(np.float32)


def clusters(rng: np.random.Generator, n: int, d: int) -> F32:
    """5 to 20 sites or vendors, of very different sizes and far apart."""
    count = int(rng.integers(5, 21))
    of = rng.choice(count, n, p=rng.dirichlet(np.ones(count)))
    return np.float32(3) * normal(rng, count, d)[of] + normal(rng, n, d)


def sparse(rng: np.random.Generator, n: int, d: int) -> F32:
    """The positive part of correlated numbers: up to 98 % of a column are zero, as after a ReLU."""
    found = spectrum(rng, n, d)
    return np.maximum(found / found.std(axis=0) - rng.uniform(0, 2, d).astype(np.float32), np.float32(0))


def constant(rng: np.random.Generator, n: int, d: int) -> F32:
    """Few distinct rows and a column that never varies: what a broken network gives."""
    rows = normal(rng, int(rng.integers(2, 9)), d)
    rows[:, 0] = 1
    return rows[rng.integers(0, len(rows), n)]


Kind = Callable[[np.random.Generator, int, int], F32]
KINDS: dict[str, Kind] = {
    "normal": normal, "power law": spectrum, "heavy tails": heavy, "clusters": clusters, "sparse": sparse,
    "few rows": constant,
}  # fmt: skip


@dataclass(frozen=True)
class Images:
    """Built-in features of the patients of a dataset.

    Attributes
    ----------
    name : str
        Of the folder of the dataset.
    table : ndarray [P, D] float32
    reduced : ndarray [P, E] float32
        As the control with shuffled labels reads it: with fewer patches.
    group, reduced_group : ndarray of str
        Families of their columns.
    images : ndarray [P] int64
        Of each patient.
    """

    name: str
    table: F32
    group: NDArray[np.str_]
    reduced: F32
    reduced_group: NDArray[np.str_]
    images: NDArray[np.int64]


PARTS = tuple(one.name for one in fields(Images) if one.name != "name")


@dataclass(frozen=True)
class Reader:
    """One feature set of an archive.

    Attributes
    ----------
    name : str
    table : ndarray [Q, D] float32
    group : ndarray [D] of str
    patients : ndarray [Q] int64
        Who of the archive have features, ascending.
    """

    name: str
    table: F32
    group: NDArray[np.str_]
    patients: NDArray[np.int64]


@dataclass(frozen=True)
class Archive:
    """Patients with groups, and readers of them.

    Attributes
    ----------
    kind, shares : str
        Of the features of the first reader; of the groups, in `level.SHARES`.
    labels, images : ndarray [P] int64
        Group and number of images of each patient.
    readers : tuple of Reader
        The first has all patients.
    shuffled : Reader
        What the control with shuffled labels reads: the first reader, or fewer of its columns.
    """

    kind: str
    shares: str
    labels: NDArray[np.int64]
    images: NDArray[np.int64]
    readers: tuple[Reader, ...]
    shuffled: Reader

    def subjects(self, patients: NDArray[np.int64]) -> Subjects:
        """Some of the patients, as an audit selects them."""
        keys = np.array([f"{number:08x}" for number in patients])
        owner = np.repeat(np.arange(len(patients)), self.images[patients])
        labels = self.labels[patients]
        frame = pd.DataFrame({"patient_key": keys[owner], "study_key": keys[owner]})
        names = tuple("ABCD"[: len(SHARES[self.shares])])
        cohort = Cohort("group", names, np.arange(len(owner)), labels[owner], frame, {}, np.full(len(owner), "test"))
        return Subjects(cohort, keys, labels, owner, image_weights(cohort, owner))

    def leaking(self, strength: float) -> Archive:
        """The same with the group in the first column of the first reader: what a study must find."""
        first = self.readers[0]
        table = first.table.copy()
        table[:, 0] += np.float32(strength * table[:, 0].std()) * self.labels[first.patients].astype(np.float32)
        return replace(self, readers=(replace(first, table=table), *self.readers[1:]))


def draw(rng: np.random.Generator, sources: Sequence[Images]) -> Archive:
    """An archive without a signal.

    The smallest group has at least the patients that a finding needs; else none could be false.
    """
    shares = str(rng.choice(list(SHARES)))
    enough = max(LEAST, patients_for(shares, MIN_CLASS_PATIENTS))
    source = _source(rng, [one for one in sources if len(one.table) >= enough])
    top = max(MOST if source is None else len(source.table), enough)
    n = max(log_uniform(rng, LEAST, top), enough)
    labels = assigned(shares, n, rng)
    everyone = np.arange(n)
    if source is None:
        kind = str(rng.choice(list(KINDS)))
        images = _images(rng, n)
        first = embedding(rng, kind, "embedding 1", images, everyone)
        shuffled = first
    else:
        kind, chosen = source.name, np.sort(rng.choice(len(source.table), n, replace=False))
        images = source.images[chosen]
        first = Reader(BUILT_IN, source.table[chosen], source.group, everyone)
        shuffled = Reader(BUILT_IN, source.reduced[chosen], source.reduced_group, everyone)
    more = int(rng.integers(1, 3)) if rng.random() < MORE_READERS else 0
    readers = [first]
    for number in range(more):
        some = _covered(rng, labels) if rng.random() < INCOMPLETE else everyone
        readers.append(embedding(rng, str(rng.choice(list(KINDS))), f"embedding {number + 2}", images, some))
    return Archive(kind, shares, labels, images, tuple(readers), shuffled)


def embedding(
    rng: np.random.Generator,
    kind: str,
    name: str,
    images: NDArray[np.int64],  # [P]
    patients: NDArray[np.int64],  # [Q]
) -> Reader:
    """Drawn features: means over the images of each patient, who share half of the variance."""
    d = log_uniform(rng, NARROWEST, WIDEST)
    table, counts = KINDS[kind](rng, len(patients), d), images[patients]
    if counts.max() > 1:
        owner = np.repeat(np.arange(len(patients)), counts)
        of_images = KINDS[kind](rng, len(owner), d)
        table = table + patient_means(of_images, owner, 1 / counts[owner], len(patients)).astype(np.float32)
    return Reader(name, table, np.full(d, "embedding"), patients)


def _source(rng: np.random.Generator, sources: Sequence[Images]) -> Images | None:
    if not sources or rng.random() >= FROM_IMAGES:
        return None
    return sources[int(rng.integers(len(sources)))]


def _images(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    return rng.integers(1, 5, n) if rng.random() < SEVERAL_IMAGES else np.ones(n, dtype=np.int64)


def _covered(rng: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Patients who have a vector, whatever their group; all, where too few of a group would."""
    n = len(labels)
    some = np.sort(rng.choice(n, int(n * rng.uniform(LEAST_COVERED, 1)), replace=False))
    return some if np.bincount(labels[some]).min() >= MIN_CLASS_PATIENTS else np.arange(n)


def images_of(text: str, keep: Path | None) -> Images:
    """Built-in features of a dataset, ``DATASET:TARGET``; extracted once, if there is a folder to keep them in.

    The target decides who is in the table: patients with a known value of it, as in an audit.
    """
    place, _, target = text.rpartition(":")
    dataset = Dataset.open(Path(place))
    name = Path(place).name
    file = None if keep is None else keep / f"null_tables-{name}-{dataset.fingerprint[:12]}-{target}.npz"
    if file is not None and file.is_file():
        with np.load(file, allow_pickle=False) as stored:
            return Images(name, *(stored[part] for part in PARTS))
    found = _extract(name, dataset, target)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{os.getpid()}-{file.name}")  # two processes may begin together
        np.savez(part, **{name: getattr(found, name) for name in PARTS})
        part.replace(file)
    return found


def _extract(name: str, dataset: Dataset, target: str) -> Images:
    subjects = select_subjects(dataset, target)
    clean = experiments("any", dataset.size)[:1]
    with tempfile.TemporaryDirectory(prefix="fastrace-null-") as folder:
        tables = Tables(Path(folder) / "features", dataset, subjects, clean, [], 0)
        tables.build(Progress())
        table, group = tables.table(BUILT_IN, CLEAN)
        reduced, reduced_group = tables.table(BUILT_IN, CLEAN, unlike=True)
        images, everybody = np.bincount(subjects.owner, minlength=len(subjects)), np.arange(len(subjects))
        return Images(name, table[everybody], group, reduced[everybody], reduced_group, images)


def digest(sources: Sequence[Images]) -> str:
    """Names the images behind a study."""
    found = hashlib.blake2b(digest_size=4)
    for one in sources:
        found.update(one.name.encode() + one.table.tobytes())
    return found.hexdigest() if sources else "drawn"
