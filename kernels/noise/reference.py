"""What the noise means, in NumPy: the counter-based words, the mapping of words to numbers, each kind in float64.

Nothing here is fast. The CPU and the CUDA kernel are tested against it, word for word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import poisson

# Round constants of Philox-4x32 and the Weyl increments of its key.
# Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

# Above this mean the Poisson quantile comes from its expansion, below from a walk along the distribution function.
POISSON_WALK_BELOW = 10.0
# u <= 1 - 2^-24, and P(K <= 32) > 1 - 2^-24 for every mean below 10: the walk never needs more steps.
POISSON_STEPS = 32

Words = NDArray[np.uint32]
Floats = NDArray[np.float64]


def philox4x32(counter: Words, key: Words, rounds: int = ROUNDS) -> Words:
    """Encrypt counters with Philox-4x32.

    Parameters
    ----------
    counter : ndarray, [..., 4] uint32
    key : ndarray, [..., 2] uint32
    rounds : int

    Returns
    -------
    ndarray, [..., 4] uint32
    """
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = (key[..., i].astype(np.uint64) for i in range(2))
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(rounds):
        left, right = np.uint64(MULTIPLIERS[0]) * c0, np.uint64(MULTIPLIERS[1]) * c2
        c0, c1, c2, c3 = (right >> shift) ^ c1 ^ k0, right & low, (left >> shift) ^ c3 ^ k1, left & low
        k0, k1 = (k0 + np.uint64(WEYL[0])) & low, (k1 + np.uint64(WEYL[1])) & low
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1).astype(np.uint32)


def words(image_id: int, pixels: int, seed: int, stream: int) -> Words:
    """Return one 32-bit word per pixel of one image, in row-major order.

    Parameters
    ----------
    image_id, seed : int
        64-bit patterns; a negative number is taken as its two's complement.
    pixels : int
        Number of pixels; block ``b`` of the counter serves pixels ``4b`` to ``4b + 3``.
    stream : int
        0 .. 2**32 - 1.
    """
    blocks = -(-pixels // 4)
    counter = np.zeros((blocks, 4), np.uint32)
    counter[:, 0] = np.arange(blocks, dtype=np.uint32)
    counter[:, 1] = image_id & 0xFFFFFFFF
    counter[:, 2] = (image_id >> 32) & 0xFFFFFFFF
    counter[:, 3] = stream
    key = np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF], np.uint32)
    return philox4x32(counter, key).reshape(-1)


def uniform(word: Words) -> Floats:
    """Map words to ``[2**-33, 1]``: ``word * 2**-32 + 2**-33``, each step rounded to float32, which is its definition."""
    exact: Floats = (word.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33)).astype(np.float64)
    return exact


def uniform_midpoint(word: Words) -> Floats:
    """Map words to the 2**23 midpoints of ``(0, 1)``: ``((word >> 9) + 1/2) * 2**-23``, exact in float32."""
    midpoint: Floats = ((word >> np.uint32(9)).astype(np.float64) + 0.5) * 2.0**-23
    return midpoint


def normals(word: Words) -> Floats:
    """Return standard normals by Box-Muller: words ``2i`` and ``2i + 1`` give normals ``2i`` and ``2i + 1``.

    The first word of the pair gives the radius ``sqrt(-2 ln u)`` (at most 6.77), the second the angle
    ``2 pi word / 2**32``; the pair is ``radius * (cos, sin)``. ``len(word)`` is even.

    Source: Box and Muller, Annals of Mathematical Statistics 29(2), 1958.
    """
    radius = np.sqrt(-2.0 * np.log(uniform(word[0::2])))
    angle = 2.0 * np.pi * (word[1::2].astype(np.float64) * 2.0**-32)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1)


def poisson_expansion(z: Floats, mean: Floats) -> Floats:
    """Return the real number whose floor is the Poisson quantile at the normal quantile ``z``, for means >= 10.

    Source: Giles, "Algorithm 955: approximation of the inverse Poisson cumulative distribution function",
    ACM TOMS 42(1), 2016, the expansion of section 2 up to order 1/mean. Its distribution departs from the Poisson
    distribution by at most 1.4e-4 in total variation (at mean 10; 5e-5 at 16) and by 3e-4 of the variance.
    """
    root = np.sqrt(mean)
    second = -(z / 36.0 + z**3 / 72.0) / root
    third = (-8.0 / 405.0 + (7.0 / 810.0) * z**2 + z**4 / 270.0) / mean
    return mean + root * z + (1.0 / 3.0 + z**2 / 6.0) + second + third


def poisson_counts(word: Words, mean: Floats) -> Floats:
    """Return Poisson counts by inversion of one uniform per pixel; 0 where the mean is not above 0."""
    u = uniform_midpoint(word)
    low = np.clip(mean, 0.0, POISSON_WALK_BELOW)
    high = np.maximum(mean, POISSON_WALK_BELOW)
    walked = np.maximum(poisson.ppf(u, np.maximum(low, 1e-30)), 0.0)
    expanded = np.maximum(np.floor(poisson_expansion(ndtri(u), high)), 0.0)
    return np.where(mean < POISSON_WALK_BELOW, np.where(mean > 0, walked, 0.0), expanded)


def noise_one(image: Floats, image_id: int, kind: str, amount: float, seed: int, stream: int, photons: float) -> Floats:
    """Return one noisy image in float64; see `fastrace.kernels.noise.noise`."""
    x = image.reshape(-1)
    padded = np.append(x, np.zeros(-x.size % 4))
    word = words(image_id, x.size, seed, stream)
    if kind == "gaussian":
        out = padded + amount * normals(word)
    elif kind == "speckle":
        out = padded * (1.0 + amount * normals(word))
    elif kind == "poisson":
        # A NaN pixel must not reach ppf; it comes back below.
        counts = poisson_counts(word, np.nan_to_num(padded) * (photons * amount))
        out = np.where(np.isposinf(padded), padded, counts / (photons * amount))
    else:
        replaced = (word >> np.uint32(1)).astype(np.float64) < np.round(amount * 2.0**31)
        out = np.where(replaced, (word & np.uint32(1)).astype(np.float64), padded)
    return np.where(np.isnan(padded), np.nan, out)[: x.size].reshape(image.shape)
