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
from fastrace.console.progress import Progress
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


def demo(out: Path, *, seed: int = 0, jobs: int = 2, progress: Progress | None = None) -> Demo:
    """Make two archives, preprocess them, train on the first, audit both, write the report of the first.

    Parameters
    ----------
    out : Path
        A new folder.
    seed, jobs : int
    progress : Progress, optional

    Raises
    ------
    DatasetError
        If ``out`` exists.
    """
    from fastrace import api
    from fastrace.audit.locate import overlap
    from fastrace.phantom import truth_path

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
    archives = {"leak": STRENGTH, "control": 0.0}
    for name, strength in archives.items():
        what = "no leak" if strength == 0 else "a leak in a band of one octave"
        progress.line(f"phantom: {PATIENTS} DICOM files, {what}")
        api.phantom(
            out / name / "archive", patients=PATIENTS, images_per_patient=1, band=band, strength=strength, seed=seed
        )
    lap("phantoms")

    # A salt of its own would split the patients anew in every run: the network's AUC was .54, .92 and .99 in three. These
    # patients are synthetic, so their salt may be known.
    salt = out / "salt"
    salt.write_bytes(hashlib.sha256(f"fastrace demo {seed}".encode()).digest())
    summaries = {}
    for name in archives:
        progress.line(f"preprocess: {name}: decode, window, crop, resize")
        archive, data = out / name / "archive", out / name / "data"
        summaries[name] = api.preprocess(
            [archive], data, modality="mammo", labels=archive / "labels.csv", size=SIZE, salt=salt, jobs=jobs
        )
    lap("preprocess")

    data, run = out / "leak" / "data", out / "leak" / "run"
    trained = api.train(data, run, model="small", init="random", epochs=16, seed=seed, progress=progress)
    lap("train")

    found = {}
    for name in archives:
        purpose = f"fastrace demo: computed phantoms, archive '{name}'"
        found[name] = api.audit(
            out / name / "data",
            out / name / "audit",
            readers=("small",),
            seed=seed,
            purpose=purpose,
            progress=progress,
        )
    lap("audits")
    page = api.report(out / "leak" / "audit")
    api.report(out / "control" / "audit")
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
