"""The built-in features on the device of the images: loops on a CPU, operations on whole batches on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.audit.frequencies import ring_edges
from fastrace.audit.readers.batch_sweep import BatchSweep
from fastrace.audit.readers.sweep import Sweep
from fastrace.errors import BackendMissing
from fastrace.kernels.bandpass import missing
from fastrace.train.pipeline import choose_device


def sweep_on(
    device: torch.device,
    size: tuple[int, int],
    keeps: Sequence[NDArray[np.bool_]],
    coarse: Sequence[NDArray[np.bool_]] = (),
) -> Sweep:
    """A `Sweep` for images on a device."""
    return (Sweep if device.type == "cpu" else BatchSweep)(size, keeps, coarse)


def reading_device(name: str) -> tuple[torch.device, str]:
    """Where images are read, and why not where they were asked to be.

    Parameters
    ----------
    name : "auto" | "cpu" | "cuda"
        ``auto``: a GPU that has what the band-pass needs (CuPy), else the CPU.

    Raises
    ------
    BackendMissing
        ``cuda`` without a device, or without what the band-pass needs there.
    """
    device = choose_device(name)
    lacking = missing(device)
    if lacking is None:
        return device, ""
    if name == "cuda":
        raise BackendMissing(f"--device cuda: {lacking}")
    return torch.device("cpu"), f"images are read on the CPU: {lacking}"


def extract(images: Tensor) -> NDArray[np.float32]:  # [N, H, W] float32 -> [N, D]
    """Features of images as they are."""
    size = (images.shape[1], images.shape[2])
    sweep = sweep_on(images.device, size, [np.ones(len(ring_edges(size)) - 1, dtype=bool)])
    parts, values = sweep(images)
    return np.concatenate([parts, values[:, 0]], axis=1)
