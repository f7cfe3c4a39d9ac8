"""Grey stored as colour is grey; colour stays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import dataset, smooth, write
from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.pixels import apply_color_lut

from fastrace.dicom import open_frames
from fastrace.dicom.display import Lut, between
from fastrace.errors import RejectedInput

GREY = smooth(22, 34, 8).astype(np.uint8)
BLUE = np.dstack([GREY, GREY, np.where(np.arange(34) == 33, GREY ^ 1, GREY)])  # one column, one step


def stored(pixels: np.ndarray, photometric: str, planar: int) -> bytes:
    if photometric == "YBR_FULL_422":
        pairs = pixels.reshape(22, 17, 2, 3)
        return np.concatenate([pairs[..., 0], pairs[..., 0, 1:]], 2).tobytes()
    return (np.moveaxis(pixels, -1, 0) if planar else pixels).tobytes()


def channels(photometric: str) -> np.ndarray:
    neutral = np.full_like(GREY, 128)
    return np.dstack([GREY] * 3) if photometric == "RGB" else np.dstack([GREY, neutral, neutral])


def file(path: Path, pixels: np.ndarray, photometric: str, planar: int = 0, **options: Any) -> Path:
    described: dict[str, Any] = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": photometric,
        "PlanarConfiguration": planar,
    }
    return write(path, GREY, bits=8, **(described | {"PixelData": stored(pixels, photometric, planar)} | options))


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422", "rgb"])
def test_equal_channels_are_one_grey(tmp_path: Path, photometric: str, planar: int) -> None:
    pixels = channels(photometric.upper())
    frame = open_frames(file(tmp_path / "image", pixels, photometric.upper(), planar)).frame(0)
    np.testing.assert_array_equal(frame.pixels, GREY)
    assert [note.kind for note in frame.notes] == ["grey_of_colour"]
    assert (frame.display.voi_source, frame.display.voi) == ("full_range", between(0, 255))


@pytest.mark.parametrize("planar", [0, 1])
def test_one_coloured_pixel_is_colour(tmp_path: Path, planar: int) -> None:
    frames = open_frames(file(tmp_path / "image", BLUE, "RGB", planar))
    with pytest.raises(RejectedInput, match="only three equal channels") as caught:
        frames.frame(0)
    assert caught.value.reason == "color"


def test_tinted_luminance_is_colour(tmp_path: Path) -> None:
    tinted = channels("YBR_FULL")
    tinted[3, 4, 1] = 129
    with pytest.raises(RejectedInput, match="only three equal channels"):
        open_frames(file(tmp_path / "image", tinted, "YBR_FULL")).frame(0)


RGB = np.dstack([GREY] * 3)
COMPRESSED = {
    "jpeg, ycc": (uid.JPEGBaseline8Bit, "YBR_FULL_422", lambda p: imagecodecs.jpeg8_encode(p, 100)),
    "jpeg, rgb": (
        uid.JPEGBaseline8Bit, "RGB", lambda p: imagecodecs.jpeg8_encode(p, 100, colorspace="rgb", outcolorspace="rgb")
    ),
    "jpeg 2000": (
        uid.JPEG2000Lossless, "RGB", lambda p: imagecodecs.jpeg2k_encode(p, codecformat="j2k", reversible=True, mct=False)
    ),
    "jpeg 2000, rct": (
        uid.JPEG2000Lossless, "YBR_RCT", lambda p: imagecodecs.jpeg2k_encode(p, codecformat="j2k", reversible=True)
    ),
    "jpeg-ls": (uid.JPEGLSLossless, "RGB", lambda p: imagecodecs.jpegls_encode(p)),
}  # fmt: skip


@pytest.mark.parametrize("how", COMPRESSED)
def test_compressed_grey_in_three_components(tmp_path: Path, how: str) -> None:
    syntax, photometric, encoder = COMPRESSED[how]
    path = tmp_path / "image"
    options = {"TransferSyntaxUID": syntax, "PixelData": None}
    file(path, RGB, photometric, **options, codestreams=[bytes(encoder(RGB))])
    frame = open_frames(path).frame(0)
    atol = 3 if syntax == uid.JPEGBaseline8Bit else 0
    np.testing.assert_allclose(frame.pixels.astype(int), GREY, atol=atol)
    assert [note.kind for note in frame.notes] == ["grey_of_colour"]
    coloured = np.dstack([GREY, 255 - GREY, GREY])
    file(path, RGB, photometric, **options, codestreams=[bytes(encoder(coloured))])
    with pytest.raises(RejectedInput, match="have a colour"):
        open_frames(path).frame(0)


def test_rle_of_three_channels(tmp_path: Path) -> None:
    from pydicom.pixels.encoders import RLELosslessEncoder

    stream = RLELosslessEncoder.encode(
        RGB.tobytes(), encoding_plugin="pydicom", rows=22, columns=34, samples_per_pixel=3, bits_allocated=8, bits_stored=8,
        photometric_interpretation="RGB", pixel_representation=0, number_of_frames=1, planar_configuration=0,
    )  # fmt: skip
    path = file(
        tmp_path / "image", RGB, "RGB", TransferSyntaxUID=uid.RLELossless, PixelData=None, codestreams=[bytes(stream)]
    )
    np.testing.assert_array_equal(open_frames(path).frame(0).pixels, GREY)


def palette(red: np.ndarray, blue: np.ndarray, bits: int = 16) -> dict[str, Any]:
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in (("Red", red), ("Green", red), ("Blue", blue)):
        found[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), 0, bits]
        found[f"{name}PaletteColorLookupTableData"] = entries.astype("<u2" if bits == 16 else "u1").tobytes()
    return found


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_greys_is_grey(tmp_path: Path, bits: int) -> None:
    """Compared with pydicom's own palette, red channel."""
    ramp = np.sqrt(np.arange(256) / 255) * ((1 << bits) - 1)
    path = write(tmp_path / "image", GREY, bits=8, **palette(ramp, ramp, bits))
    frame = open_frames(path).frame(0)
    assert isinstance(frame.display.modality, Lut)
    import pydicom

    expected = apply_color_lut(GREY, pydicom.dcmread(path))[..., 0] / ((1 << bits) - 1)
    np.testing.assert_allclose(frame.display.table()[frame.pixels], expected, atol=1e-9)
    assert [note.kind for note in frame.notes] == ["grey_of_colour"]


@pytest.mark.parametrize("vr", ["SS", "US"])
def test_a_palette_begins_below_zero_where_pixels_are_signed(tmp_path: Path, vr: str) -> None:
    """Files write -100 as 65436 where the VR of the descriptor is US."""
    values = np.arange(-128, 128).reshape(16, 16).astype(np.int8)
    ramp = palette(np.linspace(0, 65535, 200), np.linspace(0, 65535, 200))
    ds = dataset(values.view(np.uint8), bits=8, **{"PixelRepresentation": 1, **ramp})
    for name in ramp:
        if name.endswith("Descriptor"):
            ds[name] = DataElement(name, vr, [200, -100 if vr == "SS" else 65436, 16])
    ds.save_as(tmp_path / "image", enforce_file_format=True)
    frame = open_frames(tmp_path / "image").frame(0)
    expected = np.clip(values.astype(int) + 100, 0, 199) / 199
    np.testing.assert_allclose(
        frame.display.table()[frame.pixels], expected, atol=1 / 65535
    )  # entries are whole numbers


def test_a_palette_of_colours_is_colour(tmp_path: Path) -> None:
    ramp = np.arange(256)
    path = write(tmp_path / "image", GREY, bits=8, **palette(ramp, ramp[::-1]))
    with pytest.raises(RejectedInput, match="its palette holds colours"):
        open_frames(path)


def test_a_hounsfield_window_is_not_put_on_colour(tmp_path: Path) -> None:
    path = file(tmp_path / "image", RGB, "RGB")
    with pytest.raises(RejectedInput, match="not in HU"):
        open_frames(path, preset_window=(40, 400)).frame(0)
    frame = open_frames(path, voi=("auto", "full"), preset_window=(40, 400)).frame(0)
    assert frame.display.voi == between(0, 255)
