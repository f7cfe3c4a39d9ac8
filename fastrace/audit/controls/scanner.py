"""Can the site, the scanner or the view be read from the same features?"""

from __future__ import annotations

import msgspec
import numpy as np

from fastrace.audit.cells import score
from fastrace.audit.controls.material import Material
from fastrace.audit.document import Control, Named
from fastrace.audit.engines.probe import Probe
from fastrace.audit.subjects import Subjects
from fastrace.statistics import MIN_CELL

SCANNER = ("site", "manufacturer", "model", "view")
MOST_CLASSES = 5
MOST_PERMUTATIONS = 999


def control(material: Material) -> Control:
    """An AUC for each of `SCANNER` that has two values of at least 11 patients."""
    subjects = material.subjects
    features, group = material.reduced
    estimates = []
    for name in SCANNER:
        if name == subjects.cohort.target or name not in subjects.cohort.frame:
            continue
        other = scanner_subjects(subjects, name)
        if other is None:
            continue
        rows = np.searchsorted(subjects.keys, other.keys)
        probe = Probe(features[rows], group, other.partition(material.seed))
        permutations = min(material.permutations, MOST_PERMUTATIONS)
        _, summary = score(probe, other, seed=material.seed, permutations=permutations)
        estimate = summary.estimate
        if 0 < len(subjects) - len(other) < MIN_CELL:  # the patients left out could be computed by subtraction
            estimate = msgspec.structs.replace(estimate, n_patients=None, n_positive=None, n_images=None)
        estimates.append(Named(name, estimate, summary.p))
    named = [f"{one.name} {one.estimate}" for one in estimates]
    return Control(
        "site",
        "Site and scanner read from images",
        "for comparison" if estimates else "not run",
        f"from the same features: {', '.join(named)}" if named else "no site, scanner or view differs between patients",
        tuple(estimates),
    )


def scanner_subjects(subjects: Subjects, name: str) -> Subjects | None:
    """Patients whose images all have the same scanner (site, view), with it as the class; patients with two are left out.

    None where there are not two values of at least 11 patients.
    """
    text = subjects.cohort.frame[name].astype("string").fillna("")
    grouped = text.groupby(subjects.owner)
    mode = grouped.first().where(grouped.nunique() == 1, "")
    sizes = mode[mode != ""].value_counts()
    classes = [str(value) for value in sizes.index[:MOST_CLASSES] if sizes[value] >= MIN_CELL]
    if len(classes) < 2:
        return None
    code = {value: k for k, value in enumerate(sorted(classes))}
    labels = mode.map(code).to_numpy(dtype=np.float64, na_value=np.nan)
    keep = np.flatnonzero(np.isfinite(labels))
    image = np.isin(subjects.owner, keep)
    place = np.full(len(subjects), -1)
    place[keep] = np.arange(len(keep))
    owner = place[subjects.owner[image]]
    cohort = subjects.cohort.take(image)
    cohort = type(cohort)(
        name, tuple(sorted(classes)), cohort.rows, labels[keep][owner].astype(np.int64), cohort.frame, {}, cohort.part
    )
    return Subjects(cohort, subjects.keys[keep], labels[keep].astype(np.int64), owner, subjects.weight[image])
