"""Band-pass on the GPU: cuFFT through CuPy on torch's memory and stream, with callbacks or with passes of their own.

Two paths, and `choose` says openly which one a device takes and why:

``callbacks``   cast, gain, noise, clamp, normalisation and cast run inside cuFFT's load and store (``jit``,
                ``csrc/callbacks.cu``); float32 transforms. Taken where a trial on the device itself has given the right
                numbers.
``plain``       cuFFT between kernels of our own: a cast, the mask (``csrc/bandpass.cu``), noise and cast. Also float64.

A path is chosen before anything runs and never changed by a failure; FASTRACE_BANDPASS=plain chooses the second.

A cuFFT plan owns a work area, so a plan in use on two streams at once would corrupt both: plans are kept per image
shape, batch, types, device *and* stream. They are made at the first call, which allocates and must therefore not
happen while a CUDA graph is captured: call once, or `warm_up`, on the stream of the capture before it. A plan that a capture
has used is never dropped, since the graph goes on using its work area. Cut-offs travel as arguments of a kernel: nothing on
the host has to outlive the call, and a graph replays them.

The inverse transform is scaled with the gain, and overwrites the spectrum, which is scratch. In a sweep K filters of each
image read its spectrum, from one forward transform; what their inverse transforms, one plan for all, overwrite is scratch
of its own, as large as the result. For each filtered pixel that moves 12 bytes with callbacks (and the spectrum, which stays
in the L2 cache from filter to filter) and 20 without, where a filter at a time takes 32 and 40: counted, not measured.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.bandpass import jit
from fastrace.kernels.bandpass.jit import AS_IS, Epilogue
from fastrace.kernels.radii import Filter

SOURCE = Path(__file__).resolve().parent.parent / "csrc" / "bandpass.cu"
KERNELS = {torch.float32: "bandpass_mask_f32", torch.float64: "bandpass_mask_f64"}
# A warp reads 32 neighbouring coefficients (256 bytes); each thread serves eight images when they share the filter.
THREADS = (32, 8, 1)
IMAGES_PER_THREAD = 8
MAX_PLANS = 32
# cuFFT's plans count elements in 32 bits.
MAX_ELEMENTS = 2**31 - 1
CALLBACKS, PLAIN = "callbacks", "plain"
VARIABLE = "FASTRACE_BANDPASS"


class PlanKey(NamedTuple):
    """What a plan without callbacks depends on."""

    batch: int
    height: int
    width: int
    dtype: torch.dtype
    device: int
    stream: int
    filters: int = 1  # of each image in a sweep


class Choice(NamedTuple):
    """Which path a device takes, and why; `fastrace doctor` prints both."""

    path: str
    reason: str


_plans: OrderedDict[Any, Any] = OrderedDict()
_captured: set[Any] = set()
_choices: dict[int, Choice] = {}
_modules: dict[Any, Any] = {}
# Held by whoever uses a plan; reentrant, because the trial of `choose` runs under it.
_lock = threading.RLock()


def import_cupy() -> Any:
    """Return the cupy module, or say what to install."""
    try:
        import cupy
    except ImportError as error:
        raise BackendMissing(
            f"band-pass on a GPU needs CuPy ({error}): pip install 'fastrace[cuda]' (CUDA 13) or 'fastrace[cuda12]'"
        ) from error
    return cupy


def _device(index: int) -> torch.device:
    return torch.device("cuda", index)


def _stream(cupy: Any, device: int) -> Any:
    stream = torch.cuda.current_stream(device)
    # CuPy 14 deprecates ExternalStream in favour of a protocol that streams of newer torch speak.
    if hasattr(stream, "__cuda_stream__") and hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(stream)
    return cupy.cuda.ExternalStream(stream.cuda_stream, device)


def _kernel(cupy: Any, device: int, part: str, name: str) -> Any:
    """Return a kernel of bandpass.cu (``mask``) or of callbacks.cu (``BEGIN``, ``PASSES``), compiled at first use."""
    if (device, part) not in _modules:
        if torch.cuda.is_current_stream_capturing():
            raise UsageError("band-pass is not compiled for this device yet: call it once before a CUDA graph capture")
        text = SOURCE.read_text() if part == "mask" else jit.source(**{part: 1})
        _modules[device, part] = cupy.RawModule(code=text, options=jit.OPTIONS, backend="nvrtc")
    return _modules[device, part].get_function(name)


def choose(device: int) -> Choice:
    """Return which path `device` takes and why; the first time on a device this runs a small filter on it."""
    with _lock:
        if device not in _choices:
            if torch.cuda.is_current_stream_capturing():
                raise UsageError("band-pass has not run on this device yet: call it once before a CUDA graph capture")
            _choices[device] = _choice(device)
        return _choices[device]


def _choice(device: int) -> Choice:
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", PLAIN):
        raise UsageError(f"{VARIABLE} is {asked!r}; the only path to ask for is {PLAIN!r}")
    if asked:
        return Choice(PLAIN, f"{VARIABLE}={asked}")
    cupy = import_cupy()
    reason = jit.missing(cupy)
    if reason is None:
        try:
            reason = _trial(device)
        except Exception as error:  # whatever the compiler, the linker or cuFFT says about this device
            said = [type(error).__name__, *str(error).strip().splitlines()]
            reason = f"a trial failed: {said[0]}: {said[-1]}"
    if reason is not None:
        return Choice(PLAIN, f"no JIT callbacks: {reason}")
    return Choice(
        CALLBACKS, f"CuPy {cupy.__version__}, cuFFT {cupy.cuda.cufft.getVersion()}; a trial gave the right numbers"
    )


def _trial(device: int) -> str | None:
    """Filter two small images with every callback in it; return what is wrong with the result, or None."""
    size, filters = (2, 6, 10), [Filter(0.0, 2.5), Filter(1.5, 4.0)]
    stored = (np.arange(120, dtype=np.uint32).reshape(size) * 40503 % 65536).astype(np.uint16)
    images = torch.from_numpy(stored).to(_device(device))
    epilogue = Epilogue(torch.float16, -0.25, 0.25)
    got = launch_fused(images, filters, epilogue, full_scale=65535.0, path=CALLBACKS)
    spectra = np.fft.fft2(stored / 65535.0) * np.stack([filter.gain(*size[1:]) for filter in filters])
    wrong = float(np.abs(got.cpu().numpy() - np.fft.ifft2(spectra).real.clip(-0.25, 0.25)).max())
    return None if wrong < 1e-3 else f"a trial gave numbers that are off by {wrong:.3g}"


def _plan(key: Any, make: Callable[[], Any]) -> Any:
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


def _make_plain(cupy: Any, key: PlanKey) -> tuple[Any, Any]:
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


def _make_callbacks(cupy: Any, key: jit.Key, on: torch.device) -> jit.Plan:
    try:
        return jit.make(cupy, key, on)
    except Exception as error:
        raise BackendMissing(
            f"cuFFT makes no plan with callbacks for {key.batch} images {key.height} x {key.width} ({error}); "
            f"{VARIABLE}={PLAIN} chooses plans without"
        ) from error


def launch(
    images: Tensor,  # [N, H, W] float32 or float64, contiguous
    filters: Sequence[Filter],
    *,
    path: str | None = None,
) -> Tensor:
    """Filter images with one filter or one for each (all bands or all notches); `path` overrides `choose` for float32."""
    if images.dtype == torch.float32:
        return launch_fused(images, filters, path=path)
    out = torch.empty_like(images)
    for part, each, _ in _parts(images, len(filters)):
        _mask_between(images[part], out[part], filters[each])
    return out


def launch_fused(
    images: Tensor,  # [N, H, W] of jit.PIXELS, contiguous
    filters: Sequence[Filter],
    epilogue: Epilogue = AS_IS,
    *,
    full_scale: float = 1.0,
    path: str | None = None,
) -> Tensor:  # [N, H, W] of jit.RESULTS, contiguous
    """Cast, filter, add noise, clamp, normalise and cast; stored integers are divided by `full_scale`."""
    out = torch.empty(images.shape, dtype=epilogue.dtype, device=images.device)
    if out.numel() == 0:
        return out
    chosen = path or choose(images.device.index).path
    run = _with_callbacks if chosen == CALLBACKS else _with_passes
    for part, each, first in _parts(images, len(filters)):
        run(images[part], out[part], filters[each], epilogue, full_scale, first)
    return out


def launch_sweep(
    images: Tensor,  # [N, H, W] float32 or float64, contiguous
    filters: Sequence[Filter],
    *,
    path: str | None = None,
) -> Tensor:  # [N, K, H, W]
    """Filter each image with each of K filters, from one forward transform; `path` as for `launch`."""
    count, height, width = images.shape
    out = torch.empty((count, len(filters), height, width), dtype=images.dtype, device=images.device)
    if out.numel() == 0:
        return out
    callbacks = images.dtype == torch.float32 and (path or choose(images.device.index).path) == CALLBACKS
    # As many images as fit into a plan with all of their filters, or one with as many as fit.
    some, many = max(1, MAX_ELEMENTS // (height * width * len(filters))), max(1, MAX_ELEMENTS // (height * width))
    for start in range(0, count, some):
        for first in range(0, len(filters), many):
            part, of = slice(start, start + some), slice(first, first + many)
            filtered = out[part, of].view(-1, height, width)
            if callbacks:
                _with_callbacks(images[part], filtered, filters[of], AS_IS, 1.0, 0, sweep=True)
            else:
                _mask_between(images[part], filtered, filters[of], sweep=True)
    return out


def warm_up(
    size: tuple[int, int, int],
    device: torch.device,
    *,
    pixel: torch.dtype = torch.float32,
    epilogue: Epilogue = AS_IS,
    per_image: bool = False,
) -> Choice:
    """Make, load and run once, on the current stream, all that a call of this size and kind needs in a CUDA graph."""
    images = torch.zeros(size, dtype=pixel, device=device)
    launch_fused(images, [Filter(1.0, 2.0)] * (size[0] if per_image else 1), epilogue)
    return choose(images.device.index)


def _parts(images: Tensor, filters: int) -> Iterator[tuple[slice, slice, int]]:
    """Yield the images that fit into a plan, their filters, and the number of the first."""
    count, height, width = images.shape
    step = max(1, MAX_ELEMENTS // max(1, height * width))
    for start in range(0, count, step) if images.numel() > 0 else ():
        part = slice(start, min(start + step, count))
        yield part, part if filters > 1 else slice(0, 1), start


def _aligned(images: Tensor, to: int) -> Tensor:
    return images.clone() if images.data_ptr() % to else images


def _address(cupy: Any, tensor: Tensor) -> Any:
    """Return memory as CuPy takes it: bytes, since it has no bfloat16."""
    return cupy.asarray(tensor.detach().view(torch.uint8))


def _spectrum(images: Tensor, filters: int = 1) -> Tensor:
    count, height, width = images.shape
    dtype = torch.complex128 if images.dtype == torch.float64 else torch.complex64
    return torch.empty((count * filters, height, width // 2 + 1), dtype=dtype, device=images.device)


def _with_callbacks(
    images: Tensor,
    out: Tensor,
    filters: Sequence[Filter],
    epilogue: Epilogue,
    full_scale: float,
    first: int,
    *,
    sweep: bool = False,
) -> None:
    cupy = import_cupy()
    count, height, width = images.shape
    each = len(filters) if sweep else 1  # of an image
    device = images.device.index
    images = _aligned(images, 16)
    spectrum = _spectrum(images)
    scratch = _spectrum(images, each) if each > 1 else spectrum
    # cuFFT's own idea of the output; see jit.
    target = out if out.dtype == torch.float32 else torch.empty(out.shape, device=out.device)
    constants = jit.record(filters[0], (height, width))
    jit.finish(constants, out, full_scale, epilogue, first)
    constants["spectra"] = spectrum.data_ptr()
    result = None if epilogue.plain else epilogue.dtype
    with torch.cuda.device(images.device), cupy.cuda.Device(device), _stream(cupy, device) as stream:
        gains = jit.SHARED if len(filters) == 1 else jit.EACH
        key = jit.Key(count, height, width, images.dtype, result, epilogue.kind, gains, device, stream.ptr, each)
        kernel = partial(_kernel, cupy, device, "BEGIN")
        # A plan belongs to one stream, but two host threads may share that stream.
        with _lock:
            plan = _plan(key, partial(_make_callbacks, cupy, key, images.device))
            if plan.table is not None:
                constants["table"] = plan.table.data_ptr()
            if plan.each is not None:
                constants["each"] = plan.each.data_ptr()
                jit.send(kernel, plan.each, jit.words(filters, height, width))
            jit.begin(kernel, plan.call, constants, 1 if plan.table is None else plan.table.numel())
            plan.forward.fft(_address(cupy, images), _address(cupy, spectrum), cupy.cuda.cufft.CUFFT_FORWARD)
            plan.inverse.fft(_address(cupy, scratch), _address(cupy, target), cupy.cuda.cufft.CUFFT_INVERSE)


def _with_passes(
    images: Tensor,
    out: Tensor,
    filters: Sequence[Filter],
    epilogue: Epilogue,
    full_scale: float,
    first: int,
) -> None:
    if images.dtype == torch.float32 and epilogue.plain:
        _mask_between(images, out, filters)
        return
    cupy = import_cupy()
    device = images.device.index
    constants = jit.record(filters[0], (images.shape[1], images.shape[2]))
    jit.finish(constants, out, full_scale, epilogue, first)
    call = torch.empty(jit.CALL.itemsize, dtype=torch.uint8, device=images.device)
    real = images if images.dtype == torch.float32 else torch.empty(images.shape, device=images.device)
    # The filter may overwrite what was cast for it, and nothing else.
    filtered = out if epilogue.plain else real if real is not images else torch.empty_like(real)
    grid, count = (-(-images.numel() // jit.THREADS),), np.int64(images.numel())

    def run(name: str, *arguments: Any) -> None:
        pointers = (np.uint64(a.data_ptr()) for a in arguments)
        _kernel(cupy, device, "PASSES", name)(grid, (jit.THREADS,), (*pointers, count, np.uint64(call.data_ptr())))

    with torch.cuda.device(images.device), cupy.cuda.Device(device), _stream(cupy, device):
        jit.begin(partial(_kernel, cupy, device, "BEGIN"), call, constants, 1)
        if real is not images:
            run(f"bandpass_load_{str(images.dtype).removeprefix('torch.')}", images, real)
        _mask_between(real, filtered, filters)
        if not epilogue.plain:
            run(f"bandpass_store_{str(out.dtype).removeprefix('torch.')}_{jit.KINDS[epilogue.kind]}", filtered)


def _mask_between(
    images: Tensor,
    out: Tensor,
    filters: Sequence[Filter],
    *,
    sweep: bool = False,
) -> None:
    """Forward transform, mask, inverse transform; `images` and `out` may be the same if it is no sweep."""
    cupy = import_cupy()
    count, height, width = images.shape
    device = images.device.index
    # cuFFT reads pairs of reals.
    images = _aligned(images, 2 * images.element_size())
    spectrum = _spectrum(images)
    each = len(filters) if sweep else 1  # of an image
    masked = _spectrum(images, each) if each > 1 else spectrum
    own = torch.empty((len(filters), 2), dtype=torch.int64, device=images.device) if len(filters) > 1 else None
    edges = 0 if own is None else own.data_ptr()
    many = count * each
    blocks = (-(-(width // 2 + 1) // THREADS[0]), -(-height // THREADS[1]), min(-(-many // IMAGES_PER_THREAD), 65535))
    with torch.cuda.device(images.device), cupy.cuda.Device(device), _stream(cupy, device) as stream:
        key = PlanKey(count, height, width, images.dtype, device, stream.ptr, each)
        real, middle, product, result = (cupy.asarray(t.detach()) for t in (images, spectrum, masked, out))
        if own is not None:
            jit.send(partial(_kernel, cupy, device, "BEGIN"), own, jit.words(filters, height, width))
        # A plan belongs to one stream, but two host threads may share that stream.
        with _lock:
            forward, inverse = _plan(key, partial(_make_plain, cupy, key))
            kernel = _kernel(cupy, device, "mask", KERNELS[images.dtype])
            forward.fft(real, middle, cupy.cuda.cufft.CUFFT_FORWARD)
            kernel(
                blocks,
                THREADS,
                (
                    middle,
                    product,
                    np.int32(each),
                    np.int32(many),
                    np.int32(height),
                    np.int32(width),
                    np.uint64(edges),
                    *map(np.int64, filters[0].edges(height, width)),
                    np.int32(filters[0].complement),
                    np.float64(1.0 / (height * width)),
                ),
            )
            inverse.fft(product, result, cupy.cuda.cufft.CUFFT_INVERSE)
