"""From stored words to logits: scale, augment, degrade, normalise, network. One function, which `torch.compile` compiles whole.

Degradation and normalisation are float32 on every device; only the network runs in bfloat16 on CUDA, and its input is written in
that type. Normalisation is by mean and standard deviation of the *degraded* training images (a high-pass leaves tiny values
around zero), fixed in the checkpoint; the released code's variant has its own and none after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fastrace.console.progress import Progress
from fastrace.degrade.grammar import Degradation
from fastrace.degrade.operations import NetworkInput, apply, display
from fastrace.errors import BackendMissing
from fastrace.train.augment import Changes, augment
from fastrace.train.batches import Batch, Reader, in_order
from fastrace.train.options import TrainingRecipe

MOMENTS_FROM = 512  # training images; the standard error of the mean is then below 5 % of a standard deviation


@dataclass
class Pipeline:
    """A network with what comes before it.

    Attributes
    ----------
    model : Module
        [N, 1, H, W] -> logits [N, K].
    degradation : Degradation
    seed : int
        Key of the noise.
    mean, std : float
        Of the degraded training images.
    compiled : bool
    """

    model: nn.Module
    degradation: Degradation
    seed: int
    mean: float = 0.0
    std: float = 1.0
    compiled: bool = False

    def __post_init__(self) -> None:
        self._forward: Callable[..., Tensor] = self._logits
        if self.compiled:
            self._forward = torch.compile(self._logits)

    def logits(
        self, batch: Batch, *, epoch: int = 0, recipe: TrainingRecipe | None = None, change: Changes | None = None
    ) -> Tensor:
        """Logits [N, K] float32. Epoch 0 and no changes when scoring.

        Raises
        ------
        BackendMissing
            If the model cannot be compiled here.
        """
        try:
            return self._forward(batch.pixels, batch.ids, batch.mm_per_pixel, epoch, recipe, change)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BackendMissing(f"torch.compile failed ({reason[:200]}); train with --no-compile") from error

    def _logits(
        self,
        pixels: Tensor,
        ids: Tensor,
        mm_per_pixel: Tensor,
        epoch: int,
        recipe: TrainingRecipe | None,
        change: Changes | None,
    ) -> Tensor:
        network = NetworkInput(self.mean, self.std, torch.bfloat16 if pixels.is_cuda else torch.float32)
        images = self.degraded(pixels, ids, mm_per_pixel, epoch, recipe, change, network)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            return self.model(images).float()

    def degraded(
        self,
        pixels: Tensor,
        ids: Tensor,
        mm_per_pixel: Tensor,
        epoch: int = 0,
        recipe: TrainingRecipe | None = None,
        change: Changes | None = None,
        network: NetworkInput | None = None,
    ) -> Tensor:  # [N, H, W] float32, or what the network takes
        """Display values in [0, 1], augmented, then degraded."""
        images = pixels  # a filter on CUDA scales them while it loads
        if recipe is not None and change is not None:
            images = augment(recipe, display(pixels), change)
        return apply(self.degradation, images, ids, mm_per_pixel, seed=self.seed, epoch=epoch, network=network)

    def measure(self, reader: Reader, positions: np.ndarray, batch_size: int) -> None:
        """Set mean and standard deviation from the first training images of the shuffled order."""
        if self.degradation.variant == "released-code":
            return  # it does not normalise what its filter left
        chosen = np.random.default_rng([self.seed, 0]).permutation(positions)[:MOMENTS_FROM]
        count, total, squares = 0, 0.0, 0.0
        for batch in reader.batches(in_order(chosen, batch_size)):
            images = self.degraded(batch.pixels, batch.ids, batch.mm_per_pixel).double()
            count += images.numel()
            total += float(images.sum())
            squares += float((images**2).sum())
        self.mean = total / count
        std = max(squares / count - self.mean**2, 0.0) ** 0.5
        self.std = std if std > 1e-6 else 1.0  # highpass:200 leaves nothing: zeros, not noise blown up


def predict(
    pipeline: Pipeline, reader: Reader, positions: np.ndarray, batch_size: int, progress: Progress | None = None
) -> tuple[np.ndarray, float]:
    """Score images, without changes to model or random state.

    Parameters
    ----------
    pipeline : Pipeline
    reader : Reader
    positions : ndarray [N] int64
        In the reader's cohort.
    batch_size : int
    progress : Progress, optional

    Returns
    -------
    (ndarray [N, K] float64, float)
        Class probabilities, and the mean cross-entropy.
    """
    pipeline.model.eval()
    progress = progress or Progress()
    logits, labels = [], []
    plan = in_order(positions, batch_size)
    progress.begin("scoring", len(plan))
    with torch.no_grad():
        for batch in reader.batches(plan):
            logits.append(pipeline.logits(batch).cpu())
            labels.append(batch.labels.cpu())
            progress.step()
    table = torch.cat(logits).double().log_softmax(dim=1)
    truth = torch.cat(labels)
    loss = float(-table[torch.arange(len(truth)), truth].mean())
    return table.exp().numpy(), loss


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one.

    Raises
    ------
    BackendMissing
        ``cuda`` without a usable device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise BackendMissing("--device cuda: torch finds no CUDA device; see `fastrace doctor`, or use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def network_for(model: nn.Module, device: torch.device) -> nn.Module:
    """Move to the device in channels_last, which pays on both (CPU, resnet34: 0.87 s a step instead of 0.99)."""
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def class_weights(labels: np.ndarray, classes: Sequence[str]) -> Tensor:  # [K] float32, mean 1 over the images
    """Inverse class frequency, so that a rare class weighs as much as a common one."""
    counts = np.bincount(labels, minlength=len(classes))
    return torch.from_numpy(len(labels) / (len(classes) * np.maximum(counts, 1))).float()
