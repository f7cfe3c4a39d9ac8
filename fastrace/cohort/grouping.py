"""Label columns whose texts name patients instead of grouping them: not kept unless the user asks for them by name.

``label``, ``group``, ``site`` and ``scanner`` are kept by their names alone, and a hospital's table may hold anything under such
a name: a person, a referring practice, a number of a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastrace.cohort.answers import same_values
from fastrace.cohort.known_terms import is_known
from fastrace.cohort.numbers import column_numbers
from fastrace.cohort.vocabulary import is_amount
from fastrace.errors import UsageError

MOST_ALONE = 20
"""Values of one patient alone that any column may have."""


def ungrouped(columns: Mapping[str, Sequence[str | None]], owners: Sequence[str | None]) -> dict[str, str]:
    """Column -> why it is left out: more than half of its values, and more than `MOST_ALONE`, belong to one patient alone.

    Parameters
    ----------
    columns : mapping
        Column -> its cells.
    owners : sequence of str or None
        The patient of each row; the key, where the table names none.
    """
    found = {}
    for name, cells in columns.items():
        if _is_amount(name, cells):
            continue
        kept = same_values(cells, codes=False)
        patients: dict[str, set[str]] = {}
        for cell, owner in zip(cells, owners, strict=True):
            if cell is not None and owner is not None and not is_known(name, cell):
                patients.setdefault(kept[cell], set()).add(owner)
        alone = sum(len(several) == 1 for several in patients.values())
        if alone > MOST_ALONE and 2 * alone > len(patients):
            found[name] = (
                f"labels: column {name!r} is left out: {alone} of its {len(patients)} values belong to one patient alone, so "
                f"that it names patients rather than groups; --column {name} keeps it"
            )
    return found


def _is_amount(name: str, cells: Sequence[str | None]) -> bool:
    try:
        numbers = column_numbers(name, cells)
    except UsageError:  # said where the column is read
        return True
    return numbers is not None and is_amount(name, numbers)
