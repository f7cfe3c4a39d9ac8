"""Ages of a label table as a dataset may hold them: 90 for 90 and more, in the index and in every label column that is an age.

Ages above 89 identify people in small regions (HIPAA safe harbour). What the table says is not rounded: 63.5 is a number. Ages
that are computed from dates of a header are whole years (`fastrace.dicom.header`).
"""

from __future__ import annotations

import re

OLDEST_YEARS = 90.0
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


def capped(age: float, name: str = "") -> float:
    """An age as a dataset holds it; one whose column says months, weeks or days stays in them."""
    unit = next((of for word in _words(name) for part, of in _UNITS.items() if word.rstrip("s") == part), "")
    return min(age, OLDEST_YEARS * _PER_YEAR.get(unit, 1.0))


def age_in_text(cell: str) -> str:
    """A cell that is no number, such as a group: "90+" where any number in it is above 90."""
    return "90+" if any(int(number) > OLDEST_YEARS for number in re.findall(r"(?<![\d.,])\d+", cell)) else cell


def _words(name: str) -> list[str]:
    """Lower case; cut at what is no letter or digit, and at capitals."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
