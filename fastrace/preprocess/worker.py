"""One input file -> resized images and their facts. Runs in a worker process, which exchanges plain values only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from fastrace.dicom import Frame
from fastrace.dicom.identity import nobody_in_messages
from fastrace.dicom.notes import Note
from fastrace.dicom.words import values_only
from fastrace.errors import RejectedInput
from fastrace.preprocess.background import background_notes
from fastrace.preprocess.belongs import check_header
from fastrace.preprocess.facts import facts_of
from fastrace.preprocess.geometry import breast_box, check_aspect, mm_per_pixel, place
from fastrace.preprocess.opening import machine_errors, opened, unchanged
from fastrace.preprocess.recipe import Recipe
from fastrace.preprocess.task import FRAMES_PER_TASK, Result, Settings, Task
from fastrace.preprocess.thumbnail import thumbnail_hash

if TYPE_CHECKING:
    from fastrace.kernels.window import Transfer

_GLANCE = 256  # pixels along the longer side


def work(settings: Settings, task: Task) -> list[Result]:
    """Read up to `FRAMES_PER_TASK` frames. Never raises for what is wrong with the file."""
    try:
        with machine_errors():
            head = unchanged(task)
            results = _read(settings, task)
            # What was written in between would look like a damaged file, or not even that.
            unchanged(replace(task, head=head))
    except RejectedInput as error:
        return task.rejected(error.reason, error.message)
    for result in results:
        result.head = head
    return results


def _read(settings: Settings, task: Task) -> list[Result]:
    try:
        with machine_errors():
            frames = opened(settings, task)
            with nobody_in_messages(lambda: frames.header.identity):
                check_header(settings.preset, settings.recipe, frames.header)
    except RejectedInput as error:
        return task.rejected(error.reason, error.message)
    results = []
    total = len(frames)
    for number in range(task.first, min(total, task.first + FRAMES_PER_TASK)):
        result = Result(task.source, number, total)
        try:
            with machine_errors():
                if frames.look is not None:
                    with nobody_in_messages(lambda: frames.header.identity):
                        check_header(settings.preset, settings.recipe, frames.look(number)[0])
                frame = frames.frame(number)
                result.facts = facts_of(frame)
                result.pixels, seen = _resize(settings.recipe, frame, result.facts)
                result.notes = (*frame.notes, *seen)
        except RejectedInput as error:
            result.reason, result.message = error.reason, error.message
        results.append(result)
    return results


def _resize(recipe: Recipe, frame: Frame, facts: dict[str, Any]) -> tuple[np.ndarray, tuple[Note, ...]]:
    import torch

    from fastrace.kernels.window import Box, window

    stored = frame.pixels
    # 17 MB of mammogram take XXH3 0.5 ms and SHA-256, which has CPU instructions, 9 of about 70. That it
    # is no cryptographic hash does not matter: it is keyed with BLAKE2b before it leaves this machine.
    reduced = stored.shape != (frame.header.rows, frame.header.columns)
    digest = xxhash.xxh3_128(b"reduced" if reduced else b"")  # never that of an image decoded whole
    digest.update(values_only(stored, frame.display.words).data)
    facts["pixel_digest"] = digest.digest()
    transfer, aspect = frame.transfer, frame.header.pixel_aspect
    check_aspect(aspect)
    height, width = stored.shape
    crop, flip = Box(0, 0, height, width), False
    if recipe.crop == "breast":
        crop, flip = breast_box(stored, transfer)
    whole, left = crop, recipe.crop == "breast"
    crop, box = place(whole, recipe.size, recipe.fit, left=left, aspect=aspect)
    notes: tuple[Note, ...] = ()
    if (crop, box) != place(whole, recipe.size, recipe.fit, left=left):
        notes = (Note("resampled", f"pixels {aspect:.6g} times as high as wide: resampled to square ones"),)
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
    facts["thumbnail_hash"] = thumbnail_hash(image)
    spacing = frame.header.spacing_mm
    if spacing is not None:  # of the pixels here, which may be those of several of the file
        spacing = spacing[0] * frame.header.rows / height, spacing[1] * frame.header.columns / width
    facts["mm_per_pixel"] = None if spacing is None else mm_per_pixel(spacing, crop, box, recipe.size)
    return image, (*notes, *background_notes(_glance(stored, transfer), frame.header.modality))


def _glance(stored: np.ndarray, transfer: Transfer) -> np.ndarray:
    """The whole image, every so many pixels: cheaper than a copy that averages, and enough to see a background."""
    from fastrace.kernels.window import window

    step = max(1, max(stored.shape) // _GLANCE)
    few = np.ascontiguousarray(stored[::step, ::step])
    return window([few], [transfer], few.shape)[0].numpy()
