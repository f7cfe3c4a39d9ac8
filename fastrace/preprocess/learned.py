"""What can be said of an image only when all of them are known: which texts several patients share, days since the first study.

Two passes over the parts of a run, one part in memory at a time: `Learned.see` all of them, then `Learned.apply` to each.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from fastrace.cohort.labels import Labels
from fastrace.dataset import ACQUISITION_NUMBERS, ACQUISITION_TEXTS
from fastrace.preprocess.study_days import StudyDays
from fastrace.preprocess.vocabulary import Vocabulary

# Of a part, beside the columns of the index.
PART_COLUMNS = ("study_day", "withheld", "names", "ethnic_group", "recognizable")
_ACQUISITION = ("manufacturer", "model", *ACQUISITION_NUMBERS, *ACQUISITION_TEXTS)


class Learned:
    """State: the vocabulary, first studies, and counts of what was put into the index."""

    def __init__(self, salt: bytes, labels: Labels | None = None) -> None:
        self._vocabulary = Vocabulary(salt, labels)
        self._days = StudyDays()
        self._filled: Counter[str] = Counter()
        self._ethnic_group = 0

    def see(self, rows: pd.DataFrame) -> None:
        """Learn from the rows of a part."""
        self._vocabulary.see(rows)
        self._days.see(rows)

    def apply(self, kept: pd.DataFrame) -> pd.DataFrame:
        """The indexed rows of a part, as the index may hold them; ``kept`` stays as it is."""
        found = self._days.apply(self._vocabulary.apply(kept))
        self._filled.update({name: int(found[name].notna().sum()) for name in _ACQUISITION})
        self._ethnic_group += int(found["ethnic_group"].eq(True).sum())
        return found

    def shown(self, name: str, value: str) -> bool:
        """Whether a value of a label column may be printed."""
        return self._vocabulary.shown(name, value)

    def lines(self) -> list[str]:
        """Label columns that lost a whole class or all of their numbers."""
        return self._vocabulary.lines()

    def counts(self) -> dict[str, Any]:
        """For ``dataset.json``, when `apply` has seen all rows: images whose acquisition is known, what was left out, and headers
        that carry Ethnic Group (0010,2160) or its successors.
        """
        return {
            "acquisition": {name: self._filled[name] for name in _ACQUISITION},
            "withheld": self._vocabulary.counts(),
            "ethnic_group": self._ethnic_group,
        }
