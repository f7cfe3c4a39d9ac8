"""The small network, trained on some of the patients of the audit.

It has seen labels: its probe learns from the patients who trained it and is evaluated on the others alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fastrace.audit.document import Estimate, FeatureSet, Training
from fastrace.audit.partition import Fold, Partition
from fastrace.audit.readers.networks import Network
from fastrace.audit.request import AuditRequest
from fastrace.audit.subjects import Subjects
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import RunError
from fastrace.models import SMALL
from fastrace.run_folder import RunFolder
from fastrace.statistics import MIN_CELL
from fastrace.train import Options, train
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.learned import sentence
from fastrace.train.options import get_recipe
from fastrace.train.pipeline import choose_device

NAME = "small CNN"
EPOCHS, FEWEST_EPOCHS, IMAGES = 30, 4, 2_000
"""Epochs of a training on up to so many images, and of one on very many. Between, they fall with the images to the power of 3/2:
60,000 showings become 35,000 of 6,000 images, which teach more than the same ones again, and the audit must end."""
TRAINED = 0.6
"""Share of the images, about: `fastrace.cohort.split`."""


def epochs_for(images: float) -> int:
    """Epochs for so many training images."""
    return int(min(EPOCHS, max(FEWEST_EPOCHS, EPOCHS * (IMAGES / max(images, 1)) ** 1.5)))


def training(found: Mapping[str, Any]) -> Training:
    """What the audit says of a training, from ``metrics.json``; few validation patients are not counted."""
    validation = msgspec.convert(found["validation"], Estimate)
    few = validation.n_patients is None or validation.n_patients < 2 * MIN_CELL
    hidden: dict[str, Any] = {"n_patients": None, "n_images": None} if few else {}
    said = sentence(found)
    return Training(
        learned=bool(found["anything"]),
        validation=msgspec.structs.replace(validation, n_positive=None, **hidden),
        validation_loss=float(found["validation_loss"]),
        training_loss=float(found["training_loss"]),
        guessing_loss=float(found["guessing_loss"]),
        sentence=said
        if found["anything"]
        else f"the {NAME} learned nothing here ({said}): its cells are no evidence of absence",
    )


def small_network(
    dataset: Dataset, subjects: Subjects, folder: Path, request: AuditRequest, progress: Progress
) -> Network:
    """Train the small network on 60 % of the patients (or take the finished one in ``folder``, if it is whole)."""
    _forget_damaged(folder, progress)
    options = Options(
        data=dataset.path,
        out=folder,
        modality=request.modality,
        target=subjects.cohort.target,
        recipe=get_recipe("current", request.modality, SMALL, epochs=epochs_for(TRAINED * len(subjects.cohort.rows))),
        model=SMALL,
        init="random",
        classes=subjects.classes,
        seed=request.seed,
        device=request.device,
        leave_out_shared=True,
    )
    outcome = train(options, resume=True, trust=request.trust, progress=progress)
    split = pd.read_parquet(folder / "split.parquet").set_index("patient_key")["part"]
    part = pd.Series(subjects.keys).map(split).to_numpy(dtype=object)
    test = np.flatnonzero(part == "test")
    # The patients that stopped the training belong to it.
    seen = np.flatnonzero((part == "train") | (part == "validation"))
    device = choose_device(request.device)
    model = Checkpoint.load(folder).pipeline(device).model
    facts = FeatureSet(
        name=NAME,
        dimensions=int(getattr(model, "num_features", 0)),
        learned_from_labels=True,
        evaluation=f"trained on {len(seen)} patients, evaluated on {len(test)} others",
        sees="stationary texture at full resolution, and shapes and where they are at about 64 pixels",
        # docs/small_network.md
        blind_to="where a fine texture is, to less than a quarter of the image, and what cannot be learned from few images",
        own_classifier=msgspec.convert(outcome.metrics["patient"]["macro"], Estimate),
        training=training(outcome.metrics["learned"]),
    )
    return Network(
        model, device, Partition(((Fold(seen, test),),), test, refit=False), facts, compiled=device.type == "cuda"
    )


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
