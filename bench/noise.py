"""Noise on one core: what NumPy and torch offer for the same distributions, interleaved; losses are shown.

`python -m bench.noise`. The peers draw from one sequential stream: the noise of an image then depends on the batch and on
what was drawn before, which is what ours avoids. All write new float32 images of 32 x 224 x 224; ms is per image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from bench.bandpass import _one_thread
from bench.common import Row, interleave, rows_against, show, version
from fastrace.kernels.noise import PHOTONS_AT_WHITE, noise, noise_reference

COUNT, SIDE, ROUNDS = 32, 224, 15
AMOUNTS = {"gaussian": 0.1, "speckle": 0.1, "poisson": 0.25, "salt_pepper": 0.1}


def rows() -> list[Row]:
    """Measure every kind; ms and ratio are per image."""
    with _one_thread():
        return [row for kind in AMOUNTS for row in _kind(kind)]


def _kind(kind: str) -> list[Row]:
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

    calls: dict[str, Callable[[], object]] = {"fastrace": lambda: noise(tensor, ids, kind, amount, seed=1)}
    for name, generator in generators.items():
        calls[f"numpy Generator({name})"] = lambda generator=generator: numpy_draw(generator)
    calls["torch"] = torch_draw
    exact = noise_reference(images[:1], ids[:1].numpy(), kind, amount, seed=1)[0]
    ours = noise(tensor[:1], ids[:1], kind, amount, seed=1)[0].numpy()
    difference = np.abs(ours - exact)
    # A count off by one (COUNT_FLIPS) is no rounding error; the table shows the error of the others.
    rounding = difference[difference < 0.5 / scale] if kind == "poisson" else difference
    times = {name: seconds / COUNT for name, seconds in interleave(calls, ROUNDS).items()}
    versions = {name: version("numpy" if name.startswith("numpy") else name) for name in calls}
    what = f"noise {kind} {amount} {SIDE}x{SIDE} float32, batch {COUNT}, 1 core"
    return rows_against(what, "fastrace", times, versions, {"fastrace": float(rounding.max())})


def main() -> None:
    """Measure and print; the last line is one JSON document."""
    show(rows())


if __name__ == "__main__":
    main()
