"""What else differs between the groups on request: density, age, scanner. Strength is the AUC each reaches alone.

``density``
    A standard normal per patient, +-d/2 apart between the groups, d = sqrt(2) * Phi^-1(AUC), so that AUC is exact in the
    population (equal-variance normal shift). The column ``density`` of labels.csv is 50 + 8 * z; the image's gland is
    `DENSITY_DISPLAY` * z brighter (mammograms) or its lungs hazier (chest radiographs). Quantum noise does not change.
``age``
    Years, normal with SD `AGE_SD`, shifted by +-d/2 SD; exact before it is rounded to whole years and held to 30 .. 89.
    Patient's Age (0010,1010) shows it, the image does not.
``scanner``
    Vendors 1, 2, 3 have probabilities e^(t v) / sum in group B and e^(-t v) / sum in group A, v = -1, 0, 1, with t such that
    the likelihood ratio of the vendor has this AUC, ties counted half. Patients get vendors by quota, so that an archive
    comes as near to it as whole patients allow; within a vendor all conventions are used alike. Images differ by what
    conventions do to them: rounding, and no VOI window in some of vendors 2 and 3.

Without any confounder nothing here is drawn and the archive's bytes are those of an archive without this module.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from fastrace.phantom.conventions import CONVENTIONS

AGE_MEAN, AGE_SD = 58.0, 11.0
DENSITY_MEAN, DENSITY_SD = 50.0, 8.0
DENSITY_DISPLAY = 0.03
"""Display units of gland or lung per standard deviation of density: 0.65 of the gland's own SD between patients."""
DENSITY_LIMIT = 3.0
"""Standard deviations beyond which the image, not the column, stays as it is: beyond it tissue would clip at white."""

F64 = NDArray[np.float64]


def normal_shift(auc: float) -> float:
    """Distance of two normal distributions of SD 1 with this AUC: sqrt(2) * Phi^-1(AUC)."""
    return float(math.sqrt(2) * special.ndtri(auc))


def _shares(tilt: float) -> F64:  # [3]
    weight = np.exp(tilt * np.array([-1.0, 0.0, 1.0]))
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def _auc_of_shares(shares_a: F64, shares_b: F64) -> float:
    below = np.concatenate([[0.0], np.cumsum(shares_a)[:-1]])
    return float((shares_b * (below + 0.5 * shares_a)).sum())


def vendor_shares(auc: float) -> tuple[F64, F64]:
    """Probabilities of vendors 1, 2 and 3 in group A and in group B, for the AUC of the vendor alone."""
    # At t = 40 the vendors are disjoint to the last bit; an AUC below 0.5 cannot be requested.
    tilt = 0.0
    if auc > 0.5:
        tilt = float(optimize.brentq(lambda t: _auc_of_shares(_shares(-t), _shares(t)) - auc, 0.0, 40.0, xtol=1e-12))
    return _shares(-tilt), _shares(tilt)


def tilted_conventions(
    members: NDArray[np.int64],  # [n] patients of one group
    shares: F64,  # [3]
    rng: np.random.Generator,
) -> NDArray[np.int64]:  # [n] index into CONVENTIONS
    """Draw conventions for one group: vendors by quota, in random order, conventions of a vendor alike."""
    vendors = sorted({convention.vendor for convention in CONVENTIONS})
    exact = shares * len(members)
    counts = np.floor(exact).astype(np.int64)
    for vendor in np.argsort(counts - exact, kind="stable")[: len(members) - int(counts.sum())]:
        counts[vendor] += 1
    drawn: list[NDArray[np.int64]] = []
    for vendor, count in zip(vendors, counts, strict=True):
        own = np.array([index for index, row in enumerate(CONVENTIONS) if row.vendor == vendor])
        rounds = [rng.permutation(own) for _ in range(int(count) // len(own) + 1)]
        drawn.append(np.concatenate(rounds)[:count])
    return rng.permutation(np.concatenate(drawn))
