"""The label table: race and covariates are not in DICOM headers, so they come from a table and are joined by a key.

A table may name patients, studies, accessions, images or paths; the most specific key it has is used. DICOM has no race
attribute (only Ethnic Group (0010,2160)), which makes this join the most-asked question about the study's code.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from fastrace.dataset import INDEX_COLUMNS
from fastrace.errors import RejectedInput, UsageError

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

# What a row can say about an image depends on what the row is about: a patient has one sex but many views.
PATIENT_FACTS = ("sex", "official_split")
STUDY_FACTS = (*PATIENT_FACTS, "age_years")

# Label columns kept without being named: attributes and covariates of the study. Everything else needs --column, so
# that no identifier, date or free text of a hospital's table slips into the dataset.
KEPT = (
    "race", "racedesc", "primaryrace", "ethnicity", "ethnicitydesc", "ethnicgroupdesc", "group", "label", "density",
    "tissueden", "bmi", "site", "scanner", "insurance", "language",
)  # fmt: skip

MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "."})
UNKNOWN = frozenset({"unknown", "unable to obtain", "not recorded", "not reported", "race and ethnicity unknown"})
DECLINED = frozenset({"declined", "refused", "patient declined to answer", "decline to answer", "patient refused"})


@dataclass(frozen=True)
class Labels:
    """A label table, read, checked and indexed by its key.

    Attributes
    ----------
    key : str
        One of `KEYS`.
    columns : dict
        Label column -> "categorical" or "numeric".
    rows : dict
        Key value -> {column: value}; values are str, float or None.
    conflicts : dict
        Key value -> why it is unusable.
    notes : tuple of str
        One line each for the terminal: columns left out, rows merged.
    """

    key: str
    columns: Mapping[str, str]
    rows: Mapping[str, Mapping[str, str | float | None]]
    conflicts: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def find(self, identifiers: Mapping[str, Sequence[str]]) -> tuple[str, Mapping[str, str | float | None]]:
        """The row that belongs to an image.

        Parameters
        ----------
        identifiers : mapping
            Key kind -> candidate values of this image, tried in order.

        Returns
        -------
        (key value, row)

        Raises
        ------
        RejectedInput
            ``no_label`` or ``contradictory_label``.
        """
        for value in identifiers.get(self.key, ()):
            if value in self.conflicts:
                raise RejectedInput("contradictory_label", self.conflicts[value])
            if value in self.rows:
                return value, self.rows[value]
        if self.key == "path":
            return self._find_path(identifiers)
        raise RejectedInput("no_label", f"its {self.key} is in no row of the label table")

    def _find_path(self, identifiers: Mapping[str, Sequence[str]]) -> tuple[str, Mapping[str, str | float | None]]:
        """The table's path is the end of the file's path, or the file's path below SRC is the end of the table's."""
        for value in (*identifiers.get("absolute", ()), *identifiers.get("path", ())):
            parts = PurePosixPath(value).parts
            for start in range(1, len(parts)):
                tail = "/".join(parts[start:])
                if tail in self.conflicts:
                    raise RejectedInput("contradictory_label", self.conflicts[tail])
                if tail in self.rows:
                    return tail, self.rows[tail]
        for value in identifiers.get("path", ()):
            found = self._by_tail.get(value, ())
            if len(found) > 1:
                raise RejectedInput(
                    "contradictory_label",
                    f"its path below SRC is the end of {len(found)} paths of the label table; name a SRC further up, so that "
                    "it is the end of one",
                )
            if found:
                if found[0] in self.conflicts:
                    raise RejectedInput("contradictory_label", self.conflicts[found[0]])
                return found[0], self.rows[found[0]]
        raise RejectedInput("no_label", "its path is in no row of the label table")

    @property
    def _by_tail(self) -> dict[str, list[str]]:
        """End of a path of the table -> the paths that end so."""
        cached = self.__dict__.get("_tails")
        if cached is None:
            cached = {}
            for full in self.rows:
                parts = PurePosixPath(full).parts
                for start in range(1, len(parts)):
                    cached.setdefault("/".join(parts[start:]), []).append(full)
            self.__dict__["_tails"] = cached
        return cached


def read_labels(
    file: Path, *, key: str | None = None, columns: Sequence[str] = (), categories: Path | None = None
) -> Labels:
    """Read a CSV, TSV or Parquet label table.

    Parameters
    ----------
    file : Path
        Comma, semicolon or tab separated with one header line (UTF-8, with or without BOM), or Parquet.
    key : str, optional
        ``COLUMN`` or ``KIND=COLUMN`` (kind: path, image, accession, study, patient). Default: the most specific known.
    columns : sequence of str
        Label columns kept besides the known ones.
    categories : Path, optional
        Category map, see `read_categories`.

    Raises
    ------
    UsageError
        Unreadable file, unknown column, no usable key, a value that the category map does not name.
    """
    table = _read_table(file)
    names = {_plain(name): name for name in table.columns}
    kind, key_column = _choose_key(file, table, names, key)
    for column in columns:
        if column not in table.columns:
            raise UsageError(f"{file}: no column {column!r}; it has {', '.join(map(repr, table.columns))}")
    about = {"patient": PATIENT_FACTS, "study": STUDY_FACTS, "accession": STUDY_FACTS}.get(kind, tuple(FACTS))
    facts = {fact: names[plain] for fact in about for plain in FACTS[fact] if plain in names}
    kept = [name for name in table.columns if _plain(name) in KEPT and name not in facts.values()]
    kept += [name for name in columns if name not in kept and name not in facts.values()]
    taken = [name for name in kept if name in INDEX_COLUMNS]
    if taken:
        raise UsageError(f"{file}: column {taken[0]!r} has the name of a column of the index; rename it in the table")
    patient = next((names[plain] for plain in KEYS["patient"] if plain in names), None)
    study = next((names[plain] for plain in KEYS["study"] if plain in names), None)

    clean = {name: [_clean(cell) for cell in table[name]] for name in table.columns}
    values = pd.DataFrame(clean, dtype=object)  # not pandas' str type, which would turn None into NaN
    kinds = {name: _kind(values[name]) for name in kept}
    mapping = read_categories(categories) if categories else None
    for name in kept:
        if kinds[name] == "categorical":
            values[name] = _stratify(file, name, values[name], mapping)
        else:
            values[name] = pd.Series([None if cell is None else float(cell) for cell in values[name]], dtype=object)
    shown = pd.DataFrame({name: values[name] for name in kept}, dtype=object)
    for fact, name in facts.items():
        if name not in kept:
            shown[fact] = pd.Series([_fact(fact, cell) for cell in values[name]], dtype=object)
    if patient is not None and kind != "patient":
        shown["patient_id"] = values[patient]
    if study is not None and kind not in ("study", "patient"):
        shown["study_id"] = values[study]
    rows, conflicts, merged = _index(values[key_column], shown, kind)
    ignored = [n for n in table.columns if n not in (key_column, patient, study, *kept, *facts.values())]
    notes = [f"labels: {len(rows)} {kind} keys from column {key_column!r}; label columns: {', '.join(kept) or 'none'}"]
    if ignored:
        notes.append(f"labels: columns not kept (add with --column NAME): {', '.join(ignored)}")
    if merged:
        notes.append(f"labels: {merged} rows repeat another row's key and values; merged")
    if conflicts:
        notes.append(f"labels: {len(conflicts)} {kind} keys have contradictory rows; their images are rejected")
    return Labels(kind, kinds, rows, conflicts, tuple(notes))


def read_categories(file: Path) -> dict[str, str]:
    """Read a category map: lines ``"value in the table" = Category``; quotes optional, ``#`` starts a comment line.

    White space inside values is collapsed before comparing, as public tables carry strings such as
    ``African American  or Black`` with two blanks. ``* = Category`` names the rest.
    """
    mapping: dict[str, str] = {}
    for number, line in enumerate(_text(file).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'("(?P<quoted>[^"]*)"|(?P<plain>[^"=]+?))\s*=\s*"?(?P<category>[^"]+?)"?', line)
        if match is None:
            raise UsageError(f'{file}, line {number}: expected  "value" = Category  but found {line!r}')
        value = re.sub(r"\s+", " ", (match["quoted"] if match["quoted"] is not None else match["plain"]).strip())
        category = match["category"].strip()
        if mapping.setdefault(value.lower(), category) != category:
            raise UsageError(f"{file}, line {number}: {value!r} is mapped twice, to {mapping[value.lower()]!r} before")
    return mapping


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: byte {error.start} is not UTF-8; save the table as UTF-8") from error


def _read_table(file: Path) -> pd.DataFrame:
    if file.suffix.lower() in (".parquet", ".pq"):
        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise UsageError(f"{file}: not a readable Parquet file ({error})") from error
        return table.astype(object).map(_cell_text).rename(columns=str)
    lines = _text(file)
    header = lines.split("\n", 1)[0]
    separator = max((",", ";", "\t"), key=header.count)
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=separator, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:  # not strict, a quote that is never closed would make one label of all rows after it
        raise UsageError(f"{file}: line {reader.line_num}: {error}; is a quote not closed?") from error
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise UsageError(f"{file}: the table is empty; its first line must name the columns")
    names = [name.strip() for name in rows[0]]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{file}: column {repeated[0]!r} occurs twice in the first line")
    body = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    for number, row in enumerate(body, 2):
        if len(row) != len(names):
            raise UsageError(f"{file}: row {number} has {len(row)} cells, the first line has {len(names)} columns")
    return pd.DataFrame(body, columns=names, dtype=str)


def _cell_text(cell: Any) -> str:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _choose_key(file: Path, table: pd.DataFrame, names: Mapping[str, str], key: str | None) -> tuple[str, str]:
    if key is not None:
        kind, _, column = key.rpartition("=")
        if column not in table.columns:
            raise UsageError(f"{file}: no column {column!r} (--key); it has {', '.join(map(repr, table.columns))}")
        if not kind:
            kind = next((name for name, plains in KEYS.items() if _plain(column) in plains), "")
        if kind not in KEYS:
            raise UsageError(f"--key {key}: say what it identifies, for example --key patient={column}")
        return kind, column
    for kind, plains in KEYS.items():
        for plain in plains:
            if plain in names:
                return kind, names[plain]
    raise UsageError(
        f"{file}: no column names a patient, study, accession, image or path; it has "
        f"{', '.join(map(repr, table.columns))}. Name one with --key, for example --key patient=COLUMN"
    )


def _clean(cell: str) -> str | None:
    return None if cell.strip().lower() in MISSING else re.sub(r"\s+", " ", cell.strip())


def _kind(values: pd.Series) -> str:
    present = values.dropna()
    numeric = pd.to_numeric(present, errors="coerce").notna().all() and len(present) > 0
    # A few small whole numbers are codes (BI-RADS density 1-5), not measurements.
    return "numeric" if numeric and present.nunique() > 12 else "categorical"


def _stratify(file: Path, name: str, values: pd.Series, mapping: Mapping[str, str] | None) -> pd.Series:
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


def _fact(fact: str, cell: str | None) -> str | float | None:
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


def _index(
    keys: pd.Series, shown: pd.DataFrame, kind: str
) -> tuple[dict[str, dict[str, str | float | None]], dict[str, str], int]:
    rows: dict[str, dict[str, str | float | None]] = {}
    conflicts: dict[str, str] = {}
    merged = 0
    records = shown.astype(object).where(shown.notna(), None).to_dict("records")
    for number, (key, row) in enumerate(zip(keys, records, strict=True), 2):
        if key is None:
            continue
        key = str(PurePosixPath(key)) if kind == "path" else str(key)
        before = rows.setdefault(key, row)
        if before is row:
            continue
        differing = [str(name) for name in row if row[name] != before[name]]
        if differing:
            conflicts[key] = (
                f"the label table has different values of {', '.join(differing)} for this {kind} (row {number})"
            )
        else:
            merged += 1
    return rows, conflicts, merged
