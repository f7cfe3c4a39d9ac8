"""Cells of several grids as unions of pieces, so that each position is read once and added once.

A cell of a grid of g x g on ``length`` positions is ``floor(i length / g) .. ceil((i + 1) length / g)``, as torch's
adaptive_avg_pool2d has it: where g does not divide the length, neighbours share a position. The ends of all cells of all
grids cut an axis into pieces, and pieces longer than `LONGEST` are cut again: a program on a GPU sums one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

LONGEST = 32  # positions; 1,024 in a piece are 16 tiles of the GPU kernel, and on the CPU two rows' sums stay short

# Columns of `Plan.cells`; csrc/patches.cpp and cuda.py read them in this order. AT is the number of cells of the grids before,
# STEP that of the cell's own grid.
COLUMNS = ("TOP", "BOTTOM", "LEFT", "RIGHT", "AT", "STEP")


@dataclass(frozen=True)
class Plan:
    """Where pieces and cells lie.

    Attributes
    ----------
    rows, columns : Tensor [pieces + 1] int64
        Where the pieces along an axis begin, and the number of positions.
    cells : Tensor [cells, 6] int64
        First and last row and column of pieces of each cell (last exclusive), and where its features go: `COLUMNS`.
    """

    rows: Tensor
    columns: Tensor
    cells: Tensor


def features(grids: Sequence[int]) -> int:
    """Return the number of cells of all grids: features per filter and side."""
    return sum(g * g for g in grids)


def cell(i: int, g: int, length: int) -> tuple[int, int]:
    """Return where cell i of g begins, and where it ends (exclusive)."""
    return i * length // g, -(-(i + 1) * length // g)


@lru_cache(maxsize=64)
def make_plan(down: int, across: int, grids: tuple[int, ...], device: torch.device | str = "cpu") -> Plan:
    """Return the plan for `down` x `across` positions; it is kept, and must not be written to.

    Kept on a GPU too: a copy in every call would wait for the stream, and could not be captured in a CUDA graph.
    """
    rows, columns = _edges(down, grids), _edges(across, grids)
    row_of, column_of = ({edge: k for k, edge in enumerate(edges)} for edges in (rows, columns))
    cells, at = [], 0
    for g in grids:
        for i in range(g):
            top, bottom = (row_of[edge] for edge in cell(i, g, down))
            for j in range(g):
                left, right = (column_of[edge] for edge in cell(j, g, across))
                cells.append((top, bottom, left, right, at, g * g))
        at += g * g
    return Plan(*(torch.tensor(values, dtype=torch.int64, device=device) for values in (rows, columns, cells)))


def _edges(length: int, grids: Sequence[int]) -> list[int]:
    ends = sorted({edge for g in grids for i in range(g) for edge in cell(i, g, length)})
    edges = [0]
    for end in ends[1:]:
        begin = edges[-1]
        parts = -(-(end - begin) // LONGEST)
        edges += [begin + (end - begin) * k // parts for k in range(1, parts + 1)]
    return edges
