"""The whole pipeline on synthetic data: two phantom archives, one with a known leak and one without, are audited as a user would.

It shows what a user will see on an archive of their own, and it is a check of the installation: the band that was planted must
be found, and nothing in the archive without a leak. The truth is read when everything has been measured.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fastrace.audit.document import Audit
from fastrace.errors import DatasetError

# Thirty test patients of each group are needed before an interval of the trained model counts as evidence: 30 % of 220 is 66.
PATIENTS = 220
SIZE = (128, 128)
STRENGTH = 1.5  # what the small network needs; the built-in features read half of it


@dataclass(frozen=True)
class Demo:
    """What was planted and what was found; bands in cycles/image, times in seconds.

    Attributes
    ----------
    out, report : Path
    inputs, indexed, patients : int
        Of the archive with the leak.
    rejected : dict
    band_planted : (float, float)
    band_found : (float, float) or None
    overlap : float
        Intersection over union of the two.
    ideal_auc : float
    trained : dict
        What `fastrace train` found: the test patients' AUC.
    leak, control : Audit
        Of the two archives.
    seconds : dict
    """

    out: Path
    report: Path
    inputs: int
    indexed: int
    patients: int
    rejected: dict[str, int]
    band_planted: tuple[float, float]
    band_found: tuple[float, float] | None
    overlap: float
    ideal_auc: float
    trained: dict[str, Any]
    leak: Audit
    control: Audit
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        audits = {"leak": msgspec.to_builtins(self.leak), "control": msgspec.to_builtins(self.control)}
        return {**vars(self), "out": str(self.out), "report": str(self.report), **audits}


def draw_band(seed: int) -> tuple[float, float]:
    """One octave, its low edge between 12 and 26 cycles/image."""
    low = float(np.random.default_rng((seed, 8001)).integers(12, 27))
    return low, 2 * low


def demo(out: Path, *, seed: int = 0, jobs: int = 2, progress: Any = None) -> Demo:
    """Make two archives, preprocess them, train on the first, audit both, write the report of the first.

    Parameters
    ----------
    out : Path
        A new folder.
    seed, jobs : int
    progress : fastrace.console.progress.Progress, optional

    Raises
    ------
    DatasetError
        If ``out`` exists.
    """
    from fastrace.audit.locate import overlap
    from fastrace.audit.request import AuditRequest
    from fastrace.audit.run import audit
    from fastrace.console.progress import Progress
    from fastrace.modality import get_modality
    from fastrace.phantom import PhantomSpec, make, truth_path
    from fastrace.preprocess.recipe import Job, Recipe
    from fastrace.preprocess.run import preprocess
    from fastrace.report import write
    from fastrace.train import Options, train
    from fastrace.train.options import get_recipe

    if out.exists() and any(out.iterdir()):
        raise DatasetError(f"{out}: exists; the demo needs a new folder, choose another --out or remove it")
    progress = progress or Progress()
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name] = round(time.perf_counter() - started, 1)
        started = time.perf_counter()

    band = draw_band(seed)
    preset = get_modality("mammo")
    recipe = Recipe.from_preset(preset, size=SIZE)
    archives = {"leak": STRENGTH, "control": 0.0}
    for name, strength in archives.items():
        spec = PhantomSpec(patients=PATIENTS, images_per_patient=1, band_cycles=band, strength=strength, seed=seed)
        progress.line(
            f"phantom: {spec.images} DICOM files, {'no leak' if strength == 0 else 'a leak in a band of one octave'}"
        )
        make(out / name / "archive", spec)
    lap("phantoms")

    # A salt of its own would split the patients anew in every run: the network's AUC was .54, .92 and .99 in three. These
    # patients are synthetic, so their salt may be known.
    salt = out / "salt"
    salt.write_bytes(hashlib.sha256(f"fastrace demo {seed}".encode()).digest())
    summaries = {}
    for name in archives:
        progress.line(f"preprocess: {name}: decode, window, crop, resize")
        archive = out / name / "archive"
        job = Job((archive,), out / name / "data", recipe, preset, labels=archive / "labels.csv", salt=salt, jobs=jobs)
        summaries[name] = preprocess(job)
    lap("preprocess")

    options = Options(
        data=out / "leak" / "data",
        out=out / "leak" / "run",
        modality="mammo",
        target="group",
        recipe=get_recipe("current", "mammo", "small", epochs=16),
        model="small",
        init="random",
        seed=seed,
    )
    trained = train(options, progress=progress)
    lap("train")

    found = {}
    for name in archives:
        request = AuditRequest(
            data=out / name / "data",
            out=out / name / "audit",
            modality="mammo",
            seed=seed,
            purpose=f"fastrace demo: computed phantoms, archive '{name}'",
        )
        found[name] = audit(request, progress=progress)
    lap("audits")
    page = write(out / "leak" / "audit")
    write(out / "control" / "audit")
    lap("reports")

    # The truth is read only now, when everything is measured.
    truth = json.loads(truth_path(out / "leak" / "archive").read_text())
    planted = float(truth["band"]["low"]), float(truth["band"]["high"])
    location = found["leak"].location
    band_found = None if location is None else location.found
    summary = summaries["leak"]
    return Demo(
        out=out,
        report=page,
        inputs=summary.inputs,
        indexed=summary.indexed,
        patients=summary.patients,
        rejected=summary.rejected,
        band_planted=planted,
        band_found=band_found,
        overlap=overlap(band_found, planted),
        ideal_auc=float(truth["ideal_auc"]),
        trained=dict(trained.metrics),
        leak=found["leak"],
        control=found["control"],
        seconds=seconds,
    )
