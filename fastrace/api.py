"""fastrace from Python: what the commands do, as functions, and the values that they take and return.

Importing this module costs nothing: torch and the rest are loaded when a function needs them. Results are aggregates; no function
scores single patients. Every function raises `fastrace.errors.FastraceError`, with one line that names what is wrong and what to
do. A module of its own, because `fastrace.audit` and the others are packages; 400 lines, as half of it is what an editor shows
of the six functions.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from fastrace.audit.document import Audit
    from fastrace.console.progress import Progress, TerminalProgress
    from fastrace.dataset import Dataset
    from fastrace.degrade.grammar import Degradation
    from fastrace.preprocess.summary import Summary
    from fastrace.train.run import Outcome

__all__ = [
    "Audit",
    "Dataset",
    "Degradation",
    "Outcome",
    "Progress",
    "Summary",
    "TerminalProgress",
    "audit",
    "evaluate",
    "phantom",
    "plan_audit",
    "preprocess",
    "read_audit",
    "report",
    "train",
]

Place: TypeAlias = str | os.PathLike[str]
Size: TypeAlias = tuple[int, int]

_VALUES = {
    "Audit": "fastrace.audit.document",
    "Dataset": "fastrace.dataset",
    "Degradation": "fastrace.degrade.grammar",
    "Outcome": "fastrace.train.run",
    "Progress": "fastrace.console.progress",
    "Summary": "fastrace.preprocess.summary",
    "TerminalProgress": "fastrace.console.progress",
}


def __getattr__(name: str) -> Any:
    """A value, loaded when it is first named."""
    if name not in _VALUES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_VALUES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def phantom(
    out: Place,
    *,
    modality: Literal["mammo", "cxr"] = "mammo",
    patients: int = 120,
    images_per_patient: int = 2,
    kind: Literal["texture", "phase", "patch", "intensity"] = "texture",
    band: tuple[float, float] | None = None,
    strength: float | None = None,
    patch: tuple[float, float, float, float] | None = None,
    confounders: Sequence[tuple[str, float]] = (),
    prevalence: float = 0.5,
    seed: int = 0,
    size: Size = (512, 384),
    progress: Progress | None = None,
) -> Path:
    """Make a synthetic DICOM archive of two groups, "A" and "B", with a planted leak (`fastrace phantom`).

    Parameters
    ----------
    out : path
        New or empty folder; the truth is written beside it, to ``OUT.truth.json``.
    modality : "mammo" | "cxr"
    patients, images_per_patient : int
    kind : "texture" | "phase" | "patch" | "intensity"
        What group B carries.
    band : (float, float), optional
        Of the leak, cycles along the long side of the stored image; the default is 20 to 40.
    strength : float, optional
        rms of the leak over rms of the rest inside the band, or standard deviations between patients for intensity; 0 for a
        control.
    patch : (float, float, float, float), optional
        Top, bottom, left and right of the region of kind patch, fractions of height and width.
    confounders : sequence of (str, float)
        ``density``, ``age`` or ``scanner``, each with its AUC alone.
    prevalence : float
        Share of patients in group B.
    seed : int
        The same seed gives the same files.
    size : (int, int)
        Rows and columns of the stored images.
    progress : Progress, optional

    Returns
    -------
    Path
        ``labels.csv``: patient_id, group, and density where it is a confounder.

    Raises
    ------
    UsageError
    """
    from fastrace.errors import UsageError
    from fastrace.phantom import PhantomSpec, make

    if kind == "intensity" and band is not None:
        raise UsageError("--band: the band of kind intensity follows from the anatomy; leave the option out")
    chosen: dict[str, Any] = {"band_cycles": band, "strength": strength}
    chosen = {name: value for name, value in chosen.items() if value is not None}  # else the kind's own
    spec = PhantomSpec(
        modality=modality,
        patients=patients,
        images_per_patient=images_per_patient,
        size=size,
        kind=kind,
        prevalence=prevalence,
        seed=seed,
        patch=patch,
        confounders=tuple(confounders),
        **chosen,
    )
    make(Path(out), spec, progress=progress)
    return Path(out) / "labels.csv"


def preprocess(
    sources: Place | Sequence[Place],
    out: Place,
    *,
    modality: str,
    body_parts: Sequence[str] = (),
    views: Sequence[str] = (),
    intents: Sequence[str] = (),
    image_types: Sequence[str] = (),
    labels: Place | None = None,
    key: str | Sequence[str] = (),
    columns: Sequence[str] = (),
    categories: Place | None = None,
    match: Sequence[str] = (),
    patient_from: Place | Literal["table", "header"] | None = None,
    sex_and_age_from: Literal["header", "table"] | None = None,
    patient_pattern: str | None = None,
    policy: Literal["consistent", "first", "last", "majority", "any"] = "consistent",
    bins: Sequence[str] = (),
    size: Size | None = None,
    voi: str | Sequence[str] | None = None,
    dtype: Literal["uint16", "uint8"] = "uint16",
    resize: Literal["area", "lanczos"] = "area",
    decode: Literal["exact", "reduced"] = "exact",
    salt: Place | None = None,
    jobs: int | None = None,
    max_pixels: int = 1 << 28,
    rows_per_shard: int | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Turn DICOM or raster files and a table of labels into a dataset (`fastrace preprocess`).

    Worker processes are spawned: a script that calls this must be a file, and do so below ``if __name__ == "__main__":``.

    Parameters
    ----------
    sources : path or sequence of path
        Files, folders (searched recursively) or a DICOMDIR.
    out : path
        The dataset's folder; the private one is made beside it. An interrupted call goes on when it is repeated.
    modality : str
        ``mammo``, ``cxr``, ``ct``, ``hand``, ``cspine`` or ``any``: what is kept, window, crop, size.
    body_parts : sequence of str
        Values of Body Part Examined (0018,0015) kept beside the modality's; ``any`` keeps all.
    views, intents : sequence of str
        Views (``CC``, ``PA``, ...) and presentation intents (``presentation``, ``processing``) kept instead of the modality's;
        ``any`` keeps all.
    image_types : sequence of str
        Kinds of image kept beside the usual one of the modality, such as ``tomosynthesis``; ``any`` keeps all.
    labels : path, optional
        Table with the attribute, and a column that names the patient, study, accession, image or path.
    key, columns, categories, match, patient_pattern, policy, bins, dtype, resize, decode, salt, max_pixels, rows_per_shard
        As the options of the command.
    patient_from : "table" | "header" | path, optional
        Whose patient counts where table and headers differ; without it that is an error. A file says who ids of the headers are;
        an id that it does not name stays what it is.
    sex_and_age_from : "header" | "table", optional
        Whose sex and age count where header and table differ; without it the header's, unless they differ in most patients, which
        is an error.
    voi : str or sequence of str, optional
        Each as ``--voi``; of several, the first that applies to an image is used.
    size : (int, int), optional
        Rows and columns of the images; the default is the modality's.
    jobs : int, optional
        Worker processes; the default is as many as processors may be used.
    progress : Progress, optional

    Returns
    -------
    Summary
        Counts of every input, indexed or rejected by reason; ``data`` is the folder of the dataset, for `Dataset.open`.

    Raises
    ------
    UsageError
        Sources, table or options that cannot be used.
    DatasetError
        A folder that cannot be written or holds something else; none of the inputs could be used.
    """
    from fastrace.preprocess.recipe import job_for
    from fastrace.preprocess.run import preprocess as run

    job = job_for(
        tuple(map(Path, _several(sources))), Path(out), modality, body_parts=_several(body_parts), views=_several(views),
        intents=_several(intents), image_types=_several(image_types), size=size, voi=voi, dtype=dtype, resize=resize,
        decode=decode, jobs=jobs,
        labels=_path(labels), key=_several(key), columns=_several(columns), categories=_path(categories),
        match=_several(match), patient_from=None if patient_from is None else os.fspath(patient_from),
        sex_and_age_from=sex_and_age_from, patient_pattern=patient_pattern, policy=policy, bins=_several(bins),
        salt=_path(salt), max_pixels=max_pixels, rows_per_shard=rows_per_shard,
    )  # fmt: skip
    return run(job, progress)


def train(
    data: Place,
    out: Place,
    *,
    target: str | None = None,
    classes: Sequence[str] = (),
    modality: str | None = None,
    recipe: Literal["current", "paper"] = "current",
    model: str | None = None,
    init: str = "auto",
    degrade: str | Degradation = "none",
    variant: Literal["corrected", "released-code"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    split: Literal["patient", "official"] = "patient",
    leave_out_shared: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compile: bool | None = None,
    resume: bool = False,
    trust: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Train a classifier of an attribute and test it by patient (`fastrace train`).

    Parameters
    ----------
    data, out : path
        A dataset, and a new folder for the run.
    target : str, optional
        The column of the classes; the default is the only attribute column.
    classes : sequence of str
        Values used; empty: all.
    modality, recipe, model, init, epochs, batch_size, learning_rate, split, leave_out_shared, device, compile
        As the options of the command; None: the modality's, the recipe's or the dataset's.
    degrade : str or Degradation
        Done to all images, such as ``band:10:50``.
    variant : "corrected" | "released-code", optional
        The default is that of ``degrade``, ``corrected`` for text.
    seed : int
        Of split, weights, order and noise.
    resume : bool
        Go on with an interrupted run; a finished one is only read.
    trust : bool
        Use the dataset's pixels as they are, without comparing them with their digests first.
    progress : Progress, optional

    Returns
    -------
    Outcome
        ``folder`` and ``metrics``: AUCs of the test patients with intervals.

    Raises
    ------
    FastraceError
    """
    from fastrace.dataset import Dataset

    dataset = Dataset.open(Path(data))
    from fastrace.train.options import options_for  # after what can be refused: it imports torch
    from fastrace.train.run import train as run

    options = options_for(
        dataset, Path(out), target=target, classes=_several(classes), modality=modality, recipe=recipe,
        model=model, init=init, degrade=degrade, variant=variant, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, seed=seed, split=split, leave_out_shared=leave_out_shared, device=device,
        compile=compile,
    )  # fmt: skip
    return run(options, resume=resume, trust=trust, progress=progress)


def evaluate(
    run: Place,
    data: Place,
    *,
    degrade: str | Degradation = "none",
    batch_size: int = 32,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    trust: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a trained run on labelled data (`fastrace evaluate`); on its own training data, its test patients alone.

    Parameters
    ----------
    run, data : path
    degrade : str or Degradation
        Done to the images before the run's own degradation.
    batch_size : int
    device : "auto" | "cpu" | "cuda"
    trust : bool
        Use the dataset's pixels as they are, without comparing them with their digests first.
    progress : Progress, optional

    Returns
    -------
    dict
        AUCs with intervals, over all patients and within strata; plain types, as the command prints with ``--json``.

    Raises
    ------
    FastraceError
        No run, another preprocessing, no such label, fewer than 30 labelled patients; a run or a dataset that was changed.
    """
    from fastrace.dataset import Dataset
    from fastrace.degrade.parser import read
    from fastrace.run_folder import RunFolder

    RunFolder(Path(run)).read_json("metrics.json")
    Dataset.open(Path(data))
    from fastrace.evaluate import Evaluation  # after what can be refused: it imports torch
    from fastrace.evaluate import evaluate as score

    return score(Evaluation(Path(run), Path(data), read(degrade), batch_size, device, trust), progress=progress)


def audit(
    data: Place,
    out: Place,
    *,
    target: str | None = None,
    classes: Sequence[str] = (),
    modality: str | None = None,
    readers: Sequence[str] | None = None,
    embeddings: Place | Sequence[Place] = (),
    key: str | Sequence[str] = (),
    salt: Place | None = None,
    covariates: Sequence[str] = (),
    no_covariate: Sequence[str] = (),
    only: Sequence[str] = (),
    seed: int = 0,
    permutations: int = 999,
    variant: Literal["corrected"] = "corrected",
    purpose: str | None = None,
    keep_work: bool = False,
    resume: bool = False,
    trust: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Is an attribute readable from images, and where, with controls (`fastrace audit`)?

    Parameters
    ----------
    data, out : path
        A dataset, and a new folder for the audit.
    target : str, optional
        The attribute; the default is the only attribute column.
    classes : sequence of str
        Values used; empty: all with at least 11 patients.
    modality : str, optional
        Decides the published numbers shown beside; the default is the dataset's.
    readers : sequence of str, optional
        Beside the built-in features: ``small``, a timm model, ``NAME=FILE``, ``package.module:function``; the default is the
        small network, and the modality's backbone where its weights are on this machine. docs/readers.md.
    embeddings : path or sequence of path
        Vectors that models elsewhere computed, each file a reader: Parquet, or ``FILE.npy`` beside the table of its rows
        ``FILE.csv``, or ``FILE.npy=KEYS``.
    key : str or sequence of str
        ``KIND=COLUMN``: the column of these files that names the image, path, study or patient; the default is known by its name.
    salt : path, optional
        The salt of the dataset, with which ids are hashed; the default is the one in its private folder.
    covariates : sequence of str
        ``COLUMN[:SET]``: columns that are covariates even where they would be kept apart, and in which set (``acquisition``,
        ``body``, ``clinical`` or another name). The others are known by their names.
    no_covariate : sequence of str
        Columns that are no covariates.
    only : sequence of str
        Questions or experiments wanted (``Q2``, ``C1a``); empty: all.
    seed : int
        Of folds, permutations, noise and controls.
    permutations : int
    variant : "corrected"
    purpose : str, optional
        Why this audit is made; printed in the report.
    keep_work : bool
        Keep feature tables and scores of patients in the folder.
    resume : bool
        Go on with an interrupted audit; a finished one is only read.
    trust : bool
        Use the dataset's pixels as they are, without comparing them with their digests first; the report then says so.
    device : "auto" | "cpu" | "cuda"
        Where images are degraded and read, and the network trained; probes run on the CPU.
    jobs : int, optional
        Threads; the default is one for each processor.
    progress : Progress, optional

    Returns
    -------
    Audit
        The content of ``OUT/audit.json``.

    Raises
    ------
    FastraceError
    """
    from fastrace.audit.request import request_for
    from fastrace.dataset import Dataset

    request = request_for(
        Dataset.open(Path(data)), Path(out), target=target, classes=_several(classes), modality=modality,
        readers=None if readers is None else _several(readers),
        embeddings=tuple(map(os.fspath, _several(embeddings))), key=_several(key), salt=_path(salt),
        covariates=_several(covariates), no_covariate=_several(no_covariate),
        only=_several(only), seed=seed, permutations=permutations,
        variant=variant, purpose=purpose, keep_work=keep_work, trust=trust, device=device, jobs=jobs,
    )  # fmt: skip
    from fastrace.audit.run import audit as run  # after what can be refused: it imports torch

    return run(request, resume=resume, progress=progress)


def plan_audit(
    data: Place,
    *,
    target: str | None = None,
    classes: Sequence[str] = (),
    modality: str | None = None,
    readers: Sequence[str] | None = None,
    only: Sequence[str] = (),
) -> str:
    """What would an audit find with these patients? (`fastrace audit --plan`) No image is read, no folder made.

    Parameters are those of `audit`.

    Returns
    -------
    str
        The patients, the smallest AUCs found with 80 % power, and the patients that smaller ones would need.

    Raises
    ------
    FastraceError
    """
    from fastrace.audit.minimum import plan
    from fastrace.audit.request import request_for
    from fastrace.dataset import Dataset

    return plan(
        request_for(
            Dataset.open(Path(data)), Path(), target=target, classes=_several(classes), modality=modality,
            readers=None if readers is None else _several(readers), only=_several(only),
        )
    )  # fmt: skip


def read_audit(folder: Place) -> Audit:
    """Read the audit of a folder.

    Raises
    ------
    RunError
        No audit there, changed after it was written, damaged (with the place inside the document), or of another schema.
    """
    from fastrace.audit.document import read

    return read(Path(folder))


def report(audit: Place) -> Path:
    """Write ``report.html``, ``figures/`` and ``tables/`` into the folder of an audit (`fastrace report`).

    Returns
    -------
    Path
        The page.

    Raises
    ------
    RunError
    """
    from fastrace.report import write

    return write(Path(audit))


def _several(given: Any) -> tuple[Any, ...]:
    """A sequence as it is; text or a path as one element: as a sequence it would be its letters."""
    return (given,) if isinstance(given, str | os.PathLike) else tuple(given)


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
