"""The options of an audit; imports nothing heavy, so that a refusal costs nothing."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fastrace.cohort.selection import choose_modality, choose_target
from fastrace.dataset import Dataset
from fastrace.errors import UsageError
from fastrace.modality import get_modality
from fastrace.models import SMALL

PERMUTATIONS, LEAST_PERMUTATIONS = 999, 99
LEAST_OF_A_CLASS = 40
"""Patients from which a small network is trained: 30 % of them, the test part, are then 11 or more."""


@dataclass(frozen=True)
class AuditRequest:
    """The options of one audit.

    Attributes
    ----------
    data, out : Path
    modality : str
        Decides the published numbers shown for comparison, and the backbone.
    target : str
        The column of the attribute.
    classes : tuple of str
        Empty: all with enough patients.
    readers : tuple of str
        Beside the built-in features: ``small``, a timm model, ``NAME=FILE``, ``package.module:function``.
    embeddings : tuple of str
        Files of vectors, ``FILE.parquet`` or ``FILE.npy[=KEYS]``, each a reader of its own.
    key : tuple of str
        ``KIND=COLUMN``: what names the rows of these files.
    salt : Path or None
        The key of the dataset's hashes; None: the one that lies beside it.
    covariates : tuple of str
        ``COLUMN[:SET]``: columns that are covariates whatever they are, and in which set.
    no_covariate : tuple of str
        Columns that are none.
    only : tuple of str
        Questions (``Q2``) or experiments (``C1``, ``C1a``) wanted; empty: all. A1 always runs.
    seed, permutations : int
    variant : str
        ``corrected``: as the study's text describes it, not as its released code did it.
    purpose : str or None
    keep_work : bool
        Leave feature tables, scores and the small network in the folder.
    trust : bool
        Do not compare the shards with their digests first.
    device : "auto" | "cpu" | "cuda"
        Where images are degraded and read, and the network trained; probes run on the CPU.
    jobs : int or None
        Threads; None: one for each processor. The result does not depend on them.
    """

    data: Path
    out: Path
    modality: str
    target: str
    classes: tuple[str, ...] = ()
    readers: tuple[str, ...] = (SMALL,)
    embeddings: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    salt: Path | None = None
    covariates: tuple[str, ...] = ()
    no_covariate: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    seed: int = 0
    permutations: int = PERMUTATIONS
    variant: str = "corrected"
    purpose: str | None = None
    keep_work: bool = False
    trust: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    jobs: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types; paths as typed."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def request_for(
    dataset: Dataset,
    out: Path,
    *,
    target: str | None,
    modality: str | None,
    readers: tuple[str, ...] | None,
    **options: Any,
) -> AuditRequest:
    """The request of an audit of a dataset, with the defaults that depend on it.

    Parameters
    ----------
    dataset : Dataset
    out : Path
    target, modality, readers
        None: the only attribute column, the dataset's, the small network and the modality's backbone if its weights are here.
    options
        The other attributes of `AuditRequest`.

    Raises
    ------
    UsageError
        No such target, another modality than the dataset's, too few permutations, a negative seed.
    """
    if options.get("permutations", PERMUTATIONS) < LEAST_PERMUTATIONS:
        raise UsageError(f"--permutations {options['permutations']}: at least {LEAST_PERMUTATIONS}")
    if options.get("seed", 0) < 0:
        raise UsageError(f"--seed {options['seed']}: a whole number from 0 on")
    jobs = options.get("jobs")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs {jobs}: at least one")
    chosen, named = choose_modality(dataset, modality, "any"), choose_target(dataset, target)
    if readers is None:
        from fastrace.models.weights import find_imagenet

        backbone = get_modality(chosen).backbone
        readers = (SMALL, backbone) if find_imagenet(backbone) else (SMALL,)
    return AuditRequest(dataset.path, out, chosen, named, readers=readers, **options)


def public_arguments(request: AuditRequest) -> dict[str, Any]:
    """The options as a report shows them: without folders."""
    plain = {key: value for key, value in request.to_json().items() if key not in ("data", "out")}
    del plain["salt"]
    return {
        **plain,
        "readers": [_without_folder(text) for text in request.readers],
        "embeddings": [embeddings_text(text) for text in request.embeddings],
    }


def embeddings_files(text: str) -> tuple[Path, Path | None]:
    """``FILE`` or ``FILE.npy=KEYS``: the vectors, and the table that names their rows if one is named."""
    found = re.fullmatch(r"(.*?\.npy)=(.+)", text, re.IGNORECASE | re.DOTALL)
    return (Path(text), None) if found is None else (Path(found[1]), Path(found[2]))


def embeddings_text(text: str) -> str:
    """An embeddings file without its folders."""
    file, keys = embeddings_files(text)
    return file.name + ("" if keys is None else f"={keys.name}")


def _without_folder(text: str) -> str:
    """``NAME=/where/it/lies/FILE`` as ``NAME=FILE``: a report shows no folders."""
    name, equals, file = text.partition("=")
    return name + equals + (Path(file).name if file else "")


def command_line(request: AuditRequest) -> str:
    """The command that repeats this audit."""
    words = ["fastrace", "audit", "DATA", "--modality", request.modality, "--target", request.target]
    for name in request.classes:
        words += ["--class", name]
    for text in request.readers or ("none",):
        words += ["--readers", _without_folder(text)]
    for text in request.embeddings:
        words += ["--embeddings", embeddings_text(text)]
    for text in request.key:
        words += ["--key", text]
    for text in request.covariates:
        words += ["--covariate", text]
    for text in request.no_covariate:
        words += ["--no-covariate", text]
    if request.only:
        words += ["--only", ",".join(request.only)]
    words += ["--permutations", str(request.permutations)]
    if request.device != "auto":
        words += ["--device", request.device]
    return shlex.join([*words, "--seed", str(request.seed), "--out", "AUDIT"])
