"""The experiments of an audit, as data. The numbering is the study's where it has one; C1s and C1o are ours.

The endpoint of all is the patient-level macro one-vs-rest AUC of the audit's attribute, over all patients. Each states what
is done to the images that a probe learns from, what to those it is tested on, and what others found: the study's text
(arXiv:2107.10356) and its released code, with where the number comes from. Those were trained networks on hundreds of
thousands of chest radiographs of other hospitals, most with other classes than yours; they are shown for comparison,
not as a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from fastrace.audit.frequencies import OCTAVE, STUDY_EDGES, largest_radius, ring_edges
from fastrace.degrade.grammar import CLEAN, Degradation, shortest
from fastrace.degrade.parser import parse
from fastrace.modality import Published, get_modality

BAND_EDGES = tuple(edge for edge in STUDY_EDGES if 10 <= edge <= 150)
"""The study's band-pass and notch grid: every pair of these."""
SIDES = (4, 8, 16, 32, 64, 128, 160, 224, 256, 320, 512)
"""The resolution ladder, pixels on the longer side."""
NOISE_SIGMAS = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Experiment:
    """One row of the protocol; with each feature set that answers it, it is a cell.

    Attributes
    ----------
    id : str
        ``C1a``; with the degradation it names the cell.
    title : str
    question : str
        ``Q1`` ...
    train, test : Degradation
        Done to the images the probe learns from, and to those it is tested on. Equal: is the signal there? Different: does
        a probe of other images still read it?
    family : "primary" | "exploratory" | "reference"
        Which correction for many tests a finding needs: Holm, or Benjamini-Yekutieli. A reference is no test.
    x_cycles : tuple of float
        The edges, cycles/image: one for a cut-off, two for a band.
    x_pixels : int or None
        Of the resolution ladder.
    x_sigma : float or None
        Of the noise.
    curve : bool
        A point of the curve of all experiments of its id, which gets a simultaneous band.
    networks : bool
        Run with networks too: an image through a network costs as much as all radial filters of the built-in features.
    parts : tuple of str
        Feature families used; empty: all.
    paper, released_code : Published or None
    """

    id: str
    title: str
    question: str
    train: Degradation = CLEAN
    test: Degradation = CLEAN
    family: Literal["primary", "exploratory", "reference"] = "exploratory"
    x_cycles: tuple[float, ...] = ()
    x_pixels: int | None = None
    x_sigma: float | None = None
    curve: bool = False
    networks: bool = False
    parts: tuple[str, ...] = ()
    paper: Published | None = field(default=None, compare=False)
    released_code: Published | None = field(default=None, compare=False)

    @property
    def mode(self) -> Literal["train+test", "test"]:
        """``train+test`` or ``test``."""
        return "train+test" if self.train == self.test else "test"

    @property
    def x(self) -> float | None:
        """Place on the axis of its curve: the cut-off, pixels or sigma."""
        if self.x_pixels is not None:
            return float(self.x_pixels)
        return self.x_cycles[0] if len(self.x_cycles) == 1 else self.x_sigma

    @property
    def name(self) -> str:
        """``C1a/lowpass:10``."""
        mode = "" if self.mode == "train+test" else " (test only)"
        return f"{self.id}/{self.test}{mode}"


def _both(id: str, title: str, text: str, edges: tuple[float, ...] = (), **facts: object) -> Experiment:
    degradation = parse(text)
    return Experiment(id, title, "Q2", degradation, degradation, x_cycles=edges, **facts)  # type: ignore[arg-type]


def experiments(modality: str, size: tuple[int, int]) -> tuple[Experiment, ...]:
    """All experiments for images of one size, in the order of the report.

    Cut-offs beyond the largest radius, and resolutions beyond the images', change nothing or leave nothing: left out.

    Parameters
    ----------
    modality : str
        Decides which published numbers are shown for comparison.
    size : (int, int)

    Raises
    ------
    UsageError
        No such modality.
    """
    top = largest_radius(size)
    known = get_modality(modality)
    found = [Experiment("A1", "Unchanged images", "Q1", family="primary", networks=True)]
    for kind, id, title in (("lowpass", "C1a", "Low-pass"), ("highpass", "C1b", "High-pass")):
        for edge in (edge for edge in STUDY_EDGES if edge < top):
            found.append(_both(id, title, f"{kind}:{shortest(edge)}", (edge,), curve=True, networks=True))
    for kind, id, title in (("band", "C1c", "Band-pass"), ("notch", "C1d", "Notch")):
        for low in BAND_EDGES:
            for high in (edge for edge in BAND_EDGES if low < edge < top):
                found.append(_both(id, title, f"{kind}:{shortest(low)}:{shortest(high)}", (low, high)))
    found += scan(size, 1, "C1s", "Third octave")
    found += scan(size, OCTAVE, "C1o", "Octave")
    for side in (side for side in SIDES if side < max(size)):
        found.append(_both("C2a", "Resolution", f"resolution:{side}", x_pixels=side, curve=True, networks=True))
    for sigma in NOISE_SIGMAS:
        both = _both("C2b", "Gaussian noise", f"noise:gaussian:{shortest(sigma)}", x_sigma=sigma, networks=True)
        found += [both, replace(both, train=CLEAN)]
    return tuple(
        replace(one, paper=known.paper.get(one.name), released_code=known.released_code.get(one.name)) for one in found
    )


def scan(size: tuple[int, int], width: int, id: str, title: str) -> list[Experiment]:
    """Runs of ``width`` neighbouring rings, read by their own power, places and peaks: where the signal is strongest."""
    edges = [*ring_edges(size)[:-1], largest_radius(size)]
    start = 0 if width == 1 else 1
    return [
        _both(id, title, _octave(low, high, edges[-1]), (low, high), parts=("spectrum", "tiles", "peaks"), curve=True)
        for low, high in zip(edges[start:-width], edges[start + width :], strict=True)
    ]


ALIKE = Experiment("A1r", "Unchanged images, read as degraded ones are", "Q2", family="reference")
"""By the built-in features with as few patches: what the AUCs of degraded images are to be compared with. With all of its patches
the reader is better, and a filter that takes nothing away would seem to lose what the other patches read: sex on 3,080 hands .776
with all, .718 after a low-pass that leaves all but the corners of the plane."""
SAMPLED = Experiment("A1s", "Unchanged images of the patients whose degraded ones are read", "Q2", family="reference")
"""In large archives: a probe that learns from fewer patients reads less, whatever is done to the images."""


def part(clean: Experiment, family: str) -> Experiment:
    """The primary question for one family of built-in features alone."""
    return Experiment("A1f", f"{family} alone", "Q1", clean.train, clean.test, parts=(family,))


def _octave(low: float, high: float, top: float) -> str:
    if low == 0:
        return f"lowpass:{shortest(high)}"
    return f"highpass:{shortest(low)}" if high == top else f"band:{shortest(low)}:{shortest(high)}"
