"""Small real datasets whose classes differ by a texture in a band of frequencies, written as `preprocess` would."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fastrace.dataset import INDEX_COLUMNS, Dataset, file_hash, keyed_hash, shard_name, write_dataset
from fastrace.train import Options
from fastrace.train.options import get_recipe

SALT = bytes(range(32))


def texture(rng: np.random.Generator, size: tuple[int, int], low: float, high: float) -> np.ndarray:
    """White noise filtered to low <= r < high cycles per image, unit standard deviation."""
    height, width = size
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(rows, columns) * max(size)
    spectrum = np.fft.rfft2(rng.standard_normal(size)) * ((radius >= low) & (radius < high))
    plane = np.fft.irfft2(spectrum, s=size)
    return plane / plane.std()


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
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for patient in range(first_patient, first_patient + patients):
        group = patient % len(classes)
        for image in range(images_each):
            plane = 0.5 + 0.08 * texture(rng, size, 1, 5) + 0.02 * rng.standard_normal(size)
            plane += strength * group * texture(rng, size, *band)
            images.append(plane.clip(0, 1))
            row: dict[str, object] = dict.fromkeys(INDEX_COLUMNS)
            row |= {
                "image_key": keyed_hash(salt, "image", f"{patient}-{image}"),
                "patient_key": keyed_hash(salt, "patient", str(patient)),
                "study_key": keyed_hash(salt, "study", str(patient)),
                "view": "PA" if image % 2 == 0 else "AP",
                "sex": "F" if (patient // len(classes)) % 2 else "M",
                "age_years": float(20 + patient % 60),
                "manufacturer": "Acme" if patient % 3 else "Umbrella",
                "mm_per_pixel": 0.5,
                "group": classes[group],
                "frame": 0,
            }
            row |= {name: values[patient - first_patient] for name, values in (labels or {}).items()}
            rows.append(row)
    top = 65535 if dtype == "uint16" else 255
    pixels = np.floor(np.stack(images) * top + 0.5).astype(dtype)
    index = pd.DataFrame(rows)
    index["pixel_hash"] = [hashlib.blake2b(image.tobytes(), key=salt, digest_size=16).hexdigest() for image in pixels]
    index["shard"], index["row"] = np.divmod(np.arange(len(index)), rows_per_shard)
    for name, value in (columns or {}).items():
        index[name] = value
    shards = []
    for number in range(int(index["shard"].max()) + 1):
        file = path / shard_name(number)
        np.save(file, pixels[index["shard"] == number])
        shards.append({"file": file.name, "rows": int((index["shard"] == number).sum()), "blake2b": file_hash(file)})
    kinds = {"group": {"kind": "categorical"}}
    for name, values in (labels or {}).items():
        kinds[name] = {"kind": "numeric" if isinstance(values[0], float) else "categorical"}
    base = {
        "modality": "any", "size": list(size), "dtype": dtype, "voi": "auto", "window": None, "fit": "pad",
        "crop": "none", "resize": "area",
    }  # fmt: skip
    write_dataset(path, index, shards, recipe=base | (recipe or {}), labels=kinds, counts={}, salt=salt)
    return Dataset.open(path)


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
