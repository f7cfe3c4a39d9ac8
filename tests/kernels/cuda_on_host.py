"""CuPy's contract on a machine without a GPU: CUDA sources compiled by the host's compiler, cuFFT as NumPy, pointers as they are.

Threads and blocks are loops. A callback text is compiled as cuFFT would get it, and called once for each element.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import math
import shutil
import subprocess
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from fastrace.kernels.bandpass import choice, plans

PROLOGUE = """
#include <cmath>
#include <cstring>
#define __CUDACC__ 1
#define __host__
#define __device__
#define __global__
#define __forceinline__ inline
struct Index { unsigned x, y, z; };
static Index blockIdx, threadIdx, blockDim, gridDim;
struct float2 { float x, y; };
struct double2 { double x, y; };

template <typename Kernel, typename... Arguments>
static inline void every_thread(const int* grid, const int* block, Kernel kernel, Arguments... arguments) {
  const unsigned bx = grid[0], by = grid[1], bz = grid[2], tx = block[0], ty = block[1];
  gridDim = {bx, by, bz};
  blockDim = {tx, ty, 1};
  for (unsigned b = 0; b < bx * by * bz; ++b) {
    blockIdx = {b % bx, b / bx % by, b / bx / by};
    for (unsigned t = 0; t < tx * ty; ++t) {
      threadIdx = {t % tx, t / tx, 0};
      kernel(arguments...);
    }
  }
}
"""

EPILOGUE = """
#if !defined(FASTRACE_GAIN_ONLY)
#define LAUNCH(NAME, COMPLEX)                                                                                          \\
  extern "C" void launch_##NAME(const int* grid, const int* block, const COMPLEX* source, COMPLEX* spectrum,           \\
                                int filters, int count, int height, int width, const long long* edges,                 \\
                                long long low_edge, long long high_edge, int complement, double scale) {               \\
    every_thread(grid, block, NAME, source, spectrum, filters, count, height, width, edges, low_edge, high_edge,       \\
                 complement, scale);                                                                                   \\
  }
LAUNCH(bandpass_mask_f32, float2)
LAUNCH(bandpass_mask_f64, double2)

extern "C" void gains(int height, int width, long long low_edge, long long high_edge, int complement, double* out,
                      long long* squares) {
  const fastrace::Filter filter{low_edge, high_edge, complement};
  for (int row = 0; row < height; ++row)
    for (int column = 0; column < width / 2 + 1; ++column) {
      const long long q = fastrace::scaled_square(row, column, height, width);
      *squares++ = q;
      *out++ = fastrace::gain(q, filter);
    }
}
#endif
#if defined(FASTRACE_BEGIN)
extern "C" void launch_bandpass_begin(const int* grid, const int* block, fastrace::Call* at, const fastrace::Call* call) {
  every_thread(grid, block, bandpass_begin, at, *call);
}
extern "C" void launch_bandpass_cutoffs(const int* grid, const int* block, long long* each, int count, const Cutoffs* c) {
  every_thread(grid, block, bandpass_cutoffs, each, count, *c);
}
#endif
#if defined(FASTRACE_PASSES)
#define LAUNCH_LOAD(NAME)                                                                                              \\
  extern "C" void launch_##NAME(const int* grid, const int* block, const void* pixels, float* out, long long count,    \\
                                const fastrace::Call* call) {                                                          \\
    every_thread(grid, block, NAME, pixels, out, count, call);                                                         \\
  }
LAUNCH_LOAD(bandpass_load_uint8)
LAUNCH_LOAD(bandpass_load_uint16)
LAUNCH_LOAD(bandpass_load_float16)
LAUNCH_LOAD(bandpass_load_float32)
#define LAUNCH_STORE(NAME)                                                                                             \\
  extern "C" void launch_##NAME(const int* grid, const int* block, const float* values, long long count,               \\
                                const fastrace::Call* call) {                                                          \\
    every_thread(grid, block, NAME, values, count, call);                                                              \\
  }
#define LAUNCH_STORES(NAME)                   \\
  LAUNCH_STORE(bandpass_store_##NAME##_clean)    \\
  LAUNCH_STORE(bandpass_store_##NAME##_gaussian) \\
  LAUNCH_STORE(bandpass_store_##NAME##_poisson)  \\
  LAUNCH_STORE(bandpass_store_##NAME##_speckle)  \\
  LAUNCH_STORE(bandpass_store_##NAME##_salt_pepper)
LAUNCH_STORES(float16)
LAUNCH_STORES(bfloat16)
LAUNCH_STORES(float32)
#endif
#if defined(FASTRACE_PIXEL)
extern "C" void every_fastrace_load(void* from, void* to, unsigned long long count, void* call) {
  for (unsigned long long at = 0; at < count; ++at) static_cast<float*>(to)[at] = fastrace_load(from, at, call, nullptr);
}
#endif
#if defined(FASTRACE_GAINS)
extern "C" void every_fastrace_gain(void* from, void* to, unsigned long long count, void* call) {
  for (unsigned long long at = 0; at < count; ++at) static_cast<float2*>(to)[at] = fastrace_gain(from, at, call, nullptr);
}
#endif
#if defined(FASTRACE_RESULT)
extern "C" void every_fastrace_store(void* to, void* from, unsigned long long count, void* call) {
  for (unsigned long long at = 0; at < count; ++at) fastrace_store(to, at, static_cast<float*>(from)[at], call, nullptr);
}
#endif
"""

FLAGS = ("-O1", "-ffp-contract=off", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
_compiled: dict[str, ctypes.CDLL] = {}


def compile_text(text: str, folder: Path) -> ctypes.CDLL:
    """Compile a CUDA source with what launches it."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler to compile CUDA sources for the host")
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    if name not in _compiled:
        source, binary = folder / f"{name}.cpp", folder / f"{name}.so"
        source.write_text(PROLOGUE + text + EPILOGUE)
        done = subprocess.run([compiler, *FLAGS, source, "-o", binary], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        _compiled[name] = ctypes.CDLL(str(binary))
    return _compiled[name]


class Memory:
    """What cupy.asarray makes of a tensor: an address, and the shape it was given with."""

    def __init__(self, tensor: torch.Tensor) -> None:
        assert tensor.is_contiguous()
        self.tensor, self.shape = tensor, tuple(tensor.shape)  # alive as long as this
        self.data = SimpleNamespace(ptr=tensor.data_ptr())


def _argument(value: Any) -> Any:
    if isinstance(value, Memory):
        return ctypes.c_void_p(value.data.ptr)
    if isinstance(value, np.ndarray):
        assert value.size == 1, "CuPy passes arrays of size one by value, and no others"
        assert value.nbytes <= 4096 - 64, "arguments of a kernel have 4 KB"
        return value.ctypes.data_as(ctypes.c_void_p)
    types = {
        np.int32: ctypes.c_int,
        np.int64: ctypes.c_longlong,
        np.uint64: ctypes.c_void_p,
        np.float64: ctypes.c_double,
    }
    return types[type(value)](value.item())


def _array(address: int, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * count).from_address(address), dtype).reshape(shape)


class Plan:
    """cufft.PlanNd's contract, in NumPy: batched 2-D transforms by the layout given, unscaled, C2R ruins its input."""

    made = 0
    ran: ClassVar[list[tuple[str, int]]] = []  # kind and batch of every transform

    def __init__(self, size: Any, *layout: Any, callbacks: Any = None) -> None:
        inembed, istride, idist, onembed, ostride, odist, kind, batch, order, last_axis, last_size = layout
        assert (istride, ostride, order, last_axis) == (1, 1, "C", 2)
        assert idist == math.prod(inembed)
        assert odist == math.prod(onembed)
        assert last_size == onembed[1]
        self.size, self.shapes, self.kind = size, ((batch, *inembed), (batch, *onembed)), kind
        self.callbacks = callbacks
        Plan.made += 1

    def fft(self, source: Memory, target: Memory, direction: str) -> None:
        forward = self.kind in ("R2C", "D2Z")
        assert direction == ("forward" if forward else "inverse")
        Plan.ran.append((self.kind, self.shapes[0][0]))
        double = self.kind in ("D2Z", "Z2D")
        real, half = (np.float64, np.complex128) if double else (np.float32, np.complex64)
        types = (real, half) if forward else (half, real)
        if self.callbacks is None:
            assert (source.shape, target.shape) == self.shapes or source.tensor.dtype == torch.uint8
            values = _array(source.data.ptr, types[0], self.shapes[0])
        else:
            assert source.data.ptr % 16 == 0
            values = self.callbacks.loaded(source, self.shapes[0], types[0])
        if forward:
            result = np.fft.rfft2(values.astype(np.float64))
        else:
            result = np.fft.irfft2(values.astype(np.complex128), s=self.size) * math.prod(self.size)
            _array(source.data.ptr, half, self.shapes[0])[...] = np.nan
        out = _array(target.data.ptr, types[1], self.shapes[1])
        if self.callbacks is not None and self.callbacks.store is not None:
            out[...] = np.nan  # cuFFT may keep intermediate results there
            self.callbacks.stored(target, result.astype(types[1]))
        else:
            out[...] = result


class Callbacks:
    """What set_cufft_callbacks gives on entry, and the functions that it was given."""

    def __init__(self, folder: Path, **named: Any) -> None:
        assert named.pop("cb_ver") == "jit"
        assert "-std=c++17" in named.pop("nvrtc_options")
        self.load, self.store, self.data = None, None, {}
        for side in ("load", "store"):
            text, name = named.pop(f"cb_{side}", None), named.pop(f"cb_{side}_name", None)
            if text is not None:
                assert f" {name}(void*" in text
                setattr(self, side, getattr(compile_text(text, folder), f"every_{name}"))
                self.data[side] = named.pop(f"cb_{side}_data").ptr
        assert not named
        assert self.load is not None

    def __enter__(self) -> Callbacks:
        return self

    def __exit__(self, *_: object) -> None: ...

    def set_callbacks(self, kind: str) -> int:
        assert kind in ("R2C", "C2R")
        return 77

    def create_plan(self, handle: int, information: tuple[str, tuple[Any, ...]]) -> Plan:
        assert (handle, information[0]) == (77, "PlanNd")
        return Plan(*information[1], callbacks=self)

    def loaded(self, source: Memory, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        values = np.full(shape, np.nan, dtype)
        self._call(self.load, source.data.ptr, values, self.data["load"])
        return values

    def stored(self, target: Memory, values: np.ndarray) -> None:
        self._call(self.store, target.data.ptr, values, self.data["store"])

    def _call(self, function: Any, address: int, values: np.ndarray, call: int) -> None:
        function(
            ctypes.c_void_p(address),
            values.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_ulonglong(values.size),
            ctypes.c_void_p(call),
        )


class Stream:
    ptr = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None: ...


def fake_cupy(folder: Path) -> SimpleNamespace:
    """The parts of CuPy that the launcher uses."""

    def raw_module(code: str, options: tuple[str, ...], backend: str) -> SimpleNamespace:
        assert backend == "nvrtc"
        library = compile_text(code, folder)

        def get_function(name: str) -> Any:
            def launch(grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
                assert math.prod(block) <= 1024
                sizes = [np.array([*part, 1, 1][:3], np.int32) for part in (grid, block)]
                pointers = [size.ctypes.data_as(ctypes.c_void_p) for size in sizes]
                getattr(library, f"launch_{name}")(*pointers, *map(_argument, arguments))

            return launch

        return SimpleNamespace(get_function=get_function)

    names = ("CUFFT_R2C", "CUFFT_C2R", "CUFFT_D2Z", "CUFFT_Z2D")
    cufft = SimpleNamespace(
        PlanNd=Plan,
        CUFFT_FORWARD="forward",
        CUFFT_INVERSE="inverse",
        getVersion=lambda: 12000,
        **{n: n[6:] for n in names},
    )
    return SimpleNamespace(
        __version__="14.2.0",
        RawModule=raw_module,
        asarray=Memory,
        fft=SimpleNamespace(
            config=SimpleNamespace(set_cufft_callbacks=lambda **named: Callbacks(folder, **named)),
        ),
        cuda=SimpleNamespace(
            cufft=cufft,
            Device=lambda device: Stream(),
            runtime=SimpleNamespace(runtimeGetVersion=lambda: 13000),
        ),
    )


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> SimpleNamespace:
    """Let the band-pass launcher run on the host's memory; nothing it has made before stays."""
    fake = fake_cupy(folder)
    monkeypatch.setattr(plans, "import_cupy", lambda: fake)
    monkeypatch.setattr(plans, "stream_of", lambda cupy, device: Stream())
    monkeypatch.setattr(choice, "_device", lambda index: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setattr(plans, "_plans", OrderedDict())
    monkeypatch.setattr(plans, "_captured", set())
    monkeypatch.setattr(plans, "_modules", {})
    monkeypatch.setattr(choice, "_choices", {})
    return fake
