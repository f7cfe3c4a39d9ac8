"""The archive: files, labels and, beside it, the truth.

Everything random comes from one seed through streams of their own (``patients``); file names depend on nothing
else. Bytes are equal for equal arguments and equal versions of numpy, scipy and the codecs on the same kind of processor.
"""

from __future__ import annotations

import json
from pathlib import Path

from fastrace.console.progress import Progress
from fastrace.errors import UsageError
from fastrace.phantom.patients import NAMES, patients, stream
from fastrace.phantom.record import Record
from fastrace.phantom.render import render
from fastrace.phantom.spec import PhantomSpec
from fastrace.phantom.write import file_bytes

_SUFFIXES = ("", "", ".dcm", ".DCM", ".ima", ".001", ".img")


def truth_path(out: Path) -> Path:
    """Where the truth about the archive ``out`` lies: beside it, never inside."""
    folder = Path(out).absolute()
    return folder.with_name(folder.name + ".truth.json")


def make(out: Path, spec: PhantomSpec, *, progress: Progress | None = None) -> None:
    """Write the archive ``out`` with its ``labels.csv``, and ``<out>.truth.json`` beside it.

    Parameters
    ----------
    out : pathlib.Path
        A folder that does not exist yet, or is empty.
    spec : PhantomSpec
        What to make.
    progress : Progress, optional

    Raises
    ------
    UsageError
        If ``out`` is a file or a folder that holds something, or cannot be written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; name a folder that does not exist yet")
    try:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"--out {out}: the folder is not empty; name a new one or empty it")
        out.mkdir(parents=True, exist_ok=True)
        with progress or Progress() as shown:
            _write_archive(out, spec, shown)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror or error}") from error


def _file_names(spec: PhantomSpec) -> list[str]:
    """Names that hold no information: folders that are no patients, suffixes that differ without a reason."""
    rng = stream(spec, NAMES)
    folders = max(1, spec.images // 40)
    return [
        f"export_{rng.integers(folders):03d}/{'IM' if rng.random() < 0.5 else 'I'}{number:06d}"
        f"{_SUFFIXES[rng.integers(len(_SUFFIXES))]}"
        for number in rng.permutation(spec.images)
    ]


def _labels(spec: PhantomSpec) -> str:
    """Text of labels.csv: group of each patient, and density where it is a confounder."""
    lines = []
    for patient in patients(spec):
        density = "" if patient.density is None else f",{patient.density:.2f}"
        lines.append(f"{patient.patient_id},{patient.group}{density}")
    has_density = any(name == "density" for name, _ in spec.confounders)
    return "\n".join([f"patient_id,group{',density' if has_density else ''}", *lines]) + "\n"


def _write_archive(out: Path, spec: PhantomSpec, progress: Progress) -> None:
    record = Record(spec)
    progress.begin("phantom", spec.images, "files")
    for done, (name, image) in enumerate(zip(_file_names(spec), render(spec), strict=True), start=1):
        target = out / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file_bytes(image.words, image.shot, image.patient.convention))
        record.add(image)
        progress.reach(done)
    (out / "labels.csv").write_text(_labels(spec), encoding="utf-8")
    truth_path(out).write_text(json.dumps(record.truth(), indent=2) + "\n", encoding="utf-8")
