"""The small network, trained on some of the patients of the audit.

It has seen labels: its probe learns from the patients who trained it and is evaluated on the others alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from fastrace.audit.document import Estimate, FeatureSet
from fastrace.audit.partition import Fold, Partition
from fastrace.audit.readers.networks import Network
from fastrace.audit.request import LEAST_OF_A_CLASS
from fastrace.audit.subjects import Subjects
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import RunError
from fastrace.models import SMALL
from fastrace.run_folder import RunFolder
from fastrace.train import Options, train
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.options import get_recipe
from fastrace.train.pipeline import choose_device

EPOCHS = 16


def can_be_evaluated(subjects: Subjects) -> bool:
    """Whether the test part of a split would hold enough patients of every class."""
    return bool(np.bincount(subjects.labels).min() >= LEAST_OF_A_CLASS)


def small_network(
    dataset: Dataset, subjects: Subjects, folder: Path, modality: str, seed: int, trust: bool, progress: Progress
) -> Network:
    """Train the small network on 60 % of the patients (or take the finished one in ``folder``, if it is whole)."""
    _forget_damaged(folder, progress)
    options = Options(
        data=dataset.path,
        out=folder,
        modality=modality,
        target=subjects.cohort.target,
        recipe=get_recipe("current", modality, SMALL, epochs=EPOCHS),
        model=SMALL,
        init="random",
        classes=subjects.classes,
        seed=seed,
        leave_out_shared=True,
    )
    outcome = train(options, resume=True, trust=trust, progress=progress)
    split = pd.read_parquet(folder / "split.parquet").set_index("patient_key")["part"]
    part = pd.Series(subjects.keys).map(split).to_numpy(dtype=object)
    test = np.flatnonzero(part == "test")
    # The patients that stopped the training belong to it.
    seen = np.flatnonzero((part == "train") | (part == "validation"))
    device = choose_device("auto")
    facts = FeatureSet(
        name="small CNN",
        dimensions=96,
        learned_from_labels=True,
        evaluation=f"trained on {len(seen)} patients, evaluated on {len(test)} others",
        sees="stationary texture and its peaks, at the scales of its filters",
        # docs/phantoms.md, 20 archives of each kind.
        blind_to="where something is (it averages over the image), and what cannot be learned from few images; on computed "
        "phantoms it read texture and intensity leaks, patch leaks seldom and phase-only leaks never",
        own_classifier=msgspec.convert(outcome.metrics["patient"]["macro"], Estimate),
    )
    model = Checkpoint.load(folder).pipeline(device).model
    return Network(model, device, Partition(((Fold(seen, test),),), test, refit=False), facts)


def _forget_damaged(folder: Path, progress: Progress) -> None:
    """Remove a network of an interrupted audit of which a file cannot be read: it is trained again."""
    run = RunFolder(folder)
    try:
        for name in ("run.json", "metrics.json"):
            if (folder / name).is_file():
                run.read_json(name)
        for name in ("state.pt", "checkpoint.pt"):
            if (folder / name).is_file():
                run.read_tensors(name)
        if run.finished:
            pd.read_parquet(folder / "split.parquet")
    except (RunError, OSError, ValueError):
        progress.line(f"{folder}: damaged; the small network is trained again")
        shutil.rmtree(folder)
