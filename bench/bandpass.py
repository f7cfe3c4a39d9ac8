"""Band-pass on one core: the study's released filter, numpy, scipy, torch and pyFFTW, interleaved; losses are shown.

`python -m bench.bandpass`. Images are float32, as they leave the window; the released code made complex128 of them, which
is what NumPy did then. Its mask, 24 to 83 ms for each cut-off, is not counted, and the peers' masks are made beforehand
too. "batch" rows filter 32 images and give the time of one: peers loop over images where that is faster for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import scipy.fft
import torch

from bench.common import Row, interleave, rows_against, show, version
from fastrace.kernels.bandpass import bandpass, bandpass_reference
from fastrace.kernels.bandpass.gain import gain

CASES = [  # side, low, high, images, rounds
    (224, 0, 10, 32, 25),
    (224, 0, 25, 32, 25),
    (224, 10, 50, 32, 25),
    (224, 100, math.inf, 32, 25),
    (224, 10, 150, 32, 25),
    (224, 0, 25, 1, 60),
    (512, 0, 50, 8, 15),
    (512, 100, math.inf, 8, 15),
    (1024, 0, 100, 4, 15),
    (1024, 200, math.inf, 4, 15),
]


def rows() -> list[Row]:
    """Measure every case; ms and ratio are per image."""
    with _one_thread():
        return [row for case in CASES for row in _case(*case)]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def released(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The released code's steps, restated: complex128, both shifts, full spectrum."""
    spectrum = np.fft.fftshift(np.fft.fft2(image.astype(np.float64)))
    return np.fft.ifft2(np.fft.ifftshift(spectrum * mask)).real


def _case(side: int, low: float, high: float, count: int, rounds: int) -> list[Row]:
    images = np.random.default_rng(0).random((count, side, side), dtype=np.float32)
    tensor = torch.from_numpy(images)
    transfer = gain(side, side, low, high)
    shifted, half = np.fft.fftshift(transfer), np.ascontiguousarray(transfer[:, : side // 2 + 1], np.float32)
    half_tensor, size = torch.from_numpy(half), (side, side)

    def each(one: Callable[[np.ndarray], np.ndarray]) -> Callable[[], np.ndarray]:
        return lambda: np.stack([one(image) for image in images])

    def numpy_real(image: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(np.fft.rfft2(image) * half, s=size)

    def scipy_real(image: np.ndarray) -> np.ndarray:
        return scipy.fft.irfft2(scipy.fft.rfft2(image) * half, s=size, overwrite_x=True)

    def torch_real(batch: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(batch) * half_tensor, s=size)

    calls: dict[str, Callable[[], object]] = {
        "fastrace": lambda: bandpass(tensor, low, high),
        "released code, np.fft complex128": each(lambda image: released(image, shifted)),
        "numpy.fft.rfft2": each(numpy_real),
        "scipy.fft.rfft2": each(scipy_real),
        "torch.fft.rfft2 (MKL)": lambda: torch.stack([torch_real(image) for image in tensor]),
    }
    if count > 1:
        calls["torch.fft.rfft2 (MKL), batched"] = lambda: torch_real(tensor)
    planned = _pyfftw(side, half)
    if planned is not None:
        calls["pyfftw, planned (MEASURE)"] = each(planned)
    exact = bandpass_reference(images[:1], low, high)[0]
    errors = {name: float(np.abs(np.asarray(call())[0] - exact).max()) for name, call in calls.items()}
    times = {name: seconds / count for name, seconds in interleave(calls, rounds).items()}
    versions = {name: version(name.split(".")[0].split(",")[0].split(" ")[0]) for name in calls}
    versions["released code, np.fft complex128"] = version("numpy")
    what = f"bandpass {low}:{high} {side}x{side} float32, {'one image' if count == 1 else f'batch {count}'}, 1 core"
    found = rows_against(what, "fastrace", times, versions, errors)
    if planned is None:
        missing = {"operation": what, "peer": "pyfftw, planned (MEASURE)", "version": "not installed"}
        found.append({**missing, "ms": None, "ratio": None, "spread": None, "max_error": None})
    return found


def _pyfftw(side: int, half: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
    try:
        import pyfftw
    except ImportError:
        return None
    image = pyfftw.empty_aligned((side, side), np.float32)
    spectrum = pyfftw.empty_aligned((side, side // 2 + 1), np.complex64)
    forward = pyfftw.FFTW(image, spectrum, axes=(0, 1), flags=("FFTW_MEASURE",))
    inverse = pyfftw.FFTW(
        spectrum, image, axes=(0, 1), direction="FFTW_BACKWARD", flags=("FFTW_MEASURE", "FFTW_DESTROY_INPUT")
    )

    def run(source: np.ndarray) -> np.ndarray:
        image[...] = source
        forward()
        np.multiply(spectrum, half, out=spectrum)
        filtered: np.ndarray = inverse()
        return filtered.copy()  # the plan's buffer is filled again by the next image

    return run


def main() -> None:
    """Measure and print; the last line is one JSON document."""
    show(rows())


if __name__ == "__main__":
    main()
