"""Band-pass on one core: the study's released filter, numpy, scipy, torch and pyFFTW, interleaved; losses are shown.

`fastrace bench bandpass`. Images are float32, as they leave the window; the released code made complex128 of them, which
is what NumPy did then. Its mask, 24 to 83 ms for each cut-off, is not counted, and the peers' masks are made beforehand
too. "batch" rows filter 32 images and give the time of one: peers loop over images where that is faster for them. The
error is that of the first image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import torch

from fastrace.bench.measure import Peer, hot_and_cold
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.kernels.bandpass import TOLERANCE, Filter, bandpass, bandpass_reference

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
# Side, low, high, images -> the peers that are also timed with cold caches.
COLD_PEERS: dict[tuple[int, float, float, int], tuple[str, ...]] = {
    (224, 0, 25, 32): ("released code", "scipy", "pyfftw"),
    (224, 0, 25, 1): ("released code", "scipy", "pyfftw"),
    (1024, 0, 100, 4): ("scipy", "pyfftw"),
}
QUICK_CASES = [(224, 0, 25, 32, 5), (224, 10, 150, 32, 5), (224, 0, 25, 1, 25), (512, 0, 50, 8, 5)]
OURS_LIMIT = TOLERANCE[torch.float32]
PEER_LIMIT = 1e-5  # rounding in float32; a coefficient on the wrong side of an edge is 1e-4 and more


def rows(quick: bool = False) -> list[Row]:
    """Measure; ms and ratio are per image.

    Parameters
    ----------
    quick : bool
        Four cases instead of ten, and fewer rounds.
    """
    with threads(1):
        return [row for case in (QUICK_CASES if quick else CASES) for row in _case(*case)]


def released(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The released code's steps, restated: complex128, both shifts, full spectrum."""
    spectrum = np.fft.fftshift(np.fft.fft2(image.astype(np.float64)))
    return np.fft.ifft2(np.fft.ifftshift(spectrum * mask)).real


def _case(side: int, low: float, high: float, count: int, rounds: int) -> list[Row]:
    images = np.random.default_rng(0).random((count, side, side), dtype=np.float32)
    tensor = torch.from_numpy(images)
    band = Filter(low, high)
    transfer = band.gain(side, side)
    shifted, half = np.fft.fftshift(transfer), np.ascontiguousarray(transfer[:, : side // 2 + 1], np.float32)
    half_tensor, size = torch.from_numpy(half), (side, side)
    planned: list[Callable[[np.ndarray], np.ndarray]] = []  # made once, by the first call

    def each(one: Callable[[np.ndarray], np.ndarray]) -> Callable[[], np.ndarray]:
        return lambda: np.stack([one(image) for image in images])

    def numpy_real(image: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(np.fft.rfft2(image) * half, s=size)

    def scipy_real(image: np.ndarray) -> np.ndarray:
        filtered: np.ndarray = scipy.fft.irfft2(scipy.fft.rfft2(image) * half, s=size, overwrite_x=True)
        return filtered

    def torch_real(batch: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(batch) * half_tensor, s=size)

    def pyfftw_planned() -> np.ndarray:
        if not planned:
            planned.append(_pyfftw(side, half))
        return np.stack([planned[0](image) for image in images])

    def peer(name: str, call: Callable[[], Any], package: str) -> Peer:
        return Peer(name, call, (package,), PEER_LIMIT)

    peers = [
        Peer("fastrace", lambda: bandpass(tensor, band), limit=OURS_LIMIT),
        peer("released code, np.fft complex128", each(lambda image: released(image, shifted)), "numpy"),
        peer("numpy.fft.rfft2", each(numpy_real), "numpy"),
        peer("scipy.fft.rfft2", each(scipy_real), "scipy"),
        peer("torch.fft.rfft2 (MKL)", lambda: torch.stack([torch_real(image) for image in tensor]), "torch"),
    ]
    if count > 1:
        peers.append(peer("torch.fft.rfft2 (MKL), batched", lambda: torch_real(tensor), "torch"))
    peers.append(peer("pyfftw, planned (MEASURE)", pyfftw_planned, "pyfftw"))
    exact = bandpass_reference(images[:1], band)
    pixels = float(side * side)
    work = (
        8 * pixels,
        5 * pixels * math.log2(pixels) + pixels,
    )  # two real transforms of 2.5 N log2 N each, and the gain
    what = f"bandpass {low}:{high} {side}x{side} float32, {'one image' if count == 1 else f'batch {count}'}, 1 core"
    cold = COLD_PEERS.get((side, low, high, count), ())

    def error(result: Any) -> Error:
        return difference(np.asarray(result)[:1], exact)

    return hot_and_cold(what, peers, error, cold=cold, rounds=rounds, per=count, work=work)


def _pyfftw(side: int, half: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    import pyfftw

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
