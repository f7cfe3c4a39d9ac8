"""The end of a run: parts become the index, the datasheet, and what the custodian alone sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.console.tables import harmless
from fastrace.dataset import ACQUISITION_NUMBERS, INDEX_COLUMNS, Dataset, write_atomic, write_dataset, write_parquet
from fastrace.dicom.values import attribute
from fastrace.errors import DatasetError
from fastrace.preprocess.body_part import names_a_part
from fastrace.preprocess.contested import settled
from fastrace.preprocess.datasheet import datasheet
from fastrace.preprocess.joined import join_offers, label_columns, patient_counts
from fastrace.preprocess.learned import Learned
from fastrace.preprocess.notes import counted, lines
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.sheet import contact_sheet
from fastrace.preprocess.store import finished_parts, forget_parts
from fastrace.preprocess.summary import Summary


def finish(
    job: Job, private: Path, salt: bytes, labels: Labels | None, unused: list[str], files: int, resumed: int
) -> Summary:
    """Merge the parts into the index and the sources table; dataset.json last.

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
        Images of an earlier run.

    Raises
    ------
    DatasetError
        None of the inputs could be used.
    """
    parts = list(settled(finished_parts(private, job.out)))
    learned = Learned(salt)
    for part in parts:
        learned.see(part.rows)
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    shards = [part.shard for part in parts if part.shard is not None]
    rejected = rows[rows["outcome"] == "rejected"]
    _write_private(private, rows, labels, unused)
    if len(rejected) == len(rows):
        forget_parts(private)  # so that the same folder can be tried with other options
        reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(rejected["reason"]).most_common())
        example = rejected.iloc[0]
        raise DatasetError(
            f"none of {len(rows)} inputs could be used ({reasons}); the first: {example['path']}: {example['message']}; "
            f"all of them: {private / 'sources.parquet'}{''.join('; ' + line for line in join_offers(rows, labels))}"
        )
    columns = label_columns(job, labels)
    kept = rows[rows["outcome"] == "indexed"]
    index = _index(learned.apply(kept), columns)
    counts: dict[str, Any] = {
        "files": files,
        "inputs": len(rows),
        "indexed": len(index),
        "patients": int(index["patient_key"].nunique()),
        "rejected": dict(sorted(Counter(rejected["reason"]).items())),
        "notes": counted(index["notes"]),
        **learned.counts(),
    }
    recipe = job.recipe.as_json()
    write_dataset(
        job.out,
        index,
        shards,
        recipe=recipe,
        labels=columns,
        counts=counts,
        salt=salt,
        readme=datasheet(recipe, counts, columns),
    )
    contact_sheet(Dataset.open(job.out), private / "contact_sheet.png")
    examples = rejected.drop_duplicates("reason").set_index("reason")
    return Summary(
        data=job.out,
        private=private,
        files=files,
        indexed=len(index),
        rejected=counts["rejected"],
        patients=counts["patients"],
        resumed_images=resumed,
        rows_without_images=len(unused),
        examples={reason: f"{row['path']}: {row['message']}" for reason, row in examples.iterrows()},
        notes=[
            *(labels.notes if labels is not None else ()),
            *join_offers(rows, labels),
            *_without_body_part(job, kept),
            *lines(counts["notes"]),
        ],
        of_patients=patient_counts(rows, job.join),
        withheld=counts["withheld"],
        ethnic_group=counts["ethnic_group"],
    )


def _index(kept: pd.DataFrame, columns: dict[str, dict[str, Any]]) -> pd.DataFrame:
    index = kept[list(INDEX_COLUMNS)].copy()
    for name, facts in columns.items():
        index[name] = kept[f"label:{name}"].astype(float if facts["kind"] == "numeric" else object)
    for name in ("age_years", "mm_per_pixel", *ACQUISITION_NUMBERS):
        index[name] = index[name].astype(float)
    for name in ("shard", "row", "frame", "bits_stored", "source_rows", "source_columns"):
        index[name] = index[name].astype("Int64" if name == "bits_stored" else int)
    return index


def _without_body_part(job: Job, kept: pd.DataFrame) -> list[str]:
    """How many images were kept though they name no body part; before the vocabulary leaves any value out."""
    found = kept["body_part"].fillna("").value_counts()
    unnamed = sum(count for value, count in found.items() if not names_a_part(str(value)))
    if not job.recipe.body_parts or not unnamed:
        return []
    return [
        f"{unnamed} image{'s' * (unnamed > 1)} whose {attribute('BodyPartExamined')} is absent or names no part: kept, "
        f"since --modality is {job.preset.name}"
    ]


def _write_private(private: Path, rows: pd.DataFrame, labels: Labels | None, unused: Iterable[str]) -> None:
    shown = rows[["path", "frame", "outcome", "image_key", "reason", "message", "note_texts"]]
    shown = shown.rename(columns={"note_texts": "notes"})
    write_parquet(shown, private / "sources.parquet")
    if labels is not None:
        table = pd.DataFrame({labels.key: [harmless(key) for key in unused]}, dtype=object)
        write_atomic(
            private / "labels_without_images.csv", table.to_csv(index=False, lineterminator="\n").encode(), 0o600
        )
    for file in private.iterdir():
        if file.is_file():
            file.chmod(0o600)
