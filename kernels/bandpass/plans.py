"""What band-pass on a GPU makes once and keeps: kernels for each device, cuFFT plans for each size, types, device *and* stream.

A cuFFT plan owns a work area, so a plan in use on two streams at once would corrupt both. Plans are made at the first call,
which allocates and must therefore not happen while a CUDA graph is captured: call once, or `cuda.warm_up`, on the stream of the
capture before it. A plan that a capture has used is never dropped, since the graph goes on using its work area.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.bandpass import jit

SOURCE = Path(__file__).resolve().parent.parent / "csrc" / "bandpass.cu"
MAX_PLANS = 32


class PlanKey(NamedTuple):
    """What a plan without callbacks depends on."""

    batch: int
    height: int
    width: int
    dtype: torch.dtype
    device: int
    stream: int
    filters: int = 1  # of each image in a sweep


_plans: OrderedDict[Any, Any] = OrderedDict()
_captured: set[Any] = set()
_modules: dict[Any, Any] = {}
# Held while a plan is used; reentrant, because the trial of `choice.choose` runs under it.
lock = threading.RLock()


def import_cupy() -> Any:
    """Return the cupy module; `BackendMissing` with what to install."""
    try:
        import cupy
    except ImportError as error:
        raise BackendMissing(
            f"band-pass on a GPU needs CuPy ({error}): pip install 'fastrace[cuda]' (CUDA 13) or 'fastrace[cuda12]'"
        ) from error
    return cupy


def stream_of(cupy: Any, device: int) -> Any:
    """Return torch's current stream as CuPy takes it."""
    stream = torch.cuda.current_stream(device)
    # CuPy 14 deprecates ExternalStream in favour of a protocol that streams of newer torch have.
    if hasattr(stream, "__cuda_stream__") and hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(stream)
    return cupy.cuda.ExternalStream(stream.cuda_stream, device)


def kernel(cupy: Any, device: int, part: str, name: str) -> Any:
    """Return a kernel of bandpass.cu (``mask``) or of callbacks.cu (``BEGIN``, ``PASSES``), compiled at first use."""
    if (device, part) not in _modules:
        if torch.cuda.is_current_stream_capturing():
            raise UsageError("band-pass is not compiled for this device yet: call it once before a CUDA graph capture")
        text = SOURCE.read_text() if part == "mask" else jit.source(**{part: 1})
        _modules[device, part] = cupy.RawModule(code=text, options=jit.OPTIONS, backend="nvrtc")
    return _modules[device, part].get_function(name)


def plan(key: Any, make: Callable[[], Any]) -> Any:
    """Return a plan, made if it has to be; the caller holds the lock."""
    capturing = torch.cuda.is_current_stream_capturing()
    if key not in _plans:
        if capturing:
            raise UsageError(
                f"band-pass of {key.batch} images {key.height} x {key.width} has no cuFFT plan for this stream yet and "
                "none can be made during a CUDA graph capture: call it once on the same stream before the capture"
            )
        _plans[key] = make()
        spare = [old for old in _plans if old != key and old not in _captured]
        for old in spare[: max(0, len(_plans) - MAX_PLANS)]:
            del _plans[old]
    if capturing:
        _captured.add(key)
    _plans.move_to_end(key)
    return _plans[key]


def make_plain(cupy: Any, key: PlanKey) -> tuple[Any, Any]:
    """Make both transforms."""
    cufft = cupy.cuda.cufft
    double = key.dtype == torch.float64
    size, (there, back), many = (key.height, key.width), jit.layouts(key), key.batch * key.filters
    # PlanNd directly: get_fft_plan refuses arrays that count as Fortran-ordered, such as one row of pixels.
    return (
        cufft.PlanNd(
            size, *there, cufft.CUFFT_D2Z if double else cufft.CUFFT_R2C, key.batch, "C", 2, key.width // 2 + 1
        ),
        cufft.PlanNd(size, *back, cufft.CUFFT_Z2D if double else cufft.CUFFT_C2R, many, "C", 2, key.width),
    )


def make_callbacks(cupy: Any, key: jit.Key, on: torch.device) -> jit.Transforms:
    """Make both transforms with callbacks; `BackendMissing` with the remedy where cuFFT does not."""
    try:
        return jit.make(cupy, key, on)
    except Exception as error:
        raise BackendMissing(
            f"cuFFT makes no plan with callbacks for {key.batch} images {key.height} x {key.width} ({error}); "
            "FASTRACE_BANDPASS=plain chooses plans without"
        ) from error
