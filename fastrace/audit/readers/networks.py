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
    compiled : bool
        Whether it runs under `torch.compile`, in batches of one size: what a GPU does.
    """

    model: nn.Module
    device: torch.device
    partition: Partition
    facts: FeatureSet
    compiled: bool = False

    def __post_init__(self) -> None:
        self.model.eval()
        self._moments: dict[str, tuple[float, float]] = {}
        self._features: nn.Module = _Features(self.model)
        if self.compiled:
            self._features.compile(dynamic=False)

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
            batch = images[start : start + BATCH].to(self.device)
            count = len(batch)
            if self.compiled and count < BATCH:  # a batch of another size would be compiled anew
                batch = torch.cat([batch, batch[:1].expand(BATCH - count, -1, -1)])
            ready = NetworkInput(mean, std).of(batch)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                out.append(self._features(ready)[:count].float().cpu())
        return torch.cat(out).numpy()

    def measure(self, images: Tensor, degradation: Degradation) -> None:
        """Set the normalisation for one degradation: a high-pass leaves tiny values around zero."""
        std = float(images.double().std())
        self._moments[str(degradation)] = float(images.double().mean()), std if std > 1e-6 else 1.0


class _Features(nn.Module):
    """A network's features before its classifier, as a module: what `torch.compile` takes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:  # [N, 1, H, W] -> [N, D]
        if hasattr(self.model, "forward_head"):  # timm
            return self.model.forward_head(self.model.forward_features(images), pre_logits=True).flatten(1)  # type: ignore[operator]
        return self.model.features(images)  # type: ignore[operator]


def degraded(images: Tensor, degradation: Degradation, ids: Tensor, mm_per_pixel: Tensor, seed: int) -> Tensor:
    """Images after a degradation; unchanged ones are not copied."""
    return images if degradation == CLEAN else apply(degradation, images, ids, mm_per_pixel, seed=seed)
