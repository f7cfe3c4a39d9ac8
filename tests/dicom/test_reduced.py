"""Decoding at reduced resolution: against area averages, every family, precision and sign."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from dicom_files import encode, smooth
from pydicom import uid

from fastrace.dicom import codecs
from fastrace.dicom.codestream import read_codestream
from fastrace.dicom.reduced import decode_reduced, halvings


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2K])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 13, 16])
@pytest.mark.parametrize("times", [1, 2])
def test_smooth_images_agree_with_their_area_averages(syntax: uid.UID, bits: int, signed: bool, times: int) -> None:
    values = smooth(128, 192, bits, signed)
    if (
        signed and syntax in codecs.HTJ2K
    ):  # `encode` writes two's complement as unsigned samples, whose averages mean nothing
        stream = bytes(imagecodecs.htj2k_encode(values.astype(np.int8 if bits == 8 else np.int16), reversible=True))
    else:
        stream = encode(syntax, values, bits, signed)
    found = read_codestream(stream)
    assert found is not None
    assert found.signed == signed
    samples = decode_reduced(syntax, stream, found, times)
    assert samples is not None
    step = 2**times
    averages = values.reshape(128 // step, step, 192 // step, step).mean(axis=(1, 3))
    assert samples.shape == averages.shape
    # Half a sample of shift between the two grids, on a picture whose steepest slope is about a fiftieth of its range a pixel.
    assert np.abs(samples - averages)[2:-2, 2:-2].max() < (1 << bits) / 20


@pytest.mark.parametrize("shape", [(97, 131), (64, 1), (1, 64)])
def test_odd_sizes_round_up(shape: tuple[int, int]) -> None:
    values = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape) % 4096
    stream = encode(uid.JPEG2000Lossless, values, 12)
    found = read_codestream(stream)
    assert found is not None
    times = min(2, found.levels)
    samples = decode_reduced(uid.JPEG2000Lossless, stream, found, times)
    assert samples is not None
    assert samples.shape == tuple(-(-side // 2**times) for side in shape)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.HTJ2KLossless])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_what_overshoots_is_clamped(syntax: uid.UID, bits: int) -> None:
    values = np.zeros((96, 96), np.int64)
    values[:, 40:] = (1 << bits) - 1
    stream = encode(syntax, values, bits)
    found = read_codestream(stream)
    assert found is not None
    samples = decode_reduced(syntax, stream, found, 1)
    assert samples is not None
    assert samples[:, :16].max() < (1 << bits) // 4
    assert samples[:, 24:].min() > 3 * (1 << bits) // 4


def test_a_cut_stream_is_an_error() -> None:
    stream = encode(uid.JPEG2000Lossless, smooth(128, 128), 12)
    found = read_codestream(stream)
    assert found is not None
    with pytest.raises(ValueError, match="OSError"):
        decode_reduced(uid.JPEG2000Lossless, stream[: len(stream) // 8], found, 1)


def test_twice_the_samples_of_the_network_are_kept() -> None:
    assert halvings(3328, 2560, (256, 256), 5) == 2
    assert halvings(3328, 2560, (256, 256), 1) == 1
    assert halvings(1000, 4000, (256, 256), 5) == 0
    assert halvings(1024, 1024, (256, 256), 5) == 1
    assert halvings(1023, 1024, (256, 256), 5) == 0
