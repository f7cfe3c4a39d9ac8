"""What goes to a worker process, what comes back, and what is done in between. The parent needs only this: importing it loads no
torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fastrace.execute.limits import limit_memory
from fastrace.execute.processes import Processes
from fastrace.execute.protocol import Executor, Work
from fastrace.modality import Modality
from fastrace.preprocess.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np

    from fastrace.dicom.notes import Note

# Frames handed back at once: bounds the memory of an answer for files with hundreds of frames.
FRAMES_PER_TASK = 16

# How long a task may take: 120 s and 1 s for every MB of the file. The slowest of the test data takes 0.5 s; a share that gives
# 1 MB/s is slow, and a codec in an endless loop must not hold up an archive over a weekend.
LIMIT_SECONDS = 120.0
LIMIT_BYTES_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class Task:
    """Frames ``first`` .. of one file; ``source`` is its place in the scan, ``frames`` the file's total once known.

    ``size`` and ``mtime_ns`` are those of the scan, ``head`` the digest of the file's start where it was read before: the file
    must still have them. -1 and empty: not compared.
    """

    source: int
    path: str
    size: int
    first: int = 0
    frames: int = 0
    mtime_ns: int = -1
    head: bytes = b""

    def rejected(self, reason: str, message: str) -> list[Result]:
        """The answer where none of its frames could be read: one result for each, or for the file whose frames are not known."""
        end = min(self.frames, self.first + FRAMES_PER_TASK)
        return [
            Result(self.source, n, self.frames, reason, message) for n in range(self.first, max(self.first + 1, end))
        ]


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
    head: bytes = b""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What every task of a run shares."""

    recipe: Recipe
    preset: Modality
    max_pixels: int


def decoders(settings: Settings, jobs: int) -> Executor[Task, list[Result]]:
    """The executor that reads files: frames in order, all of a file before the next file; a crash costs one file.

    Parameters
    ----------
    settings : Settings
    jobs : int
        Files at once; the results do not depend on it.
    """
    load = partial(_load, settings.max_pixels)
    return Processes(Work(partial(_read, settings), load, _rest, crashed, True, limit_seconds, _overtime), jobs)


def _load(max_pixels: int) -> None:
    """One thread for each worker, and the imports before the first file, so that a failure is not blamed on it."""
    import torch

    import fastrace.preprocess.worker  # noqa: F401
    from fastrace.dicom.bounds import memory_limit

    torch.set_num_threads(1)
    limit_memory(memory_limit(max_pixels))


def _read(settings: Settings, task: Task) -> list[Result]:
    from fastrace.preprocess.worker import work

    return work(settings, task)


def _rest(task: Task, answer: list[Result]) -> list[Task]:
    """The tasks for the other frames of a file whose first frames have been read."""
    if task.first or not answer or answer[-1].frames <= FRAMES_PER_TASK:
        return []
    total = answer[-1].frames
    starts = range(FRAMES_PER_TASK, total, FRAMES_PER_TASK)
    return [replace(task, first=start, frames=total, head=answer[-1].head) for start in starts]


def crashed(task: Task) -> list[Result]:
    """What becomes of the frames of a task whose process ended twice."""
    message = (
        "the process that decoded it ended twice (a crash in the codec, or the system ran out of memory); "
        "try again with --jobs 1, or transcode the file"
    )
    return task.rejected("decoder_crashed", message)


def limit_seconds(task: Task) -> float:
    """How long a worker may take for a task."""
    return LIMIT_SECONDS + max(0, task.size) / LIMIT_BYTES_PER_SECOND


def _overtime(task: Task) -> list[Result]:
    message = (
        f"not decoded after {limit_seconds(task):.0f} s (120 s and 1 s for each MB): a codec that hangs, or slow storage; the "
        "same command tries it again; else transcode the file or leave it out"
    )
    return task.rejected("timeout", message)
