"""The words of label tables: which columns name, describe and classify an image, and how their cells are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fastrace.cohort.non_answers import has_plus, is_sign, stratum
from fastrace.cohort.patient_words import PATIENT_WORDS
from fastrace.dicom.views import read_side, read_words

# Column names of the public sets and of DICOM, lower case, letters and digits only; most specific first.
KEYS: dict[str, tuple[str, ...]] = {
    "path": ("path", "filepath", "file", "filename", "pathtoimage", "pathtodcm", "pngpath", "pngfilename", "anondicompath"),
    "image": ("imageid", "image", "imageuid", "sopinstanceuid", "dicomid"),
    "accession": ("accession", "accessionnumber", "accanon"),
    "study": ("studyuid", "studyinstanceuid", "studyid", "study"),
    "patient": (
        "patientid", "patient", "subjectid", "subject", "empianon", "empi", "mrn", "pid", "deidpatientid",
        *PATIENT_WORDS,
    ),
}  # fmt: skip

# Columns that describe the image or patient in the index itself.
FACTS: dict[str, tuple[str, ...]] = {
    "sex": ("sex", "gender", "patientsex", "genderdesc"),
    "age_years": ("age", "ageyears", "patientage", "ageatstudy", "ageatcxr"),
    "view": ("view", "viewposition", "projection", "appa", "frontallateral"),
    "laterality": ("laterality", "side", "imagelaterality", "imagelateralityfinal"),
    "modality": ("modality",),
    "body_part": ("bodypart", "bodypartexamined"),
    "official_split": ("split",),
}

# Where a column of a fact is empty, another one may state it: CheXpert's AP/PA is of frontal views, and empty for laterals.
ALSO = {"view": "frontallateral"}

# What a row can state about an image depends on what it describes: a patient has one sex but many views. An age is that of a
# study, but most tables of hospitals have one for each patient, and it is said that all studies then have it.
PERSON_FACTS = ("sex", "age_years", "official_split")

# Label columns kept without being named: attributes and covariates of the study. Everything else needs --column, so
# that no identifier, date or free text of a hospital's table gets into the dataset.
KEPT = (
    "race", "racedesc", "primaryrace", "ethnicity", "ethnicitydesc", "ethnicgroupdesc", "group", "label", "density",
    "tissueden", "bmi", "site", "scanner", "insurance", "language",
)  # fmt: skip

_COLUMN_WORDS = frozenset(KEPT).union(*KEYS.values(), *FACTS.values())

# What a patient has once, however often it is recorded: where a table names patients, all their rows count together.
OF_PATIENTS = ("race", "racedesc", "primaryrace", "ethnicity", "ethnicitydesc", "ethnicgroupdesc")
# Numbers in these are names of something, not amounts.
AMOUNTS = frozenset({"bmi"})
CODES = frozenset(KEPT) - AMOUNTS - {"density", "tissueden"}

MISSING = frozenset(
    {"", "na", "n/a", "n.a.", "nan", "<na>", "none", "null", "nil", "nat", ".", "-", "--", "?", "#n/a", "#nv"}
)


# Columns that ask who somebody is, in which HL7's short codes for no answer are meant: by a word of their name.
_WHO = re.compile(r"(?:patient|primary|pt)?(?:race|ethnic|sex|gender|language|religion|marital)\w*")

_FEMALE = (
    "f", "fem", "♀",
    "female", "woman", "w", "weiblich", "frau", "feminin", "féminin", "femme", "femenino", "mujer", "feminino", "mulher",
    "femminile", "femmina", "donna", "vrouw", "vrouwelijk", "kvinna", "kvinde", "kvinne",
)  # fmt: skip
_MALE = (
    "m", "masc", "♂",
    "male", "man", "männlich", "maennlich", "mann", "masculin", "homme", "masculino", "hombre", "varón", "homem", "maschile",
    "maschio", "uomo", "mannelijk", "mand",
)  # fmt: skip
# A: ambiguous, of HL7 table 0001; X of passports, D of German ones.
_NEITHER = (
    "o", "other", "another", "another gender", "x", "a", "ambiguous", "d", "divers", "diverse", "intersex", "inter", "nonbinary",
    "non-binary", "non binary", "transgender", "genderqueer", "andere", "autre", "otro", "outro", "altro",
)  # fmt: skip
_SEXES = dict.fromkeys(_FEMALE, "F") | dict.fromkeys(_MALE, "M") | dict.fromkeys(_NEITHER, "O")
_ANOTHER = frozenset(
    {"transgender", "trans", "nonbinary", "genderqueer", "genderfluid", "queer", "intersex", "agender"}
)
_OTHERS = frozenset({
    "marital", "radiologist", "reader", "report", "technologist", "technician", "physician", "doctor", "nurse", "referring",
    "operator", "provider", "annotator", "interpreter", "mother", "father", "parent",
})  # fmt: skip
_NO_SEX = frozenset({"u", "n"})  # HL7 table 0001: unknown, not applicable


def plain(name: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def names_rows(column: str) -> bool:
    """Whether a column is known to name images, studies or patients."""
    return any(plain(column) in names for names in KEYS.values())


def asks_who(column: str) -> bool:
    """Whether a column is of race, ethnicity, sex, gender, language, religion or marital status."""
    return any(map(_WHO.fullmatch, words_of(column)))


def of_person(column: str) -> bool:
    """Whether a column is about what a patient has once: all that asks who somebody is, but for the marital status.

    Not where it asks about somebody else (``radiologist_gender``) or about a text (``report_language``).
    """
    if plain(column) in OF_PATIENTS:
        return True
    return asks_who(column) and _OTHERS.isdisjoint(words_of(column))


def words_of(name: str) -> list[str]:
    """The words of a column's name, lower case; cut at what is no letter or digit, and at capitals."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[^\W_A-Z])(?=[A-Z])", " ", name).lower())


def states_no_sex(cell: str) -> bool:
    """Whether a cell of a column of sex says that it is not known, rather than something that is not understood."""
    return cell.lower() in _NO_SEX or (cell not in _SEXES and stratum(cell) is not None)


def is_column_word(name: str) -> bool:
    """Whether a name is a usual one of a column of a label table, so that it may be quoted: a cell of a row may be somebody."""
    return plain(name) in _COLUMN_WORDS


def listed(columns: Sequence[str]) -> str:
    """The columns of a table in words; counted where none has a usual name, since the first line may then be a row."""
    if any(map(is_column_word, columns)):
        return f"it has {', '.join(map(repr, columns))}"
    return (
        f"none of its {len(columns)} columns has a usual name (if its first line is a row, write the names of the columns above "
        "it)"
    )


def clean(cell: str) -> str | None:
    """A cell without outer and repeated white space; None where it stands for a missing value."""
    return None if cell.strip().lower() in MISSING else re.sub(r"\s+", " ", cell.strip())


def clean_column(cells: Iterable[str]) -> list[str | None]:
    """`clean` for the cells of a column; ``-`` is an answer beside ``+``."""
    cells = list(cells)
    signs = has_plus(set(cells))
    return [cell.strip() if signs and is_sign(cell) else clean(cell) for cell in cells]


def is_amount(name: str, numbers: Sequence[float | None]) -> bool:
    """Tell a measurement from codes such as BI-RADS density 1-5: a few whole numbers are codes, and so are names."""
    known = {number for number in numbers if number is not None}
    if plain(name) in CODES or not known:
        return False
    return plain(name) in AMOUNTS or len(known) > 12 or any(not number.is_integer() for number in known)


def read_fact(fact: str, cell: str | None) -> str | None:
    """A cell of a column of `FACTS` as the index holds it, in the words of headers; ages: `fastrace.cohort.ages.age_of_cell`.

    None where it is no sex or side that is known: 1 and 2 are not guessed.
    """
    if cell is None:
        return None
    if fact == "sex":
        said = words_of(cell)
        return _SEXES.get(cell.lower().rstrip("."), None if _ANOTHER.isdisjoint(said) else "O")
    if fact == "laterality":
        return read_side(cell)
    if fact == "view" and stratum(cell) is not None:
        return None
    if fact == "view":
        words = read_words(cell)  # what more it says is for who joins: a spot view of MLO is no MLO
        return cell.upper() if words.side or words.modifiers else words.view
    if fact == "official_split":
        return {"validate": "val", "valid": "val", "validation": "val"}.get(cell.lower(), cell.lower())
    return cell.upper()
