"""The built-in features: what a linear probe reads where no trained network is available.

Every image is decomposed once into rings of the Fourier plane, ``edges[j] <= r < edges[j + 1]`` in cycles/image. The edges hold
the study's cut-offs and third octaves, so each radial filter of the audit keeps whole rings: its image is the sum of its
rings, and their features are computed once for all filters. From each ring, octave (three rings, made equally strong), and sum:

    spectrum   log mean power, and its share in four orientations               (5 a ring)
    tiles      log mean square on a 3 x 3 grid of tiles                         (9 a ring)
    peaks      quartiles and mean of the log kurtosis on 8 x 8 tiles            (4 an octave)
    pixels     means on grids of 4 x 4, 8 x 8 and 16 x 16                       (336)
    histogram  root of the share of pixels in 16 linear and 24 logarithmic bins (40)

All are taken from the degraded image alone: for example, a mask of the body from the clean one would carry its shape into
an image that no longer shows it. They see power, its place, spikes and brightness. They do not see phase relations
between places, nor fine shapes. Peaks need an octave: a third one smears a spike over its own period (a phase leak that octaves
read at AUC .95 was at .52 in third octaves); and tiles small enough that only some hold the edge of the body.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrace.audit.frequencies import ring_edges
from fastrace.audit.readers.patches import coarse_size
from fastrace.audit.readers.rings import (
    GRID,
    HISTOGRAM,
    LINEAR_BINS,
    OCTAVE_BINS,
    PEAK_GRID,
    PER_OCTAVE,
    PER_RING,
    PIXELS,
    POOLS,
    SECTORS,
    part_columns,
)
from fastrace.kernels.bandpass import Filter, bandpass_sweep
from fastrace.kernels.radii import scaled_edge, scaled_squares
from fastrace.kernels.threads import NUMBA_CACHE, for_ranges

F32 = NDArray[np.float32]
Index = np.uintp
"""Of inner loops: where numba cannot rule out a negative index it gathers in place of loading (peaks: 2.0 ms, not 1.0)."""

SMALL = 1e-8
"""Power of a ring from which it is made as strong as the others: float32 leaves 1e-16 where nothing is."""
QUIET = 1e-8
"""Square of the power of a tile, in that of its octave, from which its kurtosis is looked at."""
ZERO = np.float32(2.0**-18)
"""Values below count as 0: half of a mammogram is black, and the sum of rings gives it the sign of a rounding error."""
CODE = 12
"""First bits of a float32, by which values are counted: sign, exponent, and three digits that separate 1/16 from 1/16 below 1."""
FLOOR = 1e-12
"""Added to a mean square before the logarithm: a millionth of the display range, below the noise of any detector."""


@dataclass(frozen=True)
class _Spectrum:
    """Ring and orientation of every coefficient of the half spectrum, and how many it stands for."""

    size: tuple[int, int]
    ring: NDArray[np.int32]  # [H, W // 2 + 1]
    sector: NDArray[np.int32]
    twice: NDArray[np.float32]  # [W // 2 + 1]
    count: NDArray[np.float64]  # [R, SECTORS]


@lru_cache(maxsize=4)
def spectrum_of(size: tuple[int, int]) -> _Spectrum:
    """Of images of a size."""
    height, width = size
    half = width // 2 + 1
    squares = scaled_squares(height, width)[:, :half]
    edges = [scaled_edge(edge, height, width) for edge in ring_edges(size)]
    ring = (np.searchsorted(edges, squares.ravel(), side="right") - 1).reshape(squares.shape).astype(np.int32)
    ky, kx = np.fft.fftfreq(height)[:, None], np.arange(half)[None, :] / width
    angle = np.arctan2(ky, kx) % np.pi
    sector = (np.floor(angle / (np.pi / SECTORS) + 0.5).astype(np.int32)) % SECTORS
    twice = np.full(half, 2.0, np.float32)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    n_rings = len(edges) - 1
    weight = np.broadcast_to(twice, ring.shape).ravel()
    count = np.bincount((ring * SECTORS + sector).ravel(), weight, n_rings * SECTORS).reshape(n_rings, SECTORS)
    return _Spectrum(size, ring, sector, twice, np.maximum(count, 1.0))


@lru_cache(maxsize=1)
def code_bins() -> NDArray[np.int64]:  # [2^CODE, 2]
    """Linear bin (-1: none) and octave bin of the values whose float32 begins with each code.

    Linear bins over [0, 1], then for x < 0 and for x >= 0 the octaves of |x| up to 1, the smallest first.
    """
    code = np.arange(1 << CODE)
    exponent, digits = (code >> 3) % 256 - 127, code % 8
    least = np.ldexp(1 + digits / 8, exponent)  # |x| of the code, its later digits 0
    least[exponent == -127] = 0
    negative = (code >= len(code) // 2) & (least > 0)
    linear = np.where(negative, -1, np.minimum(least * LINEAR_BINS, LINEAR_BINS - 1).astype(np.int64))
    octave = np.where(least > 0, np.clip(exponent + OCTAVE_BINS + 1, 0, OCTAVE_BINS), 0)
    return np.stack([linear, LINEAR_BINS + np.where(negative, 0, OCTAVE_BINS + 1) + octave], axis=1)


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _sector_power(spectrum, ring, sector, twice, power):  # type: ignore[no-untyped-def]
    for row in range(spectrum.shape[0]):
        for column in range(spectrum.shape[1]):
            value = spectrum[row, column]
            power[ring[row, column], sector[row, column]] += twice[column] * (value.real**2 + value.imag**2)


@numba.njit(nogil=True, cache=NUMBA_CACHE, fastmath={"reassoc", "nsz"})
def _tile_squares(rings, grid, second):  # type: ignore[no-untyped-def]
    """Mean square of rings [R, H, W] on the tiles of a grid; sums in any order, but each square rounded by itself."""
    height, width = rings.shape[1:]
    for j in range(Index(len(rings))):
        for tile in range(grid * grid):
            top, bottom, left, right = _tile(tile, grid, height, width)
            two = 0.0
            for row in range(top, bottom):
                line2 = np.float32(0)
                for column in range(left, right):
                    line2 += rings[j, row, column] * rings[j, row, column]
                two += line2
            second[j, tile] = two / max((bottom - top) * (right - left), 1)


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _tile(tile, grid, height, width):  # type: ignore[no-untyped-def]
    i, j = tile // grid, tile % grid
    return (
        Index(height * i // grid),
        Index(height * (i + 1) // grid),
        Index(width * j // grid),
        Index(width * (j + 1) // grid),
    )


@numba.njit(nogil=True, cache=NUMBA_CACHE, fastmath=True)
def _peaks(rings, scales, grid, out):  # type: ignore[no-untyped-def]
    """Quartiles and mean of the log kurtosis over tiles of each sum of three rings of [R, H, W], each times its scale.

    The first ring, which holds the mean, is in none. Tiles in the outer loop: their rows of all rings stay in the cache.
    """
    height, width = rings.shape[1:]
    kurtosis = np.empty((len(out), grid * grid))
    for tile in range(grid * grid):
        top, bottom, left, right = _tile(tile, grid, height, width)
        pixels = max((bottom - top) * (right - left), 1)
        for octave in range(len(out)):
            one, two, three = Index(octave + 1), Index(octave + 2), Index(octave + 3)
            second, fourth = 0.0, 0.0
            for row in range(top, bottom):
                line2, line4 = np.float32(0), np.float32(0)
                for column in range(left, right):
                    x = scales[one] * rings[one, row, column]
                    x += scales[two] * rings[two, row, column]
                    x += scales[three] * rings[three, row, column]
                    square = x * x
                    line2 += square
                    line4 += square * square
                second += line2
                fourth += line4
            second, fourth = second / pixels, fourth / pixels
            kurtosis[octave, tile] = np.log((fourth + QUIET) / (second * second + QUIET))
    for octave in range(len(out)):
        values = kurtosis[octave]
        out[octave, 3] = values.mean()
        values.sort()
        for quarter in range(1, 4):  # between neighbours, as numpy's quantile does it; np.quantile itself took 0.2 ms
            place = quarter * (len(values) - 1) / 4
            below = int(place)
            above = min(below + 1, len(values) - 1)
            out[octave, quarter - 1] = values[below] + (place - below) * (values[above] - values[below])


@numba.njit(nogil=True, cache=NUMBA_CACHE)
def _values(rings, block_of_ring, keeps, bins, pooled, counts):  # type: ignore[no-untyped-def]
    """Means on a square grid, and counts of values, of the image that each filter leaves of rings [R, H, W].

    Rings of one block are added up once, then the blocks [K, B] that a filter keeps. Row by row, so that nothing but
    `rings` is read from outside the cache. Values are counted by the first bits of the float, see `code_bins`, in two tables
    by turns: so that no addition waits for the counter just written. 19 filters of 224 x 224 take 1.2 ms, bin by bin 4.1.
    """
    height, width = rings.shape[1:]
    filters, side = pooled.shape[:2]
    blocks = np.empty((keeps.shape[1], width), np.float32)
    line = np.empty(width, np.float32)
    bits = line.view(np.uint32)
    columns = np.zeros((filters, width))
    tables = np.zeros((filters, 2, 1 << CODE), np.int32)
    shift = np.uint32(32 - CODE)
    pooled[:] = 0
    counts[:] = 0
    for row in range(height):
        blocks[:] = 0
        for j in range(Index(len(rings))):
            block = Index(block_of_ring[j])
            for column in range(Index(width)):
                blocks[block, column] += rings[j, Index(row), column]
        i = row * side // height
        last = (row + 1) * side // height > i
        for k in range(Index(filters)):
            line[:] = 0
            for block in range(Index(len(blocks))):
                if keeps[k, block]:
                    for column in range(Index(width)):
                        line[column] += blocks[block, column]
            for column in range(Index(width)):
                line[column] = np.float32(0) if abs(line[column]) < ZERO else line[column]
                columns[k, column] += line[column]
            for column in range(Index(0), Index(width - width % 2), Index(2)):
                tables[k, 0, bits[column] >> shift] += 1
                tables[k, 1, bits[column + Index(1)] >> shift] += 1
            if width % 2:
                tables[k, 0, bits[width - 1] >> shift] += 1
            if last:
                for column in range(width):
                    pooled[k, i, column * side // width] += columns[k, column]
                columns[k] = 0
    for k in range(filters):
        for code in range(1 << CODE):
            count = tables[k, 0, code] + tables[k, 1, code]
            if count:
                counts[k, bins[code, 1]] += count
                if bins[code, 0] >= 0:
                    counts[k, bins[code, 0]] += count


@numba.njit(nogil=True, cache=NUMBA_CACHE, fastmath={"reassoc", "nsz"})
def _area_means(rings, out):  # type: ignore[no-untyped-def]
    """Means of rings [R, H, W] over the cells of a grid [R, h, w], cut as `fastrace.audit.readers.patches.coarse` does."""
    height, width = rings.shape[1:]
    rows, columns = out.shape[1:]
    line = np.empty(width, np.float32)
    for j in range(len(rings)):
        for i in range(rows):
            top, bottom = height * i // rows, (height * (i + 1) + rows - 1) // rows
            line[:] = 0
            for row in range(Index(top), Index(bottom)):
                for column in range(Index(width)):
                    line[column] += rings[j, row, column]
            for k in range(columns):
                left, right = width * k // columns, (width * (k + 1) + columns - 1) // columns
                total = np.float32(0)
                for column in range(Index(left), Index(right)):
                    total += line[column]
                out[j, i, k] = total / np.float32((bottom - top) * (right - left))


class Sweep:
    """Features of images under many radial filters, from one forward transform of each.

    Parameters
    ----------
    size : (int, int)
    keeps : sequence of ndarray [R] bool
        The rings that each filter keeps, see `rings_of`; all of them for the image itself.
    coarse : sequence of ndarray [R] bool
        Filters whose images are returned at the coarse scale.
    """

    def __init__(
        self, size: tuple[int, int], keeps: Sequence[NDArray[np.bool_]], coarse: Sequence[NDArray[np.bool_]] = ()
    ) -> None:
        self.size = size
        self.keeps = np.stack([np.asarray(keep, dtype=bool) for keep in keeps])
        self.n_rings = self.keeps.shape[1]
        # Rings that every filter keeps or rejects together are added up once.
        self._blocks, self._block_of_ring = np.unique(self.keeps, axis=1, return_inverse=True)
        self._block_of_ring = self._block_of_ring.reshape(-1)
        self._bands = [Filter(low, high) for low, high in itertools.pairwise(ring_edges(size))]
        height, width = (np.bincount(np.arange(n) * POOLS[-1] // n, minlength=POOLS[-1]) for n in size)
        self._pixels = np.maximum(np.outer(height, width), 1)  # of a cell of the finest grid
        self._coarse = np.zeros((0, 0), np.float32)
        if len(coarse):
            self._coarse = np.stack([np.asarray(keep, dtype=np.float32) for keep in coarse])

    def __call__(
        self,
        images: Tensor,  # [N, H, W] float32
    ) -> tuple[F32, F32]:
        """Extract the features, see `with_coarse`."""
        return self.with_coarse(images)[:2]

    def with_coarse(
        self,
        images: Tensor,  # [N, H, W] float32
    ) -> tuple[F32, F32, Tensor]:
        """Extract the features.

        Returns
        -------
        parts : ndarray [N, R * PER_RING + octaves * PER_OCTAVE] float32
            The same for every filter that keeps the ring or the octave, see `part_columns`.
        values : ndarray [N, K, PIXELS + HISTOGRAM] float32
            Of the image that each filter leaves.
        small : Tensor [N, C, h, w] float32
            On the device of the images; what each of the filters ``coarse`` leaves, at the coarse scale of
            `fastrace.audit.readers.patches`.
        """
        shown = np.ascontiguousarray(images.numpy(), dtype=np.float32)
        parts = np.empty((len(images), len(part_columns(self.keeps[0]))), np.float32)
        values = np.empty((len(images), len(self.keeps), PIXELS + HISTOGRAM), np.float32)
        height, width = coarse_size(self.size)
        rings = np.empty((len(images), self.n_rings if len(self._coarse) else 0, height, width), np.float32)

        def work(first: int, last: int) -> None:
            for n in range(first, last):
                ringed = self._one(shown[n], parts[n], values[n])
                if len(self._coarse):
                    _area_means(ringed, rings[n])

        for_ranges(work, len(images), 20 * self.size[0] * self.size[1])
        # Here, and not for each image in the threads above, where torch and BLAS would start threads of their own.
        small = self._coarse @ rings.reshape(len(images), rings.shape[1], height * width)
        return parts, values, torch.from_numpy(small.reshape(len(images), len(self._coarse), height, width))

    def _one(self, image: F32, parts: F32, values: F32) -> F32:
        """Fill the features of one image; its rings, [R, H, W]."""
        spectrum = spectrum_of(self.size)
        end = self.n_rings * PER_RING
        rings, octaves = parts[:end].reshape(self.n_rings, PER_RING), parts[end:].reshape(-1, PER_OCTAVE)
        # Without the mean, whose rounding error in every coefficient would be a leak of its own at high frequencies.
        mean = np.float32(image.mean(dtype=np.float64))
        centred = image - mean
        power = np.zeros((self.n_rings, SECTORS))
        _sector_power(scipy.fft.rfft2(centred), spectrum.ring, spectrum.sector, spectrum.twice, power)
        power[0, 0] += (float(mean) * image.size) ** 2
        # The filters share one transform: 1.2 ms for 22 rings of 224 x 224, where as many inverses of scipy take 3.0.
        ringed = bandpass_sweep(torch.from_numpy(centred), self._bands).numpy()
        ringed[0] += mean
        second = np.empty((self.n_rings, GRID * GRID))
        _tile_squares(ringed, GRID, second)
        scales = (1 / np.sqrt(second.mean(axis=1) + SMALL)).astype(np.float32)  # that make every ring equally strong
        _peaks(ringed, scales, PEAK_GRID, octaves)
        whole = np.log(power.sum(axis=1) / spectrum.count.sum(axis=1) / image.size + FLOOR)
        rings[:, 0] = whole
        rings[:, 1 : 1 + SECTORS] = np.log(power / spectrum.count / image.size + FLOOR) - whole[:, None]
        rings[:, 1 + SECTORS :] = np.log(second + FLOOR)
        filters, fine = len(self.keeps), POOLS[-1]
        pooled, counts = np.empty((filters, fine, fine)), np.empty((filters, HISTOGRAM), np.int64)
        _values(ringed, self._block_of_ring, self._blocks, code_bins(), pooled, counts)
        pooled /= self._pixels
        coarser = [pooled.reshape(filters, side, fine // side, side, -1).mean(axis=(2, 4)) for side in POOLS]
        values[:] = np.concatenate(
            [*(one.reshape(filters, -1) for one in coarser), np.sqrt(counts / image.size)], axis=1
        )
        return ringed
