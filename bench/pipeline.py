"""DICOM (JPEG Lossless) -> resized uint16 images, two processes: `fastrace preprocess` against what people write today.

The rate is taken from the difference of a long and a short run, so that starting Python (and importing torch, which only
fastrace does) is not in it; it is printed as a row of its own.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, JPEGLosslessSV1, generate_uid

from bench.common import Row, show, version

HEIGHT, WIDTH = 3328, 2560
SIZE = (1024, 512)
SHORT, LONG = 8, 40


def make_archive(folder: Path, count: int) -> None:
    """Write ``count`` 12-bit mammogram-like files (half of the pixels air), one patient each."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    inside = ((rows - HEIGHT / 2) / (HEIGHT / 2.2)) ** 2 + (columns / (WIDTH / 1.6)) ** 2 < 1
    tissue = inside * (1800 + 600 * np.sin(rows / 301) * np.cos(columns / 199))
    noise = generator.normal(0, 12, (HEIGHT, WIDTH)).astype(np.float32) * inside
    pixels = np.clip(tissue + noise, 0, 4095).astype(np.uint16)
    stream = encapsulate([imagecodecs.ljpeg_encode(pixels, bitspersample=12)])
    folder.mkdir(parents=True)
    for number in range(count):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        uid = generate_uid(entropy_srcs=[str(number)])
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = (
            DigitalMammographyXRayImageStorageForPresentation
        )
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
        dataset.PatientID, dataset.Modality, dataset.ViewPosition = f"p{number}", "MG", "CC"
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = HEIGHT, WIDTH, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.WindowCenter, dataset.WindowWidth = 1800, 2400
        dataset.PixelData = stream
        dataset.save_as(folder / f"{number:04}", enforce_file_format=True)


def _cv2_resize(image: np.ndarray) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    return (cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_AREA) * 65535 + 0.5).astype(np.uint16)


def with_pydicom(path: str) -> np.ndarray:
    """pydicom decode (its preferred plugin), modality and VOI LUT, then cv2."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    dataset = dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    return _cv2_resize((shown / 4095).astype(np.float32))


def with_dicomsdl(path: str) -> np.ndarray:
    """dicomsdl decode, window in numpy float32, then cv2."""
    import dicomsdl

    stored = dicomsdl.open(path).pixelData(storedvalue=True).astype(np.float32)
    shown = np.clip((stored - (1800 - 0.5)) / (2400 - 1) + 0.5, 0, 1)
    return _cv2_resize(shown)


def _peer(read: Callable[[str], np.ndarray], paths: list[Path], out: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        images = list(pool.imap(read, map(str, paths)))
    np.save(out, np.stack(images))


def _fastrace(paths: list[Path], out: Path) -> None:
    from fastrace.preprocess import Job, Recipe, preprocess
    from fastrace.presets import get_preset

    preset = get_preset("any")
    preprocess(Job(tuple(paths), out, Recipe.from_preset(preset, size=SIZE), preset, jobs=2))


def rows(rounds: int = 3) -> list[Row]:
    """Measure; a peer that is not installed is listed as such."""
    peers: dict[str, tuple[str, Callable[[str], np.ndarray] | None]] = {
        "fastrace": (version("fastrace"), None),
        "pydicom + numpy + cv2": (version("pydicom"), with_pydicom),
        "dicomsdl + numpy + cv2": (version("dicomsdl"), with_dicomsdl),
    }
    operation = f"JPEG Lossless {HEIGHT}x{WIDTH} -> {SIZE[0]}x{SIZE[1]}, 2 processes"
    result: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "archive"
        make_archive(archive, LONG)
        files = sorted(archive.iterdir())
        missing = {name: v for name, (v, _) in peers.items() if v == "not installed"}
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in peers if name not in missing}
        for turn in range(rounds):
            for name in seconds:
                pair = []
                for count in (SHORT, LONG):
                    out = Path(temporary) / f"{name}-{turn}-{count}"
                    read = peers[name][1]
                    started = time.perf_counter()
                    _fastrace(files[:count], out) if read is None else _peer(read, files[:count], out)
                    pair.append(time.perf_counter() - started)
                seconds[name].append((pair[0], pair[1]))
        each = {name: np.array([(long - short) / (LONG - SHORT) for short, long in t]) for name, t in seconds.items()}
        for name, values in each.items():
            ratio = values / each["fastrace"]
            result.append(
                {
                    "operation": operation,
                    "peer": name,
                    "version": peers[name][0],
                    "ms": float(np.median(values) * 1e3),
                    "ratio": float(np.median(ratio)),
                    "spread": [float(np.percentile(ratio, 20)), float(np.percentile(ratio, 80))],
                    "max_error": None,
                }
            )
        for name, values_ in seconds.items():
            start = float(np.median([short for short, _ in values_])) - SHORT * float(np.median(each[name]))
            result.append(
                {
                    "operation": "  of which once, starting the processes",
                    "peer": name,
                    "version": peers[name][0],
                    "ms": start * 1e3,
                    "ratio": float("nan"),
                    "spread": [float("nan"), float("nan")],
                    "max_error": None,
                }
            )
        result += [{"operation": operation, "peer": name, "version": v, "ms": None} for name, v in missing.items()]
    return result


if __name__ == "__main__":
    show(rows())
