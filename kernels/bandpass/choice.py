"""Which of its two ways band-pass takes on a GPU, and why: `choose`, or `backend` in one sentence.

``callbacks``   cast, gain, noise, clamp, normalisation and cast run inside cuFFT's load and store (``jit``,
                ``csrc/callbacks.cu``); float32 transforms. Taken where a trial on the device itself has given the right
                numbers.
``plain``       cuFFT between kernels of our own: a cast, the mask (``csrc/bandpass.cu``), noise and cast. Also float64.

A path is chosen before anything runs and never changed by a failure; FASTRACE_BANDPASS=plain chooses the second.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import torch

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.bandpass import jit, plans
from fastrace.kernels.bandpass.jit import Epilogue
from fastrace.kernels.radii import Filter

CALLBACKS, PLAIN = "callbacks", "plain"
VARIABLE = "FASTRACE_BANDPASS"
_IN_WORDS = {CALLBACKS: "cuFFT with callbacks", PLAIN: "cuFFT between kernels of our own"}


class Choice(NamedTuple):
    """Which path a device takes, and why."""

    path: str
    reason: str


_choices: dict[int, Choice] = {}


def backend(device: torch.device | str) -> str:
    """Return which band-pass runs on a device and why, in one sentence for logs, ``run.json`` and `fastrace doctor`.

    The first time on a GPU this runs a small filter on it, see `choose`.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return "C++ on the CPU, with a Fourier transform of its own"
    lacking = missing(device)
    if lacking is not None:
        return f"none: {lacking}"
    path, reason = choose(_index(device))
    return f"{_IN_WORDS[path]}: {reason}"


def missing(device: torch.device) -> str | None:
    """Return what a device lacks for the band-pass; None where it runs."""
    if device.type == "cuda":
        try:
            choose(_index(device))
        except BackendMissing as error:
            return str(error)
    return None


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _device(index: int) -> torch.device:
    return torch.device("cuda", index)


def choose(device: int) -> Choice:
    """Return which path `device` takes and why; the first time on a device this runs a small filter on it."""
    with plans.lock:
        if device not in _choices:
            if torch.cuda.is_current_stream_capturing():
                raise UsageError("band-pass has not run on this device yet: call it once before a CUDA graph capture")
            _choices[device] = _choice(device)
        return _choices[device]


def _choice(device: int) -> Choice:
    request = os.environ.get(VARIABLE, "")
    if request not in ("", PLAIN):
        raise UsageError(f"{VARIABLE} is {request!r}; the only path to choose is {PLAIN!r}")
    if request:
        return Choice(PLAIN, f"{VARIABLE}={request}")
    cupy = plans.import_cupy()
    reason = jit.missing(cupy)
    if reason is None:
        try:
            reason = _trial(device)
        except Exception as error:  # of the compiler, the linker or cuFFT, on this device
            problem = [type(error).__name__, *str(error).strip().splitlines()]
            reason = f"a trial failed: {problem[0]}: {problem[-1]}"
    if reason is not None:
        return Choice(PLAIN, f"no JIT callbacks: {reason}")
    return Choice(
        CALLBACKS, f"CuPy {cupy.__version__}, cuFFT {cupy.cuda.cufft.getVersion()}; a trial gave the right numbers"
    )


def _trial(device: int) -> str | None:
    """Filter two small images with every callback in it; return what is wrong with the result, or None."""
    from fastrace.kernels.bandpass import cuda  # which takes its path from here

    size, filters = (2, 6, 10), [Filter(0.0, 2.5), Filter(1.5, 4.0)]
    stored = (np.arange(120, dtype=np.uint32).reshape(size) * 40503 % 65536).astype(np.uint16)
    images = torch.from_numpy(stored).to(_device(device))
    epilogue = Epilogue(torch.float16, -0.25, 0.25)
    got = cuda.launch_fused(images, filters, epilogue, full_scale=65535.0, path=CALLBACKS)
    spectra = np.fft.fft2(stored / 65535.0) * np.stack([filter.gain(*size[1:]) for filter in filters])
    wrong = float(np.abs(got.cpu().numpy() - np.fft.ifft2(spectra).real.clip(-0.25, 0.25)).max())
    return None if wrong < 1e-3 else f"a trial gave numbers that are off by {wrong:.3g}"
