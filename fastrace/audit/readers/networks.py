"""Networks whose frozen features a probe reads; `small` and `backbone` make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fastrace.audit.document import FeatureSet
from fastrace.audit.partition import Partition
from fastrace.degrade.grammar import CLEAN, Degradation
from fastrace.degrade.operations import NetworkInput, apply

MOMENTS_FROM = 256  # images; the standard error of the mean is then a sixteenth of a standard deviation
BATCH = 32


class ImageReader(Protocol):
    """What is shown images, unchanged and degraded: a network or a function of the user."""

    @property
    def name(self) -> str:
        """In tables."""
        ...

    @property
    def partition(self) -> Partition:
        """How its patients are evaluated."""
        ...

    @property
    def facts(self) -> FeatureSet:
        """For the report."""
        ...

    def measure(self, images: Tensor, degradation: Degradation) -> None:
        """See some images of a degradation before all."""
        ...

    def embed(self, images: Tensor, degradation: Degradation) -> np.ndarray:  # [N, H, W] degraded -> [N, D] float32
        """Features of images."""
        ...


@dataclass
class Network:
    """A frozen network.

    Attributes
    ----------
    model : Module
        [N, 1, H, W] -> anything; its last features are taken.
    partition : Partition
    facts : FeatureSet
        For the report: what it sees, what it does not.
    """

    model: nn.Module
    device: torch.device
    partition: Partition
    facts: FeatureSet

    def __post_init__(self) -> None:
        self.model.eval()
        self._moments: dict[str, tuple[float, float]] = {}

    @property
    def name(self) -> str:
        """In tables: ``small CNN``."""
        return self.facts.name

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
    return model.features(images)  # type: ignore[operator]


def degraded(images: Tensor, degradation: Degradation, ids: Tensor, mm_per_pixel: Tensor, seed: int) -> Tensor:
    """Images after a degradation; unchanged ones are not copied."""
    return images if degradation == CLEAN else apply(degradation, images, ids, mm_per_pixel, seed=seed)
