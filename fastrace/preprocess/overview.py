"""What must be known of all rows of a run before the first of them is written: counts, types, what patients share."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.dataset import ACQUISITION_NUMBERS, INDEX_COLUMNS
from fastrace.preprocess.body_part import names_a_part
from fastrace.preprocess.joined import Joined
from fastrace.preprocess.learned import Learned
from fastrace.preprocess.notes import counted
from fastrace.preprocess.parts import Part
from fastrace.preprocess.row_groups import Types
from fastrace.preprocess.shared import Shared

_PRIVATE = {name: name for name in ("path", "frame", "outcome", "image_key", "reason", "message")} | {
    "note_texts": "notes"
}


class Overview:
    """What the first pass over the parts collects; state: counts, and what the second pass needs to write rows alike."""

    def __init__(self, salt: bytes, columns: dict[str, dict[str, Any]], labels: Labels | None = None) -> None:
        self.columns = columns
        self.shards: list[dict[str, Any]] = []
        self.inputs = self.indexed = self.unnamed = self.without_view = self.burned_in = self.recognizable = 0
        self.rejected: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.examples: dict[str, str] = {}  # of each reason the first, in the order of the scan
        self.joined, self.learned = Joined(), Learned(salt, labels)
        self.index_types, self.source_types = Types(), Types()
        self.shared = Shared(columns)

    def see(self, part: Part) -> None:
        """Take up a part."""
        rows = part.rows
        if part.shard is not None:
            self.shards.append(part.shard)
        kept, rejected = rows[rows["outcome"] == "indexed"], rows[rows["outcome"] == "rejected"]
        self.inputs += len(rows)
        self.indexed += len(kept)
        self.rejected.update(rejected["reason"])
        for row in rejected.drop_duplicates("reason").to_dict("records"):
            self.examples.setdefault(row["reason"], f"{row['path']}: {row['message']}")
        self.notes.update(counted(kept["notes"]))
        found = kept["body_part"].fillna("").value_counts()  # before the vocabulary leaves any value out
        self.unnamed += sum(int(count) for value, count in found.items() if not names_a_part(str(value)))
        self.without_view += int(kept["view"].isna().sum())
        self.burned_in += int(kept["burned_in"].eq(True).sum())
        self.recognizable += int(kept["recognizable"].eq(True).sum())
        self.joined.see(rows)
        self.learned.see(rows)
        self.shared.see(kept)
        self.index_types.see(index_rows(kept, self.columns))
        self.source_types.see(private_rows(rows))

    def counts(self, files: int) -> dict[str, Any]:
        """For ``dataset.json``, when the second pass has ended."""
        return {
            "files": files,
            "inputs": self.inputs,
            "indexed": self.indexed,
            "patients": len(self.joined.images),
            "rejected": dict(sorted(self.rejected.items())),
            "notes": dict(sorted(self.notes.items())),
            "burned_in": self.burned_in,
            "recognizable": self.recognizable,
            **self.learned.counts(),
        }


def private_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a part as the sources table has them."""
    return rows[list(_PRIVATE)].rename(columns=_PRIVATE)


def index_rows(kept: pd.DataFrame, columns: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Rows of a part as the index has them: `INDEX_COLUMNS`, then the label columns (name -> as dataset.json describes it)."""
    index = kept[list(INDEX_COLUMNS)].copy()
    for name in columns:
        index[name] = kept.get(f"label:{name}")  # a part without a joined row has no such column
    return with_types(index, columns)


def with_types(index: pd.DataFrame, columns: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The types of the index, whatever those of a part are, which depend on what happens to be missing there."""
    for name, facts in columns.items():
        index[name] = index[name].astype(float if facts["kind"] == "numeric" else object)
    for name in ("age_years", "mm_per_pixel", *ACQUISITION_NUMBERS):
        index[name] = index[name].astype(float)
    for name in ("shard", "row", "frame", "bits_stored", "source_rows", "source_columns"):
        index[name] = index[name].astype("Int64" if name == "bits_stored" else int)
    return index
