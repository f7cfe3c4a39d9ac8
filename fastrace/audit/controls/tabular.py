"""What a table reaches without any image: acquisition alone, covariates alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from fastrace.audit.cells import score
from fastrace.audit.controls.material import Material
from fastrace.audit.correction import detectable_of
from fastrace.audit.covariates.basis import columns
from fastrace.audit.covariates.sets import ACQUISITION, Role
from fastrace.audit.covariates.table import COUNTED
from fastrace.audit.covariates.table import covariates as covariates_of
from fastrace.audit.document import Control, Named
from fastrace.audit.engines.probe import Probe
from fastrace.console.words import number
from fastrace.statistics import MIN_CELL

FINDING = 0.01
SEED = 7101  # of the patients from whom kernels are approximated
LEAST_PERMUTATIONS = 999
"""Of `--permutations 99` the smallest p is .01, which is not below it."""


def acquisition(material: Material) -> Control:
    """The acquisition alone, without the image."""
    found = _baseline(
        "acquisition", "Acquisition alone", [one for one in material.roles if one.set == ACQUISITION], material
    )
    if not any(one.name in COUNTED and one.p is not None and one.p < FINDING for one in found.estimates):
        return found
    return msgspec.structs.replace(
        found,
        sentence=found.sentence
        + ". The groups differ in how many images a patient has: means of more images vary less, which "
        "a reader may see where the images themselves are alike",
    )


def covariates(material: Material) -> Control:
    """Body and clinical columns, and those of sets that the user named, without the image."""
    return _baseline(
        "covariates", "Covariates alone", [one for one in material.roles if one.set != ACQUISITION], material
    )


def _baseline(id: str, title: str, roles: list[Role], material: Material) -> Control:
    material.progress.line(f"control: {title.lower()}")
    if not roles:
        return Control(id, title, "not run", "no such column varies in this dataset")
    used, apart = [one for one in roles if not one.apart], [one for one in roles if one.apart]
    kept = "; ".join(f"{one.name} ({one.apart})" for one in apart)
    if not used:
        return Control(id, title, "for comparison", f"kept apart: {kept}", tuple(alone(apart, material)))
    together, least = reached([one.name for one in used], "all together", material)
    detectable = "" if least is None else f" (would have been found with 80 % power from AUC {number(least)} on)"
    found = together.p is not None and together.p < FINDING
    what = "discriminates" if found else f"not shown to discriminate{detectable}"
    sets = dict.fromkeys(one.set for one in used)
    listed = "; ".join(
        ("" if len(sets) == 1 else f"{name}: ")
        + ", ".join(one.name + _known(one, len(material.subjects)) for one in used if one.set == name)
        for name in sets
    )
    return Control(
        id,
        title,
        "for comparison",
        f"AUC {together.estimate} without any image: {what} between the groups; from {listed}"
        + (f". Kept apart: {kept}" if apart else ""),
        (together, *(alone(roles, material) if len(roles) > 1 else ())),
    )


def _known(role: Role, patients: int) -> str:
    """For how many patients a column is known, where not for all."""
    if role.known == patients:
        return ""
    if min(role.known, patients - role.known) < MIN_CELL:
        return " (not known for all patients)"
    return f" (known for {role.known:,} of {patients:,} patients)"


def alone(roles: Sequence[Role], material: Material) -> list[Named]:
    """Which AUC each column reaches by itself."""
    return [reached([one.name], one.name + (" (kept apart)" if one.apart else ""), material)[0] for one in roles]


def reached(names: Sequence[str], label: str, material: Material) -> tuple[Named, float | None]:
    """Which AUC some columns reach together without an image; and which would have been found."""
    table = columns(covariates_of(material.subjects, names), np.random.default_rng((material.seed, SEED)))
    probe = Probe(*table, material.partition, scaled=False)
    permutations = max(LEAST_PERMUTATIONS, material.permutations)
    _, summary = score(probe, material.subjects, seed=material.seed, permutations=permutations)
    least = detectable_of(summary.estimate, summary.null_deviation, FINDING)
    return Named(label, summary.estimate, summary.p), least
