"""Ages of a label table as a dataset may hold them: 0 to 130 years, and 90 for 90 and more, wherever a column is an age.

Ages above 89 identify people in small regions (HIPAA safe harbour). What the table says is not rounded: 63.5 is a number. Ages
that are computed from dates of a header are whole years (`fastrace.dicom.header`, which has the same limits: 0 is an age, and 999
or -1, a code for no answer, is none).
"""

from __future__ import annotations

import re
import unicodedata

from fastrace.cohort.vocabulary import words_of

OLDEST_YEARS = 90.0
"""Of a dataset."""
LIMIT_YEARS = 130.0
"""Of a person."""
_PER_YEAR = {"months": 12.0, "weeks": 365.25 / 7, "days": 365.25, "hours": 365.25 * 24}
_UNITS = {
    **dict.fromkeys(
        ("month", "mo", "mth", "monat", "monate", "monaten", "mes", "mese", "mois", "mesi", "maanden"), "months"
    ),
    **dict.fromkeys(("week", "wk", "woche", "wochen", "semana", "semaine", "settimane", "weken"), "weeks"),
    **dict.fromkeys(("day", "tag", "tage", "tagen", "dia", "jour", "giorni", "dagen"), "days"),
    **dict.fromkeys(("hour", "hr", "stunde", "stunden", "hora", "heure", "ore"), "hours"),
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
# As words of a name: groups of ages have few values, which are names of something.
_GROUP = "|".join(
    (
        "groups?|grp?|bands?|bins?|cat|category|categories|class|range|decade|quartile|code",
        "grupp|gruppe|klasse|grupo|groupe|tranche",
    )
)
# Glued to it may be anything (ageatscan, agedx), but for other words that begin so.
_NO_AGES = re.compile(r"age(?:n[ct]|nda|nder|usia|ing|is[mt]|d$|less)")
_PERSONS = r"(?:patient|pat|pt|subject|participant|person|donor|maternal|mother|birth)?age"
_ABROAD = (  # without accents
    r"(?:patienten|lebens)?alters?|edad|idade|leeftijd|alder|wiek|yas|ika|vek|возраст|年龄|年齢|나이"
)
_AGE = re.compile(rf"(?:{_PERSONS}s?|(?:{_ABROAD})(?:jahre|anos|(?:{_UNIT})s?|{_GROUP})?)\d*")
_ITALIAN = "età"  # eta is a Greek letter as well, and a time of arrival
# Beside "age" something else than how old somebody is: bone age is in months, a gap may be negative.
_OTHER = re.compile(
    "bone|skeletal|gap|diff|difference|delta|score|z|zscore|std|scaled|norm|normali[sz]ed|residual|acceleration"
)
# What makes 90 "90 and more".
_MORE = re.compile(
    r"[+>≥]|\b(?:over|above|older|more|plus|and up|uber|ab|alter|mehr|mas|mais|oltre|piu|meer|ouder|aldre|mayor|mayores)\b"
)
_MORE_THAN_89 = re.compile(r"(?:>|\b(?:over|above|than|uber|als|de|dan)\b)\s*89\b")


def is_age(name: str) -> bool:
    """Whether a column is an age by its name: age2, AgeAtScan, patient_age, Alter; not agent, stage, ageing or bone_age."""
    words = words_of(unicodedata.normalize("NFC", name))
    known = any(map(_says_age, words))
    return known and not any(map(_OTHER.fullmatch, words))


def _says_age(word: str) -> bool:
    if word == _ITALIAN or _AGE.fullmatch(_bare(word)):
        return True
    return word.startswith("age") and not _NO_AGES.match(word)


def is_age_group(name: str) -> bool:
    """Whether its numbers are rather codes of groups."""
    return is_age(name) and any(
        re.search(rf"(?:^|age|alters?)(?:{_GROUP})\d*$", _bare(word)) for word in words_of(name)
    )


def capped(age: float, name: str = "") -> float:
    """An age as a dataset holds it; one whose column says months, weeks, days or hours stays in them."""
    return min(age, OLDEST_YEARS * _per_year(name))


def read_age(age: float, name: str = "") -> float | None:
    """An age that a table says, as a dataset holds it; None where it is none: negative, or above 130 years."""
    return capped(age, name) if 0 <= age <= LIMIT_YEARS * _per_year(name) else None


def age_of_cell(cell: str | None) -> float | None:
    """A cell of a column of ages in years as the index holds it; None where it is no age."""
    if cell is None:
        return None
    match = re.fullmatch(r"0*(\d+(?:[.,]\d+)?)\s*(?:[yY]|years?|yrs?)?", cell)
    if match is not None:
        return read_age(float(match[1].replace(",", ".")))
    return OLDEST_YEARS if is_old(cell) else None


def is_old(cell: str) -> bool:
    """Whether a cell that is no number says 90 and more, whatever its words: 90+, >89, 90 and over, 90-94."""
    text = _bare(cell.lower())
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if not numbers or max(numbers) > LIMIT_YEARS:
        return False
    return bool(
        (min(numbers) >= OLDEST_YEARS and (_MORE.search(text) or max(numbers) > OLDEST_YEARS))
        or _MORE_THAN_89.search(text)
    )


def age_in_text(cell: str, name: str = "") -> str | None:
    """A cell that is no number, such as a group: "90+" where any number in it is above 90; None where one is no age."""
    oldest = OLDEST_YEARS * _per_year(name)
    numbers = [int(number) for number in re.findall(r"(?<![\d.,])\d+", cell)]
    if any(number > LIMIT_YEARS * _per_year(name) for number in numbers) or re.fullmatch(r"\s*[-−]\s*\d+\s*", cell):
        return None
    old = any(number > oldest for number in numbers) or (oldest == OLDEST_YEARS and is_old(cell))
    return "90+" if old else cell


def _per_year(name: str) -> float:
    """How many units of a column are a year."""
    found = (re.fullmatch(rf"(?:.*age|.*alter)?({_UNIT})s?", _bare(word)) for word in words_of(name))
    return next((_PER_YEAR[_UNITS[one[1]]] for one in found if one is not None), 1.0)


def _bare(word: str) -> str:
    """Without accents."""
    apart = "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one))
    return unicodedata.normalize("NFC", apart)
