"""Noise: words against Random123's own vectors, distributions against scipy, every backend against the reference."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fastrace.errors import BackendMissing, UsageError
from fastrace.kernels import noise as package
from fastrace.kernels.noise import (
    COUNT_FLIPS,
    KINDS,
    NORMAL_ERROR,
    PHOTONS_AT_WHITE,
    cpu,
    noise,
    noise_reference,
    noise_stream,
    reference,
)

try:
    import triton
    import triton.language as tl

    from fastrace.kernels.noise import cuda
    from fastrace.kernels.noise.cuda import block_words, interleave4
except ImportError:
    cuda = None
else:

    @triton.jit
    def write_words(out, ids, seed, stream, BLOCKS: tl.constexpr):
        w0, w1, w2, w3 = block_words(tl.arange(0, BLOCKS), tl.load(ids), seed, stream)
        words = interleave4(w0, w1, w2, w3).to(tl.int32, bitcast=True)
        tl.store(out + tl.arange(0, 4 * BLOCKS), words)


AMOUNTS = {"gaussian": 0.1, "poisson": 0.25, "speckle": 0.2, "salt_pepper": 0.3}
IDS = [0, 7, -1, 2**40 + 3, -(2**63), 2**63 - 1]


def image_batch(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, height, width), dtype=np.float32))


def id_tensor(count: int) -> torch.Tensor:
    return torch.tensor((IDS * (count // len(IDS) + 1))[:count], dtype=torch.int64)


def standard_normals(count: int, seed: int = 5, image_id: int = 3, stream: int = 0) -> np.ndarray:
    return noise(torch.zeros(1, 1, count), torch.tensor([image_id]), "gaussian", 1.0, seed=seed, stream=stream).numpy()[
        0, 0
    ]


# ---- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123, tests/kat_vectors: philox4x32 10
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_words_are_those_of_random123(counter: str, key: str, expected: str) -> None:
    c, k, wanted = (np.array([int(word, 16) for word in text.split()], np.uint32) for text in (counter, key, expected))
    assert reference.philox4x32(c, k).tolist() == wanted.tolist()
    assert [int(word) for word in cpu.philox(*c, *k)] == wanted.tolist()


@pytest.mark.skipif(cuda is None, reason="triton comes with the CUDA build of torch")
def test_words_are_equal_bit_for_bit_on_numba_and_triton() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for seed, image_id, stream in ((0, 0, 0), (-5, -7, 2**32 - 1), (2**62 + 9, 2**63 - 1, 77)):
        expected = reference.words(image_id, 256, seed, stream)
        got = torch.empty(256, dtype=torch.int32, device=device)
        write_words[(1,)](got, torch.tensor([image_id], device=device), seed, stream, BLOCKS=64)
        assert np.array_equal(got.cpu().numpy().view(np.uint32), expected)

        words = np.empty(4 * cpu.CHUNK, np.uint32)
        parts = [np.uint32(value & 0xFFFFFFFF) for value in (image_id, image_id >> 32, stream, seed, seed >> 32)]
        cpu.fill_words(words, np.uint64(0), *parts)
        assert np.array_equal(words.reshape(4, cpu.CHUNK).T.reshape(-1)[:256], expected)


def test_id_low_id_high_stream_and_seed_halves_are_separate_counters() -> None:
    base = reference.words(1, 64, 2, 3)
    others = [(1 << 32, 2, 3), (2, 1, 3), (3, 2, 1), (1, 2 << 32, 3), (1, 2, 4)]
    for image_id, seed, stream in others:
        assert not np.array_equal(base, reference.words(image_id, 64, seed, stream))


@pytest.mark.parametrize("place", range(4))
def test_words_of_every_place_in_a_block_are_uniform(place: int) -> None:
    word = reference.words(3, 1 << 20, 5, 0)[place::4]
    assert stats.kstest(word / 2.0**32, "uniform").pvalue > 0.001
    # Neighbouring blocks: 16 x 16 cells of (word, next word).
    cells = np.bincount((word[:-1] >> 28) * 16 + (word[1:] >> 28), minlength=256)
    assert stats.chisquare(cells).pvalue > 0.001


@pytest.mark.parametrize(
    "other", [(4, 5, 0), (3 + 2**32, 5, 0), (3, 4, 0), (3, 5 + 2**32, 0), (3, 5, 1 << 24), (3, 5, 1 << 8), (3, 5, 1)]
)
def test_the_next_image_seed_operation_epoch_or_draw_changes_half_of_the_bits(other: tuple[int, int, int]) -> None:
    n = 1 << 16
    changed = reference.words(3, n, 5, 0) ^ reference.words(*([other[0], n, *other[1:]]))
    bits = np.unpackbits(changed.view(np.uint8).reshape(n, 4), axis=1)
    assert abs(bits.mean() - 0.5) < 4 * 0.5 / bits.size**0.5
    # Each of the 32 bits by itself, too.
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / n**0.5


# ---- agreement ----------------------------------------------------------------------------------------------------


def assert_agrees(got: np.ndarray, images: np.ndarray, expected: np.ndarray, kind: str, amount: float) -> None:
    """Tight where the function is smooth; counts may be off by one, rarely."""
    got = got.astype(np.float64)
    if kind == "salt_pepper":
        assert np.array_equal(got, expected)
    elif kind == "poisson":
        counts = np.rint((got - expected) * PHOTONS_AT_WHITE * amount)
        assert np.abs(counts).max(initial=0) <= 1
        assert np.count_nonzero(counts) <= max(1, COUNT_FLIPS * counts.size)
        assert np.abs(got - expected)[counts == 0].max(initial=0) < 1e-6
    else:
        rounding = 2.0**-23 * (np.abs(images) + np.abs(expected))
        scale = amount if kind == "gaussian" else amount * np.abs(images)
        assert (np.abs(got - expected) <= NORMAL_ERROR * scale + rounding).all()


SIZES = [(1, 1, 1), (1, 1, 3), (2, 7, 5), (3, 64, 64), (1, 31, 37), (6, 33, 32), (2, 100, 103)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SIZES)
def test_cpu_kernel_agrees_with_the_float64_reference(kind: str, shape: tuple[int, int, int]) -> None:
    images, ids = image_batch(*shape) * 1.4 - 0.2, id_tensor(shape[0])
    got = noise(images, ids, kind, AMOUNTS[kind], seed=11, stream=5)
    expected = noise_reference(images.numpy(), ids.numpy(), kind, AMOUNTS[kind], seed=11, stream=5)
    assert got.shape == images.shape
    assert got.is_contiguous()
    assert_agrees(got.numpy(), images.numpy(), expected, kind, AMOUNTS[kind])


@given(
    kind=st.sampled_from(list(KINDS)),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    seed=st.integers(-(2**63), 2**64 - 1),
    stream=st.integers(0, 2**32 - 1),
    image_id=st.integers(-(2**63), 2**63 - 1),
    amount=st.floats(0.01, 1.0),
)
def test_cpu_kernel_agrees_for_any_seed_id_and_stream(
    kind: str, height: int, width: int, seed: int, stream: int, image_id: int, amount: float
) -> None:
    images, ids = image_batch(1, height, width) * 1.5 - 0.25, torch.tensor([image_id])
    got = noise(images, ids, kind, amount, seed=seed, stream=stream).numpy()
    expected = noise_reference(images.numpy(), ids.numpy(), kind, amount, seed=seed, stream=stream)
    assert_agrees(got, images.numpy(), expected, kind, amount)


def test_normals_stay_within_the_stated_bound_over_millions_of_words() -> None:
    n = 1 << 22
    for seed in (1, 2):
        exact = reference.normals(reference.words(3, n, seed, 0))
        assert np.abs(standard_normals(n, seed=seed) - exact).max() <= NORMAL_ERROR


@pytest.mark.skipif(cuda is None, reason="triton comes with the CUDA build of torch")
@pytest.mark.skipif(torch.cuda.is_available(), reason="Triton is interpreted only without a GPU; see tests/gpu")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 33, 37), (3, 40, 40)])
def test_triton_kernel_equals_the_cpu_kernel_bit_for_bit_and_stays_inside_its_buffers(
    kind: str, shape: tuple[int, int, int]
) -> None:
    count, pixels = shape[0], shape[0] * shape[1] * shape[2]
    images, ids = image_batch(*shape) * 1.4 - 0.2, id_tensor(count)
    # NaN around the input shows a read outside of it, 7 around the output a write.
    source, target = torch.full((pixels + 4096,), float("nan")), torch.full((pixels + 4096,), 7.0)
    source[2048 : 2048 + pixels] = images.reshape(-1)
    inside = source[2048 : 2048 + pixels].view(shape), target[2048 : 2048 + pixels].view(shape)
    a, b, threshold = package._parameters(kind, AMOUNTS[kind], PHOTONS_AT_WHITE)
    grid, arguments, launch = cuda.grid_and_arguments(
        *inside, ids, KINDS[kind], a, b, threshold, seed=-5, stream=2**32 - 3
    )
    cuda.noise_kernel[grid](*arguments, **launch)
    assert torch.equal(inside[1], noise(images, ids, kind, AMOUNTS[kind], seed=-5, stream=2**32 - 3))
    assert (target[:2048] == 7).all()
    assert (target[2048 + pixels :] == 7).all()


@pytest.mark.parametrize("mean", [0.05, 3.0, 9.99, 10.0, 40.0, 1000.0])
def test_counts_that_differ_from_float64_lie_on_a_step_of_the_distribution(mean: float) -> None:
    word = np.random.default_rng(1).integers(0, 2**32, 1 << 19, dtype=np.uint32)
    means = np.full(word.size, mean, np.float32)
    counts, scratch = np.empty_like(means), (np.empty_like(means), np.empty_like(means))
    cpu.poisson_counts(word, means, counts, *scratch)
    expected = reference.poisson_counts(word, means.astype(np.float64))
    flipped = counts != expected
    assert flipped.mean() <= COUNT_FLIPS
    assert np.abs(counts - expected).max() <= 1
    u = reference.uniform_midpoint(word[flipped])
    if mean < reference.POISSON_WALK_BELOW:
        step = stats.poisson.cdf(np.minimum(counts, expected)[flipped], float(np.float32(mean)))
        assert (np.abs(step - u) < 1e-6).all()
    else:
        real = reference.poisson_expansion(stats.norm.ppf(u), np.full(u.size, np.float64(np.float32(mean))))
        assert (np.abs(real - np.rint(real)) < 2e-6 * mean**0.5 + 2e-7 * mean).all()


# ---- what the noise depends on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_noise_of_an_image_does_not_depend_on_its_batch(kind: str) -> None:
    images, ids = image_batch(9, 37, 41), torch.arange(100, 109)
    together = noise(images, ids, kind, AMOUNTS[kind], seed=1)
    for order in (torch.tensor([4]), torch.tensor([8, 0, 3]), torch.randperm(9)):
        assert torch.equal(noise(images[order], ids[order], kind, AMOUNTS[kind], seed=1), together[order])


def test_noise_does_not_depend_on_the_number_of_threads() -> None:
    images, ids, threads = image_batch(25, 128, 128), torch.arange(25), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = noise(images, ids, "gaussian", 0.1, seed=1)
        torch.set_num_threads(3)
        assert torch.equal(noise(images, ids, "gaussian", 0.1, seed=1), one)
    finally:
        torch.set_num_threads(threads)


def test_strides_of_images_and_ids_do_not_matter() -> None:
    images, ids = image_batch(4, 12, 20), torch.arange(8)[::2]
    turned = images.transpose(1, 2)
    assert torch.equal(
        noise(turned, ids, "gaussian", 0.1, seed=1),
        noise(turned.contiguous(), ids.contiguous(), "gaussian", 0.1, seed=1),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batches_and_empty_images_come_back_empty(kind: str) -> None:
    for shape in ((0, 8, 8), (2, 0, 8), (2, 8, 0)):
        images, ids = torch.zeros(shape), torch.arange(shape[0])
        assert noise(images, ids, kind, AMOUNTS[kind], seed=1).shape == shape
        assert noise_reference(images.numpy(), ids.numpy(), kind, AMOUNTS[kind], seed=1).shape == shape


@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_nan_and_stays_where_it_is(kind: str) -> None:
    images = image_batch(1, 9, 9)
    images[0, 3, 4] = float("nan")
    amount = 1.0 if kind == "salt_pepper" else AMOUNTS[kind]
    for noisy in (
        noise(images, id_tensor(1), kind, amount, seed=1).numpy(),
        noise_reference(images.numpy(), [0], kind, amount, seed=1),
    ):
        assert np.isnan(noisy[0, 3, 4])
        assert np.isnan(noisy).sum() == 1


# ---- distributions ------------------------------------------------------------------------------------------------


def test_normals_have_the_normal_distribution() -> None:
    z = standard_normals(1 << 20)
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert abs(z.mean()) < 4 / 2**10
    assert abs(z.var() - 1) < 4 * 2**0.5 / 2**10
    assert abs(stats.skew(z)) < 4 * 6**0.5 / 2**10
    assert abs(stats.kurtosis(z)) < 4 * 24**0.5 / 2**10
    assert np.abs(z).max() < 6.77


def test_the_extreme_words_give_finite_normals() -> None:
    # A word of 0 is the largest radius, one of 2^32 - 1 a radius of 0: ln 0 cannot happen.
    for word, radius in ((0, np.sqrt(2 * np.log(2) * 33)), (2**32 - 1, 0.0)):
        a, b = cpu.normal_pair(np.uint32(word), np.uint32(12345))
        assert np.hypot(a, b) == pytest.approx(radius, abs=1e-5)
        assert np.hypot(*reference.normals(np.array([word, 12345], np.uint32))) == pytest.approx(radius, abs=1e-5)


def test_noise_is_independent_across_pixels_images_streams_and_seeds() -> None:
    n = 1 << 18
    z = standard_normals(n)
    pairs = [(z[:-lag], z[lag:]) for lag in (1, 2, 3, 4, 224)]
    pairs += [(z, standard_normals(n, image_id=other)) for other in (2, 4, 3 + 2**32)]
    pairs += [(z, standard_normals(n, stream=noise_stream(*at))) for at in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    pairs += [(z, standard_normals(n, seed=other)) for other in (4, 6, 5 + 2**32)]
    for x, y in pairs:
        assert abs(np.corrcoef(x, y)[0, 1]) < 4 / len(x) ** 0.5
        assert abs(np.corrcoef(x**2, y**2)[0, 1]) < 4 / len(x) ** 0.5


def test_images_in_an_epoch_and_epochs_of_an_image_are_pairwise_independent() -> None:
    n = 1 << 14
    drawn = [standard_normals(n, image_id=i, stream=noise_stream(0, e, 0)) for i in range(12) for e in range(5)]
    correlation = np.corrcoef(drawn)[np.triu_indices(60, 1)]
    assert np.abs(correlation).max() < 5 / n**0.5
    # Together they scatter as correlations of independent samples do.
    assert stats.kstest(correlation * n**0.5, "norm").pvalue > 0.001


@pytest.mark.parametrize("mean", [0.02, 0.7, 4.0, 9.9, 10.1, 25.0, 300.0])
def test_poisson_counts_have_the_poisson_distribution(mean: float) -> None:
    n = 1 << 18
    noisy = noise(torch.full((1, 1, n), mean), torch.tensor([1]), "poisson", 1.0, seed=3, photons=1.0).numpy()
    counts = np.bincount(noisy.astype(np.int64).reshape(-1))
    expected = stats.poisson.pmf(np.arange(counts.size), mean) * n
    frequent = expected > 20
    observed = np.append(counts[frequent], counts[~frequent].sum())
    wanted = np.append(expected[frequent], n - expected[frequent].sum())
    assert ((observed - wanted) ** 2 / wanted).sum() < stats.chi2.isf(1e-4, observed.size)
    assert abs(noisy.mean() - mean) < 4 * (mean / n) ** 0.5
    assert abs(noisy.var() - mean) < 4 * ((mean + 2 * mean**2) / n) ** 0.5 + 3e-4 * mean


def test_poisson_draws_zero_for_zero_and_negative_pixels_and_keeps_infinity() -> None:
    images = torch.tensor([[[0.0, -0.0, -3.0, -float("inf"), float("inf"), 1e-12]]])
    noisy = noise(images, torch.tensor([1]), "poisson", 0.5, seed=3)
    assert noisy.tolist() == [[[0.0, 0.0, 0.0, 0.0, float("inf"), 0.0]]]


def test_less_dose_means_more_noise_of_the_stated_variance() -> None:
    images, ids = torch.full((4, 128, 128), 0.5), torch.arange(4)
    for dose in (1.0, 0.25, 0.05):
        noisy = noise(images, ids, "poisson", dose, seed=1)
        assert noisy.mean().item() == pytest.approx(0.5, abs=4 * (0.5 / (PHOTONS_AT_WHITE * dose) / 65536) ** 0.5)
        assert noisy.var().item() == pytest.approx(0.5 / (PHOTONS_AT_WHITE * dose), rel=0.03)


def test_speckle_is_proportional_to_the_pixel() -> None:
    ids = torch.tensor([1])
    dark = noise(torch.full((1, 64, 64), 0.25), ids, "speckle", 0.1, seed=1)
    bright = noise(torch.full((1, 64, 64), 1.0), ids, "speckle", 0.1, seed=1)
    assert torch.allclose(4 * dark, bright, atol=1e-6)
    assert bright.std().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 1.0])
def test_salt_and_pepper_replace_the_stated_fraction_half_by_0_half_by_1(fraction: float) -> None:
    noisy = noise(torch.full((1, 256, 256), 0.5), torch.tensor([1]), "salt_pepper", fraction, seed=1)
    n, replaced = noisy.numel(), int((noisy != 0.5).sum())
    assert abs(replaced - fraction * n) <= 4 * (fraction * (1 - fraction) * n) ** 0.5
    assert abs(int((noisy == 1).sum()) - replaced / 2) <= 2 * replaced**0.5
    assert int((noisy == 0).sum()) + int((noisy == 1).sum()) == replaced


# ---- contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "amount", "message"),
    [
        ("uniform", 0.1, "unknown noise 'uniform'; choose from gaussian, poisson, speckle, salt_pepper"),
        ("gaussian", -0.1, "gaussian noise takes a finite sigma of 0 or more, not -0.1"),
        ("speckle", float("nan"), "finite sigma"),
        ("gaussian", float("inf"), "finite sigma"),
        ("poisson", 0.0, "dose fraction above 0 and up to 1, not 0.0"),
        ("poisson", 1.5, "dose fraction"),
        ("salt_pepper", 1.01, "fraction of the pixels from 0 to 1"),
    ],
)
def test_amounts_out_of_range_are_named(kind: str, amount: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        noise(torch.zeros(1, 2, 2), torch.tensor([1]), kind, amount, seed=1)


def test_wrong_arguments_are_named() -> None:
    images, ids = torch.zeros(2, 3, 3), torch.arange(2)
    with pytest.raises(UsageError, match=r"images \[N, H, W\] float32, not \[2, 3, 3\] torch.float64"):
        noise(images.double(), ids, "gaussian", 0.1, seed=1)
    with pytest.raises(UsageError, match=r"one int64 id per image"):
        noise(images, ids[:1], "gaussian", 0.1, seed=1)
    with pytest.raises(UsageError, match=r"one int64 id per image"):
        noise(images, ids.int(), "gaussian", 0.1, seed=1)
    with pytest.raises(UsageError, match="more than 64 bits"):
        noise(images, ids, "gaussian", 0.1, seed=2**64)
    with pytest.raises(UsageError, match="see noise_stream"):
        noise(images, ids, "gaussian", 0.1, seed=1, stream=-1)
    with pytest.raises(UsageError, match="photons x dose"):
        noise(images, ids, "poisson", 1.0, seed=1, photons=2e6)


def test_a_stream_packs_operation_epoch_and_draw_without_collision() -> None:
    packed = {noise_stream(o, e, d) for o in (0, 1, 255) for e in (0, 1, 65535) for d in (0, 1, 255)}
    assert len(packed) == 27
    assert max(packed) == 2**32 - 1
    for bad in ((256, 0, 0), (0, 65536, 0), (0, 0, 256), (-1, 0, 0)):
        with pytest.raises(UsageError, match=r"noise stream: (operation|epoch|draw)"):
            noise_stream(*bad)


def test_without_triton_the_error_on_a_gpu_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "noise_kernel", None)
    elsewhere = torch.zeros(1, 2, 2, device="meta"), torch.zeros(1, dtype=torch.int64, device="meta")
    with pytest.raises(BackendMissing, match="CUDA build of torch"):
        package._noise(*elsewhere, 0, 0.1, 0.0, 0, 1, 2)


def test_the_cpu_kernels_run_where_numba_may_write_no_cache() -> None:
    script = """
import numba.core.caching, torch
def refuse(*_): raise RuntimeError("cannot cache function: no locator available")
numba.core.caching.FunctionCache.__init__ = refuse
from fastrace.kernels import threads
from fastrace.kernels import noise
from fastrace.kernels.bandpass import Filter, bandpass
assert not threads.NUMBA_CACHE
assert bandpass(torch.ones(1, 4, 4), Filter(1, 2)).abs().max() < 1e-6
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_operation_passes_opcheck(kind: str) -> None:
    a, b, threshold = package._parameters(kind, AMOUNTS[kind], PHOTONS_AT_WHITE)
    arguments = (image_batch(2, 9, 11), id_tensor(2), KINDS[kind], a, b, threshold, -3, 2**31)
    torch.library.opcheck(torch.ops.fastrace.noise, arguments)
    torch.library.opcheck(torch.ops.fastrace.noise_cpu, arguments)


def test_torch_compile_traces_through_without_a_break_even_when_the_stream_changes() -> None:
    @torch.compile(fullgraph=True)
    def step(images: torch.Tensor, ids: torch.Tensor, stream: int) -> torch.Tensor:
        return noise(images * 2, ids, "gaussian", 0.1, seed=2**63 + 1, stream=stream).clamp(0, 1)

    images, ids = image_batch(2, 16, 16), torch.arange(2)
    for epoch in range(3):
        stream = noise_stream(1, epoch, 0)
        expected = noise(images * 2, ids, "gaussian", 0.1, seed=2**63 + 1, stream=stream).clamp(0, 1)
        assert torch.equal(step(images, ids, stream), expected)
