"""The built-in features on a GPU: what `fastrace.audit.readers.sweep` computes with loops, as operations of torch on a batch.

Sums run in float64 and never by atomic additions: the same batch gives the same bits again. Rings, octaves and filters are
taken one at a time, so that memory is that of the rings and a few times that of the images. The tests hold every part against
the loops, on the CPU.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.audit.frequencies import OCTAVE
from fastrace.audit.readers.patches import coarse, coarse_size
from fastrace.audit.readers.rings import GRID, HISTOGRAM, PEAK_GRID, POOLS, SECTORS
from fastrace.audit.readers.sweep import CODE, FLOOR, QUIET, SMALL, ZERO, Sweep, code_bins, spectrum_of
from fastrace.kernels.bandpass import bandpass_sweep


class BatchSweep(Sweep):
    """A `Sweep` of images on any device, a batch at once."""

    def with_coarse(
        self,
        images: Tensor,  # [N, H, W] float32
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Tensor]:
        """Extract the features, see `Sweep.with_coarse`; the coarse images stay on the device."""
        mean = images.mean(dim=(1, 2), dtype=torch.float64).float()[:, None, None]  # taken out as on the CPU
        centred = images - mean
        ringed = bandpass_sweep(centred, self._bands)  # [N, R, H, W]
        ringed[:, 0] += mean
        second = torch.stack([_tiles(one.square(), GRID) for one in ringed.unbind(1)], dim=1)  # [N, R, GRID * GRID]
        rings = torch.cat([self._power(centred, mean), torch.log(second + FLOOR)], dim=2)
        scales = (1 / torch.sqrt(second.mean(dim=2) + SMALL)).float()[:, :, None, None]
        three = (slice(j, j + OCTAVE) for j in range(1, self.n_rings - OCTAVE + 1))
        peaks = [_peaks((scales[:, some] * ringed[:, some]).sum(dim=1)) for some in three]
        parts = torch.cat([rings.flatten(1), *peaks], dim=1)
        values = torch.stack([self._values(ringed, keep) for keep in self.keeps], dim=1)
        chosen = torch.from_numpy(self._coarse).to(images.device, torch.float64)
        small = torch.zeros((len(images), 0, *coarse_size(self.size)), device=images.device)
        if len(chosen):
            small = torch.einsum("cr,nrhw->nchw", chosen, coarse(ringed).double()).float()
        return parts.float().cpu().numpy(), values.float().cpu().numpy(), small

    def _power(self, centred: Tensor, mean: Tensor) -> Tensor:  # [N, R, 1 + SECTORS] float64
        """Log mean power of each ring, and its share in each orientation."""
        spectrum, pixels, device = spectrum_of(self.size), self.size[0] * self.size[1], centred.device
        key = (spectrum.ring.astype(np.int64) * SECTORS + spectrum.sector).ravel()
        order = np.argsort(key, kind="stable")
        ends = np.searchsorted(key[order], np.arange(self.n_rings * SECTORS + 1))
        found = torch.fft.rfft2(centred)
        twice = torch.from_numpy(spectrum.twice).to(device, torch.float64)
        each = ((found.real.double().square() + found.imag.double().square()) * twice).flatten(1)
        each = each[:, torch.from_numpy(order).to(device)]
        power = torch.stack([each[:, first:last].sum(dim=1) for first, last in itertools.pairwise(ends)], dim=1)
        power = power.reshape(len(centred), self.n_rings, SECTORS)
        power[:, 0, 0] += (mean[:, 0, 0].double() * pixels).square()
        count = torch.from_numpy(spectrum.count).to(device)
        whole = torch.log(power.sum(dim=2) / count.sum(dim=1) / pixels + FLOOR)[:, :, None]
        return torch.cat([whole, torch.log(power / count / pixels + FLOOR) - whole], dim=2)

    def _values(self, ringed: Tensor, keep: NDArray[np.bool_]) -> Tensor:  # [N, PIXELS + HISTOGRAM] float64
        """Means on the grids and the histogram of the image that a filter leaves."""
        image = torch.zeros_like(ringed[:, 0])
        for j in np.flatnonzero(keep):
            image += ringed[:, j]
        image = torch.where(image.abs() < float(ZERO), 0.0, image)
        fine = POOLS[-1]
        rows, columns = (_cells(n, fine, image.device) for n in self.size)
        pooled = rows @ image.double() @ columns.T / torch.from_numpy(self._pixels).to(image.device)
        grids = [pooled.reshape(-1, side, fine // side, side, fine // side).mean(dim=(2, 4)) for side in POOLS]
        code = (image.contiguous().view(torch.int32).flatten(1).long() >> (32 - CODE)) & ((1 << CODE) - 1)
        code += torch.arange(len(image), device=image.device)[:, None] << CODE
        counts = torch.bincount(code.flatten(), minlength=len(image) << CODE).reshape(len(image), 1 << CODE)
        shares = counts.double() @ _bins(image.device) / (self.size[0] * self.size[1])
        return torch.cat([*(one.flatten(1) for one in grids), torch.sqrt(shares)], dim=1)


def _peaks(octave: Tensor) -> Tensor:  # [N, H, W] -> [N, 4] float64
    """Quartiles and mean of the log kurtosis over tiles."""
    square = octave.square()
    second, fourth = _tiles(square, PEAK_GRID), _tiles(square.square(), PEAK_GRID)
    kurtosis = torch.log((fourth + QUIET) / (second.square() + QUIET))
    ordered = kurtosis.sort(dim=1).values
    quarters = [_between(ordered, quarter * (ordered.shape[1] - 1) / 4) for quarter in range(1, 4)]
    return torch.stack([*quarters, kurtosis.mean(dim=1)], dim=1)


def _between(ordered: Tensor, place: float) -> Tensor:  # [N, T] -> [N]
    """Between neighbours, as numpy's quantile does it; torch's takes no empty batch."""
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (place - below) * (ordered[:, above] - ordered[:, below])


def _tiles(values: Tensor, grid: int) -> Tensor:  # [N, H, W] -> [N, grid * grid] float64
    """Means over the tiles of a grid; 0 where an image is smaller than the grid."""
    rows, columns = (_tile_rows(n, grid, values.device) for n in values.shape[1:])
    return (rows @ values.double() @ columns.T).flatten(1)


def _tile_rows(n: int, grid: int, device: torch.device) -> Tensor:  # [grid, n] float64
    edges = torch.arange(grid + 1, device=device) * n // grid
    at = torch.arange(n, device=device)
    inside = ((at >= edges[:-1, None]) & (at < edges[1:, None])).double()
    return inside / inside.sum(dim=1, keepdim=True).clamp(min=1)


def _cells(n: int, side: int, device: torch.device) -> Tensor:  # [side, n] float64
    """Which cell of a grid each row of pixels belongs to."""
    return (torch.arange(n, device=device) * side // n == torch.arange(side, device=device)[:, None]).double()


def _bins(device: torch.device) -> Tensor:  # [2^CODE, HISTOGRAM] float64
    """Which bins the values of each code are counted in."""
    bins = code_bins()
    found = np.zeros((len(bins), HISTOGRAM))
    linear = np.flatnonzero(bins[:, 0] >= 0)
    found[linear, bins[linear, 0]] = 1
    found[np.arange(len(bins)), bins[:, 1]] = 1
    return torch.from_numpy(found).to(device)
