"""Does a dataset match its dataset.json? Hashes, counts, ranges, index against shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastrace.dataset import INDEX_COLUMNS, Dataset, file_hash, fingerprint


def verify(path: Path) -> list[str]:
    """Check a dataset folder.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
        One sentence for each thing that is wrong; empty if nothing is.

    Raises
    ------
    DatasetError
        If there is no dataset to check.
    """
    dataset = Dataset.open(path)
    index, meta = dataset.index, dataset.meta
    problems = []
    missing = [name for name in (*INDEX_COLUMNS, *dataset.meta["labels"]) if name not in index]
    if missing:
        return [f"index.parquet: columns missing: {', '.join(missing)}"]
    for shard in meta["shards"]:
        file = path / shard["file"]
        if not file.is_file():
            problems.append(f"{shard['file']}: missing")
            continue
        if file_hash(file) != shard["blake2b"]:
            problems.append(f"{shard['file']}: its content changed (hash differs)")
            continue
        number = int(file.stem.split("-")[1])
        pixels = dataset.shard(number)
        if pixels.shape != (shard["rows"], *dataset.size) or str(pixels.dtype) != meta["recipe"]["dtype"]:
            problems.append(f"{shard['file']}: {pixels.shape} {pixels.dtype} does not fit the recipe")
        places = np.sort(index.loc[index["shard"] == number, "row"].to_numpy())
        if not np.array_equal(places, np.arange(shard["rows"])):
            problems.append(
                f"{shard['file']}: index rows {len(places)} do not cover its {shard['rows']} images once each"
            )
    known = {int(Path(shard["file"]).stem.split("-")[1]) for shard in meta["shards"]}
    astray = sorted(set(index["shard"].unique()) - known)
    if astray:
        problems.append(f"index.parquet: names shards that dataset.json does not list: {astray}")
    if index["image_key"].duplicated().any():
        problems.append("index.parquet: an image key occurs twice")
    if len(index) != meta["counts"]["indexed"]:
        problems.append(f"index.parquet: {len(index)} rows, dataset.json counts {meta['counts']['indexed']}")
    counts = meta["counts"]
    if counts["indexed"] + sum(counts["rejected"].values()) != counts["inputs"]:
        problems.append("dataset.json: indexed and rejected do not add up to inputs")
    if not problems and fingerprint(meta["recipe"], meta["shards"], path / "index.parquet") != meta["fingerprint"]:
        problems.append("dataset.json: the fingerprint does not fit recipe, shards and index")
    return problems
