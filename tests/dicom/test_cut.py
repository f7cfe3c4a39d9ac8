"""Streams cut short and closed with an end marker: nearly every place of a cut is noticed, and no whole stream is blamed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from dicom_files import smooth, write
from PIL import Image
from pydicom import uid

from fastrace.dicom import codecs, open_frames
from fastrace.dicom.cut import jpeg_2000_is_cut, jpeg_is_cut
from fastrace.errors import RejectedInput

END = b"\xff\xd9"
NOISY = smooth(120, 110, 12).astype(np.uint16)
FLAT = np.where(np.add.outer(np.arange(120), np.arange(110)) < 130, NOISY, 0).astype(np.uint16)  # as beside a breast
GREY = np.full_like(NOISY, 2048)  # what libjpeg fills in
GREY[:70] = NOISY[:70]


def lossless(image: np.ndarray, predictor: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(image, lossless=True, predictor=predictor, bitspersample=12))


def pillow(image: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray((image >> 4).astype(np.uint8)).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def restarts(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", (image >> 4).astype(np.uint8), [cv2.IMWRITE_JPEG_RST_INTERVAL, 7])[1])


def colour(image: np.ndarray, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(np.dstack([(image >> 4).astype(np.uint8)] * 3), 95, **options))


PROCESSES: dict[str, Callable[[np.ndarray], bytes]] = {
    "baseline": lambda image: bytes(imagecodecs.jpeg8_encode((image >> 4).astype(np.uint8), 95)),
    "extended": lambda image: bytes(imagecodecs.jpeg8_encode(image, 95, bitspersample=12)),
    "progressive": lambda image: pillow(image, progressive=True),
    "restart intervals": restarts,
    "three components": colour,
    **{f"lossless {n}": (lambda image, n=n: lossless(image, n)) for n in range(1, 8)},  # type: ignore[misc]
}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("image", [NOISY, FLAT, GREY], ids=["noisy", "flat", "grey"])
def test_a_cut_jpeg_is_noticed_wherever_it_was_cut(process: str, image: np.ndarray) -> None:
    """Missed may be what changes less than a block, and in lossless images a few last samples."""
    stream = PROCESSES[process](image)
    decode = imagecodecs.jpeg8_decode
    whole = decode(stream)
    assert not jpeg_is_cut(stream, whole, decode)
    first = stream.index(b"\xff\xda") + 12
    places = sorted(
        {*np.linspace(first, len(stream) - 3, 40).astype(int).tolist(), *range(len(stream) - 12, len(stream) - 2)}
    )
    noticed = 0
    for place in places:
        cut = stream[:place] + END
        try:
            found = decode(cut)
        except Exception:  # the decoder noticed it: each codec has its own error type
            noticed += 1
            continue
        if jpeg_is_cut(cut, found, decode):
            noticed += 1
        else:
            changed = np.argwhere(found != whole)
            assert len(changed) <= 3 * 16 * 16  # one block, of three components
    assert noticed >= 0.75 * len(places)


def test_a_cut_jpeg_file_is_refused(tmp_path: Path) -> None:
    stream = PROCESSES["baseline"](NOISY)
    path = tmp_path / "image.jpg"
    path.write_bytes(stream[: len(stream) // 2] + END)
    with pytest.raises(RejectedInput, match="cut short") as caught:
        open_frames(path).frame(0)
    assert caught.value.reason == "truncated"
    path.write_bytes(stream)
    open_frames(path).frame(0)


def encoded(syntax: uid.UID) -> bytes:
    if syntax in codecs.JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(NOISY, level=2 if syntax == uid.JPEGLSNearLossless else 0))
    if syntax in codecs.JPEG_2000:
        return bytes(imagecodecs.jpeg2k_encode(NOISY, level=0, codecformat="j2k", reversible=True, bitspersample=12))
    if syntax in codecs.HTJ2K:
        return bytes(imagecodecs.htj2k_encode(NOISY, reversible=True))
    return PROCESSES["baseline" if syntax == uid.JPEGBaseline8Bit else "extended"](NOISY)


@pytest.mark.parametrize(
    "syntax",
    [uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.HTJ2KLossless, uid.JPEGBaseline8Bit,
     uid.JPEGExtended12Bit],
    ids=lambda s: s.keyword,
)  # fmt: skip
def test_a_cut_frame_of_every_family_is_refused(tmp_path: Path, syntax: uid.UID) -> None:
    stream = encoded(syntax)
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    for share in (0.3, 0.5, 0.9, 0.99):
        cut = stream[: int(len(stream) * share)] + END
        path = write(tmp_path / "image", NOISY >> (12 - bits), bits=bits, TransferSyntaxUID=syntax, codestreams=[cut])
        with pytest.raises(RejectedInput) as caught:
            open_frames(path).frame(0)
        assert caught.value.reason in ("truncated", "decode_failed")


def test_the_tile_parts_of_a_whole_jpeg_2000_end_at_its_end() -> None:
    for syntax in (uid.JPEG2000Lossless, uid.HTJ2KLossless):
        stream = encoded(syntax)
        assert not jpeg_2000_is_cut(stream)
        assert not jpeg_2000_is_cut(stream + b"\0")  # a byte of padding, as PS3.5 A.4 has it
        assert all(jpeg_2000_is_cut(stream[:place] + END) for place in range(120, len(stream) - 2, 997))


def test_a_tile_part_that_reaches_to_the_end_states_no_length() -> None:
    stream = bytearray(encoded(uid.JPEG2000Lossless))
    start = stream.index(b"\xff\x90") + 6
    stream[start : start + 4] = b"\0\0\0\0"
    assert not jpeg_2000_is_cut(bytes(stream))


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_jpeg_2000_stream_whose_end_is_zeros_is_refused(tmp_path: Path, kept: float, *, reversible: bool) -> None:
    """What an interrupted copy leaves; OpenJPEG decodes it without a word, with errors of up to 3,180 of 4,095."""
    image = np.zeros((384, 512), dtype=np.uint16)  # a bright part beside air
    image[60:320, :260] = smooth(260, 260, 12)
    stream = bytearray(
        imagecodecs.jpeg2k_encode(
            image, level=0 if reversible else 60, codecformat="j2k", reversible=reversible, bitspersample=12
        )
    )
    syntax = uid.JPEG2000Lossless if reversible else uid.JPEG2000
    write(tmp_path / "whole.dcm", image, TransferSyntaxUID=syntax, codestreams=[bytes(stream)])
    open_frames(tmp_path / "whole.dcm").frame(0)
    first = int(kept * len(stream))
    stream[first:] = bytes(len(stream) - first)
    write(tmp_path / "cut.dcm", image, TransferSyntaxUID=syntax, codestreams=[bytes(stream)])
    with pytest.raises(RejectedInput) as refused:
        open_frames(tmp_path / "cut.dcm").frame(0)
    assert refused.value.reason == "truncated"
