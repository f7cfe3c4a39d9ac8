"""The dry run: what is there, what would be made, how long it would take. Decodes one frame of each file."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from fastrace.console.progress import Progress
from fastrace.dicom.terms import is_term
from fastrace.preprocess.begin import inputs
from fastrace.preprocess.facts import OURS
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.task import Settings, Task, decoders

_TIMED_FILES = 8


@dataclass
class DryRun:
    """Counts by modality, body part, view, transfer syntax, VOI source and reason of rejection; expected size and time."""

    files: int
    images: int
    by: dict[str, dict[str, int]] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0


def dry_run(job: Job, progress: Progress | None = None) -> DryRun:
    """Inspect the first frame of every file, time a sample, write nothing.

    Notes
    -----
    Frames of a file are taken to be alike. Labels are not joined. The time is that of a sample of files spread over the
    scan, decoded alone, divided by the number of jobs; it misses slow storage.
    """
    progress = progress or Progress()
    sources = inputs(job)
    settings = Settings(job.recipe, job.preset, job.max_pixels)
    counters: dict[str, Counter[str]] = {
        name: Counter() for name in ("modality", "body_part", "view", "transfer_syntax", "voi_source")
    }
    rejected: Counter[str] = Counter()
    images = 0
    good: list[Task] = []
    tasks = (Task(n, source.path, source.size, inspect=True) for n, source in enumerate(sources))
    with progress, decoders(settings, job.jobs) as executor:
        progress.begin("inspect", len(sources), "files")
        for results in executor.results(tasks):
            first = results[0]
            if first.reason is not None:
                rejected[first.reason] += max(1, first.frames)
            else:
                images += first.frames
                good.append(Task(first.source, sources[first.source].path, sources[first.source].size))
                for name, counter in counters.items():
                    counter[_shown(name, (first.facts or {}).get(name))] += first.frames
            progress.reach(first.source + 1, f"{images} images")
    from fastrace.preprocess.worker import work

    sample = good[:: max(1, len(good) // _TIMED_FILES)][:_TIMED_FILES]
    if sample:
        work(settings, sample[0])  # the first call loads the kernels
    started = time.perf_counter()
    timed = sum(len(work(settings, task)) for task in sample)
    seconds = (time.perf_counter() - started) / max(1, timed) * images / max(1, job.jobs)
    height, width = job.recipe.size
    return DryRun(
        files=len(sources),
        images=images,
        by={name: dict(counter.most_common()) for name, counter in counters.items()},
        rejected=dict(rejected.most_common()),
        bytes=images * height * width * (2 if job.recipe.dtype == "uint16" else 1),
        seconds=seconds,
    )


def _shown(name: str, value: object) -> str:
    """A value as the terminal may show it: who has it is not counted, so that words of the standard alone are safe."""
    if not value:
        return "not given"
    return str(value) if name in OURS or is_term(name, str(value)) else "other words"
