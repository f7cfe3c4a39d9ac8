"""What two files claim and one can have: a SOP Instance UID, or a row of the label table that is about one image.

One UID with different pixels or patients: which is right cannot be known, so none is used. Different patients are what a
corrected or merged patient leaves behind: the same image, sent again under the new Patient ID. One row of a table of images that
fits several (``1-1.dcm`` in the folder of each patient): none of them gets its label.

A file that is damaged is rejected before that and is no rival of the sound one. The first of the rivals is written before the
second is met, so it is withdrawn at the end: its row becomes a rejection, and the place of its pixels in the shard is listed
as unused. What is withdrawn does not depend on which file came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fastrace.errors import RejectedInput
from fastrace.preprocess.parts import Part

OTHER_PIXELS, OTHER_PATIENT, AMBIGUOUS = "duplicate_other_pixels", "duplicate_other_patient", "ambiguous_label"
MESSAGES = {  # the first that applies: who the patients are matters less where it is not one image
    OTHER_PIXELS: "SOP Instance UID (0008,0018) and frame are those of another file with other pixels: none of them is used; "
    "find out which is right and leave the others out",
    OTHER_PATIENT: "SOP Instance UID (0008,0018), frame and pixels are those of another file with another patient: none of them "
    "is used; find out whose image it is and leave the others out, or say with --patient-from FILE that it is one person",
    AMBIGUOUS: "its row of the label table fits other images too: none of them gets its label; name the folder in the table, for "
    "example --key path=COLUMN",
}
PART_COLUMNS = ("claim",)  # of a part, beside the columns of the index


class Rival(RejectedInput):
    """An image whose key another one has, with the same pixels and patient or not.

    Parameters
    ----------
    reason, message : str
        As of `RejectedInput`.
    kept : mapping
        What its row says all the same: the key that they share, and what it claims of the label table.
    """

    def __init__(self, reason: str, message: str, kept: Mapping[str, str | None]) -> None:
        super().__init__(reason, message)
        self.kept = kept


@dataclass(frozen=True)
class Contested:
    """Keys of images -> for which of `MESSAGES` they are left out; and the keys of rows of the label table that fit several."""

    images: Mapping[str, str]
    labels: frozenset[str]


def contested(parts: Iterable[Part]) -> Contested:
    """What files of a finished scan both claim."""
    order = list(MESSAGES)
    images: dict[str, str] = {}
    claims: dict[bytes, bytes] = {}  # row of the label table, and frame -> the image, 16 bytes
    labels: set[str] = set()
    for part in parts:
        rows = part.rows[part.rows["reason"].isin(order)]
        for key, reason in zip(rows["image_key"], rows["reason"], strict=True):
            images[key] = min(reason, images.get(key, reason), key=order.index)
        rows = part.rows[part.rows["claim"].notna()]
        for label, frame, claim in zip(rows["label_key"], rows["frame"], rows["claim"], strict=True):
            place = bytes.fromhex(label) + int(frame).to_bytes(4, "little")
            if claims.setdefault(place, bytes.fromhex(claim)) != bytes.fromhex(claim):
                labels.add(label)
    return Contested(images, frozenset(labels))


def settled(parts: Iterable[Part], rivals: Contested) -> Iterator[Part]:
    """The parts with everything that is contested rejected; ``rivals`` are those of `contested`."""
    for part in parts:
        rows = part.rows
        indexed = rows["outcome"] == "indexed"
        reasons = rows["image_key"].map(rivals.images).astype(object)
        reasons = reasons.mask(reasons.isna() & indexed & rows["label_key"].isin(rivals.labels), AMBIGUOUS)
        withdrawn = reasons.notna()
        if not withdrawn.any():
            yield part
            continue
        rows = rows.assign(
            outcome=rows["outcome"].mask(withdrawn, "rejected"),
            reason=rows["reason"].astype(object).mask(withdrawn, reasons),
            message=rows["message"].astype(object).mask(withdrawn, reasons.map(MESSAGES)),
        )
        shard = part.shard
        if shard is not None and (indexed & withdrawn).any():
            shard = {**shard, "unused": sorted(int(row) for row in rows.loc[indexed & withdrawn, "row"])}
        yield replace(part, rows=rows, shard=shard)
