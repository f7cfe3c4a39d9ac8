"""Whether a whole audit finds something where nothing is: archives of pixels without a leak, audited as a user would.

`python -m fastrace.bench.studies.null_archives [DATASET:TARGET ...] [--archives 100] [--keep FOLDER] [--first K --step M]
[--write]`. Half of the archives are computed (mammograms and chest radiographs in turn, 100 to 300 patients with one or two
images), half are samples of 100 to 400 patients of the datasets; without datasets all are computed. Every audit runs all
experiments with the built-in features, the first 20 with the small network too. Of 100 archives at most 4 may have a primary
finding: level .01, 99 times of 100. Archives are kept one by one; processes share them as those of `studies.null_tables` do.
`--write` makes docs/null_archives.md.

Groups are dealt at random among the patients of all archives. The groups that a phantom has of its own would be too easy, even
without a leak: display conventions are spread evenly over them, not by chance, so that what a probe learns of one in four
folds is reversed in the fifth. With groups so balanced 150 times among 220 patients the mean AUC is .478 (standard error .004),
with groups dealt at random .497.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from fastrace.audit.correction import ALPHA
from fastrace.audit.document import Audit
from fastrace.audit.request import LEAST_OF_A_CLASS, PERMUTATIONS, AuditRequest
from fastrace.audit.run import audit
from fastrace.audit.subjects import select_subjects
from fastrace.bench.studies.blocks import Row, all_there, options, own_blocks, publish, run_blocks, share_options
from fastrace.bench.studies.level import SHARES, assigned, log_uniform, patients_for
from fastrace.bench.studies.null_tables import verdict
from fastrace.bench.studies.phantoms import SIZE, archive_of
from fastrace.dataset import Dataset, write_dataset
from fastrace.execute.cpus import set_threads
from fastrace.manifest import shard_facts, shard_name
from fastrace.models import SMALL
from fastrace.phantom import PhantomSpec
from fastrace.statistics import NOT_ENOUGH

WITH_NETWORK = 20
COMPUTED, REAL = (100, 300), (100, 400)
"""Patients."""
READ_BY_NETWORK = 220
"""Patients at least of an archive that the small network reads: two equal groups then have 30 test patients each, without which
its cells could be no finding."""
SALT = bytes(32)
"""Of the samples, whose keys are hashes already."""
TARGET = "group"


def archive(number: int, datasets: Sequence[str], folder: Path) -> tuple[str, Path]:
    """What an archive is called, and its dataset in a folder."""
    rng = np.random.default_rng((20261202, number))
    if datasets and number % 2:
        place, _, target = datasets[number // 2 % len(datasets)].rpartition(":")
        source = Dataset.open(Path(place))
        return source.path.name, sample(source, target, rng, _patients(REAL, number), folder / "data")
    modality = ("mammo", "cxr")[number // (2 if datasets else 1) % 2]
    patients = log_uniform(rng, *_patients(COMPUTED, number))
    spec = PhantomSpec(
        modality=modality,
        patients=patients,
        images_per_patient=int(rng.integers(1, 3)),
        strength=0.0,
        seed=int(rng.integers(1 << 30)),
    )
    computed = Dataset.open(archive_of(spec, folder / "phantom", SIZE))
    return f"computed {modality}", sample(computed, TARGET, rng, (patients, patients), folder / "data")


def _patients(between: tuple[int, int], number: int) -> tuple[int, int]:
    least, most = between
    return (max(least, min(READ_BY_NETWORK, most)), most) if number < WITH_NETWORK else between


def sample(source: Dataset, target: str, rng: np.random.Generator, between: tuple[int, int], path: Path) -> Path:
    """Write a dataset of some patients of another, with groups dealt at random among them as its only label.

    Parameters
    ----------
    source : Dataset
    target : str
        Patients without a known value are left out, as in an audit.
    rng : Generator
    between : (int, int)
        Least and most patients; more, where the smallest group needs them, and all, if there are fewer.
    path : Path
        Of the new dataset.
    """
    subjects = select_subjects(source, target)
    shares = str(rng.choice([name for name in SHARES if patients_for(name, LEAST_OF_A_CLASS) <= len(subjects)]))
    enough = patients_for(shares, LEAST_OF_A_CLASS)
    n = min(max(log_uniform(rng, *between), enough), len(subjects))
    patients = np.sort(rng.choice(len(subjects), n, replace=False))
    groups = pd.Series(np.array(list("ABCD"))[assigned(shares, n, rng)], subjects.keys[patients])
    rows = np.sort(subjects.cohort.rows[np.isin(subjects.owner, patients)])
    path.mkdir(parents=True)
    np.save(path / shard_name(0), source.images(rows))
    index = source.index.iloc[rows].reset_index(drop=True)
    index["shard"], index["row"] = 0, np.arange(len(rows))
    index[TARGET] = index["patient_key"].map(groups)
    counts = source.meta["counts"] | {"files": len(rows), "inputs": len(rows), "indexed": len(rows), "patients": n}
    write_dataset(
        path,
        index,
        [shard_facts(path / shard_name(0), len(rows))],
        recipe=source.meta["recipe"],
        labels={TARGET: {"kind": "categorical"}},
        counts=counts,
        salt=SALT,
    )
    return path


def study(datasets: Sequence[str], permutations: int, number: int) -> list[Row]:
    """One archive, audited: a block of one row."""
    folder = Path(tempfile.mkdtemp(prefix="fastrace-null-"))
    readers = (SMALL,) if number < WITH_NETWORK else ()
    try:
        name, data = archive(number, datasets, folder)
        modality = str(Dataset.open(data).meta["recipe"].get("modality") or "any")
        request = AuditRequest(
            data, folder / "audit", modality, TARGET, readers=readers, seed=number, permutations=permutations, jobs=1
        )
        return [row_of(name, audit(request))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def row_of(name: str, found: Audit) -> Row:
    """What is kept of an audit."""
    findings = [cell for cell in found.cells if cell.finding]
    trained = [one.training for one in found.features if one.training is not None]
    return {
        "kind": name, "patients": found.dataset.patients, "images": found.dataset.images, "classes": len(found.classes),
        "primary": sorted(cell.id for cell in findings if cell.family == "primary"),
        "exploratory": sorted(cell.id for cell in findings if cell.family == "exploratory"),
        "possible": sum(not cell.estimate.status.startswith(NOT_ENOUGH) for cell in found.of("A1")),
        "questions": len(found.cells), "failed": [control.id for control in found.failed],
        "p": {cell.features: cell.p for cell in found.of("A1")},
        "auc": {cell.features: cell.estimate.value for cell in found.of("A1")},
        "learned": [one.learned for one in trained], "said": [one.sentence for one in trained],
        "seconds": found.seconds,
    }  # fmt: skip


def page(rows: list[Row], hours: float, sources: Sequence[str], permutations: int) -> str:
    """docs/null_archives.md.

    Parameters
    ----------
    rows : list of dict
        Of `row_of`.
    hours : float
        Of one processor.
    sources : sequence of str
        Names of the datasets.
    permutations : int
    """
    total = len(rows)
    learned = [one for row in rows for one in row["learned"]]
    tests = sum(len(row["p"]) for row in rows)
    failed = Counter(id for row in rows for id in row["failed"])
    lines = [
        "# Archives without a signal",
        "",
        f"`python -m fastrace.bench.studies.null_archives {' '.join(f'{name}:TARGET' for name in sources)} --archives {total} "
        "--write`:",
        f"{total} archives without a leak, audited in full, {permutations:,} permutations at most; {hours:.2f} processor hours.",
        f"Computed ones have {COMPUTED[0]} to {COMPUTED[1]} patients with one or two images at {SIZE[0]}x{SIZE[1]}, real ones",
        f"{REAL[0]} to {REAL[1]} patients; two or four groups were dealt at random among them. The first {WITH_NETWORK} were",
        "read by the small network too.",
        "",
        f"- A primary finding: {verdict(sum(bool(row['primary']) for row in rows), total, ALPHA)}.",
        f"  Of {tests} primary tests {sum(row['possible'] for row in rows)} had enough patients to be one.",
        f"- An exploratory finding: {verdict(sum(bool(row['exploratory']) for row in rows), total, ALPHA)}, among "
        f"{sum(row['questions'] for row in rows):,} questions.",
        f"- A control failed: {', '.join(f'{id} in {count}' for id, count in sorted(failed.items())) or 'none'}.",
        f"- The small network was trained in {len(learned)} archives and learned nothing, by its own words, in "
        f"{learned.count(False)}.",
        "",
        "| archives | number | primary finding | exploratory finding | shuffled labels failed | planted signal failed "
        "| network learned nothing | mean AUC, built-in | seconds of an audit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for kind in sorted({row["kind"] for row in rows}):
        lines.append(_line(kind, [row for row in rows if row["kind"] == kind]))
    lines.append(_line("all", rows))
    named = [f"{row['kind']}, {row['patients']} patients: {', '.join(row['primary'] + row['exploratory'])}"
             for row in rows if row["primary"] or row["exploratory"]]  # fmt: skip
    if named:
        lines += ["", "Findings:", "", *(f"- {one}" for one in named)]
    return "\n".join(lines) + "\n"


def _line(kind: str, some: list[Row]) -> str:
    learned = [one for row in some for one in row["learned"]]
    read = [row["auc"]["built-in"] for row in some if row["auc"].get("built-in") is not None]
    return (
        f"| {kind} | {len(some)} | {sum(bool(row['primary']) for row in some)} | "
        f"{sum(bool(row['exploratory']) for row in some)} | {sum('shuffled' in row['failed'] for row in some)} | "
        f"{sum('planted' in row['failed'] for row in some)} | {learned.count(False)} of {len(learned)} | "
        f"{np.mean(read) if read else np.nan:.3f} | {np.median([sum(row['seconds'].values()) for row in some]):.0f} |"
    )


def main(arguments: list[str]) -> None:
    """Audit what is missing and print."""
    parser = options("null_archives", __doc__)
    parser.add_argument("datasets", nargs="*", metavar="DATASET:TARGET")
    parser.add_argument("--archives", type=int, default=100)
    share_options(parser)
    given = parser.parse_args(arguments)
    set_threads(1)
    sources = [Dataset.open(text.rpartition(":")[0]) for text in given.datasets]
    facts = [one.fingerprint + text.rpartition(":")[2] for one, text in zip(sources, given.datasets, strict=True)]
    of = hashlib.blake2b("".join(facts).encode(), digest_size=4).hexdigest()
    name = f"null_archives-{of if sources else 'computed'}-{PERMUTATIONS}"
    with threadpool_limits(1):
        rows, hours = run_blocks(
            given.keep,
            name,
            given.archives,
            partial(study, given.datasets, PERMUTATIONS),
            own_blocks(given, given.archives),
        )
    if all_there(len(rows), given.archives, "archives", write=given.write):
        publish("null_archives", page(rows, hours, [one.path.name for one in sources], PERMUTATIONS), write=given.write)


if __name__ == "__main__":
    main(sys.argv[1:])
