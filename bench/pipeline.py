"""DICOM (JPEG Lossless, JPEG 2000, uncompressed) -> resized uint16 images, two processes: `fastrace preprocess` and its peers.

First the steady state: every tool has two worker processes that are already running, and takes its turn with the same files.
Then the whole command on a small archive, where starting Python (and importing torch, which only fastrace does) is included.

GDCM (and SimpleITK, which contains it) decode one JPEG 2000 frame on all processors; here every tool has a process for each,
as in an archive of more files than processors.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, generate_uid

from fastrace.bench.dicom_file import BITS, write_file
from fastrace.bench.measure import Peer, measure
from fastrace.bench.row import Row

HEIGHT, WIDTH = 3328, 2560
SIZE = (1024, 512)
FILES, QUICK_FILES = 24, 8
PATIENCE = 600.0  # seconds: a call is a whole archive, 5 s here and far more on a slow disk


def make_archive(folder: Path, count: int, syntax: UID = JPEGLosslessSV1) -> None:
    """Write ``count`` 12-bit mammogram-like files (half of the pixels air), one patient each."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    inside = ((rows - HEIGHT / 2) / (HEIGHT / 2.2)) ** 2 + (columns / (WIDTH / 1.6)) ** 2 < 1
    tissue = inside * (1800 + 600 * np.sin(rows / 301) * np.cos(columns / 199))
    noise = generator.normal(0, 12, (HEIGHT, WIDTH)).astype(np.float32) * inside
    pixels = np.clip(tissue + noise, 0, 4095).astype(np.uint16)
    stream = None
    if syntax == JPEG2000Lossless:
        stream = bytes(
            imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, bitspersample=BITS)
        )
    elif syntax == JPEGLosslessSV1:
        stream = bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=BITS))
    folder.mkdir(parents=True)
    for number in range(count):
        write_file(
            folder / f"{number:04}",
            pixels,
            syntax,
            stream,
            SOPInstanceUID=generate_uid(entropy_srcs=[str(number)]),
            PatientID=f"p{number}",
            ViewPosition="CC",
            WindowCenter=1800,
            WindowWidth=2400,
        )


def _cv2_resize(image: np.ndarray) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    return (cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_AREA) * 65535 + 0.5).astype(np.uint16)


def with_pydicom(path: str) -> np.ndarray:
    """pydicom decode (its preferred plugin), modality and VOI LUT, then cv2."""
    import gdcm  # noqa: F401 -- not installed is not installed, whatever else could decode
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    dataset = dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    return _cv2_resize((shown / 4095).astype(np.float32))


def with_dicomsdl(path: str) -> np.ndarray:
    """dicomsdl decode, window in numpy float32, then cv2."""
    import dicomsdl

    stored = dicomsdl.open(path).pixelData(storedvalue=True).astype(np.float32)
    shown = np.clip((stored - (1800 - 0.5)) / (2400 - 1) + 0.5, 0, 1)
    return _cv2_resize(shown)


def with_simpleitk(path: str) -> np.ndarray:
    """SimpleITK decode, window in numpy float32, then cv2."""
    import SimpleITK

    stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path, imageIO="GDCMImageIO"))
    shown = np.clip((stored.reshape(HEIGHT, WIDTH).astype(np.float32) - (1800 - 0.5)) / (2400 - 1) + 0.5, 0, 1)
    return _cv2_resize(shown)


def _fastrace(paths: list[Path], out: Path) -> None:
    from fastrace.modality import get_modality
    from fastrace.preprocess.recipe import Job, Recipe
    from fastrace.preprocess.run import preprocess

    preset = get_modality("any")
    preprocess(Job(tuple(paths), out, Recipe.from_preset(preset, size=SIZE), preset, jobs=2))


def _workers() -> ProcessPoolExecutor:
    """Two processes. A `multiprocessing.Pool` would wait for ever for one that a codec has crashed."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def _peer(read: Callable[[str], np.ndarray], paths: list[Path], out: Path) -> None:
    with _workers() as pool:
        np.save(out, np.stack(list(pool.map(read, map(str, paths)))))


PEERS: dict[str, tuple[str, Callable[[str], np.ndarray]]] = {
    "pydicom + gdcm + numpy + cv2": ("pydicom", with_pydicom),
    "dicomsdl + numpy + cv2": ("dicomsdl", with_dicomsdl),
}
# SimpleITK takes three times as long for JPEG Lossless and is left out there.
PEERS_MORE = {**PEERS, "SimpleITK + numpy + cv2": ("SimpleITK", with_simpleitk)}


def rows(quick: bool = False) -> list[Row]:
    """Measure; ms of the steady state is per file, of the whole command for all files.

    Parameters
    ----------
    quick : bool
        Eight files instead of 24 (of JPEG 2000: four instead of twelve), and fewer rounds: a minute instead of six.
    """
    count = QUICK_FILES if quick else FILES
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        files = _files(Path(temporary) / "lossless", count, JPEGLosslessSV1)
        found = _steady(stack, Path(temporary), "JPEG Lossless", files, PEERS, rounds=3 if quick else 5)
        whole = [Peer("fastrace", lambda: _fastrace(files, Path(temporary) / f"whole-{time.monotonic_ns()}"))]
        for name, (package, read) in PEERS.items():
            whole.append(Peer(name, partial(_peer, read, files, Path(temporary) / "whole"), (package,)))
        command = f"whole command, {count} such files, start included"
        found += measure(command, whole, rounds=2 if quick else 3, memory=False, patience=PATIENCE)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        files = _files(Path(temporary) / "2000", count // 2, JPEG2000Lossless)
        found += _steady(stack, Path(temporary), "JPEG 2000", files, PEERS_MORE, rounds=2 if quick else 5)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        files = _files(Path(temporary) / "native", count, ExplicitVRLittleEndian)
        found += _steady(stack, Path(temporary), "uncompressed", files, PEERS_MORE, rounds=2 if quick else 5)
    return found


def _files(folder: Path, count: int, syntax: UID) -> list[Path]:
    make_archive(folder, count, syntax)
    return sorted(folder.iterdir())


def _steady(
    stack: ExitStack,
    folder: Path,
    label: str,
    files: list[Path],
    peers: dict[str, tuple[str, Callable[[str], np.ndarray]]],
    rounds: int,
) -> list[Row]:
    """Each tool with two workers that are running already."""
    from fastrace.modality import get_modality
    from fastrace.preprocess.recipe import Recipe
    from fastrace.preprocess.store import ShardWriter
    from fastrace.preprocess.task import Settings, Task, decoders

    tasks = [Task(number, str(file), file.stat().st_size) for number, file in enumerate(files)]
    preset = get_modality("any")
    ours = stack.enter_context(decoders(Settings(Recipe.from_preset(preset, size=SIZE), preset, 1 << 28), 2))

    def run_ours() -> None:
        shard = ShardWriter(folder, 0, SIZE, "uint16")
        for results in ours.results(tasks):
            pixels = results[0].pixels
            assert pixels is not None
            shard.add(pixels)
        shard.finish()

    def runner(read: Callable[[str], np.ndarray]) -> Callable[[], None]:
        pool = stack.enter_context(_workers())
        return lambda: np.save(folder / "peer", np.stack(list(pool.map(read, map(str, files)))))

    compared = [Peer("fastrace", run_ours)]
    compared += [Peer(name, runner(read), (package,)) for name, (package, read) in peers.items()]
    operation = f"{label} {HEIGHT}x{WIDTH} -> {SIZE[0]}x{SIZE[1]}, 2 processes"
    return measure(operation, compared, rounds=rounds, per=len(files), memory=False, patience=PATIENCE)
