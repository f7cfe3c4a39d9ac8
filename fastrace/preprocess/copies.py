"""Copies of one image (UID, frame, pixels and patient are the same) that say different things of it: no folder's name decides.

The first that is met is in the index, the others are ``duplicate``; which is first depends on the names of folders. So where
they differ in a fact, it is missing, with the note ``contradiction``; where their labels differ, none of them is used, as nobody
can tell which is right. How a copy is stored (compressed or not) is no contradiction, but missing too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from fastrace.dataset import INDEX_COLUMNS, keyed_hash
from fastrace.preprocess.label_cells import LABEL

_UNITED = ("withheld", "names")  # lists in JSON
_ANY = ("ethnic_group", "recognizable")
_STORED = ("transfer_syntax", "photometric", "bits_stored", "voi_source")  # how, not what
# Alike in all copies, or of none of them.
_SAME = ("image_key", "patient_key", "pixel_hash", "thumbnail_hash", "frame", "shard", "row")
_FACTS = (*(name for name in INDEX_COLUMNS if name not in (*_SAME, "notes")), "study_day")


def said(salt: bytes, row: Mapping[str, Any]) -> str:
    """A keyed hash of all in which copies may differ, 16 hex digits."""
    names = (*_FACTS, "notes", *_UNITED, *_ANY, *sorted(name for name in row if name.startswith(LABEL)))
    return keyed_hash(salt, "said", json.dumps([row.get(name) for name in names], default=str))[:16]


class Copies:
    """State: the rows of copies that say something else than the first one. Copies that agree cost nothing."""

    def __init__(self) -> None:
        self.differ: dict[str, list[dict[str, Any]]] = {}

    def see(self, rows: pd.DataFrame) -> None:
        """Remember the copies in the rows of a part."""
        for row in rows[rows["differs"].eq(True)].to_dict("records"):
            self.differ.setdefault(row["image_key"], []).append({str(name): value for name, value in row.items()})

    def agreed(self, rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Images in the rows of a part whose copies differ, and what is taken of each such column; None: their labels differ."""
        here = rows[rows["image_key"].isin(self.differ) & (rows["outcome"] == "indexed")]
        for first in here.to_dict("records"):
            row = {str(name): value for name, value in first.items()}
            copies = [row, *self.differ[row["image_key"]]]
            labels = {name for copy in copies for name in copy if name.startswith(LABEL)}
            yield row["image_key"], None if any(_differ(copies, name) for name in labels) else _taken(copies)


def _taken(copies: list[dict[str, Any]]) -> dict[str, Any]:
    facts = [name for name in _FACTS if _differ(copies, name)]
    taken: dict[str, Any] = dict.fromkeys(facts)
    if "study_key" in taken:  # of several studies none is right: a study of its own, as without one
        taken["study_key"] = copies[0]["image_key"]
    for name in _UNITED:
        several = [json.loads(copy[name]) for copy in copies if isinstance(copy.get(name), str)]
        united = sorted({json.dumps(one) for found in several for one in found})
        taken[name] = f"[{', '.join(united)}]" if united else None
    for name in _ANY:
        taken[name] = any(copy.get(name) is True for copy in copies)
    kinds = {kind for copy in copies if isinstance(copy["notes"], str) for kind in copy["notes"].split(",")}
    contradictory = [name for name in facts if name not in _STORED]
    if contradictory:
        kinds.add("contradiction")
        text = f"copies of this image differ in {', '.join(contradictory)}: taken as missing"
        first = copies[0].get("note_texts")
        taken["note_texts"] = f"{first}; {text}" if isinstance(first, str) else text
    taken["notes"] = ",".join(sorted(kinds)) or None
    return taken


def _differ(copies: list[dict[str, Any]], name: str) -> bool:
    return len({None if pd.isna(value) else value for copy in copies for value in (copy.get(name),)}) > 1
