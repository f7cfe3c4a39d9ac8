"""Does it go with the group which images and patients have a vector? Then an embedding may read that, and not the images.

A patient's vector is the mean over the images that have one. Where the second view lacks its vector in 10 % of one group and 40 %
of the other, the means are of other views: 400 patients whose views lie 3 standard deviations apart had p < .01 in 60 of 60
simulated archives without a signal. Patients who have none are left out: where they are those with low values in one group alone,
the others differ (p < .01 in 10 of 100, 5 % missing of 1,000).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fastrace.audit.cells import score
from fastrace.audit.controls.material import Material
from fastrace.audit.covariates.basis import Covariate, columns
from fastrace.audit.covariates.table import covariate
from fastrace.audit.document import Control, Named
from fastrace.audit.engines.probe import Probe
from fastrace.audit.readers.embeddings import Embedding

ID, TITLE = "coverage", "Which images have a vector"
DIFFERS_BELOW = 0.01
PERMUTATIONS = 999
SEED = 7102  # of the patients from whom kernels are approximated


def control(material: Material) -> Control | None:
    """How well the group is told by which images have a vector, for each embedding; None without embeddings."""
    if not material.embeddings:
        return None
    estimates = []
    for one in material.embeddings:
        if table := shares(one):
            kernel = columns(table, np.random.default_rng((material.seed, SEED)))
            probe = Probe(*kernel, material.partition, scaled=False)
            _, summary = score(probe, material.subjects, seed=material.seed, permutations=PERMUTATIONS)
            estimates.append(Named(one.name, summary.estimate.hidden() if one.few else summary.estimate, summary.p))
    if not estimates:
        return Control(ID, TITLE, "ok", "every image of every patient has one")
    names = differing(estimates)
    told = ", ".join(one.name if one.estimate.suppressed else f"{one.name} AUC {one.estimate}" for one in estimates)
    sentence = f"some have none; which ones tells the group, without any vector, at: {told}"
    if not names:
        return Control(ID, TITLE, "ok", sentence + "; not shown to differ between the groups", tuple(estimates))
    return Control(
        ID,
        TITLE,
        "for comparison",
        f"{sentence}; it differs between the groups, so {', '.join(names)} gives no answer: what is read may be which vectors "
        "there are; compute the missing ones",
        tuple(estimates),
    )


def differing(estimates: tuple[Named, ...] | list[Named]) -> list[str]:
    """Readers whose coverage goes with the group."""
    return [one.name for one in estimates if one.p is not None and one.p < DIFFERS_BELOW]


def shares(embedding: Embedding) -> list[Covariate]:
    """Of each patient the share of images that have a vector, and the share without those of each view that have none.

    Only what differs between patients. Which views a patient has does not count: that is part of the acquisition.
    """
    covered = pd.Series(embedding.covered, dtype=np.float64)
    view = embedding.everyone.cohort.frame["view"].astype("string").fillna("")
    names = sorted(set(view)) if view.nunique() > 1 else []
    columns = [covered, *(covered.where((view == name).to_numpy(), 1.0) for name in names)]
    return [covariate("images with a vector", one, embedding.everyone) for one in columns if one.nunique() > 1]
