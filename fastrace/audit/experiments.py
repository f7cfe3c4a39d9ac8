"""The experiments of an audit, as data. The numbering is the study's where it has one; C1s and C1o are ours.

The endpoint of all is the patient-level macro one-vs-rest AUC of the audit's attribute, over all patients. Each states what
is done to the images that a probe learns from, what to those it is tested on, and what others found: the study's text
(arXiv:2107.10356) and its released code, with where the number comes from. Those were trained networks on hundreds of
thousands of chest radiographs of other hospitals, most with other classes than yours; they stand beside, they are no target.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from fastrace.audit.document import Published
from fastrace.audit.frequencies import OCTAVE, STUDY_EDGES, largest_radius, ring_edges
from fastrace.degrade import CLEAN, Degradation, parse
from fastrace.degrade.grammar import number

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
        this probe survive it?
    family : "primary" | "exploratory"
        Which correction for many tests a finding needs: Holm, or Benjamini-Yekutieli.
    x_cycles : tuple of float
        The edges, cycles/image: one for a cut-off, two for a band.
    x_pixels : int or None
        Of the resolution ladder.
    x_sigma : float or None
        Of the noise.
    curve : bool
        A point of the curve of all experiments of its id, which gets a simultaneous band.
    networks : bool
        Put to networks too: an image through a network costs as much as all radial filters of the built-in features.
    parts : tuple of str
        Feature families used; empty: all.
    paper, released_code : Published or None
    """

    id: str
    title: str
    question: str
    train: Degradation = CLEAN
    test: Degradation = CLEAN
    family: Literal["primary", "exploratory"] = "exploratory"
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
    """Everything asked of images of one size, in the order of the report.

    Cut-offs beyond the largest radius, and resolutions beyond the images', change nothing or leave nothing: left out.

    Parameters
    ----------
    modality : str
        Name of the preset: decides what is printed beside.
    size : (int, int)
    """
    top = largest_radius(size)
    chest = modality == "cxr"
    a1 = A1.get(modality)
    found = [
        Experiment(
            "A1",
            "Unchanged images",
            "Q1",
            family="primary",
            networks=True,
            paper=a1 and a1[0],
            released_code=a1 and a1[1],
        )
    ]
    for kind, id, title, known in (
        ("lowpass", "C1a", "Low-pass", LOW_PASS),
        ("highpass", "C1b", "High-pass", HIGH_PASS),
    ):
        for edge in (edge for edge in STUDY_EDGES if edge < top):
            text = f"{kind}:{number(edge)}"
            code = Published(known[edge], READ_OFF) if chest and edge in known else None
            found.append(_both(id, title, text, (edge,), curve=True, networks=True, released_code=code))
    for kind, id, title in (("band", "C1c", "Band-pass"), ("notch", "C1d", "Notch")):
        for low in BAND_EDGES:
            for high in (edge for edge in BAND_EDGES if low < edge < top):
                text = f"{kind}:{number(low)}:{number(high)}"
                known_notch = chest and kind == "notch" and NOTCH.get((low, high))
                code = Published(f"White {known_notch}", CODE_5) if known_notch else None
                found.append(_both(id, title, text, (low, high), released_code=code))
    found += scan(size, 1, "C1s", "Third octave")
    found += scan(size, OCTAVE, "C1o", "Octave")
    for side in (side for side in SIDES if side < max(size)):
        known_side = LADDER.get(side) if chest else None
        found.append(
            _both("C2a", "Resolution", f"resolution:{side}", x_pixels=side, curve=True, networks=True, paper=known_side)
        )
    for sigma in NOISE_SIGMAS:
        degradation = parse(f"noise:gaussian:{number(sigma)}")
        code = (
            Published("macro .69 (.68-.69)", "released notebook, image level", 0.69) if chest and sigma == 0.1 else None
        )
        both = _both("C2b", "Gaussian noise", str(degradation), x_sigma=sigma, networks=True)
        found += [both, replace(both, train=CLEAN, released_code=code)]
    return tuple(found)


def scan(size: tuple[int, int], width: int, id: str, title: str) -> list[Experiment]:
    """Runs of ``width`` neighbouring rings, read by their own power, places and peaks: where the signal is strongest."""
    edges = [*ring_edges(size)[:-1], largest_radius(size)]
    start = 0 if width == 1 else 1
    return [
        _both(id, title, _octave(low, high, edges[-1]), (low, high), parts=("spectrum", "tiles", "peaks"), curve=True)
        for low, high in zip(edges[start:-width], edges[start + width :], strict=True)
    ]


def part(clean: Experiment, family: str) -> Experiment:
    """The primary question to one family of built-in features alone: which of them see it?"""
    return Experiment("A1f", f"{family} alone", "Q1", clean.train, clean.test, parts=(family,))


def _octave(low: float, high: float, top: float) -> str:
    if low == 0:
        return f"lowpass:{number(high)}"
    return f"highpass:{number(low)}" if high == top else f"band:{number(low)}:{number(high)}"


READ_OFF = "released code, 5 classes, read off a figure"
CODE_5 = "released code, 5 classes, MIMIC-CXR"

# Image-level one-vs-rest AUCs: A Asian, B Black, W White.
A1: dict[str, tuple[Published | None, Published | None]] = {
    "cxr": (
        Published("MIMIC-CXR: A .986 (.984-.988), B .982 (.981-.983), W .981 (.979-.982)", "Table 3", 0.983),
        Published("MIMIC-CXR: A .972, B .982, W .977", "released notebook", 0.977),
    ),
    "mammo": (
        Published("image .78 (.773-.786), study .81 (.794-.818), Black against White", "Table 3", 0.81),
        Published("image .88 on another test set", "released notebook", 0.88),
    ),
    "ct": (Published("NLST: slice .92, study .96 (.926-.982), Black against White", "Table 3", 0.96), None),
    "cspine": (
        Published(".913 (.892-.931), Black against White", "Table 3", 0.913),
        Published(".92", "released notebook", 0.92),
    ),
    "hand": (
        Published(".87 (.752-.894), Black against White", "Table 3", 0.87),
        Published(".86", "released notebook", 0.86),
    ),
}

LOW_PASS = {
    1.0: "about .54",
    5.0: "W .73, B .75, A .78",
    10.0: "W .82, B .865, A .85",
    25.0: "W .89, B .937, A .93",
    50.0: "W .908, B .953, A .951",
}
HIGH_PASS = {
    10.0: "W .91, B .966, A .96",
    50.0: "W .888, B .944, A .932",
    100.0: "W .853, B .90, A .893",
    125.0: "W .74, B .765, A .76",
    150.0: "W .58, B .595, A .593",
    200.0: ".50 (nothing is left)",
}
NOTCH = {
    (10.0, 25.0): ".901",
    (10.0, 50.0): ".889",
    (10.0, 75.0): ".872",
    (10.0, 100.0): ".855",
    (10.0, 125.0): ".824",
    (10.0, 150.0): ".817",
    (25.0, 150.0): ".891",
    (50.0, 150.0): ".905",
    (75.0, 150.0): ".909",
    (100.0, 150.0): ".912",
    (125.0, 150.0): ".915",
}
LADDER = {
    4: Published("above chance", "text"),
    160: Published("above .95", "text", 0.95),
    320: Published("above .95", "text", 0.95),
}
