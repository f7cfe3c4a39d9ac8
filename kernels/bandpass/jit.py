"""cuFFT plans with JIT callbacks: the text of each callback, the constants of a call, the making of a plan.

A plan links callbacks (``csrc/callbacks.cu``) into cuFFT's own kernels: NVRTC makes LTO-IR of the text, nvJitLink links it,
half a second or so for a plan (others' reports; not measured here). That needs CuPy >= 14 and CUDA >= 12.8 (CuPy states 12.2
and requests 12.8 of cuFFT). cuFFT keeps the address of the constants, so each plan owns a buffer for them and a kernel writes
it on the stream, its values being arguments: nothing on the host has to outlive the call, and a CUDA graph replays it.

cuFFT is given an output of float32 also where the store callback writes fewer bytes elsewhere: whether it puts intermediate
results there is not documented, and with this it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastrace.kernels.radii import Filter

SOURCES = [Path(__file__).resolve().parent.parent / "csrc" / name for name in ("bandpass.cu", "callbacks.cu")]
OPTIONS = ("-std=c++17",)
# Names in csrc/callbacks.cu, enum Type; what a callback can load and store.
TYPES = {torch.uint8: "U8", torch.uint16: "U16", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
PIXELS = (torch.uint8, torch.uint16, torch.float16, torch.float32)
RESULTS = (torch.float16, torch.bfloat16, torch.float32)
SHARED, EACH = "SHARED", "EACH"
KINDS = {-1: "clean", 0: "gaussian", 1: "poisson", 2: "speckle", 3: "salt_pepper"}  # numbers of kernels/noise
_KINDS = {-1: "CLEAN", 0: "GAUSS", 1: "POISSON", 2: "SPECKLE", 3: "SALT_PEPPER"}
THREADS = 256
CUTOFFS = 496  # 8-byte words by value; arguments of a kernel have 4 KB on every driver

_FILTER = np.dtype([("low_edge", "i8"), ("high_edge", "i8"), ("complement", "i4")], align=True)
# struct Call of csrc/callbacks.cu, which checks the size.
CALL = np.dtype(
    [("filter", _FILTER), ("scale", np.dtype("f8"))]
    + [(name, "u8") for name in ("table", "each", "spectra", "result", "ids", "seed")]
    + [(name, "f4") for name in ("full_scale", "amount", "inverse", "lowest", "highest", "mean", "per_std")]
    + [("threshold", "u4"), ("stream", "u4"), ("height", "i4"), ("width", "i4")],
    align=True,
)


class Epilogue(NamedTuple):
    """What happens to a filtered pixel: noise (as prepared by ``kernels.noise``), clamp, normalisation, cast."""

    dtype: torch.dtype = torch.float32
    lowest: float = -np.inf
    highest: float = np.inf
    kind: int = -1  # of noise; -1 for none
    ids: Tensor | None = None  # [N] int64 on the device of the images, contiguous
    amount: float = 0.0
    inverse: float = 0.0
    threshold: int = 0
    seed: int = 0
    stream: int = 0
    mean: float = 0.0
    std: float = 1.0

    @property
    def plain(self) -> bool:
        """True if cuFFT's own store does all of it."""
        values = (self.lowest, self.highest, self.mean, self.std)
        return (self.dtype, self.kind, values) == (torch.float32, -1, (-np.inf, np.inf, 0.0, 1.0))


AS_IS = Epilogue()


class Key(NamedTuple):
    """What a plan with callbacks depends on."""

    batch: int
    height: int
    width: int
    pixel: torch.dtype
    result: torch.dtype | None  # None: float32 as cuFFT stores it
    kind: int
    gains: str
    device: int
    stream: int
    filters: int = 1  # of each image in a sweep


class Transforms(NamedTuple):
    """Both transforms, and the memory that their callbacks read."""

    forward: Any
    inverse: Any
    call: Tensor  # [CALL.itemsize] uint8
    table: Tensor | None  # [H, W / 2 + 1] float32
    each: Tensor | None  # [N, 2] int64, of a sweep [K, 2]


@lru_cache(maxsize=1)
def _text() -> str:
    return "".join(path.read_text() for path in SOURCES)


def source(**defines: object) -> str:
    """Return the text of the callbacks or kernels that the definitions choose; see ``csrc/callbacks.cu``."""
    chosen = {"GAIN_ONLY": 1, "CALL_BYTES": CALL.itemsize, "CUTOFFS": CUTOFFS, **defines}
    return "".join(f"#define FASTRACE_{name} {value}\n" for name, value in chosen.items()) + _text()


def load_source(pixel: torch.dtype) -> str:
    """Return the text of the load callback ``fastrace_load``."""
    return source(PIXEL=f"fastrace::{TYPES[pixel]}")


def gain_source(gains: str, height: int, width: int, filters: int = 1) -> str:
    """Return the text of the load callback ``fastrace_gain`` for one size of image."""
    return source(GAINS=f"fastrace::{gains}", HEIGHT=f"{height}u", WIDTH=f"{width}u", FILTERS=f"{filters}u")


def store_source(result: torch.dtype, kind: int, height: int, width: int) -> str:
    """Return the text of the store callback ``fastrace_store`` for one size of image."""
    chosen = {"RESULT": f"fastrace::{TYPES[result]}", "NOISE": f"fastrace::{_KINDS[kind]}"}
    return source(**chosen, HEIGHT=f"{height}u", WIDTH=f"{width}u")


def layouts(key: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return what cufft.PlanNd takes between the size and the type of transform, forward and back."""
    size, half = (key.height, key.width), (key.height, key.width // 2 + 1)
    pixels, coefficients = key.height * key.width, key.height * (key.width // 2 + 1)
    return (size, 1, pixels, half, 1, coefficients), (half, 1, coefficients, size, 1, pixels)


def make(cupy: Any, key: Key, on: torch.device) -> Transforms:
    """Compile, link and allocate a plan; on the current stream of both libraries."""
    cufft = cupy.cuda.cufft
    there, back = layouts(key)
    size = (key.height, key.width)
    call = torch.zeros(CALL.itemsize, dtype=torch.uint8, device=on)
    shared = key.gains == SHARED
    table = torch.zeros((key.height, key.width // 2 + 1), device=on) if shared else None
    own = key.filters if key.filters > 1 else key.batch
    each = None if shared else torch.zeros((own, 2), dtype=torch.int64, device=on)
    # Both read the same constants. CuPy takes them as a MemoryPointer.
    constants = cupy.asarray(call).data

    def plan(kind: int, layout: tuple[Any, ...], batch: int, last: int, **callbacks: Any) -> Any:
        arguments = (size, *layout, kind, batch, "C", 2, last)
        if not callbacks:
            return cufft.PlanNd(*arguments)
        with cupy.fft.config.set_cufft_callbacks(cb_ver="jit", nvrtc_options=OPTIONS, **callbacks) as manager:
            # Callbacks belong to a plan that is created and not yet made; get_fft_plan refuses some of our shapes.
            return manager.create_plan(manager.set_callbacks(kind), ("PlanNd", arguments))

    load: dict[str, Any] = {}
    if key.pixel != torch.float32:
        load = {"cb_load": load_source(key.pixel), "cb_load_name": "fastrace_load", "cb_load_data": constants}
    between: dict[str, Any] = {
        "cb_load": gain_source(key.gains, *size, key.filters),
        "cb_load_name": "fastrace_gain",
        "cb_load_data": constants,
    }
    if key.result is not None:
        text = store_source(key.result, key.kind, *size)
        between |= {"cb_store": text, "cb_store_name": "fastrace_store", "cb_store_data": constants}
    forward = plan(cufft.CUFFT_R2C, there, key.batch, key.width // 2 + 1, **load)
    inverse = plan(cufft.CUFFT_C2R, back, key.batch * key.filters, key.width, **between)
    return Transforms(forward, inverse, call, table, each)


def record(filter: Filter, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return the constants of a call, [1] CALL, as far as a filter sets them."""
    height, width = size
    call = np.zeros(1, CALL)
    call["filter"] = (*filter.edges(height, width), filter.complement)
    call["scale"], call["height"], call["width"] = 1.0 / (height * width), height, width
    return call


def finish(
    call: np.ndarray[Any, Any], result: Tensor, full_scale: float, epilogue: Epilogue, first: int
) -> np.ndarray[Any, Any]:
    """Fill in what happens to the pixels; `first` is the first image of this call in the batch."""
    call["result"], call["full_scale"] = result.data_ptr(), full_scale
    call["lowest"], call["highest"] = epilogue.lowest, epilogue.highest
    call["mean"], call["per_std"] = epilogue.mean, 1.0 / epilogue.std
    if epilogue.kind >= 0:
        assert epilogue.ids is not None
        call["ids"] = epilogue.ids[first:].data_ptr()
        call["amount"], call["inverse"], call["threshold"] = epilogue.amount, epilogue.inverse, epilogue.threshold
        call["seed"], call["stream"] = epilogue.seed & (2**64 - 1), epilogue.stream
    return call


def words(filters: Sequence[Filter], height: int, width: int) -> np.ndarray[Any, Any]:
    """Return the edges of all images as 8-byte words [2 N] int64."""
    return np.array([filter.edges(height, width) for filter in filters], np.int64).reshape(-1)


def begin(kernel: Any, call: Tensor, constants: np.ndarray[Any, Any], places: int) -> None:
    """Write the constants of a call to its buffer, and the table of gains where it has one (of `places` values)."""
    kernel("bandpass_begin")((-(-places // THREADS),), (THREADS,), (np.uint64(call.data_ptr()), constants))


def send(kernel: Any, each: Tensor, cutoffs: np.ndarray[Any, Any]) -> None:
    """Write the cut-offs of all images to their buffer."""
    for start in range(0, len(cutoffs), CUTOFFS):
        part = np.zeros(1, np.dtype((np.void, 8 * CUTOFFS)))
        values = cutoffs[start : start + CUTOFFS]
        part.view(np.int64)[: len(values)] = values
        arguments = (np.uint64(each.data_ptr() + 8 * start), np.int32(len(values)), part)
        kernel("bandpass_cutoffs")((1,), (512,), arguments)


def missing(cupy: Any) -> str | None:
    """Return why this installation has no JIT callbacks, or None; what a device does with them, a trial finds out."""
    if int(cupy.__version__.split(".")[0]) < 14:
        return f"CuPy {cupy.__version__} has no JIT callbacks; pip install --upgrade 'cupy-cuda13x>=14'"
    runtime = int(cupy.cuda.runtime.runtimeGetVersion())
    if runtime < 12080:
        return f"CUDA {runtime // 1000}.{runtime % 1000 // 10} is older than 12.8, which CuPy's JIT callbacks need"
    try:
        from cuda import pathfinder

        headers = pathfinder.find_nvidia_header_directory("cudart")
        if headers is None:
            return "CuPy compiles callbacks with the headers of the CUDA runtime, and there are none"
        pathfinder.load_nvidia_dynamic_lib("nvJitLink")
    except Exception as error:  # a missing library, or a pathfinder of another version
        return f"a library that links callbacks is missing: {error}"
    return None
