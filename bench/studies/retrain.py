"""The study's grid of cut-offs by probes against training a network for each.

`python -m fastrace.bench.studies.retrain [--write]`; `--write` makes bench/results/retrain.json. 2,000 computed mammograms of
1,000 patients at 224x224, the study's low- and high-pass cut-offs below the largest radius. Ours is what an audit takes to read
the images, extract the built-in features and answer every cut-off with interval and permutation p; the whole audit, with its
controls, is given beside. The other side is one training for each cut-off, of the smallest network there is, of which only some
are run and the rest assumed to take as long, and of the preset's backbone, from one epoch on a tenth of the patients. Audits
and trainings take turns.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastrace.audit.request import AuditRequest
from fastrace.audit.run import audit
from fastrace.bench.machine import ROOT, environment
from fastrace.dataset import INDEX_COLUMNS, keyed_hash, write_dataset
from fastrace.degrade.parser import parse
from fastrace.manifest import shard_facts
from fastrace.modality import get_modality
from fastrace.phantom import PhantomSpec, images
from fastrace.train import Options, train
from fastrace.train.options import get_recipe

PATIENTS, SIDE, EPOCHS = 1000, 224, 16
MEASURED = ("lowpass:10", "highpass:50")


def dataset(folder: Path, patients: int = PATIENTS) -> None:
    """Write the images as a dataset, without DICOM files."""
    folder.mkdir(parents=True)
    made = images(PhantomSpec(patients=patients, images_per_patient=2, size=(SIDE, SIDE), seed=1))
    np.save(folder / "images-00000.npy", np.round(made.images * 65535).astype(np.uint16))
    salt = bytes(32)
    rows = len(made.images)
    index = pd.DataFrame({name: [None] * rows for name in INDEX_COLUMNS})
    index["image_key"] = [keyed_hash(salt, "image", str(n)) for n in range(rows)]
    index["patient_key"] = [keyed_hash(salt, "patient", str(one)) for one in made.patients]
    index["study_key"] = index["patient_key"]
    index["pixel_hash"] = index["image_key"]
    index["group"], index["shard"], index["row"] = list(made.groups), 0, np.arange(rows)
    index["mm_per_pixel"], index["age_years"] = np.nan, np.asarray(made.ages_years, dtype=np.float64)[:rows]
    shard = shard_facts(folder / "images-00000.npy", rows)
    write_dataset(
        folder,
        index,
        [shard],
        recipe={"size": [SIDE, SIDE], "dtype": "uint16", "modality": "mammo"},
        labels={"group": {"kind": "categorical"}},
        counts={"inputs": rows, "indexed": rows, "patients": patients, "rejected": {}},
        salt=salt,
    )


def measure(folder: Path) -> dict[str, Any]:
    """Seconds of both sides."""
    dataset(folder / "data")
    audits, grids, trainings, cells = [], [], [], 0
    for turn, text in enumerate(MEASURED):
        started = time.perf_counter()
        request = AuditRequest(
            folder / "data", folder / f"audit-{turn}", "mammo", "group", readers=(), only=("C1a", "C1b")
        )
        found = audit(request)
        audits.append(time.perf_counter() - started)
        grids.append(found.seconds["features"] + found.seconds["cells"])
        cells = len(found.of("C1a", "C1b"))
        recipe = get_recipe("current", "mammo", "small", epochs=EPOCHS)
        started = time.perf_counter()
        train(
            Options(folder / "data", folder / f"run-{turn}", "mammo", "group", recipe, "small", degradation=parse(text))
        )
        trainings.append(time.perf_counter() - started)
    return {
        "operation": f"{cells} cut-offs, {2 * PATIENTS} images {SIDE}x{SIDE}: probes against trainings",
        "peer": f"small network, {EPOCHS} epochs, {len(MEASURED)} of {cells} trainings run",
        "probe_seconds": [round(value, 1) for value in grids],
        "audit_seconds": [round(value, 1) for value in audits],
        "training_seconds": [round(value, 1) for value in trainings],
        "preset_training_seconds_from_one_epoch_of_a_tenth": round(preset := preset_seconds(folder), 0),
        **_ratio("ratio_to_the_preset_backbone", grids, [preset] * len(grids), cells),
        **_ratio("ratio", grids, trainings, cells),
        **_ratio("ratio_of_whole_audit", audits, trainings, cells),
    }


def preset_seconds(folder: Path) -> float:
    """One training of the preset's backbone, from one epoch on a tenth of the patients: all of it would take hours."""
    dataset(folder / "tenth", PATIENTS // 10)
    backbone = get_modality("mammo").backbone
    recipe = get_recipe("current", "mammo", backbone, epochs=1)
    started = time.perf_counter()
    train(Options(folder / "tenth", folder / "run-preset", "mammo", "group", recipe, backbone, init="random"))
    return (time.perf_counter() - started) * 10 * EPOCHS


def _ratio(name: str, ours: list[float], trainings: list[float], cells: int) -> dict[str, Any]:
    ratios = [one * cells / mine for one, mine in zip(trainings, ours, strict=True)]
    return {name: round(float(np.mean(ratios)), 1), f"{name}_spread": [round(min(ratios), 1), round(max(ratios), 1)]}


def main(arguments: list[str]) -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.studies.retrain", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="fastrace-retrain-"))
    try:
        document = {"environment": environment(quick=False), "rows": [measure(folder)]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(document, indent=1) + "\n"
    sys.stdout.write(text)
    if given.write:
        (ROOT / "bench" / "results" / "retrain.json").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
