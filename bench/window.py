"""window against what people use: `python -m bench.window`. Ratios above 1 are ours, and losses are printed.

The image is a synthetic mammogram, 3328 x 2560 uint16 with 12 bits, windowed to uint8. Peers take turns within each round,
with one thread and with as many as there are cores. One thread is timed by the processor time that it used, which a busy
neighbour does not stretch; several by the clock, the best of three calls in each round. `max_error` is against the float64
reference in display units: half a step of 8 bits is 0.002. Peers without a window (INTER_AREA) do less work and have no
error to compare.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from bench.common import Row, rows_against, show, version
from fastrace.kernels.window import Transfer, window, window_reference

CENTER, WIDTH = 2000.0, 2400.0
SIZES = ((1024, 512), (224, 224))
ROUNDS = 11
OURS = "fastrace"


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


def optional(name: str) -> ModuleType | None:
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def set_threads(count: int) -> None:
    """Give every library this many threads."""
    torch.set_num_threads(count)
    cv2, sitk = optional("cv2"), optional("SimpleITK")
    if cv2:
        cv2.setNumThreads(count)
    if sitk:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)


def rows() -> list[Row]:
    """Measure everything; one row per operation, number of threads and peer."""
    words = mammogram(np.random.default_rng(0))
    linear = Transfer(12, scale=1 / (WIDTH - 1), offset=(0.5 - CENTER) / (WIDTH - 1) + 0.5)
    curve = 1 / (1 + np.exp(-4 * (np.arange(4096) - CENTER) / WIDTH))  # PS3.3 C.11.2.1.3.1
    sigmoid = Transfer(12, table=curve.astype(np.float32))
    found: list[Row] = []
    for threads in sorted({1, os.cpu_count() or 1}):
        set_threads(threads)
        note = f"{threads} thread{'s' * (threads > 1)}"
        found += _full_size(f"VOI linear, {note}", words, linear, "LINEAR")
        found += _full_size(f"VOI sigmoid (table), {note}", words, sigmoid, "SIGMOID")
        for size in SIZES:
            found += _resized(f"VOI linear + area {size[0]}x{size[1]}, {note}", words, linear, size, "LINEAR")
            found += _resized(f"VOI sigmoid + area {size[0]}x{size[1]}, {note}", words, sigmoid, size, "SIGMOID")
    return found


def _full_size(operation: str, words: np.ndarray, transfer: Transfer, function: str) -> list[Row]:
    cv2, sitk = optional("cv2"), optional("SimpleITK")
    ds = dataset(function)
    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: window([words], [transfer], dtype=torch.uint8)[0].numpy(),
        "pydicom modality + VOI": lambda: pydicom_display(words, ds),
    }
    if cv2:
        every = np.arange(65536, dtype=np.uint16)[None]
        table = window_reference([every & np.uint16(4095)], [transfer], dtype=torch.uint8)[0, 0]
        calls["OpenCV LUT (16 bit)"] = lambda: cv2.LUT(words, table)
    if sitk and function == "LINEAR":
        image = sitk.GetImageFromArray(words)
        low, high = CENTER - 0.5 - (WIDTH - 1) / 2, CENTER - 0.5 + (WIDTH - 1) / 2
        calls["SimpleITK IntensityWindowing"] = lambda: sitk.IntensityWindowing(image, low, high, 0, 255)
    exact = window_reference([words], [transfer], dtype=None)[0]

    def error(name: str) -> float:
        result = calls[name]()
        shown = sitk.GetArrayFromImage(result) if sitk and isinstance(result, sitk.Image) else result
        return float(np.abs(shown / 255 - exact).max())

    return _rows(operation, calls, {name: error(name) for name in calls})


def _resized(operation: str, words: np.ndarray, transfer: Transfer, size: tuple[int, int], function: str) -> list[Row]:
    cv2 = optional("cv2")
    ds = dataset(function)
    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: window([words], [transfer], size, dtype=torch.uint8)[0].numpy()
    }
    exact = window_reference([words], [transfer], size, dtype=None)[0]
    errors: dict[str, float | None] = {OURS: float(np.abs(calls[OURS]() / 255 - exact).max())}
    if cv2:

        def shrink(image: np.ndarray) -> np.ndarray:
            small: np.ndarray = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
            return small

        chain = "pydicom VOI + OpenCV INTER_AREA"
        calls["OpenCV INTER_AREA, no window"] = lambda: shrink(words)
        calls[chain] = lambda: shrink(pydicom_display(words, ds))
        errors[chain] = float(np.abs(calls[chain]() / 255 - exact).max())
    return _rows(operation, calls, errors)


def _rows(operation: str, calls: dict[str, Callable[[], Any]], errors: dict[str, Any]) -> list[Row]:
    packages = {"pydicom": "pydicom", "OpenCV": "opencv-python-headless", "SimpleITK": "SimpleITK", OURS: "fastrace"}
    versions = {name: version(packages[name.split()[0]]) for name in calls}
    alone = torch.get_num_threads() == 1
    clock, tries = (time.process_time, 1) if alone else (time.perf_counter, 3)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            seconds = []
            for _ in range(tries):
                started = clock()
                call()
                seconds.append(clock() - started)
            times[name].append(min(seconds))
    return rows_against(operation, OURS, {name: np.asarray(values) for name, values in times.items()}, versions, errors)


def main() -> None:
    """Measure and print; the last line is one JSON document."""
    show(rows())


if __name__ == "__main__":
    main()
