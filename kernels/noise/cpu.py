"""Noise on the CPU: numba, in chunks of 256 counter blocks, written so that LLVM turns every loop into vectors.

No function of a mathematical library is called: logarithm, sine, cosine, exponential and normal quantile are short
polynomials in float32, in the same order of operations as in `cuda`. So CPU results do not depend on the machine, and
a GPU differs only in that it contracts ``a * b + c`` into one rounding.

Measured on one AVX-512 core at 224x224: 1.6 ns per pixel in chunks, 7.7 in one loop without them (it does not
vectorise), torch.randn 4.7, NumPy's Generator 10.6.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from torch import Tensor

from fastrace.kernels.noise.reference import MULTIPLIERS, POISSON_STEPS, POISSON_WALK_BELOW, ROUNDS, WEYL
from fastrace.kernels.threads import NUMBA_CACHE, for_ranges

f32, i32, u32, u64 = np.float32, np.int32, np.uint32, np.uint64

# Polynomials: our own weighted minimax fits (iterated least squares on 6,000 Chebyshev points), rounded to float32. The
# error given is that of the fit, relative. They are in this file because numba's cache depends on no other.
# ln(1 + f) = f - f^2 / 2 + f^3 P(f) for f in [sqrt(1/2) - 1, sqrt(2) - 1]: 6e-9.
LN = (0.3333333134651184, -0.2500081956386566, 0.20001226663589478, -0.16623356938362122,
      0.14201757311820984, -0.13160182535648346, 0.127615824341774, -0.07634500414133072)  # fmt: skip
# sin t = t + t^3 P(t^2), cos t = 1 - t^2 / 2 + t^4 Q(t^2) for |t| <= pi / 4: 4e-9 and 1e-10.
SIN = (-0.16666655242443085, 0.008332177996635437, -0.00019517297914717346)
COS = (0.04166664555668831, -0.001388736767694354, 2.4438451873720624e-05)
# e^r = 1 + r + r^2 P(r) for |r| <= ln(2) / 2: 3e-9.
EXP = (0.4999999403953552, 0.1666652113199234, 0.04166838899254799, 0.008368710055947304, 0.001381461275741458)
# Normal quantile of (1 + x) / 2 = x P(w) with w = -ln(1 - x^2), in w - 2.5 below w = 5, in sqrt(w) - 3 above: 2.7e-7.
CENTRAL = (2.1233131885528564, 0.34880363941192627, -0.005906122736632824, -0.0017743106000125408,
           0.00030736016924493015, -5.7922370615415275e-06, -4.505606284510577e-06, 4.4658685283138766e-07)  # fmt: skip
TAIL = (4.006434917449951, 1.4165871143341064, 0.013321930542588234, -0.0108640156686306,
        0.008282043971121311, -0.0049186525866389275, 0.0015398487448692322, -0.00011041688412660733)  # fmt: skip

SQRT_HALF_BITS = 0x3F3504F3  # the bits of sqrt(1/2) in float32
# ln 2 in two parts, the first with nine bits, so that its product with an exponent is exact.
LN2_HIGH = 0.693359375
LN2_LOW = math.log(2.0) - LN2_HIGH
LOG2_E = 1.0 / math.log(2.0)
ANGLE = 2.0 * math.pi * 2.0**-32  # radians per step of the second word of a pair
NEGLIGIBLE = 2.0**-26  # Poisson terms below this cannot change a count: the uniform has 23 bits
EXPANSION = (1 / 3, 1 / 6, -1 / 36, 1 / 72, -8 / 405, 7 / 810, 1 / 270)  # see reference.poisson_expansion

GAUSSIAN, POISSON, SPECKLE, SALT_PEPPER = range(4)
CHUNK = 256  # counter blocks: words, normals and pixels of a chunk (12 KB) stay in the first-level cache

_M0, _M1 = (u64(m) for m in MULTIPLIERS)
_W0, _W1 = (u32(w) for w in WEYL)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = (f32(c) for c in LN)
_S0, _S1, _S2 = (f32(c) for c in SIN)
_C0, _C1, _C2 = (f32(c) for c in COS)
_E0, _E1, _E2, _E3, _E4 = (f32(c) for c in EXP)
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7 = (f32(c) for c in CENTRAL)
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7 = (f32(c) for c in TAIL)
_G0, _G1, _G2, _G3, _G4, _G5, _G6 = (f32(c) for c in EXPANSION)
_TWO_NEG_32, _TWO_NEG_33, _TWO_NEG_23 = f32(2.0**-32), f32(2.0**-33), f32(2.0**-23)
_ANGLE, _SQRT_HALF_BITS = f32(ANGLE), i32(SQRT_HALF_BITS)
_LN2_HIGH, _LN2_LOW, _LOG2_E = f32(LN2_HIGH), f32(LN2_LOW), f32(LOG2_E)
_RECIPROCAL = tuple(f32(1.0 / max(k, 1)) for k in range(POISSON_STEPS + 1))
_STEPS, _WALK_BELOW, _NEGLIGIBLE = POISSON_STEPS, f32(POISSON_WALK_BELOW), f32(NEGLIGIBLE)
_0, _HALF, _1, _2, _2_5, _3, _5, _INF = (f32(v) for v in (0, 0.5, 1, 2, 2.5, 3, 5, np.inf))

# Indices are unsigned throughout: numba wraps negative ones around, and that test keeps LLVM from vectorising.


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Return the four words of one counter; all uint32."""
    for _ in range(ROUNDS):
        left, right = _M0 * u64(c0), _M1 * u64(c2)
        c0, c1 = u32(u32(right >> u64(32)) ^ c1 ^ k0), u32(right)
        c2, c3 = u32(u32(left >> u64(32)) ^ c3 ^ k1), u32(left)
        k0, k1 = u32(k0 + _W0), u32(k1 + _W1)
    return c0, c1, c2, c3


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def ln(x):  # type: ignore[no-untyped-def]
    """ln x of a normal float: x = 2^e m with m in [sqrt(1/2), sqrt 2), ln m = f - f^2/2 + f^3 P(f), f = m - 1."""
    bits = f32(x).view(i32)
    exponent = i32(i32(bits - _SQRT_HALF_BITS) >> i32(23))
    f = i32(bits - i32(exponent << i32(23))).view(f32) - _1
    e, square = f32(exponent), f * f
    p = ((((((_L7 * f + _L6) * f + _L5) * f + _L4) * f + _L3) * f + _L2) * f + _L1) * f + _L0
    return e * _LN2_HIGH + (f + (square * f * p + (e * _LN2_LOW - _HALF * square)))


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def normal_pair(word0, word1):  # type: ignore[no-untyped-def]
    """Box-Muller: two words, two normals."""
    radius = np.sqrt(-_2 * ln(f32(word0) * _TWO_NEG_32 + _TWO_NEG_33))
    # The quarter turn and the exact rest of the angle, in integers: no range reduction in floating point.
    quarter = u32(u32(word1 + u32(0x20000000)) >> u32(30))
    t = f32(i32(u32(word1 - u32(quarter << u32(30))))) * _ANGLE
    square = t * t
    sine = t + t * square * ((_S2 * square + _S1) * square + _S0)
    cosine = _1 - _HALF * square + square * square * ((_C2 * square + _C1) * square + _C0)
    swap = (quarter & u32(1)) != u32(0)
    a = sine if swap else cosine
    b = cosine if swap else sine
    a = -a if u32(u32(quarter + u32(1)) & u32(2)) != u32(0) else a
    b = -b if u32(quarter & u32(2)) != u32(0) else b
    return radius * a, radius * b


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def uniform_midpoint(word):  # type: ignore[no-untyped-def]
    """One of the 2^23 midpoints of (0, 1)."""
    return (f32(word >> u32(9)) + _HALF) * _TWO_NEG_23


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def normal_quantile(u):  # type: ignore[no-untyped-def]
    """Inverse of the normal distribution function at a midpoint of (0, 1)."""
    x = _2 * u - _1
    w = -ln((_1 - x) * (_1 + x))
    s, t = w - _2_5, np.sqrt(w) - _3
    central = ((((((_P7 * s + _P6) * s + _P5) * s + _P4) * s + _P3) * s + _P2) * s + _P1) * s + _P0
    tail = ((((((_T7 * t + _T6) * t + _T5) * t + _T4) * t + _T3) * t + _T2) * t + _T1) * t + _T0
    return x * (central if w < _5 else tail)


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def exp_negative(x):  # type: ignore[no-untyped-def]
    """e^-x for x in [0, 10]."""
    n = np.floor(_HALF - x * _LOG2_E)
    r = (-x - n * _LN2_HIGH) - n * _LN2_LOW
    p = (((_E4 * r + _E3) * r + _E2) * r + _E1) * r + _E0
    return (_1 + (r + r * r * p)) * i32(i32(i32(n) + i32(127)) << i32(23)).view(f32)


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def poisson_counts(word, mean, count, p, rest):  # type: ignore[no-untyped-def]
    """Turn the words and means of a chunk into counts; `p` and `rest` are scratch."""
    walking = False
    for j in range(u64(word.size)):
        u, m = uniform_midpoint(word[j]), max(mean[j], _WALK_BELOW)
        z, root = normal_quantile(u), np.sqrt(m)
        square = z * z
        first = root * z + (_G0 + square * _G1)
        second = z * (_G2 - square * _G3) / root
        third = (_G4 + square * (_G5 + square * _G6)) / m
        expanded = max(np.floor(m + (first + (second + third))), _0)
        walks = mean[j] < _WALK_BELOW
        low = max(min(mean[j], _WALK_BELOW), _0)
        p[j] = exp_negative(low)
        rest[j] = u - p[j] if walks else _0
        count[j] = _0 if walks else expanded
        walking |= walks
    if not walking:
        return
    for k in range(1, _STEPS + 1):
        walking = False
        for j in range(u64(word.size)):
            # Once the terms are negligible, what is left of u is rounding error and must not become photons.
            walks = (rest[j] > _0) & ((p[j] >= _NEGLIGIBLE) | (count[j] < mean[j]))
            term = p[j] * (mean[j] * _RECIPROCAL[k])
            p[j] = term if walks else p[j]
            rest[j] = rest[j] - term if walks else rest[j]
            count[j] = count[j] + _1 if walks else count[j]
            walking |= walks
        if not walking:
            return


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _chunk(x, word, kind, a, b, threshold, s0, s1, s2, s3):  # type: ignore[no-untyped-def]
    """Apply one kind to the pixels `x` of a chunk; all arrays [4 * CHUNK], pixel 4j + k at k * CHUNK + j."""
    if kind in (GAUSSIAN, SPECKLE):
        for half in range(u64(0), u64(4 * CHUNK), u64(2 * CHUNK)):
            for j in range(half, half + u64(CHUNK)):
                s0[j], s0[j + u64(CHUNK)] = normal_pair(word[j], word[j + u64(CHUNK)])
        if kind == GAUSSIAN:
            for j in range(u64(x.size)):
                x[j] = x[j] + a * s0[j]
        else:
            for j in range(u64(x.size)):
                x[j] = x[j] * (_1 + a * s0[j])
    elif kind == POISSON:
        for j in range(u64(x.size)):
            s0[j] = x[j] * a
        poisson_counts(word, s0, s3, s1, s2)
        for j in range(u64(x.size)):
            x[j] = s3[j] * b if x[j] < _INF else x[j]
    else:
        for j in range(u64(x.size)):
            replaced = (u32(word[j] >> u32(1)) < threshold) & (x[j] == x[j])
            x[j] = f32(word[j] & u32(1)) if replaced else x[j]


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def fill_words(word, block, id0, id1, stream, k0, k1):  # type: ignore[no-untyped-def]
    """Fill a chunk [4 * CHUNK]: word k of counter block `block` + j at k * CHUNK + j."""
    for j in range(u64(CHUNK)):
        w0, w1, w2, w3 = philox(u32(block + j), id0, id1, stream, k0, k1)
        word[j], word[j + u64(CHUNK)] = w0, w1
        word[j + u64(2 * CHUNK)], word[j + u64(3 * CHUNK)] = w2, w3


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _load(x, image, start, blocks):  # type: ignore[no-untyped-def]
    for j in range(u64(blocks)):
        i = start + u64(4) * j
        x[j], x[j + u64(CHUNK)] = image[i], image[i + u64(1)]
        x[j + u64(2 * CHUNK)], x[j + u64(3 * CHUNK)] = image[i + u64(2)], image[i + u64(3)]


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _store(image, x, start, blocks):  # type: ignore[no-untyped-def]
    for j in range(u64(blocks)):
        i = start + u64(4) * j
        image[i], image[i + u64(1)] = x[j], x[j + u64(CHUNK)]
        image[i + u64(2)], image[i + u64(3)] = x[j + u64(2 * CHUNK)], x[j + u64(3 * CHUNK)]


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def fill(images, out, ids, first, last, kind, a, b, threshold, k0, k1, stream):  # type: ignore[no-untyped-def]
    """Write the noisy images `first` to `last - 1`; images and out are [N, pixels] float32."""
    pixels = images.shape[1]
    word, x = np.empty(4 * CHUNK, np.uint32), np.zeros(4 * CHUNK, np.float32)
    s0, s1, s2, s3 = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for n in range(first, last):
        id0, id1 = u32(u64(ids[n])), u32(u64(ids[n]) >> u64(32))
        for start in range(0, pixels, 4 * CHUNK):
            fill_words(word, u64(start // 4), id0, id1, stream, k0, k1)
            blocks = min(pixels - start, 4 * CHUNK) // 4
            _load(x, images[n], u64(start), blocks)
            rest = min(pixels - start, 4 * CHUNK) - 4 * blocks  # of the last, incomplete block of an image
            for k in range(rest):
                x[k * CHUNK + blocks] = images[n, start + 4 * blocks + k]
            _chunk(x, word, kind, a, b, threshold, s0, s1, s2, s3)
            _store(out[n], x, u64(start), blocks)
            for k in range(rest):
                out[n, start + 4 * blocks + k] = x[k * CHUNK + blocks]


def launch(
    images: Tensor, ids: Tensor, kind: int, a: float, b: float, threshold: int, seed: int, stream: int
) -> Tensor:
    """Return noisy copies of contiguous float32 CPU images [N, H, W]; arguments as prepared by the registration."""
    out = images.new_empty(images.shape)
    n, pixels = images.shape[0], images.shape[1] * images.shape[2]
    source, target, keys = images.detach().view(n, pixels).numpy(), out.view(n, pixels).numpy(), ids.numpy()
    key = (u32(seed & 0xFFFFFFFF), u32((seed >> 32) & 0xFFFFFFFF), u32(stream))

    def work(first: int, last: int) -> None:
        fill(source, target, keys, first, last, kind, f32(a), f32(b), u32(threshold), *key)

    for_ranges(work, n, pixels)
    return out
