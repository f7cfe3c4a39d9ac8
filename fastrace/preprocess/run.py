"""From an archive to a dataset: scan, decode and window in worker processes, write in order, join labels, finish.

The parent alone writes, in the order of the scan, so the result does not depend on the number of workers, and an
interrupted run goes on after the last finished shard.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.console.progress import Progress
from fastrace.dataset import INDEX_COLUMNS
from fastrace.errors import RejectedInput
from fastrace.manifest import shard_name
from fastrace.preprocess import contested
from fastrace.preprocess.begin import check_place, check_room, claim, inputs, labels_of, make_folders, prepare
from fastrace.preprocess.finish import Ended, finish
from fastrace.preprocess.identify import Identify
from fastrace.preprocess.learned import PART_COLUMNS
from fastrace.preprocess.notes import joined
from fastrace.preprocess.parts import Part, finished_parts, write_part
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.resume import check_parts
from fastrace.preprocess.scan import Listing
from fastrace.preprocess.store import ShardWriter, disk_errors, locked, no_leftovers, private_folder
from fastrace.preprocess.summary import Summary
from fastrace.preprocess.task import Result, Settings, Task, decoders
from fastrace.preprocess.who import Known, who_of

_SHARD_BYTES = 256 << 20
# A part is closed after this many rejected files even if no shard is full, so that a folder of millions of foreign
# files does not collect in memory.
_ROWS_PER_PART = 20_000


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
    with progress or Progress() as shown:
        known = who_of(job, labels, sources, shown)  # asks, if table and headers disagree
        with disk_errors(job.out):
            make_folders(job, private)
        # From here on this run is alone: of two that begin together, the second must not replace the salt of the first.
        with locked(private), disk_errors(job.out), no_leftovers(job.out, private):
            check_place(job, private)
            salt = prepare(job, private)
            claim(job, private, sources, labels)
            check_room(job, len(sources))
            settings = Settings(job.recipe, job.preset, job.max_pixels)
            check_parts(job, private, sources, settings, shown)
            return _Writer(job, private, salt, known, sources, settings).run(shown)


class _Writer:
    """Consumes results in order; state: the open shard, its rows, what was seen."""

    def __init__(
        self,
        job: Job,
        private: Path,
        salt: bytes,
        known: Known,
        sources: Listing,
        settings: Settings,
    ) -> None:
        self.job, self.private, self.salt, self.labels, self.sources = job, private, salt, known.labels, sources
        self.settings, self.known = settings, known
        self.identify = Identify(job, salt, known.labels, known.patients, sources)
        height, width = job.recipe.size
        row_bytes = height * width * (2 if job.recipe.dtype == "uint16" else 1)
        self.rows_per_shard = job.rows_per_shard or max(1, min(4096, _SHARD_BYTES // row_bytes))
        self.rows: list[dict[str, Any]] = []
        self.number = 0
        self.indexed = 0

    def run(self, progress: Progress) -> Summary:
        first_source, first_frame, ended = self._resume()
        resumed = self.indexed
        if not ended:
            self.shard = self._new_shard()
            tasks = (
                Task(number, source.path, source.size, mtime_ns=source.mtime_ns)
                for number in range(first_source, len(self.sources))
                for source in (self.sources[number],)
            )
            try:
                progress.begin("preprocess", len(self.sources), "files")
                with decoders(self.settings, self.job.jobs) as executor:
                    for results in executor.results(tasks):
                        for result in results:
                            if result.source == first_source and result.frame < first_frame:
                                continue  # written before the interruption
                            self._add(result)
                        progress.reach(results[-1].source + 1 if results else 0, f"{self.indexed} images")
                self._close_part(last=True)
            finally:
                self.shard.discard()
        unused, left_out = self.identify.unused(), self.sources.not_in_use
        end = Ended(len(self.sources), resumed, unused, self.known.doubts, left_out)
        return finish(self.job, self.private, self.salt, self.labels, end)

    def _resume(self) -> tuple[int, int, bool]:
        """Where to go on: source number, frame, and whether everything was written already."""
        place, frame, ended = 0, 0, False
        for part in finished_parts(self.private):
            self.number += 1
            ended = part.last
            self.identify.resume(part.rows)
            self.indexed += int((part.rows["outcome"] == "indexed").sum())
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
            row.update(self.identify.row(source, result))
            assert result.pixels is not None
            row["shard"], row["row"] = self.number, self.shard.add(result.pixels)
            row["outcome"] = "indexed"
            self.identify.indexed(row)
            self.indexed += 1
        except RejectedInput as error:
            row.update(outcome="rejected", reason=error.reason, message=error.message)
            row.update(getattr(error, "kept", {}))
            if error.reason == "no_label":
                row["offer"] = self.identify.offer(source, result)
        row["notes"], row["note_texts"] = joined(result.notes)
        self.rows.append(row)
        if self.shard.rows >= self.rows_per_shard or len(self.rows) >= _ROWS_PER_PART:
            self._close_part(last=False)


def _rows_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with all columns present and identifiers already replaced: parts hold no Patient ID."""
    first = (
        "path", "source", "frame", "frames", "outcome", "reason", "message", "note_texts", "label_key", "table_patient", "offer",
    )  # fmt: skip
    labels = sorted({name for row in rows for name in row if name.startswith("label:")})
    columns = list(dict.fromkeys([*first, *contested.PART_COLUMNS, *PART_COLUMNS, *INDEX_COLUMNS, *labels]))
    frame = pd.DataFrame(rows, columns=columns)
    for name in columns:
        if frame[name].isna().all():
            frame[name] = frame[name].astype(object)
    return frame
