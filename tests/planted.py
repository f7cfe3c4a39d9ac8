"""Small real datasets whose classes differ by a texture in a band of frequencies, written as `preprocess` would.

Two makers, whose order of drawing the tests' numbers depend on: `make_dataset` for training (few pixels, much signal, classes in
turn) and `dataset_of_groups` for audits (a natural spectrum, classes of any size). `write_images` is what they share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastrace.dataset import INDEX_COLUMNS, Dataset, keyed_hash, write_dataset
from fastrace.manifest import file_facts, fingerprint, shard_facts, shard_name
from fastrace.train import Options
from fastrace.train.options import get_recipe

SALT = bytes(range(32))
AUDIT_SALT = bytes(range(7, 39))
BAND = (10.0, 20.0)  # cycles/image, of `dataset_of_groups`


def _radius(size: tuple[int, int]) -> np.ndarray:
    """Cycles per image of each coefficient of rfft2."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    return np.asarray(np.hypot(rows, columns) * max(size))


def texture(rng: np.random.Generator, size: tuple[int, int], low: float, high: float) -> np.ndarray:
    """White noise filtered to low <= r < high cycles/image, unit standard deviation."""
    radius = _radius(size)
    spectrum = np.fft.rfft2(rng.standard_normal(size)) * ((radius >= low) & (radius < high))
    plane = np.fft.irfft2(spectrum, s=size)
    return np.asarray(plane / plane.std())


def scene(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """An image whose power falls with frequency, and some noise; mean one half."""
    plane = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) / np.maximum(_radius(size), 1) ** 1.5, s=size)
    return np.asarray(0.5 + 0.1 * plane / plane.std() + 0.01 * rng.standard_normal(size))


def index_row(salt: bytes, patient: int, image: int) -> dict[str, Any]:
    """The index columns of one image: its keys, and None for what is not known."""
    return dict.fromkeys(INDEX_COLUMNS) | {
        "image_key": keyed_hash(salt, "image", f"{patient}-{image}"),
        "patient_key": keyed_hash(salt, "patient", str(patient)),
        "study_key": keyed_hash(salt, "study", str(patient)),
        "mm_per_pixel": 0.5,
        "frame": 0,
    }


def write_images(
    path: Path,
    images: Sequence[np.ndarray],  # [H, W] each, display values; what is outside 0 to 1 is clipped
    rows: Sequence[Mapping[str, Any]],
    *,
    labels: Mapping[str, str],
    counts: Mapping[str, Any],
    salt: bytes = SALT,
    dtype: str = "uint16",
    columns: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    rows_per_shard: int = 1_000_000,
) -> Dataset:
    """Write and open a dataset of these images.

    Parameters
    ----------
    rows : sequence of mapping
        Index columns of each image, as `index_row` begins them.
    labels : mapping
        Label column -> "categorical" or "numeric".
    counts : mapping
        As `dataset.json` has them.
    columns : mapping
        Index columns to overwrite: a value, or one per image.
    recipe : mapping
        What differs from a recipe without window, crop and modality.
    """
    path.mkdir(parents=True)
    top = np.iinfo(dtype).max
    pixels = np.floor(np.stack(images).clip(0, 1) * top + 0.5).astype(dtype)
    index = pd.DataFrame(rows)
    index["pixel_hash"] = [hashlib.blake2b(image.tobytes(), key=salt, digest_size=16).hexdigest() for image in pixels]
    index["shard"], index["row"] = np.divmod(np.arange(len(index)), rows_per_shard)
    for name, value in (columns or {}).items():
        index[name] = value
    shards = []
    for number in range(int(index["shard"].max()) + 1):
        file = path / shard_name(number)
        np.save(file, pixels[index["shard"] == number])
        shards.append(shard_facts(file, int((index["shard"] == number).sum())))
    plain = {
        "modality": "any", "size": list(pixels.shape[1:]), "dtype": dtype, "voi": ["auto"], "window": None, "fit": "pad",
        "crop": "none", "resize": "area",
    }  # fmt: skip
    kinds = {name: {"kind": kind} for name, kind in labels.items()}
    write_dataset(path, index, shards, recipe=plain | dict(recipe or {}), labels=kinds, counts=dict(counts), salt=salt)
    return Dataset.open(path)


def reseal(path: Path, index: pd.DataFrame | None = None, **facts: Any) -> Dataset:
    """Give a dataset another index or other facts, with digests and fingerprint that fit: as if it had been made so."""
    meta = json.loads((path / "dataset.json").read_text()) | facts
    if index is not None:
        index.to_parquet(path / "index.parquet")
        meta["files"]["index.parquet"] = file_facts((path / "index.parquet").read_bytes())
    meta["fingerprint"] = fingerprint(meta)
    (path / "dataset.json").write_text(json.dumps(meta))
    return Dataset.open(path)


def make_dataset(
    path: Path,
    *,
    patients: int = 100,
    images_each: int = 2,
    size: tuple[int, int] = (32, 32),
    classes: Sequence[str] = ("A", "B"),
    band: tuple[float, float] = (6, 10),
    strength: float = 0.08,
    seed: int = 0,
    first_patient: int = 0,
    salt: bytes = SALT,
    dtype: str = "uint16",
    labels: dict[str, list[object]] | None = None,
    columns: dict[str, object] | None = None,
    recipe: dict[str, object] | None = None,
    rows_per_shard: int = 100,
) -> Dataset:
    """Write and open a dataset; patients alternate between the classes, every class after the first carries the texture.

    Parameters
    ----------
    strength : float
        Standard deviation of the texture in display values; class k carries k times as much.
    labels : dict, optional
        Further label columns, one value per patient (object: categorical, float: numeric).
    columns : dict, optional
        Index columns to overwrite: a value, or one per image.
    """
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for patient in range(first_patient, first_patient + patients):
        group = patient % len(classes)
        for image in range(images_each):
            plane = 0.5 + 0.08 * texture(rng, size, 1, 5) + 0.02 * rng.standard_normal(size)
            images.append(plane + strength * group * texture(rng, size, *band))
            row = index_row(salt, patient, image) | {
                "view": "PA" if image % 2 == 0 else "AP",
                "sex": "F" if (patient // len(classes)) % 2 else "M",
                "age_years": float(20 + patient % 60),
                "manufacturer": "Acme" if patient % 3 else "Umbrella",
                "group": classes[group],
            }
            rows.append(row | {name: values[patient - first_patient] for name, values in (labels or {}).items()})
    kinds = {
        name: "numeric" if isinstance(values[0], float) else "categorical" for name, values in (labels or {}).items()
    }
    return write_images(
        path,
        images,
        rows,
        labels={"group": "categorical"} | kinds,
        counts={},
        salt=salt,
        dtype=dtype,
        columns=columns,
        recipe=recipe,
        rows_per_shard=rows_per_shard,
    )


def dataset_of_groups(
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
        Reason -> files that preprocessing has rejected, by its record.
    """
    rng = np.random.default_rng(seed)
    names = [name for name, n in groups.items() for _ in range(n)] if isinstance(groups, Mapping) else list(groups)
    order = list(dict.fromkeys(names))
    images, rows = [], []
    for patient, name in enumerate(names):
        for number in range(images_each):
            plane = scene(rng, size)
            if strength and order.index(name):
                plane += strength * order.index(name) * texture(rng, size, *BAND)
            images.append(plane)
            row = index_row(AUDIT_SALT, patient, number) | {
                "sex": "F" if rng.random() < 0.5 else "M",
                "age_years": float(rng.integers(20, 90)),
                "manufacturer": "Acme" if rng.random() < 0.5 else "Umbrella",
                "voi_source": "window",
                target: name,
            }
            rows.append(row | {key: values[patient] for key, values in (labels or {}).items()})
    lost = dict(rejected or {})
    counts = {
        "inputs": len(rows) + sum(lost.values()),
        "indexed": len(rows),
        "patients": len(names),
        "rejected": lost,
    }
    return write_images(
        path,
        images,
        rows,
        labels=dict.fromkeys((target, *(labels or {})), "categorical"),
        counts=counts,
        salt=AUDIT_SALT,
        columns=columns,
        recipe={"modality": modality},
    )


def options_for(data: Path, out: Path, **changes: object) -> Options:
    """A small network for four epochs."""
    options = Options(
        data=data,
        out=out,
        modality="any",
        target="group",
        recipe=get_recipe("current", "any", "small", epochs=4, batch_size=16),
        model="small",
        device="cpu",
    )
    return replace(options, **changes)  # type: ignore[arg-type]
