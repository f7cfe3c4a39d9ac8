"""All cells of an audit, as many at once as processors and memory allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from fastrace.execute.protocol import Work
from fastrace.execute.threads import Threads

MEMORY = 600_000_000
"""Bytes of the feature tables of cells that are computed at once."""
COLUMNS, COPIES = 1_400, 4
"""Of the table of a degraded image, in float32: as it was stored, standardised, and what is made of it in double precision."""
LARGE = 2_000
"""Patients from which on one product is worth several threads."""

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Schedule:
    """How an audit uses the processors.

    Attributes
    ----------
    cells : int
        Computed at once, each with one BLAS thread if there are several.
    threads : int
        Of BLAS where one thing is computed at a time.
    """

    cells: int
    threads: int

    @classmethod
    def of(cls, patients: int) -> Schedule:
        """For so many patients and as many threads as torch may use."""
        threads = torch.get_num_threads()
        cells = max(1, min(threads, MEMORY // (patients * COLUMNS * COPIES * 4)))
        return cls(cells, threads if patients >= LARGE else 1)

    def each(self, function: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        """What a function makes of each item, in their order."""
        if not items:
            return
        with Threads(Work(function), self.cells, 1 if self.cells > 1 else self.threads) as executor:
            yield from executor.results(items)
