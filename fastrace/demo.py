"""The whole line on made-up data: a phantom archive whose leak is known becomes a dataset, a model and a result.

It shows what a user will see on an archive of their own, and it is a check of the installation: the model must find the
planted texture, and must lose it when the band is taken out of the test images.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastrace.errors import DatasetError

# Thirty test patients of each group are needed before an interval counts as evidence: 30 % of 220 is 66.
PATIENTS = 220
SIZE = (128, 128)
BAND_CYCLES = (20.0, 40.0)


@dataclass(frozen=True)
class Demo:
    """What was planted and what was found; times in seconds."""

    out: Path
    inputs: int
    indexed: int
    rejected: dict[str, int]
    patients: int
    band_cycles: tuple[float, float]
    ideal_auc: float
    clean: dict[str, Any]
    without_band: dict[str, Any]
    seconds: dict[str, float]


def demo(out: Path, *, seed: int = 0, jobs: int = 2, talk: Any = None) -> Demo:
    """Make the phantom, preprocess it, train on it, test it with and without the planted band.

    Parameters
    ----------
    out : Path
        A new folder.
    seed, jobs : int
    talk : fastrace.train.progress.Talk, optional

    Raises
    ------
    DatasetError
        If ``out`` exists.
    """
    from fastrace.degrade import parse
    from fastrace.evaluate import Question, evaluate
    from fastrace.phantom import PhantomSpec, make, truth_path
    from fastrace.preprocess.recipe import Job, Recipe
    from fastrace.preprocess.run import preprocess
    from fastrace.presets import get_preset
    from fastrace.train import Options, train
    from fastrace.train.options import get_recipe
    from fastrace.train.progress import Talk

    if out.exists() and any(out.iterdir()):
        raise DatasetError(f"{out}: exists; the demo needs a new folder, choose another --out or remove it")
    talk = talk or Talk()
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name] = round(time.perf_counter() - started, 1)
        started = time.perf_counter()

    spec = PhantomSpec(patients=PATIENTS, images_per_patient=1, band_cycles=BAND_CYCLES, seed=seed)
    talk.line(
        f"phantom: {spec.images} DICOM files, texture planted at {BAND_CYCLES[0]:g}-{BAND_CYCLES[1]:g} cycles/image"
    )
    make(out / "archive", spec)
    lap("phantom")

    preset = get_preset("mammo")
    recipe = Recipe.from_preset(preset, size=SIZE)
    archive, data = out / "archive", out / "data"
    talk.line("preprocess: decode, window, crop, resize")
    summary = preprocess(Job((archive,), data, recipe, preset, labels=archive / "labels.csv", jobs=jobs))
    lap("preprocess")

    options = Options(
        data=data,
        out=out / "run",
        modality="mammo",
        target="group",
        recipe=get_recipe("current", "mammo", "small", epochs=16),
        model="small",
        init="random",
        seed=seed,
    )
    train(options, talk=talk)
    lap("train")

    clean = evaluate(Question(options.out, data, parse("none")))
    # A margin of a tenth: the breast crop moves the band by up to 5 %.
    notch = parse(f"notch:{0.9 * BAND_CYCLES[0]:g}:{1.1 * BAND_CYCLES[1]:g}")
    without = evaluate(Question(options.out, data, notch))
    lap("evaluate")
    # Only now, when everything is measured, is the truth looked at.
    truth = json.loads(truth_path(archive).read_text())
    return Demo(
        out=out,
        inputs=summary.inputs,
        indexed=summary.indexed,
        rejected=summary.rejected,
        patients=summary.patients,
        band_cycles=BAND_CYCLES,
        ideal_auc=truth["ideal_auc"],
        clean=clean,
        without_band=without,
        seconds=seconds,
    )
