r"""Counter-based noise: the same seed gives the same noise on every backend, in every batch, order and process.

Words
-----
Philox-4x32-10 with ``key = (seed low, seed high)`` and ``counter = (block, id low, id high, stream)``; block ``b`` of an
image yields one 32-bit word for each of its pixels ``4b .. 4b + 3`` (row-major). Nothing but these 192 bits and the
pixel decides: not the batch, the device, the number of workers or what was drawn before. Words are equal bit for bit on
every backend.

Kinds (``x`` is a display value, 0 black, 1 white; results are not clipped)
----------------------------------------------------------------------------
``gaussian``     ``x + sigma z``. The study's "variance 0.1" is coded as sigma 0.1, variance 0.01: state which one is meant.
``speckle``      ``x (1 + sigma z)``.
``poisson``      ``Poisson(photons dose x) / (photons dose)``: a dose fraction of an exposure that counts `photons` at display
                 white. Pixels at or below 0 give 0. One uniform of 23 bits per pixel is inverted: by a walk of at most 32
                 steps along the distribution function below a mean of 10, by the floor of Giles' expansion from 10 on
                 (total variation from Poisson at most 1.4e-4, at mean 10). Tails below 2^-24 are not drawn.
``salt_pepper``  a fraction of the pixels becomes 0 or 1, each with probability one half.

``z`` comes from Box-Muller: words ``2i`` and ``2i + 1`` give the normals of pixels ``2i`` and ``2i + 1``; the radius is
``sqrt(-2 ln u)`` with ``u = float32(word) 2^-32 + 2^-33`` in (0, 1], so that ln 0 cannot happen and ``|z| <= 6.77``.
NaN pixels stay NaN.

Agreement
---------
CPU kernel and Triton interpreter agree bit for bit. With the float64 reference the normals agree within
`NORMAL_ERROR` and Poisson counts but for pixels whose uniform lies within float32 rounding of a step, fewer than
`COUNT_FLIPS` of them. A GPU contracts multiplications and additions, which changes the last bit only.

Sources: Salmon et al., SC 2011 (Philox); Box and Muller 1958; Giles, ACM TOMS 42(1), 2016 (Poisson).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.library import custom_op, triton_op, wrap_triton

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels.noise import cpu
from fastrace.kernels.noise.reference import noise_one

try:
    from fastrace.kernels.noise.cuda import grid_and_arguments, noise_kernel, offline_cases
except ImportError:  # a torch build without triton: the CPU kernel still works
    noise_kernel = None

__all__ = ["COUNT_FLIPS", "KINDS", "MAX_PHOTONS", "NORMAL_ERROR", "PHOTONS_AT_WHITE"]
__all__ += ["noise", "noise_reference", "noise_stream", "offline_cases", "prepared"]

KINDS = {"gaussian": cpu.GAUSSIAN, "poisson": cpu.POISSON, "speckle": cpu.SPECKLE, "salt_pepper": cpu.SALT_PEPPER}
# Quantum noise of 3 % of display white at full dose: a convention of ours, not a property of any detector.
PHOTONS_AT_WHITE = 1000.0
MAX_PHOTONS = 2.0**20  # counts of pixels up to 16 times white stay exact integers in float32

NORMAL_ERROR = 1.5e-6  # largest |z - z64| of 2^26 normals: 7.4e-7 on the CPU, 7.2e-7 with contraction emulated
# Largest share of counts that are off by one from float64, up to a mean of 2,000: 9e-5 of 2^20 (at 10^6: 3 %).
COUNT_FLIPS = 2e-4


def noise(
    images: Tensor,  # [N, H, W] float32
    ids: Tensor,  # [N] int64
    kind: str,
    amount: float,
    *,
    seed: int,
    stream: int = 0,
    photons: float = PHOTONS_AT_WHITE,
) -> Tensor:
    """Return noisy copies of display images; a function of pixel, seed, id and stream alone.

    Parameters
    ----------
    images : Tensor, [N, H, W] float32
        Display values; any strides. CPU or CUDA.
    ids : Tensor, [N] int64, on the device of `images`
        Which image it is: a 64-bit pattern, for example the first 64 bits of the image key. Equal ids get equal noise.
    kind : {"gaussian", "poisson", "speckle", "salt_pepper"}
    amount : float
        gaussian, speckle: sigma >= 0 (display units; relative). poisson: dose fraction in (0, 1]. salt_pepper: fraction
        of the pixels in [0, 1].
    seed : int
        64-bit pattern, -2**63 .. 2**64 - 1.
    stream : int
        32 bits that separate uses of one image; see `noise_stream`.
    photons : float
        Poisson only: mean count at display white and full dose; ``photons * amount <= 2**20``.

    Returns
    -------
    Tensor, [N, H, W] float32, contiguous
        Not differentiable.

    Raises
    ------
    UsageError
        For an unknown kind, an amount out of range, a wrong dtype, shape or device.
    BackendMissing
        For CUDA images where triton is not installed.
    """
    if images.dtype != torch.float32 or images.ndim != 3:
        raise UsageError(f"noise takes images [N, H, W] float32, not {list(images.shape)} {images.dtype}")
    if ids.dtype != torch.int64 or ids.shape != images.shape[:1] or ids.device != images.device:
        raise UsageError(
            f"noise takes one int64 id per image on {images.device}: [{images.shape[0]}], not {list(ids.shape)} "
            f"{ids.dtype} on {ids.device}"
        )
    result: Tensor = torch.ops.fastrace.noise(images, ids, *prepared(kind, amount, seed, stream, photons))
    return result


def noise_reference(
    images: NDArray[Any],
    ids: Sequence[int] | NDArray[np.int64],
    kind: str,
    amount: float,
    *,
    seed: int,
    stream: int = 0,
    photons: float = PHOTONS_AT_WHITE,
) -> NDArray[np.float64]:
    """Return what `noise` means, in float64 NumPy; same parameters, images and ids as arrays."""
    _parameters(kind, amount, photons)
    _checked_stream(stream)
    values = np.asarray(images, np.float64)
    noisy = [noise_one(x, int(i), kind, amount, seed, stream, photons) for x, i in zip(values, ids, strict=True)]
    return np.stack(noisy) if noisy else np.empty_like(values)


def noise_stream(operation: int, epoch: int, draw: int) -> int:
    """Pack where and when noise is drawn into the 32 bits of `stream`.

    Parameters
    ----------
    operation : int
        Position of the noise in the degradation, 0 .. 255.
    epoch : int
        0 .. 65,535; 0 for test images. Another noise each epoch keeps training from memorising it.
    draw : int
        0 .. 255; repeated draws of one image.
    """
    for name, value, bits in (("operation", operation, 8), ("epoch", epoch, 16), ("draw", draw, 8)):
        if not 0 <= value < 1 << bits:
            raise UsageError(f"noise stream: {name} {value} is outside 0 .. {(1 << bits) - 1}")
    return operation << 24 | epoch << 8 | draw


def prepared(
    kind: str, amount: float, seed: int, stream: int = 0, photons: float = PHOTONS_AT_WHITE
) -> tuple[int, float, float, int, int, int]:
    """Check the parameters of the noise; return them as kernels take them: kind, factor, inverse, threshold, seed, stream."""
    a, b, threshold = _parameters(kind, amount, photons)
    return KINDS[kind], a, b, threshold, _signed64(seed), _checked_stream(stream)


def _parameters(kind: str, amount: float, photons: float) -> tuple[float, float, int]:
    """Check kind and amount; return the factor, its inverse (poisson) and the threshold (salt_pepper)."""
    if kind not in KINDS:
        raise UsageError(f"unknown noise {kind!r}; choose from {', '.join(KINDS)}")
    if kind == "poisson":
        if not 0.0 < amount <= 1.0:
            raise UsageError(f"poisson noise takes a dose fraction above 0 and up to 1, not {amount}")
        if not 0.0 < photons * amount <= MAX_PHOTONS:
            raise UsageError(f"photons x dose is {photons * amount}; it has to be above 0 and up to {MAX_PHOTONS:.0f}")
        return photons * amount, 1.0 / (photons * amount), 0
    if kind == "salt_pepper":
        if not 0.0 <= amount <= 1.0:
            raise UsageError(f"salt_pepper noise takes a fraction of the pixels from 0 to 1, not {amount}")
        return 0.0, 0.0, round(amount * 2**31)
    if not 0.0 <= amount < float("inf"):
        raise UsageError(f"{kind} noise takes a finite sigma of 0 or more, not {amount}")
    return amount, 0.0, 0


def _signed64(seed: int) -> int:
    if not -(2**63) <= seed < 2**64:
        raise UsageError(f"the noise seed {seed} has more than 64 bits")
    return seed - 2**64 if seed >= 2**63 else seed


def _checked_stream(stream: int) -> int:
    if not 0 <= stream < 2**32:
        raise UsageError(f"the noise stream {stream} is outside 0 .. 2**32 - 1; see noise_stream")
    return stream


def _cpu(images: Tensor, ids: Tensor, kind: int, a: float, b: float, threshold: int, seed: int, stream: int) -> Tensor:
    return cpu.launch(images.contiguous(), ids.contiguous(), kind, a, b, threshold, seed, stream)


def _empty(images: Tensor, *_: object) -> Tensor:
    return images.new_empty(images.shape)


_noise_cpu = custom_op("fastrace::noise_cpu", _cpu, mutates_args=())
_noise_cpu.register_fake(_empty)


def _noise(
    images: Tensor, ids: Tensor, kind: int, a: float, b: float, threshold: int, seed: int, stream: int
) -> Tensor:
    # torch.compile decomposes this operation on every device, so that Inductor sees the Triton kernel: hence the branch.
    if images.device.type == "cpu":
        result: Tensor = _noise_cpu(images, ids, kind, a, b, threshold, seed, stream)
        return result
    if noise_kernel is None:
        raise BackendMissing(
            "noise on a GPU needs triton, which comes with the CUDA build of torch; install that build"
        )
    out = images.new_empty(images.shape)
    if out.numel() > 0:
        source, keys = images.contiguous(), ids.contiguous()
        grid, arguments, launch = grid_and_arguments(source, out, keys, kind, a, b, threshold, seed, stream)
        wrap_triton(noise_kernel)[grid](*arguments, **launch)
    return out


_operation: Any
if noise_kernel is not None:
    _operation = triton_op("fastrace::noise", _noise, mutates_args=())
else:
    _operation = custom_op("fastrace::noise", _noise, mutates_args=())
    _operation.register_fake(_empty)
_operation.register_kernel("cpu", _cpu)
