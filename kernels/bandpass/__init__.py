"""Radial filters in the Fourier domain: low-pass, high-pass, band and notch, with exact edges.

Frequency
---------
Of coefficient (ky, kx) of an H x W image: ``f = hypot(ky / H, kx / W)`` cycles/pixel, and the radius
``r = f max(H, W)`` cycles/image, which on a square image is the DFT radius. The study's circles, whose "diameter" is
this radius, are ``high`` (low-pass) and ``low`` (high-pass) here.

Gain
----
1 where ``low <= r < high``, else 0; ``complement`` takes one minus the gain (notch). The edge rule is exact: with
P = min(H, W) the integers ``(ky W)^2 + (kx H)^2`` are compared with ``ceil(t^2 P^2)``. 6-8-10 and 30-40-50 lie *on* edges;
radii from ``fftfreq(n) * n`` put some of them on the wrong side.

Low-pass is 0 .. t, high-pass t .. inf, and the DC coefficient (mean brightness) is kept where low is 0 and removed above.
Neighbouring bands add up to the image. Band, notch and high-pass are formed on coefficients, never by subtracting rounded
images.

The boundary is periodic: the filter sees the image tiled. The operation is linear and, its gain being real and even,
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
from fastrace.kernels.radii import MAX_PIXELS, check_cutoffs, gain, read_cutoffs

# Seen over all sizes and cut-offs of the tests: 7.4e-7 (223 x 225, prime) and 1.6e-15, rounding of the transforms.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 5e-15}


def bandpass(
    images: Tensor,  # [..., H, W] float32 or float64
    low: float | Tensor,
    high: float | Tensor,
    *,
    complement: bool = False,
) -> Tensor:
    """Keep the radial frequencies ``low <= r < high`` of every image.

    Parameters
    ----------
    images : Tensor, [..., H, W] float32 or float64
        CPU or CUDA, any strides.
    low, high : float or Tensor [N]
        Cut-offs in cycles/image, ``0 <= low < high``, high up to ``inf``: numbers for all images, or one value per image
        (N is the product of the leading dimensions; what a cut-off in lp/mm comes to differs per image). Values in
        tensors are read on the host, so keep them on the CPU.
    complement : bool
        Reject that band instead (notch).

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
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        lows, highs = (per_image(value, stack.shape[0]) for value in (low, high))
        filtered = torch.ops.fastrace.bandpass_each(stack, lows, highs, complement)
    else:
        check_cutoffs(low, high)
        request = float(low), float(high), complement
        # The way through an operation defined in Python costs 14 us, 100 and more when its code has left the caches: more
        # than filtering one image does. Where nobody differentiates or traces it has nothing to add.
        plain = type(images) is Tensor and images.is_cpu and not torch.compiler.is_compiling()
        if plain and not (images.requires_grad and torch.is_grad_enabled()):
            filtered = cpu.launch(stack.contiguous(), *request)
        else:
            filtered = torch.ops.fastrace.bandpass(stack, *request)
    result: Tensor = filtered if images.ndim == 3 else filtered.reshape(images.shape)
    return result


def bandpass_sweep(
    images: Tensor,  # [..., H, W] float32 or float64
    bands: Sequence[tuple[float, float]],
    *,
    complement: bool = False,
) -> Tensor:  # [..., K, H, W]
    """Filter every image with K filters: equal to `bandpass` for each of them, bit for bit on the CPU, but cheaper.

    The filters share the forward transform. On the CPU each takes back only the rows of the spectrum that it keeps; on a GPU
    one plan takes back all of them, for as much memory again as the result.

    Parameters
    ----------
    images : Tensor, [..., H, W] float32 or float64
    bands : sequence of (low, high)
        K pairs of cut-offs in cycles/image, as for `bandpass`.
    complement
        Of all filters, as for `bandpass`.

    Returns
    -------
    Tensor, [..., K, H, W], contiguous, dtype of `images`
        Differentiable with respect to `images`.

    Raises
    ------
    UsageError, BackendMissing
        As `bandpass`.
    """
    height, width = _checked_images(images)
    for low, high in bands:
        check_cutoffs(low, high)
    lows, highs = (torch.tensor([band[i] for band in bands], dtype=torch.float64) for i in (0, 1))
    stack = images.reshape(math.prod(images.shape[:-2]), height, width)
    filtered: Tensor = torch.ops.fastrace.bandpass_sweep(stack, lows, highs, complement)
    return filtered.reshape(*images.shape[:-2], len(bands), height, width)


def bandpass_reference(
    images: NDArray[Any],
    low: float | NDArray[Any],
    high: float | NDArray[Any],
    *,
    complement: bool = False,
) -> NDArray[np.float64]:
    """Return what `bandpass` means, in float64 NumPy over the full complex spectrum; same parameters, arrays."""
    values = np.asarray(images, np.float64)
    height, width = values.shape[-2:]
    stack = values.reshape(math.prod(values.shape[:-2]), height, width)
    lows, highs = (np.broadcast_to(np.asarray(value, np.float64), len(stack)) for value in (low, high))
    out = np.empty_like(stack)
    for image, a, b, filtered in zip(stack, lows, highs, out, strict=True):
        check_cutoffs(float(a), float(b))
        transfer = gain(height, width, float(a), float(b), complement)
        filtered[...] = np.fft.ifft2(np.fft.fft2(image) * transfer).real
    return out.reshape(values.shape)


def _checked_images(images: Tensor) -> tuple[int, int]:
    if images.dtype not in TOLERANCE or images.ndim < 2:
        raise UsageError(f"bandpass takes [..., H, W] float32 or float64, not {list(images.shape)} {images.dtype}")
    height, width = images.shape[-2:]
    if height * width > MAX_PIXELS:
        raise UsageError(f"bandpass takes images of up to 2^31 pixels, not {height} x {width}")
    return height, width


def per_image(cutoff: float | Tensor, count: int) -> Tensor:
    """Return a cut-off as float64 [count], for images that have their own; `UsageError` for another number of them."""
    values = torch.as_tensor(cutoff, dtype=torch.float64)
    if values.ndim > 1 or (values.ndim == 1 and values.shape[0] != count):
        raise UsageError(f"one cut-off per image is a tensor [{count}], not {list(values.shape)}")
    return values.expand(count).contiguous()


@custom_op("fastrace::bandpass", mutates_args=(), device_types="cpu")
def _bandpass(images: Tensor, low: float, high: float, complement: bool) -> Tensor:
    return cpu.launch(images.contiguous(), low, high, complement)


@custom_op("fastrace::bandpass_each", mutates_args=(), device_types="cpu")
def _bandpass_each(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cpu.launch_each(images.contiguous(), *read_cutoffs(low, high), complement)


@custom_op("fastrace::bandpass_sweep", mutates_args=(), device_types="cpu")
def _bandpass_sweep(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cpu.launch_sweep(images.contiguous(), *read_cutoffs(low, high), complement)


@_bandpass.register_kernel("cuda")
def _(images: Tensor, low: float, high: float, complement: bool) -> Tensor:
    return cuda.launch(images.contiguous(), [low], [high], complement)


@_bandpass_each.register_kernel("cuda")
def _(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cuda.launch(images.contiguous(), *read_cutoffs(low, high), complement)


@_bandpass_sweep.register_kernel("cuda")
def _(images: Tensor, low: Tensor, high: Tensor, complement: bool) -> Tensor:
    return cuda.launch_sweep(images.contiguous(), *read_cutoffs(low, high), complement)


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
