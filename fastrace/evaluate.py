"""How well scores separate the classes: of a trained run on labelled images, or of a table of scores made elsewhere.

Results are aggregates: no command scores single patients, and strata with fewer than 11 patients are not shown, nor is the one
that could be computed from the total.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fastrace.cohort.alike import alike
from fastrace.cohort.numbers import column_numbers
from fastrace.cohort.selection import MIN_COHORT, Cohort, labelled
from fastrace.cohort.tables import read_table
from fastrace.cohort.vocabulary import clean
from fastrace.console.progress import Progress
from fastrace.console.words import plural
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN, Degradation
from fastrace.errors import RunError, UsageError
from fastrace.execute.cpus import set_threads
from fastrace.run_folder import SCHEMA, RunFolder
from fastrace.statistics import hidden as _hidden
from fastrace.train.batches import Reader
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.pipeline import choose_device, predict
from fastrace.train.scores import aucs_of, result
from fastrace.trust import check

AGE_BANDS = (0, 20, 40, 60, 80)  # the study's; the last is open
STRATA = ("sex", "age", "view", "manufacturer")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one run.

    Attributes
    ----------
    run, data : Path
    degradation : Degradation
        Done to the test images only, before the model's own and in its variant: is this model robust?
    batch_size : int
    device : "auto" | "cpu" | "cuda"
    trust : bool
        Do not compare the shards with their digests first.
    """

    run: Path
    data: Path
    degradation: Degradation = CLEAN
    batch_size: int = 32
    device: Literal["auto", "cpu", "cuda"] = "auto"
    trust: bool = False


def evaluate(evaluation: Evaluation, *, progress: Progress | None = None) -> dict[str, Any]:
    """Score a dataset with a trained run.

    On the data it was trained on only the test part is scored. On other data all labelled patients are, except those known to
    have trained the model.

    Returns
    -------
    dict
        Plain types; also written to ``RUN/evaluations/``.

    Raises
    ------
    FastraceError
        No run, another recipe, no such label, fewer than 30 labelled patients; a run or a dataset that was changed.
    """
    progress = progress or Progress()
    folder = RunFolder(evaluation.run)
    folder.read_json("metrics.json")
    folder.check("metrics.json", "checkpoint.pt", "split.parquet")
    checkpoint = Checkpoint.load(evaluation.run)
    dataset = Dataset.open(evaluation.data)
    checkpoint.check_preprocessing(dataset.meta["recipe"], evaluation.data)
    internal = dataset.fingerprint == checkpoint.fingerprint
    if checkpoint.target not in dataset.index.columns:
        raise UsageError(
            f"{evaluation.data}: has no column {checkpoint.target!r}, which the model predicts; preprocess it with labels"
        )
    cohort = labelled(dataset, checkpoint.target, checkpoint.classes)
    if cohort.frame["patient_key"].nunique() < MIN_COHORT:
        raise RunError(
            f"{evaluation.data}: {cohort.frame['patient_key'].nunique()} patients with a known {checkpoint.target} of the "
            f"model's classes; at least {MIN_COHORT} are needed, since results are about groups, never about persons"
        )
    cohort, overlap = _independent(folder, cohort, dataset, checkpoint, internal)
    degrades = replace(evaluation.degradation, variant=checkpoint.variant)
    for degradation in (degrades, checkpoint.degrades, degrades + checkpoint.degrades):
        degradation.check(dataset.size, cohort.mm_per_pixel)
    device = choose_device(evaluation.device)
    set_threads()
    checked = check(dataset, cohort.rows, trust=evaluation.trust, progress=progress)
    pipeline = checkpoint.pipeline(device)
    pipeline.degradation = degrades + pipeline.degradation
    for line in (f"overlap with the training patients: {overlap}", f"device: {device.type}"):
        progress.line(line)
    positions = np.arange(len(cohort.rows))
    with progress:
        scores, _ = predict(pipeline, Reader(dataset, cohort, device), positions, evaluation.batch_size, progress)
    found = {
        "schema": SCHEMA,
        "target": cohort.target,
        "classes": list(cohort.classes),
        "part": "test part of the training data" if internal else "other data",
        "data_fingerprint": dataset.fingerprint,
        "data_checked": {
            "shards": checked.shards,
            "compared": checked.compared,
        },  # no time: twice gives the same document
        "overlap": overlap,
        "alike": _alike_to_training(folder, cohort, progress),
        "trained_on": checkpoint.degradation,
        "variant": checkpoint.variant,
        "degradation": str(evaluation.degradation),
        "mode": "test" if evaluation.degradation.steps else "train+test",
        "described": pipeline.degradation.describe(dataset.size),
        **result(scores, cohort.labels, cohort.frame, cohort.classes),
        "strata": list(strata(scores, cohort.labels, cohort.frame, cohort.target)),
        "left_out": dict(cohort.left_out),
    }
    folder.write_json(f"evaluations/{dataset.fingerprint[:8]}-{evaluation.degradation.slug}.json", found)
    return found


def _alike_to_training(folder: RunFolder, cohort: Cohort, progress: Progress) -> dict[str, int] | None:
    """Images here that look like images of other patients that trained the model; None for a run of an earlier version."""
    try:
        trained = pd.read_parquet(folder.path / "thumbnails.parquet")
    except (OSError, ValueError):
        return None
    found = alike(cohort.frame, trained)
    said = found.sentence("patients, one of them scored here and one in the training")
    if said is not None:
        progress.line(said)
    return {"pairs": found.pairs, "patients": found.patients}


def _independent(
    folder: RunFolder, cohort: Cohort, dataset: Dataset, checkpoint: Checkpoint, internal: bool
) -> tuple[Cohort, str]:
    """Drop patients who trained the model, as far as that can be known."""
    if not internal and dataset.salt_id != checkpoint.salt_id:
        return cohort, "patient overlap not checkable (the datasets have different salts)"
    try:
        split = pd.read_parquet(folder.path / "split.parquet").set_index("patient_key")["part"]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{folder.path / 'split.parquet'}: cannot be read ({error}); train again") from error
    part = cohort.frame["patient_key"].map(split)
    if internal:
        return cohort.take(
            (part == "test").to_numpy(dtype=bool), "not in the test part"
        ), "none, by the split of the run"
    used = part.isin(["train", "validation"]).to_numpy(dtype=bool)
    patients = cohort.frame["patient_key"][used].nunique()
    kept = cohort.take(~used, "trained the model")
    if not len(kept.rows):
        raise RunError(f"{dataset.path}: all its labelled patients trained the model")
    return kept, f"checked; {patients} patients trained the model and were left out" if patients else "checked; none"


def strata(scores: np.ndarray, labels: np.ndarray, frame: pd.DataFrame, target: str = "") -> Iterator[dict[str, Any]]:
    """Patient-level macro AUC within sex, age, view and manufacturer.

    Cells with fewer than 11 patients are given without numbers, and so are the next smallest where the total would give them
    back.

    Parameters
    ----------
    scores : ndarray [N, K]
    labels : ndarray [N] int64
    frame : DataFrame
        Index rows of the images.
    target : str
        What was predicted; it is no stratum of itself.
    """
    for variable in STRATA:
        if variable == target:
            continue
        values = _bands(frame["age_years"]) if variable == "age" else frame[variable].astype("string")
        values = values.fillna("not recorded")
        cells = {str(name): np.flatnonzero(values == name) for name in sorted(values.unique())}
        if len(cells) < 2:
            continue
        patients = {name: frame["patient_key"].iloc[rows].nunique() for name, rows in cells.items()}
        hidden = _hidden(patients)
        for name, rows in cells.items():
            row: dict[str, Any] = {"variable": variable, "value": name, "suppressed": name in hidden}
            if name not in hidden:
                row["auc"] = aucs_of(scores[rows], labels[rows], frame.iloc[rows])[0].macro.to_json()
                del row["auc"]["n_positive"]  # a small class inside a large stratum is a small cell
            yield row


def _bands(age_years: pd.Series) -> pd.Series:
    names = [f"{low}-{high}" for low, high in pairwise(AGE_BANDS)] + [f"{AGE_BANDS[-1]}+"]
    return pd.cut(age_years, [*AGE_BANDS, np.inf], right=False, labels=names).astype("string")


@dataclass(frozen=True)
class ScoreTable:
    """Scores made elsewhere.

    Attributes
    ----------
    file : Path
        See `fastrace.cohort.tables.read_table`; one row per image.
    label : str
        Column of the true class.
    scores : mapping
        Class -> column; higher means more like the class, on any scale.
    patient, study : str or None
        Columns; without a patient column every row counts as a patient of its own.
    """

    file: Path
    label: str
    scores: Mapping[str, str]
    patient: str | None = None
    study: str | None = None


def evaluate_table(source: ScoreTable) -> dict[str, Any]:
    """AUCs of a table of scores.

    With one score its class is compared with all other labels; with several, rows of labels without a score are left out.

    Raises
    ------
    UsageError
        Unreadable file, unknown column, a score that is not a number, no row of a class.
    RunError
        Fewer than 30 patients.
    """
    cells = read_table(source.file).cells
    # Ids as they are written; of labels and scores, what stands for a missing value is missing.
    ids = {source.patient, source.study}
    table = cells.apply(
        lambda column: column.str.strip().mask(column.str.strip() == "") if column.name in ids else column.map(clean)
    )
    for column in filter(None, (source.label, *source.scores.values(), source.patient, source.study)):
        if column not in table.columns:
            raise UsageError(f"{source.file}: no column {column!r}; it has {', '.join(map(str, table.columns))}")
    if not source.scores:
        raise UsageError("--score CLASS=COLUMN is needed at least once with --predictions")
    classes = tuple(source.scores)
    label = _one_spelling(table[source.label].astype("string").str.strip(), classes)
    matrix = _numbers(table, source)
    owner = table[source.patient].astype("string") if source.patient else pd.Series(np.arange(len(table)).astype(str))
    several = label.groupby(owner).nunique()
    reasons = {
        "no label": label.isna(),
        "no score": pd.Series(np.isnan(matrix).any(axis=1)),
        "no patient": owner.isna(),
        "a label without a score": label.notna() & ~label.isin(classes) & (len(classes) > 1),
        "more than one label in a patient": owner.isin(several.index[several > 1]),
    }
    drop = pd.concat([mask.fillna(False).astype(bool) for mask in reasons.values()], axis=1).any(axis=1).to_numpy()
    codes = label[~drop].map({name: k for k, name in enumerate(classes)}).fillna(len(classes)).to_numpy(np.int64)
    for k, name in enumerate(classes):
        if not (codes == k).any():
            raise UsageError(
                f"{source.file}: no usable row has {source.label} = {name!r}; {_why(label, name, reasons)}"
            )
    study = table[source.study].astype("string") if source.study else owner
    frame = pd.DataFrame({"patient_key": owner[~drop], "study_key": study[~drop]}).reset_index(drop=True)
    if frame["patient_key"].nunique() < MIN_COHORT:
        lost = ", ".join(f"{int(mask.sum())} have {why}" for why, mask in reasons.items() if mask.any())
        raise RunError(
            f"{source.file}: {frame['patient_key'].nunique()} usable patients; at least {MIN_COHORT} are needed"
            + (f" (of {len(table)} rows {lost})" if lost else "")
        )
    return {
        "schema": SCHEMA,
        "target": source.label,
        "classes": list(classes),
        "part": "scores made elsewhere",
        "file_blake2b": hashlib.blake2b(source.file.read_bytes(), digest_size=16).hexdigest(),
        "patients_known": source.patient is not None,
        **result(matrix[~drop], codes, frame, classes),
        "strata": [],
        "left_out": {why: {"images": int(mask.sum())} for why, mask in reasons.items() if mask.any()},
    }


def _one_spelling(label: pd.Series, classes: Sequence[str]) -> pd.Series:
    """Labels that differ from a class in case or spaces alone are that class, unless two classes do."""

    def plain(text: str) -> str:
        return " ".join(text.split()).casefold()

    named = {plain(name): name for name in classes}
    if len(named) < len(classes):
        return label
    return label.map(lambda text: named.get(plain(text), text), na_action="ignore").astype("string")


def _why(label: pd.Series, name: str, reasons: Mapping[str, pd.Series]) -> str:
    """Why no row of a class is left: it is not among the labels, or its rows lack something else."""
    rows = (label == name).fillna(False).astype(bool)
    if not rows.any():
        return f"it holds {', '.join(sorted(label.dropna().unique())[:6])}"
    lost = {why: int((mask.fillna(False).astype(bool) & rows).sum()) for why, mask in reasons.items()}
    return f"of its {rows.sum()} rows: {', '.join(f'{count} have {why}' for why, count in lost.items() if count)}"


def _numbers(table: pd.DataFrame, source: ScoreTable) -> np.ndarray:
    columns = []
    for name, column in source.scores.items():
        cells = [None if pd.isna(cell) else str(cell) for cell in table[column]]
        if not any(cells):
            raise UsageError(
                f"{source.file}: --score {name}={column}: the column is empty; name the one that holds the scores"
            )
        try:
            numbers = column_numbers(column, cells)
        except UsageError as error:
            raise UsageError(f"{source.file}: --score {name}={column}: {error}") from None
        if numbers is None:
            wrong = [cell for cell in cells if cell is not None and column_numbers(column, [cell]) is None]
            said = (
                f"{plural(len(wrong), 'value')} are no finite numbers, the first in row {cells.index(wrong[0]) + 2}"
                if wrong
                else "commas mean two things in it"
            )
            raise UsageError(f"{source.file}: --score {name}={column}: {said}")
        columns.append(np.array([np.nan if number is None else number for number in numbers]))
    return np.stack(columns, axis=1)
