"""What two files claim and one can have: a SOP Instance UID, or a row of the label table that is about one image.

One UID with different pixels or patients: which is right cannot be known, so none is used. Different patients are what a
corrected or merged patient leaves behind: the same image, sent again under the new Patient ID. One row of a table of images that
fits several (``1-1.dcm`` in the folder of each patient): none of them gets its label.

Copies of one image (the same UID, frame, pixels and patient) may still say different things of it (`fastrace.preprocess.copies`):
where their rows of the label table differ, or what they show, none of them is used.

A file that is damaged is rejected before that and is no rival of the sound one. The first of the rivals is written before the
second is met, so it is withdrawn at the end: its row becomes a rejection, and the place of its pixels in the shard is listed
as unused. What is withdrawn does not depend on which file came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from fastrace.errors import RejectedInput
from fastrace.preprocess.copies import Copies
from fastrace.preprocess.parts import Part

OTHER_PIXELS, OTHER_PATIENT, AMBIGUOUS = "duplicate_other_pixels", "duplicate_other_patient", "ambiguous_label"
_OTHER_LABEL = "duplicate_other_label"  # an ambiguous label too
MESSAGES = {  # the first that applies: who the patients are matters less where it is not one image
    OTHER_PIXELS: "SOP Instance UID (0008,0018) and frame are those of another file with other pixels, or with another window or "
    "size of the same: none of them is used; find out which is right and leave the others out",
    OTHER_PATIENT: "SOP Instance UID (0008,0018), frame and pixels are those of another file with another patient: none of them "
    "is used; find out whose image it is and leave the others out, or say with --patient-from FILE that it is one person",
    _OTHER_LABEL: "copies of this image (the same SOP Instance UID (0008,0018), frame and pixels) have different labels: none of "
    "them is used; make their rows of the label table agree, or leave the wrong copy out",
    AMBIGUOUS: "its row of the label table fits other images too: none of them gets its label; name the folder in the table, for "
    "example --key path=COLUMN",
}
PART_COLUMNS = ("claim", "shown", "said", "differs")  # of a part, beside the columns of the index


class Rival(RejectedInput):
    """An image whose key another one has, with the same pixels and patient or not.

    Parameters
    ----------
    reason, message : str
        As of `RejectedInput`.
    kept : mapping
        What its row says all the same: the key that they share, what it claims of the label table, and all of it
        where it is a copy that says something else than the one before.
    """

    def __init__(self, reason: str, message: str, kept: Mapping[str, Any]) -> None:
        super().__init__(reason, message)
        self.kept = kept


@dataclass(frozen=True)
class Contested:
    """What is left out, and what copies of one image do not agree on.

    Attributes
    ----------
    images : mapping
        Key of an image -> for which of `MESSAGES` it is left out.
    labels : frozenset of str
        Keys of rows of the label table that fit several images.
    agreed : mapping
        Key of an image -> columns in which its copies differ -> what is taken.
    """

    images: Mapping[str, str]
    labels: frozenset[str]
    agreed: Mapping[str, Mapping[str, Any]]


def contested(read: Callable[[], Iterable[Part]]) -> Contested:
    """What files of a finished scan both claim; ``read`` gives the parts, again where copies differ."""
    order = list(MESSAGES)
    images: dict[str, str] = {}
    claims: dict[bytes, bytes] = {}  # row of the label table, and frame -> the image, 16 bytes
    labels: set[str] = set()
    copies = Copies()
    for part in read():
        copies.see(part.rows)
        rows = part.rows[part.rows["reason"].isin(order)]
        for key, reason in zip(rows["image_key"], rows["reason"], strict=True):
            images[key] = min(reason, images.get(key, reason), key=order.index)
        rows = part.rows[part.rows["claim"].notna()]
        for label, frame, claim in zip(rows["label_key"], rows["frame"], rows["claim"], strict=True):
            place = bytes.fromhex(label) + int(frame).to_bytes(4, "little")
            if claims.setdefault(place, bytes.fromhex(claim)) != bytes.fromhex(claim):
                labels.add(label)
    agreed: dict[str, Mapping[str, Any]] = {}
    for part in read() if copies.differ else ():
        for key, found in copies.agreed(part.rows):
            if found is None:
                images.setdefault(key, _OTHER_LABEL)
            else:
                agreed[key] = found
    return Contested(images, frozenset(labels), agreed)


def settled(parts: Iterable[Part], rivals: Contested) -> Iterator[Part]:
    """The parts with everything that is contested rejected; ``rivals`` are those of `contested`."""
    for part in parts:
        part = replace(part, rows=_agreeing(part.rows, rivals.agreed))
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
            reason=rows["reason"].astype(object).mask(withdrawn, reasons.replace(_OTHER_LABEL, AMBIGUOUS)),
            message=rows["message"].astype(object).mask(withdrawn, reasons.map(MESSAGES)),
        )
        shard = part.shard
        if shard is not None and (indexed & withdrawn).any():
            shard = {**shard, "unused": sorted(int(row) for row in rows.loc[indexed & withdrawn, "row"])}
        yield replace(part, rows=rows, shard=shard)


def _agreeing(rows: pd.DataFrame, agreed: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of images whose copies differ, with what is taken."""
    here = rows["image_key"].isin(agreed) & (rows["outcome"] == "indexed") if agreed else None
    if here is None or not here.any():
        return rows
    changed: dict[str, list[Any]] = {}
    for place in here.to_numpy().nonzero()[0]:
        for name, taken in agreed[rows["image_key"].iloc[place]].items():
            changed.setdefault(name, list(rows[name]))[place] = taken
    return rows.assign(**{name: pd.Series(cells, rows.index, dtype=object) for name, cells in changed.items()})
