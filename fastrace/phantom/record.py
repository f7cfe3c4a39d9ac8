"""The truth about a phantom, gathered while its images are made: what was planted, where, and how well it can be read.

It is kept outside the archive and is to be read when the audit has ended.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fastrace import __version__
from fastrace.phantom import confounders, detector, leaks, observer
from fastrace.phantom.anatomy import Anatomy
from fastrace.phantom.detector import auc
from fastrace.phantom.patients import Patient, patients, shots
from fastrace.phantom.place import band_of_energy, region_of, visible_height
from fastrace.phantom.render import Rendered, anatomy_of, render
from fastrace.phantom.spec import PhantomSpec
from fastrace.phantom.write import Shot

ENERGY_SHARE = 0.95
"""Share of the energy of an ``intensity`` difference that its band holds."""

_CELLS = 16
"""Steps of the weight of a patch in which its ideal observer counts coefficients."""

F64 = NDArray[np.float64]

_STRENGTH_MEANS = {
    "texture": "rms of the leak / rms of everything else, inside the band",
    "phase": "rms of the field / rms of everything else, inside the band, in both groups; only phases differ",
    "patch": "rms of the leak / rms of everything else, inside the band, in the middle of the region",
    "intensity": "standard deviations of the feature between patients",
}
_IDEAL = {
    "texture": ("closed form", "background spectrum, level and tissue mask"),
    "phase": (
        "quadrature, sum taken as normal; an upper bound",
        "background spectrum, level, tissue mask and where the dots are",
    ),
    "patch": ("Monte Carlo, locally stationary", "background spectrum, level, tissue mask and region"),
    "intensity": ("closed form", "the feature itself"),
}
_DETECTOR = {
    "texture": ("band energy", "power in the band against power beside it"),
    "phase": ("band kurtosis", "kurtosis of the whitened band in the tissue"),
    "patch": (
        "local band energy",
        "power of the band in the region against the rest of the tissue, from the known region",
    ),
    "intensity": (
        "feature contrast",
        "display value of the feature against the rest of the body, from their known places",
    ),
}


class Record:
    """Gathers the truth image by image.

    Parameters
    ----------
    spec : PhantomSpec
        What is made.
    """

    def __init__(self, spec: PhantomSpec) -> None:
        self.spec = spec
        self._patients: dict[int, Patient] = {}
        self._ages: dict[int, int] = {}
        self._is_b: list[bool] = []
        self._scores: list[float] = []
        self._coefficients: list[float] = []
        self._heights: list[float] = []
        self._cells: list[F64] = []
        self._energy: F64 | None = None
        self._in_band = observer.coefficients_in_band(spec.size, spec.band_cycles)

    def add(self, image: Rendered) -> None:
        """Take one image into account, with its detector's score."""
        self._add_anatomy(image.patient, image.shot, image.anatomy)
        self._scores.append(self._score(image))

    def _add_anatomy(self, patient: Patient, shot: Shot, anatomy: Anatomy) -> None:
        self._patients[patient.number] = patient
        self._ages[patient.number] = shot.age_years
        self._is_b.append(patient.group == "B")
        self._heights.append(round(visible_height(anatomy), 4))
        if self.spec.kind == "intensity":
            spectrum = fft.rfft2(np.where(anatomy.exposed, anatomy.feature, 0))
            energy = (spectrum.real**2 + spectrum.imag**2).astype(np.float64)
            self._energy = energy if self._energy is None else self._energy + energy
            return
        self._coefficients.append(self._in_band * observer.effective_share(anatomy.mask))
        if self.spec.patch is not None:
            # Coefficients per cell: those of the tissue, shared out by mask^2; of one weight, they are those of texture.
            weight = leaks.patch_weight(self.spec.size, self.spec.patch, shot.laterality == "R")
            square = anatomy.mask.astype(np.float64) ** 2
            share, _ = np.histogram(weight, bins=_CELLS, range=(0, 1), weights=np.where(weight > 0, square, 0))
            self._cells.append(self._coefficients[-1] * share / square.sum())

    def _score(self, image: Rendered) -> float:
        spec, shown, anatomy = self.spec, image.shown, image.anatomy
        if spec.kind == "phase":
            return detector.kurtosis_score(shown, spec.band_cycles)
        if spec.patch is not None:
            patch = leaks.patch_weight(spec.size, spec.patch, image.shot.laterality == "R")
            return detector.patch_score(shown, spec.band_cycles, patch)
        if spec.kind == "intensity":
            sign = 1.0 if leaks.intensity_amount(spec.modality, 1.0) > 0 else -1.0
            return sign * detector.feature_score(shown, anatomy.feature, anatomy.mask)
        return detector.band_score(shown, spec.band_cycles)

    def truth(self) -> dict[str, Any]:
        """Return the truth as plain JSON types, when all images were added."""
        spec = self.spec
        ideal = self._ideal()
        request: dict[str, Any] = asdict(spec)
        if spec.kind == "intensity":
            request["band_cycles"] = None
        truth: dict[str, Any] = {
            "schema_version": 2,
            "fastrace": __version__,
            "spec": request,
            "ideal_auc": ideal["auc_patient"],
            "patients": {"A": spec.patients - spec.patients_b, "B": spec.patients_b},
            "strength": {"value": spec.strength, "means": _STRENGTH_MEANS[spec.kind]},
            "band": self._band(),
            "region": self._region(),
            "ideal_observer": ideal,
            "observer": self._observer(),
            "confounders": self._confounders(),
        }
        if spec.kind == "phase":
            truth["dots_per_image"] = math.prod(leaks.dot_grid(spec.size))
        if spec.kind == "intensity":
            truth["difference"] = {
                "feature": "gland" if spec.modality == "mammo" else "lungs",
                "display_units": leaks.intensity_amount(spec.modality, spec.strength),
            }
        return truth

    def _band(self) -> dict[str, Any]:
        low, high = self.spec.band_cycles
        chosen = "as requested"
        if self._energy is not None:
            low, high = 0.0, band_of_energy(self._energy, self.spec.size, ENERGY_SHARE)
            chosen = f"smallest radius that holds {ENERGY_SHARE:.0%} of the energy of the mean difference image"
        return {
            "low": low,
            "high": high,
            "unit": "cycles along the long side of the stored image, low <= r < high",
            "chosen": chosen,
            # A crop to this share of the long side shows the band at this share of its frequency.
            "visible_height_share": {"smallest": min(self._heights), "largest": max(self._heights)},
        }

    def _region(self) -> dict[str, Any] | None:
        return None if self.spec.patch is None else region_of(self.spec.size, self.spec.patch, self.spec.modality)

    def _ideal(self) -> dict[str, Any]:
        spec = self.spec
        method, known = _IDEAL[spec.kind]
        ideal: dict[str, Any] = {}
        if spec.kind == "intensity":
            one = of_patient = observer.ideal_auc_intensity(spec.strength)
        else:
            per_image = float(np.median(self._coefficients))
            ideal["independent_coefficients_per_image"] = per_image
            count = spec.images_per_patient
            if spec.kind == "phase":
                one, of_patient = (observer.ideal_auc_phase(spec.strength, per_image * n) for n in (1, count))
            elif spec.kind == "patch":
                cells = np.mean(self._cells, axis=0)
                weight = (np.arange(_CELLS) + 0.5) / _CELLS
                one, of_patient = (observer.ideal_auc_patch(spec.strength, cells * n, weight) for n in (1, count))
                ideal["independent_coefficients_per_image"] = float(cells.sum())
            else:
                one, of_patient = (observer.ideal_auc(spec.strength, per_image * n) for n in (1, count))
            if spec.kind != "phase":
                ideal["variance_ratio"] = 1.0 + spec.strength**2
        return {
            "auc_image": one,
            "auc_patient": of_patient,
            "method": method,
            "meaning": f"before display; known: {known}",
            **ideal,
        }

    def _observer(self) -> dict[str, Any]:
        name, meaning = _DETECTOR[self.spec.kind]
        of_image = of_patient = None
        if self._scores:
            groups = [patient.group == "B" for patient in self._patients.values()]
            of_image = auc(self._scores, self._is_b)
            of_patient = auc(np.reshape(self._scores, (self.spec.patients, -1)).mean(axis=1), groups)
        return {
            "name": name,
            "auc_image": of_image,
            "auc_patient": of_patient,
            "meaning": f"after display; {meaning}, on the images of this archive",
        }

    def _confounders(self) -> list[dict[str, Any]]:
        groups = [patient.group == "B" for patient in self._patients.values()]
        shares = confounders.vendor_shares(self.spec.confounder_auc("scanner"))
        # Vendors are numbered in the order of their likelihood ratio.
        values: dict[str, tuple[list[float], str, dict[str, Any]]] = {
            "density": (
                [patient.density_z or 0.0 for patient in self._patients.values()],
                "labels.csv, column density",
                {"display_units_per_sd": confounders.DENSITY_DISPLAY},
            ),
            "age": (
                list(map(float, self._ages.values())),
                "PatientAge (0010,1010)",
                {"years_per_sd": confounders.AGE_SD},
            ),
            "scanner": (
                [float(patient.convention.vendor.split()[-1]) for patient in self._patients.values()],
                "Manufacturer (0008,0070)",
                {"vendor_shares": {group: part.tolist() for group, part in zip("AB", shares, strict=True)}},
            ),
        }
        found = []
        for name, strength in self.spec.confounders:
            scores, where, more = values[name]
            if name != "scanner":
                more = {"shift_sd": confounders.normal_shift(strength), **more}
            found.append({"name": name, "auc": strength, "auc_in_archive": auc(scores, groups), "where": where, **more})
        return found


def truth(spec: PhantomSpec, *, observe: bool = True) -> dict[str, Any]:
    """Return the truth about a phantom without making its files.

    Parameters
    ----------
    spec : PhantomSpec
        What would be made.
    observe : bool
        Whether the detector reads the images, which have to be computed for it; if not, its AUCs are None and only
        bodies are computed.
    """
    record = Record(spec)
    if observe:
        for image in render(spec):
            record.add(image)
    else:
        for patient in patients(spec):
            for shot in shots(spec, patient):
                record._add_anatomy(patient, shot, anatomy_of(spec, patient, shot))
    return record.truth()
