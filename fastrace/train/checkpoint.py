"""A checkpoint that can be used without the run it came from: weights, what the images must be, and what the scores mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastrace.degrade.grammar import Degradation, Variant
from fastrace.degrade.parser import parse
from fastrace.errors import RunError
from fastrace.models.build import build
from fastrace.run_folder import SCHEMA, RunFolder
from fastrace.train.pipeline import Pipeline, network_for

# Stored type, name of the preset and the body parts that it keeps do not change display values.
_FREE = frozenset({"dtype", "modality", "body_parts"})


@dataclass(frozen=True)
class Checkpoint:
    """What ``checkpoint.pt`` holds. No patient, image or path is in it.

    Attributes
    ----------
    model : str
    classes : tuple of str
        In the order of the scores.
    target : str
    modality : str
    preprocessing : mapping
        The recipe of the dataset it was trained on.
    degradation : str
        Part of the model's preprocessing.
    mean, std : float
        Normalisation of the network input.
    seed : int
        Key of the noise.
    fingerprint, salt_id : str
        Of the training dataset.
    restricted : str
        Why the weights may not leave (a data licence, for example); empty: no known restriction.
    fastrace : str
        Version.
    weights : mapping
        State dict.
    variant : "corrected" | "released-code"
        Of the degradation.
    """

    model: str
    classes: tuple[str, ...]
    target: str
    modality: str
    preprocessing: Mapping[str, Any]
    degradation: str
    mean: float
    std: float
    seed: int
    fingerprint: str
    salt_id: str
    restricted: str
    fastrace: str
    weights: Mapping[str, Tensor]
    variant: Variant

    @property
    def degrades(self) -> Degradation:
        """What is done to its images before they are normalised."""
        return parse(self.degradation, self.variant)

    def save(self, folder: RunFolder) -> None:
        """Write ``checkpoint.pt``."""
        plain = {**self.__dict__, "classes": list(self.classes), "preprocessing": dict(self.preprocessing)}
        folder.write_tensors("checkpoint.pt", {"schema": SCHEMA, **plain, "weights": dict(self.weights)})

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read the checkpoint of a run folder.

        Raises
        ------
        RunError
        """
        content = RunFolder(path).read_tensors("checkpoint.pt")
        if content.pop("schema", None) != SCHEMA:
            raise RunError(f"{path / 'checkpoint.pt'}: not a checkpoint of this version of fastrace; train again")
        try:
            return cls(**{**content, "classes": tuple(content["classes"])})
        except (TypeError, KeyError) as error:
            raise RunError(f"{path / 'checkpoint.pt'}: incomplete ({error}); train again") from error

    def pipeline(self, device: torch.device) -> Pipeline:
        """The trained model, ready to score stored images."""
        network = build(self.model, len(self.classes))
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise RunError(
                f"checkpoint of {self.model!r}, fastrace {self.fastrace}: its weights are not those of this version's network; "
                "train again"
            ) from error
        return Pipeline(network_for(network, device), self.degrades, self.seed, self.mean, self.std)

    def check_preprocessing(self, recipe: Mapping[str, Any], where: Path) -> None:
        """Refuse images made otherwise than those it was trained on.

        Raises
        ------
        RunError
            Naming every difference.
        """
        keys = [key for key in {**self.preprocessing, **recipe} if key not in _FREE]
        different = [
            f"{key}: {_plain(recipe.get(key))} there, {_plain(self.preprocessing.get(key))} in training"
            for key in keys
            if _plain(recipe.get(key)) != _plain(self.preprocessing.get(key))
        ]
        if different:
            raise RunError(
                f"{where}: made with another recipe than the model's images ({'; '.join(different)}); "
                "run `fastrace preprocess` on that archive with the model's options"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
