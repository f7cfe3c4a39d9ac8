"""One input file -> what its header says, and whether it would be kept. Loads no torch, decodes nothing, writes nothing.

Frames of an enhanced object may differ: each of them is judged, as in the run, and those that are alike share a result.
"""

from __future__ import annotations

from typing import Any

from fastrace.dicom import Frames
from fastrace.dicom.header import Header
from fastrace.errors import RejectedInput
from fastrace.preprocess.belongs import check_header
from fastrace.preprocess.facts import person_facts, selection_facts
from fastrace.preprocess.opening import machine_errors, opened
from fastrace.preprocess.task import Result, Settings, Task


def inspect(settings: Settings, task: Task) -> list[Result]:
    """Read the header. Never raises for what is wrong with the file."""
    try:
        with machine_errors():
            frames: Frames = opened(settings, task, selection=True)
            check_header(settings.preset, settings.recipe, frames.header)
    except RejectedInput as error:
        return [Result(task.source, 0, 0, error.reason, error.message)]
    if frames.look is None:
        return [_displayed(frames, Result(task.source, 0, len(frames)), frames.header)]
    found: dict[object, Result] = {}
    for number in range(len(frames)):
        result = Result(task.source, number, 1)
        try:
            with machine_errors():
                header, _ = frames.look(number)
                check_header(settings.preset, settings.recipe, header)
            _displayed(frames, result, header)
        except RejectedInput as error:
            result.reason, result.message = error.reason, error.message
        alike = found.setdefault(result.reason or tuple((result.facts or {}).items()), result)
        if alike is not result:
            alike.frames += 1
    return list(found.values())


def _displayed(frames: Frames, result: Result, header: Header) -> Result:
    """Put in the facts of what belongs, or why it cannot be shown: a preset's window is in HU, and the values may not be."""
    try:
        with machine_errors():
            result.facts = _facts(header, frames.display_of(result.frame))
    except RejectedInput as error:
        result.reason, result.message = error.reason, error.message
    return result


def _facts(header: Header, voi_source: str) -> dict[str, Any]:
    return {**selection_facts(header, voi_source), **person_facts(header)}
