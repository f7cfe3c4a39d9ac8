"""Noise on one core: what NumPy and torch offer for the same distributions, interleaved; losses are shown.

`fastrace bench noise`. The peers draw from one sequential stream: the noise of an image then depends on the batch and on
what was drawn before, which is what ours avoids. All write new float32 images of 32 x 224 x 224; ms is per image.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from fastrace.bench.measure import Peer, hot_and_cold
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.kernels.noise import COUNT_FLIPS, NORMAL_ERROR, PHOTONS_AT_WHITE, noise, noise_reference

COUNT, SIDE = 32, 224
AMOUNTS = {"gaussian": 0.1, "speckle": 0.1, "poisson": 0.25, "salt_pepper": 0.1}
QUICK_KINDS = ("gaussian", "poisson")
FLOAT32_ROUNDING = 2.0**-22  # two last places of results up to 2
# Operations on 32-bit numbers for each pixel, from the definition of the noise and not from anyone's code. Philox-4x32-10:
# ten rounds of two products (low and high word), four exclusive ors and two additions of the key make four words: 25 each.
# Box-Muller for two pixels: logarithm, root, sine, cosine, counted as one each, and four products; then x + sigma z.
# Poisson and salt and pepper: the uniform word and the comparison; the steps of an inversion depend on the pixel.
PHILOX, BOX_MULLER, APPLY = 25, 4, 2
WORK = {"gaussian": PHILOX + BOX_MULLER + APPLY, "speckle": PHILOX + BOX_MULLER + APPLY + 1}


def rows(quick: bool = False) -> list[Row]:
    """Measure; ms and ratio are per image.

    Parameters
    ----------
    quick : bool
        Two kinds instead of four, and fewer rounds.
    """
    with threads(1):
        return [row for kind in (QUICK_KINDS if quick else AMOUNTS) for row in _kind(kind, 5 if quick else 15)]


def _kind(kind: str, rounds: int) -> list[Row]:
    amount = AMOUNTS[kind]
    images = np.random.default_rng(0).random((COUNT, SIDE, SIDE), dtype=np.float32)
    tensor, ids, scale = torch.from_numpy(images), torch.arange(COUNT), PHOTONS_AT_WHITE * amount
    generators = {name: np.random.Generator(getattr(np.random, name)(1)) for name in ("PCG64", "SFC64", "Philox")}

    def numpy_draw(generator: np.random.Generator) -> np.ndarray:
        if kind == "poisson":
            return (generator.poisson(images * scale) / scale).astype(np.float32)
        if kind == "salt_pepper":
            u = generator.random(images.shape, dtype=np.float32)
            return np.where(u < amount, (u < amount / 2).astype(np.float32), images)
        z = generator.standard_normal(images.shape, dtype=np.float32)
        return images + np.float32(amount) * z if kind == "gaussian" else images * (1 + np.float32(amount) * z)

    def torch_draw() -> torch.Tensor:
        if kind == "poisson":
            return torch.poisson(tensor * scale) / scale
        if kind == "salt_pepper":
            u = torch.rand_like(tensor)
            return torch.where(u < amount, (u < amount / 2).float(), tensor)
        z = torch.randn_like(tensor)
        return tensor + amount * z if kind == "gaussian" else tensor * (1 + amount * z)

    exact = noise_reference(images[:1], ids[:1].numpy(), kind, amount, seed=1)

    def error(result: torch.Tensor) -> Error:
        ours = result[:1].numpy().astype(np.float64)
        if kind == "poisson":
            # A count off by one is no rounding error; as long as such pixels are as few as stated, the others are compared.
            flips = np.abs(ours - exact) > 0.5 / scale
            if flips.mean() <= COUNT_FLIPS:
                ours[flips] = exact[flips]
        return difference(ours, exact)

    limit = {"salt_pepper": 0.0, "poisson": FLOAT32_ROUNDING}.get(kind, amount * NORMAL_ERROR + FLOAT32_ROUNDING)
    peers = [Peer("fastrace", lambda: noise(tensor, ids, kind, amount, seed=1), limit=limit)]
    for name, generator in generators.items():
        peers.append(Peer(f"numpy Generator({name})", partial(numpy_draw, generator), ("numpy",)))
    peers.append(Peer("torch", torch_draw, ("torch",)))
    what = f"noise {kind} {amount} {SIDE}x{SIDE} float32, batch {COUNT}, 1 core"
    pixels = SIDE * SIDE
    work = (8.0 * pixels, WORK.get(kind, PHILOX + APPLY) * float(pixels))  # float32 in and out
    cold = ("torch", "numpy Generator(SFC64)") if kind == "gaussian" else ()
    return hot_and_cold(what, peers, error, cold=cold, rounds=rounds, per=COUNT, work=work)
