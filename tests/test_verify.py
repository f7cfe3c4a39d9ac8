"""`verify` notices every way in which a dataset can have been changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fastrace.dataset import INDEX_COLUMNS, file_hash, write_dataset
from fastrace.verify import verify


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two shards of three and two images."""
    rng = np.random.default_rng(0)
    shards, rows = [], []
    for number, count in enumerate((3, 2)):
        file = tmp_path / f"images-{number:05d}.npy"
        np.save(file, rng.integers(0, 65536, (count, 4, 4)).astype(np.uint16))
        shards.append({"file": file.name, "rows": count, "blake2b": file_hash(file)})
        rows += [{"image_key": f"{number}{row}", "shard": number, "row": row} for row in range(count)]
    index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
    counts = {"files": 6, "inputs": 6, "indexed": 5, "patients": 1, "rejected": {"empty": 1}}
    recipe = {"modality": "any", "size": [4, 4], "dtype": "uint16"}
    write_dataset(tmp_path, index, shards, recipe=recipe, labels={}, counts=counts, salt=b"s" * 32)
    return tmp_path


def edit_meta(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        meta = json.loads((folder / "dataset.json").read_text())
        change(meta)
        (folder / "dataset.json").write_text(json.dumps(meta))

    return apply


def edit_index(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda folder: change(pd.read_parquet(folder / "index.parquet")).to_parquet(folder / "index.parquet")


def flip_a_bit(folder: Path) -> None:
    file = folder / "images-00001.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_an_untouched_dataset_is_complete(dataset: Path) -> None:
    assert verify(dataset) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "images-00000.npy").unlink(), "images-00000.npy: missing"),
        (flip_a_bit, "images-00001.npy: its content changed"),
        (edit_index(lambda index: index.iloc[1:]), "do not cover its 3 images"),
        (edit_index(lambda index: index.assign(image_key="same")), "an image key occurs twice"),
        (edit_index(lambda index: index.assign(shard=7)), "names shards that dataset.json does not list"),
        (edit_index(lambda index: index.drop(columns="sex")), "columns missing: sex"),
        (edit_index(lambda index: index.assign(sex="F")), "the fingerprint does not fit"),
        (edit_meta(lambda meta: meta["counts"].update(inputs=9)), "do not add up to inputs"),
        (edit_meta(lambda meta: meta["counts"].update(indexed=4)), "5 rows, dataset.json counts 4"),
        (edit_meta(lambda meta: meta["recipe"].update(size=[8, 8])), "does not fit the recipe"),
    ],
)
def test_every_change_is_named(dataset: Path, damage: Callable[[Path], None], words: str) -> None:
    damage(dataset)
    assert any(words in problem for problem in verify(dataset))
