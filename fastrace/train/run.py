"""`fastrace train`: a dataset and options in, a run folder out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fastrace import __version__
from fastrace.cohort.alike import alike
from fastrace.cohort.selection import Cohort, select
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import RunError
from fastrace.execute.cpus import set_threads
from fastrace.models import SMALL
from fastrace.models.build import build
from fastrace.models.weights import choose_initial
from fastrace.run_folder import SCHEMA, RunFolder, environment, json_text
from fastrace.train.batches import Reader, place
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.learned import learned, sentence
from fastrace.train.loop import TrainingState, fit
from fastrace.train.options import Options
from fastrace.train.pipeline import Pipeline, choose_device, network_for, predict
from fastrace.train.scores import predictions, result
from fastrace.trust import check

FILES = ("split.parquet", "history.parquet", "checkpoint.pt", "predictions.parquet")
"""Those whose digests ``run.json`` lists, with that of ``metrics.json``."""

ONE_THREAD = 1 << 20
"""Pixels of a batch of the small network up to which it has one thread: 32 images of 181 x 181."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: its folder and the content of ``metrics.json``."""

    folder: Path
    metrics: Mapping[str, Any]


def train(options: Options, *, resume: bool = False, trust: bool = False, progress: Progress | None = None) -> Outcome:
    """Train one model, score its test part, and write both to a run folder.

    Parameters
    ----------
    options : Options
    resume : bool
        Go on with the run in ``options.out``, if there is one; a finished one is only read.
    trust : bool
        Do not compare the shards with their digests first.
    progress : Progress, optional

    Raises
    ------
    FastraceError
        Options that do not fit the data, leakage, missing weights, a run that is already there, a loss that is not a number,
        a dataset that was changed.
    """
    progress = progress or Progress()
    dataset = Dataset.open(options.data)
    folder = RunFolder(options.out)
    _check_place(folder, options, dataset, resume)
    if folder.finished:
        folder.check(*FILES, "metrics.json")
        progress.line(f"{folder.path}: already finished")
        return Outcome(folder.path, folder.read_json("metrics.json"))
    cohort = select(
        dataset,
        options.target,
        options.classes,
        seed=options.seed,
        split=options.split,
        leave_out_shared=options.leave_out_shared,
    )
    options.degradation.check(dataset.size, cohort.mm_per_pixel)
    # The study started from ImageNet: its recipe stops where the weights are not to be had.
    paper = options.recipe.name == "paper" and options.init == "auto"
    initial = choose_initial(options.model, "imagenet" if paper else options.init)
    device = choose_device(options.device)
    placement = place(dataset, cohort, device)
    set_threads()
    checked = check(dataset, cohort.rows, trust=trust, progress=progress)
    folder.create()
    with folder.locked():
        for line in (
            *_cohort_lines(cohort),
            *_alike_lines(folder, cohort),
            initial.sentence,
            f"device: {device.type}",
            str(placement),
        ):
            progress.line(line)
        folder.write_json(
            "run.json",
            {
                "schema": SCHEMA,
                "command": "train",
                "arguments": options.to_json(),
                "initial_weights": {"kind": initial.kind, "sentence": initial.sentence},
                "degradation": options.degradation.describe(dataset.size),
                "dataset": {
                    "fingerprint": dataset.fingerprint,
                    "salt_id": dataset.salt_id,
                    "recipe": dataset.meta["recipe"],
                    "checked": checked.to_json(),
                },
                "split": _write_split(folder, cohort, options),
                "left_out": cohort.left_out,
                "environment": environment(device.type),
                "images": asdict(placement),
            },
        )
        torch.manual_seed(options.seed)
        compiled = device.type == "cuda" if options.compile is None else options.compile
        network = network_for(build(options.model, len(cohort.classes), initial), device)
        pipeline = Pipeline(network, options.degradation, options.seed, compiled=compiled)
        reader = Reader(dataset, cohort, device, resident=placement.resident)
        with progress, _deterministic(), _threads_for(options, dataset.size):
            pipeline.measure(reader, cohort.of("train"), options.recipe.batch_size)
            done = fit(pipeline, reader, options.recipe, folder, progress, options.seed)
            return _finish(folder, options, dataset, reader, pipeline, done, progress)


@contextmanager
def _threads_for(options: Options, size: tuple[int, int]) -> Iterator[None]:
    """One thread for the small network on small images, the processors otherwise; restored on leaving.

    Its layers are so short that a second thread mostly waits, which costs as much as work: with neighbours on both cores, three
    epochs of 1,848 images of 100 x 100 took 20 s of processor time on one thread and 183 on two.
    """
    before = torch.get_num_threads()
    if options.model == SMALL and options.recipe.batch_size * size[0] * size[1] <= ONE_THREAD:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _deterministic:
    """cuDNN picks the same algorithm each time; restored on leaving. The CPU path is deterministic by itself."""

    def __enter__(self) -> None:
        self._before = torch.backends.cudnn.deterministic
        torch.backends.cudnn.deterministic = True

    def __exit__(self, *_: object) -> None:
        torch.backends.cudnn.deterministic = self._before


def _check_place(folder: RunFolder, options: Options, dataset: Dataset, resume: bool) -> None:
    if not folder.exists:
        return
    if not resume:
        what = "a finished run" if folder.finished else "a run that was interrupted"
        hint = "choose another --out" if folder.finished else "go on with --resume, or choose another --out"
        raise RunError(f"{folder.path}: holds {what}; {hint}")
    before = folder.read_json("run.json")
    different = options.differences(before.get("arguments", {}))
    if before.get("dataset", {}).get("fingerprint") != dataset.fingerprint:
        different.insert(0, "the dataset")
    if different:
        raise RunError(
            f"{folder.path}: --resume needs the options of the run ({'; '.join(different)}); choose another --out"
        )


def _cohort_lines(cohort: Cohort) -> list[str]:
    lines = [f"target {cohort.target}: {', '.join(cohort.classes)}"]
    for part, classes in cohort.counts().items():
        counts = ", ".join(f"{name} {n['patients']} patients / {n['images']} images" for name, n in classes.items())
        lines.append(f"{part}: {counts}")
    lines += [f"left out: {n['patients']} patients / {n['images']} images, {why}" for why, n in cohort.left_out.items()]
    return lines


def _alike_lines(folder: RunFolder, cohort: Cohort) -> list[str]:
    """Whether images of the test part look like images of other patients that the model learns from; `evaluate` asks the same."""
    learns = cohort.part != "test"
    columns = cohort.frame[["patient_key", "thumbnail_hash"]]
    folder.write_table("thumbnails.parquet", columns[learns].reset_index(drop=True))
    said = alike(columns[~learns], columns[learns]).sentence("patients, one of them in the test part and one not")
    return [] if said is None else [said]


def _write_split(folder: RunFolder, cohort: Cohort, options: Options) -> dict[str, Any]:
    split = pd.DataFrame({"patient_key": cohort.frame["patient_key"], "part": cohort.part.astype(str)})
    split = split.drop_duplicates().sort_values("patient_key", ignore_index=True)
    folder.write_table("split.parquet", split)
    digest = hashlib.blake2b("\n".join(split["patient_key"] + " " + split["part"]).encode(), digest_size=16)
    return {
        "method": options.split,
        "seed": options.seed,
        "file": "split.parquet",
        "blake2b": digest.hexdigest(),
        "counts": cohort.counts(),
    }


def _finish(
    folder: RunFolder,
    options: Options,
    dataset: Dataset,
    reader: Reader,
    pipeline: Pipeline,
    done: TrainingState,
    progress: Progress,
) -> Outcome:
    """Score the test part with the best weights; ``metrics.json`` comes last, since it marks the end."""
    cohort = reader.cohort
    pipeline.model.load_state_dict(done.weights)
    Checkpoint(
        model=options.model,
        classes=cohort.classes,
        target=cohort.target,
        modality=options.modality,
        preprocessing=dataset.meta["recipe"],
        degradation=str(options.degradation),
        mean=pipeline.mean,
        std=pipeline.std,
        seed=options.seed,
        fingerprint=dataset.fingerprint,
        salt_id=dataset.salt_id,
        restricted=str(dataset.meta.get("restricted") or ""),
        fastrace=__version__,
        weights=done.weights,
        variant=options.degradation.variant,
    ).save(folder)
    folder.write_table("history.parquet", pd.DataFrame(done.history))
    test = cohort.of("test")
    scores, _ = predict(pipeline, reader, test, options.recipe.batch_size, progress)
    folder.write_table("predictions.parquet", predictions(cohort, test, scores))
    found = result(scores, cohort.labels[test], cohort.frame.iloc[test], cohort.classes)
    validation = cohort.of("validation")
    own_scores, loss = predict(pipeline, reader, validation, options.recipe.batch_size, progress)
    judged = learned(own_scores, cohort, validation, loss, done.history[done.best_epoch - 1]["train_loss"])
    if not judged["anything"]:
        progress.line(f"learned nothing: {sentence(judged)}")
    metrics = {
        "schema": SCHEMA,
        "target": cohort.target,
        "classes": list(cohort.classes),
        "degradation": str(options.degradation),
        "variant": options.degradation.variant,
        "part": "test",
        **found,
        "counts": cohort.counts(),
        "left_out": dict(cohort.left_out),
        "epochs": done.epoch,
        "best_epoch": done.best_epoch,
        "validation_auc": float(np.round(done.best_auc, 12)),
        "learned": judged,
    }
    folder.seal(FILES, "metrics.json", json_text(metrics))
    (folder.path / "state.pt").unlink(missing_ok=True)
    return Outcome(folder.path, metrics)
