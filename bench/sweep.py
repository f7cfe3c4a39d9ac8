"""One image, 20 cut-offs: K filters that share the forward transform against doing each, on one core.

`fastrace bench sweep`. "each" transforms forth and back for every cut-off, as a loop over experiments does; "shared" keeps
the spectrum. Masks are made beforehand for the peers, and inside the call for us. The time is that of all 20.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.fft
import torch

from fastrace.bench.bandpass import OURS_LIMIT, PEER_LIMIT, released
from fastrace.bench.measure import Peer, hot_and_cold
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.kernels.bandpass import Filter, bandpass_reference, bandpass_sweep

CUTOFFS = 20
CASES = [(224, 40), (512, 15)]  # side, rounds


def rows(quick: bool = False) -> list[Row]:
    """Measure; ms is that of one image and its 20 low-passes.

    Parameters
    ----------
    quick : bool
        Only 224 x 224, and fewer rounds.
    """
    with threads(1):
        return [row for side, count in CASES[: 1 if quick else None] for row in _case(side, 7 if quick else count)]


def _case(side: int, rounds: int) -> list[Row]:
    image, size = np.random.default_rng(0).random((side, side), dtype=np.float32), (side, side)
    tensor = torch.from_numpy(image)
    # From a thirtieth of the sampling limit to the corner, where everything passes.
    bands = [Filter(0.0, float(radius)) for radius in np.linspace(side / 60, side / 2 * 1.41, CUTOFFS)]
    masks = [band.gain(side, side) for band in bands]
    shifted = [np.fft.fftshift(mask) for mask in masks]
    halves = np.stack([mask[:, : side // 2 + 1].astype(np.float32) for mask in masks])
    half_tensors = torch.from_numpy(halves)

    def scipy_each() -> np.ndarray:
        return np.stack([scipy.fft.irfft2(scipy.fft.rfft2(image) * half, s=size, overwrite_x=True) for half in halves])

    def scipy_shared() -> np.ndarray:
        spectrum = scipy.fft.rfft2(image)
        return np.stack([scipy.fft.irfft2(spectrum * half, s=size, overwrite_x=True) for half in halves])

    def torch_shared() -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(tensor) * half_tensors, s=size)

    peers = [
        Peer("fastrace", lambda: bandpass_sweep(tensor, bands), limit=OURS_LIMIT),
        Peer(
            "released code, np.fft complex128",
            lambda: np.stack([released(image, mask) for mask in shifted]),
            ("numpy",),
            PEER_LIMIT,
        ),
        Peer("scipy.fft.rfft2, each", scipy_each, ("scipy",), PEER_LIMIT),
        Peer("scipy.fft.rfft2, shared", scipy_shared, ("scipy",), PEER_LIMIT),
        Peer("torch.fft.rfft2 (MKL), shared", torch_shared, ("torch",), PEER_LIMIT),
    ]
    exact = np.stack([bandpass_reference(image, band) for band in bands])
    pixels = float(side * side)
    work = ((1 + CUTOFFS) * 4 * pixels, (1 + CUTOFFS) * 2.5 * pixels * math.log2(pixels) + CUTOFFS * pixels)
    what = f"one image, {CUTOFFS} cut-offs, {side}x{side} float32, 1 core"

    def error(result: Any) -> Error:
        return difference(result, exact)

    cold = ("scipy.fft.rfft2, shared", "torch") if side == CASES[0][0] else ()
    return hot_and_cold(what, peers, error, cold=cold, rounds=rounds, work=work)
