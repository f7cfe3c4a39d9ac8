"""Before anything is computed: which experiments run, and whether the folder belongs to this audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from fastrace.audit.document import FILE, SCHEMA
from fastrace.audit.experiments import Experiment, experiments
from fastrace.audit.model.function import is_function, source_digest
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.vector_files import files_digest
from fastrace.audit.request import AuditRequest, embeddings_files
from fastrace.audit.subjects import self_reported
from fastrace.cohort.vocabulary import KEYS
from fastrace.dataset import Dataset
from fastrace.errors import RunError, UsageError
from fastrace.run_folder import RunFolder


def inputs_of(request: AuditRequest) -> dict[str, str]:
    """What the user brought, by the name of the reader: digests of embeddings files and of the modules of functions.

    Raises
    ------
    UsageError
        A file that cannot be read, two readers of one name.
    """
    found: dict[str, str] = {}
    for text in dict.fromkeys(request.readers):
        if is_function(text):
            found[text] = source_digest(text)
    for text in request.embeddings:
        name = embeddings_files(text)[0].stem
        if name in found or name in (BUILT_IN, "small CNN"):
            raise UsageError(f"--embeddings {text}: there is a reader {name!r} already; rename the file")
        found[name] = files_digest(text)
    for text in request.key:
        kind, equals, _ = text.partition("=")
        if equals and kind not in KEYS:
            raise UsageError(f"--key {text}: a column names one of {', '.join(KEYS)}; for example --key patient=COLUMN")
    if request.embeddings or not (request.key or request.salt):
        return found
    raise UsageError(
        f"--{'key' if request.key else 'salt'} is about the ids of embeddings; name them with --embeddings FILE"
    )


def check_place(
    folder: RunFolder,
    request: AuditRequest,
    dataset: Dataset,
    inputs: Mapping[str, str],
    resume: bool,
) -> None:
    """Refuse a folder that holds another audit, or an interrupted one without ``resume``.

    Raises
    ------
    RunError
    """
    if not folder.exists:
        return
    finished = (folder.path / FILE).is_file()
    if not resume:
        what = "a finished audit" if finished else "an audit that was interrupted"
        hint = "choose another --out" if finished else "go on with --resume, remove the folder, or choose another --out"
        raise RunError(f"{folder.path}: holds {what}; {hint}")
    before = folder.read_json("run.json")
    if before.get("command") != "audit":
        raise RunError(f"{folder.path}: holds a run of `fastrace {before.get('command')}`; choose another --out")
    if before.get("schema") != SCHEMA:
        raise RunError(
            f"{folder.path}: holds an audit of schema {str(before.get('schema'))[:20]}, this fastrace writes schema {SCHEMA}; "
            "choose another --out"
        )
    arguments = json.loads(json.dumps(request.to_json()))
    free = ("data", "out", "purpose", "keep_work", "trust", "salt", "embeddings", "jobs")
    different = [key for key in arguments if key not in free and arguments[key] != before["arguments"].get(key)]
    if before.get("dataset", {}).get("fingerprint") != dataset.fingerprint:
        different.insert(0, "the dataset")
    known = before.get("inputs", {})
    changed = [name for name in sorted({*inputs, *known}) if inputs.get(name) != known.get(name)]
    if changed and not different:
        raise RunError(
            f"{folder.path}: {', '.join(changed)}: changed, added or left out since that audit began, so that its cells would be "
            "of several readers; choose another --out, or give the same files"
        )
    if different:
        raise RunError(
            f"{folder.path}: --resume needs the options of that audit ({', '.join(different)} differ); choose another --out"
        )


def wanted_experiments(request: AuditRequest, dataset: Dataset) -> tuple[Experiment, ...]:
    """The protocol, or the part of it that is wanted; the primary question always.

    Raises
    ------
    UsageError
        An unknown question, experiment or variant.
    """
    if request.variant != "corrected":
        raise UsageError(f"--variant {request.variant}: only 'corrected' is built")
    every = experiments(request.modality, dataset.size)
    if not self_reported(request.target):
        # The published numbers are about race: beside another attribute they mean nothing.
        every = tuple(replace(one, paper=None, released_code=None) for one in every)
    if not request.only:
        return every
    known = {one.question for one in every} | {one.id for one in every} | {one.id[:2] for one in every}
    unknown = [name for name in request.only if name not in known]
    if unknown:
        raise UsageError(f"--only {','.join(unknown)}: unknown; choose from {', '.join(sorted(known))}")
    names = tuple(request.only)
    return tuple(one for one in every if one.id == "A1" or one.question in names or one.id.startswith(names))
