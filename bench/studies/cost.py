"""What an audit costs, by the number of patients: seconds of each step and the largest resident set.

    python -m fastrace.bench.studies.cost [PATIENTS ...] [--readers none] [--write]

Archives of computed mammograms, one image of 224 x 224 a patient, half of them with a texture leak. The audit is the default one,
in a process of its own on all processors. `--write` keeps the results beside those of other sizes in
bench/results/cost.json and makes docs/cost.md of them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from fastrace.bench.machine import ROOT, environment
from fastrace.bench.studies.memory import memory_kib
from fastrace.console.words import plural
from fastrace.dataset import INDEX_COLUMNS, keyed_hash, write_dataset
from fastrace.execute.cpus import usable_cpus
from fastrace.files import write_atomic
from fastrace.manifest import shard_facts, shard_name
from fastrace.phantom import PhantomSpec
from fastrace.phantom.render import render

SIZE = (224, 224)
PATIENTS = (1_000, 4_000, 12_000, 50_000)
SALT = bytes(32)
ROWS_PER_SHARD = 1024
RESULT = ROOT / "bench" / "results" / "cost.json"
PAGE = ROOT / "docs" / "cost.md"
Row = dict[str, Any]


def dataset(path: Path, patients: int) -> None:
    """Write a dataset of so many patients, as `fastrace preprocess` would."""
    path.mkdir(parents=True)
    spec = PhantomSpec("mammo", patients=patients, images_per_patient=1, size=SIZE, strength=0.15, seed=5)
    rows: list[Row] = []
    shards: list[dict[str, Any]] = []
    waiting: list[np.ndarray] = []

    def write() -> None:
        file = path / shard_name(len(shards))
        np.save(file, np.stack(waiting))
        shards.append(shard_facts(file, len(waiting)))
        waiting.clear()

    for number, image in enumerate(render(spec)):
        pixels = np.floor(image.shown.clip(0, 1) * 65535 + 0.5).astype(np.uint16)
        rows.append(
            dict.fromkeys(INDEX_COLUMNS)
            | {
                "image_key": keyed_hash(SALT, "image", str(number)),
                "patient_key": keyed_hash(SALT, "patient", image.patient.patient_id),
                "study_key": keyed_hash(SALT, "study", str(number)),
                "pixel_hash": hashlib.blake2b(pixels.tobytes(), key=SALT, digest_size=16).hexdigest(),
                "shard": len(shards),
                "row": len(waiting),
                "frame": 0,
                "mm_per_pixel": 1.0,
                "voi_source": "window",
                "view": image.shot.view,
                "laterality": image.shot.laterality,
                "manufacturer": image.patient.convention.vendor,
                "age_years": float(image.shot.age_years),
                "group": image.patient.group,
            }
        )
        waiting.append(pixels)
        if len(waiting) == ROWS_PER_SHARD:
            write()
    if waiting:
        write()
    plain = {
        "modality": "mammo", "size": list(SIZE), "dtype": "uint16", "voi": ["auto"], "window": None, "fit": "pad",
        "crop": "none", "resize": "area",
    }  # fmt: skip
    labels = {"group": {"kind": "categorical"}}
    counts = {"inputs": patients, "indexed": patients, "patients": patients, "rejected": {}}
    write_dataset(path, pd.DataFrame(rows), shards, recipe=plain, labels=labels, counts=counts, salt=SALT)


def measure(data: Path, out: Path, readers: tuple[str, ...]) -> Row:
    """Audit a dataset in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "fastrace.cli",
        "audit",
        str(data),
        "--target",
        "group",
        "--out",
        str(out),
        "--json",
    ]
    for reader in readers:
        command += ["--readers", reader]
    started, resident, anonymous = time.monotonic(), 0, 0
    with tempfile.TemporaryFile("w+") as printed, subprocess.Popen(command, stdout=printed) as process:
        while process.poll() is None:
            resident = max(resident, memory_kib(process.pid))
            anonymous = max(anonymous, memory_kib(process.pid, "RssAnon"))
            time.sleep(0.1)
        printed.seek(0)
        found = json.loads(printed.read())
    seconds = {name: round(value, 1) for name, value in found["seconds"].items()}
    return {
        "patients": found["dataset"]["patients"],
        "readers": ", ".join(readers) or "default",
        "cells": len(found["cells"]),
        "findings": sum(bool(cell["finding"]) for cell in found["cells"]),
        "failed": [one["id"] for one in found["controls"] if one["status"] == "failed"],
        "seconds": seconds | {"all": round(time.monotonic() - started, 1)},
        "resident_mib": round(resident / 1024),
        "anonymous_mib": round(anonymous / 1024),
    }


def growth(rows: list[Row]) -> tuple[float, float]:
    """Factor and power of the fit seconds = factor x patients^power, by least squares on logarithms."""
    patients, seconds = ([row["patients"] for row in rows], [row["seconds"]["all"] for row in rows])
    power, start = np.polyfit(np.log(patients), np.log(seconds), 1)
    return float(np.exp(start)), float(power)


def page(rows: list[Row]) -> str:
    """docs/cost.md: a table for each machine."""
    lines = [
        "# What an audit costs",
        "",
        "`python -m fastrace.bench.studies.cost [PATIENTS ...] [--readers none] --write`: computed mammograms, one of "
        f"{SIZE[0]}x{SIZE[1]} a",
        "patient, half of them with a texture; all questions, nothing else running.",
        "Seconds by the clock. Memory: the largest that no file holds, and the largest resident set, which has pages of",
        "libraries and of mapped files in it that the system takes back when it needs them.",
    ]
    for machine in dict.fromkeys(row["machine"] for row in rows):
        lines += ["", f"## {machine}", "", *_table([row for row in rows if row["machine"] == machine])]
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: list[Row]) -> list[str]:
    lines = [
        "| patients | readers | cells | networks, s | features, s | cells, s | controls, s (share) | all, s | memory, MiB "
        "| resident, MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = row["seconds"]
        share = 100 * seconds["controls"] / seconds["all"]
        lines.append(
            f"| {row['patients']:,} | {row['readers']} | {row['cells']} | {seconds['networks']:.0f} | {seconds['features']:.0f} "
            f"| {seconds['cells']:.0f} | {seconds['controls']:.0f} ({share:.0f} %) | {seconds['all']:.0f} "
            f"| {row['anonymous_mib']:,} | {row['resident_mib']:,} |"
        )
    for name in dict.fromkeys(row["readers"] for row in rows):
        some = [row for row in rows if row["readers"] == name]
        if len(some) > 2:
            factor, power = growth(some)
            fit = f"Readers {name}: seconds = {factor:.3g} x patients^{power:.2f}, by least squares on logarithms."
            lines += ["", fit]
    return lines


def _keep(found: Row) -> None:
    """Write a row beside those of other sizes, readers and machines."""
    found = {"machine": f"{plural(usable_cpus(), 'core')} of {environment(quick=True)['cpu']}"} | found
    before = json.loads(RESULT.read_text())["rows"] if RESULT.is_file() else []
    same = ("machine", "patients", "readers")
    rows = [row for row in before if any(row[name] != found[name] for name in same)] + [found]
    rows.sort(key=lambda row: [row[name] for name in ("machine", "readers", "patients")])
    write_atomic(RESULT, (json.dumps({"rows": rows}, indent=1) + "\n").encode(), 0o644)
    write_atomic(PAGE, page(rows).encode(), 0o644)


@click.command()
@click.argument("patients", nargs=-1, type=int)
@click.option("--readers", multiple=True, help="As of the audit; none: the built-in features alone.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the datasets here.")
@click.option("--write", is_flag=True)
def main(patients: tuple[int, ...], readers: tuple[str, ...], folder: Path | None, write: bool) -> None:
    """Measure each size and write the result."""
    with tempfile.TemporaryDirectory() as temporary:
        for count in patients or PATIENTS:
            data = (folder or Path(temporary)) / f"patients-{count}"
            if not (data / "dataset.json").is_file():
                dataset(data, count)
            found = measure(data, Path(temporary) / f"audit-{count}", readers)
            click.echo(json.dumps(found))
            if write:
                _keep(found)


if __name__ == "__main__":
    main()
