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
from fastrace.console.words import plural
from fastrace.degrade.grammar import Degradation
from fastrace.errors import RunError

AGAIN = 0.03
"""Of the norm of an image's features, by which they may differ when it is given again: arithmetic in bfloat16 moves them by a
hundredth at most; dropout of a tenth moves them by a third."""


@dataclass(frozen=True)
class FunctionReader:
    """A function, its partition and the number of its features; see `fastrace.audit.readers.networks.ImageReader`."""

    function: Function
    partition: Partition
    dimensions: int

    @classmethod
    def tried(cls, function: Function, partition: Partition, images: Tensor) -> FunctionReader:  # [N, H, W]
        """After a try with some images, and with the first of them alone: what is wrong is known before anything is computed.

        Raises
        ------
        RunError
            It does not keep the contract, or gives another answer for the same image.
        """
        features = function(images[:, None]).features
        alone = function(images[:1, None]).features
        found = cls(function, partition, features.shape[1])
        found._check(alone)
        moved = float(
            torch.linalg.vector_norm(alone[0] - features[0]) / torch.linalg.vector_norm(features[0]).clamp(1e-12)
        )
        if moved > AGAIN:
            raise RunError(
                f"{function.name}: the features of an image changed by {100 * moved:.2g} % of their norm when it was given "
                "again, without other images; call .eval() on the model (dropout, batch normalisation), and normalise each "
                "image by itself"
            )
        return found

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
            self._check(features)
            out.append(features)
        found: NDArray[np.float32] = torch.cat(out).numpy()
        return found

    def _check(self, features: Tensor) -> None:  # [N, D]
        if features.shape[1] != self.dimensions:
            raise RunError(
                f"{self.name}: gives {plural(features.shape[1], 'feature')} of {plural(len(features), 'image')}, and gave "
                f"{self.dimensions} before; their number must not depend on the batch"
            )
