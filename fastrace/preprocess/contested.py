"""One SOP Instance UID with different pixels or patients in several files: which is right cannot be known, so none is used.

Different patients are what a corrected or merged patient leaves behind: the same image, sent again under the new Patient ID.

A file that is damaged is rejected before that and is no rival of the sound one. The first of the rivals is written before the
second is met, so it is withdrawn at the end: its row becomes a rejection, and the place of its pixels in the shard is listed
as unused. What is withdrawn does not depend on which file came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from fastrace.errors import RejectedInput
from fastrace.preprocess.parts import Part

OTHER_PIXELS, OTHER_PATIENT = "duplicate_other_pixels", "duplicate_other_patient"
MESSAGES = {  # the first that applies: who the patients are matters less where it is not one image
    OTHER_PIXELS: "SOP Instance UID (0008,0018) and frame are those of another file with other pixels: none of them is used; "
    "find out which is right and leave the others out",
    OTHER_PATIENT: "SOP Instance UID (0008,0018), frame and pixels are those of another file with another patient: none of them "
    "is used; find out whose image it is and leave the others out, or say with --patient-from FILE that it is one person",
}


class Rival(RejectedInput):
    """An image whose key another one has, with the same pixels and patient or not.

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


def contested(parts: Iterable[Part]) -> dict[str, str]:
    """Keys of the images that are there with different pixels or patients, and for which of `MESSAGES` they are left out."""
    order = list(MESSAGES)
    found: dict[str, str] = {}
    for part in parts:
        rows = part.rows[part.rows["reason"].isin(order)]
        for key, reason in zip(rows["image_key"], rows["reason"], strict=True):
            found[key] = min(reason, found.get(key, reason), key=order.index)
    return found


def settled(parts: Iterable[Part], rivals: Mapping[str, str]) -> Iterator[Part]:
    """The parts with every image of a contested key rejected; ``rivals`` are those of `contested`."""
    for part in parts:
        rows = part.rows
        reasons = rows["image_key"].map(rivals)
        withdrawn = reasons.notna()
        if not withdrawn.any():
            yield part
            continue
        indexed = withdrawn & (rows["outcome"] == "indexed")
        rows = rows.assign(
            outcome=rows["outcome"].mask(withdrawn, "rejected"),
            reason=rows["reason"].astype(object).mask(withdrawn, reasons),
            message=rows["message"].astype(object).mask(withdrawn, reasons.map(MESSAGES)),
        )
        shard = part.shard
        if shard is not None and indexed.any():
            shard = {**shard, "unused": sorted(int(row) for row in rows.loc[indexed, "row"])}
        yield replace(part, rows=rows, shard=shard)
