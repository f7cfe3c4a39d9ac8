"""Does a row of the label table name somebody? Its cells are compared with the header of the image and with the ids of the row.

A hospital's table holds a name, an id or a birth date in any column, kept by its name alone (``label``, ``site``) or by
``--column``. A cell in which one of them stands becomes missing here, where the header is at hand; what is only glued to other
letters, or shared with an id, is marked, and kept where enough patients have it (`fastrace.preprocess.vocabulary`). Of known
terms, and of what the category map makes, only a whole name counts: a Mr White may be white (`fastrace.cohort.known_terms`), but
German Costa is somebody. A mark holds a keyed hash of the text, so that a value that turns out to be a term can be put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastrace.cohort.labels import Labels, Row
from fastrace.dicom.identity import Found, Identity, Withheld
from fastrace.dicom.identity_of import identity_of_ids
from fastrace.dicom.name_forms import squeezed
from fastrace.dicom.terms import is_term
from fastrace.preprocess.facts import OURS

LABEL = "label:"
"""Before the name of a label column, in the parts of a run."""
_ORDER: tuple[Found, ...] = ("stands", "place", "glued", "shared")
_FEWEST_LETTERS = 3  # of an id that a whole cell repeats: shorter ones are codes as well
_DIGITS = 4  # of a number that may be an id or a date


def names_nobody(
    labels: Labels, key: str, row: Row, identity: Identity, identifiers: Iterable[str]
) -> tuple[Row, list[Withheld]]:
    """The row without the cells that name somebody, and what was found.

    Parameters
    ----------
    labels : Labels
    key : str
        Of the row.
    row : mapping
    identity : Identity
        Of the header of the image.
    identifiers : iterable of str
        What the image could be called in a table.
    """
    ids = {key, *(labels.ids or {}).get(key, ()), *identifiers}
    compare = _Compare(identity, ids)
    kept: dict[str, str | float | None] = dict(row)
    found: list[Withheld] = []
    for name, value in row.items():
        if value is None or name in ("patient_id", "study_id"):
            continue
        column = LABEL + name if name in labels.columns else name
        recorded = name in (labels.values or {})
        for text, known in _texts(labels, name, value):
            how = compare.found_in(text, known) if isinstance(text, str) else compare.held(text)
            if how is None:
                continue
            found.append(Withheld(column, how, text if isinstance(text, str) else str(float(text))))
            if how in ("stands", "place") and not recorded:  # of recorded values the cell holds the numbers alone
                kept[name] = None
    return kept, found


def _texts(labels: Labels, name: str, value: str | float) -> list[tuple[str | float, bool]]:
    """What has to be compared, all recorded values of a column of them; and whether it is a known term."""
    if name not in labels.columns:
        known = not isinstance(value, str) or (name in OURS and name == "sex") or is_term(name, value)
        return [] if known else [(value, False)]
    terms = (labels.terms or {}).get(name, frozenset())
    words = (labels.values or {}).get(name)
    said: list[Any] = [value] if words is None else [words[int(code)] for code in dict.fromkeys(str(value).split(","))]
    return [(one, one in terms) for one in said]


class _Compare:
    def __init__(self, identity: Identity, ids: set[str]) -> None:
        self._identity, self._ids = identity, identity_of_ids(ids)
        self._whole = {one for one in map(squeezed, ids) if len(one) >= _FEWEST_LETTERS}
        self._numbers = {re.sub(r"\D", "", one).lstrip("0") for one in ids} - {""}

    def found_in(self, text: str, known: bool = False) -> Found | None:
        how = self._identity.found_in_cell(text, known=known)
        if known or how == "stands":
            return how
        if squeezed(text) in self._whole:
            return "stands"
        both = (how, self._ids.found_in(text))
        return next((how for how in _ORDER if how in both), None)

    def held(self, number: float) -> Found | None:
        """A measurement is no name; a whole number may be an id or a date, a small one where most of its column are."""
        if self._identity.serial(int(number)):
            return "stands"
        if number != int(number):
            return None
        digits = f"{number:.0f}"
        if abs(number) >= 10 ** (_DIGITS - 1) and self.found_in(digits) in ("stands", "place"):
            return "stands"
        return "id" if digits in self._numbers else None


def codes_used(cells: Iterable[Any]) -> set[int]:
    """Numbers of the recorded values in the cells of a column of them."""
    return {int(code) for cell in cells if isinstance(cell, str) for code in cell.split(",")}


def without_unused(columns: Mapping[str, Mapping[str, Any]], used: Mapping[str, set[int]]) -> dict[str, dict[str, Any]]:
    """The label columns as dataset.json describes them, without recorded values that no row of the dataset has.

    Their numbers stay: "" stands where a value was.
    """
    return {
        name: {
            **facts,
            **(
                {"values": [value if n in used[name] else "" for n, value in enumerate(facts["values"])]}
                if name in used
                else {}
            ),
        }
        for name, facts in columns.items()
    }
