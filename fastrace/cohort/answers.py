"""What the cells of a label column say: which spellings are the same answer, what a category map makes of them.

Unknown and declined are strata of their own, never dropped and never a class (`fastrace.cohort.non_answers`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastrace.cohort.known_terms import is_known
from fastrace.cohort.non_answers import DECLINED, NO_ANSWER, UNKNOWN, stratum
from fastrace.cohort.said import Said
from fastrace.errors import UsageError


def same_values(cells: Sequence[str | None], codes: bool) -> dict[str, str]:
    """Spelling -> the spelling kept, for the values of a column.

    Values that differ in case or white space alone are one; so are 1 and 1.0 where all values are numbers. The most frequent
    spelling is kept, of equally frequent ones the first in the order of code points.

    Parameters
    ----------
    cells : sequence of str or None
    codes : bool
        All of them are numbers.
    """
    counts = Counter(cell for cell in cells if cell is not None)
    alike: dict[str, list[str]] = {}
    for cell in sorted(counts):
        alike.setdefault(_alike(cell, codes), []).append(cell)
    return {
        cell: re.sub(r"(?<=\d)[.,]0*$", "", kept) if codes else kept
        for same in alike.values()
        for kept in [max(same, key=lambda one: (counts[one], [-ord(letter) for letter in one]))]
        for cell in same
    }


def _alike(cell: str, codes: bool) -> str:
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", cell).casefold())
    return re.sub(r"(?<=\d)[.,]0*$", "", text) if codes else text


def strata(
    file: Path, name: str, cells: Sequence[str | None], mapping: Mapping[str, str] | None, codes: bool
) -> tuple[list[str], list[Said]]:
    """The values of a label column as the index holds them, and notes for the terminal.

    A category map must name every value but those without an answer, which it may.

    Raises
    ------
    UsageError
        A value that the category map does not name.
    """
    # The map may concern one column only: a column none of whose values it names is left as it is.
    if mapping is not None and not any(str(cell).lower() in mapping for cell in cells if cell is not None):
        mapping = None
    kept = same_values(
        [cell for cell in cells if cell is not None and (mapping is None or cell.lower() not in mapping)], codes
    )
    values: dict[str | None, str] = {None: UNKNOWN}
    for cell in sorted(set(cells) - {None}, key=str):
        assert cell is not None
        if mapping is not None and cell.lower() in mapping:
            values[cell] = mapping[cell.lower()]
        elif (without := stratum(cell)) is not None:
            values[cell] = without
        elif mapping is None:
            values[cell] = kept[cell]
        elif "*" in mapping:
            values[cell] = mapping["*"]
        else:
            value = repr(cell) if is_known(name, cell) else f"the value of row {list(cells).index(cell) + 2}"
            raise UsageError(
                f'{file}, column {name!r}: the category map does not name {value}; add a line  "VALUE" = CATEGORY  or '
                "* = CATEGORY for the rest"
            )
    return [values[cell] for cell in cells], _notes(name, cells, values, kept, mapping)


def _notes(
    name: str,
    cells: Sequence[str | None],
    values: Mapping[str | None, str],
    kept: Mapping[str, str],
    mapping: Mapping[str, str] | None,
) -> list[Said]:
    notes = []
    counts = Counter(cells)
    for kind in (UNKNOWN, DECLINED):
        said = [
            (cell, f"{cell!r} {counts[cell]}") for cell in sorted(kept) if values[cell] == kind and cell.lower() != kind
        ]
        if said:
            notes.append(Said(name, f"read as {kind}", tuple(said)))
    merged = [
        (values[cell], f"{cell!r} as {values[cell]!r}")
        for cell in sorted(kept)
        if values[cell] not in (cell, *NO_ANSWER)
    ]
    if merged and not mapping:
        notes.append(Said(name, "one value in several spellings", tuple(merged)))
    return notes
