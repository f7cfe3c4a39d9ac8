"""The operations that `python -m fastrace.bench.gpu` times, and the other ways to do them.

Every peer computes from the same images on the device. torch's band-pass multiplies by a mask made beforehand, which ours
computes in each call. Peers whose noise is another stream have no error to compare.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastrace.bench.gpu_clock import Case, Peer
from fastrace.bench.patches import EPSILON, GRIDS, THRESHOLD, torch_chain
from fastrace.degrade.grammar import Degradation
from fastrace.degrade.operations import NetworkInput, apply
from fastrace.degrade.parser import parse
from fastrace.kernels.bandpass import TOLERANCE, Filter, bandpass, bandpass_reference, bandpass_sweep, choice, cuda
from fastrace.kernels.bandpass.callbacks import FULL_SCALE
from fastrace.kernels.bandpass.jit import Epilogue
from fastrace.kernels.noise import NORMAL_ERROR, noise, noise_reference, prepared
from fastrace.kernels.patches import CUDA_TOLERANCE, patches, patches_reference, scale
from fastrace.kernels.window import Transfer, window, window_reference

SIDE = 224
MAMMOGRAM, TO = (3328, 2560), (1024, 512)
CHECKED = 2  # images of a batch that are held against float64
SIGMA, SEED = 0.1, 1
BANDS = ((0.0, 25.0), (10.0, 50.0), (0.0, float("inf")))
SWEEP = 20  # cut-offs of one image
PATCHES_SIDE, FILTERS, PATCH = 50, 256, 6
DEGRADATIONS = ("lowpass:25+noise:gaussian:0.1+clip:0.6", "lowpass:25+clip:0.6")
FLOAT32_ROUNDING, FLOAT16_ROUNDING = 2.0**-22, 2.0**-10  # of values up to 2
OTHER_NOISE = "other noise"
NETWORK = NetworkInput(0.5, 0.25, torch.float16)

Function = Callable[..., Tensor]


def cases(
    device: torch.device, count: int, side: int = SIDE, mammogram: tuple[int, int] = MAMMOGRAM
) -> list[tuple[str, Callable[[], Case]]]:
    """Return every operation for a batch of `count` images, by name; each makes its images when it is called."""
    to = (TO[0] * mammogram[0] // MAMMOGRAM[0], TO[1] * mammogram[1] // MAMMOGRAM[1])
    band = (BANDS[1][0] * side / SIDE, BANDS[1][1] * side / SIDE)
    return [
        ("window of mammograms", partial(window_case, device, count, mammogram, to)),
        ("window", partial(window_case, device, count, (side, side), None)),
        *(
            (f"bandpass {low:g}:{high:g}", partial(bandpass_case, device, count, side, low, high))
            for low, high in BANDS
        ),
        (f"bandpass, {SWEEP} cut-offs", partial(sweep_case, device, count, side)),
        ("bandpass, noise, clamp", partial(fused_case, device, count, side, *band)),
        ("noise gaussian", partial(noise_case, device, count, side, "gaussian", SIGMA)),
        ("noise poisson", partial(noise_case, device, count, side, "poisson", 0.25)),
        ("patches", partial(patches_case, device, count, PATCHES_SIDE * side // SIDE)),
        *((text, partial(degradation_case, device, count, side, text)) for text in DEGRADATIONS),
    ]


def _stored(device: torch.device, *shape: int, bits: int = 16) -> Tensor:
    # Through int16, without a wider copy: a batch of mammograms is 17 GB.
    low = -(1 << 15) if bits == 16 else 0
    generator = torch.Generator(device).manual_seed(SEED)
    words = torch.randint(low, low + (1 << bits), shape, generator=generator, device=device, dtype=torch.int16)
    return words.view(torch.uint16)


def _display(device: torch.device, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator(device).manual_seed(SEED), device=device)


def _largest(result: Tensor, expected: np.ndarray[Any, Any]) -> float:
    got = result[: len(expected)].double().cpu().numpy().reshape(expected.shape)
    return float(np.abs(got - expected).max(initial=0))


def _ways(
    name: str, function: Function, *arguments: Any, packages: tuple[str, ...] = ("torch",), other: str = ""
) -> list[Peer]:
    """Eager, compiled, and both from a CUDA graph."""
    compiled: list[Function] = []

    def run() -> Tensor:
        if not compiled:
            compiled.append(torch.compile(function, fullgraph=True, dynamic=False))
        return compiled[0](*arguments)

    eager = lambda: function(*arguments)  # noqa: E731
    return [
        Peer(f"{name}, eager", eager, packages, other),
        Peer(f"{name}, eager, CUDA graph", eager, packages, other, graph=True),
        Peer(f"{name}, torch.compile", run, packages, other),
        Peer(f"{name}, torch.compile, CUDA graph", run, packages, other, graph=True),
    ]


def _both(name: str, call: Callable[[], Tensor]) -> list[Peer]:
    return [Peer(name, call, ("fastrace",)), Peer(f"{name}, CUDA graph", call, ("fastrace",), graph=True)]


def window_case(device: torch.device, count: int, size: tuple[int, int], to: tuple[int, int] | None) -> Case:
    """12-bit words to display values in float16, and to network size."""
    words = _stored(device, count, *size, bits=12)
    center, width = 2000.0, 2400.0
    transfer = Transfer(12, scale=1 / (width - 1), offset=0.5 - (center - 0.5) / (width - 1))
    images, transfers = list(words), [transfer] * count
    expected = window_reference(list(words[:CHECKED].cpu().numpy()), transfers[:CHECKED], to, dtype=None)

    def torch_way(stored: Tensor) -> Tensor:
        shown = ((stored.float() - (center - 0.5)) / (width - 1) + 0.5).clamp(0, 1)
        if to is not None:
            shown = F.interpolate(shown[:, None], to, mode="area")[:, 0]
        return shown.half()

    peers = [
        Peer("fastrace", lambda: window(images, transfers, to, dtype=torch.float16), ("fastrace",)),
        *_ways("torch", torch_way, words, other="" if to is None else "pools whole pixels"),
    ]
    out = to or size
    return Case(
        f"window {size[0]}x{size[1]} uint16 -> {out[0]}x{out[1]} float16",
        count,
        count * 2 * (size[0] * size[1] + out[0] * out[1]),
        peers,
        lambda result: _largest(result, expected),
        FLOAT16_ROUNDING,
        "fastrace plans its launch on the host in every call, so a graph cannot hold it",
    )


def _torch_filter(device: torch.device, side: int, low: float, high: float) -> tuple[Tensor, Function]:
    mask = torch.from_numpy(Filter(low, high).gain(side, side)[:, : side // 2 + 1].astype(np.float32)).to(device)
    return mask, lambda images, mask: torch.fft.irfft2(torch.fft.rfft2(images) * mask, s=images.shape[-2:])


def bandpass_case(device: torch.device, count: int, side: int, low: float, high: float) -> Case:
    """One ideal filter for all images, float32 in and out."""
    images = _display(device, count, side, side)
    mask, torch_way = _torch_filter(device, side, low, high)
    band = Filter(low, high)
    expected = bandpass_reference(images[:CHECKED].cpu().numpy(), band)

    def ours(path: str) -> Callable[[], Tensor]:
        return lambda: cuda.launch(images, [band], path=path)

    peers = [
        *_both("fastrace", lambda: bandpass(images, band)),
        *_both("fastrace, callbacks", ours(choice.CALLBACKS)),
        *_both("fastrace, plain", ours(choice.PLAIN)),
        *_ways("torch.fft", torch_way, images, mask),
    ]
    return Case(
        f"bandpass {low:g}:{high:g} {side}x{side} float32",
        count,
        count * side * side * 8,
        peers,
        lambda r: _largest(r, expected),
        2 * TOLERANCE[torch.float32],
    )


def sweep_case(device: torch.device, count: int, side: int) -> Case:
    """Low-passes of a few images, as many results as a batch has; "each" transforms forth and back for every cut-off."""
    images = _display(device, max(1, count // SWEEP), side, side)
    # From a thirtieth of the sampling limit to the corner, where everything passes.
    bands = [(0.0, float(radius)) for radius in np.linspace(side / 60, side / 2 * 1.41, SWEEP)]
    filters = [Filter(*band) for band in bands]
    masks = torch.stack([_torch_filter(device, side, *band)[0] for band in bands])
    checked = images[:CHECKED].cpu().numpy()
    expected = np.stack([bandpass_reference(checked, filter) for filter in filters], 1)

    def ours(path: str) -> Callable[[], Tensor]:
        return lambda: cuda.launch_sweep(images, filters, path=path)

    def torch_way(images: Tensor, masks: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(images)[:, None] * masks, s=images.shape[-2:])

    peers = [
        *_both("fastrace", lambda: bandpass_sweep(images, filters)),
        *_both("fastrace, callbacks", ours(choice.CALLBACKS)),
        *_both("fastrace, plain", ours(choice.PLAIN)),
        *_both("fastrace, each", lambda: torch.stack([bandpass(images, filter) for filter in filters], 1)),
        *_ways("torch.fft, shared", torch_way, images, masks),
    ]
    pixels = len(images) * side * side
    return Case(
        f"bandpass, {SWEEP} cut-offs of each of {len(images)} images, {side}x{side} float32",
        len(images) * SWEEP,
        pixels * 4 * (1 + SWEEP),
        peers,
        lambda result: _largest(result, expected),
        2 * TOLERANCE[torch.float32],
    )


def fused_case(device: torch.device, count: int, side: int, low: float, high: float) -> Case:
    """Stored pixels to float16: band, Gaussian noise, clamp."""
    images = _stored(device, count, side, side)
    ids = torch.arange(count, device=device)
    scale = FULL_SCALE[torch.uint16]
    mask, filtered = _torch_filter(device, side, low, high)
    band = Filter(low, high)
    exact = bandpass_reference(images[:CHECKED].cpu().numpy().astype(np.float64) / scale, band)
    expected = noise_reference(exact, ids[:CHECKED].cpu().numpy(), "gaussian", SIGMA, seed=SEED).clip(-1, 1)
    epilogue = Epilogue(
        torch.float16, -1.0, 1.0, prepared("gaussian", SIGMA, SEED)[0], ids, *prepared("gaussian", SIGMA, SEED)[1:]
    )

    def ours(path: str) -> Callable[[], Tensor]:
        return lambda: cuda.launch_fused(images, [band], epilogue, full_scale=scale, path=path)

    def finish(values: Tensor) -> Tensor:
        return noise(values, ids, "gaussian", SIGMA, seed=SEED).clamp(-1, 1).half()

    def without_noise(path: str) -> Callable[[], Tensor]:
        return lambda: finish(cuda.launch_fused(images, [band], full_scale=scale, path=path))

    def torch_way(stored: Tensor, mask: Tensor) -> Tensor:
        values = filtered(stored.float() / scale, mask)
        return (values + SIGMA * torch.randn_like(values)).clamp(-1, 1).half()

    peers = [
        *_both("fastrace, callbacks", ours(choice.CALLBACKS)),
        *_both("fastrace, callbacks, noise after", without_noise(choice.CALLBACKS)),
        *_both("fastrace, plain", ours(choice.PLAIN)),
        *_ways("torch.fft", torch_way, images, mask, other=OTHER_NOISE),
    ]
    operation = f"bandpass {low:g}:{high:g}, noise, clamp {side}x{side} uint16 -> float16"
    return Case(operation, count, count * side * side * 4, peers, lambda r: _largest(r, expected), FLOAT16_ROUNDING)


def noise_case(device: torch.device, count: int, side: int, kind: str, amount: float) -> Case:
    """Noise alone, float32 in and out."""
    images, ids = _display(device, count, side, side), torch.arange(count, device=device)
    expected = noise_reference(images[:CHECKED].cpu().numpy(), ids[:CHECKED].cpu().numpy(), kind, amount, seed=SEED)
    photons = 1000 * amount

    def torch_way(values: Tensor) -> Tensor:
        if kind == "poisson":
            return torch.poisson(values * photons) / photons
        return values + amount * torch.randn_like(values)

    def kornia_way() -> Tensor:
        augmentation = importlib.import_module("kornia.augmentation")
        result: Tensor = augmentation.RandomGaussianNoise(0.0, amount, p=1.0)(images[:, None])
        return result

    peers = [
        *_both("fastrace", lambda: noise(images, ids, kind, amount, seed=SEED)),
        *_ways("torch", torch_way, images, other=OTHER_NOISE),
    ]
    if kind == "gaussian":
        peers.append(Peer("kornia RandomGaussianNoise", kornia_way, ("kornia",), other=OTHER_NOISE))
    # A Poisson count on a step may be off by one: few are, and the parity tests count them.
    limit = 1.01 / photons if kind == "poisson" else amount * NORMAL_ERROR + FLOAT32_ROUNDING
    operation = f"noise {kind} {amount} {side}x{side} float32"
    return Case(operation, count, count * side * side * 8, peers, lambda r: _largest(r, expected), limit)


def patches_case(device: torch.device, count: int, side: int) -> Case:
    """The features of random patches; torch's chain in parts of 64 images, since it stores [K, H, W] a dozen times."""
    side = max(side, PATCH + 2)  # three positions along an axis
    images = _display(device, count, side, side)
    filters = (
        torch.randn((FILTERS, PATCH, PATCH), generator=torch.Generator(device).manual_seed(SEED), device=device) / PATCH
    )
    expected = patches_reference(images[:CHECKED].cpu().numpy(), filters.cpu().numpy(), THRESHOLD, EPSILON, GRIDS)

    def torch_way(images: Tensor, filters: Tensor) -> Tensor:
        return torch.cat([torch_chain(part, filters) for part in images.split(64)])

    peers = [
        *_both("fastrace", lambda: patches(images, filters, THRESHOLD, EPSILON, GRIDS)),
        *_ways("torch", torch_way, images, filters, other="convolves in TF32" if device.type == "cuda" else ""),
    ]
    features = expected.shape[1]
    return Case(
        f"patches {PATCH}x{PATCH}, {FILTERS} filters, {side}x{side} float32",
        count,
        count * 4 * (side * side + features),
        peers,
        lambda result: _largest(result, expected),
        CUDA_TOLERANCE * scale(filters.cpu(), THRESHOLD),
        "bound by its products: 37 MFLOP an image, as three TF32 products 150",
    )


def degradation_case(device: torch.device, count: int, side: int, text: str) -> Case:
    """A whole degradation: stored pixels to what a network reads."""
    images, ids = _stored(device, count, side, side), torch.arange(count, device=device)
    degradation: Degradation = parse(text)
    noisy = "noise" in text
    mask, filtered = _torch_filter(device, side, 0.0, 25.0)
    exact = bandpass_reference(images[:CHECKED].cpu().numpy().astype(np.float64) / 65535, Filter(0, 25))
    if noisy:
        stream = 1 << 24  # noise is the second operation
        exact = noise_reference(exact, ids[:CHECKED].cpu().numpy(), "gaussian", SIGMA, seed=SEED, stream=stream)
    expected = (exact.clip(max=0.6) - NETWORK.mean) / NETWORK.std

    def ours(stored: Tensor, keys: Tensor) -> Tensor:
        return apply(degradation, stored, keys, seed=SEED, network=NETWORK)

    def torch_way(stored: Tensor, mask: Tensor) -> Tensor:
        values = filtered(stored.float() / 65535, mask)
        if noisy:
            values = values + SIGMA * torch.randn_like(values)
        values = values.clamp(max=0.6)
        return ((values - NETWORK.mean) / NETWORK.std).half()[:, None]

    peers = [
        *_ways("fastrace", ours, images, ids, packages=("fastrace",)),
        *_ways("torch.fft", torch_way, images, mask, other=OTHER_NOISE if noisy else ""),
    ]
    operation = f"{text}, normalised, {side}x{side} uint16 -> float16"
    return Case(operation, count, count * side * side * 4, peers, lambda r: _largest(r, expected), 8 * FLOAT16_ROUNDING)
