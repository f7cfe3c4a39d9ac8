"""Which counts are too small to be shown, and which others would give them back by subtraction from a total."""

from __future__ import annotations

from collections.abc import Mapping

from fastrace.console.words import MIN_CELL


def hidden(counts: Mapping[str, int]) -> set[str]:
    """Small cells, and as many of the next as it takes that what is hidden together is no single and no small cell.

    Parameters
    ----------
    counts : mapping
        Cell -> patients; the cells add up to a total that is shown.

    Returns
    -------
    set of str
        Names of the cells to suppress.
    """
    by_size = sorted(counts, key=lambda name: (counts[name], name))
    count = sum(number < MIN_CELL for number in counts.values())
    while 0 < count < len(by_size) and (count == 1 or sum(counts[name] for name in by_size[:count]) < MIN_CELL):
        count += 1
    return set(by_size[:count])
