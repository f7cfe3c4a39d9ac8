"""How the join of the label table went: what would have joined more images, how many images a patient has, the label columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from statistics import median
from typing import Any

import pandas as pd

from fastrace.cohort.bins import Bins, source_of
from fastrace.cohort.labels import Labels
from fastrace.cohort.matching import lost_digits, sentences
from fastrace.cohort.said import Remedy
from fastrace.preprocess.recipe import Job, Join


def label_columns(job: Job, labels: Labels | None) -> dict[str, dict[str, Any]]:
    """Label columns as ``dataset.json`` describes them; kind ``recorded``: see `fastrace.cohort.policy`."""
    columns: dict[str, dict[str, Any]] = {}
    for name, kind in (labels.columns if labels is not None else {}).items():
        columns[name] = {"kind": kind}
        if kind == "recorded":
            assert labels is not None
            assert labels.values is not None
            columns[name]["values"] = list(labels.values[name])
    for bins in job.join.bins:
        of = bins_source(bins, labels).removeprefix("label:")
        columns[bins.name] = {"kind": "categorical", "of": of, "classes": list(bins.classes)}
    return columns


def bins_source(bins: Bins, labels: Labels | None) -> str:
    """``label:COLUMN``, or a column of the index; checked by `fastrace.preprocess.begin.labels_of`."""
    found = source_of(
        bins.column, () if labels is None else labels.columns, {} if labels is None else labels.facts or {}
    )
    assert found is not None
    return found


class Joined:
    """How images, label rows and patients go together; state: counts, and 16-byte keys of the patients."""

    def __init__(self) -> None:
        self.images: Counter[bytes] = Counter()  # of each patient
        self._offers: Counter[str] = Counter()
        self._joined = self._missing = 0
        self._pairs: set[tuple[bytes, bytes]] = set()  # id of the table, patient

    def see(self, rows: pd.DataFrame) -> None:
        """Count the rows of a part."""
        missing = rows[rows["reason"] == "no_label"]
        self._missing += len(missing)
        self._joined += int(rows["label_key"].notna().sum())
        self._offers.update(map(str, missing["offer"].dropna()))
        kept = rows[rows["outcome"] == "indexed"]
        self.images.update(map(bytes.fromhex, kept["patient_key"]))
        named = kept[["table_patient", "patient_key"]].dropna().drop_duplicates()
        self._pairs.update((bytes.fromhex(table), bytes.fromhex(patient)) for table, patient in named.to_numpy())

    def offers(self, labels: Labels | None) -> list[str]:
        """What would join the images that have no row, with how many would then have one."""
        return offer_lines(labels, self._offers, self._joined, self._missing, made=bool(self.images))

    def patients(self, join: Join) -> list[str]:
        """Images of a patient, and patients of an id of the table: what shows that a person was split, or two were merged."""
        lines = [f"patients: {len(self.images)}; images of a patient: {_spread(self.images.values())}"]
        if self._pairs:
            several = Counter(table for table, _ in self._pairs).values()
            lines[0] += f"; patients of an id in the table: {_spread(several)}"
            split = sum(count > 1 for count in several)
            if split:
                lines.append(
                    f"patients: {split} ids of the table are several patients here, since --patient-from is "
                    f"{join.patient_from or 'not given'}"
                )
        return lines


def offer_lines(
    labels: Labels | None, offers: Mapping[str, int], joined: int, missing: int, *, made: bool = False
) -> list[str]:
    """What would join the ``missing`` images, with how many would then have a row.

    Parameters
    ----------
    labels : Labels or None
    offers : mapping
        What `fastrace.cohort.matching.Offers.of` said -> images.
    joined, missing : int
        Images that have a row, and that have none.
    made : bool
        The dataset has images, so that options need another ``--out``.
    """
    if labels is None or not missing:
        return []
    said = sentences(offers, joined, joined + missing)
    if not said and any(map(lost_digits, labels.rows)):
        return [
            f"labels: column {labels.column!r} holds numbers that lost digits in a spreadsheet (such as 1.23E+12), by which "
            "no row can be joined; export it again as text"
        ]
    if not said and labels.key == "patient":
        said = [
            "if the paths of the images name the patient, say where: add --patient-pattern REGEX, for example "
            "'train/(patient\\d+)/'"
        ]
    return [Remedy(f"labels: {line}").line(made=made) for line in said]


def _spread(counts: Collection[int]) -> str:
    return f"min {min(counts)}, median {median(counts):g}, max {max(counts)}"
