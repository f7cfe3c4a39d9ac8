"""From an archive to a dataset: scan, decode and window in worker processes, write in order, join labels, finish.

The parent alone writes, in the order of the scan, so the result does not depend on the number of workers, and an
interrupted run goes on after the last finished shard.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.console.progress import Progress
from fastrace.dataset import (
    INDEX_COLUMNS,
    Dataset,
    keyed_hash,
    shard_name,
    write_atomic,
    write_dataset,
    write_parquet,
)
from fastrace.dicom.values import attribute
from fastrace.errors import DatasetError, RejectedInput
from fastrace.preprocess.begin import check_place, check_room, claim, inputs, labels_of, prepare
from fastrace.preprocess.body_part import check, names_a_part
from fastrace.preprocess.datasheet import datasheet
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.sheet import contact_sheet
from fastrace.preprocess.store import (
    Part,
    ShardWriter,
    disk_errors,
    finished_parts,
    forget_parts,
    locked,
    private_folder,
    write_part,
)
from fastrace.preprocess.task import Result, Settings, Task, decoders

_SHARD_BYTES = 256 << 20
# A part is closed after this many rejected files even if no shard is full, so that a folder of millions of foreign
# files does not collect in memory.
_ROWS_PER_PART = 20_000

# Ages above 89 identify people in small regions (HIPAA safe harbour); 90 stands for 90 and more.
_OLDEST_YEARS = 90.0


@dataclass
class Summary:
    """What `preprocess` did; every input file or frame is in exactly one of the counts."""

    data: Path
    private: Path
    files: int
    indexed: int
    rejected: dict[str, int]
    patients: int
    resumed_images: int
    rows_without_images: int
    examples: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Files and frames, indexed and rejected."""
        return self.indexed + sum(self.rejected.values())


def preprocess(job: Job, progress: Progress | None = None) -> Summary:
    """Turn files into a dataset; `fastrace.dataset` describes what is written.

    Running the same call again after an interruption goes on and ends with the same bytes.

    Raises
    ------
    UsageError
        Sources, label table or options that cannot be used.
    DatasetError
        The output folder belongs to something else, is in use, or cannot be written.
    """
    labels = labels_of(job)
    private = private_folder(job.out)
    with disk_errors(job.out):
        check_place(job, private)
        sources = inputs(job)  # before anything is made: a mistyped SRC leaves no folders behind
        salt = prepare(job, private)
    with locked(private), disk_errors(job.out):
        claim(job, private, sources, labels)
        check_room(job, len(sources))
        writer = _Writer(job, private, salt, labels, sources)
        with progress or Progress() as shown:
            return writer.run(shown)


class _Writer:
    """Consumes results in order; state: the open shard, its rows, what was seen."""

    def __init__(self, job: Job, private: Path, salt: bytes, labels: Labels | None, sources: list[Source]) -> None:
        self.job, self.private, self.salt, self.labels, self.sources = job, private, salt, labels, sources
        height, width = job.recipe.size
        row_bytes = height * width * (2 if job.recipe.dtype == "uint16" else 1)
        self.rows_per_shard = job.rows_per_shard or max(1, min(4096, _SHARD_BYTES // row_bytes))
        self.seen: set[str] = set()
        self.used_labels: set[str] = set()
        self.label_owner: dict[str, int] = {}  # for rows about one image: the file that was indexed with it
        self.rows: list[dict[str, Any]] = []
        self.number = 0
        self.indexed = 0

    def run(self, progress: Progress) -> Summary:
        first_source, first_frame, ended = self._resume()
        resumed = self.indexed
        # Leftovers of a killed run: a shard whose part was never written is made again.
        for leftover in (*self.job.out.glob("*.part"), *(self.private / "parts").glob("*.part")):
            leftover.unlink()
        if not ended:
            settings = Settings(self.job.recipe, self.job.preset, self.job.max_pixels)
            self.shard = self._new_shard()
            tasks = (
                Task(number, source.path, source.size)
                for number, source in enumerate(self.sources)
                if number >= first_source
            )
            try:
                progress.begin("preprocess", len(self.sources), "files")
                with decoders(settings, self.job.jobs) as executor:
                    for results in executor.results(tasks):
                        for result in results:
                            if result.source == first_source and result.frame < first_frame:
                                continue  # written before the interruption
                            self._add(result)
                        progress.reach(results[-1].source + 1 if results else 0, f"{self.indexed} images")
                self._close_part(last=True)
            finally:
                self.shard.discard()
        return self._finish(resumed)

    def _resume(self) -> tuple[int, int, bool]:
        """Where to go on: source number, frame, and whether everything was written already."""
        place, frame, ended = 0, 0, False
        for part in finished_parts(self.private, self.job.out):
            self.number += 1
            ended = part.last
            kept = part.rows[part.rows["outcome"] == "indexed"]
            self.seen.update(kept["image_key"])
            self.indexed += len(kept)
            self.used_labels.update(part.rows["label_key"].dropna())
            if self._one_file_per_label:
                self.label_owner.update(zip(kept["label_key"], kept["source"], strict=True))
            if len(part.rows):
                tail = part.rows.iloc[-1]
                place, frame = int(tail["source"]), int(tail["frame"]) + 1
                if frame >= int(tail["frames"]):
                    place, frame = place + 1, 0
        return place, frame, ended

    def _new_shard(self) -> ShardWriter:
        return ShardWriter(self.job.out, self.number, self.job.recipe.size, self.job.recipe.dtype)

    def _close_part(self, *, last: bool) -> None:
        shard = self.shard.finish() if self.shard.rows else None
        if shard is None:
            # Part numbers name shards; one without images leaves its number out.
            (self.job.out / shard_name(self.number)).unlink(missing_ok=True)
        write_part(self.private, self.number, Part(_rows_frame(self.rows), shard, last))
        self.number += 1
        self.rows = []
        self.shard = self._new_shard()

    def _add(self, result: Result) -> None:
        source = self.sources[result.source]
        row: dict[str, Any] = {
            "path": os.fsencode(source.path).decode("utf-8", "backslashreplace"),
            "source": result.source,
            "frame": result.frame,
            "frames": result.frames,
        }
        try:
            if result.reason is not None:
                raise RejectedInput(result.reason, result.message or "")
            row.update(self._identify(source, result))
            assert result.pixels is not None
            row["shard"], row["row"] = self.number, self.shard.add(result.pixels)
            row["outcome"] = "indexed"
            self.seen.add(row["image_key"])
            self.indexed += 1
            if self._one_file_per_label:
                self.label_owner[row["label_key"]] = result.source
        except RejectedInput as error:
            row.update(outcome="rejected", reason=error.reason, message=error.message)
        row["notes"] = "; ".join(result.notes) or None
        self.rows.append(row)
        if self.shard.rows >= self.rows_per_shard or len(self.rows) >= _ROWS_PER_PART:
            self._close_part(last=False)

    def _identify(self, source: Source, result: Result) -> dict[str, Any]:
        """Join the label row, check the preset's selection again with it, and replace identifiers by keys."""
        facts = dict(result.facts or {})
        row: dict[str, Any] = {}
        if self.labels is not None:
            label_key, label = self.labels.find(_identifiers(source, facts))
            row["label_key"] = self._label_hash(label_key)
            self.used_labels.add(row["label_key"])
            row.update({f"label:{name}": label.get(name) for name in self.labels.columns})
            for name, value in label.items():
                known = facts.get(name) if name != "body_part" or names_a_part(facts.get(name)) else None
                if name not in self.labels.columns and value is not None and known is None:
                    facts[name] = value
            if self.labels.key == "patient" and facts.get("patient_id") is None:
                facts["patient_id"] = label_key
            if facts.get("study_uid") is None and label.get("study_id") is not None:
                facts["study_uid"] = label["study_id"]
        self._select(facts)
        if not facts.get("patient_id"):
            raise RejectedInput(
                "no_patient",
                "no Patient ID (0010,0020) and no patient column in the label table; splits must be made by patient: give "
                "a table with a patient column",
            )
        patient = keyed_hash(self.salt, "patient", str(facts["patient_id"]))
        # Without a UID: two SRC may hold different images of one name, so the name alone is not enough.
        uid = facts["image_uid"]
        names = (uid,) if uid else ("file", source.relative, facts["pixel_digest"])
        image = keyed_hash(self.salt, "image", *names, str(result.frame))
        if image in self.seen:
            same = "SOP Instance UID (0008,0018) and frame" if uid else "path below its SRC and the same pixels"
            raise RejectedInput("duplicate", f"an image with the same {same} was read before")
        if self._one_file_per_label and self.label_owner.get(row["label_key"], result.source) != result.source:
            raise RejectedInput(
                "duplicate",
                "its row of the label table was used for another file before; distinguish them by path, for example --key "
                "path=COLUMN",
            )
        study = facts.get("study_uid")
        row.update({name: facts.get(name) for name in INDEX_COLUMNS})
        if row["age_years"] is not None:
            row["age_years"] = min(float(row["age_years"]), _OLDEST_YEARS)
        row.update(
            image_key=image,
            patient_key=patient,
            # Without a study, an image is a study of its own: averaging over studies then changes nothing.
            study_key=keyed_hash(self.salt, "study", str(study) if study else "image:" + image),
            pixel_hash=keyed_hash(self.salt, "pixels", facts["pixel_digest"]),
            frame=result.frame,
        )
        return row

    @property
    def _one_file_per_label(self) -> bool:
        return self.labels is not None and self.labels.key in ("image", "path")

    def _label_hash(self, label_key: str) -> str:
        return keyed_hash(self.salt, "label", label_key)

    def _select(self, facts: Mapping[str, Any]) -> None:
        preset = self.job.preset
        for what, kept, reason in (
            ("modality", preset.modalities, "other_modality"),
            ("view", preset.views, "other_view"),
        ):
            value = facts.get(what)
            if kept and value and value not in kept:
                raise RejectedInput(
                    reason,
                    f"{what} is {value!r} in the label table; --modality {preset.name} keeps {', '.join(kept)}",
                )
        check(facts.get("body_part"), "Body part in the label table", preset.name, self.job.recipe.body_parts)

    def _finish(self, resumed: int) -> Summary:
        """Merge the parts into the index and the sources table; dataset.json last."""
        parts = list(finished_parts(self.private, self.job.out))
        rows = pd.concat([part.rows for part in parts], ignore_index=True)
        shards = [part.shard for part in parts if part.shard is not None]
        rejected = rows[rows["outcome"] == "rejected"]
        keys = [] if self.labels is None else sorted(set(self.labels.rows) - set(self.labels.conflicts))
        unused = [key for key in keys if self._label_hash(key) not in self.used_labels]
        self._write_private(rows, unused)
        if self.indexed == 0:
            forget_parts(self.private)  # so that the same folder can be tried with other options
            reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(rejected["reason"]).most_common())
            example = rejected.iloc[0]
            raise DatasetError(
                f"none of {len(rows)} inputs could be used ({reasons}); the first: {example['path']}: {example['message']}; "
                f"all of them: {self.private / 'sources.parquet'}"
            )
        columns = {} if self.labels is None else dict(self.labels.columns)
        kept = rows[rows["outcome"] == "indexed"]
        index = kept[list(INDEX_COLUMNS)].copy()
        for name, kind in columns.items():
            index[name] = kept[f"label:{name}"].astype(float if kind == "numeric" else object)
        for name in ("age_years", "kvp", "exposure_mas", "mm_per_pixel"):
            index[name] = index[name].astype(float)
        for name in ("shard", "row", "frame", "bits_stored", "source_rows", "source_columns"):
            index[name] = index[name].astype("Int64" if name == "bits_stored" else int)
        counts: dict[str, Any] = {
            "files": len(self.sources),
            "inputs": len(rows),
            "indexed": len(index),
            "patients": int(index["patient_key"].nunique()),
            "rejected": dict(sorted(Counter(rejected["reason"]).items())),
        }
        write_dataset(
            self.job.out,
            index,
            shards,
            recipe=self.job.recipe.as_json(),
            labels={name: {"kind": kind} for name, kind in columns.items()},
            counts=counts,
            salt=self.salt,
        )
        dataset = Dataset.open(self.job.out)
        write_atomic(self.job.out / "README.md", datasheet(dataset).encode())
        contact_sheet(dataset, self.private / "contact_sheet.png")
        examples = rejected.drop_duplicates("reason").set_index("reason")
        return Summary(
            data=self.job.out,
            private=self.private,
            files=len(self.sources),
            indexed=len(index),
            rejected=counts["rejected"],
            patients=counts["patients"],
            resumed_images=resumed,
            rows_without_images=len(unused),
            examples={reason: f"{row['path']}: {row['message']}" for reason, row in examples.iterrows()},
            notes=[*(self.labels.notes if self.labels is not None else ()), *self._without_body_part(index)],
        )

    def _without_body_part(self, index: pd.DataFrame) -> list[str]:
        """How many images were kept though they name no body part."""
        found = index["body_part"].fillna("").value_counts()
        unnamed = sum(count for value, count in found.items() if not names_a_part(str(value)))
        if not self.job.recipe.body_parts or not unnamed:
            return []
        return [
            f"{unnamed} image{'s' * (unnamed > 1)} whose {attribute('BodyPartExamined')} is absent or names no part: kept, "
            f"since --modality is {self.job.preset.name}"
        ]

    def _write_private(self, rows: pd.DataFrame, unused: Iterable[str]) -> None:
        shown = rows[["path", "frame", "outcome", "image_key", "reason", "message", "notes"]]
        write_parquet(shown, self.private / "sources.parquet")
        if self.labels is not None:
            table = pd.DataFrame({self.labels.key: unused}, dtype=object)
            write_atomic(
                self.private / "labels_without_images.csv",
                table.to_csv(index=False, lineterminator="\n").encode(),
                0o600,
            )
        for file in self.private.iterdir():
            if file.is_file():
                file.chmod(0o600)


def _identifiers(source: Source, facts: Mapping[str, Any]) -> dict[str, list[str]]:
    name = Path(source.relative).name
    candidates: dict[str, list[str | None]] = {
        "patient": [facts.get("patient_id")],
        "study": [facts.get("study_uid")],
        "accession": [facts.get("accession")],
        "image": [facts.get("image_uid"), name, Path(name).stem],
        "path": [source.relative],
        "absolute": [os.path.abspath(source.path)],
    }
    return {kind: [value for value in values if value] for kind, values in candidates.items()}


def _rows_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with all columns present and identifiers already replaced: parts hold no Patient ID."""
    first = ("path", "source", "frame", "frames", "outcome", "reason", "message", "notes", "label_key")
    labels = sorted({name for row in rows for name in row if name.startswith("label:")})
    columns = list(dict.fromkeys([*first, *INDEX_COLUMNS, *labels]))
    frame = pd.DataFrame(rows, columns=columns)
    for name in columns:
        if frame[name].isna().all():
            frame[name] = frame[name].astype(object)
    return frame
