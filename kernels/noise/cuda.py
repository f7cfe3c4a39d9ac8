"""Noise on the GPU: one Triton program per 256 counter blocks (1,024 pixels) of one image, one read and one write.

The polynomials and the order of operations are those of `cpu`; the compiler contracts ``a * b + c`` into one rounding,
which is the only difference. No library function with a slow path is called (sin and cos would cost a stack frame),
and the four words of a block are interleaved in registers into four neighbouring pixels, so loads and stores are 16
bytes wide where the number of pixels is divisible by four.

Importing this module needs triton, which comes with the CUDA build of torch.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastrace.kernels.noise import cpu
from fastrace.kernels.noise.reference import POISSON_STEPS, POISSON_WALK_BELOW

# Two counter blocks per thread of four warps: enough independent work to hide the latency of the multiplications.
BLOCKS_PER_PROGRAM = 256
WARPS = 4

_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = (tl.constexpr(c) for c in cpu.LN)
_S0, _S1, _S2 = (tl.constexpr(c) for c in cpu.SIN)
_C0, _C1, _C2 = (tl.constexpr(c) for c in cpu.COS)
_E0, _E1, _E2, _E3, _E4 = (tl.constexpr(c) for c in cpu.EXP)
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7 = (tl.constexpr(c) for c in cpu.CENTRAL)
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7 = (tl.constexpr(c) for c in cpu.TAIL)
_G0, _G1, _G2, _G3, _G4, _G5, _G6 = (tl.constexpr(c) for c in cpu.EXPANSION)
_SQRT_HALF_BITS, _ANGLE = tl.constexpr(cpu.SQRT_HALF_BITS), tl.constexpr(cpu.ANGLE)
_LN2_HIGH, _LN2_LOW, _LOG2_E = tl.constexpr(cpu.LN2_HIGH), tl.constexpr(cpu.LN2_LOW), tl.constexpr(cpu.LOG2_E)
_STEPS, _WALK_BELOW = tl.constexpr(POISSON_STEPS), tl.constexpr(POISSON_WALK_BELOW)
_NEGLIGIBLE = tl.constexpr(cpu.NEGLIGIBLE)
_GAUSSIAN, _POISSON, _SPECKLE = tl.constexpr(cpu.GAUSSIAN), tl.constexpr(cpu.POISSON), tl.constexpr(cpu.SPECKLE)


@triton.jit
def _ln(x):
    bits = x.to(tl.int32, bitcast=True)
    exponent = (bits - _SQRT_HALF_BITS) >> 23
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    e = exponent.to(tl.float32)
    square = f * f
    p = ((((((_L7 * f + _L6) * f + _L5) * f + _L4) * f + _L3) * f + _L2) * f + _L1) * f + _L0
    return e * _LN2_HIGH + (f + (square * f * p + (e * _LN2_LOW - 0.5 * square)))


@triton.jit
def _normal_pair(word0, word1):
    radius = tl.sqrt_rn(-2.0 * _ln(word0.to(tl.float32) * 2.3283064365386963e-10 + 1.1641532182693481e-10))
    quarter = (word1 + 0x20000000) >> 30
    t = (word1 - (quarter << 30)).to(tl.int32, bitcast=True).to(tl.float32) * _ANGLE
    square = t * t
    sine = t + t * square * ((_S2 * square + _S1) * square + _S0)
    cosine = 1.0 - 0.5 * square + square * square * ((_C2 * square + _C1) * square + _C0)
    swap = (quarter & 1) != 0
    a = tl.where(swap, sine, cosine)
    b = tl.where(swap, cosine, sine)
    a = tl.where(((quarter + 1) & 2) != 0, -a, a)
    b = tl.where((quarter & 2) != 0, -b, b)
    return radius * a, radius * b


@triton.jit
def _normal_quantile(u):
    x = 2.0 * u - 1.0
    w = -_ln((1.0 - x) * (1.0 + x))
    s = w - 2.5
    t = tl.sqrt_rn(w) - 3.0
    central = ((((((_P7 * s + _P6) * s + _P5) * s + _P4) * s + _P3) * s + _P2) * s + _P1) * s + _P0
    tail = ((((((_T7 * t + _T6) * t + _T5) * t + _T4) * t + _T3) * t + _T2) * t + _T1) * t + _T0
    return x * tl.where(w < 5.0, central, tail)


@triton.jit
def _exp_negative(x):
    n = tl.floor(0.5 - x * _LOG2_E)
    r = (-x - n * _LN2_HIGH) - n * _LN2_LOW
    p = (((_E4 * r + _E3) * r + _E2) * r + _E1) * r + _E0
    return (1.0 + (r + r * r * p)) * ((n.to(tl.int32) + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _poisson(word, mean):
    u = ((word >> 9).to(tl.float32) + 0.5) * 1.1920928955078125e-07
    m = tl.maximum(mean, _WALK_BELOW)
    z = _normal_quantile(u)
    root = tl.sqrt_rn(m)
    square = z * z
    first = root * z + (_G0 + square * _G1)
    second = tl.div_rn(z * (_G2 - square * _G3), root)
    third = tl.div_rn(_G4 + square * (_G5 + square * _G6), m)
    expanded = tl.maximum(tl.floor(m + (first + (second + third))), 0.0)
    walks = mean < _WALK_BELOW
    p = _exp_negative(tl.maximum(tl.minimum(mean, _WALK_BELOW), 0.0))
    rest = tl.where(walks, u - p, 0.0)
    count = tl.where(walks, 0.0, expanded)
    # A whole program of bright pixels skips the walk.
    if tl.max(rest, 0) > 0.0:
        number = tl.full((), 0.0, tl.float32)
        for _ in range(_STEPS):
            number += 1.0
            walks = (rest > 0.0) & ((p >= _NEGLIGIBLE) | (count < mean))
            term = p * (mean * tl.div_rn(1.0, number))
            p = tl.where(walks, term, p)
            rest = tl.where(walks, rest - term, rest)
            count = tl.where(walks, count + 1.0, count)
    return count


@triton.jit
def interleave4(a, b, c, d):
    """Element 4i + k is element i of the k-th argument; stays in registers."""
    return tl.interleave(tl.interleave(a, c), tl.interleave(b, d))


@triton.jit
def block_words(block, identity, seed, stream):
    """Return the four words of each counter block of one image, uint32."""
    block = block.to(tl.uint32)
    zero = block * 0
    low = zero + identity.to(tl.uint32)
    high = zero + (identity >> 32).to(tl.uint32)
    return tl.philox(seed, block, low, high, (zero + stream).to(tl.uint32), 10)


@triton.jit(do_not_specialize=["chunks", "threshold", "seed", "stream"])
def noise_kernel(
    image_ptr,  # [N, pixels] float32
    out_ptr,  # [N, pixels] float32
    id_ptr,  # [N] int64
    pixels,
    chunks,
    a,
    b,
    threshold,
    seed,
    stream,
    KIND: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """Write one chunk of one noisy image."""
    program = tl.program_id(0)
    image = (program // chunks).to(tl.int64)
    chunk = program % chunks
    identity = tl.load(id_ptr + image)
    w0, w1, w2, w3 = block_words(chunk * BLOCKS + tl.arange(0, BLOCKS), identity, seed, stream)

    within = chunk * (4 * BLOCKS) + tl.arange(0, 4 * BLOCKS)
    inside = within < pixels
    at = image * pixels + within
    x = tl.load(image_ptr + at, mask=inside, other=0.0)
    if KIND == _GAUSSIAN or KIND == _SPECKLE:  # noqa: SIM109 (Triton has no `in`)
        n0, n1 = _normal_pair(w0, w1)
        n2, n3 = _normal_pair(w2, w3)
        z = interleave4(n0, n1, n2, n3)
        y = x + a * z if KIND == _GAUSSIAN else x * (1.0 + a * z)
    else:
        word = interleave4(w0, w1, w2, w3)
        if KIND == _POISSON:
            y = tl.where(x < float("inf"), _poisson(word, x * a) * b, x)
        else:
            replaced = ((word >> 1) < threshold) & (x == x)
            y = tl.where(replaced, (word & 1).to(tl.float32), x)
    tl.store(out_ptr + at, y, mask=inside)


def grid_and_arguments(
    images: Tensor, out: Tensor, ids: Tensor, kind: int, a: float, b: float, threshold: int, seed: int, stream: int
) -> tuple[tuple[int], tuple[Any, ...], dict[str, int]]:
    """Return what the launch of `noise_kernel` takes: grid, arguments, launch parameters."""
    pixels = images.shape[1] * images.shape[2]
    chunks = triton.cdiv(pixels, 4 * BLOCKS_PER_PROGRAM)
    arguments = (images, out, ids, pixels, chunks, a, b, threshold, seed, stream)
    return (images.shape[0] * chunks,), arguments, {"KIND": kind, "BLOCKS": BLOCKS_PER_PROGRAM, "num_warps": WARPS}


def offline_cases() -> list[dict[str, Any]]:
    """Return every configuration of the kernel for compilation without a GPU; see ``bench/resources.py``."""
    signature = dict.fromkeys(("pixels", "chunks", "threshold", "stream"), "i32") | {"seed": "i64", "id_ptr": "*i64"}
    signature |= dict.fromkeys(("image_ptr", "out_ptr"), "*fp32") | dict.fromkeys(("a", "b"), "fp32")
    signature |= dict.fromkeys(("KIND", "BLOCKS"), "constexpr")
    kinds = {"gaussian": cpu.GAUSSIAN, "poisson": cpu.POISSON, "speckle": cpu.SPECKLE, "salt_pepper": cpu.SALT_PEPPER}
    pointers = ("image_ptr", "out_ptr", "id_ptr")
    cases: list[tuple[str, int, tuple[str, ...], int]] = [
        (f"noise {name}", kind, (*pointers, "pixels"), 128) for name, kind in kinds.items()
    ]
    # Images of an odd number of pixels do not begin at multiples of 16 bytes.
    cases.append(("noise gaussian, any number of pixels", cpu.GAUSSIAN, pointers, 32))
    return [
        {
            "name": name,
            "fn": noise_kernel,
            "signature": {key: signature[key] for key in noise_kernel.arg_names},
            "constexprs": {"KIND": kind, "BLOCKS": BLOCKS_PER_PROGRAM},
            "divisible_by_16": divisible,
            "options": {"num_warps": WARPS},
            "access_bits": bits,
            "store_bits": bits,
        }
        for name, kind, divisible, bits in cases
    ]
