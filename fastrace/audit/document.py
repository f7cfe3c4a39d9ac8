"""The answers in words and numbers: what ``audit.json`` says of the seven questions, the flow of patients, and the limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastrace.audit.features import families, largest_radius, ring_edges
from fastrace.audit.locate import RULE, Step, aliased_share, found_band, found_octave
from fastrace.audit.networks import Network
from fastrace.audit.subjects import FEW_PATIENTS, FOLDS, REPEATS, Subjects
from fastrace.audit.tables import BUILT_IN
from fastrace.console.words import interval
from fastrace.dataset import Dataset
from fastrace.statistics import MIN_CELL, NOT_ENOUGH, hidden

Cell = dict[str, Any]

SELF_REPORTED = {"race", "ethnicity", "ethnic"}
SCANS = ("C1s", "C1o")
TITLES = {
    "Q1": "Readable?",
    "Q2": "Where?",
    "Q3": "Covariates?",
    "Q4": "Remains?",
    "Q5": "Encoded?",
    "Q6": "Used?",
    "Q7": "Harmed?",
}
LATER = {
    "Q3": "covariates are not compared with images yet; what they reach alone is among the controls",
    "Q4": "matching and strata are not built yet",
    "Q5": "needs a model under audit, which is not built yet",
    "Q6": "needs a model under audit, which is not built yet",
    "Q7": "needs a model under audit, which is not built yet",
}
STRONG, CLEAR = 0.75, 0.6
"""Lower limits from which a finding is called strong, or clear; else weak. A convention, not a threshold of harm."""


def document(
    dataset: Dataset,
    subjects: Subjects,
    cells: list[Cell],
    controls: list[dict[str, Any]],
    networks: Sequence[Network],
    spacing: float | None,
    *,
    partial: bool,
) -> dict[str, Any]:
    """Everything of ``audit.json`` that depends on data."""
    first = headline(cells)["features"]
    cells = sorted(cells, key=lambda cell: bool(cell["features"] != first))  # stable: the set that answers comes first
    controls_ok = all(control["status"] != "failed" for control in controls)
    location = _location(cells, dataset.size, spacing)
    target = subjects.cohort.target
    counts = np.bincount(subjects.labels, minlength=len(subjects.classes))
    images = np.bincount(subjects.labels[subjects.owner], minlength=len(subjects.classes))
    recipe = dataset.meta["recipe"]
    questions = [_readable(cells), _where(cells, location)]
    if not controls_ok:
        for question in questions:
            if question["mark"] == "not run":
                continue
            question["mark"] = "no conclusion"
            question["sentence"] = f"no conclusion, since a control failed (measured: {question['sentence']})"
    questions += [
        {"id": id, "title": TITLES[id], "mark": "not run", "sentence": said, "estimate": None}
        for id, said in LATER.items()
    ]
    return {
        "status": "partial" if partial else "complete",
        "dataset": {
            "modality": recipe.get("modality") or "any",
            "size": list(dataset.size),
            "images": len(subjects.cohort.rows),
            "patients": len(subjects),
            "fingerprint": dataset.fingerprint,
            "salt_id": dataset.salt_id,
            "mm_per_pixel": spacing,
            "window": {"voi_source": _counted(subjects, "voi_source")},
        },
        "target": target,
        "self_reported": self_reported(target),
        "classes": [
            {"name": name, "patients": int(counts[k]), "images": int(images[k]), "suppressed": False}
            for k, name in enumerate(subjects.classes)
        ],
        "flow": _flow(dataset, subjects),
        "features": _features(subjects, dataset.size, networks),
        "controls": controls,
        "controls_ok": controls_ok,
        "questions": questions,
        "primary": [cell for cell in cells if cell["family"] == "primary"],
        "cells": [cell for cell in cells if cell["family"] != "primary" and cell not in location["scan"]],
        "location": location,
        "limits": _limits(subjects, cells),
    }


def sides(estimate: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Value and limits."""
    return estimate["value"], estimate["low"], estimate["high"]


def self_reported(target: str) -> bool:
    """Whether the attribute is race or ethnicity, which patients report of themselves (or clerks record)."""
    return not SELF_REPORTED.isdisjoint(re.split(r"[\W_]+", target.lower()))


def mark(cell: Cell) -> str:
    """One word for a cell."""
    estimate = cell["estimate"]
    if estimate["status"].startswith(NOT_ENOUGH):
        return NOT_ENOUGH
    if not cell["finding"]:
        return "not shown"
    return "strong" if estimate["low"] >= STRONG else "clear" if estimate["low"] >= CLEAR else "weak"


def headline(cells: Sequence[Cell]) -> Cell:
    """The primary cell that answers Q1: the built-in features, or, where they find nothing, the first set that does.

    An order fixed beforehand: the largest of several AUCs would be too large.
    """
    primary = [cell for cell in cells if cell["family"] == "primary"]
    return next((cell for cell in primary if cell["finding"]), primary[0])


def _readable(cells: Sequence[Cell]) -> dict[str, Any]:
    shown = headline(cells)
    others = [cell for cell in cells if cell["family"] == "primary" and cell is not shown]
    said = f"patient-level AUC {interval(*sides(shown['estimate']))} by {shown['features']}"
    if others:
        said += "; " + "; ".join(
            f"{cell['features']} {interval(*sides(cell['estimate']))}, {mark(cell)}" for cell in others
        )
    return {"id": "Q1", "title": TITLES["Q1"], "mark": mark(shown), "sentence": said, "estimate": shown["estimate"]}


def _where(cells: Sequence[Cell], location: Mapping[str, Any]) -> dict[str, Any]:
    by = headline(cells)["features"]
    own = [cell for cell in cells if cell["features"] == by and cell["mode"] == "train+test"]
    said = [location["sentence"]] if location["scan"] else []
    low = [cell["x"] for cell in own if cell["experiment"] == "C1a" and cell["finding"]]
    high = [cell["x"] for cell in own if cell["experiment"] == "C1b" and cell["finding"]]
    side = [cell["x"] for cell in own if cell["experiment"] == "C2a" and cell["finding"]]
    if low:
        said.append(f"still read after low-pass {min(low):g}")
    if high:
        said.append(f"after high-pass {max(high):g}")
    if side:
        said.append(f"at {min(side):g} pixels")
    if by != BUILT_IN and said:
        said.append(f"by {by} (bands are scanned with the built-in features alone)")
    asked = any(cell["question"] == "Q2" for cell in cells)
    found = any(cell["finding"] for cell in own if cell["question"] == "Q2")
    few = [cell for cell in own if cell["estimate"]["status"].startswith(NOT_ENOUGH)]
    empty = "not shown in what was asked" if asked else "not run"
    word = "not run" if not asked else NOT_ENOUGH if few else "clear" if found else "not shown"
    return {"id": "Q2", "title": TITLES["Q2"], "mark": word, "sentence": ", ".join(said) or empty, "estimate": None}


def _location(cells: Sequence[Cell], size: tuple[int, int], spacing: float | None) -> dict[str, Any]:
    thirds, octaves = (_steps([cell for cell in cells if cell["experiment"] == id]) for id in SCANS)
    found = found_band(thirds)
    scanned = SCANS[0]
    if found is None and (wider := found_octave(octaves)) is not None:
        found, scanned = wider, SCANS[1]
    scan = [cell for cell in cells if cell["experiment"] == scanned]
    per_mm = [edge / (max(size) * spacing) for edge in found] if found and spacing else None
    if found:
        said = f"strongest in {found[0]:g}-{found[1]:g} cycles/image"
        said += f" ({per_mm[0]:.2g}-{per_mm[1]:.2g} lp/mm)" if per_mm else ""
        said += "" if scanned == SCANS[0] else ", where only whole octaves show it"
    else:
        said = "no third octave and no octave is a finding by itself" if scan else "not run"
    return {
        "rule": RULE,
        "found": None if found is None else list(found),
        "found_lp_per_mm": per_mm,
        "sentence": said,
        "scan": scan,
        "aliased_share": aliased_share(found, size) if found else None,
    }


def _steps(scan: Sequence[Cell]) -> list[Step]:
    return [
        Step(
            cell["x_low"], cell["x_high"], np.nan if cell["d_prime"] is None else cell["d_prime"], bool(cell["finding"])
        )
        for cell in scan
    ]


def _features(subjects: Subjects, size: tuple[int, int], networks: Sequence[Network]) -> list[dict[str, Any]]:
    rings = len(ring_edges(size)) - 1
    repeats = f", {REPEATS} times" if len(subjects) < FEW_PATIENTS else ""
    own = {
        "name": BUILT_IN,
        "dimensions": len(families(np.ones(rings, dtype=bool))),
        "learned_from_labels": False,
        "judging": f"{FOLDS}-fold cross-fitting{repeats}, all patients",
        "sees": f"power, its orientation and place (3 x 3 tiles) in {rings} rings, and peaks in octaves, up to "
        f"{largest_radius(size):.0f} cycles/image, brightness on grids up to 16 x 16, the histogram",
        # docs/phantoms.md, 20 archives of each kind.
        "blind_to": "shapes finer than its grids, and phase relations between places; on computed phantoms it read texture, "
        "patch and intensity leaks nearly always, a phase-only leak in one archive of three",
    }
    return [own, *({"name": network.name, **network.facts} for network in networks)]


def _counted(subjects: Subjects, column: str) -> dict[str, int | None]:
    counts = subjects.cohort.frame.groupby(column)["patient_key"].nunique()
    few = hidden({str(name): int(n) for name, n in counts.items()})
    return {str(name): None if str(name) in few else int(n) for name, n in counts.items()}


def _flow(dataset: Dataset, subjects: Subjects) -> list[dict[str, Any]]:
    """From the files to the patients audited; small groups, and totals that would give them back, are not counted out."""
    counts = dataset.meta["counts"]
    steps: list[dict[str, Any]] = []
    indexed = {"images": int(counts["indexed"]), "patients": int(counts["patients"])}
    rejected = [
        {"reason": str(reason), "images": int(n), "patients": None}
        for reason, n in (counts.get("rejected") or {}).items()
    ]
    steps.append(_step("inputs read", {"images": int(counts["inputs"]), "patients": None}, rejected))
    left_out = [{"reason": why, **n} for why, n in subjects.cohort.left_out.items()]
    steps.append(_step("in the dataset", indexed, left_out))
    audited = {"images": len(subjects.cohort.rows), "patients": len(subjects)}
    steps.append(_step("audited", audited, []))
    # A total that is hidden must not come back from the totals above it.
    for above, below in reversed(list(pairwise(steps))):
        if below["suppressed"] and not above["suppressed"]:
            above.update(images=None, patients=None, suppressed=True)
    return steps


def _step(label: str, total: Mapping[str, int | None], parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # Where patients are not known, images are an upper bound of them.
    people = [part["images"] if part["patients"] is None else part["patients"] for part in parts]
    small = [n < MIN_CELL for n in people]
    listed = [
        {**part, "suppressed": hide, **({"images": None, "patients": None} if hide else {})}
        for part, hide in zip(parts, small, strict=True)
    ]
    # What is hidden is the total minus all that is shown: unless it is eleven patients together, the total goes as well.
    hidden = sum(n for n, hide in zip(people, small, strict=True) if hide)
    hide_total = any(small) and (hidden < MIN_CELL or sum(small) == 1)
    nothing = {"images": None, "patients": None}
    return {"label": label, **(nothing if hide_total else total), "suppressed": hide_total, "left_out": listed}


def _limits(subjects: Subjects, cells: Sequence[Cell]) -> list[str]:
    said = [
        "A low AUC is no clearance: it says that these features and these networks did not read the attribute here.",
        "A high AUC says that the attribute can be read from the images, not that a clinical model uses it, nor that anyone is "
        "harmed.",
        "Intervals hold for the patients of this archive and the models trained here; another hospital may differ.",
        "What a probe reads may come from the scanner, the view or the referral as well as from the body: see the controls.",
    ]
    if any(cell["estimate"]["status"].startswith("approximate") for cell in cells):
        said.append(
            "Intervals marked approximate are of a kind that simulation showed not to cover 93-97 % of the time."
        )
    if any("widened" in cell["estimate"]["method"] for cell in cells):
        said.append(
            "Intervals of cross-fitted probes are widened, since the patients who judge a probe also taught the others; in "
            "simulations they held the true value 92-100 % of the time, most often more than 95 %."
        )
    if any(cell["estimate"]["status"].startswith(NOT_ENOUGH) for cell in cells):
        said.append(
            "Fewer than 30 patients in a class: the interval is printed, but it is not evidence for either answer."
        )
    if len({cell["features"] for cell in cells}) == 1:
        said.append("Only one set of features looked: a network might read what they cannot.")
    said.append(
        "p values are corrected for the questions and feature sets of this audit: one that asks fewer finds more easily."
    )
    if subjects.cohort.frame["mm_per_pixel"].isna().any():
        said.append("Some images have no pixel spacing: frequencies are given in cycles/image alone.")
    return said
