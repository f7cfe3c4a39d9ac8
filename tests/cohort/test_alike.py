"""Almost equal images of different patients are found, others are not, and the hash is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from fastrace.cohort.alike import THRESHOLD, _count, _lowest, alike
from fastrace.preprocess.thumbnail import KEPT, SIDE, thumbnail_hash


def body(seed: int, size: tuple[int, int] = (96, 64)) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    plane = np.array(
        Image.fromarray(rng.random((12, 8), dtype=np.float32)).resize(size[::-1], Image.Resampling.BICUBIC)
    )
    return (np.clip(plane, 0, 1) * 60000).astype(np.uint16)


def table(*images: tuple[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient_key": [key for key, _ in images], "thumbnail_hash": [thumbnail_hash(one) for _, one in images]}
    )


def test_the_hash_is_the_signs_of_the_cosine_transform_of_area_means() -> None:
    image = body(0, (64, 96))
    small = image.reshape(SIDE, 2, SIDE, 3).mean(axis=(1, 3))
    coefficients = dctn(small, norm="ortho")[:KEPT, :KEPT].ravel()[1:]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(thumbnail_hash(image) or ""), dtype=np.uint8))[:-1]
    clear = np.abs(coefficients) > 20  # means are rounded down to integers
    assert clear.sum() > 150
    assert (bits[clear] == (coefficients[clear] > 0)).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 33), (224, 224), (31, 500)])
def test_every_size_has_a_hash_and_a_flat_image_has_none(size: tuple[int, int]) -> None:
    assert thumbnail_hash(np.full(size, 300, dtype=np.uint16)) is None
    if size != (1, 1):
        assert len(thumbnail_hash(np.random.default_rng(0).integers(0, 65536, size, dtype=np.uint16)) or "") == 64


def test_brightness_contrast_depth_and_noise_hardly_change_it() -> None:
    one = body(1)
    changed = (
        one // 2 + 9000,
        (one >> 8).astype(np.uint8),
        one + np.random.default_rng(3).integers(0, 3000, one.shape, dtype=np.uint16),
    )
    for other in changed:
        assert alike(table(("a", one), ("b", other))).pairs == 1
    assert alike(table(("a", one), ("b", body(2)), ("c", np.ascontiguousarray(one[:, ::-1])))).pairs == 0


def test_images_of_one_patient_and_images_without_a_hash_are_no_pairs() -> None:
    found = alike(table(("a", body(1)), ("a", body(1)), ("b", body(1)), ("c", np.zeros((9, 9), np.uint8))))
    assert (found.pairs, found.patients, found.compared, found.images) == (2, 2, 3, 4)
    assert alike(table(("a", np.zeros((9, 9), np.uint8)))).sentence("patients") is None


def test_two_datasets_are_compared_with_each_other_alone() -> None:
    first, second = table(("a", body(1)), ("b", body(1))), table(("a", body(1)), ("c", body(1)), ("d", body(5)))
    found = alike(first, second)
    assert (found.pairs, found.patients) == (3, 3)  # a-c, b-a, b-c
    said = found.sentence("patients, one here and one there")
    assert said is not None
    assert said.startswith(
        "3 pairs of almost equal images belong to different patients, one here and one there, 3 patients in all."
    )


def test_the_loop_counts_what_a_plain_one_counts() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (60, 256), dtype=np.uint8)
    for number in range(20, 60):  # near copies, at distances around the threshold
        bits[number] = bits[number - 20]
        bits[number, rng.permutation(256)[: rng.integers(0, 2 * THRESHOLD)]] ^= 1
    owner = rng.integers(0, 30, 60)
    words = np.ascontiguousarray(np.packbits(bits, axis=1).view(np.uint64).T)
    distance = (bits[:, None] != bits[None]).sum(axis=2)
    expected = np.triu((distance <= THRESHOLD) & (owner[:, None] != owner[None]), 1)
    tied = np.arange(30)
    assert _count(words, owner, words, owner, THRESHOLD, True, tied) == expected.sum() > 5
    edges = csr_array((np.ones(expected.sum()), owner[np.argwhere(expected).T]), shape=(30, 30))
    group = connected_components(edges, directed=False)[1]
    for patient in range(30):
        assert _lowest(tied, patient) == np.flatnonzero(group == group[patient])[0]


def test_one_patient_of_each_group_is_not_repeated() -> None:
    found = alike(table(("b", body(1)), ("d", body(5)), ("c", body(1)), ("a", body(3)), ("c", body(5)), ("e", body(9))))
    assert (found.pairs, found.patients, found.repeated) == (2, 3, {"c", "d"})


@pytest.mark.parametrize(("archive", "images"), [("hands", 600), ("chest", 243)])
def test_different_patients_of_real_archives_are_not_alike(test_data: Path, archive: str, images: int) -> None:
    """All 3,080 hands have no pair either; docs/decisions.md has the rates."""
    files = sorted((test_data / archive).rglob("*.png"))[:images]
    assert len(files) == images
    shown = [(str(number), np.asarray(Image.open(file).convert("L"))) for number, file in enumerate(files)]
    found = alike(table(*shown))
    assert (found.pairs, found.compared) == (0, images)
