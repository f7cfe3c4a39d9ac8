"""Filter, noise, clamp, normalise and cast as one operation: stored pixels in, what a network reads out.

    filtered = bandpass(images / full scale)        full scale 255 (uint8), 65535 (uint16), 1 (floats)
    result   = cast((clamp(noise(filtered)) - mean) / std)

On a GPU with JIT callbacks the transforms themselves do all of it while they load and store: from uint16 to float16 that
moves 28 bytes per pixel where separate, fused passes move 60 (counted, not measured). Elsewhere it is the composition of
the operations it names, and it is compared with that. The numbers are the same either way but for the order of
roundings in the transforms: `TOLERANCE` of ``bandpass``, one rounding of the result's type, and the bounds of ``noise``.

`fastrace.degrade.apply` calls it on a GPU. One Philox block per pixel where the noise kernel draws one per four: a callback
sees one pixel. In machine code for sm_90 that is 166 instructions for each pixel with Gaussian noise, 96 with salt and
pepper, 280 and more with Poisson. Whether the saved passes pay for them depends on their number
(`fastrace.degrade.operations`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.library import custom_op

from fastrace.errors import UsageError
from fastrace.kernels.bandpass import bandpass, cuda, in_numbers, jit, per_image
from fastrace.kernels.noise import PHOTONS_AT_WHITE, prepared
from fastrace.kernels.radii import MAX_PIXELS, Filter

FULL_SCALE = {torch.uint8: 255.0, torch.uint16: 65535.0, torch.float16: 1.0, torch.float32: 1.0}


@dataclass(frozen=True)
class NoiseSpec:
    """The noise of a call; see `fastrace.kernels.noise.noise` for the fields."""

    kind: str
    amount: float
    seed: int
    stream: int = 0
    photons: float = PHOTONS_AT_WHITE


def apply_fused(
    images: Tensor,  # [N, H, W] uint8, uint16, float16 or float32
    filter: Filter,
    *,
    noise: NoiseSpec | None = None,
    ids: Tensor | None = None,
    clamp: tuple[float, float] | None = None,
    normalise: tuple[float, float] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return filtered images, with noise, clamped, normalised, as `dtype`.

    Parameters
    ----------
    images : Tensor, [N, H, W] uint8, uint16, float16 or float32
        Stored integers (display value 1 is the largest) or display values; CPU or CUDA, any strides.
    filter : Filter
        As for `bandpass`: in numbers, or with cut-offs per image in CPU tensors [N].
    noise : NoiseSpec or None
    ids : Tensor, [N] int64 on the device of `images`
        Needed with noise: which image it is.
    clamp : (low, high) or None
        NaN stays NaN.
    normalise : (mean, std) or None
    dtype : float32, float16 or bfloat16

    Returns
    -------
    Tensor, [N, H, W] of `dtype`, contiguous
        Not differentiable.

    Raises
    ------
    UsageError
        For a wrong type, size, filter, noise, clamp or deviation.
    BackendMissing
        For CUDA images where CuPy is not installed.
    """
    if images.dtype not in FULL_SCALE or images.ndim != 3:
        raise UsageError(
            f"apply_fused takes [N, H, W] uint8, uint16, float16 or float32, not {list(images.shape)} {images.dtype}"
        )
    count, height, width = images.shape
    if height * width > MAX_PIXELS:
        raise UsageError(f"bandpass takes images of up to 2^31 pixels, not {height} x {width}")
    if dtype not in jit.RESULTS:
        raise UsageError(f"apply_fused gives float32, float16 or bfloat16, not {dtype}")
    lowest, highest = clamp if clamp is not None else (-math.inf, math.inf)
    if not lowest <= highest:
        raise UsageError(f"clamp takes (low, high) with low <= high, not {clamp}")
    mean, std = normalise if normalise is not None else (0.0, 1.0)
    if not std > 0:
        raise UsageError(f"normalise takes (mean, std) with std above 0, not {normalise}")
    drawn, keys = (-1, 0.0, 0.0, 0, 0, 0), None
    if noise is not None:
        keys = ids
        drawn = prepared(noise.kind, noise.amount, noise.seed, noise.stream, noise.photons)
        if ids is None or ids.dtype != torch.int64 or ids.shape != (count,) or ids.device != images.device:
            given = "none" if ids is None else f"{list(ids.shape)} {ids.dtype} on {ids.device}"
            raise UsageError(f"noise takes one int64 id per image on {images.device}: [{count}], not {given}")
    # Cut-offs of all images stay numbers: a tensor on the host has no place in a graph of the device.
    cutoffs: tuple[float, float, Tensor | None]
    if filter.per_image:
        cutoffs = 0.0, math.inf, torch.stack(per_image(filter, count))
    else:
        cutoffs = float(filter.low), float(filter.high), None
    result: Tensor = torch.ops.fastrace.bandpass_fused(
        images, *cutoffs, filter.complement, keys, *drawn, lowest, highest, mean, std, dtype
    )
    return result


@custom_op("fastrace::bandpass_fused", mutates_args=(), device_types="cpu")
def _fused(
    images: Tensor,
    low: float,
    high: float,
    each: Tensor | None,  # [2, N] float64 on the host, instead
    complement: bool,
    ids: Tensor | None,
    kind: int,
    a: float,
    b: float,
    threshold: int,
    seed: int,
    stream: int,
    lowest: float,
    highest: float,
    mean: float,
    std: float,
    dtype: torch.dtype,
) -> Tensor:
    values = images.to(torch.float32) / FULL_SCALE[images.dtype]
    filter = Filter(low, high, complement) if each is None else Filter(each[0], each[1], complement)
    values = bandpass(values, filter)
    if kind >= 0:
        values = torch.ops.fastrace.noise(values, ids, kind, a, b, threshold, seed, stream)
    result = ((values.clamp(lowest, highest) - mean) / std).to(dtype)
    return result


@_fused.register_kernel("cuda")
def _fused_on_cuda(
    images: Tensor,
    low: float,
    high: float,
    each: Tensor | None,  # [2, N] float64 on the host, instead
    complement: bool,
    ids: Tensor | None,
    kind: int,
    a: float,
    b: float,
    threshold: int,
    seed: int,
    stream: int,
    lowest: float,
    highest: float,
    mean: float,
    std: float,
    dtype: torch.dtype,
) -> Tensor:
    keys = None if ids is None else ids.contiguous()
    epilogue = jit.Epilogue(dtype, lowest, highest, kind, keys, a, b, threshold, seed, stream, mean, std)
    filters = [Filter(low, high, complement)] if each is None else in_numbers(each[0], each[1], complement)
    scale = FULL_SCALE[images.dtype]
    return cuda.launch_fused(images.contiguous(), filters, epilogue, full_scale=scale)


@_fused.register_fake
def _(images: Tensor, *arguments: object) -> Tensor:
    dtype = arguments[-1]
    assert isinstance(dtype, torch.dtype)
    return images.new_empty(images.shape, dtype=dtype)
