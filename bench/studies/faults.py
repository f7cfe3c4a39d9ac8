"""What `fastrace preprocess` makes of every fault: the matrix of docs/faults.md.

    python -m fastrace.bench.studies.faults --write     # 100 tries of SIGKILL, fewer of the others
    python -m fastrace.bench.studies.faults --tries 5

A fault is done to runs of the real command, as a subprocess, on one output folder, up to ten times in a row; then the same
command runs to its end, and the whole output (shards, index, facts, datasheet; sources table and contact sheet of the private
folder) is compared with that of an undisturbed run, byte by byte. tests/preprocess/test_faults.py does so at five moments.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from fastrace.bench.studies import fault_kinds as kinds
from fastrace.bench.studies.fault_kinds import Stage
from fastrace.bench.studies.faults_page import page
from fastrace.bench.studies.tiny_archive import tiny_archive
from fastrace.digest import file_hash
from fastrace.files import write_atomic

_ROOT = Path(__file__).resolve().parents[2]
_RESULT, _MEMORY = (_ROOT / "bench" / "results" / name for name in ("faults.json", "memory.json"))
_PAGE = _ROOT / "docs" / "faults.md"
_IN_A_ROW = 10
_FILES = 300


@dataclass(frozen=True)
class Fault:
    """A fault: its name in the table, what does it, its share of the tries, and how often it hits one output before that ends."""

    name: str
    do: Callable[[Stage], bool]
    share: float = 0.05
    in_a_row: int = 1


FAULTS = (
    Fault("SIGKILL at a random moment", kinds.killed, 1.0, _IN_A_ROW),
    Fault("SIGTERM at a random moment", kinds.terminated, 0.4, _IN_A_ROW),
    Fault("Ctrl-C (SIGINT to the group) at a random moment", kinds.interrupted, 0.1, _IN_A_ROW),
    Fault("a worker is killed at a random moment", kinds.worker_killed),
    Fault("a worker is killed twice at one file", kinds.faulty_codec("kill", "decoder_crashed")),
    Fault("MemoryError at one file", kinds.faulty_codec("memory", "no_memory")),
    Fault("a codec hangs at one file", kinds.faulty_codec("hang", "timeout")),
    Fault("the disk fills at a random moment", kinds.disk_full),
    Fault("the output may not be written from a random moment on", kinds.output_closed),
    Fault("inputs may not be read from a random moment on", kinds.input_closed),
    Fault("a file is changed between scan and read", kinds.changed),
    Fault("two runs on one output", kinds.two_runs),
    Fault("a byte of a finished shard changes", kinds.damaged_shard),
    Fault("a part is cut short", kinds.damaged_part),
)


@dataclass
class Row:
    """A line of the matrix; complaints are everything else that was not as it should be."""

    fault: str
    tries: int = 0
    lost: int = 0
    duplicated: int = 0
    differing_bytes: int = 0
    complaints: int = 0


@dataclass(frozen=True)
class Undisturbed:
    """An archive, and what the command makes of it when nothing happens."""

    folder: Path
    content: dict[str, bytes]
    seconds: float

    def stage(self, name: str, seed: int) -> Stage:
        """A new output folder."""
        place = self.folder / "outputs" / name
        place.mkdir(parents=True)
        return Stage(
            self.folder / "archive", place / "data", self.folder / "salt", self.seconds, np.random.default_rng(seed)
        )


def content(stage: Stage) -> dict[str, bytes]:
    """The whole output: the dataset's folder, and of the private one what does not depend on how often the command ran."""
    files = [file for file in stage.out.iterdir() if file.is_file()]
    private = [stage.private / name for name in ("sources.parquet", "contact_sheet.png", "labels_without_images.csv")]
    return {f"{file.parent.suffix}/{file.name}": file.read_bytes() for file in (*files, *private) if file.is_file()}


def undisturbed(folder: Path, files: int = _FILES) -> Undisturbed:
    """Make the archive (some of its files are no images, and some patients have no label) and run the command once."""
    archive = tiny_archive(folder / "archive", files)
    (archive / "0000" / "IM0000100").write_bytes(b"")
    (archive / "0000" / "IM0000101").write_text("a letter")
    (folder / "salt").write_bytes(bytes(range(32)))
    lines = [f"P{number:08},{'AB'[number % 2]}" for number in range(files // 2 - 10)]
    (folder / "labels.csv").write_text("\n".join(["patient_id,group", *lines, "P99999999,A"]) + "\n")
    found = Undisturbed(folder, {}, 0.0)
    stage = found.stage("undisturbed", 0)
    started = time.monotonic()
    stage.finish()
    if stage.complaints:
        raise AssertionError(stage.complaints)
    return Undisturbed(folder, content(stage), time.monotonic() - started)


def try_fault(fault: Fault, tries: int, plain: Undisturbed, seed: int, say: Callable[[str], None]) -> Row:
    """A row of the matrix."""
    row, number = Row(fault.name), 0
    while row.tries < tries and number < 3 * tries:
        stage = plain.stage(f"{fault.do.__name__}-{seed}-{number}", seed * 1000 + number)
        number += 1
        if fault.do in (kinds.damaged_shard, kinds.damaged_part):
            stage.finish()
        for _ in range(min(fault.in_a_row, tries - row.tries)):
            row.tries += fault.do(stage)
        stage.finish()
        compare(stage, plain.content, row)
        row.complaints += len(stage.complaints)
        for complaint in stage.complaints:
            say(f"  {complaint}")
        stage.undo.close()
        shutil.rmtree(stage.out.parent)
    return row


def compare(stage: Stage, expected: dict[str, bytes], row: Row) -> None:
    """Add what differs: images that are missing, images that are there twice, bytes."""
    found = content(stage)
    for name in {*found, *expected}:
        one, other = found.get(name, b""), expected.get(name, b"")
        least = min(len(one), len(other))
        differ = np.frombuffer(one[:least], np.uint8) != np.frombuffer(other[:least], np.uint8)
        row.differing_bytes += int(differ.sum()) + max(len(one), len(other)) - least
    if "/index.parquet" not in found:
        row.lost += 1
        return
    keys = pd.read_parquet(stage.out / "index.parquet")["image_key"]
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        Path(file.name).write_bytes(expected["/index.parquet"])
        right = pd.read_parquet(file.name)["image_key"]
    row.lost += len(set(right) - set(keys))
    row.duplicated += int(keys.duplicated().sum())


@click.command()
@click.option("--tries", default=100, show_default=True, help="Of SIGKILL; a share of it of the others.")
@click.option("--seed", default=0, show_default=True)
@click.option("--only", default="", help="Faults whose name contains this.")
@click.option("--write", is_flag=True, help="Write docs/faults.md and bench/results/faults.json.")
def main(tries: int, seed: int, only: str, write: bool) -> None:
    """Try all faults and print the matrix."""
    # A shell starts what is in the background with Ctrl-C ignored, and the runs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        plain = undisturbed(Path(folder))
        click.echo(f"undisturbed: {plain.seconds:.1f} s")
        for fault in FAULTS:
            if only in fault.name:
                row = try_fault(fault, max(1, round(tries * fault.share)), plain, seed, click.echo)
                click.echo(str(row))
                if write:
                    keep(row, plain.seconds)


def keep(row: Row, seconds: float) -> None:
    """Write a row into the results, in the place of an earlier one of its fault, and make the page."""
    before = json.loads(_RESULT.read_text())["rows"] if _RESULT.is_file() else []
    rows = {one["fault"]: one for one in [*before, asdict(row)]}
    result = {
        "files": _FILES,
        "seconds_undisturbed": round(seconds, 1),
        "hash_seconds_per_gb": _hash_seconds(),
        "rows": [rows[fault.name] for fault in FAULTS if fault.name in rows],
    }
    write_atomic(_RESULT, (json.dumps(result, indent=2) + "\n").encode())
    write_page()


def _hash_seconds() -> float:
    """Processor seconds to hash a GB of shards."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(1 << 28))
        started = time.process_time()
        file_hash(Path(file.name))
        return round((time.process_time() - started) / (1 << 28) * 1e9, 2)


def write_page() -> None:
    """docs/faults.md from the results that are there."""
    memory = json.loads(_MEMORY.read_text()) if _MEMORY.is_file() else {}
    write_atomic(_PAGE, page(json.loads(_RESULT.read_text()), memory).encode())


if __name__ == "__main__":
    main()
