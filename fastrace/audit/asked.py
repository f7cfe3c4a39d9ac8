"""What is asked of an audit: the options, which experiments they mean, and whether a folder belongs to them."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fastrace.audit.cells import MANY
from fastrace.audit.document import self_reported
from fastrace.audit.protocol import Experiment, experiments
from fastrace.dataset import Dataset
from fastrace.errors import RunError, UsageError
from fastrace.models import SMALL
from fastrace.run_folder import RunFolder
from fastrace.train.cohort import choose_target


@dataclass(frozen=True)
class Audit:
    """What is asked.

    Attributes
    ----------
    data, out : Path
    modality : str
        Decides the published numbers shown beside, and the backbone.
    target : str or None
        None: the only attribute column.
    classes : tuple of str
        Empty: all with enough patients.
    features : tuple of str
        Beside the built-in ones: ``small``, a timm model, ``NAME=FILE``.
    only : tuple of str
        Questions (``Q2``) or experiments (``C1``, ``C1a``) wanted; empty: all. A1 always runs.
    seed, permutations : int
    variant : str
        ``corrected``: what the study's text says, not what its released code did.
    purpose : str or None
    keep_work : bool
        Leave feature tables, scores and the small network in the folder.
    """

    data: Path
    out: Path
    modality: str
    target: str | None = None
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = (SMALL,)
    only: tuple[str, ...] = ()
    seed: int = 0
    permutations: int = MANY
    variant: str = "corrected"
    purpose: str | None = None
    keep_work: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain types; paths as typed."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def check_place(folder: RunFolder, asked: Audit, dataset: Dataset, resume: bool) -> None:
    """Refuse a folder that holds another audit, or one that was not to be resumed.

    Raises
    ------
    RunError
    """
    if not folder.exists:
        return
    finished = (folder.path / "audit.json").is_file()
    if not resume:
        what = "a finished audit" if finished else "an audit that was interrupted"
        hint = "choose another --out" if finished else "go on with --resume, remove the folder, or choose another --out"
        raise RunError(f"{folder.path}: holds {what}; {hint}")
    before = folder.read_json("run.json")
    if before.get("command") != "audit":
        raise RunError(f"{folder.path}: holds a run of `fastrace {before.get('command')}`; choose another --out")
    arguments = json.loads(json.dumps(asked.to_json()))
    free = ("data", "out", "purpose", "keep_work")
    different = [key for key in arguments if key not in free and arguments[key] != before["arguments"].get(key)]
    if before.get("dataset", {}).get("fingerprint") != dataset.fingerprint:
        different.insert(0, "the dataset")
    if different:
        raise RunError(
            f"{folder.path}: --resume needs the options of that audit ({', '.join(different)} differ); choose another --out"
        )


def wanted_experiments(asked: Audit, dataset: Dataset) -> tuple[Experiment, ...]:
    """The protocol, or the part of it that was asked for; the primary question always.

    Raises
    ------
    UsageError
        An unknown question, experiment or variant.
    """
    if asked.variant != "corrected":
        raise UsageError(f"--variant {asked.variant}: only 'corrected' is built")
    every = experiments(asked.modality, dataset.size)
    if not self_reported(choose_target(dataset, asked.target)):
        # What was printed is about race: beside another attribute it would mean nothing.
        every = tuple(replace(one, paper=None, released_code=None) for one in every)
    if not asked.only:
        return every
    known = {one.question for one in every} | {one.id for one in every} | {one.id[:2] for one in every}
    unknown = [name for name in asked.only if name not in known]
    if unknown:
        raise UsageError(f"--only {','.join(unknown)}: unknown; choose from {', '.join(sorted(known))}")
    names = tuple(asked.only)
    return tuple(one for one in every if one.id == "A1" or one.question in names or one.id.startswith(names))


def public_arguments(asked: Audit) -> dict[str, Any]:
    """The options as a report shows them: without folders."""
    plain = {key: value for key, value in asked.to_json().items() if key not in ("data", "out")}
    return {**plain, "features": [_without_folder(text) for text in asked.features]}


def _without_folder(text: str) -> str:
    """``NAME=/where/it/lies/FILE`` as ``NAME=FILE``: a report tells nobody's folders."""
    name, equals, file = text.partition("=")
    return name + equals + (Path(file).name if file else "")


def command_line(asked: Audit, target: str) -> str:
    """The command that repeats this audit."""
    words = ["fastrace", "audit", "DATA", "--modality", asked.modality, "--target", target]
    for name in asked.classes:
        words += ["--class", name]
    for text in asked.features or ("none",):
        words += ["--features", _without_folder(text)]
    if asked.only:
        words += ["--only", ",".join(asked.only)]
    words += ["--permutations", str(asked.permutations)]
    return shlex.join([*words, "--seed", str(asked.seed), "--out", "AUDIT"])
