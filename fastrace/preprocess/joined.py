"""How the join of the label table went: what would have joined more images, how many images a patient has, the label columns."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.cohort.matching import sentences
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
    facts = {} if labels is None else labels.facts or {}
    for bins in job.join.bins:
        of = facts.get(bins.column, bins.column)
        columns[bins.name] = {"kind": "categorical", "of": of, "classes": list(bins.classes)}
    return columns


def join_offers(rows: pd.DataFrame, labels: Labels | None) -> list[str]:
    """What would join the images that have no row, with how many would then have one."""
    missing = rows[rows["reason"] == "no_label"]
    if labels is None or missing.empty:
        return []
    joined = int(rows["label_key"].notna().sum())
    offers = {str(offer): int(count) for offer, count in Counter(missing["offer"].dropna()).items()}
    said = sentences(offers, joined, joined + len(missing))
    lines = [f"labels: {line}" for line in said]
    if not said and labels.key == "patient":
        lines.append(
            "labels: if the paths of the images name the patient, say where: --patient-pattern, for example "
            "'train/(patient\\d+)/'"
        )
    return lines


def patient_counts(rows: pd.DataFrame, join: Join) -> list[str]:
    """Images of a patient, and patients of an id of the table: what shows that a person was split, or two were merged."""
    kept = rows[rows["outcome"] == "indexed"]
    images = kept.groupby("patient_key").size()
    lines = [f"patients: {len(images)}; images of a patient: {_spread(images)}"]
    named = kept.dropna(subset=["table_patient"])
    if len(named):
        several = named.groupby("table_patient")["patient_key"].nunique()
        lines[0] += f"; patients of an id in the table: {_spread(several)}"
        if (several > 1).any():
            lines.append(
                f"patients: {(several > 1).sum()} ids of the table are several patients here, since --patient-from is "
                f"{join.patient_from or 'not given'}"
            )
    return lines


def _spread(counts: pd.Series) -> str:
    return f"min {counts.min()}, median {counts.median():g}, max {counts.max()}"
