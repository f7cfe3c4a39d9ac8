"""Compares the answers of two versions of fastrace: runs a version from end to end, then compares the results of two.

    PYTHONPATH=OLD_CHECKOUT python bench/studies/same_answers.py run OLD
    PYTHONPATH=NEW_CHECKOUT python bench/studies/same_answers.py run NEW
    python bench/studies/same_answers.py compare OLD NEW

A run makes phantoms, a dataset of them, two trainings, an evaluation and an audit, the same of the chest radiographs of the test
data, and the demo; all with fixed seeds and one salt. Compared are the bytes of datasets, every number of ``metrics.json``,
evaluations, ``audit.json`` and the CSV tables; differing texts are counted alone; times, versions and dates are not compared.
Cells are found by their id, wherever the document keeps them. For work that must change no answer; ten minutes on two cores.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

LEFT_OUT = (
    "seconds", "environment", "created", "fastrace", "schema",
    "digest", "fingerprint", "files", "shards", "shards_checked", "checked",  # pixels and index are compared as files
)  # fmt: skip
SALT = bytes(range(32))


def fastrace(*words: str | Path) -> str:
    """Call the command line of the version on PYTHONPATH."""
    command = [sys.executable, "-m", "fastrace.cli", *map(str, words)]
    click.echo(f"$ fastrace {' '.join(map(str, words))}")
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run(out: Path, data: Path) -> None:
    """Everything that is compared, into an empty folder."""
    out.mkdir(parents=True)
    salt = out / "salt"
    salt.write_bytes(SALT)
    for modality in ("mammo", "cxr"):
        archive, made = out / f"{modality}-archive", out / f"{modality}-data"
        fastrace(
            "phantom", "--out", archive, "--modality", modality, "--patients", "150", "--images-per-patient", "2",
            "--seed", "3", "--confounder", "age:0.7", "--size", "256x192", "--strength", "0.8",
        )  # fmt: skip
        labels = archive / "labels.csv"
        fastrace(
            "preprocess", archive, "--modality", modality, "--labels", labels, "--out", made, "--salt", salt,
            "--size", "128x128",
        )  # fmt: skip
    short = ("--model", "small", "--epochs", "3", "--seed", "1")
    mammo = out / "mammo-data"
    fastrace("train", mammo, "--out", out / "run", *short)
    fastrace("train", mammo, "--out", out / "run-band", *short, "--degrade", "band:10:30+noise:gaussian:0.05")
    fastrace("train", mammo, "--out", out / "run-code", *short, "--degrade", "lowpass:20", "--variant", "released-code")
    (out / "evaluation.json").write_text(fastrace("evaluate", out / "run", out / "mammo-data", "--json"))
    fastrace("audit", mammo, "--out", out / "mammo-audit", "--readers", "small", "--permutations", "999")
    fastrace("audit", out / "cxr-data", "--out", out / "cxr-audit", "--readers", "none", "--permutations", "999")
    fastrace(
        "preprocess", data / "chest/png", "--modality", "cxr", "--size", "224x224", "--labels", data / "chest/data.csv",
        "--out", out / "chest-data", "--salt", salt,
    )  # fmt: skip
    fastrace("audit", out / "chest-data", "--target", "sex", "--out", out / "chest-audit")
    for name in ("mammo-audit", "cxr-audit", "chest-audit"):
        fastrace("report", out / name)
    (out / "demo.json").write_text(fastrace("demo", "--out", out / "demo", "--json"))


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, text and flag of a document with its place; what has an id or a name is placed by it."""
    if isinstance(value, dict):
        for key, inner in _as_schema_2(value).items():
            if key not in LEFT_OUT:
                yield from leaves(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            name = None
            if isinstance(inner, dict):
                name = inner.get("id") or inner.get("name") or inner.get("label")
            yield from leaves(inner, f"{place}/{name or number}")
    else:
        yield place, value


def _as_schema_2(value: dict[str, Any]) -> dict[str, Any]:
    """An audit, or an estimate with a name, as schema 2 has it: schema 1 had three lists of cells and flat estimates."""
    if "label" in value and "n_patients" in value:
        value = {"name": value["label"], **{key: one for key, one in value.items() if key != "label"}}
    if "name" in value and "n_patients" in value and "status" in value:
        top: dict[str, Any] = {key: value[key] for key in ("name", "p") if key in value}
        return {**top, "estimate": {"suppressed": False, **{k: one for k, one in value.items() if k not in top}}}
    if "primary" in value and "location" in value:
        location = value["location"]
        cells = [*value["primary"], *value["cells"], *location["scan"]]
        rest = {key: one for key, one in value.items() if key not in ("primary", "controls_ok")}
        rest["dataset"] = {**rest["dataset"], "window": rest["dataset"]["window"]["voi_source"]}
        return {**rest, "cells": cells, "location": {**location, "scan": [cell["id"] for cell in location["scan"]]}}
    if "patient" not in value and {"value", "low", "high", "n_patients"} <= value.keys():
        return {"suppressed": False, **value}
    return value


def content(file: Path) -> dict[str, Any]:
    """What of a file is compared: place -> value."""
    if file.suffix == ".json":
        return dict(leaves(json.loads(file.read_text())))
    if file.suffix == ".csv":
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        names = ["/".join(row.get(key) or "" for key in ("id", "comparison")) for row in rows]
        return {
            f"/{name if name != '/' else number}/{key}": _read(cell)
            for number, (name, row) in enumerate(zip(names, rows, strict=True))
            for key, cell in row.items()
        }
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def _read(cell: str) -> Any:
    """A cell of a CSV as a number where it is one."""
    try:
        return float(cell)
    except ValueError:
        return cell


def files(folder: Path) -> list[Path]:
    """What is compared, relative to the folder: results, and the datasets byte for byte."""
    found = [*folder.rglob("audit.json"), *folder.rglob("metrics.json"), *folder.rglob("tables/*.csv")]
    found += [*folder.glob("*.json"), *folder.rglob("images-*.npy"), *folder.rglob("index.parquet")]
    found += folder.rglob("dataset.json")
    return sorted(file.relative_to(folder) for file in set(found))


def compare(old: Path, new: Path) -> int:
    """Print what differs; 1 if a number, a flag or a byte does."""
    worst = 0
    for file in sorted({*files(old), *files(new)}):
        if not ((old / file).is_file() and (new / file).is_file()):
            click.echo(f"{file}: only in {old if (old / file).is_file() else new}")
            worst = 1
            continue
        before, after = content(old / file), content(new / file)
        both = [place for place in before if place in after]
        changed = [place for place in both if before[place] != after[place]]
        texts = [place for place in changed if _is_text(before[place]) and _is_text(after[place]) and place != "sha256"]
        numbers = [place for place in changed if place not in texts]
        counted = sum(not _is_text(before[place]) for place in both) if "sha256" not in before else "all bytes"
        gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
        click.echo(
            f"{file}: {counted} compared, {len(numbers)} differ; {len(texts)} texts differ; {len(gone)} places gone, "
            f"{len(come)} new"
        )
        for place in numbers[:20]:
            click.echo(f"    {place}: {before[place]!r} -> {after[place]!r}")
        for what, places in (("texts", texts), ("gone", gone), ("new", come)):
            named = sorted({place.rsplit("/", 1)[-1] for place in places})
            if named:
                click.echo(f"    {what}: {', '.join(named[:20])}")
        worst |= bool(numbers)
    return worst


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", out]:
            test_data = os.environ.get("FASTRACE_TEST_DATA", "../shared/data")
            run(Path(out).resolve(), Path(test_data).resolve())
        case ["compare", old, new]:
            sys.exit(compare(Path(old), Path(new)))
        case _:
            sys.exit(__doc__)
