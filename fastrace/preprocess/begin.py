"""Before the first file is read: what the inputs are, whether the output folder may be used, whether it will fit.

Everything that can be refused is refused here, in an order that leaves no folder behind for a mistyped option.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from fastrace.cohort.bins import check_sources
from fastrace.cohort.labels import Labels, read_labels
from fastrace.cohort.patients import read_patients
from fastrace.dataset import SCHEMA
from fastrace.errors import DatasetError, UsageError
from fastrace.files import make_folder, write_atomic
from fastrace.preprocess.parts import part_file
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Listing, Source, listing_hash, scan
from fastrace.preprocess.store import private_folder, state_hash


def inputs(job: Job) -> Listing:
    """The files to read: what lies in the sources, but for the job's other files and the dataset it makes.

    Raises
    ------
    UsageError
        If a source does not exist, or none holds a file.
    """
    sources = scan(job.sources, (*job.join.files, job.salt, job.out, private_folder(job.out)))
    if not sources:
        raise UsageError(f"{', '.join(map(str, job.sources))}: no files there")
    return sources


def labels_of(job: Job) -> Labels | None:
    """The label table, read; options about it need it."""
    join = job.join
    if join.labels is not None:
        labels = read_labels(
            join.labels, key=join.key, columns=join.columns, categories=join.categories, match=join.match, policy=join.policy,
            bins=join.bins, over_headers=join.sex_and_age_from == "table",
            persons=None if join.patients_file is None else read_patients(join.patients_file),
        )  # fmt: skip
        check_sources(join.bins, labels.columns, labels.facts or {})
        return labels
    for option, given in (
        ("--key", join.key),
        ("--column", join.columns),
        ("--categories", join.categories),
        ("--match", join.match),
        ("--policy", join.policy != "consistent"),
        ("--patient-from", join.patient_from in ("table", "header")),
        ("--sex-and-age-from", join.sex_and_age_from is not None),
    ):
        if given:
            raise UsageError(f"{option} is about the label table; name it with --labels FILE")
    check_sources(join.bins, (), {})
    return None


def check_place(job: Job, private: Path) -> None:
    """Refuse an output folder that is not ours; makes nothing."""
    if job.out.exists() and not job.out.is_dir():
        raise DatasetError(f"{job.out}: a file of this name is in the way; choose another --out")
    foreign = job.out.is_dir() and any(job.out.iterdir()) and not (private / "state.json").is_file()
    if foreign:
        raise DatasetError(f"{job.out}: not empty and not an unfinished dataset of this fastrace; choose another --out")


def make_folders(job: Job, private: Path) -> None:
    """Make both folders, so that they survive a power cut; an unusable salt is refused before."""
    _given_salt(job)
    make_folder(private, 0o700)
    private.chmod(0o700)
    make_folder(private / "parts", 0o700)
    make_folder(job.out)


def _given_salt(job: Job) -> bytes | None:
    given = None if job.salt is None else job.salt.read_bytes()
    if given is not None and not 16 <= len(given) <= 64:
        raise UsageError(f"--salt {job.salt}: has {len(given)} bytes, a salt has 16 to 64 (32 are usual)")
    return given


def prepare(job: Job, private: Path) -> bytes:
    """The salt: kept from an earlier run, given, or new. Needs the lock, or two runs would have one each."""
    given = _given_salt(job)
    kept = private / "salt"
    if kept.is_file():
        salt = kept.read_bytes()
        if given is not None and given != salt:
            raise DatasetError(f"{kept}: holds another salt than --salt {job.salt}; choose another --out")
        return salt
    salt = given or secrets.token_bytes(32)
    write_atomic(kept, salt, 0o600)
    return salt


def claim(job: Job, private: Path, sources: Sequence[Source], labels: Labels | None) -> None:
    """Note what is being made, or check that it is what was being made."""
    inputs_hash = state_hash(listing_hash(sources), _labels_hash(labels), _who_hash(job))
    state = private / "state.json"
    if not state.is_file() or not part_file(private, 0).is_file():  # nothing is kept yet: other options may follow
        write_atomic(
            state, json.dumps({"schema": SCHEMA, "recipe": job.recipe.as_json(), "inputs": inputs_hash}).encode(), 0o600
        )
        return
    before = json.loads(state.read_text())
    if before.get("schema") != SCHEMA:
        raise DatasetError(
            f"{job.out}: begun by a fastrace that writes schema {before.get('schema', 'before 3')}, this one writes {SCHEMA}; "
            "choose another --out (with --salt to keep the keys)"
        )
    differences = job.recipe.differences(before["recipe"])
    if differences:
        raise DatasetError(f"{job.out}: made with another recipe ({'; '.join(differences)}); choose another --out")
    if before["inputs"] != inputs_hash:
        raise DatasetError(
            f"{job.out}: the archive, the label table or the options about patients changed since this dataset was begun; "
            "rows never move in a dataset, so make a new one with another --out (with --salt to keep the keys)"
        )


def _labels_hash(labels: Labels | None) -> str:
    return "" if labels is None else state_hash(labels.key, labels.columns, labels.rows, labels.conflicts, labels.match)


def _who_hash(job: Job) -> str:
    join = job.join
    patients = None if join.patients_file is None else sorted(read_patients(join.patients_file).rows.items())
    return state_hash(patients or join.patient_from, join.patient_pattern, join.bins, join.sex_and_age_from)


def check_room(job: Job, files: int) -> None:
    """Refuse at once what cannot end well: one image of each file must fit, as far as not written yet."""
    height, width = job.recipe.size
    needed = files * height * width * (2 if job.recipe.dtype == "uint16" else 1)
    written = sum(file.stat().st_size for file in job.out.glob("images-*.npy"))
    free = shutil.disk_usage(job.out).free
    if needed - written > free:
        raise DatasetError(
            f"{job.out}: about {needed / 1e9:.2f} GB needed for {files} files, {free / 1e9:.2f} GB free; make room, choose "
            "another --out, a smaller --size or --dtype uint8"
        )
