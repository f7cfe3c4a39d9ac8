"""The words of label tables: which columns name, describe and classify an image, and how their cells are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fastrace.errors import UsageError

# Column names of the public sets and of DICOM, lower case, letters and digits only; most specific first.
KEYS: dict[str, tuple[str, ...]] = {
    "path": ("path", "filepath", "file", "filename", "pathtoimage", "pathtodcm", "pngpath", "pngfilename", "anondicompath"),
    "image": ("imageid", "image", "imageuid", "sopinstanceuid", "dicomid"),
    "accession": ("accession", "accessionnumber", "accanon"),
    "study": ("studyuid", "studyinstanceuid", "studyid", "study"),
    "patient": ("patientid", "patient", "subjectid", "subject", "empianon", "empi", "mrn", "pid", "deidpatientid"),
}  # fmt: skip

# Columns that describe the image or patient in the index itself.
FACTS: dict[str, tuple[str, ...]] = {
    "sex": ("sex", "gender", "patientsex", "genderdesc"),
    "age_years": ("age", "ageyears", "patientage", "ageatstudy", "ageatcxr"),
    "view": ("view", "viewposition", "projection", "appa"),
    "laterality": ("laterality", "side", "imagelaterality", "imagelateralityfinal"),
    "modality": ("modality",),
    "body_part": ("bodypart", "bodypartexamined"),
    "official_split": ("split",),
}

# What a row can state about an image depends on what it describes: a patient has one sex but many views.
PATIENT_FACTS = ("sex", "official_split")
STUDY_FACTS = (*PATIENT_FACTS, "age_years")

# Label columns kept without being named: attributes and covariates of the study. Everything else needs --column, so
# that no identifier, date or free text of a hospital's table gets into the dataset.
KEPT = (
    "race", "racedesc", "primaryrace", "ethnicity", "ethnicitydesc", "ethnicgroupdesc", "group", "label", "density",
    "tissueden", "bmi", "site", "scanner", "insurance", "language",
)  # fmt: skip

MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "."})
UNKNOWN = frozenset({"unknown", "unable to obtain", "not recorded", "not reported", "race and ethnicity unknown"})
DECLINED = frozenset({"declined", "refused", "patient declined to answer", "decline to answer", "patient refused"})


def plain(name: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def clean(cell: str) -> str | None:
    """A cell without outer and repeated white space; None where it stands for a missing value."""
    return None if cell.strip().lower() in MISSING else re.sub(r"\s+", " ", cell.strip())


def kind_of(values: pd.Series) -> str:
    """ "numeric" or "categorical"."""
    present = values.dropna()
    numeric = pd.to_numeric(present, errors="coerce").notna().all() and len(present) > 0
    # A few small whole numbers are codes (BI-RADS density 1-5), not measurements.
    return "numeric" if numeric and present.nunique() > 12 else "categorical"


def stratify(file: Path, name: str, values: pd.Series, mapping: Mapping[str, str] | None) -> pd.Series:
    """Unknown and declined are strata of their own, never dropped; a category map must name every other value."""

    def stratum(cell: str | None) -> str:
        text = cell or ""
        if mapping is not None and text.lower() in mapping:
            return mapping[text.lower()]
        if not text or text.lower() in UNKNOWN:
            return "unknown"
        if text.lower() in DECLINED:
            return "declined"
        if mapping is None:
            return text
        if "*" in mapping:
            return mapping["*"]
        raise UsageError(
            f'{file}, column {name!r}: the category map does not name {text!r}; add a line  "{text}" = CATEGORY  or '
            "* = CATEGORY for the rest"
        )

    # The map may concern one column only: a column none of whose values it names is left as it is.
    if mapping is not None and not any(str(cell).lower() in mapping for cell in values.dropna()):
        mapping = None
    return pd.Series([stratum(cell) for cell in values], dtype=object)


def read_fact(fact: str, cell: str | None) -> str | float | None:
    """A cell of a column of `FACTS` as the index holds it."""
    if cell is None:
        return None
    if fact == "age_years":
        match = re.fullmatch(r"0*(\d+(?:\.\d+)?)\s*[yY]?", cell)
        return float(match[1]) if match else None
    if fact == "sex":
        return {"m": "M", "male": "M", "f": "F", "female": "F"}.get(cell.lower(), "O")
    if fact == "official_split":
        return {"validate": "val", "valid": "val", "validation": "val"}.get(cell.lower(), cell.lower())
    return cell.upper()
