"""The dry run: what is there, what would be made, how long it would take. Reads headers, decodes a few files, writes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from fastrace.console.progress import Progress
from fastrace.dicom.terms import is_term
from fastrace.errors import RejectedInput
from fastrace.preprocess.batches import batches, readers
from fastrace.preprocess.begin import inputs, labels_of
from fastrace.preprocess.facts import OURS
from fastrace.preprocess.joined import offer_lines
from fastrace.preprocess.opening import opened
from fastrace.preprocess.recipe import Job
from fastrace.preprocess.scan import Source
from fastrace.preprocess.task import FRAMES_PER_TASK, Result, Settings, Task
from fastrace.preprocess.who import Who

_TIMED_FILES = 8
_SECONDS_PER_PIXEL, _SECONDS_PER_IMAGE = 1.2e-9, 6e-3
"""What a run does beside decoding: to window, resize and hash the pixels of the source; headers, facts, shard, index.
Of 12,000 images of 128 x 96 a run took 51 s with two jobs, 48 are said; of a mammogram 66 ms (JPEG Lossless) and 19 ms
(uncompressed), 62 and 20 are said. To do it with the sample took 2 s more, since it needs torch."""
_COUNTED = (
    "modality", "sop_class", "image_type", "presentation_intent", "body_part", "view", "view_modifiers", "laterality",
    "transfer_syntax", "voi_source",
)  # fmt: skip


@dataclass
class DryRun:
    """Counts by what the headers say and by reason of rejection; expected size and time.

    Attributes
    ----------
    files, images : int
        Files that are there, images that would be read.
    by : dict
        Fact -> value -> images, of those that would be read.
    rejected : dict
        Reason -> files or images.
    examples : dict
        Reason -> path and message of the first.
    bytes : int
        Of the shards.
    seconds : float
        Of the run, from ``timed`` files that were decoded.
    timed : int
    joined : bool
        Whether the label table was asked for each image.
    questions : list of str
        What the run would ask before it begins.
    of_patients : list of str
        What gives reason to ask whether each patient is one person.
    notes : list of str
        What the run would say of the label table, and which options would join images that have no row.
    """

    files: int
    images: int
    by: dict[str, dict[str, int]] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0
    timed: int = 0
    joined: bool = False
    questions: list[str] = field(default_factory=list)
    of_patients: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def dry_run(job: Job, progress: Progress | None = None) -> DryRun:
    """Read the header of every file, ask the label table for it, time a sample.

    Notes
    -----
    What only pixels show is not found: damaged frames, constant images, duplicates; nor that a row fits several images.
    Frames of a plain object are taken to be alike; those of an enhanced one are judged one by one.
    The time is that of decoding a sample of files spread over the scan, with a usual time for windowing and resizing, divided by
    the number of jobs; it misses slow storage.
    """
    progress = progress or Progress()
    labels = labels_of(job)
    sources = inputs(job)
    who = Who(job, labels, sources)
    settings = Settings(job.recipe, job.preset, job.max_pixels)
    found = DryRun(len(sources), 0, {name: {} for name in _COUNTED}, joined=labels is not None)
    counters: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
    rejected: Counter[str] = Counter()
    asked = _Asked(who)
    good: list[Task] = []
    tasks = [Task(number, source.path, source.size) for number, source in enumerate(sources)]
    with progress, readers(settings, job.jobs) as executor:
        progress.begin("read headers", len(sources), "files")
        for result in chain.from_iterable(executor.results(batches(tasks))):
            source = sources[result.source]
            asked.about(source, result)
            if result.reason is not None:
                rejected[result.reason] += max(1, result.frames)
                found.examples.setdefault(result.reason, f"{source.path}: {result.message}")
            else:
                found.images += result.frames
                if not good or good[-1].source != result.source:
                    good.append(Task(result.source, source.path, source.size))
                for name, counter in counters.items():
                    counter[_shown(name, (result.facts or {}).get(name))] += result.frames
            progress.reach(result.source + 1, f"{found.images} images")
    for message, frames in asked.without_patient():
        rejected["no_patient"] += frames
        found.images -= frames
        found.examples.setdefault("no_patient", message)
    height, width = job.recipe.size
    found.by = {name: dict(counter.most_common()) for name, counter in counters.items()}
    found.rejected = dict(rejected.most_common())
    found.bytes = found.images * height * width * (2 if job.recipe.dtype == "uint16" else 1)
    found.questions, found.of_patients = who.questions(), who.doubts().lines(job.join.sex_and_age_from or "header")
    if labels is not None:
        joined = found.images + rejected["no_patient"]
        found.notes = [
            *(who.labels() or labels).notes,
            *offer_lines(labels, asked.offers, joined, rejected["no_label"]),
        ]
    _time(found, settings, good, job.jobs)
    return found


class _Asked:
    """Asks the label table about images; state: what would join those without a row, and how many images a patient has."""

    def __init__(self, who: Who) -> None:
        self.who = who
        self.offers: Counter[str] = Counter()
        self._images: Counter[tuple[str | None, str | None, str | None]] = Counter()  # header, table, issuer -> frames
        self._example: dict[tuple[str | None, str | None, str | None], str] = {}

    def about(self, source: Source, result: Result) -> None:
        """Turn the result into a rejection where the label table has no row for it."""
        if result.reason is not None:
            return
        facts = result.facts or {}
        try:
            said = self.who.see(source, facts)
        except RejectedInput as error:
            result.reason, result.message = error.reason, error.message
            offer = self.who.offer(source, facts) if error.reason == "no_label" else None
            if offer is not None:
                self.offers[offer] += max(1, result.frames)
        else:
            ids = said.header or None, said.table or None, said.issuer
            self._images[ids] += result.frames
            self._example.setdefault(ids, source.path)

    def without_patient(self) -> Iterator[tuple[str, int]]:
        """Path and message of the first, and images, for each way to have no patient; known when all headers are read."""
        patients = self.who.patients()
        for ids, frames in self._images.items():
            try:
                patients.of(*ids)
            except RejectedInput as error:
                yield f"{self._example[ids]}: {error.message}", frames


def _time(found: DryRun, settings: Settings, good: list[Task], jobs: int) -> None:
    sample = good[:: max(1, len(good) // _TIMED_FILES)][:_TIMED_FILES]
    if not sample:
        return
    _decode(settings, sample[0])  # the first call loads the codecs
    started = time.perf_counter()
    decoded = [_decode(settings, task) for task in sample]
    seconds = time.perf_counter() - started + _SECONDS_PER_PIXEL * sum(pixels for _, pixels in decoded)
    found.timed = len(sample)
    each = seconds / sum(images for images, _ in decoded) + _SECONDS_PER_IMAGE
    found.seconds = each * found.images / max(1, jobs)


def _decode(settings: Settings, task: Task) -> tuple[int, int]:
    """Read a file as a run does, but for what needs torch; frames (at least one) and pixels."""
    images = pixels = 0
    try:
        frames = opened(settings, task)
        for number in range(min(len(frames), FRAMES_PER_TASK)):
            images += 1
            pixels += frames.frame(number).pixels.size
    except RejectedInput:  # counted by the run
        pass
    return max(1, images), pixels


def _shown(name: str, value: object) -> str:
    """A value as the terminal may show it: who has it is not counted, so that words of the standard alone are safe."""
    if not value:
        return "not given"
    return str(value) if name in OURS or is_term(name, str(value)) else "other words"
