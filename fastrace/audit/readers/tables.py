"""One pass over the images: patient means of every feature set under every degradation, on disk, in pieces that survive a crash.

Features of rings and octaves are the same for every radial filter that keeps them, so they are stored once; a filter adds its own
pixels and histogram. Files are memory-mapped: memory is one piece of images, however many patients there are. They are features
of patients, in the audit's folder (mode 0700), and are removed when the audit is finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from fastrace.audit.experiments import Experiment
from fastrace.audit.frequencies import ring_edges
from fastrace.audit.readers.beside import Beside
from fastrace.audit.readers.built_in import BUILT_IN
from fastrace.audit.readers.extract import extract, sweep_on
from fastrace.audit.readers.networks import MOMENTS_FROM, ImageReader, degraded
from fastrace.audit.readers.patches import COARSE, FEWER, FILTERS, FINE, Bank, coarse, coarse_size, columns, draw_bank
from fastrace.audit.readers.rings import families, filter_of, part_columns, radial, rings_of
from fastrace.audit.readers.sample import Sample
from fastrace.audit.subjects import Subjects, patient_means
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN, Degradation
from fastrace.errors import RunError
from fastrace.files import make_folder, write_atomic
from fastrace.run_folder import writing

PIXELS_AT_ONCE = 1 << 22
"""Images of one piece: 16 MB as float32, and 15 times that for what is made of them."""
SAMPLE_PIXELS = 1 << 25
"""Of the images that moments and patches are taken from; what they are must not depend on the size of a piece."""
CPU = torch.device("cpu")


class Tables:
    """Feature tables of an audit.

    Parameters
    ----------
    folder : Path
    dataset : Dataset
    subjects : Subjects
    wanted : sequence of Experiment
        Their degradations are what is extracted.
    networks : sequence of (ImageReader, sequence of Degradation)
        Each with the degradations it reads.
    seed : int
        Key of the noise.
    sample : Sample, optional
        Patients whose degraded images are read; None: drawn from the seed. Rows of the others are NaN.
    device : torch.device
        Where images are degraded and read.
    """

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        subjects: Subjects,
        wanted: Sequence[Experiment],
        networks: Sequence[tuple[ImageReader, Sequence[Degradation]]],
        seed: int,
        sample: Sample | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.device = device
        self._sample = Sample.of(subjects.labels, seed) if sample is None else sample
        self.folder, self.dataset, self.subjects, self.seed = folder, dataset, subjects, seed
        self.networks = {network.name: network for network, _ in networks}
        degradations = {d: None for e in wanted for d in (e.train, e.test)}
        scan_only = {e.test for e in wanted if e.parts} - {d for e in wanted if not e.parts for d in (e.train, e.test)}
        swept = [d for d in degradations if radial(d)]
        self._keep = {d: self._rings(d) for d in swept}
        self._swept = [d for d in swept if d not in scan_only]
        self._other = [d for d in degradations if d not in self._keep]
        self._coarse = [d for d in self._swept if d != CLEAN]
        self._sweep = sweep_on(
            device, dataset.size, [self._keep[d] for d in self._swept], [self._keep[d] for d in self._coarse]
        )
        self._also_clean = [e.test for e in wanted if e.train == CLEAN != e.test and not e.parts]
        self._banks: dict[tuple[str, Degradation], Bank] = {}
        self._embedded = [(network, list(degradations)) for network, degradations in networks]

    def _rings(self, degradation: Degradation) -> NDArray[np.bool_]:
        step = filter_of(degradation)
        if step is None:
            return np.ones(len(ring_edges(self.dataset.size)) - 1, dtype=bool)
        return rings_of(step, self.dataset.size)

    def build(self, progress: Progress) -> None:
        """Extract what is missing.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        make_folder(self.folder, 0o700)
        self._draw_banks()
        plan = json.dumps(
            [self.dataset.fingerprint, self.subjects.cohort.target, list(self.subjects.classes), self.seed,
             [str(d) for d in (*self._swept, *self._other)], [str(d) for d in self._keep],
             [[network.name, *map(str, degradations)] for network, degradations in self._embedded],
             [len(self._sample.other), len(self._sample.networks)],
             [_digest(bank.filters.numpy()) for bank in self._banks.values()]]
        )  # fmt: skip
        state = self.folder / "done.json"
        done = self._done(state, plan, progress)
        pieces = list(self.pieces(done[-1]["last"] if done else 0))
        if not pieces:
            return
        for network, degradations in self._embedded:
            self._measure(network, degradations)
        images = np.bincount(self.subjects.owner, minlength=len(self.subjects))
        progress.begin("features", int(images[pieces[0][0] :].sum()), "images")
        for first, last in pieces:
            digests = {}
            for name, values in self._extract(first, last).items():
                rows = values.astype(np.float32)
                self._write(name, first, rows)
                digests[name] = _digest(rows)
            done.append({"last": last, "tables": digests})
            with writing(state):
                write_atomic(state, json.dumps({"plan": plan, "pieces": done}).encode(), 0o600)
            progress.step(int(images[first:last].sum()))
        progress.end()

    def _done(self, state: Path, plan: str, progress: Progress) -> list[dict[str, Any]]:
        """The pieces of an interrupted audit, up to the first whose rows are not what was written: zeros would be believed."""
        if not state.is_file():
            return []
        sound: list[dict[str, Any]] = []
        try:
            before = json.loads(state.read_text())
            if before["plan"] != plan:
                return []
            first = 0
            for piece in before["pieces"]:
                tables = {name: self._open(name)[first : piece["last"]] for name in piece["tables"]}
                if {name: _digest(rows) for name, rows in tables.items()} != piece["tables"]:
                    raise ValueError("rows differ from their digest")
                sound.append(piece)
                first = piece["last"]
        except (OSError, ValueError, LookupError, TypeError, EOFError, RunError):
            progress.line(f"{self.folder}: damaged; features are extracted again after {len(sound)} sound pieces")
        return sound

    def pieces(self, done: int) -> Iterator[tuple[int, int]]:
        """Ranges of patients whose images fit in one piece."""
        most = self._at_once()
        counts = np.bincount(self.subjects.owner, minlength=len(self.subjects))
        first, images = done, 0
        for patient in range(done, len(self.subjects)):
            if images and images + counts[patient] > most:
                yield first, patient
                first, images = patient, 0
            images += counts[patient]
        if first < len(self.subjects):
            yield first, len(self.subjects)

    def images(self, at: NDArray[np.int64]) -> torch.Tensor:  # [N, H, W] float32
        """Display values of images of the cohort, on the device."""
        stored = self.dataset.images(self.subjects.cohort.rows[at])
        return torch.from_numpy(stored.astype(np.float32) / np.float32(self.dataset.scale)).to(self.device)

    def _ids(self, at: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:  # [N], [N]
        """Ids of images, and mm per pixel, on the device."""
        cohort = self.subjects.cohort
        ids, mm = torch.from_numpy(cohort.ids[at]), torch.from_numpy(cohort.mm_per_pixel[at])
        return ids.to(self.device), mm.to(self.device)

    def _some(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Some images drawn from all, whatever their class; their ids, and mm per pixel."""
        cohort = self.subjects.cohort
        chosen = np.random.default_rng((self.seed, 7002)).permutation(len(cohort.rows))
        height, width = self.dataset.size
        chosen = np.sort(chosen[: min(MOMENTS_FROM, max(16, SAMPLE_PIXELS // (height * width)))])
        return self.images(chosen), *self._ids(chosen)

    def _measure(self, network: ImageReader, degradations: Sequence[Degradation]) -> None:
        images, ids, mm = self._some()
        for degradation in degradations:
            network.measure(degraded(images, degradation, ids, mm, self.seed), degradation)

    def _draw_banks(self) -> None:
        """Filters from patches of some images, for every degradation that has all families; the same again from the seed."""
        images, ids, mm = self._some()
        found = {}
        if CLEAN in self._swept:
            found[COARSE, CLEAN] = draw_bank(coarse(images), FILTERS[COARSE], self._draw(CLEAN))
            found[FINE, CLEAN] = draw_bank(images, FILTERS[FINE], self._draw(CLEAN))
        if self._coarse:
            small = np.empty((len(self._coarse), len(images), *coarse_size(self.dataset.size)), np.float32)
            for at in np.array_split(np.arange(len(images)), -(-len(images) // self._at_once())):
                small[:, at] = self._sweep.with_coarse(images[at])[2].cpu().numpy().swapaxes(0, 1)
            for degradation, shown in zip(self._coarse, small, strict=True):
                found[COARSE, degradation] = draw_bank(torch.from_numpy(shown), FEWER, self._draw(degradation))
        for degradation in self._other:
            changed = degraded(images, degradation, ids, mm, self.seed)
            found[COARSE, degradation] = draw_bank(coarse(changed), FEWER, self._draw(degradation))
        self._banks = found

    def _draw(self, degradation: Degradation) -> np.random.Generator:
        return np.random.default_rng((self.seed, 7008, xxhash.xxh32_intdigest(str(degradation).encode())))

    def split(self, at: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Images in portions: one patient may have more than fit (the slices of a CT)."""
        return np.array_split(at, max(1, -(-len(at) // self._at_once())))

    def _at_once(self) -> int:
        """Images of one portion."""
        height, width = self.dataset.size
        return max(1, PIXELS_AT_ONCE // (height * width))

    def _extract(self, first: int, last: int) -> dict[str, NDArray[np.float64]]:
        """Patient means of all tables, for a range of patients."""
        subjects = self.subjects
        total: dict[str, NDArray[np.float64]] = {}
        for at in self.split(np.flatnonzero((subjects.owner >= first) & (subjects.owner < last))):
            owner, weight = subjects.owner[at] - first, subjects.weight[at]
            for name, values in self._features(at):
                part = patient_means(values, owner, weight, last - first)
                total[name] = total[name] + part if name in total else part
        return total

    def _features(self, at: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """All tables' rows of some images, [N, D] each."""
        images, (ids, mm) = self.images(at), self._ids(at)
        parts, values, small = self._sweep.with_coarse(images)
        yield "parts", parts
        for k, degradation in enumerate(self._swept):
            yield f"values-{degradation.slug}", values[:, k]
        if CLEAN in self._swept:
            yield "coarse", self._banks[COARSE, CLEAN](coarse(images))
            yield "fine", self._banks[FINE, CLEAN](images)
        for k, degradation in enumerate(self._coarse):
            yield f"coarse-{degradation.slug}", self._banks[COARSE, degradation](small[:, k])
        owner = self.subjects.owner[at]
        some = _Some(self._sample.inside(self._sample.other)[owner])
        made = {}
        for degradation in self._other:
            shown = degraded(images[some.at], degradation, ids[some.at], mm[some.at], self.seed)
            made[degradation] = shown
            reduced = coarse(shown)
            yield f"other-{degradation.slug}", some.rows(extract(shown))
            yield f"coarse-{degradation.slug}", some.rows(self._banks[COARSE, degradation](reduced))
            if degradation in self._also_clean:
                found = self._banks[COARSE, CLEAN].first(FEWER)(reduced)
                yield f"coarse-unlike-{degradation.slug}", some.rows(found)
        few = _Some(self._sample.inside(self._sample.networks)[owner])
        among = np.searchsorted(some.at, few.at)  # every one of them is one of the others
        for number, (network, degradations) in enumerate(self._embedded):
            for degradation in degradations:
                name = f"network-{number}-{degradation.slug}"
                if degradation == CLEAN:
                    yield name, network.embed(images, CLEAN)
                elif degradation in made:
                    yield name, few.rows(network.embed(made[degradation][among], degradation))
                else:
                    shown = degraded(images[few.at], degradation, ids[few.at], mm[few.at], self.seed)
                    yield name, few.rows(network.embed(shown, degradation))

    def _open(self, name: str) -> NDArray[np.float32]:
        """A table in a memory map of its own: the pages of one that is kept count as memory, 3 GB of 10,000 patients."""
        file = self.folder / f"{name}.npy"
        with writing(file):
            if not file.is_file():
                raise RunError(f"{file}: missing; run the same command with --resume")
            return np.lib.format.open_memmap(file, mode="r")

    def _write(self, name: str, first: int, rows: NDArray[np.float32]) -> None:
        """Write rows of a table. Rows that a crash loses differ from their digest, and are made again."""
        file = self.folder / f"{name}.npy"
        shape = (len(self.subjects), rows.shape[1])
        with writing(file):
            if not _has_shape(file, shape):
                np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
            offset = np.lib.format.open_memmap(file, mode="r").offset
            with file.open("r+b") as opened:
                opened.seek(offset + first * rows.shape[1] * rows.itemsize)
                opened.write(np.ascontiguousarray(rows).data)

    def table(
        self, features: str, degradation: Degradation, parts: Sequence[str] = (), *, unlike: bool = False
    ) -> tuple[Beside, NDArray[np.str_]]:
        """Features of all patients, [P, D], and the family of every column.

        Parameters
        ----------
        features : str
            ``built-in``, or the name of a network.
        degradation : Degradation
        parts : sequence of str
            Families wanted; empty: all.
        unlike : bool
            For a probe that learns from unchanged images and is tested on degraded ones: patches of unchanged images on both, and
            the same columns.
        """
        if features != BUILT_IN:
            number = list(self.networks).index(features)
            network = self._open(f"network-{number}-{degradation.slug}")
            return Beside([network], [np.arange(network.shape[1])]), np.full(network.shape[1], "network")
        found: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        if degradation in self._keep:
            keep = self._keep[degradation]
            group = families(keep, values=degradation in self._swept)
            found.append((self._open("parts"), np.flatnonzero(part_columns(keep))))
            if degradation in self._swept:
                values = self._open(f"values-{degradation.slug}")
                found.append((values, np.arange(values.shape[1])))
        else:
            group = families(np.ones(len(ring_edges(self.dataset.size)) - 1, dtype=bool))
            found.append((self._open(f"other-{degradation.slug}"), np.arange(len(group))))
        for family, table, chosen in self._patches(degradation, unlike):
            found.append((table, chosen))
            group = np.concatenate([group, np.full(len(chosen), family)])
        every = Beside([table for table, _ in found], [chosen for _, chosen in found])
        if parts:
            inside = np.isin(group, parts)
            return every.chosen(inside), group[inside]
        return every, group

    def _patches(
        self, degradation: Degradation, unlike: bool
    ) -> list[tuple[str, NDArray[np.float32], NDArray[np.int64]]]:
        """Families of patches, the table of each, and its columns."""
        if degradation in self._keep and degradation not in self._swept:
            return []  # of a scan alone
        if degradation != CLEAN:
            table = self._open(f"coarse-{'unlike-' if unlike else ''}{degradation.slug}")
            return [(COARSE, table, np.arange(table.shape[1]))]
        coarse = self._open("coarse")
        if unlike:
            return [(COARSE, coarse, np.flatnonzero(columns(FEWER, FILTERS[COARSE])))]
        fine = self._open("fine")
        return [(COARSE, coarse, np.arange(coarse.shape[1])), (FINE, fine, np.arange(fine.shape[1]))]


class _Some:
    """Some images of a portion; at least one, so that what is read of them has its columns."""

    def __init__(self, inside: NDArray[np.bool_]) -> None:
        self._inside = inside
        self.at = np.flatnonzero(inside) if inside.any() else np.zeros(1, dtype=np.int64)

    def rows(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of these images, in the places of all; NaN for the others."""
        if self._inside.all():
            return found
        every = np.full((len(self._inside), found.shape[1]), np.nan, np.float32)
        every[self.at] = found
        every[~self._inside] = np.nan
        return every


def _digest(rows: NDArray[np.float32]) -> str:
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(rows).data)


def _has_shape(file: Path, shape: tuple[int, int]) -> bool:
    """Whether it is a table of this shape; a damaged file is none, and made again."""
    try:
        return bool(np.load(file, mmap_mode="r", allow_pickle=False).shape == shape)
    except (FileNotFoundError, ValueError, EOFError):
        return False
