"""Band-pass on the GPU: cuFFT through CuPy on torch's memory and stream, and one mask kernel (``csrc/bandpass.cu``).

A cuFFT plan owns a work area, so a plan in use on two streams at once would corrupt both: plans are kept per image
shape, batch, precision, device *and* stream. They are made at the first call, which allocates and must therefore not
happen while a CUDA graph is captured: call once on the stream of the capture before it. A plan that a capture has used
is never dropped, since the graph goes on using its work area. Cut-offs per image are copied from the host at each call, so they
cannot be captured either.

The inverse transform is scaled inside the mask kernel, and overwrites the spectrum, which is scratch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.bandpass.gain import IDEAL, NO_EDGE, inverse_square, scaled_edge

SOURCE = Path(__file__).resolve().parent.parent / "csrc" / "bandpass.cu"
KERNELS = {torch.float32: "bandpass_mask_f32", torch.float64: "bandpass_mask_f64"}
# A warp reads 32 neighbouring coefficients (256 bytes); each thread serves eight images when they share the filter.
THREADS = (32, 8, 1)
IMAGES_PER_THREAD = 8
MAX_PLANS = 32
# cuFFT's plans count elements in 32 bits.
MAX_ELEMENTS = 2**31 - 1


class PlanKey(NamedTuple):
    """What a plan depends on."""

    batch: int
    height: int
    width: int
    dtype: torch.dtype
    device: int
    stream: int


_plans: OrderedDict[PlanKey, tuple[Any, Any]] = OrderedDict()
_captured: set[PlanKey] = set()
_lock = threading.Lock()
_modules: dict[int, Any] = {}


def import_cupy() -> Any:
    """Return the cupy module, or say what to install."""
    try:
        import cupy
    except ImportError as error:
        raise BackendMissing(
            f"band-pass on a GPU needs CuPy ({error}): pip install 'fastrace[cuda]' (CUDA 13) or 'fastrace[cuda12]'"
        ) from error
    return cupy


def _stream(cupy: Any, device: int) -> Any:
    stream = torch.cuda.current_stream(device)
    # CuPy 14 deprecates ExternalStream in favour of a protocol that streams of newer torch speak.
    if hasattr(stream, "__cuda_stream__") and hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(stream)
    return cupy.cuda.ExternalStream(stream.cuda_stream, device)


def _kernel(cupy: Any, dtype: torch.dtype, device: int) -> Any:
    if device not in _modules:
        _modules[device] = cupy.RawModule(code=SOURCE.read_text(), options=("-std=c++17",), backend="nvrtc")
    return _modules[device].get_function(KERNELS[dtype])


def _plan(cupy: Any, key: PlanKey) -> tuple[Any, Any]:
    """Return the forward and the inverse plan; the caller holds the lock."""
    capturing = torch.cuda.is_current_stream_capturing()
    if key not in _plans:
        if capturing:
            raise UsageError(
                f"band-pass of {key.batch} images {key.height} x {key.width} has no cuFFT plan for this stream yet and "
                "none can be made during a CUDA graph capture: call it once on the same stream before the capture"
            )
        cufft = cupy.cuda.cufft
        double = key.dtype == torch.float64
        forward = cufft.CUFFT_D2Z if double else cufft.CUFFT_R2C
        inverse = cufft.CUFFT_Z2D if double else cufft.CUFFT_C2R
        size, half = (key.height, key.width), (key.height, key.width // 2 + 1)
        pixels, coefficients = key.height * key.width, key.height * (key.width // 2 + 1)
        # PlanNd directly: get_fft_plan refuses arrays that count as Fortran-ordered, such as one row of pixels.
        layout = (size, 1, pixels, half, 1, coefficients)
        back = (half, 1, coefficients, size, 1, pixels)
        _plans[key] = (
            cufft.PlanNd(size, *layout, forward, key.batch, "C", 2, half[1]),
            cufft.PlanNd(size, *back, inverse, key.batch, "C", 2, key.width),
        )
        spare = [old for old in _plans if old != key and old not in _captured]
        for old in spare[: max(0, len(_plans) - MAX_PLANS)]:
            del _plans[old]
    if capturing:
        _captured.add(key)
    _plans.move_to_end(key)
    return _plans[key]


def launch(
    images: Tensor,  # [N, H, W] float32 or float64, contiguous
    lows: list[float],
    highs: list[float],
    complement: bool,
    shape: int,
    order: int,
) -> Tensor:
    """Filter images with one filter (lists of length one) or one for each."""
    out = torch.empty_like(images)
    count, height, width = images.shape
    step = max(1, MAX_ELEMENTS // max(1, height * width))
    for start in range(0, count, step) if out.numel() > 0 else ():
        chunk = slice(start, min(start + step, count))
        each = chunk if len(lows) > 1 else slice(0, 1)
        _launch(images[chunk], out[chunk], lows[each], highs[each], complement, shape, order)
    return out


def _launch(
    images: Tensor, out: Tensor, lows: list[float], highs: list[float], complement: bool, shape: int, order: int
) -> None:
    cupy = import_cupy()
    count, height, width = images.shape
    device = images.device.index
    # cuFFT reads pairs of reals.
    if images.data_ptr() % (2 * images.element_size()):
        images = images.clone()
    complex_dtype = torch.complex128 if images.dtype == torch.float64 else torch.complex64
    spectrum = torch.empty((count, height, width // 2 + 1), dtype=complex_dtype, device=images.device)
    edges, cutoffs, scalars = _parameters(lows, highs, height, width, shape, images.device)
    blocks = (-(-(width // 2 + 1) // THREADS[0]), -(-height // THREADS[1]), min(-(-count // IMAGES_PER_THREAD), 65535))
    with torch.cuda.device(images.device), cupy.cuda.Device(device), _stream(cupy, device) as stream:
        key = PlanKey(count, height, width, images.dtype, device, stream.ptr)
        kernel = _kernel(cupy, images.dtype, device)
        real, middle, result = (cupy.asarray(t.detach()) for t in (images, spectrum, out))
        # A plan belongs to one stream, but two host threads may share that stream.
        with _lock:
            forward, inverse = _plan(cupy, key)
            forward.fft(real, middle, cupy.cuda.cufft.CUFFT_FORWARD)
            kernel(
                blocks,
                THREADS,
                (
                    middle,
                    np.int32(count),
                    np.int32(height),
                    np.int32(width),
                    np.uint64(0 if edges is None else edges.data_ptr()),
                    np.uint64(0 if cutoffs is None else cutoffs.data_ptr()),
                    *scalars,
                    np.int32(shape),
                    np.int32(order),
                    np.int32(complement),
                    np.float64(1.0 / (height * width)),
                ),
            )
            inverse.fft(middle, result, cupy.cuda.cufft.CUFFT_INVERSE)


def _parameters(
    lows: list[float], highs: list[float], height: int, width: int, shape: int, device: torch.device
) -> tuple[Tensor | None, Tensor | None, tuple[Any, ...]]:
    """Return per-image edges or cut-offs on the device (None where all images share them) and the shared scalars."""
    if len(lows) > 1 and torch.cuda.is_current_stream_capturing():
        raise UsageError("cut-offs per image are copied from the host at each call, which no CUDA graph can capture")
    if shape == IDEAL:
        rows = [
            (scaled_edge(a, height, width), scaled_edge(b, height, width)) for a, b in zip(lows, highs, strict=True)
        ]
        if len(rows) == 1:
            return None, None, (np.int64(rows[0][0]), np.int64(rows[0][1]), np.float64(0), np.float64(0))
        edges = torch.tensor(rows, dtype=torch.int64).to(device, non_blocking=True)
        return edges, None, (np.int64(0), np.int64(NO_EDGE), np.float64(0), np.float64(0))
    unit = float(min(height, width))
    pairs = [(inverse_square(a * unit), inverse_square(b * unit)) for a, b in zip(lows, highs, strict=True)]
    if len(pairs) == 1:
        return None, None, (np.int64(0), np.int64(0), np.float64(pairs[0][0]), np.float64(pairs[0][1]))
    cutoffs = torch.tensor(pairs, dtype=torch.float64).to(device, non_blocking=True)
    return None, cutoffs, (np.int64(0), np.int64(0), np.float64(0), np.float64(0))
