"""Patients, groups and files: the archive, its labels and, beside it, the truth.

Everything random comes from one seed through streams of their own: what a patient looks like, how it was stored and what
its files are called does not depend on the group, nor on the strength of the leak. So two archives that differ only in
strength differ only in the pixels of group B. Bytes are equal for equal arguments and equal versions of numpy, scipy and
the codecs on the same kind of processor.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastrace import __version__
from fastrace.errors import UsageError
from fastrace.phantom import texture
from fastrace.phantom.anatomy import Anatomy, Breast, Chest
from fastrace.phantom.conventions import CONVENTIONS, Convention
from fastrace.phantom.observer import auc, band_score, coefficients_in_band, effective_share, ideal_auc
from fastrace.phantom.spec import PhantomSpec
from fastrace.phantom.write import Shot, file_bytes

# Streams of random numbers: the first word after the seed. Adding one later changes none of the others.
_GROUPS, _CONVENTIONS, _NAMES, _PATIENT, _ANATOMY, _TEXTURE, _QUANTUM, _LEAK, _HEADER = range(9)

_VISIBLE = 0.15
"""Display value above which a breast crop by threshold sees tissue; Otsu's threshold lies at 0.2 to 0.3 here."""

_MAMMO_VIEWS = (("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO"))
_SUFFIXES = ("", "", ".dcm", ".DCM", ".ima", ".001", ".img")


@dataclass(frozen=True)
class _Patient:
    number: int
    group: str
    convention: Convention
    body: Breast | Chest
    contrast: float

    @property
    def patient_id(self) -> str:
        return f"PHANTOM-{self.number:05d}"


def truth_path(out: Path) -> Path:
    """Where the truth about the archive ``out`` lies: beside it, never inside."""
    folder = Path(out).absolute()
    return folder.with_name(folder.name + ".truth.json")


def make(out: Path, spec: PhantomSpec, *, on_image: Callable[[int], None] | None = None) -> None:
    """Write the archive ``out`` with its ``labels.csv``, and ``<out>.truth.json`` beside it.

    Parameters
    ----------
    out : pathlib.Path
        A folder that does not exist yet, or is empty.
    spec : PhantomSpec
        What to make.
    on_image : callable, optional
        Called with the number of images written so far, after each.

    Raises
    ------
    UsageError
        If ``out`` is a file or a folder that holds something, or cannot be written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; name a folder that does not exist yet")
    try:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"--out {out}: the folder is not empty; name a new one or empty it")
        out.mkdir(parents=True, exist_ok=True)
        _write_archive(out, spec, on_image)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror or error}") from error


def _rng(spec: PhantomSpec, stream: int, *where: int) -> np.random.Generator:
    return np.random.default_rng((spec.seed, stream, *where))


def _patients(spec: PhantomSpec) -> list[_Patient]:
    """Draw groups and conventions: every convention is used equally often, and alike in both groups."""
    is_b = np.zeros(spec.patients, dtype=bool)
    is_b[_rng(spec, _GROUPS).permutation(spec.patients)[: spec.patients_b]] = True
    rng = _rng(spec, _CONVENTIONS)
    convention = np.empty(spec.patients, dtype=np.int64)
    for members in (np.flatnonzero(~is_b), np.flatnonzero(is_b)):
        # A new random order for each group: with few patients no convention is preferred by both.
        rounds = [rng.permutation(len(CONVENTIONS)) for _ in range(len(members) // len(CONVENTIONS) + 1)]
        convention[rng.permutation(members)] = np.concatenate(rounds)[: len(members)]
    patients = []
    for number in range(spec.patients):
        rng = _rng(spec, _PATIENT, number)
        body = (Breast if spec.modality == "mammo" else Chest).draw(spec.size, rng)
        contrast = float(np.exp(0.15 * np.clip(rng.standard_normal(), -2, 2)))
        group = "B" if is_b[number] else "A"
        patients.append(_Patient(number + 1, group, CONVENTIONS[convention[number]], body, contrast))
    return patients


def _shots(spec: PhantomSpec, patient: _Patient) -> list[Shot]:
    rng = _rng(spec, _HEADER, patient.number)
    is_mammo = spec.modality == "mammo"
    date = np.datetime64("2015-01-01") + int(rng.integers(0, 1460))
    age, sex = int(np.clip(rng.normal(58, 11), 30, 89)), "F" if is_mammo else "FM"[int(rng.integers(2))]
    first_view = 2 * int(rng.integers(2))
    shots = []
    for image in range(spec.images_per_patient):
        laterality, view = _MAMMO_VIEWS[(first_view + image) % 4] if is_mammo else ("U", "PA")
        shots.append(
            Shot(
                modality=spec.modality,
                seed=spec.seed,
                patient=patient.number,
                instance=image + 1,
                patient_id=patient.patient_id,
                sex=sex,
                age_years=age,
                date=str(date).replace("-", ""),
                laterality=laterality,
                view=view,
                kvp=float(rng.uniform(26, 33) if is_mammo else rng.uniform(95, 125)),
                exposure_uas=int(rng.integers(40_000, 120_000) if is_mammo else rng.integers(1_000, 4_000)),
                magnification=float(rng.uniform(1.02, 1.08) if is_mammo else rng.uniform(1.08, 1.15)),
            )
        )
    return shots


def _display_image(spec: PhantomSpec, patient: _Patient, shot: Shot) -> tuple[NDArray[np.float32], Anatomy]:
    """Compute one image as it is to be seen: anatomy + masked (texture + leak) + quantum noise."""
    where = (patient.number, shot.instance)
    anatomy = patient.body.image(spec.size, shot.laterality, shot.view, _rng(spec, _ANATOMY, *where))
    field = texture.gaussian_field(texture.tissue_power(spec.size), spec.size, _rng(spec, _TEXTURE, *where))
    if patient.group == "B" and spec.strength > 0:
        power = texture.leak_power(spec.size, spec.band_cycles, spec.strength)
        field = field + texture.gaussian_field(power, spec.size, _rng(spec, _LEAK, *where))
    white = _rng(spec, _QUANTUM, *where).standard_normal(spec.size, dtype=np.float32)
    # Denser tissue lets fewer photons through; after the logarithm their relative noise is what is seen.
    noise = np.float32(texture.quantum_rms(spec.size)) * np.sqrt(np.maximum(anatomy.level, 0)) * white
    display = np.clip(anatomy.level + np.float32(patient.contrast) * anatomy.mask * field + noise, 0.0, 1.0)
    return np.where(anatomy.exposed, display, np.float32(0.0)), anatomy


def _file_names(spec: PhantomSpec) -> list[str]:
    """Names that tell nothing: folders that are no patients, suffixes that are no promise."""
    rng = _rng(spec, _NAMES)
    folders = max(1, spec.images // 40)
    return [
        f"export_{rng.integers(folders):03d}/{'IM' if rng.random() < 0.5 else 'I'}{number:06d}"
        f"{_SUFFIXES[rng.integers(len(_SUFFIXES))]}"
        for number in rng.permutation(spec.images)
    ]


def _write_archive(out: Path, spec: PhantomSpec, on_image: Callable[[int], None] | None) -> None:
    patients, names = _patients(spec), _file_names(spec)
    is_b: list[bool] = []
    scores: list[float] = []
    coefficients: list[float] = []
    heights: list[float] = []
    in_band = coefficients_in_band(spec.size, spec.band_cycles)
    for patient in patients:
        for shot in _shots(spec, patient):
            display, anatomy = _display_image(spec, patient, shot)
            words = patient.convention.store(display, anatomy.exposed)
            target = out / names[len(scores)]
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file_bytes(words, shot, patient.convention))
            heights.append(round(_visible_height(anatomy), 4))
            is_b.append(patient.group == "B")
            coefficients.append(in_band * effective_share(anatomy.mask))
            scores.append(band_score(patient.convention.display_table[words], spec.band_cycles))
            if on_image is not None:
                on_image(len(scores))
    lines = ["patient_id,group", *(f"{patient.patient_id},{patient.group}" for patient in patients)]
    (out / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    per_image = float(np.median(coefficients))
    of_patients = np.reshape(scores, (spec.patients, -1)).mean(axis=1)
    ideal_auc_patient = ideal_auc(spec.strength, per_image * spec.images_per_patient)
    truth = {
        "schema_version": 1,
        "fastrace": __version__,
        "spec": asdict(spec),
        "ideal_auc": ideal_auc_patient,
        "patients": {"A": spec.patients - spec.patients_b, "B": spec.patients_b},
        "band": {
            "low": spec.band_cycles[0],
            "high": spec.band_cycles[1],
            "unit": "cycles along the long side of the stored image, low <= r < high",
            # A crop to this share of the long side shows the band at this share of its frequency.
            "visible_height_share": {"smallest": min(heights), "largest": max(heights)},
        },
        "ideal_observer": {
            "variance_ratio": 1.0 + spec.strength**2,
            "independent_coefficients_per_image": per_image,
            "auc_image": ideal_auc(spec.strength, per_image),
            "auc_patient": ideal_auc_patient,
            "meaning": "before display; knows background spectrum, level and tissue mask",
        },
        "band_energy_observer": {
            "auc_image": auc(scores, is_b),
            "auc_patient": auc(of_patients, [patient.group == "B" for patient in patients]),
            "meaning": "after display; power in the band against power beside it, on the images of this archive",
        },
    }
    truth_path(out).write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


def _visible_height(anatomy: Anatomy) -> float:
    """Share of the image's height from the first to the last row that is visibly brighter than air."""
    rows = np.flatnonzero((np.where(anatomy.exposed, anatomy.level, 0) > _VISIBLE).any(axis=1))
    return float((rows[-1] + 1 - rows[0]) / anatomy.level.shape[0])
