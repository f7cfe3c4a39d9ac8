"""Scores of labelled images to a result: the same numbers in ``metrics.json``, in an evaluation and on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fastrace.statistics import ClassAucs, class_aucs, rank_images, rank_patients
from fastrace.train.cohort import Cohort


def aucs_of(scores: np.ndarray, labels: np.ndarray, frame: pd.DataFrame) -> tuple[ClassAucs, ClassAucs]:
    """Patient-level (primary) and image-level AUCs.

    Parameters
    ----------
    scores : ndarray [N, K]
    labels : ndarray [N] int64
    frame : DataFrame
        With ``patient_key`` and ``study_key``.
    """
    patients = frame["patient_key"].to_numpy(dtype=str)
    studies = frame["study_key"].fillna(frame["patient_key"]).to_numpy(dtype=str)
    by_patient = class_aucs(rank_patients(scores, labels, patients, studies))
    return by_patient, class_aucs(rank_images(scores, labels, patients))


def result(scores: np.ndarray, labels: np.ndarray, frame: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Macro and class AUCs as plain types, at the level of patients and of images."""
    levels = zip(("patient", "image"), aucs_of(scores, labels, frame), strict=True)
    return {
        level: {
            "macro": aucs.macro.to_json(),
            "classes": {name: one.to_json() for name, one in zip(classes, aucs.classes, strict=True)},
        }
        for level, aucs in levels
    }


def predictions(cohort: Cohort, positions: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
    """Keyed ids, label and one column ``score:CLASS`` per class; for the run folder only."""
    keys = ["image_key", "patient_key", "study_key"]
    frame: pd.DataFrame = cohort.frame.iloc[positions][keys].reset_index(drop=True)
    frame["label"] = np.array(cohort.classes, dtype=object)[cohort.labels[positions]]
    for k, name in enumerate(cohort.classes):
        frame[f"score:{name}"] = scores[:, k]
    return frame


def number(value: float | None) -> str:
    """``.812``; ``1`` and ``0`` in full, ``-`` where undefined."""
    if value is None or np.isnan(value):
        return "-"
    text = f"{value:.3f}"
    return text.removeprefix("0") if value < 1 else text


def interval(estimate: Mapping[str, Any]) -> str:
    """``.812 (.790-.833)``."""
    value = number(estimate["value"])
    if estimate["low"] is None:
        return f"{value} (no interval)"
    return f"{value} ({number(estimate['low'])}-{number(estimate['high'])})"


def rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """What a table shows of `result`: name, AUC with interval, patients, images, mark."""
    lines = []
    for level in ("patient", "image"):
        classes = found[level]["classes"]
        shown = {"macro": found[level]["macro"]}
        if len(classes) == 2:  # both classes tell the same: one row
            shown = {" vs ".join(classes): found[level]["macro"]}
        elif len(classes) == 1 or level == "patient":
            named = {f"{name} vs rest": one for name, one in classes.items()}
            shown = named if len(classes) == 1 else {**shown, **named}
        for name, one in shown.items():
            of = f"{one['n_positive']} of {one['n_patients']}" if name.endswith("vs rest") else str(one["n_patients"])
            mark = "" if one["status"] == "ok" else one["status"]
            lines.append((f"{name}, by {level}", interval(one), of, str(one["n_images"]), mark))
    return lines


def table(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Aligned columns for a terminal or a pipe."""
    cells = [tuple(heads), *lines]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


HEADS = ("", "AUC (95 % interval)", "patients", "images", "")
