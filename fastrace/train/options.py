"""The options of `fastrace train`, and the two recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from fastrace.cohort.selection import choose_modality, choose_target
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN, Degradation, Variant
from fastrace.degrade.parser import read
from fastrace.errors import UsageError
from fastrace.modality import get_modality
from fastrace.models import SMALL


@dataclass(frozen=True)
class TrainingRecipe:
    """How a network is trained.

    Attributes
    ----------
    optimizer : "adamw" | "adam"
    learning_rate, weight_decay : float
    batch_size, epochs : int
    schedule : "cosine" | "plateau"
        Cosine to zero after a short warm-up, or a tenth after ``plateau_patience`` epochs without a lower validation loss.
    watch : "auc" | "loss" | "last"
        What early stopping follows: patient-level macro AUC (ties decided by the loss) or the loss, on validation patients; or
        nothing: the last epoch is kept, and validation patients have chosen nothing.
    patience : int
        Epochs without improvement after which training ends.
    flip : bool
        Mirror left-right in training, where the modality allows it.
    shift_pixels : int
        Largest shift in training, where the modality allows it; whole pixels, so no frequency is lost to interpolation.
    rotate_degrees, zoom : float
        Largest rotation and relative zoom in training (bilinear, background 0).
    """

    name: str
    optimizer: Literal["adamw", "adam"]
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    schedule: Literal["cosine", "plateau"]
    watch: Literal["auc", "loss", "last"]
    patience: int
    flip: bool = True
    shift_pixels: int = 0
    rotate_degrees: float = 0.0
    zoom: float = 0.0
    warmup: float = 0.05
    plateau_patience: int = 2
    plateau_factor: float = 0.1
    least_learning_rate: float = 1e-5


RECIPES: dict[str, TrainingRecipe] = {
    recipe.name: recipe
    for recipe in (
        # Rotation would interpolate, that is low-pass, training images only: not where the question is the frequency.
        TrainingRecipe("current", "adamw", 1e-3, 0.05, 32, 30, "cosine", "auc", 10, shift_pixels=4),
        # The study's chest models: Adam 1e-3, batch 256, a tenth after 2 epochs down to 1e-5, stop after 4 on the loss. What
        # other modalities had instead of 1e-3 is `Modality.paper_learning_rate`.
        TrainingRecipe("paper", "adam", 1e-3, 0.0, 256, 100, "plateau", "loss", 4, rotate_degrees=15.0, zoom=0.1),
    )
}

# Of the small network, measured on phantoms and on real anatomy: docs/small_network.md.
SMALL_LEARNING_RATE = 2e-3
SMALL_BATCH_SIZE = 32


def get_recipe(
    name: str,
    modality: str,
    model: str,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
) -> TrainingRecipe:
    """A recipe for a modality and model, with the user's changes.

    Raises
    ------
    UsageError
        No such recipe or modality, or a number out of its range.
    """
    if name not in RECIPES:
        raise UsageError(f"--recipe {name}: unknown; choose one of {', '.join(RECIPES)}")
    recipe, known = RECIPES[name], get_modality(modality)
    if name == "paper":
        recipe = replace(recipe, learning_rate=known.paper_learning_rate)
    else:
        recipe = replace(recipe, flip=known.flip, shift_pixels=recipe.shift_pixels if known.shift else 0)
        if model == SMALL:
            recipe = replace(recipe, learning_rate=SMALL_LEARNING_RATE, batch_size=SMALL_BATCH_SIZE, watch="last")
    changed = replace(
        recipe,
        epochs=recipe.epochs if epochs is None else epochs,
        batch_size=recipe.batch_size if batch_size is None else batch_size,
        learning_rate=recipe.learning_rate if learning_rate is None else learning_rate,
    )
    if changed.epochs < 1 or changed.batch_size < 2 or changed.learning_rate <= 0:
        raise UsageError("--epochs must be 1 or more, --batch-size 2 or more, --learning-rate above 0")
    return changed


@dataclass(frozen=True)
class Options:
    """One model: everything that decides its weights, and where it goes.

    Attributes
    ----------
    data, out : Path
    modality : str
        Name of the preset, for the backbone and the augmentation.
    target : str
        The column of the classes.
    classes : tuple of str
        Values used; empty: all.
    recipe : TrainingRecipe
    model : str
        ``small`` or a timm name.
    init : str
        ``auto``, ``imagenet``, ``random`` or a file.
    degradation : Degradation
        Applied in training, validation and test; carries the variant.
    seed : int
    split : "patient" | "official"
    leave_out_shared : bool
        Leave out patients who share a study, pixels or almost equal images with another, instead of refusing the first two.
    device : "auto" | "cpu" | "cuda"
    compile : bool or None
        None: on CUDA only; on a CPU it does not pay (1 minute for 2-5 %).
    """

    data: Path
    out: Path
    modality: str
    target: str
    recipe: TrainingRecipe
    model: str
    init: str = "auto"
    classes: tuple[str, ...] = ()
    degradation: Degradation = CLEAN
    seed: int = 0
    split: Literal["patient", "official"] = "patient"
    leave_out_shared: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types for ``run.json``."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {
            "data": str(self.data),
            "out": str(self.out),
            "classes": list(self.classes),
            "recipe": asdict(self.recipe),
            "degradation": str(self.degradation),
            "variant": self.degradation.variant,
        }

    def differences(self, before: Mapping[str, Any]) -> list[str]:
        """What a stored run had otherwise; place and device do not matter."""
        mine = self.to_json()
        before = {"variant": "corrected", **before}  # older runs do not hold it
        skipped = {"data", "out", "device", "compile", "recipe"}
        pairs = [(key, before.get(key), mine[key]) for key in mine if key not in skipped]
        recipe = before.get("recipe", {})
        pairs += [(key, recipe.get(key), value) for key, value in mine["recipe"].items()]
        return [f"{key}: {old} there, {new} requested" for key, old, new in pairs if old != new]


def options_for(
    dataset: Dataset,
    out: Path,
    *,
    target: str | None,
    modality: str | None,
    recipe: str,
    model: str | None,
    degrade: str | Degradation,
    variant: Variant | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    **options: Any,
) -> Options:
    """The options of a training on a dataset, with the defaults that depend on it.

    Parameters
    ----------
    dataset : Dataset
    out : Path
    target, modality, model
        None: the only attribute column, the dataset's, the modality's backbone.
    recipe, epochs, batch_size, learning_rate
        See `get_recipe`.
    degrade, variant
        Of the images, see `fastrace.degrade`.
    options
        The other attributes of `Options`.

    Raises
    ------
    UsageError
    """
    chosen, degradation = choose_modality(dataset, modality), read(degrade)
    network = model or get_modality(chosen).backbone
    changes = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    return Options(
        data=dataset.path,
        out=out,
        modality=chosen,
        target=choose_target(dataset, target),
        recipe=get_recipe(recipe, chosen, network, **changes),  # type: ignore[arg-type]
        model=network,
        degradation=degradation if variant is None else replace(degradation, variant=variant),
        **options,
    )
