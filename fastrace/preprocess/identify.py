"""Who and what an image is: its row of the label table, its patient, and keyed hashes instead of identifiers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import xxhash

from fastrace.cohort.ages import capped
from fastrace.cohort.labels import Labels
from fastrace.cohort.patients import AGREED, PatientFile, Patients, pattern_of
from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.dicom.identity import Identity
from fastrace.dicom.views import read_words
from fastrace.errors import RejectedInput
from fastrace.preprocess.belongs import check_facts
from fastrace.preprocess.body_part import names_a_part
from fastrace.preprocess.contested import MESSAGES, OTHER_PATIENT, OTHER_PIXELS, Rival
from fastrace.preprocess.copies import said
from fastrace.preprocess.joined import bins_source
from fastrace.preprocess.label_cells import names_nobody
from fastrace.preprocess.label_rows import LabelRows
from fastrace.preprocess.nobody import is_nobody
from fastrace.preprocess.notes import joined
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.task import Result
from fastrace.preprocess.vocabulary import part_cell, part_names

_COMPARED = ("pixel_hash", "patient_key", "shown", "said")  # 16, 16, 8 and 8 bytes


class Identifiers:
    """What an image could be called in a table, by kind of key."""

    def __init__(self, patient_pattern: str | None, patients: PatientFile | None = None) -> None:
        self.pattern = None if patient_pattern is None else pattern_of(patient_pattern)
        self.patients = patients or PatientFile()  # without rows: each id is itself

    def of(self, source: Source, facts: Mapping[str, Any]) -> dict[str, list[str]]:
        """Kind -> candidate values, tried in order."""
        name = Path(source.relative).name
        candidates: dict[str, list[str | None]] = {
            "patient": [self.patients.called(self.patient(source, facts), facts.get("issuer"))],
            "study": [facts.get("study_uid")],
            "accession": [facts.get("accession")],
            "image": [facts.get("image_uid"), name, Path(name).stem],
            "path": [source.relative],
            "absolute": [os.path.abspath(source.path)],
        }
        return {kind: [value for value in values if value] for kind, values in candidates.items()}

    def patient(self, source: Source, facts: Mapping[str, Any]) -> str | None:
        """The patient of the path, where ``--patient-pattern`` says so, else of the header; None where that names nobody.

        What the file of ``--patient-from`` names is somebody.

        Raises
        ------
        RejectedInput
            ``no_patient``: the path does not match the pattern.
        """
        if self.pattern is None:
            found_id: str | None = facts.get("patient_id")
            said = self.patients.of(found_id, facts.get("issuer")) is not None
            return found_id if said or not is_nobody(found_id) else None
        for path in (source.relative, os.path.abspath(source.path)):
            found = self.pattern.search(path)
            if found is not None and found[1]:
                return None if is_nobody(found[1]) else found[1]
        raise RejectedInput("no_patient", "its path does not match --patient-pattern; correct the pattern")


class Identify:
    """Makes index rows; state: which images and label rows were seen."""

    def __init__(
        self, job: Job, salt: bytes, labels: Labels | None, patients: Patients = AGREED, sources: Iterable[Source] = ()
    ) -> None:
        self.job, self.salt, self.labels, self.patients = job, salt, labels, patients
        self.identifiers = Identifiers(job.join.patient_pattern, patients.of_file)
        # Key of an image -> hash of its pixels and key of its patient, 16 bytes each, what it shows and says, 8 each: 0.2 GB for
        # each million.
        self.seen: dict[bytes, bytes] = {}
        self.used_labels: set[str] = set()
        self.label_rows = None if labels is None else LabelRows(labels, sources)
        self._binned = [(bins, bins_source(bins, labels)) for bins in job.join.bins]

    def resume(self, rows: pd.DataFrame) -> None:
        """Take up the rows of a part that was written before an interruption."""
        kept = rows[rows["outcome"] == "indexed"]
        for row in kept[["image_key", *_COMPARED]].to_dict("records"):
            self.indexed(row)
        self.used_labels.update(rows["label_key"].dropna())

    def indexed(self, row: Mapping[str, Any]) -> None:
        """Remember a row that was made by `row` and written."""
        self.seen[bytes.fromhex(row["image_key"])] = bytes.fromhex("".join(row[name] for name in _COMPARED))

    def unused(self) -> list[str]:
        """Keys of the label table to which no image belonged, sorted."""
        keys = [] if self.labels is None else sorted(set(self.labels.rows) - set(self.labels.conflicts))
        return [key for key in keys if self._label_hash(key) not in self.used_labels]

    def row(self, source: Source, result: Result) -> dict[str, Any]:
        """Join the label row, check the preset's selection again with it, and replace identifiers by keys."""
        facts = dict(result.facts or {})
        row: dict[str, Any] = {}
        identifiers = self.identifiers.of(source, facts)
        facts["patient_id"] = self.identifiers.patient(source, facts)
        of_table, view_of_header = None, facts.get("view")
        if self.labels is not None and self.label_rows is not None:
            label_key, label = self.label_rows.find(source, identifiers)
            row["label_key"] = self._label_hash(label_key)
            self.used_labels.add(row["label_key"])
            called = (one for kind, several in identifiers.items() if kind != "absolute" for one in several)
            label, named = names_nobody(self.labels, label_key, label, facts.get("identity", Identity()), called)
            facts["withheld"] = [*facts.get("withheld", ()), *named]
            row.update({f"label:{name}": label.get(name) for name in self.labels.columns})
            for name, value in label.items():
                if name == "view" and read_words(str(value)).view is None:
                    continue  # UNKNOWN, which is no text for the index
                known = facts.get(name) if name != "body_part" or names_a_part(facts.get(name)) else None
                if name in ("sex", "age_years") and self.job.join.sex_and_age_from == "table":
                    known = None
                if name not in self.labels.columns and name != "patient_id" and value is not None and known is None:
                    facts[name] = value
            of_table = label_key if self.labels.key == "patient" else label.get("patient_id")
            if facts.get("study_uid") is None and label.get("study_id") is not None:
                facts["study_uid"] = label["study_id"]
        check_facts(self.job.preset, self.job.recipe, facts)
        if view_of_header is None:
            facts.update(_in_words(facts))
        if facts.get("age_years") is not None:
            facts["age_years"] = capped(float(facts["age_years"]))
        row.update(self._bins(row, facts))
        facts["patient_id"] = self.patients.of(
            facts["patient_id"], None if of_table is None else str(of_table), facts.get("issuer")
        )
        if of_table is not None:
            row["table_patient"] = keyed_hash(self.salt, "table patient", str(of_table))
        patient = keyed_hash(self.salt, "patient", str(facts["patient_id"]))
        # Without a UID: two SRC may hold different images of one name, so the name alone is not enough.
        uid = facts["image_uid"]
        names = (uid,) if uid else ("file", source.relative, facts["pixel_digest"])
        image = keyed_hash(self.salt, "image", *names, str(result.frame))
        pixels = keyed_hash(self.salt, "pixels", facts["pixel_digest"])
        if self._about_one_image:
            subject = ("uid", uid) if uid else ("pixels", facts["pixel_digest"], patient)
            row["claim"] = keyed_hash(self.salt, "claim", *subject)
        study = facts.get("study_uid")
        row.update({name: facts.get(name) for name in INDEX_COLUMNS})
        row.update(
            image_key=image,
            patient_key=patient,
            # Without a study, an image is a study of its own: averaging over studies then changes nothing.
            study_key=keyed_hash(self.salt, "study", str(study) if study else "image:" + image),
            pixel_hash=pixels,
            frame=result.frame,
            institution_key=_institution_key(self.salt, facts.get("institution")),
            study_day=facts.get("study_day"),
            ethnic_group=facts.get("ethnic_group"),
            recognizable=facts.get("recognizable"),
            withheld=part_cell(self.salt, facts.get("withheld", ())),
            names=part_names(self.salt, facts.get("identity", Identity()).names),
            notes=joined(result.notes)[0],
            shown=_shown(self.salt, result.pixels),
        )
        row["said"] = said(self.salt, row)
        self._check_rivals(row, bool(uid))
        return row

    def _check_rivals(self, row: Mapping[str, Any], named: bool) -> None:
        """Whether another file has the key of this image; ``named``: by its UID."""
        before = self.seen.get(bytes.fromhex(row["image_key"]))
        if before is None:
            return
        pixels, patient, shown, of_it = before[:16], before[16:32], before[32:40], before[40:]
        kept = {name: row.get(name) for name in ("image_key", "label_key", "claim")}
        if pixels != bytes.fromhex(row["pixel_hash"]) or shown != bytes.fromhex(row["shown"]):
            raise Rival(OTHER_PIXELS, MESSAGES[OTHER_PIXELS], kept)
        if named and patient != bytes.fromhex(row["patient_key"]):
            raise Rival(OTHER_PATIENT, MESSAGES[OTHER_PATIENT], kept)
        if of_it != bytes.fromhex(row["said"]):
            kept = {**row, "differs": True}
        same = "SOP Instance UID (0008,0018), frame and pixels" if named else "path below its SRC and the same pixels"
        raise Rival("duplicate", f"an image with the same {same} was read before", kept)

    def offer(self, source: Source, result: Result) -> str | None:
        """Options that would join an image which has no row of the label table."""
        if self.labels is None:
            return None
        return self.labels.offers.of(self.identifiers.of(source, result.facts or {}))

    def _bins(self, row: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str]:
        """The classes of numbers: of a label column, else of a column of the index, whatever it is called in the table."""
        found = {}
        for bins, source in self._binned:
            number = row.get(source) if source.startswith("label:") else facts.get(source)
            found[f"label:{bins.name}"] = bins.of(None if number is None else float(number))
        return found

    @property
    def _about_one_image(self) -> bool:
        return self.labels is not None and self.labels.key in ("image", "path")

    def _label_hash(self, label_key: str) -> str:
        return keyed_hash(self.salt, "label", label_key)


def _in_words(facts: Mapping[str, Any]) -> dict[str, str | None]:
    """The view of a table as those of headers are written, and what else its words say."""
    words = read_words(facts.get("view"))
    return {
        "view": words.view,
        "view_modifiers": facts.get("view_modifiers") or ",".join(words.modifiers) or None,
        # A side alone is the direction of a lateral ("L" of PadChest), not that of an organ.
        "laterality": facts.get("laterality") or (words.side if words.view else None),
    }


def _shown(salt: bytes, pixels: Any) -> str:
    """A keyed hash of what a copy shows, 16 hex digits: a window of its own makes another image of the same pixels."""
    return keyed_hash(salt, "shown", b"" if pixels is None else xxhash.xxh3_128_digest(pixels.tobytes()))[:16]


def _institution_key(salt: bytes, name: str | None) -> str | None:
    """Institution Name (0008,0080) is typed: case and spaces do not make another institution."""
    return None if name is None else keyed_hash(salt, "institution", " ".join(name.casefold().split()))
