"""Networks whose frozen features a probe reads: a small one trained on some of the patients, and timm backbones.

The small network has seen labels: its probe learns from the patients who trained it and is judged on the others alone. A backbone
trained elsewhere has seen none and is cross-fitted over all patients, as the built-in features are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fastrace.audit.probe import Fold, Partition
from fastrace.audit.subjects import Subjects
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.degrade import CLEAN, Degradation, NetworkInput, apply
from fastrace.errors import UsageError
from fastrace.models import SMALL, Initial, build, check_name, find_imagenet
from fastrace.train import Options, train
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.options import get_recipe
from fastrace.train.pipeline import choose_device, network_for

EPOCHS = 16
LEAST_OF_A_CLASS = 40
"""Patients: 30 % of them, the test part, are then 11 or more. Of fewer nothing could be shown."""
MOMENTS_FROM = 256  # images; the standard error of the mean is then a sixteenth of a standard deviation
BATCH = 32


@dataclass
class Network:
    """A frozen network.

    Attributes
    ----------
    name : str
        In tables: ``small CNN``.
    model : Module
        [N, 1, H, W] -> anything; its last features are taken.
    partition : Partition
    facts : mapping
        For the report: what it sees, what it does not.
    """

    name: str
    model: nn.Module
    device: torch.device
    partition: Partition
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.model.eval()
        self._moments: dict[str, tuple[float, float]] = {}

    @torch.no_grad()
    def embed(self, images: Tensor, degradation: Degradation) -> np.ndarray:  # [N, H, W] degraded -> [N, D] float32
        """Features before the classifier. Call `measure` first."""
        mean, std = self._moments[str(degradation)]
        out = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            ready = NetworkInput(mean, std).of(batch).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                out.append(_features(self.model, ready).float().cpu())
        return torch.cat(out).numpy()

    def measure(self, images: Tensor, degradation: Degradation) -> None:
        """Set the normalisation for one degradation: a high-pass leaves tiny values around zero."""
        std = float(images.double().std())
        self._moments[str(degradation)] = float(images.double().mean()), std if std > 1e-6 else 1.0


def _features(model: nn.Module, images: Tensor) -> Tensor:
    if hasattr(model, "forward_head"):  # timm
        return model.forward_head(model.forward_features(images), pre_logits=True).flatten(1)  # type: ignore[operator]
    return model.features(images).mean(dim=(2, 3))  # type: ignore[operator]


def can_be_judged(subjects: Subjects) -> bool:
    """Whether the test part of a split would hold enough patients of every class."""
    return bool(np.bincount(subjects.labels).min() >= LEAST_OF_A_CLASS)


def small_cnn(
    dataset: Dataset, subjects: Subjects, folder: Path, modality: str, seed: int, progress: Progress
) -> Network:
    """Train the small network on 60 % of the patients (or take the finished one in ``folder``)."""
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
    outcome = train(options, resume=True, progress=progress)
    split = pd.read_parquet(folder / "split.parquet").set_index("patient_key")["part"]
    part = pd.Series(subjects.keys).map(split).to_numpy(dtype=object)
    test = np.flatnonzero(part == "test")
    # The patients that stopped the training belong to it.
    seen = np.flatnonzero((part == "train") | (part == "validation"))
    device = choose_device("auto")
    facts = {
        "dimensions": 96,
        "learned_from_labels": True,
        "judging": f"trained on {len(seen)} patients, judged on {len(test)} others",
        "sees": "stationary texture and its peaks, at the scales of its filters",
        # docs/phantoms.md, 20 archives of each kind.
        "blind_to": "where something is (it averages over the image), and what little data cannot teach; on computed phantoms "
        "it read texture and intensity leaks, patch leaks seldom and phase-only leaks never",
        "own_classifier": outcome.metrics["patient"]["macro"],
    }
    model = Checkpoint.load(folder).pipeline(device).model
    return Network("small CNN", model, device, Partition(((Fold(seen, test),),), test, refit=False), facts)


def check_backbone(text: str) -> Initial:
    """Where a backbone's weights come from: ``NAME`` has ImageNet weights on this machine, ``NAME=FILE``, or ``NAME=random``.

    Raises
    ------
    UsageError
        Unknown model, no local weights.
    """
    name, _, source = text.partition("=")
    check_name(name)
    if name == SMALL:
        raise UsageError(f"--features {text}: the small network is trained here; write --features small")
    path = Path(source) if source and source != "random" else find_imagenet(name)
    if source == "random":
        return Initial("random", "random weights")
    if path is None or not path.is_file():
        where = (
            f"{path} is no file" if source else "no ImageNet weights on this machine, and fastrace does not download"
        )
        raise UsageError(f"--features {text}: {where}; give NAME=FILE (safetensors or a torch state dict)")
    return Initial("file", f"weights from {path.name}", path)


def backbone(text: str, partition: Partition) -> Network:
    """A timm backbone, see `check_backbone`.

    Raises
    ------
    UsageError
        Also if the weights are those of another model.
    """
    name, initial = text.partition("=")[0], check_backbone(text)
    torch.manual_seed(0)
    device = choose_device("auto")
    model = network_for(build(name, 0, initial), device)
    facts = {
        "dimensions": int(getattr(model, "num_features", 0)),
        "learned_from_labels": False,
        "judging": "cross-fitted over all patients",
        "sees": f"what {name} learned elsewhere to tell apart ({initial.sentence})",
        "blind_to": "what was of no use there; fine texture is lost where the network shrinks images early",
    }
    return Network(f"{name} ({initial.sentence})", model, device, partition, facts)


def degraded(images: Tensor, degradation: Degradation, ids: Tensor, mm_per_pixel: Tensor, seed: int) -> Tensor:
    """Images as an experiment wants them; the unchanged ones are not copied."""
    return images if degradation == CLEAN else apply(degradation, images, ids, mm_per_pixel, seed=seed)
