"""One SOP Instance UID with different pixels in several files: which of them is right cannot be known, so none is used.

A file that is damaged is rejected before that and is no rival of the sound one. The first of the rivals is written before the
second is met, so it is withdrawn at the end: its row becomes a rejection, and the place of its pixels in the shard is listed
as unused. What is withdrawn does not depend on which file came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fastrace.errors import RejectedInput
from fastrace.preprocess.parts import Part

REASON = "duplicate_other_pixels"
MESSAGE = (
    "SOP Instance UID (0008,0018) and frame are those of another file with other pixels: none of them is used; find out which "
    "is right and leave the others out"
)


class OtherPixels(RejectedInput):
    """An image whose key another one has, with other pixels or the same.

    Parameters
    ----------
    reason, message : str
        As of `RejectedInput`.
    image_key : str
        The key that they share.
    """

    def __init__(self, reason: str, message: str, image_key: str) -> None:
        super().__init__(reason, message)
        self.image_key = image_key


def contested(parts: Iterable[Part]) -> frozenset[str]:
    """Keys of the images that are there with different pixels."""
    found = (part.rows.loc[part.rows["reason"] == REASON, "image_key"] for part in parts)
    return frozenset(key for keys in found for key in keys)


def settled(parts: Iterable[Part], keys: frozenset[str]) -> Iterator[Part]:
    """The parts with every image of a contested key rejected; ``keys`` are those of `contested`."""
    for part in parts:
        rows = part.rows
        withdrawn = rows["image_key"].isin(keys)
        if not withdrawn.any():
            yield part
            continue
        indexed = withdrawn & (rows["outcome"] == "indexed")
        rows = rows.assign(
            outcome=rows["outcome"].mask(withdrawn, "rejected"),
            reason=rows["reason"].astype(object).mask(withdrawn, REASON),
            message=rows["message"].astype(object).mask(withdrawn, MESSAGE),
        )
        shard = part.shard
        if shard is not None and indexed.any():
            shard = {**shard, "unused": sorted(int(row) for row in rows.loc[indexed, "row"])}
        yield replace(part, rows=rows, shard=shard)
