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
from fastrace.cohort.non_answers import DECLINED, NO_ANSWER, UNKNOWN, mixes, no_answers
from fastrace.cohort.said import Said
from fastrace.cohort.vocabulary import asks_who
from fastrace.errors import UsageError

_NUMBER = re.compile(r"[+-]?\d+[.,]0*")


def same_values(cells: Sequence[str | None], codes: bool) -> dict[str, str]:
    """Spelling -> the spelling kept, for the values of a column.

    Values that differ in case or white space alone are one; so are 1 and 1.0, and 01 too where all values are numbers. The most
    frequent spelling is kept, of equally frequent ones the first in the order of code points. Where one number stands with and
    without zeros before it, no number of the column keeps them.

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
    bare = codes and any(len({_whole(cell) for cell in same}) > 1 for same in alike.values())
    found = {}
    for same in alike.values():
        kept = max(same, key=lambda one: (counts[one], [-ord(letter) for letter in one]))
        if codes or _NUMBER.fullmatch(kept):
            kept = _bare(_whole(kept)) if bare else _whole(kept)
        found.update(dict.fromkeys(same, kept))
    return found


def _alike(cell: str, codes: bool) -> str:
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", cell).casefold())
    if codes:
        return _bare(_whole(text))
    return _whole(text) if _NUMBER.fullmatch(text) else text


def _whole(number: str) -> str:
    return re.sub(r"(?<=\d)[.,]0*$", "", number)


def _bare(number: str) -> str:
    return re.sub(r"^0+(?=\d)", "", number)


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
    without = no_answers(cells, codes=asks_who(name))
    for cell in sorted(set(cells) - {None}, key=str):
        assert cell is not None
        if mapping is not None and cell.lower() in mapping:
            values[cell] = mapping[cell.lower()]
        elif cell in without:
            values[cell] = without[cell]
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
        said = [(cell, f"{cell!r} {counts[cell]}") for cell in sorted(kept) if values[cell] == kind]
        rows = sum(counts[cell] for cell, _ in said)
        if kind == UNKNOWN and counts[None]:
            said.append((kind, f"missing {counts[None]}"))
            rows += counts[None]
        if said:
            notes.append(Said(name, f"{rows} row{'s' * (rows != 1)} read as {kind}", tuple(said)))
    answers = [cell for cell in sorted(kept) if values[cell] not in NO_ANSWER]
    numbers = [cell for cell in answers if re.fullmatch(r"-?\d+(?:[.,]0*)?", cell)]
    rows = sum(counts[cell] for cell in numbers)
    if numbers and not mapping and 2 * rows < sum(counts[cell] for cell in answers):
        before = "numbers among words (if they are codes for no answer, map them with --categories FILE)"
        notes.append(Said(name, before, tuple((cell, f"{cell!r} {counts[cell]}") for cell in numbers)))
    mixed = [(cell, f"{cell!r} {counts[cell]}") for cell in answers if mixes(cell)]
    if mixed and not mapping:
        before = "kept as an answer though it may be none (if it is, map it with --categories FILE)"
        notes.append(Said(name, before, tuple(mixed)))
    merged = [
        (values[cell], f"{cell!r} as {values[cell]!r}")
        for cell in sorted(kept)
        if values[cell] not in (cell, *NO_ANSWER)
    ]
    if merged and not mapping:
        notes.append(Said(name, "one value in several spellings", tuple(merged)))
    return notes
