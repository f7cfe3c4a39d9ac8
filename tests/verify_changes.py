"""The changes that `fastrace verify` must find: a table, which the test makes one by one and docs/verify.md prints.

python tests/verify_changes.py > docs/verify.md
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

FIRST, SECOND = "images-00000.npy", "images-00001.npy"


@dataclass(frozen=True)
class Change:
    """One change of a folder.

    Attributes
    ----------
    what : str
    make : callable
        Makes it in the folder of a dataset, a run or an audit.
    found : str
        What a line of `fastrace verify` begins with; empty: no difference, it must say so.
    used : str
        What whoever uses the folder says: training, evaluation or audit of the dataset, evaluation of the run, report of the
        audit; empty: does not look at it.
    """

    what: str
    make: Callable[[Path], None]
    found: str
    used: str


def flip(name: str, at: float = 1.0) -> Callable[[Path], None]:
    """Flip a bit, at this share of a file."""

    def make(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int((len(content) - 1) * at)] ^= 1
        (folder / name).write_bytes(content)

    return make


def cut(name: str, left: float) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, int((folder / name).stat().st_size * left))


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def copy(name: str, to: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        shutil.copy(folder / name, folder / to)

    return make


def exchange(folder: Path) -> None:
    (folder / FIRST).rename(folder / "between")
    (folder / SECOND).rename(folder / FIRST)
    (folder / "between").rename(folder / SECOND)


def table(change: Callable[[pd.DataFrame], pd.DataFrame], name: str = "index.parquet") -> Callable[[Path], None]:
    """Rewrite a parquet file."""
    return lambda folder: change(pd.read_parquet(folder / name)).to_parquet(folder / name)


def other_label(index: pd.DataFrame) -> pd.DataFrame:
    return index.assign(
        group=["B" if k == 0 and one == "A" else "A" if k == 0 else one for k, one in enumerate(index["group"])]
    )


def document(change: Callable[[dict], object], name: str = "dataset.json") -> Callable[[Path], None]:
    """Rewrite a JSON document."""

    def make(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return make


def text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, 1))

    return make


def beside(name: str) -> str:
    """A file of the private folder, as seen from the dataset's, which is named ``data``."""
    return f"../data.private/{name}"


FACTS = "dataset.json: changed after it was made"
INDEX = "index.parquet: its content changed"
DATASET = (
    Change("nothing", lambda folder: None, "", ""),
    Change("times of all files", lambda folder: [os.utime(one, (1, 1)) for one in folder.iterdir()] and None, "", ""),
    Change("dataset.json indented otherwise, keys in another order",
           document(lambda meta: [meta.update({key: meta.pop(key)}) for key in sorted(meta)]), "", ""),
    Change("one bit of a pixel flipped", flip(SECOND), f"{SECOND}: its content changed", f"{SECOND}: changed after"),
    Change("a bit of a shard's header flipped", flip(FIRST, 0.002), f"{FIRST}: its content changed", f"{FIRST}: changed after"),
    Change("a shard cut short by a tenth", cut(FIRST, 0.9), f"{FIRST}: ", f"{FIRST}: changed after"),
    Change("a shard emptied", cut(FIRST, 0), f"{FIRST}: 0 bytes", f"{FIRST}: changed after"),
    Change("two shards exchanged", exchange, f"{FIRST}: its content changed", f"{FIRST}: changed after"),
    Change("a shard missing", remove(SECOND), f"{SECOND}: missing", f"{SECOND}: cannot be read"),
    Change("a shard too many", copy(FIRST, "images-00007.npy"), "images-00007.npy: not listed", ""),
    Change("a file that does not belong", copy(beside("sources.parquet"), "sources.parquet"), "sources.parquet: not listed", ""),
    Change("rows of the index in another order", table(lambda index: index.iloc[::-1]), INDEX, "index.parquet: changed"),
    Change("patients of two images exchanged", table(lambda index: index.assign(patient_key=index["patient_key"][::-1].values)),
           INDEX, "index.parquet: changed"),
    Change("a label changed", table(other_label), INDEX, "index.parquet: changed"),
    Change("a column of the index dropped", table(lambda index: index.drop(columns="sex")), "index.parquet: columns missing: sex",
           "index.parquet: changed"),
    Change("a row of the index removed", table(lambda index: index.iloc[1:]), "index.parquet: 2 rows of images-00000.npy do not",
           "index.parquet: changed"),
    Change("a row of the index twice", table(lambda index: pd.concat([index, index.iloc[:1]])),
           "index.parquet: an image key occurs twice", "index.parquet: changed"),
    Change("rows that name a shard which is not there", table(lambda index: index.assign(shard=9)),
           "index.parquet: names shards that dataset.json does not list", "index.parquet: changed"),
    Change("the index missing", remove("index.parquet"), "index.parquet: missing", "index.parquet: cannot be read"),
    Change("a count changed", document(lambda meta: meta["counts"].update(inputs=99)), FACTS, FACTS),
    Change("the recipe changed", document(lambda meta: meta["recipe"].update(voi="robust")), FACTS, FACTS),
    Change("the salt id changed", document(lambda meta: meta.update(salt_id="0" * 16)), FACTS, FACTS),
    Change("the kind of a label changed", document(lambda meta: meta["labels"]["group"].update(kind="numeric")), FACTS, FACTS),
    Change("the version changed", document(lambda meta: meta.update(fastrace="9.9")), FACTS, FACTS),
    Change("the list of shards shortened", document(lambda meta: meta["shards"].pop()), FACTS, FACTS),
    Change("a digest in the list changed", document(lambda meta: meta["shards"][0].update(xxh3="0" * 32)), FACTS, FACTS),
    Change("an unknown key added", document(lambda meta: meta.update(note="x")), FACTS, FACTS),
    Change("the fingerprint removed", document(lambda meta: meta.pop("fingerprint")), "dataset.json: states no fingerprint",
           "dataset.json: states no fingerprint"),
    Change("the datasheet changed", text("README.md", "images of", "pictures of"), "README.md: its content changed", ""),
    Change("the datasheet missing", remove("README.md"), "README.md: missing", ""),
    Change("an input removed from the custodian's table", table(lambda rows: rows.iloc[1:], beside("sources.parquet")),
           "data.private/sources.parquet: ", ""),
    Change("a reason changed in the custodian's table",
           table(lambda rows: rows.assign(reason=rows["reason"].replace("empty", "color")), beside("sources.parquet")),
           "data.private/sources.parquet: the reasons of rejection", ""),
    Change("another salt beside the dataset", lambda folder: (folder / beside("salt")).write_bytes(b"x" * 32) and None,
           "data.private/salt: another salt", ""),
)  # fmt: skip

RUN = (
    Change("nothing", lambda folder: None, "", ""),
    Change("one bit of a weight flipped", flip("checkpoint.pt", 0.5), "checkpoint.pt: its content changed",
           "checkpoint.pt: changed"),
    Change("the checkpoint cut short", cut("checkpoint.pt", 0.9), "checkpoint.pt: its content changed", "checkpoint.pt: changed"),
    Change("patients put on another side of the split",
           table(lambda split: split.assign(part=split["part"][::-1].values), "split.parquet"),
           "split.parquet: its content changed", "split.parquet: changed"),
    Change("a result edited", document(lambda found: found.update(epochs=99), "metrics.json"),
           "metrics.json: its content changed", "metrics.json: changed"),
    Change("a score edited", table(lambda scores: scores.assign(label=scores["label"][::-1].values), "predictions.parquet"),
           "predictions.parquet: its content changed", ""),
    Change("an argument edited in run.json", document(lambda run: run["arguments"].update(seed=5), "run.json"),
           "run.json: changed after it was written", "run.json: changed after it was written"),
    Change("a digest edited in run.json", document(lambda run: run["files"].update({"checkpoint.pt": "0"}), "run.json"),
           "run.json: changed after it was written", "run.json: changed after it was written"),
    Change("the history missing", remove("history.parquet"), "history.parquet: missing", ""),
)  # fmt: skip

EDITED = "audit.json: changed after it was written"
AUDIT = (
    Change("nothing", lambda folder: None, "", ""),
    Change("audit.json written without spaces", document(lambda found: None, "audit.json"),
           "audit.json: its content changed", ""),
    Change("an AUC edited", document(lambda found: found["cells"][0]["estimate"].update(value=0.5), "audit.json"),
           EDITED, EDITED),
    Change("a control edited", document(lambda found: found["controls"][0].update(status="not run"), "audit.json"),
           EDITED, EDITED),
    Change("the dataset's fingerprint edited", document(lambda found: found["dataset"].update(fingerprint="0"), "audit.json"),
           EDITED, EDITED),
    Change("the digest removed", document(lambda found: found.pop("digest"), "audit.json"), "audit.json: has no digest",
           "audit.json: has no digest"),
    Change("a fold edited", table(lambda folds: folds.assign(fold=folds["fold"][::-1].values), "partition.parquet"),
           "partition.parquet: its content changed", ""),
    Change("an argument edited in run.json", document(lambda run: run["arguments"].update(seed=5), "run.json"),
           "run.json: changed after it was written", ""),
    Change("a number edited in a table of the report", lambda folder: text("tables/cells.csv", "0.", "1.")(folder),
           "tables/cells.csv: not what audit.json gives", ""),
    Change("a sentence edited on the page", text("report.html", "readable", "unreadable"),
           "report.html: not what audit.json", ""),
)  # fmt: skip

PAGE = """# What `fastrace verify` finds

Made by `python tests/verify_changes.py > docs/verify.md`; `tests/test_verify.py` makes every change of these tables and
compares the words.

`fastrace verify FOLDER` looks at a dataset, a run or an audit, reads every byte once, and names what is not as it was written.
`train`, `evaluate` and `audit` do not wait for that: they compare dataset.json, the index and every shard that they are going
to read, `evaluate` also the checkpoint and the split, `report` the audit. `--trust` leaves out the shards, alone; run.json and
the report then say so.

## What is promised

| | digest | against |
|---|---|---|
| before use | XXH3-128 of each shard; BLAKE2b of the rest | accidents: a bit, a file cut short, exchanged, copied halfway |
| `fastrace verify` | BLAKE2b-256 of each file | any change by somebody who did not rewrite dataset.json or run.json too |
| the fingerprint, written down elsewhere | BLAKE2b-128 of dataset.json | any change, also one made on purpose |

The digests lie beside what they describe. Somebody who may write into the folder can rewrite them together with it, and nothing
in the folder can show that (no signature is made): then the fingerprint differs from the one in every run and every report made
before, and that comparison is the reader's.

## What it costs

XXH3 takes 6.5 GB/s of files in memory on one processor of an idle machine (Xeon, AVX-512; BLAKE2b 0.8, SHA-256 1.5), and 3.4
GB/s of processor time on the same one with twelve busy processes on two processors, so a disk is the slower part. Each shard is
compared once in a process and again only when its time of change moves; the line that a run prints, and run.json, state bytes
and seconds. `verify` computes both digests with a thread for each processor: 0.6 to 0.8 GB/s of processor time each; its memory
is 1 MB for each of them, and the index.

## A dataset

{dataset}

## A run

{run}

## An audit

{audit}

A hidden rest: a work folder of an interrupted audit is not looked at.
"""


def rows(changes: tuple[Change, ...], user: str) -> str:
    """A table."""
    lines = [f"| change | `fastrace verify` | {user} |", "|---|---|---|"]
    for one in changes:
        found = f"{one.found.strip()} …" if one.found else "unchanged"
        lines.append(f"| {one.what} | {found} | {f'{one.used} …' if one.used else 'goes on'} |")
    return "\n".join(lines)


def page() -> str:
    """The content of docs/verify.md."""
    return PAGE.format(
        dataset=rows(DATASET, "`train`, `evaluate`, `audit`"),
        run=rows(RUN, "`evaluate`"),
        audit=rows(AUDIT, "`report`"),
    )


if __name__ == "__main__":
    sys.stdout.write(page())
