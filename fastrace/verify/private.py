"""The private folder beside a dataset, where it is there and may be read: sources and salt against dataset.json and the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fastrace.dataset import salt_id
from fastrace.preprocess.store import private_folder


def against_sources(folder: Path, meta: Mapping[str, Any], index: pd.DataFrame | None) -> tuple[list[str], str]:
    """What is wrong, and a line that says what was compared."""
    private = private_folder(folder)
    file = private / "sources.parquet"
    try:
        if not private.is_dir():
            return [], f"{private.name}: not beside the dataset, so its inputs were not counted again"
        missing = [f"{private.name}/{name}: missing" for name in (file.name, "salt") if not (private / name).is_file()]
        if missing:
            return missing, f"{private.name}: not compared"
        sources = pd.read_parquet(file, columns=["outcome", "reason", "image_key"])
        salt = (private / "salt").read_bytes()
    except PermissionError:
        return [], f"{private.name}: may not be read by this user, so the inputs were not counted again"
    except (OSError, ValueError) as error:
        return [f"{private.name}: cannot be read ({str(error)[:120]})"], f"{private.name}: not compared"
    problems = [f"{private.name}/sources.parquet: {what}" for what in _counts(sources, meta["counts"], index)]
    if salt_id(salt) != meta["salt_id"]:
        problems.append(f"{private.name}/salt: another salt than the one whose id is in dataset.json")
    return problems, f"{private.name}: {len(sources)} inputs and the salt against dataset.json"


def _counts(sources: pd.DataFrame, counts: Mapping[str, Any], index: pd.DataFrame | None) -> Iterator[str]:
    if len(sources) != counts.get("inputs"):
        yield f"{len(sources)} inputs, dataset.json counts {counts.get('inputs')}"
    rejected = sources.loc[sources["outcome"] == "rejected", "reason"]
    if dict(Counter(rejected)) != counts.get("rejected"):
        yield "the reasons of rejection are counted otherwise in dataset.json"
    keys = sources.loc[sources["outcome"] == "indexed", "image_key"]
    if index is not None and "image_key" in index and set(keys) != set(index["image_key"]):
        yield "its indexed images are not those of the index"
