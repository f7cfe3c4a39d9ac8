"""Study dates as days since the patient's first study: the order and the distance of studies without any date.

The first study is the earliest of the patient's images that are in the dataset, so the days are known at the end of a run
alone. They are None where Study Date (0008,0020) is missing or stands for an unknown date. De-identification that moves all
dates of a patient by the same number of days (PS3.15 E.3.6) leaves them as they are; where it moved every study by another
number they mean nothing, and no header says which was done.
"""

from __future__ import annotations

import pandas as pd


class StudyDays:
    """The first study of every patient; one small number for each patient is held, however many images there are."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}

    def see(self, rows: pd.DataFrame) -> None:
        """Learn from the rows of a part: ``outcome``, ``patient_key``, ``study_day``."""
        known = rows[(rows["outcome"] == "indexed") & rows["study_day"].notna()]
        for patient, day in known.groupby("patient_key")["study_day"].min().items():
            self._first[str(patient)] = min(int(day), self._first.get(str(patient), int(day)))

    def apply(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with ``days_since_first_study`` filled; ``rows`` stays as it is."""
        first = rows["patient_key"].map(self._first).astype(float)
        return rows.assign(days_since_first_study=rows["study_day"].astype(float) - first)
