"""One input file -> resized images and their facts. Runs in a worker process, which exchanges plain values only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from fastrace.dicom import Frame, Frames, open_frames
from fastrace.errors import RejectedInput
from fastrace.preprocess.belongs import check_header
from fastrace.preprocess.facts import facts_of
from fastrace.preprocess.geometry import breast_box, place
from fastrace.preprocess.recipe import Recipe
from fastrace.preprocess.task import FRAMES_PER_TASK, Result, Settings, Task

_HEAD_BYTES = 1 << 16


def work(settings: Settings, task: Task) -> list[Result]:
    """Read up to `FRAMES_PER_TASK` frames. Never raises for what is wrong with the file."""
    try:
        head = _unchanged(task)
        results = _read(settings, task)
        _unchanged(
            replace(task, head=head)
        )  # what was written in between would look like a damaged file, or not even that
    except RejectedInput as error:
        return task.rejected(error.reason, error.message)
    for result in results:
        result.head = head
    return results


def _read(settings: Settings, task: Task) -> list[Result]:
    try:
        frames = _open(settings, task)
        check_header(settings.preset, settings.recipe, frames.header)
    except RejectedInput as error:
        return task.rejected(error.reason, error.message)
    results = []
    total = len(frames)
    for number in range(task.first, min(total, task.first + (1 if task.inspect else FRAMES_PER_TASK))):
        result = Result(task.source, number, total)
        try:
            with _machine_errors():
                frame = frames.frame(number)
            result.facts = facts_of(frame)
            result.notes = frame.notes
            if not task.inspect:
                result.pixels = _resize(settings.recipe, frame, result.facts)
        except RejectedInput as error:
            result.reason, result.message = error.reason, error.message
        results.append(result)
    return results


def _unchanged(task: Task) -> bytes:
    """Compare the file with the scan, and its start with that of an earlier task; returns a digest of the start.

    Size and time of modification tell what was written since the scan; a file that took the place of another, with its size and
    time kept (rsync -t), is known by the first 64 KiB, which hold its UIDs. It costs 30 us.
    """
    if task.size < 0 or task.mtime_ns < 0:
        return b""
    with _machine_errors(), open(task.path, "rb", opener=_without_waiting) as file:
        status = os.stat(file.fileno())
        head = xxhash.xxh3_128_digest(file.read(_HEAD_BYTES))
    if (status.st_size, status.st_mtime_ns) != (task.size, task.mtime_ns) or (task.head and head != task.head):
        raise RejectedInput(
            "changed",
            f"had {task.size} bytes when the archive was listed and has {status.st_size} now, or was written since; wait until "
            "nothing writes into the archive, then make the dataset again",
        )
    return head


def _without_waiting(path: str, flags: int) -> int:
    """Open what may have become a FIFO since the scan, which would wait for its other end for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _open(settings: Settings, task: Task) -> Frames:
    if task.size == 0:
        raise RejectedInput("empty", "the file has 0 bytes; copy it again from its source")
    if task.size < 0:
        raise RejectedInput("unreadable", "cannot be read, or is no regular file; check its permissions and links")
    recipe = settings.recipe
    with _machine_errors():
        return open_frames(
            Path(task.path),
            voi=None if recipe.voi == "auto" else recipe.voi,
            preset_window=recipe.window,
            max_pixels=settings.max_pixels,
        )


@contextmanager
def _machine_errors() -> Iterator[None]:
    """Count a file that vanished, or that memory or disk could not give, as rejected; the other files go on."""
    try:
        yield
    except MemoryError as error:
        raise RejectedInput("no_memory", "does not fit into memory; lower --jobs or --max-pixels") from error
    except OSError as error:
        raise RejectedInput(
            "unreadable", f"{error.strerror or type(error).__name__} while it was read; check its storage"
        ) from error


def _resize(recipe: Recipe, frame: Frame, facts: dict[str, Any]) -> np.ndarray:
    import torch

    from fastrace.kernels.window import Box, window

    stored = frame.pixels
    # 17 MB of mammogram take XXH3 0.5 ms and SHA-256, which has CPU instructions, 9 of about 70. That it
    # is no cryptographic hash does not matter: it is keyed with BLAKE2b before it leaves this machine.
    facts["pixel_digest"] = xxhash.xxh3_128_digest(np.ascontiguousarray(stored).data)
    transfer = frame.transfer
    height, width = stored.shape
    crop, flip = Box(0, 0, height, width), False
    if recipe.crop == "breast":
        crop, flip = breast_box(stored, transfer)
    crop, box = place(crop, recipe.size, recipe.fit, left=recipe.crop == "breast")
    dtype = {"uint16": torch.uint16, "uint8": torch.uint8}[recipe.dtype]
    image = window(
        [stored], [transfer], recipe.size, crops=[crop], boxes=[box], flips=[flip], dtype=dtype, resize=recipe.resize
    )[0].numpy()
    inside = image[box.top : box.top + box.height, box.left : box.left + box.width]
    if inside.min() == inside.max():
        raise RejectedInput(
            "constant",
            f"every pixel has display value {inside.max() / np.iinfo(inside.dtype).max:.3g} "
            f"(VOI source: {frame.display.voi_source}); if it should show something, try --voi robust",
        )
    spacing = facts["spacing_mm"]
    facts["mm_per_pixel"] = None if spacing is None else spacing * crop.height / box.height
    return image
