"""The tests of an audit and how they are corrected, written with a digest before anything is fitted.

Whoever reads a report can see in ``run.json`` that the family was not chosen after the results: the report names the digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrace.audit.correction import ALPHA, METHODS, MOST, primary_permutations
from fastrace.audit.experiments import Experiment
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.rings import FAMILIES
from fastrace.audit.request import AuditRequest, embeddings_files, public_arguments
from fastrace.audit.subjects import Subjects
from fastrace.digest import document_digest


def declared(request: AuditRequest, subjects: Subjects, wanted: Sequence[Experiment]) -> dict[str, Any]:
    """What is tested: experiments by family, readers in the order in which they answer, correction, level and permutations."""
    readers = [
        BUILT_IN,
        *public_arguments(request)["readers"],
        *(embeddings_files(text)[0].stem for text in request.embeddings),
    ]
    primary = [one.name for one in wanted if one.family == "primary"]
    further = [one for one in wanted if one.family == "exploratory"]
    return {
        "attribute": subjects.cohort.target,
        "classes": list(subjects.classes),
        "patients": len(subjects),
        "level": ALPHA,
        "corrections": {family: method.__name__ for family, method in METHODS.items()},
        "permutations": {
            "primary": primary_permutations(len(readers) * len(primary), request.permutations),
            "exploratory": [request.permutations, MOST],
        },
        "seed": request.seed,
        "readers": readers,
        "primary": primary,
        "exploratory, built-in": [*(one.name for one in further), *(f"A1f {family}" for family in FAMILIES)],
        "exploratory, networks": [one.name for one in further if one.networks],
    }


def digest_of(tests: dict[str, Any]) -> str:
    """Of the tests, see `fastrace.digest.document_digest`."""
    return document_digest(tests, without="digest")
