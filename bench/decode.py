"""DICOM decode: `fastrace.dicom` against the codecs of imagecodecs alone, pydicom with each of its plugins, and others.

Two kinds of rows. ``codec``: one codestream to samples, by every function of imagecodecs that can; this is how the table
in `fastrace/dicom/codecs.py` was chosen. ``file``: a path to stored values, as a user would call each library, so the
header is in it. Synthetic frames are 3328 x 2560 (a quarter of that with --quick), 12 bit, half air and half tissue with
noise; the real file is the mammogram GH133.dcm. One thread.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder

from fastrace.bench.dicom_file import BITS, write_file
from fastrace.bench.measure import Peer, measure
from fastrace.bench.row import Error, Row, difference
from fastrace.bench.timing import threads
from fastrace.dicom import codecs, open_frames

HEIGHT, WIDTH = 3328, 2560
# pydicom's plugins: the module and the package they need, and what each decodes. Ours is registered as "imagecodecs".
PLUGINS = {
    "imagecodecs": ("imagecodecs", "fastrace"),
    "pillow": ("PIL", "pillow"),
    "pyjpegls": ("jpeg_ls", "pyjpegls"),
    "pylibjpeg": ("pylibjpeg", "pylibjpeg"),
    "gdcm": ("gdcm", "python-gdcm"),
}
DECODED_BY = {
    uid.JPEGLosslessSV1: ("imagecodecs", "pylibjpeg", "gdcm"),
    uid.JPEG2000Lossless: ("imagecodecs", "pillow", "pylibjpeg", "gdcm"),
    uid.HTJ2KLossless: ("imagecodecs", "pylibjpeg"),
    uid.JPEGLSLossless: ("imagecodecs", "pyjpegls", "pylibjpeg", "gdcm"),
}

# Every function of imagecodecs that decodes the family; ours is among them.
CANDIDATES: dict[uid.UID, tuple[str, ...]] = {
    uid.JPEGLosslessSV1: ("jpeg8_decode", "ljpeg_decode", "jpegsof3_decode"),
    uid.JPEG2000Lossless: ("jpeg2k_decode",),
    uid.HTJ2KLossless: ("htj2k_decode", "jpeg2k_decode"),
    uid.JPEGLSLossless: ("jpegls_decode",),
}


def mammogram(height: int, width: int) -> np.ndarray:
    """Return a synthetic 12-bit frame: air, and tissue with texture and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    inside = (x / (width * 0.75)) ** 2 + ((y - height / 2) / (height * 0.45)) ** 2 < 1
    tissue = 1600 + 500 * np.sin(y / 301) * np.cos(x / 199) + 120 * np.sin(x / 7 + y / 11)
    tissue += rng.normal(0, 18, (height, width))
    return np.clip(np.where(inside, tissue, 0), 0, (1 << BITS) - 1).astype(np.uint16)


def encode(pixels: np.ndarray) -> dict[uid.UID, bytes]:
    """Return one lossless codestream for each family."""
    streams = {
        uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=BITS),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(
            pixels, level=0, codecformat="j2k", reversible=True, bitspersample=BITS
        ),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(pixels, reversible=True),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(pixels),
    }
    return {syntax: bytes(stream) for syntax, stream in streams.items()}


def codec_rows(label: str, syntax: uid.UID, stream: bytes, expected: np.ndarray, rounds: int) -> list[Row]:
    """Compare the functions of imagecodecs on one codestream."""
    rows, columns = expected.shape

    def ours() -> np.ndarray:
        codecs.check_codestream(syntax, stream, rows, columns)
        return codecs.decode_samples(syntax, stream, rows, columns, 2)

    peers = [Peer("fastrace", ours, ("imagecodecs",), 0.0)]
    for name in CANDIDATES[syntax]:
        peers.append(Peer(f"imagecodecs.{name}", partial(getattr(imagecodecs, name), stream), ("imagecodecs",), 0.0))
    return _measured(f"decode codec {label}", peers, expected, rounds)


def file_rows(label: str, path: Path, expected: np.ndarray, rounds: int) -> list[Row]:
    """Compare whole libraries on one file, path to stored values."""
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    peers = [Peer("fastrace", lambda: open_frames(path).frame(0).pixels, limit=0.0)]
    if syntax.is_encapsulated:
        for plugin in DECODED_BY[syntax]:
            call = partial(_by_pydicom, path, syntax, plugin)
            peers.append(Peer(f"pydicom + {plugin}", call, (PLUGINS[plugin][1],), 0.0))
    else:
        peers.append(Peer("pydicom", lambda: pydicom.dcmread(path).pixel_array, ("pydicom",), 0.0))
    if syntax != uid.HTJ2KLossless:  # dicomsdl has no HTJ2K
        peers.append(Peer("dicomsdl", partial(_by_dicomsdl, path), ("dicomsdl",), 0.0))
    peers.append(Peer("simpleitk", partial(_by_simpleitk, path), ("simpleitk",), 0.0))
    return _measured(f"decode file {label}", peers, expected, rounds)


def rows(quick: bool = False) -> list[Row]:
    """Measure.

    Parameters
    ----------
    quick : bool
        Whole files only, a quarter of the size, and fewer rounds; otherwise it takes about a minute and a half.
    """
    height, width, rounds = (HEIGHT // 2, WIDTH // 2, 5) if quick else (HEIGHT, WIDTH, 7)
    pixels = mammogram(height, width)
    streams = encode(pixels)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), threads(1):
        warnings.simplefilter("ignore")  # some libraries remark on the minimal files
        for syntax, stream in streams.items():
            label = f"{syntax.keyword} {height}x{width}"
            path = write_file(Path(folder) / syntax, pixels, syntax, stream)
            if not quick:
                found += codec_rows(label, syntax, stream, pixels, rounds)
            found += file_rows(label, path, pixels, rounds)
        native = write_file(Path(folder) / "native", pixels, uid.ExplicitVRLittleEndian, None)
        found += file_rows(f"uncompressed {height}x{width}", native, pixels, rounds)
        real = _real_files() / "dicom" / "GH133.dcm"
        if real.exists() and not quick:
            ds = pydicom.dcmread(real)
            stream = get_frame(ds.PixelData, 0, number_of_frames=1)
            found += codec_rows("GH133.dcm", uid.JPEGLosslessSV1, stream, ds.pixel_array, rounds)
            found += file_rows("GH133.dcm", real, ds.pixel_array, rounds)
    return found


def _real_files() -> Path:
    beside_the_checkout = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("FASTRACE_TEST_DATA", beside_the_checkout))


def _measured(operation: str, peers: list[Peer], expected: np.ndarray, rounds: int) -> list[Row]:
    def error(result: Any) -> Error:
        samples = np.asarray(result).astype(np.int64)
        return difference(samples.reshape(expected.shape) if samples.size == expected.size else samples, expected)

    return measure(operation, peers, error, rounds=rounds, lsb=1.0)


def _by_pydicom(path: Path, syntax: uid.UID, plugin: str) -> np.ndarray:
    module, package = PLUGINS[plugin]
    importlib.import_module(module)
    if plugin not in get_decoder(syntax).available_plugins:  # pylibjpeg needs a second package for each family
        raise ModuleNotFoundError(f"{package} has no decoder for {syntax.keyword}")
    ds = pydicom.dcmread(path)
    ds.pixel_array_options(decoding_plugin=plugin)
    return ds.pixel_array


def _by_dicomsdl(path: Path) -> Any:
    import dicomsdl

    return dicomsdl.open(str(path)).pixelData(storedvalue=True)


def _by_simpleitk(path: Path) -> Any:
    import SimpleITK

    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
