"""Ages as a dataset may hold them: whole years, and 90 for 90 and more, in the index and in every label column that is an age.

An age in days, such as 64.213552, and a birth date that somebody knows give the day of the study. DICOM's Age String (PS3.5
6.2) has whole years too; of children below two years months are lost, which no experiment needs. Ages above 89 identify people
in small regions (HIPAA safe harbour).
"""

from __future__ import annotations

import math
import re

OLDEST_YEARS = 90.0
_EDGE = 1e-9  # 1/12 of a year times 36 must be 3 years
_PER_YEAR = {"months": 12.0, "weeks": 365.25 / 7, "days": 365.25}
_UNITS = {"month": "months", "mo": "months", "week": "weeks", "wk": "weeks", "day": "days"}
# As words of a name: groups of ages have few values, which are names of something.
_GROUPS = re.compile("groups?|grp|bands?|bins?|cat|category|categories|class|range|decade|quartile|code")
_NO_AGES = re.compile(r"age(?:n[ct]|nda|usia)")
_PERSONS = r"(?:patient|pat|pt|subject|participant|person|donor|maternal|mother|birth)?age"


def is_age(name: str) -> bool:
    """Whether a column is an age by its name: age2, AgeAtScan, patient_age, ageYears; not agent, stage or dosage."""
    return any(
        re.fullmatch(_PERSONS + r"s?\d*", word) or (word.startswith("age") and not _NO_AGES.match(word))
        for word in _words(name)
    )


def is_age_group(name: str) -> bool:
    """Whether its numbers are rather codes of groups."""
    return is_age(name) and any(map(_GROUPS.fullmatch, _words(name)))


def whole_years(age: float, name: str = "") -> float:
    """An age as a dataset holds it; one whose column says months, weeks or days stays in them, in steps of a year."""
    unit = next((of for word in _words(name) for part, of in _UNITS.items() if word.rstrip("s") == part), "")
    per_year = _PER_YEAR.get(unit, 1.0)
    return float(math.floor(min(math.floor(age / per_year + _EDGE), OLDEST_YEARS) * per_year))


def age_in_text(cell: str) -> str:
    """A cell that is no number, such as a group: no fraction of a year, and "90+" where any number in it is above 90."""
    if any(int(number) > OLDEST_YEARS for number in re.findall(r"(?<![\d.,])\d+", cell)):
        return "90+"
    return re.sub(r"(\d)[.,]\d+", r"\1", cell)


def _words(name: str) -> list[str]:
    """Lower case; cut at what is no letter or digit, and at capitals."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
