"""How well the small network reads, and what its training costs: on a real data set and on phantoms, by recipe.

`python -m fastrace.bench.studies.small_network [DATA --target sex] [--first 0] [--seeds 3] [--kinds texture,patch,intensity]
[--epochs N] [--batch-size N] [--learning-rate X] [--flip yes|no] [--shift yes|no] [--ways both|fine|coarse] [--coarse-side N]`.
Prints a row of docs/small_network.md for each data set: AUC of the test patients, seconds of processor time (user and system) of
the training alone, and the validation AUC over time. Without DATA: phantoms, made as `studies.phantoms` makes them. An option
that is not given is the recipe's. One way alone (`--ways`) is for the AUC: the other is computed and set to 0.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from fastrace.audit.readers.small import EPOCHS
from fastrace.bench.studies.phantoms import archive
from fastrace.cohort.selection import choose_modality
from fastrace.console.progress import Progress
from fastrace.console.words import interval
from fastrace.dataset import Dataset
from fastrace.models import SMALL, build, small
from fastrace.train import Options, train
from fastrace.train.options import get_recipe

KINDS = "texture,patch,intensity"


def main(arguments: list[str]) -> None:
    """One row for each data set and seed."""
    parser = argparse.ArgumentParser(
        prog="python -m fastrace.bench.studies.small_network", description=__doc__.splitlines()[0]
    )
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--target", default="group")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    for name in ("--flip", "--shift"):
        parser.add_argument(name, choices=["yes", "no"])
    parser.add_argument("--ways", choices=["both", "fine", "coarse"], default="both")
    parser.add_argument("--coarse-side", type=int, default=small.COARSE_SIDE)
    given = parser.parse_args(arguments)
    with patch.object(small, "COARSE_SIDE", given.coarse_side), patch.object(build, "SmallNet", _network(given.ways)):
        for seed in range(given.first, given.seeds):
            if given.data:
                row(given.data.name, given.data, seed, given)
                continue
            for kind in given.kinds.split(","):
                folder = Path(tempfile.mkdtemp(prefix="fastrace-small-"))
                try:
                    row(f"phantoms, {kind}", archive(kind, seed, folder), seed, given)
                finally:
                    shutil.rmtree(folder, ignore_errors=True)


def row(name: str, data: Path, seed: int, given: argparse.Namespace) -> None:
    """Train, and print."""
    dataset = Dataset.open(data)
    modality = choose_modality(dataset, None)
    recipe = get_recipe(
        "current", modality, SMALL, epochs=given.epochs, batch_size=given.batch_size, learning_rate=given.learning_rate
    )
    if given.flip:
        recipe = replace(recipe, flip=given.flip == "yes")
    if given.shift:
        recipe = replace(recipe, shift_pixels=4 if given.shift == "yes" else 0)
    folder = Path(tempfile.mkdtemp(prefix="fastrace-small-run-"))
    curve = Curve()
    try:
        options = Options(
            data, folder / "run", modality, given.target, recipe, SMALL, init="random", seed=seed, device="cpu"
        )
        metrics = train(options, progress=curve).metrics
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    auc = metrics["patient"]["macro"]
    cells = [
        name, str(seed), given.ways, str(recipe.epochs), str(recipe.batch_size), f"{recipe.learning_rate:g}",
        "yes" if recipe.flip else "no", str(recipe.shift_pixels), interval(auc["value"], auc["low"], auc["high"]),
        f"{processor_seconds() - curve.start:.0f}", str(curve),
    ]  # fmt: skip
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def processor_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Curve(Progress):
    """Validation AUC over processor time, at five or six epochs."""

    def __post_init__(self) -> None:
        self.start = processor_seconds()
        self.points: list[tuple[float, str]] = []

    def line(self, text: str) -> None:
        """Keep what an epoch says."""
        if text.startswith("epoch "):
            auc = text.partition("validation AUC ")[2].split()[0]
            self.points.append((processor_seconds() - self.start, auc.removeprefix("0")))

    def __str__(self) -> str:
        step = max(1, len(self.points) // 5)
        return ", ".join(f"{auc} at {seconds:.0f} s" for seconds, auc in self.points[step - 1 :: step])


def _network(ways: str) -> Any:
    """The network, or one that has one of its two ways alone: the features of the other are 0."""
    if ways == "both":
        return small.SmallNet

    class One(small.SmallNet):
        def _both(self, images: Tensor) -> tuple[Tensor, Tensor]:
            fine, coarse = super()._both(images)
            return (fine, torch.zeros_like(coarse)) if ways == "fine" else (torch.zeros_like(fine), coarse)

    return One


if __name__ == "__main__":
    main(sys.argv[1:])
