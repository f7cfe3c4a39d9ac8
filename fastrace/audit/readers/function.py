"""A function of the user as a reader: any network whose features a probe shall read, on unchanged and on degraded images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.audit.document import FeatureSet
from fastrace.audit.model.function import Function
from fastrace.audit.partition import Partition
from fastrace.audit.readers.networks import BATCH
from fastrace.degrade.grammar import Degradation
from fastrace.errors import RunError


@dataclass(frozen=True)
class FunctionReader:
    """A function, its partition and the number of its features; see `fastrace.audit.readers.networks.ImageReader`."""

    function: Function
    partition: Partition
    dimensions: int

    @classmethod
    def tried(cls, function: Function, partition: Partition, images: Tensor) -> FunctionReader:  # [N, H, W]
        """After a try with some images: what is wrong with it is known before anything is computed.

        Raises
        ------
        RunError
        """
        return cls(function, partition, function(images[:, None]).features.shape[1])

    @property
    def name(self) -> str:
        """``package.module:function``."""
        return self.function.name

    @property
    def facts(self) -> FeatureSet:
        """For the report."""
        return FeatureSet(
            name=self.name,
            dimensions=self.dimensions,
            learned_from_labels=False,
            evaluation="cross-fitted over all patients; too high if its model learned the attribute from them",
            sees=f"what {self.name} computes",
            blind_to="what that function does not keep",
        )

    def measure(self, images: Tensor, degradation: Degradation) -> None:
        """Nothing: the function normalises as its model needs it."""

    def embed(self, images: Tensor, degradation: Degradation) -> NDArray[np.float32]:  # [N, H, W] degraded -> [N, D]
        """Features of images.

        Raises
        ------
        RunError
            It fails, or gives another number of features than before.
        """
        out = []
        for start in range(0, len(images), BATCH):
            features = self.function(images[start : start + BATCH, None].cpu()).features
            if features.shape[1] != self.dimensions:
                raise RunError(
                    f"{self.name}: gives {features.shape[1]} features of {min(BATCH, len(images) - start)} images, and gave "
                    f"{self.dimensions} before; their number must not depend on the batch"
                )
            out.append(features)
        found: NDArray[np.float32] = torch.cat(out).numpy()
        return found
