"""PNG, JPEG and TIFF through the same door."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import smooth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastrace.dicom import Frame, open_frames
from fastrace.errors import RejectedInput

GREY8 = smooth(bits=8).astype(np.uint8)
GREY16 = smooth(bits=16).astype(np.uint16)


def saved(path: Path, pixels: np.ndarray, kind: str, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, kind, **options)
    return path


def refused(path: Path, **options: Any) -> RejectedInput:
    with pytest.raises(RejectedInput) as caught:
        open_frames(path, **options).frame(0)
    return caught.value


def shown(frame: Frame) -> np.ndarray:
    return frame.display.table()[frame.pixels]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["8", "16"])
def test_grey_is_shown_as_it_is(tmp_path: Path, kind: str, pixels: np.ndarray) -> None:
    frames = open_frames(saved(tmp_path / "x.dcm", pixels, kind))  # the name is wrong
    frame = frames.frame(0)
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert len(frames) == 1
    assert frame.display.voi_source == "full_range"
    np.testing.assert_allclose(shown(frame), pixels / np.iinfo(pixels.dtype).max, rtol=0, atol=1e-15)
    assert (frame.header.rows, frame.header.columns) == pixels.shape
    assert frame.header.bits_stored == 8 * pixels.itemsize
    assert frame.header.modality is None
    assert frame.header.patient_id is None


def test_a_jpeg_is_decoded_as_pillow_does(tmp_path: Path) -> None:
    frame = open_frames(saved(tmp_path / "x", GREY8, "JPEG", quality=90)).frame(0)
    theirs = np.asarray(Image.open(tmp_path / "x"))
    assert np.abs(frame.pixels.astype(int) - theirs).max() <= 1  # the standard leaves the inverse transform's rounding


def test_a_12_bit_jpeg_is_shown_over_its_own_range(tmp_path: Path) -> None:
    pixels = smooth(64, 64).astype(np.uint16)
    (tmp_path / "x").write_bytes(imagecodecs.jpeg8_encode(pixels, 100, bitspersample=12))
    frame = open_frames(tmp_path / "x").frame(0)
    assert frame.display.words.bits == 12
    assert np.abs(shown(frame) - pixels / 4095).max() < 0.02


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_three_equal_channels_are_grey_and_others_are_colour(tmp_path: Path, kind: str) -> None:
    grey = np.dstack([GREY8] * 3)
    frame = open_frames(saved(tmp_path / "grey", grey, kind)).frame(0)
    assert frame.pixels.shape == GREY8.shape
    theirs = np.asarray(Image.open(tmp_path / "grey"))[:, :, 0]
    assert np.abs(frame.pixels.astype(int) - theirs).max() <= (1 if kind == "JPEG" else 0)
    colour = grey.copy()
    colour[:, :, 1] = 255 - colour[:, :, 1]
    assert refused(saved(tmp_path / "colour", colour, kind)).reason == "color"


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_ignored_where_it_is_opaque(tmp_path: Path, channels: int) -> None:
    alpha = np.full_like(GREY8, 255)
    pixels = np.dstack([GREY8] * (channels - 1) + [alpha])
    np.testing.assert_array_equal(open_frames(saved(tmp_path / "a", pixels, "PNG")).frame(0).pixels, GREY8)
    pixels[3, 4, -1] = 254
    error = refused(saved(tmp_path / "b", pixels, "PNG"))
    assert error.reason == "color"
    assert "transparent" in error.message


def test_palettes(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY8).convert("P")
    grey.putpalette([v for v in range(256) for _ in range(3)])
    grey.save(tmp_path / "grey", "PNG")
    np.testing.assert_array_equal(open_frames(tmp_path / "grey").frame(0).pixels, GREY8)
    colour = grey.copy()
    colour.putpalette([c for v in range(256) for c in (v, 0, 255 - v)])
    colour.save(tmp_path / "colour", "PNG")
    assert refused(tmp_path / "colour").reason == "color"
    grey.save(tmp_path / "tiff", "TIFF")
    assert refused(tmp_path / "tiff").reason == "color"


def test_one_bit_png_is_expanded(tmp_path: Path) -> None:
    Image.fromarray(GREY8 > 100).save(tmp_path / "x", "PNG")
    np.testing.assert_array_equal(open_frames(tmp_path / "x").frame(0).pixels, np.where(GREY8 > 100, 255, 0))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_pages_are_frames(tmp_path: Path, compression: str) -> None:
    pages = [smooth(20 + i, 30, 16, seed=i).astype(np.uint16) for i in range(3)]
    images = [Image.fromarray(p) for p in pages]
    images[0].save(tmp_path / "x", "TIFF", save_all=True, append_images=images[1:], compression=compression)
    frames = open_frames(tmp_path / "x")
    assert len(frames) == 3
    for frame, page in zip(frames, pages, strict=True):
        np.testing.assert_array_equal(frame.pixels, page)
        assert (frame.header.rows, frame.header.columns) == page.shape


def tiff(pixels: np.ndarray, *, order: str = "<", big: bool = False, **tags: int) -> bytes:
    """Write one uncompressed page, for the forms Pillow does not write."""
    entries = {
        256: pixels.shape[1], 257: pixels.shape[0], 258: 8 * pixels.itemsize, 259: 1, 262: tags.get("photometric", 1),
        273: 0, 277: 1, 278: pixels.shape[0], 279: pixels.nbytes, 339: tags.get("sample_format", 1),
    }  # fmt: skip
    start, entry = (16, 20) if big else (8, 12)
    end = start + (8 + 8 if big else 2 + 4) + entry * len(entries)
    entries[273] = end
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQ", 43, 8, 0, start) if big else struct.pack(order + "HI", 42, start)
    )
    directory = struct.pack(order + ("Q" if big else "H"), len(entries))
    for tag, value in sorted(entries.items()):
        directory += struct.pack(order + ("HHQQ" if big else "HHII"), tag, 16 if big else 4, 1, value)
    directory += struct.pack(order + ("Q" if big else "I"), tags.get("following", 0))
    return head + directory + pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["8", "16"])
def test_tiff_byte_orders_and_bigtiff(tmp_path: Path, order: str, big: bool, pixels: np.ndarray) -> None:
    (tmp_path / "x").write_bytes(tiff(pixels, order=order, big=big))
    np.testing.assert_array_equal(open_frames(tmp_path / "x").frame(0).pixels, pixels)


def test_a_tiff_in_which_white_is_zero_is_inverted(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(tiff(GREY8, photometric=0))
    frame = open_frames(tmp_path / "x").frame(0)
    assert frame.header.photometric == "MONOCHROME1"
    np.testing.assert_allclose(shown(frame), 1 - GREY8 / 255, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(GREY16.astype(np.float32), sample_format=3), "float_pixels"),
        (tiff(GREY16, sample_format=2), "unsupported_bits"),
        (tiff(GREY16.astype(np.uint32)), "unsupported_bits"),
        (tiff(GREY8, following=8), "bad_header"),  # a circle of directories
        (tiff(GREY8, following=1 << 30), "truncated"),
        (tiff(GREY8)[:60], "truncated"),
        (tiff(GREY8)[:-1], "decode_failed"),
        (b"II*\0\0\0\0\0", "bad_header"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"\xff\xd8\xff\xe0\0\x10", "bad_header"),
    ],
)
def test_raster_files_that_cannot_be_used(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x").write_bytes(content)
    assert refused(tmp_path / "x").reason == reason


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_raster_header_that_claims_a_huge_image_is_refused_before_decoding(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "x", GREY8, kind)
    assert refused(path, max_pixels=100).reason == "too_large"
    if kind == "PNG":
        content = bytearray(path.read_bytes())
        content[16:24] = struct.pack(">II", 100_000, 100_000)
        path.write_bytes(content)
        assert "100000 x 100000" in refused(path).message


def test_voi_options_work_on_stored_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "x", GREY8, "PNG")
    window = open_frames(path, voi="100,50").frame(0)
    np.testing.assert_allclose(shown(window), np.clip((GREY8 - 99.5) / 49 + 0.5, 0, 1), rtol=0, atol=1e-12)
    assert window.display.voi_source == "option"
    robust = open_frames(path, voi="robust").frame(0)
    low, high = np.percentile(GREY8.astype(float), (0.5, 99.5), method="inverted_cdf")
    np.testing.assert_allclose(shown(robust), np.clip((GREY8 - low) / (high - low), 0, 1), rtol=0, atol=1e-12)
    assert open_frames(path, voi="full").frame(0).display.voi_source == "option"
    assert open_frames(path, preset_window=(40, 400)).frame(0).display.voi_source == "full_range"
    assert refused(path, voi="window:1").reason == "bad_window"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "TIFF"]),
    share=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_damaged_raster_files_are_refused_or_read(
    kind: str, share: float, changes: list[tuple[float, int]], tmp_path: Path
) -> None:
    whole = saved(tmp_path / "whole", GREY8, kind).read_bytes()
    content = bytearray(whole if changes else whole[: int(share * len(whole))])
    for place, byte in changes:
        content[int(place * len(content))] = byte
    (tmp_path / "x").write_bytes(content)
    try:
        frame = open_frames(tmp_path / "x").frame(0)
    except RejectedInput:
        return
    assert frame.pixels.dtype in (np.uint8, np.uint16)
    if not changes:  # only what was not needed has been cut off
        np.testing.assert_array_equal(frame.pixels, open_frames(tmp_path / "whole").frame(0).pixels)


def test_the_public_set_beside_the_table_is_read(test_data: Path) -> None:
    folder = test_data / "chest" / "png"
    for path in sorted(folder.iterdir())[:10]:
        frame = open_frames(path).frame(0)
        np.testing.assert_array_equal(frame.pixels, np.asarray(Image.open(path)))
