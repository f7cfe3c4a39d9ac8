"""How the random patches of the built-in reader were chosen: AUCs on archives of several kinds, none of them alone.

`python -m fastrace.bench.studies.patches DATASET:TARGET ... [--keep FOLDER] [--write]`. A dataset is one of
`fastrace preprocess`: real hands by sex, and computed mammograms with each kind of leak (the seeds of `studies.phantoms`). Every
row is one choice; its AUC is that of an audit's probe within folds. `--write` makes docs/patches.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fastrace.audit.cells import ranked
from fastrace.audit.engines.probe import Regressions, standardise
from fastrace.audit.frequencies import ring_edges
from fastrace.audit.partition import Partition, deal_at_random
from fastrace.audit.readers import patches as reader
from fastrace.audit.readers.extract import extract
from fastrace.audit.readers.rings import families
from fastrace.bench.machine import ROOT
from fastrace.dataset import Dataset
from fastrace.files import write_atomic
from fastrace.statistics import influence

SAMPLE = 256
Tables = Mapping[str, NDArray[np.float32]]
BASE: dict[str, Any] = {"SIDE": 50, "PATCH": 6, "GRIDS": (1, 3), "THRESHOLD": 1.0, "filters": 128}
CHOICES: dict[str, dict[str, Any]] = {
    "as built, coarse": {},
    "32 filters": {"filters": 32},
    "256 filters": {"filters": 256},
    "25 pixels": {"SIDE": 25},
    "32 pixels": {"SIDE": 32},
    "100 pixels": {"SIDE": 100},
    "patches of 5": {"PATCH": 5},
    "patches of 8": {"PATCH": 8},
    "threshold .5": {"THRESHOLD": 0.5},
    "threshold 2": {"THRESHOLD": 2.0},
    "grids 1, 2": {"GRIDS": (1, 2)},
    "grids 1, 5, 64 filters": {"GRIDS": (1, 5), "filters": 64},
    "as it is, 32 filters (fine)": {"SIDE": 100_000, "filters": 32},
    "as it is, 128 filters": {"SIDE": 100_000},
}


def tables_of(images: torch.Tensor, **changes: Any) -> NDArray[np.float32]:
    """Features of one choice."""
    wanted = {**BASE, **changes}
    before = {name: getattr(reader, name) for name in wanted if name != "filters"}
    try:
        for name in before:
            setattr(reader, name, wanted[name])
        small = reader.coarse(images)
        some = np.sort(np.random.default_rng(0).permutation(len(small))[:SAMPLE])
        bank = reader.draw_bank(small[some], wanted["filters"], np.random.default_rng(1))
        return np.concatenate([bank(small[first : first + 256]) for first in range(0, len(small), 256)])
    finally:
        for name, value in before.items():
            setattr(reader, name, value)


def auc_of(
    table: NDArray[np.float32],
    group: NDArray[np.str_],
    labels: NDArray[np.int64],
    partition: Partition,
    separate: bool = True,
) -> float:
    """AUC within folds: a regression for each family, or one over all columns."""
    scores = np.full((len(partition.repeats), len(labels), 2), np.nan)
    coded = np.where(labels[:, None] == np.arange(2), 1.0, -1.0)
    everybody = np.arange(len(labels))
    regressions = Regressions(standardise(table, group, everybody, everybody), partition, separate=separate)
    for repeat, fold, found in regressions.scores(coded):
        scores[repeat, fold.test] = found
    return influence(ranked(scores, labels, partition), 1)[0]


def study(path: Path, target: str) -> dict[str, float]:
    """All rows of one archive."""
    dataset = Dataset.open(path)
    names = dataset.index[target].astype(str).to_numpy()
    labels = (names == sorted(set(names))[-1]).astype(np.int64)
    images = torch.from_numpy(dataset.images(np.arange(len(names))).astype(np.float32) / np.float32(dataset.scale))
    partition = deal_at_random(labels, np.random.default_rng(0))
    found: dict[str, float] = {}

    def row(name: str, compute: Callable[[], float]) -> None:
        started = time.process_time()
        found[name] = round(float(compute()), 4)
        sys.stderr.write(f"{path.name}: {name}: {found[name]:.3f}, {time.process_time() - started:.0f} s\n")

    for name, changes in CHOICES.items():
        table = tables_of(images, **changes)
        row(name, partial(auc_of, table, np.full(table.shape[1], reader.COARSE), labels, partition))
    rings = extract(images)
    group = families(np.ones(len(ring_edges(dataset.size)) - 1, dtype=bool))
    coarse = tables_of(images, filters=reader.FILTERS[reader.COARSE])
    fine = tables_of(images, SIDE=100_000, filters=reader.FILTERS[reader.FINE])
    every = np.concatenate([rings, coarse, fine], axis=1)
    names_of = np.concatenate([group, np.full(coarse.shape[1], reader.COARSE), np.full(fine.shape[1], reader.FINE)])
    patched = np.isin(names_of, (reader.COARSE, reader.FINE))
    for name, chosen, separate in (
        ("coarse and fine", patched, False),
        ("the other families, one regression", ~patched, False),
        ("the other families, one each", ~patched, True),
        ("all, one regression", np.ones(len(patched), dtype=bool), False),
        ("all, one each: the built-in reader", np.ones(len(patched), dtype=bool), True),
    ):
        row(name, partial(auc_of, every[:, chosen], names_of[chosen], labels, partition, separate))
    return found


def page(found: Mapping[str, dict[str, float]]) -> str:
    """docs/patches.md."""
    rows = list(next(iter(found.values())))
    lines = [
        "# How the patches of the built-in reader were chosen",
        "",
        "`python -m fastrace.bench.studies.patches DATASET:TARGET ... --write`: AUC within folds, without an interval;",
        f"differences of .01 are chance. The base is {BASE['filters']} filters of {BASE['PATCH']} x {BASE['PATCH']} pixels at",
        f"{BASE['SIDE']} pixels, threshold {BASE['THRESHOLD']:g}, grids {BASE['GRIDS']}; the first rows change one thing of it.",
        "The last five: families of features in one ridge regression, or one each, weighted by the square of the share of",
        "variance that each predicts.",
        "",
        "| choice | " + " | ".join(found) + " |",
        "|---|" + "---|" * len(found),
    ]
    lines += [f"| {name} | " + " | ".join(f"{one[name]:.3f}" for one in found.values()) + " |" for name in rows]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Compute what is missing and print."""
    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.studies.patches", description=__doc__.splitlines()[0]
    )
    parser.add_argument("datasets", nargs="+", metavar="DATASET:TARGET")
    parser.add_argument("--keep", type=Path, help="folder of finished archives, to go on with")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    found = {}
    for text in given.datasets:
        place, _, target = text.rpartition(":")
        name = Path(place).name
        file = None if given.keep is None else given.keep / f"patches-{name}.json"
        if file is not None and file.is_file():
            found[name] = json.loads(file.read_text())
            continue
        with threadpool_limits(1):
            found[name] = study(Path(place), target)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, json.dumps(found[name]).encode(), 0o644)
    text = page(found)
    sys.stdout.write(text)
    if given.write:
        (ROOT / "docs" / "patches.md").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
