"""Radial filters in the Fourier domain: low-pass, high-pass, band and notch, with exact edges.

Frequency
---------
Of coefficient (ky, kx) of an H x W image: ``f = hypot(ky / H, kx / W)`` cycles/pixel, and the radius
``r = f max(H, W)`` cycles/image, which on a square image is the DFT radius. The study's circles, whose "diameter" is
this radius, are ``high`` (low-pass) and ``low`` (high-pass) here.

Gain
----
1 where ``low <= r < high``, else 0; a ``complement`` takes one minus the gain (notch): `Filter`. The edge rule is exact
(`kernels.radii`): with P = min(H, W) the integers ``(ky W)^2 + (kx H)^2`` are compared with ``ceil(t^2 P^2)``. 6-8-10 and
30-40-50 lie *on* edges; radii from ``fftfreq(n) * n`` put some of them on the wrong side.

Low-pass is 0 .. t, high-pass t .. inf, and the DC coefficient (mean brightness) is kept where low is 0 and removed above.
Neighbouring bands add up to the image. Band, notch and high-pass are formed on coefficients, never by subtracting rounded
images.

The boundary is periodic: the filter acts on the image tiled. The operation is linear and, its gain being real and even,
self-adjoint: its gradient is itself.

Agreement
---------
Largest error against float64, relative to the largest input value: `TOLERANCE`. NaN in an image stays visible: where the
filter acts at all, the whole image becomes NaN.

Sources: Gonzalez and Woods, Digital Image Processing, chapter 4 (ideal filters); Gichoya et al., Lancet Digital Health
2022, and its released code for the circles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.library import custom_op

from fastrace.errors import UsageError
from fastrace.kernels.bandpass import cpu, cuda
from fastrace.kernels.bandpass.choice import backend, missing
from fastrace.kernels.radii import MAX_PIXELS, Filter

__all__ = ["TOLERANCE", "Filter", "backend", "bandpass", "bandpass_reference", "bandpass_sweep", "missing"]

# Seen over all sizes and cut-offs of the tests: 7.4e-7 (223 x 225, prime) and 1.6e-15, rounding of the transforms.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 5e-15}


def bandpass(
    images: Tensor,  # [..., H, W] float32 or float64
    filter: Filter,
) -> Tensor:
    """Keep the radial frequencies of every image that a filter passes.

    Parameters
    ----------
    images : Tensor, [..., H, W] float32 or float64
        CPU or CUDA, any strides.
    filter : Filter
        One for all images; or its cut-offs are tensors [N], a value per image, N being the product of the leading
        dimensions.

    Returns
    -------
    Tensor, [..., H, W], contiguous, dtype of `images`
        Differentiable with respect to `images`.

    Raises
    ------
    UsageError
        For cut-offs that keep nothing or are no number, or a wrong dtype.
    BackendMissing
        For CUDA images where CuPy is not installed.
    """
    height, width = _checked_images(images)
    stack = images if images.ndim == 3 else images.reshape(math.prod(images.shape[:-2]), height, width)
    # The way through an operation defined in Python costs 14 us, 100 and more when its code has left the caches: more
    # than filtering one image does. Where nothing differentiates or traces it is not needed.
    plain = type(images) is Tensor and images.is_cpu and not torch.compiler.is_compiling()
    if filter.per_image:
        filtered = torch.ops.fastrace.bandpass_each(stack, *per_image(filter, stack.shape[0]), filter.complement)
    elif plain and not (images.requires_grad and torch.is_grad_enabled()):
        filtered = cpu.launch(stack.contiguous(), filter)
    else:
        filtered = torch.ops.fastrace.bandpass(stack, float(filter.low), float(filter.high), filter.complement)
    result: Tensor = filtered if images.ndim == 3 else filtered.reshape(images.shape)
    return result


def bandpass_sweep(
    images: Tensor,  # [..., H, W] float32 or float64
    filters: Sequence[Filter],
) -> Tensor:  # [..., K, H, W]
    """Filter every image with K filters: equal to `bandpass` for each of them, bit for bit on the CPU, but cheaper.

    The filters share the forward transform. On the CPU each takes back only the rows of the spectrum that it keeps; on a GPU
    one plan takes back all of them, for as much memory again as the result.

    Parameters
    ----------
    images : Tensor, [..., H, W] float32 or float64
    filters : sequence of Filter
        K filters, all of them bands or all notches, in numbers.

    Returns
    -------
    Tensor, [..., K, H, W], contiguous, dtype of `images`
        Differentiable with respect to `images`.

    Raises
    ------
    UsageError, BackendMissing
        As `bandpass`, and for filters that do not go together.
    """
    height, width = _checked_images(images)
    if any(filter.per_image for filter in filters) or len({filter.complement for filter in filters}) > 1:
        raise UsageError("bandpass_sweep takes filters in numbers, all of them bands or all notches")
    lows, highs = (
        torch.tensor([float(edge) for edge in edges], dtype=torch.float64)
        for edges in ([filter.low for filter in filters], [filter.high for filter in filters])
    )
    stack = images.reshape(math.prod(images.shape[:-2]), height, width)
    complement = any(filter.complement for filter in filters)
    filtered: Tensor = torch.ops.fastrace.bandpass_sweep(stack, lows, highs, complement)
    return filtered.reshape(*images.shape[:-2], len(filters), height, width)


def bandpass_reference(images: NDArray[Any], filter: Filter) -> NDArray[np.float64]:
    """Return what `bandpass` means, in float64 NumPy over the full complex spectrum; same parameters, arrays."""
    values = np.asarray(images, np.float64)
    height, width = values.shape[-2:]
    stack = values.reshape(math.prod(values.shape[:-2]), height, width)
    out = np.empty_like(stack)
    for image, own, filtered in zip(stack, filter.of_images(len(stack)), out, strict=True):
        filtered[...] = np.fft.ifft2(np.fft.fft2(image) * own.gain(height, width)).real
    return out.reshape(values.shape)


def _checked_images(images: Tensor) -> tuple[int, int]:
    if images.dtype not in TOLERANCE or images.ndim < 2:
        raise UsageError(f"bandpass takes [..., H, W] float32 or float64, not {list(images.shape)} {images.dtype}")
    height, width = images.shape[-2:]
    if height * width > MAX_PIXELS:
        raise UsageError(f"bandpass takes images of up to 2^31 pixels, not {height} x {width}")
    return height, width


def per_image(filter: Filter, count: int) -> list[Tensor]:
    """Return the cut-offs of images that have their own, each float64 [count]; `UsageError` for another number of them."""
    found = []
    for cutoff in (filter.low, filter.high):
        values = torch.as_tensor(cutoff, dtype=torch.float64)
        if values.ndim > 1 or (values.ndim == 1 and values.shape[0] != count):
            raise UsageError(f"one cut-off per image is a tensor [{count}], not {list(values.shape)}")
        found.append(values.expand(count).contiguous())
    return found


def in_numbers(low: Tensor, high: Tensor, complement: bool) -> list[Filter]:
    """Return filters whose cut-offs an operation got as tensors [F] on the host; `UsageError` as `Filter`."""
    return [Filter(a, b, complement) for a, b in zip(low.tolist(), high.tolist(), strict=True)]


# torch.library takes plain values only: here a Filter is taken apart and made again.


@custom_op("fastrace::bandpass", mutates_args=(), device_types="cpu")
def _bandpass(images: Tensor, low: float, high: float, complement: bool) -> Tensor:
    return cpu.launch(images.contiguous(), Filter(low, high, complement))


@custom_op("fastrace::bandpass_each", mutates_args=(), device_types="cpu")
def _bandpass_each(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cpu.launch_each(images.contiguous(), in_numbers(low, high, complement))


@custom_op("fastrace::bandpass_sweep", mutates_args=(), device_types="cpu")
def _bandpass_sweep(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cpu.launch_sweep(images.contiguous(), in_numbers(low, high, complement))


@_bandpass.register_kernel("cuda")
def _(images: Tensor, low: float, high: float, complement: bool) -> Tensor:
    return cuda.launch(images.contiguous(), [Filter(low, high, complement)])


@_bandpass_each.register_kernel("cuda")
def _(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cuda.launch(images.contiguous(), in_numbers(low, high, complement))


@_bandpass_sweep.register_kernel("cuda")
def _(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cuda.launch_sweep(images.contiguous(), in_numbers(low, high, complement))


@_bandpass.register_fake
@_bandpass_each.register_fake
def _(images: Tensor, *_: object) -> Tensor:
    return images.new_empty(images.shape)


@_bandpass_sweep.register_fake
def _(images: Tensor, low: Tensor, *_: object) -> Tensor:
    return images.new_empty((images.shape[0], low.shape[0], *images.shape[1:]))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.filter = inputs[1:]


def _adjoint(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return (_bandpass(gradient, *ctx.filter), *(None,) * len(ctx.filter))


def _keep_each(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1], inputs[2])
    ctx.filter = inputs[3:]


def _adjoint_each(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return (_bandpass_each(gradient, *ctx.saved_tensors, *ctx.filter), *(None,) * (2 + len(ctx.filter)))


def _adjoint_sweep(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    low, high = ctx.saved_tensors
    count, many = gradient.shape[:2]
    each = gradient.reshape(count * many, *gradient.shape[2:])
    filtered = _bandpass_each(each, low.repeat(count), high.repeat(count), *ctx.filter)
    return (filtered.reshape(gradient.shape).sum(1), *(None,) * (2 + len(ctx.filter)))


_bandpass.register_autograd(_adjoint, setup_context=_keep)
_bandpass_each.register_autograd(_adjoint_each, setup_context=_keep_each)
_bandpass_sweep.register_autograd(_adjoint_sweep, setup_context=_keep_each)
