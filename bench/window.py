"""window against other libraries: `fastrace bench window`. Ratios above 1: ours is faster; losses are printed.

The image is a synthetic mammogram, 3328 x 2560 uint16 with 12 bits, windowed to uint8. Peers take turns within each round,
with one thread and with as many as there are cores. One thread is timed by the processor time that it used, which a busy
neighbour does not stretch; several by the clock, the best of three calls in each round. Errors are against the float64
reference in display units: half a step of 8 bits is 0.002. Peers without a window (INTER_AREA) do less work and have no
error to compare. Lanczos is there for sensitivity checks and has no figure to reach. Words and bytes of the full size, 26 MB,
fit into a third level of 32 MB: with the caches hot it is that which is measured, with them cold the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from fastrace.bench.machine import OPENCV
from fastrace.bench.measure import Peer, hot_and_cold
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.execute.cpus import usable_cpus
from fastrace.kernels.window import TOLERANCE, Transfer, window, window_reference

CENTER, WIDTH = 2000.0, 2400.0
SIZES = ((1024, 512), (224, 224))
LSB = 1 / 255  # a step of uint8, in display units
OURS_LIMIT = 0.5 * LSB + TOLERANCE  # rounding to 8 bits
PEER_LIMIT = 2 * LSB  # some round twice, some cut off: two steps


def mammogram(rng: np.random.Generator) -> np.ndarray:
    """12-bit words: a smooth bright half and quantum noise, most of them inside the window, some outside."""
    y, x = np.mgrid[0:3328, 0:2560].astype(np.float32) / 2560
    smooth = 900 + 2400 * np.exp(-2 * ((y - 0.65) ** 2 + (x - 0.2) ** 2))
    return (smooth + rng.normal(0, 120, smooth.shape)).clip(0, 4095).astype(np.uint16)


def dataset(function: str) -> Dataset:
    """The attributes that pydicom reads."""
    ds = Dataset()
    ds.PhotometricInterpretation, ds.BitsStored, ds.BitsAllocated, ds.PixelRepresentation = "MONOCHROME2", 12, 16, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = CENTER, WIDTH, function
    return ds


def pydicom_display(words: np.ndarray, ds: Dataset) -> np.ndarray:
    """What its documentation shows, scaled to 8 bits."""
    return (apply_voi_lut(apply_modality_lut(words, ds), ds) * (255 / 4095) + 0.5).astype(np.uint8)


def rows(quick: bool = False) -> list[Row]:
    """Measure; one row per operation, number of threads and peer.

    Parameters
    ----------
    quick : bool
        One size and fewer rounds.
    """
    words = mammogram(np.random.default_rng(0))
    linear = Transfer(12, scale=1 / (WIDTH - 1), offset=(0.5 - CENTER) / (WIDTH - 1) + 0.5)
    curve = 1 / (1 + np.exp(-4 * (np.arange(4096) - CENTER) / WIDTH))  # PS3.3 C.11.2.1.3.1
    sigmoid = Transfer(12, table=curve.astype(np.float32))
    found: list[Row] = []
    for count in sorted({1, usable_cpus()}):
        note = f"{count} thread{'s' * (count > 1)}"
        # A clock, and how often: see above.
        timing: dict[str, Any] = {"rounds": 5 if quick else 11}
        timing |= {"clock": time.process_time} if count == 1 else {"tries": 3}
        with threads(count):
            found += _full_size(f"VOI linear, {note}", words, linear, "LINEAR", timing)
            found += _full_size(f"VOI sigmoid (table), {note}", words, sigmoid, "SIGMOID", timing)
            for size in SIZES[:1] if quick else SIZES:
                name = f"area {size[0]}x{size[1]}, {note}"
                found += _resized(f"VOI linear + {name}", words, linear, size, "LINEAR", timing)
                if not quick:
                    found += _resized(f"VOI sigmoid + {name}", words, sigmoid, size, "SIGMOID", timing)
            if not quick:
                found += _lanczos(f"VOI linear + Lanczos 1024x512, {note}", words, linear, SIZES[0], timing)
    return found


def _full_size(
    operation: str, words: np.ndarray, transfer: Transfer, function: str, timing: dict[str, Any]
) -> list[Row]:
    ds = dataset(function)
    every = np.arange(65536, dtype=np.uint16)[None]
    table = window_reference([every & np.uint16(4095)], [transfer], dtype=torch.uint8)[0, 0]
    low, high = CENTER - 0.5 - (WIDTH - 1) / 2, CENTER - 0.5 + (WIDTH - 1) / 2
    images: list[Any] = []  # SimpleITK's copy of the words, made once

    def opencv() -> Any:
        import cv2

        return cv2.LUT(words, table)

    def simpleitk() -> Any:
        import SimpleITK

        if not images:
            images.append(SimpleITK.GetImageFromArray(words))
        return SimpleITK.IntensityWindowing(images[0], low, high, 0, 255)

    peers = [
        _ours(words, transfer, None),
        Peer("pydicom modality + VOI", lambda: pydicom_display(words, ds), ("pydicom",), PEER_LIMIT),
        Peer("OpenCV LUT (16 bit)", opencv, OPENCV, PEER_LIMIT),
    ]
    if function == "LINEAR":
        peers.append(Peer("SimpleITK IntensityWindowing", simpleitk, ("SimpleITK",), PEER_LIMIT))
    exact = window_reference([words], [transfer], dtype=None)[0]
    work = (
        3.0 * words.size,
        2.0 * words.size if function == "LINEAR" else 0.0,
    )  # a product and a sum; a table has none
    cold = ("pydicom", "OpenCV", "SimpleITK") if function == "LINEAR" else ()
    return hot_and_cold(operation, peers, _error(exact), cold=cold, work=work, lsb=LSB, **timing)


def _resized(
    operation: str, words: np.ndarray, transfer: Transfer, size: tuple[int, int], function: str, timing: dict[str, Any]
) -> list[Row]:
    ds = dataset(function)

    def shrink(image: np.ndarray) -> Any:
        import cv2

        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)

    peers = [
        _ours(words, transfer, size),
        Peer("OpenCV INTER_AREA, no window", lambda: shrink(words), OPENCV),
        Peer("pydicom VOI + OpenCV INTER_AREA", lambda: shrink(pydicom_display(words, ds)), ("pydicom",), PEER_LIMIT),
    ]
    exact = window_reference([words], [transfer], size, dtype=None)[0]
    pixels = size[0] * size[1]
    work = (2.0 * words.size + pixels, (3.0 if function == "LINEAR" else 1.0) * words.size + pixels)
    cold = ("OpenCV",) if function == "LINEAR" and size == SIZES[0] else ()
    return hot_and_cold(operation, peers, _error(exact), cold=cold, work=work, lsb=LSB, **timing)


def _lanczos(
    operation: str, words: np.ndarray, transfer: Transfer, size: tuple[int, int], timing: dict[str, Any]
) -> list[Row]:
    shown: list[Any] = []  # the display values as an image of Pillow's, made once: it only resizes

    def pillow() -> Any:
        from PIL import Image

        if not shown:
            shown.append(Image.fromarray(window([words], [transfer], dtype=torch.float32)[0].numpy()))
        return np.asarray(shown[0].resize(size[::-1], Image.Resampling.LANCZOS)).clip(0, 1) * 255

    peers = [
        _ours(words, transfer, size, "lanczos"),
        Peer("Pillow LANCZOS on float32, no window", pillow, ("pillow",), PEER_LIMIT),
    ]
    exact = window_reference([words], [transfer], size, dtype=None, resize="lanczos")[0]
    return hot_and_cold(operation, peers, _error(exact), cold=(), lsb=LSB, **timing)


def _ours(words: np.ndarray, transfer: Transfer, size: tuple[int, int] | None, resize: Any = "area") -> Peer:
    def call() -> Any:
        return window([words], [transfer], size, dtype=torch.uint8, resize=resize)[0].numpy()

    return Peer("fastrace", call, limit=OURS_LIMIT)


def _error(exact: np.ndarray) -> Callable[[Any], Error]:
    def error(result: Any) -> Error:
        if isinstance(result, np.ndarray):
            return difference(result / 255, exact)
        import SimpleITK

        return difference(SimpleITK.GetArrayFromImage(result) / 255, exact)

    return error
