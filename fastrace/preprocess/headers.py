"""One input file -> what its header says, and whether it would be kept. Loads no torch, decodes nothing, writes nothing."""

from __future__ import annotations

from fastrace.dicom import Frames
from fastrace.errors import RejectedInput
from fastrace.preprocess.belongs import check_header
from fastrace.preprocess.facts import person_facts, selection_facts
from fastrace.preprocess.opening import machine_errors, opened
from fastrace.preprocess.task import Result, Settings, Task


def inspect(settings: Settings, task: Task) -> Result:
    """Read the header of the first frame. Never raises for what is wrong with the file."""
    try:
        with machine_errors():
            frames: Frames = opened(settings, task, selection=True)
            check_header(settings.preset, settings.recipe, frames.header)
    except RejectedInput as error:
        return Result(task.source, 0, 0, error.reason, error.message)
    facts = {**selection_facts(frames.header, frames.voi_source), **person_facts(frames.header)}
    return Result(task.source, 0, len(frames), facts=facts)
