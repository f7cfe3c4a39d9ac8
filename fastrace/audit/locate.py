"""Where in frequency the signal is strongest, by a rule fixed before any archive was read.

The third octaves are read one by one. The band starts at the octave with the largest d' (the distance of the groups in standard
deviations of the score: unlike the AUC it does not saturate) and grows to both sides while the next octave has at least half
that d' and is a finding by itself. Where no third octave is a finding, whole octaves are read, and the one with the largest d' is
the band if it is a finding: peaks in a texture show in octaves only. Otherwise there is no band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RULE = (
    "third octaves are read one by one; start at the one with the largest d' and grow to both sides while the next has at "
    "least half that d' and is a finding by itself (p < .01 after correction); if the start is no finding, the octave with the "
    "largest d' is the band if it is one; otherwise there is none"
)
SHARE = 0.5


@dataclass(frozen=True)
class ScanStep:
    """One step of a scan; edges in cycles/image."""

    low: float
    high: float
    d_prime: float
    finding: bool


def found_band(scan: Sequence[ScanStep]) -> tuple[float, float] | None:
    """Apply the first half of the rule to neighbouring third octaves in ascending order."""
    d = np.array([octave.d_prime if np.isfinite(octave.d_prime) else -np.inf for octave in scan])
    if not len(d):
        return None
    first = last = int(d.argmax())
    if not (scan[first].finding and np.isfinite(d[first])):
        return None
    enough = [octave.finding and value >= SHARE * d[first] for octave, value in zip(scan, d, strict=True)]
    while first > 0 and enough[first - 1]:
        first -= 1
    while last + 1 < len(scan) and enough[last + 1]:
        last += 1
    return scan[first].low, scan[last].high


def found_octave(scan: Sequence[ScanStep]) -> tuple[float, float] | None:
    """The octave with the largest d', if it is a finding. Octaves overlap, so the band does not grow."""
    known = [step for step in scan if np.isfinite(step.d_prime)]
    best = max(known, key=lambda step: step.d_prime, default=None)
    return (best.low, best.high) if best is not None and best.finding else None


def overlap(found: tuple[float, float] | None, planted: tuple[float, float]) -> float:
    """Intersection over union of two bands on a linear axis; 0 if none was found."""
    if found is None:
        return 0.0
    shared = min(found[1], planted[1]) - max(found[0], planted[0])
    return max(shared, 0.0) / (max(found[1], planted[1]) - min(found[0], planted[0]))


def aliased_share(band: tuple[float, float], size: tuple[int, int], slope: float = 0.0) -> float:
    """Share of the power in a band that the resize can have folded into it from above, at most.

    Area averaging has the gain sinc(f), f in cycles/pixel of the result, and power at 1 - f folds back onto f. For an image
    whose power falls as 1 / f^slope, folded power over all, in the band. Tissue has a slope of about 3; noise is white, slope 0,
    which is the bound: high bands of radiographs are mostly noise.

    Parameters
    ----------
    band : (float, float)
        cycles/image.
    size : (int, int)
    slope : float
    """
    low, high = (min(max(edge / max(size), 1e-3), 0.5) for edge in band)
    f = np.linspace(low, high, 64)
    direct = np.sinc(f) ** 2 * f**-slope
    folded = np.sinc(1 - f) ** 2 * (1 - f) ** -slope
    return float((folded * f).sum() / ((direct + folded) * f).sum())
