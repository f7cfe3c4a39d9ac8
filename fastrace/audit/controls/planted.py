"""The positive control: a leak planted in the archive's own images must be found where it is.

Half of the patients, drawn from the seed and evenly from every class, get a texture in a band drawn from the seed. It has the
amplitudes that their own image has in the band, with new phases, follows the image's own local contrast, and stays in the band:

    t = B(B(x with new phases) * sqrt(G(B(x)^2))),      y = x + STRENGTH * t * rms(B(x)) / rms(t)

B keeps the band, G is a Gaussian mean. So in the band its power is STRENGTH^2 times that of the image, and outside it is zero: y
is not clipped to [0, 1], which would put power into every band. The only attribute tested on these images is whether a patient
has the texture. An audit that does not find it cannot find a leak of that size in its archive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fastrace.audit.cells import none_if_nan, p_value, ranked
from fastrace.audit.controls.material import Material
from fastrace.audit.document import Control
from fastrace.audit.engines.probe import Probe
from fastrace.audit.frequencies import largest_radius, ring_edges
from fastrace.audit.locate import RULE, ScanStep, found_band, overlap
from fastrace.audit.partition import Ints, deal_at_random
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.extract import sweep_on
from fastrace.audit.readers.rings import families, part_columns
from fastrace.audit.readers.sweep import F32
from fastrace.audit.readers.tables import Tables
from fastrace.audit.subjects import patient_means
from fastrace.console.progress import Progress
from fastrace.console.words import number
from fastrace.degrade.grammar import CLEAN
from fastrace.kernels.radii import scaled_edge, scaled_squares
from fastrace.statistics import benjamini_yekutieli, d_prime, influence

STRENGTH = 1.5
LEAST_OVERLAP = 0.5
"""The planted band counts as found if the found one shares half of their union with it."""
RINGED = ("spectrum", "tiles", "peaks")  # families of rings and octaves, in which the leak is looked for
LOCAL = 1 / 32  # of the longer side: sigma of the local power
PERMUTATIONS = 9999  # enough for a single one of 22 octaves to be a finding
MOST_PATIENTS = 1000
"""Of larger archives some patients, drawn from the seed whatever their class: a leak that is found in 220 is found in these."""


@dataclass(frozen=True)
class Planted:
    """What was planted and what was found; bands in cycles/image."""

    planted: tuple[float, float]
    found: tuple[float, float] | None
    overlap: float
    auc: float
    scan: tuple[ScanStep, ...]
    patients: int

    @property
    def ok(self) -> bool:
        """Found by the rule, in the right place."""
        return self.overlap >= LEAST_OVERLAP


def draw_band(size: tuple[int, int], seed: int) -> tuple[float, float]:
    """Low edge log-uniform from 6 cycles/image to a third of the Nyquist radius, one to one and a half octaves wide."""
    rng = np.random.default_rng((seed, 7003))
    nyquist = max(size) / 2
    least = min(6.0, nyquist / 4)  # small images have no room for an octave above 6
    low = float(np.exp(rng.uniform(np.log(least), np.log(max(nyquist / 3, 7 / 6 * least)))))
    digits = 1 if least == 6.0 else 3
    return round(low, digits), round(min(low * 2 ** float(rng.uniform(1.0, 1.5)), nyquist), digits)


def plant(
    image: F32,  # [H, W] display values
    band_cycles: tuple[float, float],
    rng: np.random.Generator,
    strength: float = STRENGTH,
) -> F32:
    """Add the texture to one image."""
    height, width = image.shape
    squares = scaled_squares(height, width)[:, : width // 2 + 1]
    low, high = (scaled_edge(edge, height, width) for edge in band_cycles)
    keep = ((squares >= low) & (squares < high)).astype(np.float32)

    def inverse(spectrum: NDArray[np.complex64]) -> F32:
        return np.asarray(scipy.fft.irfft2(spectrum, s=image.shape), dtype=np.float32)

    spectrum = scipy.fft.rfft2(image - image.mean(dtype=np.float64).astype(np.float32)) * keep
    own = inverse(spectrum)
    # White noise is a real image, so its phases keep the conjugate symmetry.
    noise = scipy.fft.rfft2(rng.standard_normal(image.shape, dtype=np.float32))
    texture = inverse(np.abs(spectrum) * noise / np.maximum(np.abs(noise), 1e-20))
    local = gaussian_filter(own**2, LOCAL * max(image.shape), mode="reflect")
    texture = inverse(scipy.fft.rfft2(texture * np.sqrt(np.maximum(local, 0))) * keep)
    share = float(np.sqrt((own**2).mean() / max(float((texture**2).mean()), 1e-30)))
    return np.asarray(image + strength * share * texture, dtype=np.float32)


def control(material: Material) -> Control:
    """The leak planted in half of the patients must be found in its place."""
    result = search_planted(material.tables, material.seed, material.progress)
    low, high = result.planted
    where = "not found" if result.found is None else f"found in {result.found[0]:g}-{result.found[1]:g}"
    of = f"{result.patients:,} of the patients" if result.patients < len(material.subjects) else "the patients"
    return Control(
        "planted",
        "Planted leak",
        "ok" if result.ok else "failed",
        f"a texture planted in half of {of} at {low:g}-{high:g} cycles/image was {where} "
        f"(overlap {number(result.overlap)}, at least {number(LEAST_OVERLAP)} required)"
        + ("" if result.ok else "; this audit would not find a leak of that size here"),
        numbers={
            "planted": result.planted,
            "found": result.found,
            "overlap": result.overlap,
            "strength": STRENGTH,
            "auc_all_octaves": none_if_nan(result.auc),
            "rule": RULE,
        },
    )


def search_planted(tables: Tables, seed: int, progress: Progress) -> Planted:
    """Plant, read the third octaves one by one, apply the rule."""
    subjects, size = tables.subjects, tables.dataset.size
    band = draw_band(size, seed)
    chosen = np.sort(np.random.default_rng((seed, 7009)).permutation(len(subjects))[:MOST_PATIENTS])
    classes = subjects.labels[chosen]
    labels = _groups(classes, seed)
    parts = _without_classes(_parts(tables, band, chosen, chosen[labels == 1], seed, progress), classes)
    partition = deal_at_random(labels, np.random.default_rng((seed, 7005)))
    edges = [*ring_edges(size)[:-1], largest_radius(size)]
    n_rings = len(edges) - 1
    kept = np.eye(n_rings, dtype=bool)
    p, found = [], []
    for j in range(n_rings):
        probe = Probe(parts[:, part_columns(kept[j])], families(kept[j], values=False), partition)
        rows = ranked(probe.observed(labels, 2), labels, partition)
        p.append(p_value(probe, labels, 2, PERMUTATIONS, seed).p)
        found.append(d_prime(rows.scores, rows.labels, rows.folds))
    adjusted = benjamini_yekutieli(np.asarray(p))
    scan = tuple(ScanStep(edges[j], edges[j + 1], found[j], bool(adjusted[j] < 0.01)) for j in range(n_rings))
    where = found_band(scan)
    everything = Probe(parts, families(np.ones(n_rings, dtype=bool), values=False), partition).observed(labels, 2)
    value, _ = influence(ranked(everything, labels, partition), 1)
    return Planted(band, where, overlap(where, band), value, scan, len(chosen))


def _without_classes(parts: NDArray[np.float64], classes: Ints) -> NDArray[np.float64]:
    """Subtract the mean of each class of the attribute: the archive's own leak in the same band would hide the planted one.

    Features are logarithms, so a factor on the power is a term added to them. Without this, a leak three times weaker than the
    audit can find made the control fail.
    """
    out = parts.copy()
    for k in np.unique(classes):
        members = classes == k
        out[members] -= out[members].mean(axis=0)
    return out


def _groups(classes: Ints, seed: int) -> Ints:
    """Half of the patients of every class."""
    rng = np.random.default_rng((seed, 7004))
    chosen = np.zeros(len(classes), dtype=np.int64)
    assigned = 0
    for k in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == k))
        chosen[members] = (assigned + np.arange(len(members))) % 2
        assigned += len(members)
    return chosen


def _parts(
    tables: Tables, band: tuple[float, float], chosen: Ints, planted: Ints, seed: int, progress: Progress
) -> NDArray[np.float64]:
    """Features of rings and octaves of some patients, [C, D], with the leak in all images of those of ``planted``."""
    subjects = tables.subjects
    # On the device of the tables, and in float32 as they hold them: rounding must not tell who has the leak.
    sweep = sweep_on(
        tables.device, tables.dataset.size, [np.ones(len(ring_edges(tables.dataset.size)) - 1, dtype=bool)]
    )
    out = tables.table(BUILT_IN, CLEAN, RINGED)[0][chosen]
    mine = np.flatnonzero(np.isin(subjects.owner, planted))
    total = np.zeros((len(planted), out.shape[1]))
    progress.begin("planted control", len(mine), "images")
    for at in tables.split(mine):
        images = tables.images(at).cpu().numpy()
        ids = subjects.cohort.ids[at].view(np.uint64)
        for n in range(len(images)):
            images[n] = plant(images[n], band, np.random.default_rng((seed, 7006, int(ids[n]))))
        owner = np.searchsorted(planted, subjects.owner[at])
        found = sweep(torch.from_numpy(images).to(tables.device))[0]
        total += patient_means(found, owner, subjects.weight[at], len(planted))
        progress.step(len(at))
    progress.end()
    out[np.searchsorted(chosen, planted)] = total
    return out.astype(np.float64)
