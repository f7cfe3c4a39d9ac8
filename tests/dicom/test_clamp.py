"""Codestreams deeper than Bits Stored: lossy ones are clamped, lossless ones masked as uncompressed words are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import smooth, write
from pydicom import uid

from fastrace.dicom import open_frames


def edges(low: int, high: int, dtype: str) -> np.ndarray:
    """Stripes at the two ends of a range, which lossy coding overshoots."""
    image = np.full((64, 64), low, dtype)
    image[:, 10:30] = high
    image[20:40] = high
    return image


def read(path: Path) -> tuple[np.ndarray, set[str]]:
    frame = open_frames(path, voi="full").frame(0)
    values = frame.display.words.values()[frame.display.words.patterns(frame.pixels)]
    return values, {note.kind for note in frame.notes}


def lossy(syntax: uid.UID, image: np.ndarray) -> bytes:
    if syntax == uid.JPEG2000:
        return bytes(imagecodecs.jpeg2k_encode(image, level=52, codecformat="j2k", reversible=False))
    if syntax == uid.HTJ2K:
        return bytes(imagecodecs.htj2k_encode(image, level=0.01, reversible=False))
    if syntax == uid.JPEGLSNearLossless:
        return bytes(imagecodecs.jpegls_encode(image, level=9))
    return bytes(imagecodecs.jpeg8_encode(image, 60, bitspersample=12))


DECODE = {
    uid.JPEG2000: imagecodecs.jpeg2k_decode, uid.HTJ2K: imagecodecs.jpeg2k_decode,
    uid.JPEGLSNearLossless: imagecodecs.jpegls_decode, uid.JPEGExtended12Bit: imagecodecs.jpeg8_decode,
}  # fmt: skip


@pytest.mark.parametrize("syntax", DECODE, ids=lambda s: s.keyword)
def test_overshoot_of_a_lossy_stream_becomes_the_end_of_the_range(tmp_path: Path, syntax: uid.UID) -> None:
    bits = 10 if syntax == uid.JPEGExtended12Bit else 12
    image = edges(5, (1 << bits) - 1, "uint16")
    image[50:] += np.random.default_rng(0).integers(0, 4, (14, 64)).astype(np.uint16)  # also above the range
    stream = lossy(syntax, image)
    raw = DECODE[syntax](stream)
    assert raw.max() >= 1 << bits
    path = write(tmp_path / "image", image & 1023, bits=bits, TransferSyntaxUID=syntax, codestreams=[stream])
    values, noted = read(path)
    np.testing.assert_array_equal(values, np.clip(raw, 0, (1 << bits) - 1))
    assert noted == {"clamped"}


def test_signed_samples_are_clamped_at_both_ends(tmp_path: Path) -> None:
    image = edges(-2048, 2047, "int16")
    stream = lossy(uid.JPEG2000, image)
    raw = imagecodecs.jpeg2k_decode(stream)
    assert raw.min() < -2048
    assert raw.max() > 2047
    path = write(tmp_path / "image", image, signed=True, TransferSyntaxUID=uid.JPEG2000, codestreams=[stream])
    values, noted = read(path)
    np.testing.assert_array_equal(values, np.clip(raw, -2048, 2047))
    assert noted == {"clamped"}


def test_unsigned_values_in_a_signed_stream_stay_unsigned(tmp_path: Path) -> None:
    """An encoder was given int16 words of 12-bit values: 4095 is not -1, and what fell below 0 is 0."""
    image = edges(0, 4095, "int16")
    stream = lossy(uid.JPEG2000, image)
    raw = imagecodecs.jpeg2k_decode(stream)
    assert raw.min() < 0
    values, noted = read(write(tmp_path / "image", image, TransferSyntaxUID=uid.JPEG2000, codestreams=[stream]))
    np.testing.assert_array_equal(values, np.clip(raw, 0, 4095))
    assert noted == {"clamped"}


def test_a_deeper_stream_without_overshoot_has_no_note(tmp_path: Path) -> None:
    stream = lossy(uid.JPEG2000, smooth(64, 64, 12).astype(np.uint16) // 2 + 900)
    raw = imagecodecs.jpeg2k_decode(stream)
    path = write(tmp_path / "image", smooth(64, 64), TransferSyntaxUID=uid.JPEG2000, codestreams=[stream])
    values, noted = read(path)
    np.testing.assert_array_equal(values, raw)
    assert noted == set()


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.HTJ2KLossless]
)
def test_lossless_words_are_masked_as_uncompressed_ones_are(tmp_path: Path, syntax: uid.UID) -> None:
    words = smooth(32, 40, 12).astype(np.uint16) | 0x4000
    options: dict[str, Any] = {"PixelData": words.tobytes()}
    if syntax == uid.JPEG2000Lossless:
        options = {
            "codestreams": [bytes(imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", reversible=True))]
        }
    elif syntax == uid.JPEGLSLossless:
        options = {"codestreams": [bytes(imagecodecs.jpegls_encode(words))]}
    elif syntax == uid.HTJ2KLossless:
        options = {"codestreams": [bytes(imagecodecs.htj2k_encode(words, reversible=True))]}
    values, noted = read(write(tmp_path / "image", words & 0xFFF, TransferSyntaxUID=syntax, **options))
    np.testing.assert_array_equal(values, words & 0xFFF)
    assert noted == {"bits_above"}
