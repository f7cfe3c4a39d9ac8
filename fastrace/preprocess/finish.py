"""The end of a run: parts become the index, the datasheet, and what the custodian alone sees.

The parts are gone through twice, one in memory at a time: what must be known of all rows before the first is written is
collected in the first pass (`Overview`), and rows are written in the second. So the memory does not depend on the length of the
archive, but for a key of 16 bytes for each patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.dataset import INDEX_COLUMNS, SCALE, Dataset, describe, write_atomic, write_meta
from fastrace.dicom.values import attribute
from fastrace.errors import DatasetError
from fastrace.preprocess.body_part import names_a_part
from fastrace.preprocess.datasheet import datasheet
from fastrace.preprocess.parts import Part, finished_parts, forget_parts
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.row_groups import RowGroups, Types
from fastrace.preprocess.sheet import contact_sheet
from fastrace.preprocess.summary import Summary

_PRIVATE_COLUMNS = ["path", "frame", "outcome", "image_key", "reason", "message", "notes"]


class Overview:
    """What the first pass collects; state: counts, and what the second pass needs to write rows alike."""

    def __init__(self, columns: dict[str, str]) -> None:
        self.columns = columns
        self.shards: list[dict[str, Any]] = []
        self.inputs = self.indexed = self.unnamed = 0
        self.rejected: Counter[str] = Counter()
        self.examples: dict[str, str] = {}  # of each reason the first, in the order of the scan
        self.patients: set[bytes] = set()
        self.index_types, self.source_types = Types(), Types()

    def see(self, part: Part) -> None:
        """Take up a part."""
        rows = part.rows
        if part.shard is not None:
            self.shards.append(part.shard)
        kept, rejected = rows[rows["outcome"] == "indexed"], rows[rows["outcome"] == "rejected"]
        self.inputs += len(rows)
        self.indexed += len(kept)
        self.rejected.update(rejected["reason"])
        for row in rejected.drop_duplicates("reason").to_dict("records"):
            self.examples.setdefault(row["reason"], f"{row['path']}: {row['message']}")
        self.patients.update(map(bytes.fromhex, kept["patient_key"].unique()))
        found = kept["body_part"].fillna("").value_counts()
        self.unnamed += sum(int(count) for value, count in found.items() if not names_a_part(str(value)))
        self.index_types.see(index_rows(kept, self.columns))
        self.source_types.see(rows[_PRIVATE_COLUMNS])


def finish(
    job: Job, private: Path, salt: bytes, labels: Labels | None, unused: list[str], files: int, resumed: int
) -> Summary:
    """Make the index and the sources table of the parts; dataset.json last.

    Parameters
    ----------
    job : Job
    private : Path
        The private folder.
    salt : bytes
    labels : Labels or None
    unused : list of str
        Keys of the label table to which no image belonged.
    files : int
        Input files.
    resumed : int
        Images of an earlier, interrupted run.

    Raises
    ------
    DatasetError
        If no input could be used.
    """
    columns = {} if labels is None else dict(labels.columns)
    seen = Overview(columns)
    for part in finished_parts(private):
        seen.see(part)
    _write_tables(job, private, seen)
    _write_private(private, labels, unused)
    if not seen.indexed:
        forget_parts(private)  # so that the same folder can be tried with other options
        reasons = ", ".join(f"{reason} {count}" for reason, count in seen.rejected.most_common())
        raise DatasetError(
            f"none of {seen.inputs} inputs could be used ({reasons}); the first: {next(iter(seen.examples.values()))}; "
            f"all of them: {private / 'sources.parquet'}"
        )
    counts: dict[str, Any] = {
        "files": files,
        "inputs": seen.inputs,
        "indexed": seen.indexed,
        "patients": len(seen.patients),
        "rejected": dict(sorted(seen.rejected.items())),
    }
    meta = describe(
        job.out,
        seen.shards,
        recipe=job.recipe.as_json(),
        labels={name: {"kind": kind} for name, kind in columns.items()},
        counts=counts,
        salt=salt,
    )
    # The datasheet needs no row of the index.
    write_atomic(job.out / "README.md", datasheet(Dataset(job.out, meta, pd.DataFrame())).encode())
    contact_sheet(job.out, SCALE[job.recipe.dtype], private / "contact_sheet.png")
    write_meta(job.out, meta)
    return Summary(
        data=job.out,
        private=private,
        files=files,
        indexed=seen.indexed,
        rejected=counts["rejected"],
        patients=counts["patients"],
        resumed_images=resumed,
        rows_without_images=len(unused),
        examples=seen.examples,
        notes=[*(labels.notes if labels is not None else ()), *_without_body_part(job, seen.unnamed)],
    )


def _write_tables(job: Job, private: Path, seen: Overview) -> None:
    """The second pass: rows of the index, where there are any, and of the sources table."""
    with ExitStack() as files:
        sources = files.enter_context(
            RowGroups(private / "sources.parquet", seen.source_types.with_pandas(lambda rows: rows))
        )
        index = None
        if seen.indexed:
            schema = seen.index_types.with_pandas(lambda rows: with_types(rows, seen.columns))
            index = files.enter_context(RowGroups(job.out / "index.parquet", schema))
        for part in finished_parts(private):
            sources.add(part.rows[_PRIVATE_COLUMNS])
            if index is not None:
                index.add(index_rows(part.rows[part.rows["outcome"] == "indexed"], seen.columns))


def index_rows(kept: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Rows of a part as the index has them: `INDEX_COLUMNS`, then the label columns (name -> kind)."""
    index = kept[list(INDEX_COLUMNS)].copy()
    for name in columns:
        index[name] = kept.get(f"label:{name}")  # a part without a joined row has no such column
    return with_types(index, columns)


def with_types(index: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """The types of the index, whatever those of a part are, which depend on what happens to be missing there."""
    for name, kind in columns.items():
        index[name] = index[name].astype(float if kind == "numeric" else object)
    for name in ("age_years", "kvp", "exposure_mas", "mm_per_pixel"):
        index[name] = index[name].astype(float)
    for name in ("shard", "row", "frame", "bits_stored", "source_rows", "source_columns"):
        index[name] = index[name].astype("Int64" if name == "bits_stored" else int)
    return index


def _without_body_part(job: Job, unnamed: int) -> list[str]:
    """How many images were kept though they name no body part."""
    if not job.recipe.body_parts or not unnamed:
        return []
    return [
        f"{unnamed} image{'s' * (unnamed > 1)} whose {attribute('BodyPartExamined')} is absent or names no part: kept, "
        f"since --modality is {job.preset.name}"
    ]


def _write_private(private: Path, labels: Labels | None, unused: Iterable[str]) -> None:
    if labels is not None:
        table = pd.DataFrame({labels.key: unused}, dtype=object)
        write_atomic(
            private / "labels_without_images.csv", table.to_csv(index=False, lineterminator="\n").encode(), 0o600
        )
    for file in private.iterdir():
        if file.is_file():
            file.chmod(0o600)
