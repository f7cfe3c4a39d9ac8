"""A run on disk: a folder for its owner alone (mode 0700) that records how everything in it was made.

::

    RUN/run.json             arguments, versions, seeds, dataset fingerprint, hardware, split, what was left out; when finished,
                             digests of the other files
    RUN/split.parquet        patient key, part
    RUN/thumbnails.parquet   patient key, perceptual hash of the images that the model learns from
    RUN/state.pt             while training: the last finished epoch (`--resume` starts there)
    RUN/history.parquet      one row per epoch
    RUN/checkpoint.pt        weights with preprocessing, classes and degradation; no patient
    RUN/predictions.parquet  scores of the test part, keyed ids
    RUN/metrics.json         written last: a run that has it is finished
    RUN/evaluations/         what `fastrace evaluate` found

Every JSON document and every file of tensors carries the digest of its own content, which reading it checks.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.digest import bytes_hash, document_digest, file_hash
from fastrace.errors import RunError, UsageError
from fastrace.files import make_folder, write_atomic, write_parquet

SCHEMA = 2  # 1 had no digests
DIGEST = "digest"  # the field that holds the digest of the rest


class RunFolder:
    """Paths and atomic writes of one run.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        """A run was begun here."""
        return (self.path / "run.json").is_file()

    @property
    def finished(self) -> bool:
        """It was trained and scored."""
        return (self.path / "metrics.json").is_file()

    def create(self) -> None:
        """Make the folder, or take an empty one.

        Raises
        ------
        RunError
            If it holds something else, or cannot be written.
        """
        try:
            make_folder(self.path, 0o700)
            if not self.exists and any(child.name != "lock" for child in self.path.iterdir()):
                raise RunError(f"{self.path}: not empty and no run of fastrace; choose another --out")
            self.path.chmod(0o700)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); choose another --out") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out; the operating system frees the lock when this one dies.

        Raises
        ------
        RunError
        """
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise RunError(
                f"{self.path}: in use by another fastrace process; wait for it or choose another --out"
            ) from error
        try:
            yield
        finally:
            os.close(handle)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Indented, keys in the order given, its digest last, numbers exact; NaN is refused."""
        with writing(self.path / name):
            make_folder((self.path / name).parent, 0o700)
            write_atomic(self.path / name, json_text(content), 0o600)

    def seal(self, files: Iterable[str], last: str, content: bytes) -> None:
        """Finish: ``run.json`` gets the digests of these files and of ``last``, which is then written and marks the end."""
        digests = {name: file_hash(self.path / name) for name in files}
        run = self.read_json("run.json")
        self.write_json("run.json", {**run, "files": {**digests, last: bytes_hash(content)}})
        self.write_bytes(last, content)

    def check(self, *names: str) -> None:
        """Compare files of a finished run with the digests in ``run.json``.

        Raises
        ------
        RunError
            Naming the first that is missing, was changed or is not listed.
        """
        listed = self.read_json("run.json").get("files", {})
        for name in names:
            file = self.path / name
            try:
                found = file_hash(file)
            except OSError as error:
                raise RunError(
                    f"{file}: cannot be read ({error.strerror}); restore it from a copy or train again"
                ) from error
            if found != listed.get(name):
                raise RunError(
                    f"{file}: changed after the run was finished (run.json has another digest); restore it from a copy or train "
                    f"again; `fastrace verify {self.path}` names all that changed"
                )

    def read_json(self, name: str) -> dict[str, Any]:
        """A document of this run, without its digest, which is checked.

        Raises
        ------
        RunError
            Missing, damaged, or changed after it was written.
        """
        file = self.path / name
        try:
            content = json.loads(file.read_text())
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path}: no finished run here ({name} is missing); make one with `fastrace train`"
            ) from error
        except (OSError, ValueError) as error:
            raise RunError(f"{file}: cannot be read ({error})") from error
        if not isinstance(content, dict):
            raise RunError(f"{file}: not a document of fastrace")
        stated = content.get(DIGEST)
        if stated is None:
            raise RunError(f"{file}: has no digest: made by an earlier version of fastrace, or edited; make it again")
        if stated != document_digest(content, without=DIGEST):
            raise RunError(
                f"{file}: changed after it was written (its content does not have the digest that it states); restore it from a "
                "copy or make it again"
            )
        del content[DIGEST]
        return content

    def write_bytes(self, name: str, content: bytes) -> None:
        """A file of ready content."""
        with writing(self.path / name):
            write_atomic(self.path / name, content, 0o600)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """A parquet file."""
        with writing(self.path / name):
            write_parquet(table, self.path / name)

    def write_tensors(self, name: str, content: Mapping[str, Any]) -> None:
        """Tensors, numbers, strings, lists and dictionaries: what ``weights_only=True`` reads back, with its digest."""
        import torch

        buffer = io.BytesIO()
        torch.save({**content, DIGEST: tensors_digest(content)}, buffer)
        with writing(self.path / name):
            write_atomic(self.path / name, buffer.getvalue(), 0o600)

    def read_tensors(self, name: str) -> dict[str, Any]:
        """Read what `write_tensors` wrote and check its digest; runs no code from the file.

        Raises
        ------
        RunError
        """
        import torch

        file = self.path / name
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise RunError(f"{self.path}: no {name} here; make a run with `fastrace train`") from error
        except (
            Exception
        ) as error:  # the unpickler fails in many ways on bytes that are none (IndexError, KeyError, ...)
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(f"{file}: cannot be read as a checkpoint ({reason[:120]})") from error
        if not isinstance(content, dict):
            raise RunError(f"{file}: not a file of fastrace")
        stated = content.pop(DIGEST, None)
        if stated != tensors_digest(content):
            what = (
                "has no digest: made by an earlier version of fastrace"
                if stated is None
                else "changed after it was written"
            )
            raise RunError(f"{file}: {what}; restore it from a copy or train again")
        return content


def json_text(content: Mapping[str, Any]) -> bytes:
    """A document as it is written: with the digest of its content, see `fastrace.digest.document_digest`."""
    plain = json.loads(json.dumps(content, allow_nan=False))  # as whoever reads it will find it
    sealed = {**content, DIGEST: document_digest(plain, without=DIGEST)}
    return (json.dumps(sealed, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def tensors_digest(content: Any) -> str:
    """BLAKE2b-128 of tensors, numbers, texts, lists and dictionaries; torch.load does not notice a flipped bit in a weight."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, content)
    return digest.hexdigest()


def _feed(digest: hashlib.blake2b, value: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        digest.update(f"{{{len(value)}".encode())
        for key, one in value.items():
            _feed(digest, key)
            _feed(digest, one)
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(f"{type(value).__name__}:{value!r}\n".encode())


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turn a full disk, or a folder that is missing or closed, into one line.

    Raises
    ------
    RunError
    """
    try:
        yield
    except OSError as error:
        file.with_name(file.name + ".part").unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise RunError(
            f"{file}: cannot be written ({reason}); make room or choose another --out, then --resume"
        ) from error


def single_run(runs: Path) -> Path:
    """The only run in a workspace.

    Raises
    ------
    UsageError
        None, or several.
    """
    found = sorted(path.parent for path in runs.glob("*/metrics.json"))
    if len(found) == 1:
        return found[0]
    listed = [str(path) for path in found]
    raise UsageError(f"{runs}: {'several runs; name one: ' + ', '.join(listed) if listed else 'no finished run here'}")


def environment(device: str) -> dict[str, Any]:
    """Versions and hardware, for ``run.json``."""
    import importlib.metadata

    import numpy as np
    import torch

    from fastrace import __version__
    from fastrace.kernels.bandpass import backend

    try:
        timm = importlib.metadata.version("timm")
    except importlib.metadata.PackageNotFoundError:
        timm = ""
    return {
        "fastrace": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "timm": timm,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})",
        "cuda": torch.version.cuda if device == "cuda" else None,
        "threads": torch.get_num_threads(),
        "bandpass": backend(device),
    }
