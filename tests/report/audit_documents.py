"""Sample ``audit.json`` documents: rich, minimal, with a failed control, with hostile names, with suppressed cells, partial."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastrace.digest import document_digest

Document = dict[str, Any]
HOSTILE = (
    "<script>alert('x')</script>\"'&\u202e=cmd|'/c calc'!A1\u0627\u0644\u0639\u0631\u0628\u064a\u0629" + "y" * 10_000
)
FORMULA = '=HYPERLINK("http://example.invalid","x")'
CUT_OFFS = (1, 5, 10, 25, 50, 75, 100, 125, 150)
PAIRS = (10, 25, 50, 75, 100, 125, 150)
FEATURES = ("built-in", "small CNN")


def estimate(value: float | None, patients: int = 3102, positive: int | None = 1012, **other: Any) -> Document:
    width = None if value is None else 1.4 / math.sqrt(patients)
    found: Document = {
        "value": value,
        "low": None if value is None or width is None else max(value - width, 0.01),
        "high": None if value is None or width is None else min(value + width * 0.9, 0.999),
        "level": 0.95,
        "n_patients": patients,
        "n_positive": positive,
        "n_images": patients * 4,
        "unit": "patient",
        "method": "logit DeLong",
        "status": "ok",
        "suppressed": False,
    }
    return {**found, **other}


def suppressed_estimate() -> Document:
    nothing = dict.fromkeys(("value", "low", "high", "n_patients", "n_positive", "n_images"))
    return {**estimate(None), **nothing, "status": "suppressed", "suppressed": True}


def cell(
    experiment: str, title: str, degradation: str, value: float | None, features: str = "built-in", **other: Any
) -> Document:
    spread = 0.035
    found: Document = {
        "id": f"{experiment}/{degradation}/{features}",
        "experiment": experiment,
        "title": title,
        "question": "Q1" if experiment == "A1" else "Q2",
        "features": features,
        "parts": [],
        "degradation": degradation,
        "described": degradation,
        "mode": "train+test",
        "family": "exploratory",
        "x": None,
        "x_low": None,
        "x_high": None,
        "lp_per_mm": None,
        "paper": None,
        "released_code": None,
        "estimate": estimate(value),
        "classes": [],
        "pairs": [],
        "p": 0.001,
        "spread": 1.02,
        "null_deviation": 0.05,
        "d_prime": None,
        "band": None if value is None else [max(value - spread, 0.0), min(value + spread, 1.0)],
        "p_adjusted": 0.004,
        "finding": value is not None and value > 0.6,
    }
    return {**found, **other}


def named(name: str, value: float | None, p: float | None = None, **other: Any) -> Document:
    return {"name": name, "estimate": estimate(value, **other), "p": p}


def clean_cell(features: str, value: float, classes: tuple[str, ...]) -> Document:
    return cell(
        "A1",
        "Unchanged images",
        "none",
        value,
        features,
        classes=[named(name, value + 0.01 * k) for k, name in enumerate(classes)],
        pairs=[
            named(f"{a} vs {b}", value - 0.02 * j)
            for j, a in enumerate(classes)
            for b in classes[j + 1 :]
        ],
        family="primary",
        paper={"value": 0.81, "text": "study .81 (.794-.818), Black against White", "source": "Table 3"},
        released_code={"value": 0.88, "text": ".88 on another test set", "source": "released notebook"},
    )  # fmt: skip


def rising(x: float, top: float) -> float:
    """AUC of a low-pass: nothing at DC, everything from about 60 cycles/image on."""
    return round(0.5 + (top - 0.5) / (1 + (22 / x) ** 1.8), 4)


def falling(x: float, top: float) -> float:
    """AUC of a high-pass."""
    return round(0.5 + (top - 0.5) / (1 + (x / 85) ** 3.2), 4)


def q2_cells(features: str, top: float) -> list[Document]:
    cells = []
    for x in CUT_OFFS:
        cells.append(cell("C1a", "Low-pass", f"lowpass:{x}", rising(x, top), features, x=float(x), x_high=float(x)))
        cells.append(cell("C1b", "High-pass", f"highpass:{x}", falling(x, top), features, x=float(x), x_low=float(x)))
    for low in PAIRS:
        for high in (edge for edge in PAIRS if edge > low):
            edges = {"x_low": float(low), "x_high": float(high)}
            kept = 0.5 + (top - 0.5) * (math.log(high / low) / math.log(15)) ** 0.5 * 0.95
            cells.append(cell("C1c", "Band-pass", f"band:{low}:{high}", round(kept, 4), features, **edges))
            taken = top - (top - 0.5) * 0.5 * math.log(high / low) / math.log(15)
            cells.append(cell("C1d", "Notch", f"notch:{low}:{high}", round(taken, 4), features, **edges))
    for side in (4, 8, 16, 32, 64, 128, 160):
        cells.append(cell("C2a", "Resolution", f"resolution:{side}", rising(side * 1.2, top), features, x=float(side)))
    for sigma in (0.05, 0.1, 0.2):
        value = 0.5 + (top - 0.5) * math.exp(-sigma * 6)
        cells.append(cell("C2b", "Gaussian noise", f"noise:gaussian:{sigma}", round(value, 4), features, x=sigma))
    return cells


def scan_cells(features: str, top: float) -> list[Document]:
    edges = [round(5 * 2 ** (k / 3)) for k in range(15)]
    cells = []
    for low, high in pairwise(edges):
        peak = math.exp(-((math.log(low * 1.12 / 28) / 0.45) ** 2))
        value = round(0.505 + (top - 0.52) * peak, 4)
        extra: Document = {"x_low": float(low), "x_high": float(high), "band": None, "d_prime": round(2 * value - 1, 4)}
        extra["lp_per_mm"] = [low / 49.92, high / 49.92]
        cells.append(cell("C1s", "Third octave", f"band:{low}:{high}", value, features, **extra))
    return cells


QUESTIONS = {
    "Q1": ("Readable?", "Is the attribute readable from the images at all?"),
    "Q2": ("Where?", "Where is the signal (frequency, resolution), and when is it lost?"),
    "Q3": (
        "Covariates?",
        "How much of it do known covariates reach alone: body size, density, age, sex, disease, acquisition?",
    ),
    "Q4": ("Remains?", "Does it remain inside strata of these, and after matching on them?"),
    "Q5": ("Encoded?", "Is it encoded in the clinical model under audit?"),
    "Q6": ("Used?", "Does that model use it?"),
    "Q7": ("Harmed?", "Who is harmed: which groups are under-diagnosed, and how certain is that?"),
}
NOT_RUN = ("not run", "", None)


def questions(*answers: tuple[str, str, Document | None]) -> list[Document]:
    """All seven; those without an answer were not run."""
    given = [*answers, *[NOT_RUN] * (len(QUESTIONS) - len(answers))]
    return [
        {"id": id, "title": title, "asks": asks, "mark": mark, "sentence": sentence, "estimate": one}
        for (id, (title, asks)), (mark, sentence, one) in zip(QUESTIONS.items(), given, strict=True)
    ]


def rich(classes: tuple[str, ...] = ("Black", "White")) -> Document:
    """Everything that an audit can have, of a mammography archive; a list at least once with something in it."""
    tops = dict(zip(FEATURES, (0.792, 0.831), strict=True))
    q1 = (
        "strong",
        "Patient-level AUC .792 (.767-.815) by built-in; small CNN .831 (.806-.854), strong.",
        estimate(0.792),
    )
    q2 = ("clear", "Survives low-pass 25 and high-pass 75; lost below 8 x 8; strongest in 19-41 cycles/image (0.38-0.82 lp/mm).",
          estimate(0.771))  # fmt: skip
    cells = [clean_cell(name, tops[name], classes) for name in FEATURES]
    cells += [one for name in FEATURES for one in q2_cells(name, tops[name])]
    scan = [one for name in FEATURES for one in scan_cells(name, tops[name])]
    return {
        "schema": 4,
        "fastrace": "0.1.0",
        "created": "2026-11-23",
        "status": "complete",
        "purpose": "Yearly audit of the screening archive, approved by the ethics board",
        "engine": "probe",
        "variant": "corrected",
        "seed": 0,
        "arguments": {"target": "race", "seed": 0, "only": None, "features": list(FEATURES), "permutations": 2000},
        "repeat": "fastrace audit fastrace-work/mammo/data --target race --engine probe --seed 0 --purpose 'Yearly audit'",
        "environment": {"fastrace": "0.1.0", "python": "3.11.7", "torch": "2.15.0", "numpy": "2.4.1", "device": "cpu (x86_64)",
                        "threads": 2},
        "seconds": {"features": 341.2, "probes": 96.0, "controls": 122.5, "statistics": 31.4},
        "dataset": {
            "modality": "mammo", "size": [256, 256], "images": 12431, "patients": 3102, "fingerprint": "9f2c" * 16,
            "salt_id": "a1b2c3d4e5f60718", "mm_per_pixel": 0.195, "window": {"lut": 1120, "window": 1811, "robust": None},
            "shards": 25, "shards_checked": 25,
        },
        "target": "race",
        "self_reported": True,
        "classes": [
            {"name": name, "patients": 1012 + 539 * k, "images": 4050 + 2150 * k, "suppressed": False}
            for k, name in enumerate(classes)
        ],
        "flow": [
            {"label": "files read", "images": 12843, "patients": 3180, "suppressed": False, "left_out": [
                {"reason": "truncated: the file or its pixel data ends too early", "images": 14, "patients": None,
                 "suppressed": True},
                {"reason": "other_view: not a view that the preset keeps", "images": 202, "patients": 31, "suppressed": False},
            ]},
            {"label": "images in the dataset", "images": 12627, "patients": 3149, "suppressed": False, "left_out": [
                {"reason": "no label: race not recorded", "images": 173, "patients": 41, "suppressed": False},
                {"reason": "two different labels in the table", "images": 23, "patients": None, "suppressed": True},
            ]},
            {"label": "analysed", "images": 12431, "patients": 3102, "suppressed": False, "left_out": []},
        ],
        "features": [
            {"name": "built-in", "dimensions": 612, "learned_from_labels": False,
             "evaluation": "5-fold cross-fitting, all patients",
             "sees": "how much power there is at each frequency and direction, coarse shape, and how grey values are distributed",
             "blind_to": "where exactly a fine pattern lies, and phase: two textures of equal power look the same",
             "own_classifier": None},
            {"name": "small CNN", "dimensions": 128, "learned_from_labels": True,
             "evaluation": "patients outside of its training, 5-fold",
             "sees": "local patterns up to 60 pixels wide, and their phase",
             "blind_to": "relations between distant places", "own_classifier": estimate(0.812)},
        ],
        "controls": [
            {"id": "shuffled", "title": "Shuffled labels", "status": "ok",
             "sentence": "Mean AUC of 50 permutations .501 (.497-.505), as expected by chance (p = .62).",
             "estimates": [named("mean of 50 permutations", 0.501)], "numbers": {"shuffles": 50, "p": 0.62}},
            {"id": "planted", "title": "Planted leak", "status": "ok",
             "sentence": "Planted in 20-40 cycles/image, found in 19-41 cycles/image.",
             "estimates": [named("with the leak", 0.962), named("the same images without it", 0.508)],
             "numbers": {"planted": [20, 40], "found": [19, 41], "overlap": 0.909, "rule": "written down before", "sharp": True,
                         "missed": None}},
            {"id": "acquisition", "title": "Acquisition alone", "status": "for comparison",
             "sentence": "Manufacturer, exposure and detector, without looking at a pixel: .641.",
             "estimates": [named("acquisition fields", 0.641, p=0.0005)], "numbers": {}},
            {"id": "covariates", "title": "Age and density alone", "status": "for comparison",
             "sentence": "Age .581, density .542.",
             "estimates": [named("age", 0.581), named("density", 0.542)], "numbers": {}},
            {"id": "site", "title": "Scanner", "status": "for comparison",
             "sentence": "The scanner is readable from the same features: .991.",
             "estimates": [named("manufacturer", 0.991)], "numbers": {}},
            {"id": "repeat", "title": "Repeat with another seed", "status": "ok", "sentence": "Same marks with seed 1.",
             "estimates": [], "numbers": {}},
        ],
        "questions": questions(q1, q2),
        "cells": cells + scan,
        "location": {
            "rule": "Third octaves from 5 cycles/image on. The band is the run of neighbours around the highest AUC whose lower "
            "simultaneous limit is above the median of all bands; written down before any label was read.",
            "found": [19, 41], "found_lp_per_mm": [0.38, 0.82],
            "sentence": "The signal is strongest in 19-41 cycles/image.",
            "scan": [one["id"] for one in scan], "aliased_share": 0.023,
        },
        "limits": ["One archive of one hospital; nothing is known about other sites.",
                   "Race was recorded by a clerk for some patients; how many is not known."],
    }  # fmt: skip


def three_classes() -> Document:
    """Pairs, and each class against the rest."""
    document = rich(("Asian", "Black", "White"))
    document["dataset"]["modality"] = "cxr"
    document["dataset"]["mm_per_pixel"] = None
    return document


def minimal() -> Document:
    """The least that is an audit: no answer, nothing that may be absent."""
    texts = dict.fromkeys(("fastrace", "created", "engine", "variant", "repeat"), "")
    lists: Document = {key: [] for key in ("classes", "flow", "features", "controls", "cells", "limits")}
    tables: Document = {key: {} for key in ("arguments", "environment", "seconds")}
    dataset = {
        "modality": "", "size": [64, 48], "images": 0, "patients": 0, "fingerprint": "", "salt_id": "", "mm_per_pixel": None,
        "window": {}, "shards": 0, "shards_checked": 0,
    }  # fmt: skip
    return {
        "schema": 4,
        **texts,
        **lists,
        **tables,
        "status": "complete",
        "purpose": None,
        "seed": 0,
        "dataset": dataset,
        "target": "group",
        "self_reported": False,
        "questions": questions(),
        "location": None,
    }


def failed_control() -> Document:
    """The planted leak was not found."""
    document = rich()
    document["controls"][1].update(status="failed", sentence="Planted in 20-40 cycles/image, found nowhere.")
    return document


def partial() -> Document:
    """Stopped in the middle of Q2."""
    document = rich()
    document["status"] = "partial"
    document["cells"] = [
        one
        for one in document["cells"]
        if one["experiment"] == "A1" or (one["experiment"] == "C1a" and one["features"] == "built-in")
    ]
    document["location"] = None
    return document


def small_archive() -> Document:
    """Few patients, wide intervals, undefined and suppressed cells: as a small public set gives them."""
    document = rich(("F", "M"))
    document.update(target="sex", self_reported=False)
    document["dataset"].update(images=63, patients=40, mm_per_pixel=0.9, modality="cxr")
    for one in document["cells"]:
        value = one["estimate"]["value"]
        value = None if value is None else 0.5 + (value - 0.5) * 0.3
        one["estimate"] = estimate(value, 40, 19, status="not enough evidence")
        one["estimate"]["low"], one["estimate"]["high"] = max(0.05, (value or 0) - 0.2), min(0.95, (value or 0) + 0.2)
        one["band"] = None if value is None else [max(0.02, value - 0.3), min(0.98, value + 0.3)]
        one["finding"] = False
        one["classes"] = [named(name, value, patients=40, positive=19) for name in ("F", "M")]
    next(c for c in document["cells"] if c["degradation"] == "lowpass:10")["estimate"] = estimate(
        None, 40, 19, status="undefined: no patients in the class", method="none"
    )
    document["classes"] = [
        {"name": "F", "patients": None, "images": None, "suppressed": True},
        {"name": "M", "patients": None, "images": None, "suppressed": True},
    ]
    document["questions"][0].update(
        mark="not enough evidence",
        sentence="AUC .588 (.388-.788): too few patients for an answer.",
        estimate=estimate(0.588, 40, 19),
    )
    document["questions"][1].update(
        mark="not enough evidence", sentence="Too few patients to locate it.", estimate=None
    )
    document["location"].update(found=None, found_lp_per_mm=None, sentence="No band was found.")
    return document


def suppressed_class() -> Document:
    """Four classes, two of them small."""
    document = rich(("Asian", "Black", "Native", "White"))
    for k in (0, 2):
        document["classes"][k].update(patients=None, images=None, suppressed=True)
        for one in document["cells"]:
            if one["experiment"] == "A1":
                one["classes"][k]["estimate"] = suppressed_estimate()
    return document


def hostile() -> Document:
    """Every text that comes from an archive is an attack."""
    document = rich((HOSTILE, FORMULA, "\u202eetihW", "+1", "\ud800 lone", ""))
    text = json.dumps(document)
    document = json.loads(text)
    document.update(target=HOSTILE, purpose=HOSTILE, repeat=HOSTILE, created="<b>now</b>")
    document["dataset"].update(modality=HOSTILE, fingerprint=FORMULA, window={HOSTILE: 3})
    for step in document["flow"]:
        step["label"] = HOSTILE
        for one in step["left_out"]:
            one["reason"] = HOSTILE
    for one in document["cells"]:
        one["features"] = f"{one['features']}{HOSTILE}"
        one["paper"] = {"value": 0.7, "text": HOSTILE, "source": HOSTILE}
    for one in document["features"]:
        one.update(name=one["name"] + HOSTILE, sees=HOSTILE, blind_to=FORMULA)
    for one in document["controls"]:
        one.update(title=HOSTILE, sentence=HOSTILE, numbers={HOSTILE: HOSTILE, FORMULA: FORMULA})
    for one in document["questions"]:
        one.update(title=HOSTILE, asks=HOSTILE, sentence=HOSTILE if one["mark"] != "not run" else "")
    document["location"].update(rule=HOSTILE, sentence=HOSTILE)
    document["limits"] = [HOSTILE, FORMULA]
    document["arguments"] = {HOSTILE: HOSTILE, "nested": {"a": [HOSTILE]}}
    document["environment"] = {"device": HOSTILE}
    document["cells"].append(cell("X9", HOSTILE, "roi:in:" + HOSTILE, 0.6, HOSTILE))
    document["cells"].append(cell("C1a", HOSTILE, "lowpass:<svg onload=alert(1)>", 0.6, HOSTILE, x=3.0))
    return document


DOCUMENTS = {
    "rich": rich,
    "three classes": three_classes,
    "minimal": minimal,
    "failed control": failed_control,
    "partial": partial,
    "small archive": small_archive,
    "suppressed class": suppressed_class,
    "hostile": hostile,
}


def put(folder: Path, document: Document) -> Path:
    """Write a document as an audit's folder, with its digest."""
    return put_text(folder, json.dumps(document))


def put_text(folder: Path, text: str) -> Path:
    """Write the text of a document with its digest, whatever else is wrong with it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        digest = document_digest(json.loads(text), without="digest")
    except RecursionError:  # a document that nobody can read
        digest = "0" * 32
    (folder / "audit.json").write_text(f'{text[:-1]}, "digest": "{digest}"}}')
    return folder
