"""Lines about values of a label table, which hold only what may be read by anybody at the terminal.

A table may have a name in any cell, and the terminal and logs are no private places. A line therefore holds known terms, and
values of which the run has found that several patients have them and that they name nobody; it counts the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastrace.cohort.known_terms import is_known

ELSEWHERE = ", with another --out"
"""What an option about the label table needs once a dataset has an image: its rows never change."""

Shown = Callable[[str, str], bool]
"""Whether a value of a column may be shown."""
_MOST = 12


@dataclass(frozen=True)
class Said:
    """A line that lists values.

    Attributes
    ----------
    column : str
    before : str
        Its beginning.
    entries : tuple of (str, str)
        Value, and what is said of it.
    terms : frozenset of str
        Values that the user has named, which may be shown.
    """

    column: str
    before: str
    entries: tuple[tuple[str, str], ...]
    terms: frozenset[str] = frozenset()

    def line(self, shown: Shown = is_known) -> str:
        """In words."""
        visible = [
            text
            for value, text in self.entries
            if is_known(self.column, value) or value in self.terms or shown(self.column, value)
        ]
        hidden = len(self.entries) - len(visible)
        more = [f"{hidden} value{'s' * (hidden > 1)} that one patient alone has or that may name somebody"] * bool(
            hidden
        )
        return f"labels: column {self.column!r}: {self.before}: {', '.join([*visible[:_MOST], *more])}" + ", ..." * (
            len(visible) > _MOST
        )


@dataclass(frozen=True)
class Remedy:
    """A line that ends with an option to add; in a dataset that has images it needs another ``--out``."""

    text: str

    def line(self, *, made: bool) -> str:
        """In words."""
        return self.text + (ELSEWHERE if made else "")
