"""Images of a phantom in memory, as a correct reader would show them; the archive writes the same ones as DICOM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastrace.modality import MODALITIES, get_modality
from fastrace.phantom import leaks, texture
from fastrace.phantom import patients as who
from fastrace.phantom.anatomy import Anatomy
from fastrace.phantom.patients import Patient, stream
from fastrace.phantom.spec import PhantomSpec
from fastrace.phantom.write import Shot

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Rendered:
    """One image and where it comes from.

    Attributes
    ----------
    words : numpy.ndarray [H, W] uint16
        Stored words in the patient's convention.
    anatomy : fastrace.phantom.anatomy.Anatomy
        The body without texture, leak and noise.
    """

    patient: Patient
    shot: Shot
    anatomy: Anatomy
    words: NDArray[np.uint16]

    @property
    def shown(self) -> F32:  # [H, W], 0 .. 1
        """What a correct reader shows: the stored words through the convention's display."""
        return self.patient.convention.display_table[self.words]


@dataclass(frozen=True)
class PhantomImages:
    """All images of a phantom, in the order of patient and image.

    Attributes
    ----------
    images : numpy.ndarray [N, H, W] float32
        Display values 0 to 1, rounded as stored; 4 * N * H * W bytes.
    groups : numpy.ndarray [N] str
        "A" or "B".
    patients : numpy.ndarray [N] str
        Patient ID.
    ages_years : numpy.ndarray [N] int64
        As in Patient's Age.
    densities : numpy.ndarray [N] float64 or None
        The column ``density`` of labels.csv; None without that confounder.
    vendors : numpy.ndarray [N] str
        Manufacturer.
    lateralities, views : numpy.ndarray [N] str
        "L", "R" (chest wall at the left, at the right) or "U"; "CC", "MLO" or "PA".
    """

    images: F32
    groups: NDArray[np.str_]
    patients: NDArray[np.str_]
    ages_years: NDArray[np.int64]
    densities: NDArray[np.float64] | None
    vendors: NDArray[np.str_]
    lateralities: NDArray[np.str_]
    views: NDArray[np.str_]


def anatomy_of(spec: PhantomSpec, patient: Patient, shot: Shot) -> Anatomy:
    """Compute the body of one image, without texture, leak, density and noise."""
    rng = stream(spec, who.ANATOMY, patient.number, shot.instance)
    return patient.body.image(spec.size, shot.laterality, shot.view, rng)


def _leak_field(spec: PhantomSpec, patient: Patient, shot: Shot) -> F32 | None:
    """What is added to the texture of this image, or None."""
    where = (patient.number, shot.instance)
    is_b = patient.group == "B"
    if spec.strength == 0 or spec.kind == "intensity" or not (is_b or spec.kind == "phase"):
        return None
    power = texture.leak_power(spec.size, spec.band_cycles, spec.strength)
    rng = stream(spec, who.LEAK, *where)
    if spec.kind == "phase":
        return leaks.phase_field(power, spec.size, rng, stream(spec, who.DOTS, *where) if is_b else None)
    field = texture.gaussian_field(power, spec.size, rng)
    if spec.patch is not None:
        field = field * leaks.patch_weight(spec.size, spec.patch, shot.laterality == "R")
    return field


def display_image(spec: PhantomSpec, patient: Patient, shot: Shot) -> tuple[F32, Anatomy]:
    """Compute one image as it is to be seen: anatomy + masked (texture + leak) + quantum noise."""
    where = (patient.number, shot.instance)
    anatomy = anatomy_of(spec, patient, shot)
    field = texture.gaussian_field(texture.tissue_power(spec.size), spec.size, stream(spec, who.TEXTURE, *where))
    leak = _leak_field(spec, patient, shot)
    if leak is not None:
        field = field + leak
    white = stream(spec, who.QUANTUM, *where).standard_normal(spec.size, dtype=np.float32)
    # Denser tissue lets fewer photons through; after the logarithm their relative noise is what is seen. The leak and
    # density are left out of it: noise that followed them would be a second leak, in all high bands.
    noise = np.float32(texture.quantum_rms(spec.size)) * np.sqrt(np.maximum(anatomy.level, 0)) * white
    level = anatomy.level
    amount = patient.density_amount
    if spec.kind == "intensity" and patient.group == "B":
        amount += leaks.intensity_amount(spec.modality, spec.strength)
    if amount != 0:
        level = level + np.float32(amount) * anatomy.feature
    display = np.clip(level + np.float32(patient.contrast) * anatomy.mask * field + noise, 0.0, 1.0)
    return np.where(anatomy.exposed, display, np.float32(0.0)), anatomy


def render(spec: PhantomSpec) -> Iterator[Rendered]:
    """Compute the images of a phantom one by one, in the order of patient and image."""
    for patient in who.patients(spec):
        for shot in who.shots(spec, patient):
            display, anatomy = display_image(spec, patient, shot)
            yield Rendered(patient, shot, anatomy, patient.convention.store(display, anatomy.exposed))


def images(spec: PhantomSpec, *, on_image: Callable[[Rendered], None] | None = None) -> PhantomImages:
    """Compute all images of a phantom without a file.

    Parameters
    ----------
    spec : PhantomSpec
        What to make.
    on_image : callable, optional
        Called with each image as it is made, for example `fastrace.phantom.Record.add`.
    """
    shown = np.empty((spec.images, *spec.size), dtype=np.float32)
    made: list[tuple[Patient, Shot]] = []
    for rendered in render(spec):
        shown[len(made)] = rendered.shown
        made.append((rendered.patient, rendered.shot))
        if on_image is not None:
            on_image(rendered)
    densities = [patient.density for patient, _ in made if patient.density is not None]
    return PhantomImages(
        images=shown,
        groups=np.array([patient.group for patient, _ in made]),
        patients=np.array([patient.patient_id for patient, _ in made]),
        ages_years=np.array([shot.age_years for _, shot in made]),
        densities=np.array(densities) if densities else None,
        vendors=np.array([patient.convention.vendor for patient, _ in made]),
        lateralities=np.array([shot.laterality for _, shot in made]),
        views=np.array([shot.view for _, shot in made]),
    )


def stand_in(modality: str) -> Literal["mammo", "cxr"]:
    """The phantom of a modality; for an unknown name, that of ``any``."""
    return get_modality(modality if modality in MODALITIES else "any").phantom


def sample(modality: str, size: tuple[int, int], seed: int = 0) -> F32:  # [H, W], 0 .. 1
    """Compute one image without any leak, to show what a filter does.

    Parameters
    ----------
    modality : str
        Name of a modality: its phantom is drawn (see `stand_in`), a breast with the chest wall at the left or a chest.
    size : (int, int)
        Rows and columns, each at least 64. A breast wider than high is shown on a square beside air.
    seed : int
        Non-negative; another seed, another patient.

    Raises
    ------
    UsageError
        If ``size`` or ``seed`` is out of range.
    """
    height, width = size
    known = stand_in(modality)
    drawn = (height, min(width, height)) if known == "mammo" else size
    spec = PhantomSpec(
        known, patients=2, images_per_patient=1, size=drawn, band_cycles=(1.0, 8.0), strength=0, seed=seed
    )
    patient = who.patients(spec)[0]
    shown, _ = display_image(spec, patient, who.shots(spec, patient)[0])
    if drawn[1] < width:
        shown = np.pad(shown, ((0, 0), (0, width - drawn[1])))
    return np.asarray(shown, dtype=np.float32)
