"""The built-in features against their definition, computed slowly in float64; and the filters they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrace.audit.experiments import experiments
from fastrace.audit.frequencies import OCTAVE, OCTAVE_THIRDS, STUDY_EDGES, largest_radius, ring_edges
from fastrace.audit.readers.batch_sweep import BatchSweep
from fastrace.audit.readers.extract import extract
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
    families,
    part_columns,
    rings_of,
)
from fastrace.audit.readers.sweep import FLOOR, ZERO, Sweep, _values, code_bins
from fastrace.degrade.grammar import Filter
from fastrace.degrade.operations import apply
from fastrace.degrade.parser import parse

SIZES = [(16, 16), (17, 17), (31, 47), (63, 65), (64, 64), (48, 80), (80, 24)]


def image_of(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Power in every ring: otherwise logarithms of rounding errors would be compared."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 0.2, size[0])[:, None] + np.linspace(0, 0.1, size[1])[None]
    return (0.4 + ramp + 0.1 * rng.standard_normal(size)).astype(np.float32)


def integer_frequencies(n: int) -> np.ndarray:
    return np.round(np.fft.fftfreq(n) * n).astype(int)


def moments(x: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean square and mean fourth power on the tiles of a grid."""
    height, width = x.shape
    second, fourth = [], []
    for i in range(grid):
        for j in range(grid):
            tile = x[height * i // grid : height * (i + 1) // grid, width * j // grid : width * (j + 1) // grid]
            second.append((tile**2).mean())
            fourth.append((tile**4).mean())
    return np.array(second), np.array(fourth)


def naive(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of rings [R, PER_RING], of octaves, and of the image, from full complex transforms in float64."""
    height, width = image.shape
    x = image.astype(np.float64)
    spectrum = np.fft.fft2(x)
    ky, kx = np.meshgrid(integer_frequencies(height), integer_frequencies(width), indexing="ij")
    radius = max(height, width) * np.hypot(ky / height, kx / width)
    # A coefficient and its conjugate twin have one direction; at the Nyquist frequency, where +1/2 is -1/2, that of kx >= 0.
    turns = np.arctan2(np.fft.fftfreq(height)[:, None], np.arange(width)[None] / width) / np.pi  # a half turn is 1
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    twin = columns > width // 2
    turns = np.where(twin, turns[-rows % height, -columns % width], turns)
    sector = np.floor(SECTORS * (turns % 1) + 0.5).astype(int) % SECTORS
    rings, parts, octaves = [], [], []
    for low, high in pairwise(ring_edges(image.shape)):
        # Radii that are integers in exact arithmetic may come out a rounding error too low.
        inside = (radius >= low - 1e-9) & (radius < high - 1e-9)
        part = np.fft.ifft2(np.where(inside, spectrum, 0)).real
        # Its rms, but that tiles count equally, also where three do not divide the image.
        parts.append(part / (np.sqrt(moments(part, GRID)[0].mean()) + FLOOR))
        # A coefficient of white noise of variance sigma^2 has power H W sigma^2. No coefficient counts as power 0.
        power = [np.abs(spectrum[inside & (sector == s)]) ** 2 / x.size for s in range(SECTORS)]
        whole = np.log(sum(p.sum() for p in power) / sum(max(len(p), 1) for p in power) + FLOOR)
        shares = [np.log((p.mean() if len(p) else 0.0) + FLOOR) - whole for p in power]
        rings.append([whole, *shares, *np.log(moments(part, GRID)[0] + FLOOR)])
    for first in range(1, len(parts) - OCTAVE + 1):  # not with the mean's ring
        second, fourth = moments(sum(parts[first : first + OCTAVE]), PEAK_GRID)
        kurtosis = np.log((fourth + FLOOR) / (second**2 + FLOOR))
        octaves.append([*np.quantile(kurtosis, [0.25, 0.5, 0.75]), kurtosis.mean()])
    return np.array(rings), np.array(octaves).reshape(-1, PER_OCTAVE), naive_values(x)


def split(parts: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Columns of a sweep as rings and octaves."""
    end = (len(ring_edges(size)) - 1) * PER_RING
    return parts[:end].reshape(-1, PER_RING), parts[end:].reshape(-1, PER_OCTAVE)


def naive_values(x: np.ndarray) -> np.ndarray:
    height, width = x.shape
    fine = POOLS[-1]
    i, j = np.arange(height) * fine // height, np.arange(width) * fine // width
    pooled = np.array([[x[np.ix_(i == a, j == b)].mean() if (i == a).any() and (j == b).any() else 0.0
                        for b in range(fine)] for a in range(fine)])  # fmt: skip
    coarse = [pooled.reshape(side, fine // side, side, -1).mean(axis=(1, 3)).ravel() for side in POOLS]
    counts = np.zeros(HISTOGRAM)
    for value in x.ravel():
        if value >= 0:
            counts[min(int(value * LINEAR_BINS), LINEAR_BINS - 1)] += 1
        octave = OCTAVE_BINS + 1 + int(np.floor(np.log2(abs(value)))) if value else 0
        octave = min(max(octave, 0), OCTAVE_BINS)
        counts[LINEAR_BINS + (OCTAVE_BINS + 1 if value >= 0 else 0) + octave] += 1
    return np.concatenate([*coarse, np.sqrt(counts / x.size)])


KINDS = pytest.mark.parametrize("kind", [Sweep, BatchSweep])


def read(kind: type[Sweep], keeps: Sequence[np.ndarray], images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return kind((images.shape[1], images.shape[2]), keeps)(torch.from_numpy(images))


def everything(size: tuple[int, int]) -> np.ndarray:
    return np.ones(len(ring_edges(size)) - 1, dtype=bool)


def keep_of(text: str, size: tuple[int, int]) -> np.ndarray:
    step = parse(text).steps[0]
    assert isinstance(step, Filter)
    return rings_of(step, size)


@KINDS
@pytest.mark.parametrize("size", SIZES)
def test_every_feature_follows_its_definition(kind: type[Sweep], size: tuple[int, int]) -> None:
    image = image_of(size)
    parts, values = read(kind, [everything(size)], image[None])
    expected_rings, expected_octaves, expected_values = naive(image)
    rings, octaves = split(parts[0], size)
    # float32 transforms of values near 1 err by 1e-6, which a logarithm of a weak tile may make 1e-3.
    np.testing.assert_allclose(rings, expected_rings, atol=2e-3)
    np.testing.assert_allclose(octaves, expected_octaves, atol=2e-3)
    np.testing.assert_allclose(values[0, 0, :PIXELS], expected_values[:PIXELS], atol=2e-6)
    # A value that lies on the edge of a bin to float32 may fall on either side: a pixel or two of the image.
    np.testing.assert_allclose(values[0, 0, PIXELS:] ** 2, expected_values[PIXELS:] ** 2, atol=2.5 / image.size)


@pytest.mark.parametrize("size", [*SIZES, (224, 224), (512, 320)])
def test_rings_part_the_plane_at_the_studys_cut_offs_and_third_octaves(size: tuple[int, int]) -> None:
    edges = ring_edges(size)
    assert edges[0] == 0
    assert np.isinf(edges[-1])
    assert all(low < high for low, high in pairwise(edges))
    top = max(size) * np.hypot((size[0] // 2) / size[0], (size[1] // 2) / size[1])
    assert largest_radius(size) == pytest.approx(top, rel=1e-12)
    assert {edge for edge in (*STUDY_EDGES, *map(float, OCTAVE_THIRDS)) if edge <= top} == set(edges[1:-1])


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (63, 65), (224, 224), (96, 256)])
def test_every_radial_filter_of_the_protocol_keeps_whole_rings(size: tuple[int, int]) -> None:
    edges = np.array(ring_edges(size))
    middle = np.where(np.isinf(edges[1:]), edges[:-1], (edges[:-1] + np.minimum(edges[1:], 1e9)) / 2)
    for one in experiments("cxr", size):
        step = one.test.steps[0] if one.test.steps else None
        if not isinstance(step, Filter):
            continue
        inside = (middle >= step.low) & (middle < step.high)
        np.testing.assert_array_equal(rings_of(step, size), ~inside if step.kind == "notch" else inside, str(step))


def test_a_filter_that_would_cut_through_a_ring_is_refused() -> None:
    step = parse("band:11:20").steps[0]
    assert isinstance(step, Filter)
    with pytest.raises(ValueError, match="11 cycles/image is no edge"):
        rings_of(step, (64, 64))


FILTERS = ["lowpass:10", "highpass:10", "highpass:5", "band:10:25", "notch:10:25"]


@KINDS
@pytest.mark.parametrize("size", [(64, 64), (63, 65), (48, 80)])
@pytest.mark.parametrize("text", FILTERS)
def test_features_under_a_filter_are_those_of_the_filtered_image(
    kind: type[Sweep], size: tuple[int, int], text: str
) -> None:
    image = image_of(size, seed=3)
    degradation = parse(text)
    keep = keep_of(text, size)
    parts, values = read(kind, [everything(size), keep], image[None])
    filtered = apply(degradation, torch.from_numpy(image[None]), torch.zeros(1, dtype=torch.int64), seed=0).numpy()
    alone, own = read(kind, [everything(size)], filtered)
    # float32: sums of up to 20 rings of values near 1.
    np.testing.assert_allclose(values[0, 1, :PIXELS], own[0, 0, :PIXELS], atol=5e-6)
    np.testing.assert_allclose(values[0, 1, PIXELS:] ** 2, own[0, 0, PIXELS:] ** 2, atol=20 / image.size)
    columns = part_columns(keep)
    np.testing.assert_allclose(parts[0, columns], alone[0, columns], atol=5e-3)
    kept, gone = split(parts[0], size)[0][:, 0], split(alone[0], size)[0][:, 0]
    assert (gone[~keep] < kept[~keep] - 10).all()  # nothing of the others is left


@KINDS
@pytest.mark.parametrize("text", FILTERS)
def test_what_a_filter_rejects_does_not_change_its_features(kind: type[Sweep], text: str) -> None:
    size = (64, 64)
    keep = keep_of(text, size)
    image, other = image_of(size), image_of(size, seed=9)
    ids = torch.zeros(1, dtype=torch.int64)
    rejected = other - apply(parse(text), torch.from_numpy(other[None]), ids, seed=0).numpy()[0]
    assert np.abs(rejected).max() > 0.05
    (one, one_values), (two, two_values) = (read(kind, [keep], x[None]) for x in (image, image + rejected))
    columns = part_columns(keep)
    np.testing.assert_allclose(one[0, columns], two[0, columns], atol=5e-3)
    np.testing.assert_allclose(one_values[0, 0, :PIXELS], two_values[0, 0, :PIXELS], atol=5e-6)


@pytest.mark.parametrize("width", [16, 31])
def test_values_on_the_edges_of_bins_are_counted_as_their_definition_requires(width: int) -> None:
    edges = np.concatenate([np.arange(1, 17) / 16, np.ldexp(1.0, np.arange(-20, 4)), [0.0, 1e-30, 3e4]]).astype(
        np.float32
    )
    near = np.concatenate([edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(np.inf))])
    signed = np.concatenate([near, -near])
    image = np.resize(np.random.default_rng(0).permutation(signed), (24, width))
    blocks = np.stack([image, image[::-1]])  # two rings, the second of which the first filter rejects
    keeps = np.array([[True, False], [True, True], [False, False]])
    pooled, counts = np.empty((3, POOLS[-1], POOLS[-1])), np.empty((3, HISTOGRAM), np.int64)
    _values(np.ascontiguousarray(blocks), np.arange(2), keeps, code_bins(), pooled, counts)
    for k, whole in enumerate((image, image + image[::-1], np.zeros_like(image))):
        expected = naive_values(np.where(np.abs(whole) < ZERO, 0, whole).astype(np.float64))[PIXELS:]
        np.testing.assert_array_equal(np.sqrt(counts[k] / image.size), expected)
        assert counts[k, LINEAR_BINS:].sum() == image.size  # every value is in one octave


@pytest.mark.parametrize("text", FILTERS)
def test_every_column_has_one_family(text: str) -> None:
    keep = keep_of(text, (64, 64))
    group = families(keep)
    assert len(group) == part_columns(keep).sum() + PIXELS + HISTOGRAM
    assert list(families(keep, values=False)) == list(group[: part_columns(keep).sum()])
    counts = {name: int((group == name).sum()) for name in np.unique(group)}
    assert counts["spectrum"] == keep.sum() * (1 + SECTORS)
    assert counts["tiles"] == keep.sum() * GRID**2
    assert (counts["pixels"], counts["histogram"]) == (PIXELS, HISTOGRAM)


@KINDS
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1000.0])
def test_a_constant_image_has_power_at_zero_alone(kind: type[Sweep], value: float) -> None:
    size = (64, 64)
    parts, values = read(kind, [everything(size)], np.full((1, *size), value, np.float32))
    assert np.isfinite(parts).all()
    assert np.isfinite(values).all()
    rings, _ = split(parts[0], size)
    np.testing.assert_allclose(rings[1:, 0], np.log(FLOOR), atol=1e-5)
    np.testing.assert_allclose(rings[0, 5:14], np.log(value**2 + FLOOR), atol=1e-5)
    np.testing.assert_allclose(values[0, 0, :PIXELS], value, rtol=1e-6)


@KINDS
def test_the_mean_does_not_leak_into_high_frequencies(kind: type[Sweep]) -> None:
    # Rounding errors of a large mean, spread over all coefficients, would separate bright images from dark ones.
    weak = np.float32(1e-3) * (image_of((64, 64)) - np.float32(0.55))
    shown = ((weak + np.float32(mean))[None] for mean in (0.1, 0.9))
    low, high = (split(read(kind, [everything((64, 64))], x)[0][0], (64, 64))[0] for x in shown)
    # Values of 1e-4 beside .9 are rounded to 6e-8: 1e-3 of them.
    np.testing.assert_allclose(low[1:, 0], high[1:, 0], atol=5e-3)


@pytest.mark.parametrize("text", ["lowpass:10", "resolution:8"])
def test_rounding_errors_are_not_made_features_where_nothing_else_is_left(text: str) -> None:
    # What a filter left in the rings that it rejected is rounding, other on every machine and for every number of threads.
    image = torch.from_numpy(image_of((64, 64))[None])
    left = apply(parse(text), image, torch.zeros(1, dtype=torch.int64), seed=0).numpy()
    rounded = (left + 3e-8 * np.random.default_rng(5).standard_normal(left.shape)).astype(np.float32)
    one, other = (split(extract(torch.from_numpy(x))[0, : -PIXELS - HISTOGRAM], (64, 64)) for x in (left, rounded))
    np.testing.assert_allclose(one[0], other[0], atol=5e-3)
    np.testing.assert_allclose(one[1], other[1], atol=5e-3)


@settings(max_examples=25)
@given(st.integers(16, 40), st.integers(16, 40), st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 100.0]), st.integers(0, 99))
def test_features_are_always_numbers(height: int, width: int, amount: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = (amount * rng.standard_normal((1, height, width))).astype(np.float32)
    found = extract(torch.from_numpy(image))
    assert np.isfinite(found).all()
    assert found.shape[1] == len(families(everything((height, width))))


def test_threads_and_batches_give_the_same_bits() -> None:
    images = np.stack([image_of((64, 64), seed) for seed in range(7)])
    keeps = [everything((64, 64)), keep_of("lowpass:10", (64, 64))]
    one = read(Sweep, keeps, images)
    torch.set_num_threads(3)
    three = read(Sweep, keeps, images)
    torch.set_num_threads(1)
    alone = [read(Sweep, keeps, image[None]) for image in images]
    for k in (0, 1):
        assert one[k].tobytes() == three[k].tobytes() == np.concatenate([found[k] for found in alone]).tobytes()


@KINDS
def test_values_of_a_filter_do_not_depend_on_which_others_are_computed(kind: type[Sweep]) -> None:
    image = image_of((64, 64))[None]
    keeps = [keep_of(text, (64, 64)) for text in ("lowpass:10", "highpass:5", "band:10:25")]
    _, alone = read(kind, keeps[:1], image)
    _, among = read(kind, keeps, image)
    np.testing.assert_allclose(alone[0, 0, :PIXELS], among[0, 0, :PIXELS], atol=1e-6)


@pytest.mark.parametrize("size", [*SIZES, (5, 7), (101, 53)])
def test_batches_on_a_device_give_the_features_of_the_loops(size: tuple[int, int]) -> None:
    images = np.stack([image_of(size, seed) for seed in range(3)])
    images[1, : size[0] // 2] = 0  # as the background of a mammogram
    images[2] = 0.25
    keeps = [everything(size), np.arange(len(ring_edges(size)) - 1) % 3 == 0]
    loops, batches = (
        kind(size, keeps, keeps[1:]).with_coarse(torch.from_numpy(images)) for kind in (Sweep, BatchSweep)
    )
    # Sums of the loops are partly in float32; of weak tiles a logarithm is taken, of a kurtosis the fourth power.
    np.testing.assert_allclose(batches[0], loops[0], atol=3e-3)
    np.testing.assert_allclose(batches[1][:, :, :PIXELS], loops[1][:, :, :PIXELS], atol=2e-6)
    np.testing.assert_allclose(batches[1][:, :, PIXELS:] ** 2, loops[1][:, :, PIXELS:] ** 2, atol=2.5 / images[0].size)
    torch.testing.assert_close(batches[2], loops[2], atol=2e-6, rtol=0)


@KINDS
def test_no_images_have_no_features(kind: type[Sweep]) -> None:
    keeps = [everything((24, 16))]
    parts, values, small = kind((24, 16), keeps, keeps).with_coarse(torch.zeros(0, 24, 16))
    assert parts.shape[0] == values.shape[0] == small.shape[0] == 0
    assert parts.shape[1:] == (len(part_columns(keeps[0])),)
    assert values.shape[1:] == (1, PIXELS + HISTOGRAM)
