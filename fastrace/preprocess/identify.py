"""Who and what an image is: its row of the label table, its patient, and keyed hashes instead of identifiers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.errors import RejectedInput
from fastrace.preprocess.belongs import check_facts
from fastrace.preprocess.body_part import names_a_part
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.task import Result

# Ages above 89 identify people in small regions (HIPAA safe harbour); 90 stands for 90 and more.
_OLDEST_YEARS = 90.0


class Identify:
    """Makes index rows; state: which images and label rows were seen."""

    def __init__(self, job: Job, salt: bytes, labels: Labels | None) -> None:
        self.job, self.salt, self.labels = job, salt, labels
        self.seen: set[bytes] = set()  # 16-byte keys of images: 98 MB for each million
        self.used_labels: set[str] = set()
        self.label_owner: dict[str, int] = {}  # for rows about one image: the file that was indexed with it

    def resume(self, rows: pd.DataFrame) -> None:
        """Take up the rows of a part that was written before an interruption."""
        kept = rows[rows["outcome"] == "indexed"]
        self.seen.update(map(bytes.fromhex, kept["image_key"]))
        self.used_labels.update(rows["label_key"].dropna())
        if self._one_file_per_label:
            self.label_owner.update(zip(kept["label_key"], kept["source"], strict=True))

    def indexed(self, row: Mapping[str, Any]) -> None:
        """Remember a row that was made by `row` and written."""
        self.seen.add(bytes.fromhex(row["image_key"]))
        if self._one_file_per_label:
            self.label_owner[row["label_key"]] = row["source"]

    def unused(self) -> list[str]:
        """Keys of the label table to which no image belonged, sorted."""
        keys = [] if self.labels is None else sorted(set(self.labels.rows) - set(self.labels.conflicts))
        return [key for key in keys if self._label_hash(key) not in self.used_labels]

    def row(self, source: Source, result: Result) -> dict[str, Any]:
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
        check_facts(self.job.preset, self.job.recipe, facts)
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
        if bytes.fromhex(image) in self.seen:
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
