"""Scores of labelled images to a result: the same numbers in ``metrics.json`` and in an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fastrace.cohort.selection import Cohort
from fastrace.statistics import ClassAucs, class_aucs, rank_images, rank_patients


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
