"""patches: contrast-normalise, filter, threshold, pool: features of images that need neither weights nor labels.

For every position (y, x) of a patch of p x p pixels in an image, with m their mean and v their variance (divided by p * p):

    z_k(y, x)  = sum over (i, j) of  F_k(i, j) * (image(y + i, x + j) - m) / sqrt(v + epsilon)
    feature    = mean over a cell of  max(z_k - threshold, 0)   and of   max(-z_k - threshold, 0)

that is (sum F x - m sum F) / s (Coates and Ng, 2011). Since sum F m does not depend on the pixels, filters count without their
mean. Cells are those of g x g grids over the (H - p + 1) x (W - p + 1) positions, cut as by torch's adaptive_avg_pool2d.

Layout of a row: for each grid in its order, [2, K, g, g]: first all filters' upper sides, then the lower ones, cells in
row-major order. It is what torch gives for conv2d, cat of the two sides, adaptive_avg_pool2d and flatten(1) for each grid, cat.

Nothing of the size [K, H, W] is stored: torch's chain writes it a dozen times, and takes its time for that.

Not finite: a patch with a NaN or an infinity, or whose variance exceeds float32 (pixels apart by 10^18), makes all features
of the cells it lies in NaN; such a number in a filter makes that filter's features NaN. Nothing else becomes NaN.

Agreement: the largest error of a feature, against float64, is `TOLERANCE` times `scale`: threshold + p * the filter's length,
the largest z there can be. On the CPU AVX2 and AVX-512 give the same bits, and a result does not depend on the
batch or the number of threads; without a fused multiply-add (SSE2) the last bits differ. Not differentiable.

On CUDA the bound is `CUDA_TOLERANCE`, and the same call gives the same bits.

Reading order: `reference.py` the formula in float64, `plan.py` cells and pieces, `../csrc/patches.cpp` the CPU kernel, `cuda.py`
the Triton kernels. Below: the operation registered with torch, and `patches`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from fastrace.errors import BackendMissing
from fastrace.kernels import _extension
from fastrace.kernels.patches.plan import features, make_plan
from fastrace.kernels.patches.reference import patches_reference

__all__ = ["CUDA_TOLERANCE", "TOLERANCE", "offline_cases", "patches", "patches_reference", "scale"]

TOLERANCE = 4e-7  # measured 1.8e-7, over 1,500 images and banks with sides 1 to 12
CUDA_TOLERANCE = 1.5e-6  # three TF32 products keep 21 bits; predicted, until a GPU has measured it
EPSILONS = (1e-30, 1e30)  # what float32 can add to a variance


def patches(
    images: Tensor,  # [N, H, W] float32
    filters: Tensor,  # [K, p, p]
    threshold: float = 1.0,
    epsilon: float = 1e-4,
    grids: Sequence[int] = (1, 3),
) -> Tensor:  # [N, 2 K sum(g * g)] float32
    """Return how strongly and where each filter answers, both ways, to the contrast-normalised patches of each image.

    Parameters
    ----------
    images : Tensor, [N, H, W] float32
        Any unit, any strides; CPU or CUDA.
    filters : Tensor, [K, p, p] float32 or float64
        On the device of the images. What they are applied to has mean 0 and variance below 1: filters that whiten
        include the whitening.
    threshold : float
        0 or more, in units of z; below it a response counts as none.
    epsilon : float
        Added to the variance of a patch, in squared units of the images: patches of less contrast are damped.
    grids : sequence of int
        Cells along each axis: (1, 3) gives the mean of the image and those of 3 x 3 cells.

    Returns
    -------
    Tensor, [N, 2 K sum(g * g)] float32, contiguous
        On the device of the images; the layout is above.

    Raises
    ------
    ValueError
        Where shapes, types or numbers do not fit; the message names them.
    BackendMissing
        Where the CPU kernel is neither installed nor can be compiled, or CUDA images meet a torch without Triton.
    """
    _check(images, filters, threshold, epsilon, grids)
    whole = [int(g) for g in grids]
    if images.is_cpu and type(images) is Tensor and not torch.compiler.is_compiling():
        return _cpu(images, filters, float(threshold), float(epsilon), whole)  # past the operation: that costs 20 us
    result: Tensor = torch.ops.fastrace.patches(images, filters, float(threshold), float(epsilon), whole)
    return result


def scale(filters: Tensor, threshold: float) -> float:
    """Return what `TOLERANCE` is relative to: the threshold, and the largest response that there can be."""
    lengths = _centred(filters, torch.float64).flatten(1).norm(dim=1)
    return threshold + filters.shape[-1] * float(lengths.max())


def _check(images: Tensor, filters: Tensor, threshold: float, epsilon: float, grids: Sequence[int]) -> None:
    if images.ndim != 3 or images.dtype != torch.float32:
        raise ValueError(f"patches takes images [N, H, W] float32, not {list(images.shape)} {images.dtype}")
    if filters.dtype not in (torch.float32, torch.float64) or filters.ndim != 3:
        raise ValueError(
            f"patches takes filters [K, p, p] float32 or float64, not {list(filters.shape)} {filters.dtype}"
        )
    count, side, other = filters.shape
    if count < 1 or side < 1 or side != other:
        raise ValueError(f"patches takes one or more square filters [K, p, p], not {list(filters.shape)}")
    if filters.device != images.device:
        raise ValueError(f"patches takes filters on the device of the images, {images.device}, not on {filters.device}")
    if min(images.shape[1:]) < side:
        height, width = images.shape[1:]
        raise ValueError(f"images of {height} x {width} are smaller than a patch of {side} x {side}")
    if not 0 <= threshold < math.inf:
        raise ValueError(f"the threshold of patches is a finite number of 0 or more, not {threshold}")
    if not EPSILONS[0] <= epsilon <= EPSILONS[1]:
        low, high = EPSILONS
        raise ValueError(f"the epsilon of patches lies between {low:g} and {high:g}, not at {epsilon}")
    if not grids or any(g != int(g) or g < 1 for g in grids):
        raise ValueError(f"the grids of patches are one or more whole numbers of 1 or more, not {list(grids)}")


def _centred(filters: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    wide = filters.double()
    return (wide - wide.mean((1, 2), keepdim=True)).to(dtype).contiguous()


_loaded = False
_once = threading.Lock()


def _load() -> None:
    global _loaded
    with _once:
        if not _loaded:
            _extension.load()
            _loaded = True


def _cpu(images: Tensor, filters: Tensor, threshold: float, epsilon: float, grids: Sequence[int]) -> Tensor:
    if not _loaded:
        _load()
    side = filters.shape[1]
    plan = make_plan(images.shape[1] - side + 1, images.shape[2] - side + 1, tuple(grids))
    result: Tensor = torch.ops.fastrace.patches_cpu(
        images.contiguous(), _centred(filters), threshold, epsilon, plan.rows, plan.columns, plan.cells
    )
    return result


def offline_cases() -> list[dict[str, Any]]:
    """Return the Triton kernels' configurations for compilation without a GPU; see ``bench/resources.py``."""
    cases: list[dict[str, Any]] = _triton().offline_cases()
    return cases


def _triton() -> ModuleType:
    try:
        from fastrace.kernels.patches import cuda
    except ImportError as error:
        raise BackendMissing("patches on a GPU need Triton: pip install triton, or a CUDA build of torch") from error
    return cuda


def _patches(images: Tensor, filters: Tensor, threshold: float, epsilon: float, grids: Sequence[int]) -> Tensor:
    if images.is_cpu:
        return _cpu(images, filters, threshold, epsilon, grids)
    side = filters.shape[1]
    plan = make_plan(images.shape[1] - side + 1, images.shape[2] - side + 1, tuple(grids), images.device)
    result: Tensor = _triton().launch(images.contiguous(), _centred(filters), threshold, epsilon, plan)
    return result


def _empty(images: Tensor, filters: Tensor, threshold: float, epsilon: float, grids: Sequence[int]) -> Tensor:
    return images.new_empty((images.shape[0], 2 * filters.shape[0] * features(grids)))


# Not a triton_op: what a compiler could fuse with the kernel would gain nothing, since it is bound by its products.
custom_op("fastrace::patches", _patches, mutates_args=()).register_fake(_empty)
