"""Epochs: steps, validation on patients, early stopping, and a state from which an interrupted run is resumed.

Everything random in an epoch is a pure function of (seed, epoch), so the state after an epoch is all that a resumed run needs;
it ends with the same weights as a run that was not interrupted.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastrace.console.progress import Progress
from fastrace.errors import RunError
from fastrace.execute.memory import give_back
from fastrace.run_folder import RunFolder
from fastrace.statistics import class_aucs, rank_patients
from fastrace.train.augment import changes, draw
from fastrace.train.batches import Reader, epoch_order
from fastrace.train.options import TrainingRecipe
from fastrace.train.pipeline import Pipeline, class_weights, predict


@dataclass
class TrainingState:
    """The state of training after an epoch; ``weights`` are those of the best epoch, or of the last (``watch``)."""

    epoch: int = 0
    best_epoch: int = 0
    best_auc: float = -math.inf
    best_loss: float = math.inf
    stale: int = 0
    learning_rate: float = 0.0
    plateau_loss: float = math.inf
    plateau_stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)


def fit(
    pipeline: Pipeline, reader: Reader, recipe: TrainingRecipe, folder: RunFolder, progress: Progress, seed: int
) -> TrainingState:
    """Train until the recipe's last epoch or until validation no longer improves.

    Parameters
    ----------
    pipeline : Pipeline
        Its model is trained in place and left at the last epoch; the best weights are in the result.
    reader : Reader
        Of the cohort with its parts.
    recipe : TrainingRecipe
    folder : RunFolder
        ``state.pt`` is read if it is there, and written after every epoch.
    progress : Progress
    seed : int

    Raises
    ------
    RunError
        If the loss is not a number.
    """
    optimizer = _optimizer(pipeline.model, recipe)
    done = TrainingState(learning_rate=recipe.learning_rate)
    if (folder.path / "state.pt").is_file():
        done = _restore(folder.read_tensors("state.pt"), pipeline, optimizer)
        progress.line(f"resumed after epoch {done.epoch} of at most {recipe.epochs}")
    cohort = reader.cohort
    weights = class_weights(cohort.labels[cohort.of("train")], cohort.classes).to(reader.device)
    while done.epoch < recipe.epochs and done.stale < recipe.patience:
        start = time.monotonic()
        epoch = done.epoch + 1
        give_back()  # else 150 MB more after each
        loss, images = _train_epoch(pipeline, reader, recipe, optimizer, weights, done, epoch, seed, progress)
        auc, validation_loss = validate(pipeline, reader, recipe.batch_size, progress)
        if not math.isfinite(loss) or not math.isfinite(validation_loss):
            raise RunError(
                f"epoch {epoch}: the loss is not a number (training {loss}, validation {validation_loss}); lower "
                "--learning-rate, or check the images with `fastrace verify`"
            )
        _update(done, recipe, pipeline.model, epoch, auc, validation_loss)
        row = {
            "epoch": epoch, "train_loss": loss, "validation_loss": validation_loss, "validation_auc": auc,
            "learning_rate": optimizer.param_groups[0]["lr"], "images": images,
            "seconds": time.monotonic() - start,
        }  # fmt: skip
        done.history.append(row)
        folder.write_tensors("state.pt", _state(done, pipeline.model, optimizer))
        progress.line(
            f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}  validation loss {validation_loss:.4f}  "
            f"validation AUC {auc:.3f}{' *' if done.best_epoch == epoch else ''}  "
            f"{images / row['seconds']:.0f} images/s"
        )
    return done


def _train_epoch(
    pipeline: Pipeline,
    reader: Reader,
    recipe: TrainingRecipe,
    optimizer: torch.optim.Optimizer,
    weights: Tensor,
    done: TrainingState,
    epoch: int,
    seed: int,
    progress: Progress,
) -> tuple[float, int]:
    torch.manual_seed(_mix(seed, epoch))  # dropout and stochastic depth
    pipeline.model.train()
    plan = epoch_order(reader.cohort.of("train"), recipe.batch_size, seed, epoch)
    drawn = draw(len(reader.cohort.rows), seed, epoch)
    # On the device once an epoch: a copy of pageable memory in each step would make the host wait for the step before.
    change = changes(recipe, drawn[np.concatenate(plan)], reader.device)
    total, images = torch.zeros((), device=reader.device), 0
    progress.begin(f"epoch {epoch}/{recipe.epochs}", len(plan))
    for step, batch in enumerate(reader.batches(plan)):
        for group in optimizer.param_groups:
            group["lr"] = _rate(recipe, done, epoch - 1 + step / len(plan))
        mine = change.take(images, images + len(batch.positions))
        logits = pipeline.logits(batch, epoch=epoch, recipe=recipe, change=mine)
        loss = nn.functional.cross_entropy(logits, batch.labels, weight=weights)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.detach() * len(batch.positions)  # stays on the device: no wait in each step
        images += len(batch.positions)
        progress.step()
    return float(total) / images, images


def validate(pipeline: Pipeline, reader: Reader, batch_size: int, progress: Progress) -> tuple[float, float]:
    """Patient-level macro AUC and mean cross-entropy of the validation part."""
    cohort = reader.cohort
    positions = cohort.of("validation")
    scores, loss = predict(pipeline, reader, positions, batch_size, progress)
    if not np.isfinite(scores).all():
        return math.nan, math.nan
    frame = cohort.frame.iloc[positions]
    studies = frame["study_key"].fillna(frame["patient_key"]).to_numpy(dtype=str)
    patients = frame["patient_key"].to_numpy(dtype=str)
    ranking = rank_patients(scores, cohort.labels[positions], patients, studies)
    return class_aucs(ranking).macro.value, loss


def _update(
    done: TrainingState, recipe: TrainingRecipe, model: nn.Module, epoch: int, auc: float, validation_loss: float
) -> None:
    """Keep the weights if this epoch is the best, and count the epochs since."""
    done.epoch = epoch
    if recipe.watch == "auc":
        # A few validation patients soon reach an AUC of 1; the loss then still ranks epochs.
        better = (auc, -validation_loss) > (done.best_auc, -done.best_loss)
    elif recipe.watch == "last":
        better = True
    else:
        better = validation_loss < done.best_loss
    if better:
        done.best_epoch, done.best_auc, done.best_loss, done.stale = epoch, auc, validation_loss, 0
        done.weights = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
    else:
        done.stale += 1
    if validation_loss < done.plateau_loss:
        done.plateau_loss, done.plateau_stale = validation_loss, 0
    else:
        done.plateau_stale += 1
    if done.plateau_stale > recipe.plateau_patience:
        done.plateau_stale = 0
        done.learning_rate = max(done.learning_rate * recipe.plateau_factor, recipe.least_learning_rate)


def _rate(recipe: TrainingRecipe, done: TrainingState, epochs_done: float) -> float:
    if recipe.schedule == "plateau":
        return done.learning_rate
    share = epochs_done / recipe.epochs
    if share < recipe.warmup:
        return recipe.learning_rate * max(share / recipe.warmup, 0.01)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (share - recipe.warmup) / (1 - recipe.warmup)))


def _optimizer(model: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    # Biases and normalisation weights are not decayed, as usual.
    flat = [p for p in model.parameters() if p.ndim < 2]
    deep = [p for p in model.parameters() if p.ndim >= 2]
    groups = [{"params": deep, "weight_decay": recipe.weight_decay}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _mix(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, 2]).generate_state(1, np.uint64)[0] >> 1)


def _state(done: TrainingState, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {"progress": dict(done.__dict__), "model": model.state_dict(), "optimizer": optimizer.state_dict()}


def _restore(state: dict[str, Any], pipeline: Pipeline, optimizer: torch.optim.Optimizer) -> TrainingState:
    pipeline.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return TrainingState(**state["progress"])
