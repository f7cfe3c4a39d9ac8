"""Small real datasets in which one class carries a texture in a band of frequencies, and audits of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastrace.audit.request import AuditRequest
from fastrace.audit.run import audit
from fastrace.console.progress import Progress
from fastrace.dataset import INDEX_COLUMNS, Dataset, file_hash, keyed_hash, shard_name, write_dataset

SALT = bytes(range(7, 39))
BAND = (10.0, 20.0)
HOSTILE = "<script>alert('x')</script>\"&\u202e=cmd|'/c calc'!A1; \u0627\u0644 y"


def texture(rng: np.random.Generator, size: tuple[int, int], low: float, high: float) -> np.ndarray:
    """White noise filtered to low <= r < high cycles/image, unit standard deviation."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    radius = np.hypot(rows, columns) * max(size)
    plane = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) * ((radius >= low) & (radius < high)), s=size)
    return np.asarray(plane / plane.std())


def scene(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """An image whose power falls with frequency, and some noise; mean one half."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    radius = np.hypot(rows, columns) * max(size)
    plane = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) / np.maximum(radius, 1) ** 1.5, s=size)
    return np.asarray(0.5 + 0.1 * plane / plane.std() + 0.01 * rng.standard_normal(size))


def make_dataset(
    path: Path,
    *,
    groups: Mapping[str, int] | Sequence[str],
    size: tuple[int, int] = (64, 64),
    strength: float = 0.05,
    images_each: int = 1,
    seed: int = 0,
    columns: Mapping[str, Any] | None = None,
    labels: Mapping[str, Sequence[Any]] | None = None,
    rejected: Mapping[str, int] | None = None,
    modality: str = "any",
    target: str = "group",
) -> Dataset:
    """Write and open a dataset.

    Parameters
    ----------
    groups : mapping or sequence
        Class -> patients, or the class of each patient. Every class but the first carries the texture, the k-th k times.
    strength : float
        Standard deviation of the texture; 0 for a control.
    columns : mapping
        Index columns to overwrite: a value, or one per image.
    labels : mapping
        Further label columns, one value per patient.
    rejected : mapping
        Reason -> files that preprocessing is said to have rejected.
    """
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = [name for name, n in groups.items() for _ in range(n)] if isinstance(groups, Mapping) else list(groups)
    order = list(dict.fromkeys(names))
    images, rows = [], []
    for patient, name in enumerate(names):
        for number in range(images_each):
            plane = scene(rng, size)
            if strength and order.index(name):
                plane += strength * order.index(name) * texture(rng, size, *BAND)
            images.append(np.floor(plane.clip(0, 1) * 65535 + 0.5).astype(np.uint16))
            row: dict[str, Any] = dict.fromkeys(INDEX_COLUMNS)
            row |= {
                "image_key": keyed_hash(SALT, "image", f"{patient}-{number}"),
                "patient_key": keyed_hash(SALT, "patient", str(patient)),
                "study_key": keyed_hash(SALT, "study", str(patient)),
                "sex": "F" if rng.random() < 0.5 else "M",
                "age_years": float(rng.integers(20, 90)),
                "manufacturer": "Acme" if rng.random() < 0.5 else "Umbrella",
                "voi_source": "window",
                "mm_per_pixel": 0.5,
                "frame": 0,
                target: name,
            }
            row |= {key: values[patient] for key, values in (labels or {}).items()}
            rows.append(row)
    pixels = np.stack(images)
    index = pd.DataFrame(rows)
    index["pixel_hash"] = [hashlib.blake2b(image.tobytes(), key=SALT, digest_size=16).hexdigest() for image in pixels]
    index["shard"], index["row"] = 0, np.arange(len(index))
    for key, value in (columns or {}).items():
        index[key] = value
    file = path / shard_name(0)
    np.save(file, pixels)
    recipe = {
        "modality": modality, "size": list(size), "dtype": "uint16", "voi": "auto", "window": None, "fit": "pad",
        "crop": "none", "resize": "area",
    }  # fmt: skip
    kinds = {target: {"kind": "categorical"}} | {key: {"kind": "categorical"} for key in labels or {}}
    lost = dict(rejected or {})
    counts = {
        "inputs": len(index) + sum(lost.values()),
        "indexed": len(index),
        "patients": int(index["patient_key"].nunique()),
        "rejected": lost,
    }
    shards = [{"file": file.name, "rows": len(index), "blake2b": file_hash(file)}]
    write_dataset(path, index, shards, recipe=recipe, labels=kinds, counts=counts, salt=SALT)
    return Dataset.open(path)


def request(data: Path, out: Path, **changes: Any) -> AuditRequest:
    """A quick audit: built-in features alone, 99 permutations."""
    found = AuditRequest(data=data, out=out, modality="any", target="group", features=(), permutations=99)
    return replace(found, **changes)


class Stop(Progress):
    """Keeps lines and stages; stops like Ctrl-C at a step of a stage if wanted."""

    def __init__(self, stage: str = "", step: int = 0) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []
        self.at, self.left, self.stage = stage, step, ""

    def line(self, text: str) -> None:
        self.lines.append(text)

    def begin(self, what: str, total: int, unit: str = "") -> None:
        self.stages.append(what)
        self.stage = what

    def step(self) -> None:
        if self.at and self.stage == self.at:
            self.left -= 1
            if self.left <= 0:
                raise KeyboardInterrupt


@contextmanager
def fewer_shuffles(count: int = 4999) -> Iterator[None]:
    """The planted control asks for 9,999 shuffles, half of the time of a small audit. 4,999 are the fewest for 15 rings."""
    from fastrace.audit.controls import planted

    before = planted.PERMUTATIONS
    planted.PERMUTATIONS = count
    try:
        yield
    finally:
        planted.PERMUTATIONS = before


def lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    """What must not depend on when and in how many attempts an audit ran."""
    return {key: value for key, value in document.items() if key not in ("seconds", "environment", "created")}


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from walk(inner, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from walk(inner, f"{path}/{number}")
    else:
        yield path, value


def audited(wanted: AuditRequest, **options: Any) -> dict[str, Any]:
    """Run an audit and read what it wrote."""
    return dict(json.loads(audit(wanted, **options).to_json()))


@dataclass(frozen=True)
class Finished:
    """An audit that is done; do not write into it."""

    dataset: Dataset
    out: Path
    document: dict[str, Any]


def finish(folder: Path, dataset: Dataset, **changes: Any) -> Finished:
    with fewer_shuffles():
        audit(request(dataset.path, folder / "audit", **changes))
    return Finished(dataset, folder / "audit", json.loads((folder / "audit" / "audit.json").read_text()))
