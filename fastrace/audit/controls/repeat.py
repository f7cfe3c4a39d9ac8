"""The primary question again, with other folds and permutations: how much does the answer depend on them?"""

from __future__ import annotations

from fastrace.audit.cells import score
from fastrace.audit.controls.material import Material
from fastrace.audit.document import Control, Named
from fastrace.audit.engines.probe import Probe


def control(material: Material) -> Control:
    """The built-in features on unchanged images with the next seed."""
    seed = material.seed + 1
    probe = Probe(*material.clean, material.subjects.partition(seed))
    _, summary = score(probe, material.subjects, seed=seed, permutations=material.permutations)
    return Control(
        "repeat",
        "Repeated with another seed",
        "for comparison",
        f"the built-in features in other folds: {summary.estimate}, p {summary.p:.2g} (not corrected)"
        if summary.p
        else "not defined",
        (Named("built-in, other folds", summary.estimate, summary.p),),
    )
