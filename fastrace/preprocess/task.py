"""What goes to a worker process and what comes back. The parent needs only this: importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastrace.modality import Modality
from fastrace.preprocess.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np

# Frames handed back at once: bounds the memory of an answer for files with hundreds of frames.
FRAMES_PER_TASK = 16


@dataclass(frozen=True)
class Task:
    """Frames ``first`` .. of one file; ``source`` is its place in the scan, ``frames`` the file's total once known."""

    source: int
    path: str
    size: int
    first: int = 0
    frames: int = 0
    inspect: bool = False


@dataclass
class Result:
    """What became of one frame (or of a whole file that could not be opened: ``frames`` is then 0).

    ``facts`` holds identifiers: it stays in the private folder.
    """

    source: int
    frame: int
    frames: int
    reason: str | None = None
    message: str | None = None
    facts: dict[str, Any] | None = None
    pixels: np.ndarray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What every task of a run shares."""

    recipe: Recipe
    preset: Modality
    max_pixels: int
