"""DICOM decode: `fastrace.dicom` against the codecs of imagecodecs alone, pydicom with each of its plugins, and others.

Two kinds of rows. ``codec``: one codestream to samples, by every function of imagecodecs that can; this is how the table
in `fastrace/dicom/codecs.py` was chosen. ``file``: a path to stored values, as a user would call each library, so the
header is in it. Synthetic frames are 3328 x 2560, 12 bit, half air and half tissue with noise; the real file is the
mammogram GH133.dcm. One thread.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder

from bench.common import Row, interleave, rows_against, show, version
from fastrace.dicom import codecs, open_frames

HEIGHT, WIDTH, BITS = 3328, 2560, 12
ROUNDS = 7
PLUGINS = {
    "pillow": "pillow",
    "pyjpegls": "pyjpegls",
    "pylibjpeg": "pylibjpeg",
    "gdcm": "python-gdcm",
    "pydicom": "pydicom",
}

# Every function of imagecodecs that decodes the family; ours is among them.
CANDIDATES: dict[uid.UID, tuple[str, ...]] = {
    uid.JPEGLosslessSV1: ("jpeg8_decode", "ljpeg_decode", "jpegsof3_decode"),
    uid.JPEG2000Lossless: ("jpeg2k_decode",),
    uid.HTJ2KLossless: ("htj2k_decode", "jpeg2k_decode"),
    uid.JPEGLSLossless: ("jpegls_decode",),
}


def mammogram() -> np.ndarray:
    """Return a synthetic 12-bit frame: air, and tissue with texture and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    inside = (x / (WIDTH * 0.75)) ** 2 + ((y - HEIGHT / 2) / (HEIGHT * 0.45)) ** 2 < 1
    tissue = 1600 + 500 * np.sin(y / 301) * np.cos(x / 199) + 120 * np.sin(x / 7 + y / 11)
    tissue += rng.normal(0, 18, (HEIGHT, WIDTH))
    return np.clip(np.where(inside, tissue, 0), 0, (1 << BITS) - 1).astype(np.uint16)


def encode(pixels: np.ndarray) -> dict[uid.UID, bytes]:
    """Return one lossless codestream for each family."""
    return {
        uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=BITS),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(
            pixels, level=0, codecformat="j2k", reversible=True, bitspersample=BITS
        ),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(pixels, reversible=True),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(pixels),
    }


def write_file(path: Path, pixels: np.ndarray, syntax: uid.UID, stream: bytes | None) -> Path:
    """Write a minimal DX object."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = uid.DigitalMammographyXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    ds.Modality, ds.PatientID, ds.PhotometricInterpretation = "MG", "1", "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 16, BITS, BITS - 1, 0
    ds.WindowCenter, ds.WindowWidth = 1600, 1600
    ds.PixelData = pixels.tobytes() if stream is None else encapsulate([stream])
    ds["PixelData"].VR = "OW" if stream is None else "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def codec_rows(label: str, syntax: uid.UID, stream: bytes, expected: np.ndarray) -> list[Row]:
    """Compare the functions of imagecodecs on one codestream."""
    rows, columns = expected.shape

    def ours() -> np.ndarray:
        codecs.check_codestream(syntax, stream, rows, columns)
        return codecs.decode_samples(syntax, stream, rows, columns, 2)

    calls: dict[str, Callable[[], np.ndarray]] = {"fastrace": ours}
    for name in CANDIDATES[syntax]:
        calls[f"imagecodecs.{name}"] = partial(getattr(imagecodecs, name), stream)
    return _measured(f"decode codec {label}", calls, expected, dict.fromkeys(calls, version("imagecodecs")))


def file_rows(label: str, path: Path, expected: np.ndarray) -> list[Row]:
    """Compare whole libraries on one file, path to stored values."""
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    calls: dict[str, Callable[[], np.ndarray]] = {"fastrace": lambda: open_frames(path).frame(0).pixels}
    versions = {"fastrace": version("fastrace")}
    absent: list[Row] = []
    if syntax.is_encapsulated:
        installed = get_decoder(syntax).available_plugins
        for plugin, package in {"imagecodecs": "fastrace", **PLUGINS}.items():
            if plugin not in installed:
                continue
            calls[f"pydicom + {plugin}"] = lambda plugin=plugin: _by_pydicom(path, plugin)
            versions[f"pydicom + {plugin}"] = version(package)
    else:
        calls["pydicom"] = lambda: _by_pydicom(path, "")
        versions["pydicom"] = version("pydicom")
    for package, call in (("dicomsdl", _by_dicomsdl), ("simpleitk", _by_simpleitk)):
        if version(package) == "not installed":
            absent.append(_absent(label, package))
        elif package != "dicomsdl" or syntax != uid.HTJ2KLossless:  # dicomsdl has no HTJ2K
            calls[package], versions[package] = (lambda call=call: call(path)), version(package)
    for package in ("python-gdcm", "pylibjpeg"):
        if version(package) == "not installed" and syntax.is_encapsulated:
            absent.append(_absent(label, package))
    return _measured(f"decode file {label}", calls, expected, versions) + absent


def rows(test_data: Path | None = None) -> list[Row]:
    """Measure everything; takes about a minute and a half."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    data = test_data or Path(os.environ.get("FASTRACE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    pixels = mammogram()
    streams = encode(pixels)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for syntax, stream in streams.items():
            label = f"{syntax.keyword} {HEIGHT}x{WIDTH}"
            found += codec_rows(label, syntax, stream, pixels)
            found += file_rows(label, write_file(Path(folder) / syntax, pixels, syntax, stream), pixels)
        native = write_file(Path(folder) / "native", pixels, uid.ExplicitVRLittleEndian, None)
        found += file_rows(f"uncompressed {HEIGHT}x{WIDTH}", native, pixels)
    real = data / "dicom" / "GH133.dcm"
    if real.exists():
        ds = pydicom.dcmread(real)
        found += codec_rows(
            "GH133.dcm", uid.JPEGLosslessSV1, get_frame(ds.PixelData, 0, number_of_frames=1), ds.pixel_array
        )
        found += file_rows("GH133.dcm", real, ds.pixel_array)
    return found


def main() -> None:
    """Print the table and one JSON line."""
    show(rows())


def _measured(
    operation: str, calls: dict[str, Callable[[], np.ndarray]], expected: np.ndarray, versions: dict[str, str]
) -> list[Row]:
    errors = {}
    for name, call in calls.items():
        errors[name] = float(np.abs(np.asarray(call()).astype(np.int64).reshape(expected.shape) - expected).max())
    return rows_against(operation, "fastrace", interleave(calls, ROUNDS), versions, errors)


def _by_pydicom(path: Path, plugin: str) -> np.ndarray:
    ds = pydicom.dcmread(path)
    if plugin:
        ds.pixel_array_options(decoding_plugin=plugin)
    return ds.pixel_array


def _by_dicomsdl(path: Path) -> np.ndarray:
    import dicomsdl

    return dicomsdl.open(str(path)).pixelData(storedvalue=True)


def _by_simpleitk(path: Path) -> np.ndarray:
    import SimpleITK

    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))


def _absent(label: str, package: str) -> Row:
    return {
        "operation": f"decode file {label}", "peer": package, "version": "not installed",
        "ms": None, "ratio": None, "spread": None, "max_error": None,
    }  # fmt: skip


if __name__ == "__main__":
    main()
