"""What a verification returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verification:
    """The result for one folder.

    Attributes
    ----------
    kind : "dataset" | "run" | "audit"
    checked : tuple of str
        What was compared with what, a line each; also what could not be.
    problems : tuple of str
        One sentence for each thing that is wrong, beginning with the file; empty if nothing is.
    """

    kind: Literal["dataset", "run", "audit"]
    checked: tuple[str, ...]
    problems: tuple[str, ...]
