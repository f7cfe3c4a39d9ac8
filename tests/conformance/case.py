"""One case: a clause of the standard, a file that exercises it, and what the standard says its pixels look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

READERS = ("fastrace", "pydicom", "highdicom", "DCMTK")
Reading = Callable[[int], float]


@dataclass(frozen=True)
class Differs:
    """Why a program shows something else than the standard says, and what it then shows.

    Parameters
    ----------
    why : str
        A key of `conventions.WHY`, or a sentence of its own.
    shows : callable or str
        Its display value of a stored value, by that explanation: the test compares, so that a wrong explanation fails.
        Text: it shows nothing, and this is what it says (the reason of a rejection, the name of an exception).
    """

    why: str
    shows: Reading | str


@dataclass(frozen=True)
class Case:
    """One row of the page.

    Parameters
    ----------
    name : str
        Unique; the file's name.
    clause : str
        Section of PS3.3 (or PS3.5, PS3.4 where one refers to it).
    says : str
        What it says, in a few words of ours.
    file : str
        What the file holds, in a few words.
    values : tuple of int
        Stored values of the frame that is shown, by hand.
    shown : callable or None
        Display value of a stored value by the standard; None where the standard forbids the file, so that nothing is right.
    probe : int
        The stored value of which the page gives the display values.
    attributes : mapping
        For `image.write`.
    words : tuple of int or None
        Pixel words of all frames where they are not the values.
    voi : str or None
        ``--voi`` of fastrace.
    number : int
        Frame that is shown, from 1.
    differs : mapping
        Program -> `Differs`.
    verdict : str
        A remark for the last column; required where `shown` is None.
    is_open : bool
        The standard leaves the value open, and `shown` is fastrace's convention.
    """

    name: str
    clause: str
    says: str
    file: str
    values: tuple[int, ...]
    shown: Reading | None
    probe: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[int, ...] | None = None
    voi: str | None = None
    number: int = 1
    differs: Mapping[str, Differs] = field(default_factory=dict)
    verdict: str = ""
    is_open: bool = False
