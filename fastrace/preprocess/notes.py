"""What was odd in the images that are in a dataset, counted by kind for the index, the summary and the datasheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from fastrace.dicom.notes import KINDS, Note


def joined(notes: Iterable[Note]) -> tuple[str | None, str | None]:
    """The notes of one image as two cells: kinds for the index ("assumed,signed"), texts for the custodian; None for none."""
    notes = tuple(notes)
    return ",".join(sorted({note.kind for note in notes})) or None, "; ".join(note.text for note in notes) or None


def counted(column: pd.Series) -> dict[str, int]:
    """How many images have a note of each kind, in alphabetical order.

    Parameters
    ----------
    column : Series of str or None
        The column ``notes`` of an index.
    """
    return dict(sorted(Counter(kind for cell in column.dropna() for kind in cell.split(",")).items()))


def lines(counts: Mapping[str, int]) -> list[str]:
    """The counts in words, for the printed summary."""
    return [f"{count} image{'s' * (count > 1)} with note {kind}: {KINDS[kind]}" for kind, count in counts.items()]
