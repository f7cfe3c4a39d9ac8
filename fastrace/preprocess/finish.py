"""The end of a run: parts become the index, the datasheet, and what the custodian alone sees.

The parts are gone through twice, one in memory at a time: what must be known of all rows before the first is written is
collected in the first pass (`fastrace.preprocess.overview`), and rows are written in the second. So the memory does not depend on
the length of the archive, but for some keys of 16 bytes for each patient, study and image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from fastrace import manifest
from fastrace.cohort.labels import Labels
from fastrace.cohort.persons import Doubts
from fastrace.cohort.said import ELSEWHERE
from fastrace.console.tables import harmless
from fastrace.dataset import SCALE, write_manifest
from fastrace.dicom.values import attribute
from fastrace.errors import DatasetError
from fastrace.files import write_atomic
from fastrace.preprocess.contested import Contested, contested, settled
from fastrace.preprocess.datasheet import datasheet
from fastrace.preprocess.joined import label_columns
from fastrace.preprocess.label_cells import codes_used, without_unused
from fastrace.preprocess.notes import lines
from fastrace.preprocess.overview import Overview, index_rows, private_rows, with_types
from fastrace.preprocess.parts import finished_parts, forget_parts
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.row_groups import RowGroups
from fastrace.preprocess.sheet import contact_sheet
from fastrace.preprocess.summary import Summary

_MOST_NAMES = 12  # of columns in a line


@dataclass(frozen=True)
class Ended:
    """What a run knows at its end beside its parts.

    Attributes
    ----------
    files : int
        Input files.
    resumed : int
        Images of an earlier, interrupted run.
    unused : list of str
        Keys of the label table to which no image belonged.
    doubts : Doubts
        How many patients may not be one person.
    not_in_use : int
        Files that a DICOMDIR lists as not in use.
    """

    files: int
    resumed: int
    unused: list[str]
    doubts: Doubts
    not_in_use: int = 0


def finish(job: Job, private: Path, salt: bytes, labels: Labels | None, ended: Ended) -> Summary:
    """Make the index and the sources table of the parts; dataset.json last.

    Raises
    ------
    DatasetError
        If no input could be used.
    """
    columns = label_columns(job, labels)
    rivals = contested(lambda: finished_parts(private))
    seen = Overview(salt, columns, labels)
    for part in settled(finished_parts(private), rivals):
        seen.see(part)
    columns = without_unused(columns, _write_tables(job, private, seen, rivals))
    _write_private(private, labels, ended.unused)
    offers = seen.joined.offers(labels)
    if not seen.indexed:
        forget_parts(private)  # so that the same folder can be tried with other options
        reasons = ", ".join(f"{reason} {count}" for reason, count in seen.rejected.most_common())
        raise DatasetError(
            f"none of {seen.inputs} inputs could be used ({reasons}); the first: {next(iter(seen.examples.values()))}; "
            f"all of them: {private / 'sources.parquet'}{''.join('; ' + line for line in offers)}"
        )
    recipe = job.recipe.as_json()
    kept = job.join.sex_and_age_from or "header"
    doubts = replace(ended.doubts, **seen.shared.counts())
    counts = {**seen.counts(ended.files), "persons": doubts.as_json()}
    write_atomic(job.out / manifest.README, datasheet(recipe, counts, columns, doubts.lines(kept)).encode())
    contact_sheet(job.out, SCALE[job.recipe.dtype], private / "contact_sheet.png")
    write_manifest(job.out, seen.shards, recipe=recipe, labels=columns, counts=counts, salt=salt)
    return Summary(
        data=job.out,
        private=private,
        files=ended.files,
        indexed=seen.indexed,
        rejected=counts["rejected"],
        patients=counts["patients"],
        resumed_images=ended.resumed,
        rows_without_images=len(ended.unused),
        examples=seen.examples,
        notes=[
            *(labels.lines(seen.learned.shown, made=True) if labels is not None else ()),
            *offers,
            *_not_in_use(ended.not_in_use),
            *_without_body_part(job, seen.unnamed),
            *_without_view(job, seen.without_view),
            *_showing_somebody(seen),
            *lines(counts["notes"]),
        ],
        of_patients=[*seen.joined.patients(job.join), *doubts.lines(kept)],
        warnings=[*_without_attribute(labels, columns), *seen.learned.lines()],
        withheld=counts["withheld"],
        ethnic_group=counts["ethnic_group"],
    )


def _write_tables(job: Job, private: Path, seen: Overview, rivals: Contested) -> dict[str, set[int]]:
    """The second pass: rows of the index, where there are any, and of the sources table; which recorded values they have."""
    used: dict[str, set[int]] = {name: set() for name, facts in seen.columns.items() if facts["kind"] == "recorded"}
    with ExitStack() as files:
        sources = files.enter_context(
            RowGroups(private / "sources.parquet", seen.source_types.with_pandas(lambda rows: rows))
        )
        index = None
        if seen.indexed:
            schema = seen.index_types.with_pandas(lambda rows: with_types(rows, seen.columns))
            index = files.enter_context(RowGroups(job.out / manifest.INDEX, schema))
        for part in settled(finished_parts(private), rivals):
            sources.add(private_rows(part.rows))
            if index is not None:
                kept = part.rows[part.rows["outcome"] == "indexed"]
                rows = index_rows(seen.learned.apply(kept), seen.columns)
                for name, codes in used.items():
                    codes |= codes_used(rows[name])
                index.add(rows)
    return used


def _without_attribute(labels: Labels | None, columns: Mapping[str, object]) -> list[str]:
    """Whether a table was brought of which nothing can be audited."""
    if labels is None or columns or "sex" in (labels.facts or {}).values():
        return []
    names = ", ".join(labels.not_kept[:_MOST_NAMES]) + ", ..." * (len(labels.not_kept) > _MOST_NAMES)
    what = f": add --column NAME ({names}){ELSEWHERE}" if names else "; it has no other column"
    return [f"no column of the label table is kept as an attribute, so that none of it can be audited{what}"]


def _without_body_part(job: Job, unnamed: int) -> list[str]:
    """How many images were kept though they name no body part."""
    if not job.recipe.body_parts or not unnamed:
        return []
    return [
        f"{unnamed} image{'s' * (unnamed > 1)} whose {attribute('BodyPartExamined')} is absent or names no part, nor a code of "
        f"{attribute('AnatomicRegionSequence')}: kept, since --modality is {job.preset.name}"
    ]


def _not_in_use(files: int) -> list[str]:
    return [f"{files} files left out: Record In-use Flag (0004,1410) of their DICOMDIR is 0000H"] if files else []


def _without_view(job: Job, unnamed: int) -> list[str]:
    """How many images were kept though nothing tells their view."""
    if not job.recipe.views or not unnamed:
        return []
    return [
        f"{unnamed} image{'s state' if unnamed > 1 else ' states'} no view: kept, since --modality is {job.preset.name}"
    ]


def _showing_somebody(seen: Overview) -> list[str]:
    """How many images say of themselves that they may show who somebody is: kept, and for the custodian to look at."""
    found = []
    if seen.burned_in:
        found.append(
            f"{seen.burned_in} image{'s say' if seen.burned_in > 1 else ' says'} that text is burned in "
            f"({attribute('BurnedInAnnotation')} YES): the text may name somebody; look at the contact sheet"
        )
    if seen.recognizable:
        found.append(
            f"{seen.recognizable} image{'s say' if seen.recognizable > 1 else ' says'} that somebody may be recognised "
            f"({attribute('RecognizableVisualFeatures')} YES)"
        )
    return found


def _write_private(private: Path, labels: Labels | None, unused: Iterable[str]) -> None:
    if labels is not None:
        table = pd.DataFrame({labels.key: [harmless(key) for key in unused]}, dtype=object)
        write_atomic(
            private / "labels_without_images.csv", table.to_csv(index=False, lineterminator="\n").encode(), 0o600
        )
    for file in private.iterdir():
        if file.is_file():
            file.chmod(0o600)
