"""What an audit cannot show, as sentences of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastrace.audit.document import Cell, FeatureSet
from fastrace.audit.marks import few
from fastrace.audit.subjects import Subjects, repeats, self_reported
from fastrace.cohort.alike import MOST_IMAGES
from fastrace.console.words import MIN_CELL, number

ALWAYS = (
    "A low AUC is no clearance: it means that these features and these networks did not read the attribute here.",
    "A high AUC means that the attribute can be read from the images, not that a clinical model uses it, nor that anyone is "
    "harmed.",
    "Intervals hold for the patients of this archive and the models trained here; another hospital may differ.",
    "What a probe reads may come from the scanner, the view or the referral as well as from the body: see the controls.",
)


RARE, HIGH = 60, 0.9
"""Patients of the smallest class below which, and AUC above which, the lower limit is too high: the few who do not rank high are
missed (970 patients against 30 at .95: .920 and .927 of 300 intervals covered)."""


def limits(
    subjects: Subjects,
    cells: Sequence[Cell],
    features: Sequence[FeatureSet],
    counts: Mapping[str, Any],
    *,
    trusted: bool = False,
    brought: Sequence[str] = (),
    not_read: str | None = None,
    incomplete: Sequence[str] = (),
) -> tuple[str, ...]:
    """The sentences that apply; first that images of different patients are almost equal, since their ids may be wrong.

    ``counts`` are those of the dataset's ``dataset.json``; ``trusted``: the shards were not compared with their digests;
    ``brought``: readers that the user brought; ``not_read``: why the small network was asked for and does not read;
    ``incomplete``: sentences about readers that lack some of the patients or images.
    """
    said = repeats(subjects.cohort)
    found = [*([said] if said else []), *([not_read] if not_read else []), *ALWAYS]
    if len(subjects.cohort.rows) > MOST_IMAGES:
        found.append(
            f"Almost equal images of different patients were looked for among {MOST_IMAGES:,} images, not among all."
        )
    found += [one.training.sentence for one in features if one.training is not None and not one.training.learned]
    if trusted:
        found.append(
            "The images were used as they were found (--trust): whether a file was damaged or exchanged since the dataset was "
            "made was not checked."
        )
    if brought:
        found.append(
            f"{', '.join(brought)}: made elsewhere. If the model behind it learned the attribute from patients of this audit, "
            "its AUC is too high, which cannot be seen from here."
        )
    found += incomplete
    if any(cell.estimate.status.startswith("approximate") for cell in cells):
        found.append(
            "Intervals marked approximate are of a kind that simulation showed not to cover 93-97 % of the time."
        )
    if any("widened" in cell.estimate.method for cell in cells):
        found.append(
            "Intervals of cross-fitted probes are widened, since a patient scored by one probe also trains the others; "
            "in simulations they contained the true value 93-99 % of the time, most often more than 95 %."
        )
    if any(map(_rare_and_high, cells)):
        found.append(
            f"Some AUCs are above {number(HIGH)} with fewer than {RARE} patients in a class: there intervals contained the true "
            "value 92 % of the time in simulations, and in 6-7 % it lay below the interval."
        )
    if any(map(few, cells)):
        found.append(
            "Fewer than 30 patients in a class: the interval is printed, but it is not evidence for either answer."
        )
    if len({cell.features for cell in cells}) == 1:
        found.append("Only one feature set was used: a network might read what it cannot.")
    found.append(
        "p values are corrected for the questions and feature sets of this audit: with fewer of them it would have more power."
    )
    if (without := subjects.cohort.frame["mm_per_pixel"].isna()).any():
        who = "The images have" if without.all() else "Some images have"
        found.append(f"{who} no pixel spacing: frequencies are given in cycles/image alone.")
    if self_reported(subjects.cohort.target) and "ethnic_group" in counts:
        found.append(_headers(int(counts["ethnic_group"]), int(counts["indexed"])))
    return tuple(found)


def _rare_and_high(cell: Cell) -> bool:
    value, smallest = cell.estimate.value, cell.estimate.n_positive
    return value is not None and value > HIGH and smallest is not None and smallest < RARE


def _headers(carrying: int, images: int) -> str:
    """Ethnic Group is "ethnic group or race of the patient" (PS3.3 C.7.1.1): recorded by whom and how, no header says."""
    attribute = "Ethnic Group (0010,2160) or its successors"
    if not carrying:
        return f"No header of this dataset carries {attribute}: the attribute comes from the label table alone."
    few_images = carrying < MIN_CELL or images - carrying < MIN_CELL
    share = "Some headers" if few_images else f"The headers of {carrying:,} of {images:,} images"
    return (
        f"{share} of this dataset carry {attribute}, which nobody compared with the label table: it was not read, and the "
        "attribute comes from the label table alone."
    )
