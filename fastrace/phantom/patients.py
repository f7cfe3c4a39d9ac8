"""The patients of a phantom: groups, bodies, scanners and ages, each from a stream of random numbers of its own.

What a patient looks like and how it was stored depends on the group only where a confounder was requested, and never on the
strength of the leak. So two phantoms that differ only in strength differ only in what the leak changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastrace.phantom.anatomy import Breast, Chest
from fastrace.phantom.confounders import (
    AGE_MEAN,
    AGE_SD,
    DENSITY_DISPLAY,
    DENSITY_LIMIT,
    DENSITY_MEAN,
    DENSITY_SD,
    normal_shift,
    tilted_conventions,
    vendor_shares,
)
from fastrace.phantom.conventions import CONVENTIONS, Convention
from fastrace.phantom.spec import PhantomSpec
from fastrace.phantom.write import Shot

# Streams of random numbers: the first word after the seed. Adding one later changes none of the others.
GROUPS, CONVENTION, NAMES, PATIENT, ANATOMY, TEXTURE, QUANTUM, LEAK, HEADER, DENSITY, DOTS = range(11)

_MAMMO_VIEWS = (("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO"))


@dataclass(frozen=True)
class Patient:
    """One computed patient.

    ``contrast`` multiplies the texture; ``density_z`` is in standard deviations, None unless the confounder is there.
    """

    number: int
    group: str
    convention: Convention
    body: Breast | Chest
    contrast: float
    density_z: float | None = None

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020)."""
        return f"PHANTOM-{self.number:05d}"

    @property
    def density(self) -> float | None:
        """The column ``density`` of labels.csv, about 50 with SD 8."""
        return None if self.density_z is None else round(DENSITY_MEAN + DENSITY_SD * self.density_z, 2)

    @property
    def density_amount(self) -> float:
        """Display units that density adds to the feature of the anatomy."""
        return DENSITY_DISPLAY * float(np.clip(self.density_z or 0.0, -DENSITY_LIMIT, DENSITY_LIMIT))


def stream(spec: PhantomSpec, word: int, *where: int) -> np.random.Generator:
    """Return the generator of one stream, at one patient and image."""
    return np.random.default_rng((spec.seed, word, *where))


def _half_shift(spec: PhantomSpec, confounder: str, group: str) -> float:
    """Shift of this group's mean, in standard deviations."""
    shift = normal_shift(spec.confounder_auc(confounder)) / 2
    return shift if group == "B" else -shift


def _conventions(spec: PhantomSpec, is_b: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Draw each patient's convention: all equally often and alike in both groups, unless the scanner confounds."""
    rng = stream(spec, CONVENTION)
    convention = np.empty(spec.patients, dtype=np.int64)
    if any(name == "scanner" for name, _ in spec.confounders):
        for flag, shares in zip((False, True), vendor_shares(spec.confounder_auc("scanner")), strict=True):
            members = np.flatnonzero(is_b == flag)
            convention[members] = tilted_conventions(members, shares, rng)
        return convention
    for members in (np.flatnonzero(~is_b), np.flatnonzero(is_b)):
        # A new random order for each group: with few patients no convention is preferred by both.
        rounds = [rng.permutation(len(CONVENTIONS)) for _ in range(len(members) // len(CONVENTIONS) + 1)]
        convention[rng.permutation(members)] = np.concatenate(rounds)[: len(members)]
    return convention


def patients(spec: PhantomSpec) -> list[Patient]:
    """Draw all patients of a phantom, in the order of their numbers."""
    is_b = np.zeros(spec.patients, dtype=bool)
    is_b[stream(spec, GROUPS).permutation(spec.patients)[: spec.patients_b]] = True
    convention = _conventions(spec, is_b)
    has_density = any(name == "density" for name, _ in spec.confounders)
    drawn = []
    for number in range(spec.patients):
        rng = stream(spec, PATIENT, number)
        body = (Breast if spec.modality == "mammo" else Chest).draw(spec.size, rng)
        contrast = float(np.exp(0.15 * np.clip(rng.standard_normal(), -2, 2)))
        group = "B" if is_b[number] else "A"
        density_z = None
        if has_density:
            density_z = float(stream(spec, DENSITY, number).standard_normal()) + _half_shift(spec, "density", group)
        drawn.append(Patient(number + 1, group, CONVENTIONS[convention[number]], body, contrast, density_z))
    return drawn


def shots(spec: PhantomSpec, patient: Patient) -> list[Shot]:
    """Draw the header values of a patient's images."""
    rng = stream(spec, HEADER, patient.number)
    is_mammo = spec.modality == "mammo"
    date = np.datetime64("2015-01-01") + int(rng.integers(0, 1460))
    age_mean = AGE_MEAN + AGE_SD * _half_shift(spec, "age", patient.group)
    age, sex = int(np.clip(rng.normal(age_mean, AGE_SD), 30, 89)), "F" if is_mammo else "FM"[int(rng.integers(2))]
    first_view = 2 * int(rng.integers(2))
    drawn = []
    for image in range(spec.images_per_patient):
        laterality, view = _MAMMO_VIEWS[(first_view + image) % 4] if is_mammo else ("U", "PA")
        drawn.append(
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
    return drawn
