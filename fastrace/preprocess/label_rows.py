"""The row of the label table that belongs to an image, which the pass over the headers, the dry run and the run find alike."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from fastrace.cohort.labels import Labels, Row
from fastrace.errors import RejectedInput
from fastrace.preprocess.scan import Source


class LabelRows:
    """Finds rows; state: the keys of a table of paths that are the whole path of a file below its SRC."""

    def __init__(self, labels: Labels, sources: Iterable[Source] = ()) -> None:
        self.labels = labels
        found = (normal_path(one.relative) for one in sources) if labels.key == "path" else ()
        self.whole_paths = frozenset(path for path in found if path in labels.rows)

    def find(self, source: Source, identifiers: Mapping[str, Sequence[str]]) -> tuple[str, Row]:
        """The key and the row.

        Raises
        ------
        RejectedInput
            ``no_label``, ``contradictory_label`` or ``ambiguous_patient``.
        """
        try:
            key, row = self.labels.find(identifiers)
        except RejectedInput as error:
            if error.reason == "no_label" and self.labels.key == "patient" and not identifiers["patient"]:
                raise RejectedInput(
                    "no_label",
                    "no Patient ID (0010,0020), by which the label table is joined; name another key with --key, or "
                    "--patient-pattern",
                ) from None
            raise
        if key in self.whole_paths and key not in (
            normal_path(source.relative),
            normal_path(os.path.abspath(source.path)),
        ):
            raise RejectedInput(
                "no_label",
                "the row of the label table that its name would fit names another file, by its whole path below SRC",
            )
        return key, row


def normal_path(path: str) -> str:
    """A path as `fastrace.cohort.matching.Keys` compares it."""
    return str(PurePosixPath(path))
