"""Do two versions of fastrace give the same answers? Runs a version from end to end, and compares what two of them left.

    PYTHONPATH=OLD_CHECKOUT python bench/studies/same_answers.py run OLD
    PYTHONPATH=NEW_CHECKOUT python bench/studies/same_answers.py run NEW
    python bench/studies/same_answers.py compare OLD NEW

A run makes phantoms, a dataset of them, two trainings, an evaluation and an audit, the same of the chest radiographs of the test
data, and the demo; all with fixed seeds and one salt. Compared are the bytes of datasets, every number of ``metrics.json``,
evaluations, ``audit.json`` and the CSV tables, and every mark and sentence; not times, versions and dates. A number whose place
in the document has moved is found by its old place, see `MOVED`. For work that must change no answer; ten minutes on two cores.
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

MOVED: dict[str, str] = {}
"""Place in a newer document -> place in an older one."""
LEFT_OUT = ("seconds", "environment", "created", "fastrace", "schema")
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
    fastrace("audit", mammo, "--out", out / "mammo-audit", "--features", "small", "--permutations", "999")
    fastrace("audit", out / "cxr-data", "--out", out / "cxr-audit", "--features", "none", "--permutations", "999")
    fastrace(
        "preprocess", data / "chest/png", "--modality", "cxr", "--size", "224x224", "--labels", data / "chest/data.csv",
        "--out", out / "chest-data", "--salt", salt,
    )  # fmt: skip
    fastrace("audit", out / "chest-data", "--target", "sex", "--out", out / "chest-audit")
    for name in ("mammo-audit", "cxr-audit", "chest-audit"):
        fastrace("report", out / name)
    (out / "demo.json").write_text(fastrace("demo", "--out", out / "demo", "--json"))


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, text and flag of a document with its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in LEFT_OUT:
                yield from leaves(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{place}/{number}")
    else:
        yield place, value


def content(file: Path) -> dict[str, Any]:
    """What of a file is compared: place -> value."""
    if file.suffix == ".json":
        return dict(leaves(json.loads(file.read_text())))
    if file.suffix == ".csv":
        with file.open(newline="") as lines:
            return {
                f"/{row}/{name}": cell
                for row, cells in enumerate(csv.DictReader(lines))
                for name, cell in cells.items()
            }
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def files(folder: Path) -> list[Path]:
    """What is compared, relative to the folder: results, and the datasets byte for byte."""
    wanted = [*folder.rglob("audit.json"), *folder.rglob("metrics.json"), *folder.rglob("tables/*.csv")]
    wanted += [*folder.glob("*.json"), *folder.rglob("images-*.npy"), *folder.rglob("index.parquet")]
    wanted += folder.rglob("dataset.json")
    return sorted(file.relative_to(folder) for file in set(wanted))


def compare(old: Path, new: Path) -> int:
    """Print what differs; 1 if anything does."""
    worst = 0
    for file in sorted({*files(old), *files(new)}):
        if not ((old / file).is_file() and (new / file).is_file()):
            click.echo(f"{file}: only in {old if (old / file).is_file() else new}")
            worst = 1
            continue
        before, after = content(old / file), content(new / file)
        after = {MOVED.get(place, place): value for place, value in after.items()}
        root = str(old.resolve()), str(new.resolve())
        changed = {
            place: (before[place], after[place])
            for place in before.keys() & after.keys()
            if before[place] != after[place]
            and str(before[place]).replace(str(old), "") != str(after[place]).replace(str(new), "")
            and str(before[place]).replace(root[0], "") != str(after[place]).replace(root[1], "")
        }
        numbers = sum(not isinstance(value, str) and value is not None for value in before.values())
        gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
        click.echo(
            f"{file}: {len(before)} values, {numbers} of them numbers or flags: {len(changed)} differ, "
            f"{len(gone)} gone, {len(come)} new"
        )
        for place, (was, is_now) in sorted(changed.items())[:20]:
            click.echo(f"    {place}: {was!r} -> {is_now!r}")
        for what, places in (("gone", gone), ("new", come)):
            named = sorted({"/".join("*" if part.isdigit() else part for part in place.split("/")) for place in places})
            if named:
                click.echo(f"    {what}: {', '.join(named[:20])}")
        worst |= bool(changed)
    return worst


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", out]:
            test_data = os.environ.get("FASTRACE_TEST_DATA", "../shared/data")
            run(Path(out).resolve(), Path(test_data).resolve())
        case ["compare", old, new]:
            sys.exit(compare(Path(old), Path(new)))
        case _:
            sys.exit(__doc__)
