"""Every compressed transfer syntax, precision and sign, against the samples that were encoded."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import dataset, encode, lossless_jpeg, smooth, write
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from fastrace.dicom import codecs, open_frames
from fastrace.dicom.codestream import read_codestream
from fastrace.dicom.notes import Note
from fastrace.errors import RejectedInput

LOSSLESS = [
    uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL, uid.HTJ2K, uid.RLELossless,
]  # fmt: skip
WITH_PLUGIN = [syntax for syntax in codecs.DECODER_DEPENDENCIES if syntax not in codecs.JPEG_PROGRESSIVE]


def values_of(path: Path) -> np.ndarray:
    frame = open_frames(path, voi="full").frame(0)
    return frame.display.words.values()[frame.display.words.patterns(frame.pixels)]


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.keyword)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 13, 16])
def test_lossless_syntaxes_give_back_what_was_encoded(tmp_path: Path, syntax: uid.UID, bits: int, signed: bool) -> None:
    values = smooth(37, 53, bits, signed)
    path = write(
        tmp_path / "image",
        values,
        bits=bits,
        signed=signed,
        TransferSyntaxUID=syntax,
        codestreams=[encode(syntax, values, bits, signed)],
    )
    np.testing.assert_array_equal(values_of(path), values)


@pytest.mark.parametrize(("syntax", "bits"), [(uid.JPEGBaseline8Bit, 8), (uid.JPEGExtended12Bit, 12)])
def test_lossy_jpeg_is_close(tmp_path: Path, syntax: uid.UID, bits: int) -> None:
    values = np.clip(smooth(64, 64, bits), 0, (1 << bits) - 1)
    path = write(
        tmp_path / "image", values, bits=bits, TransferSyntaxUID=syntax, codestreams=[encode(syntax, values, bits)]
    )
    assert np.abs(values_of(path) - values).max() <= (1 << bits) // 64


def test_near_lossless_jpeg_ls_keeps_its_bound(tmp_path: Path) -> None:
    values = smooth(64, 64)
    stream = bytes(imagecodecs.jpegls_encode(values.astype(np.uint16), level=3))
    path = write(tmp_path / "image", values, TransferSyntaxUID=uid.JPEGLSNearLossless, codestreams=[stream])
    assert np.abs(values_of(path) - values).max() <= 3


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [2, 8, 12, 14, 16])
@pytest.mark.parametrize("restart_rows", [0, 1, 5])
def test_jpeg_lossless_of_every_predictor_and_with_restart_markers(
    predictor: int, bits: int, restart_rows: int
) -> None:
    for samples in (smooth(13, 17, bits), np.random.default_rng(predictor).integers(0, 1 << bits, (13, 17))):
        stream = lossless_jpeg(samples, bits, predictor, restart_rows)
        codecs.check_codestream(uid.JPEGLossless, stream, 13, 17)
        np.testing.assert_array_equal(codecs.decode_samples(uid.JPEGLossless, stream, 13, 17, 2), samples)


def test_fewer_bits_in_the_codestream_than_in_the_header(tmp_path: Path) -> None:
    values = smooth(bits=8)
    stream = encode(uid.JPEG2000Lossless, values, 8)
    path = write(tmp_path / "image", values, bits=12, TransferSyntaxUID=uid.JPEG2000Lossless, codestreams=[stream])
    assert open_frames(path).frame(0).pixels.dtype == np.uint16
    np.testing.assert_array_equal(values_of(path), values)


def test_signed_values_written_as_unsigned_samples_of_fewer_bits(tmp_path: Path) -> None:
    """As J2K_pixelrep_mismatch.dcm, but with Bits Stored 16: the sign is the top bit of the codestream."""
    values = smooth(bits=13, signed=True)
    stream = encode(uid.JPEG2000Lossless, values, 13, signed=False)
    path = write(
        tmp_path / "image", values, bits=16, signed=True, TransferSyntaxUID=uid.JPEG2000Lossless, codestreams=[stream]
    )
    np.testing.assert_array_equal(values_of(path), values)


def test_signed_samples_under_an_unsigned_header_are_read_as_signed_and_noted(tmp_path: Path) -> None:
    values = smooth(bits=16, signed=True)
    stream = encode(uid.JPEG2000Lossless, values, 16, signed=True)
    path = write(tmp_path / "image", values, bits=16, TransferSyntaxUID=uid.JPEG2000Lossless, codestreams=[stream])
    np.testing.assert_array_equal(values_of(path), values)
    assert "read as signed" in open_frames(path).frame(0).notes[0].text


def test_a_value_high_in_its_word_is_found_in_the_codestream(tmp_path: Path) -> None:
    """High Bit 15 with 12 bits: encoders write either the whole word (16 bits) or the value alone (12 bits)."""
    values = smooth(bits=12)
    for stream in (
        encode(uid.JPEGLossless, values << 4, 16),
        encode(uid.JPEGLossless, values, 12),
        encode(uid.JPEG2000Lossless, values, 12),
    ):
        syntax = uid.JPEG2000Lossless if stream[1] == 0x4F else uid.JPEGLossless
        path = write(tmp_path / "image", values, HighBit=15, TransferSyntaxUID=syntax, codestreams=[stream])
        np.testing.assert_array_equal(values_of(path), values)


@pytest.mark.parametrize("syntax", [s for s in LOSSLESS if s != uid.RLELossless], ids=lambda s: s.keyword)
@pytest.mark.parametrize(
    ("change", "part"),
    [({"Rows": 25}, "has 24 x 31 pixels, the header 25 x 31"), ({"Columns": 8}, "the header 24 x 8")],
)
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(
    tmp_path: Path, syntax: uid.UID, change: dict[str, int], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        tmp_path / "image", smooth(), TransferSyntaxUID=syntax, codestreams=[encode(syntax, smooth(), 12)], **change
    )
    monkeypatch.setattr(codecs, "decode_samples", lambda *_: pytest.fail("decoded"))
    with pytest.raises(RejectedInput, match=part) as caught:
        open_frames(path).frame(0)
    assert caught.value.reason == "decode_failed"


def test_colour_in_a_codestream_under_a_grey_header_is_refused(tmp_path: Path) -> None:
    stream = bytes(imagecodecs.jpeg8_encode(np.zeros((24, 31, 3), np.uint8)))
    path = write(
        tmp_path / "image", smooth(bits=8), bits=8, TransferSyntaxUID=uid.JPEGBaseline8Bit, codestreams=[stream]
    )
    with pytest.raises(RejectedInput, match="3 components"):
        open_frames(path).frame(0)


@pytest.mark.parametrize("syntax", WITH_PLUGIN, ids=lambda s: s.keyword)
def test_pydicoms_pixel_array_uses_the_plugin_first(syntax: uid.UID) -> None:
    assert codecs.is_available(syntax)
    assert codecs.LABEL in get_decoder(syntax).available_plugins
    codecs.register()  # again: no error, no second copy
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    values = smooth(bits=bits)
    ds = dataset(values, bits=bits, TransferSyntaxUID=syntax)
    ds.PixelData = encapsulate([encode(syntax, values, bits)])
    ds["PixelData"].VR = "OB"
    decoder = get_decoder(syntax)
    first = next(iter(decoder._validate_plugins()))
    assert first == codecs.LABEL
    lossy = syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
    np.testing.assert_allclose(ds.pixel_array, values, atol=(1 << bits) // 32 if lossy else 0)


def test_pydicoms_other_plugins_stand_behind_it() -> None:
    """Colour is not the plugin's business: pydicom goes on to its next one."""
    colour = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    ds = dataset(colour[..., 0], bits=8, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    ds.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    stream = bytes(imagecodecs.jpeg2k_encode(colour, level=0, codecformat="j2k", reversible=True, mct=False))
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(ds.pixel_array, colour)


def test_without_the_codec_pydicoms_plugin_decodes_and_the_note_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = smooth()
    syntax = uid.RLELossless
    path = write(tmp_path / "image", values, TransferSyntaxUID=syntax, codestreams=[encode(syntax, values, 12)])
    monkeypatch.setattr(codecs, "is_available", lambda _: False)
    frame = open_frames(path).frame(0)
    np.testing.assert_array_equal(frame.pixels, values)
    assert frame.notes == (Note("fallback", "decoded by pydicom's pydicom plugin: this imagecodecs lacks the codec"),)


def test_without_any_decoder_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = smooth()
    syntax = uid.HTJ2KLossless
    path = write(tmp_path / "image", values, TransferSyntaxUID=syntax, codestreams=[encode(syntax, values, 12)])
    monkeypatch.setattr(codecs, "is_available", lambda _: False)
    monkeypatch.setattr(codecs, "_PYDICOM_PLUGINS", ())
    with pytest.raises(RejectedInput, match="install imagecodecs") as caught:
        open_frames(path).frame(0)
    assert caught.value.reason == "decode_failed"


@pytest.mark.parametrize(
    "options",
    [
        {"has_bot": True},
        {"has_bot": False},
        {"extended": True},
        {"has_bot": True, "fragments_per_frame": 3},
        {"has_bot": False, "fragments_per_frame": 3},
    ],
)
@pytest.mark.parametrize("frames", [1, 4])
def test_fragments_become_frames_as_in_pydicom(tmp_path: Path, frames: int, options: dict[str, Any]) -> None:
    values = np.stack([smooth(seed=i) for i in range(frames)])
    syntax = uid.JPEG2000Lossless
    path = write(
        tmp_path / "image",
        values,
        TransferSyntaxUID=syntax,
        codestreams=[encode(syntax, v, 12) for v in values],
        **options,
    )
    ours = np.stack([frame.pixels for frame in open_frames(path)])
    np.testing.assert_array_equal(ours, values)
    np.testing.assert_array_equal(ours, pydicom.dcmread(path).pixel_array.reshape(ours.shape))


def test_fragments_that_do_not_divide_into_frames_are_refused(tmp_path: Path) -> None:
    values = np.stack([smooth(seed=i) for i in range(3)])
    syntax = uid.RLELossless
    path = write(
        tmp_path / "image",
        values,
        TransferSyntaxUID=syntax,
        codestreams=[encode(syntax, v, 12) for v in values],
        has_bot=False,
        NumberOfFrames=2,
    )
    with pytest.raises(RejectedInput, match="3 fragments do not divide into 2 frames") as caught:
        open_frames(path)
    assert caught.value.reason == "bad_header"


def test_jpeg_2000_in_a_jp2_box_is_read_like_a_bare_codestream(tmp_path: Path) -> None:
    values = smooth()
    stream = bytes(imagecodecs.jpeg2k_encode(values.astype(np.uint16), level=0, codecformat="jp2", reversible=True))
    assert stream[4:8] == b"jP  "
    path = write(tmp_path / "image", values, TransferSyntaxUID=uid.JPEG2000Lossless, codestreams=[stream])
    np.testing.assert_array_equal(values_of(path), values)


SIZ = encode(uid.HTJ2KLossless, smooth(), 12)


@pytest.mark.parametrize("place", [24, 28, 43, 44])  # tile width and height, steps between samples
def test_a_jpeg_2000_header_with_a_size_of_zero_never_reaches_the_decoder(place: int) -> None:
    """OpenJPH divides by them, and the process is gone."""
    width = 4 if place < 40 else 1
    stream = SIZ[:place] + b"\0" * width + SIZ[place + width :]
    with pytest.raises(ValueError, match="no frame header"):
        codecs.check_codestream(uid.HTJ2KLossless, stream, 24, 31)


def test_errors_inside_openjph_are_not_lost() -> None:
    """imagecodecs prints them and hands back memory that nothing was decoded into."""
    values = smooth(60, 70)
    stream = encode(uid.HTJ2KLossless, values, 12)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(stream)
        for place in rng.integers(200, len(stream) - 2, 20):
            damaged[place] = rng.integers(0, 256)
        try:
            codecs.decode_samples(uid.HTJ2KLossless, bytes(damaged), 60, 70, 2)
        except ValueError:
            refused += 1
    assert refused > 5


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\0\0\0\0",
        b"\xff\xd8\xff\xe0\0\2\xff\xda\0\2",
        b"\xff\xd8\xff\xc3\0",
        SIZ[:20],
        b"\0\0\0\x0cjP  \r\n",
    ],
)
def test_what_has_no_frame_header_is_refused(stream: bytes) -> None:
    syntax = uid.JPEGLossless if stream[:2] == b"\xff\xd8" else uid.HTJ2KLossless
    with pytest.raises(ValueError, match="no frame header"):
        codecs.check_codestream(syntax, stream, 24, 31)


def test_fill_bytes_thumbnails_and_markers_without_length_do_not_hide_the_frame_header() -> None:
    stream = encode(uid.JPEGLossless, smooth(), 12)
    thumbnail = b"\xff\xd8 a picture \xff\xd9"
    before = b"\xff\xd8\xff\xff\x01\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    found = codecs.check_codestream(uid.JPEGLossless, before + stream[2:], 24, 31)
    assert found is not None
    assert (found.rows, found.columns, found.precision, found.components) == (24, 31, 12, 1)
    with pytest.raises(EOFError, match="ends too early"):  # the end marker of the thumbnail is not the image's
        codecs.check_codestream(uid.JPEGLossless, (before + stream[2:])[:-2], 24, 31)


def test_rle_with_too_few_bytes_is_refused() -> None:
    stream = encode(uid.RLELossless, smooth(), 12)
    with pytest.raises(EOFError, match="cannot hold 60000 x 4000 pixels"):  # before anything is allocated
        codecs.check_codestream(uid.RLELossless, stream, 60000, 4000)
    with pytest.raises(EOFError, match="of 1000 bytes"):
        codecs.decode_samples(uid.RLELossless, stream, 25, 40, 2)


def test_pydicoms_plugins_that_fail_are_named() -> None:
    with pytest.raises(ValueError, match="pydicom: "):
        codecs.decode_with_pydicom(
            uid.RLELossless,
            b"\0" * 70,
            {"rows": 2, "columns": 2, "bits_allocated": 16, "bits_stored": 12, "pixel_representation": 0}
            | {"photometric_interpretation": "MONOCHROME2", "number_of_frames": 1, "samples_per_pixel": 1}
            | {"pixel_keyword": "PixelData"},
        )
    with pytest.raises(ValueError, match="no decoder"):
        codecs.decode_with_pydicom("1.2.3", b"", {})


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K], ids=lambda s: s.keyword)
@pytest.mark.parametrize("bits", [8, 16])
def test_lossy_htj2k_does_not_wrap_around_where_it_overshoots(tmp_path: Path, syntax: uid.UID, bits: int) -> None:
    """OpenJPH does in imagecodecs 2026.3: white lines beside black ones came out black."""
    values = smooth(96, 96, bits)
    values[:, ::7], values[::5] = 0, (1 << bits) - 1
    stream = bytes(imagecodecs.htj2k_encode(values.astype(f"u{bits // 8}"), reversible=False, level=0.01))
    path = write(tmp_path / "image", values, bits=bits, TransferSyntaxUID=syntax, codestreams=[stream])
    # The quantiser's step is a hundredth of the range; a wrap is all of it.
    assert np.abs(values_of(path) - values).max() < (1 << bits) // 16


def test_levels_and_wavelet_are_read_from_the_main_header() -> None:
    values = smooth(64, 64).astype(np.uint16)
    for reversible in (True, False):
        for levels in (1, 5):
            stream = bytes(imagecodecs.htj2k_encode(values, reversible=reversible, level=0.001, resolutions=levels))
            found = read_codestream(stream)
            assert found is not None
            assert (found.lossy, found.levels) == (not reversible, levels)


@pytest.mark.parametrize("syntax", codecs.JPEG_PROGRESSIVE, ids=lambda s: s.keyword)
def test_progressive_jpeg_is_read(tmp_path: Path, syntax: uid.UID) -> None:
    values = smooth(70, 90, 8)
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "JPEG", quality=98, progressive=True)
    path = write(tmp_path / "image", values, bits=8, TransferSyntaxUID=syntax, codestreams=[file.getvalue()])
    assert np.abs(values_of(path) - values).max() <= 8


@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="DCMTK is not installed")
def test_progressive_jpeg_of_12_bits_is_read_as_dcmtk_reads_it(tmp_path: Path) -> None:
    native = write(tmp_path / "native", smooth(70, 90, 12))
    coded, back = tmp_path / "coded", tmp_path / "back"
    subprocess.run(["dcmcjpeg", "+ep", "+un", native, coded], check=True)
    assert pydicom.dcmread(coded).file_meta.TransferSyntaxUID in codecs.JPEG_PROGRESSIVE
    subprocess.run(["dcmdjpeg", coded, back], check=True)
    assert np.abs(values_of(coded).astype(int) - pydicom.dcmread(back).pixel_array).max() <= 1
