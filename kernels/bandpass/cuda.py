"""Band-pass on the GPU: cuFFT through CuPy on torch's memory and stream, with callbacks or with passes of their own.

`choice` chooses between the two for a device; `plans` keeps what they make once. Cut-offs travel as arguments of a kernel:
nothing on the host has to outlive the call, and a CUDA graph replays them.

The inverse transform is scaled with the gain, and overwrites the spectrum, which is scratch. In a sweep K filters of each
image read its spectrum, from one forward transform; what their inverse transforms, one plan for all, overwrite is scratch
of its own, as large as the result. For each filtered pixel that moves 12 bytes with callbacks (and the spectrum, which stays
in the L2 cache from filter to filter) and 20 without, where a filter at a time takes 32 and 40: counted, not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastrace.kernels.bandpass import choice, jit, plans
from fastrace.kernels.bandpass.choice import CALLBACKS, Choice
from fastrace.kernels.bandpass.jit import AS_IS, Epilogue
from fastrace.kernels.radii import Filter

KERNELS = {torch.float32: "bandpass_mask_f32", torch.float64: "bandpass_mask_f64"}
# A warp reads 32 neighbouring coefficients (256 bytes); each thread serves eight images when they share the filter.
THREADS = (32, 8, 1)
IMAGES_PER_THREAD = 8
# cuFFT's plans count elements in 32 bits.
MAX_ELEMENTS = 2**31 - 1


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
    chosen = path or choice.choose(images.device.index).path
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
    callbacks = images.dtype == torch.float32 and (path or choice.choose(images.device.index).path) == CALLBACKS
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
    return choice.choose(images.device.index)


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
    cupy = plans.import_cupy()
    count, height, width = images.shape
    each = len(filters) if sweep else 1  # of an image
    device = images.device.index
    images = _aligned(images, 16)
    spectrum = _spectrum(images)
    scratch = _spectrum(images, each) if each > 1 else spectrum
    # The output that cuFFT is given; see jit.
    target = out if out.dtype == torch.float32 else torch.empty(out.shape, device=out.device)
    constants = jit.record(filters[0], (height, width))
    jit.finish(constants, out, full_scale, epilogue, first)
    constants["spectra"] = spectrum.data_ptr()
    result = None if epilogue.plain else epilogue.dtype
    with torch.cuda.device(images.device), cupy.cuda.Device(device), plans.stream_of(cupy, device) as stream:
        gains = jit.SHARED if len(filters) == 1 else jit.EACH
        key = jit.Key(count, height, width, images.dtype, result, epilogue.kind, gains, device, stream.ptr, each)
        kernel = partial(plans.kernel, cupy, device, "BEGIN")
        # A plan belongs to one stream, but two host threads may share that stream.
        with plans.lock:
            plan = plans.plan(key, partial(plans.make_callbacks, cupy, key, images.device))
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
    cupy = plans.import_cupy()
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
        plans.kernel(cupy, device, "PASSES", name)(grid, (jit.THREADS,), (*pointers, count, np.uint64(call.data_ptr())))

    with torch.cuda.device(images.device), cupy.cuda.Device(device), plans.stream_of(cupy, device):
        jit.begin(partial(plans.kernel, cupy, device, "BEGIN"), call, constants, 1)
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
    cupy = plans.import_cupy()
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
    with torch.cuda.device(images.device), cupy.cuda.Device(device), plans.stream_of(cupy, device) as stream:
        key = plans.PlanKey(count, height, width, images.dtype, device, stream.ptr, each)
        real, middle, product, result = (cupy.asarray(t.detach()) for t in (images, spectrum, masked, out))
        if own is not None:
            jit.send(partial(plans.kernel, cupy, device, "BEGIN"), own, jit.words(filters, height, width))
        # A plan belongs to one stream, but two host threads may share that stream.
        with plans.lock:
            forward, inverse = plans.plan(key, partial(plans.make_plain, cupy, key))
            kernel = plans.kernel(cupy, device, "mask", KERNELS[images.dtype])
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
