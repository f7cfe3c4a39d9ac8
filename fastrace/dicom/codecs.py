"""Compressed frames -> samples, by imagecodecs; and the same as a plugin of pydicom, which ``ds.pixel_array`` then uses.

Which function decodes which transfer syntax was measured (bench/decode.py; 3328 x 2560, 12 bit, one core) and then
checked on damaged streams, because a decoder that crashes its process costs more than one that is slow:

=============== ================ ======= =======================================================================
family          function         ms      why not the others
=============== ================ ======= =======================================================================
JPEG, lossless  jpeg8 (turbo 3)  65      ljpeg 114 and jpegsof3 125, and both segfault on damaged streams
JPEG 8, 12 bit  jpeg8            -       reads .51 with 12 bit, which pydicom's plugins refuse; progressive too
JPEG-LS         jpegls (CharLS)  108     does not return from streams without end marker: checked before the call
JPEG 2000       jpeg2k           640     OpenJPEG, as everywhere
HTJ2K lossless  htj2k (OpenJPH)  40      OpenJPEG needs 113; accepts cut streams: the tile-parts are checked
HTJ2K           jpeg2k           157     OpenJPH (imagecodecs 2026.3) lets lossy samples that overshoot their range
                                         wrap around: black for white in 4 % of the pixels of a test image
RLE             dicomrle         0.8     for 512 x 512, where pydicom's Python needs 13; refuses padding that is not 0
=============== ================ ======= =======================================================================

All JPEG Lossless predictors 1-7 and precisions 2-16 decode to the same samples in the three libraries. Each image is
decoded by one thread: the caller has more images than cores. GDCM is never called here: it can abort the interpreter.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from fastrace.dicom.bounds import check_structure
from fastrace.dicom.codestream import Codestream, read_codestream
from fastrace.dicom.cut import jpeg_2000_is_cut, jpeg_is_cut
from fastrace.dicom.rle import decode_rle
from fastrace.dicom.values import Unusable, why

LABEL = "imagecodecs"
_RLE_LARGEST_RATIO = 64  # two bytes stand for at most 128 (PS3.5 G.3.1)
_HTJ2K_LOCK = threading.Lock()  # the hook below belongs to the whole process

# Full progression, non-hierarchical (PS3.5 A.4.1 of 2003: retired since, and pydicom has no decoder for them).
JPEG_PROGRESSIVE = (uid.UID("1.2.840.10008.1.2.4.55"), uid.UID("1.2.840.10008.1.2.4.53"))
JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, *JPEG_PROGRESSIVE)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
HTJ2K_LOSSLESS = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL)
HTJ2K = (*HTJ2K_LOSSLESS, uid.HTJ2K)
RLE = (uid.RLELossless,)


def _decode_jpeg(stream: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.jpeg8_decode(stream))


def _decode_jpeg_components(stream: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.jpeg8_decode(stream, colorspace="ycbcr", outcolorspace="ycbcr"))


def _decode_jpeg2k(stream: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.jpeg2k_decode(stream, numthreads=1))


def _decode_openjph(stream: bytes) -> np.ndarray:
    """Decode by OpenJPH, whose errors imagecodecs (2026.3) can only print: the samples would be whatever memory held."""
    failures: list[str] = []
    with _HTJ2K_LOCK:
        previous = sys.unraisablehook
        sys.unraisablehook = lambda unraisable: failures.append(str(unraisable.exc_value))
        try:
            samples = np.asarray(imagecodecs.htj2k_decode(stream))
        finally:
            sys.unraisablehook = previous
    if failures:
        raise Unusable(failures[0])
    return samples


def _decode_htj2k(stream: bytes) -> np.ndarray:
    """Decode a stream that its transfer syntax calls lossless; OpenJPH must not have one that is not."""
    found = read_codestream(stream)
    lossless = found is not None and not found.lossy
    return _decode_openjph(stream) if lossless else _decode_jpeg2k(stream)


_FUNCTIONS: dict[str, tuple[str, Callable[[bytes], np.ndarray]]] = {
    **dict.fromkeys(JPEG, ("JPEG8", _decode_jpeg)),
    **dict.fromkeys(JPEG_LS, ("JPEGLS", imagecodecs.jpegls_decode)),
    **dict.fromkeys(JPEG_2000, ("JPEG2K", _decode_jpeg2k)),
    **dict.fromkeys(HTJ2K_LOSSLESS, ("HTJ2K", _decode_htj2k)),
    **dict.fromkeys((uid.HTJ2K,), ("JPEG2K", _decode_jpeg2k)),
}

# What pydicom shows where the codec is missing from a build of imagecodecs.
DECODER_DEPENDENCIES: dict[uid.UID, tuple[str, ...]] = dict.fromkeys(
    (*JPEG, *JPEG_LS, *JPEG_2000, *HTJ2K, *RLE), ("numpy", "imagecodecs>=2024.6.1")
)

# pydicom's own, in the order in which they follow this one; GDCM last and only in `Dataset.pixel_array`.
_PYDICOM_PLUGINS = ("pydicom", "pylibjpeg", "pyjpegls", "pillow", "gdcm")
_PYDICOM_MODULES = {"pydicom": "rle"}


def is_available(syntax: str) -> bool:
    """Tell whether this build of imagecodecs decodes a transfer syntax (part of pydicom's plugin protocol)."""
    if syntax in RLE:
        return bool(imagecodecs.DICOMRLE.available)
    return syntax in _FUNCTIONS and bool(getattr(imagecodecs, _FUNCTIONS[syntax][0]).available)


def decode_samples(
    syntax: str, stream: bytes, rows: int, columns: int, bytes_allocated: int, samples_per_pixel: int = 1
) -> np.ndarray:
    """Decode one frame.

    Parameters
    ----------
    syntax : str
        A transfer syntax for which `is_available` holds.
    stream : bytes
        One whole codestream; its header has been compared with `rows` and `columns` (`check_codestream`).
    rows, columns : int
        Expected size.
    bytes_allocated : int
        1 or 2; used by RLE, whose stream does not hold it.
    samples_per_pixel : int
        1, or 3; three come as they are stored, without a conversion of JPEG's luminance and chrominance.

    Returns
    -------
    numpy.ndarray
        Native-endian integers [rows, columns] or [rows, columns, 3]: uint8, int8, uint16 or int16, as the codestream
        stores them.

    Raises
    ------
    ValueError
        If it does not decode to that size; the message states what went wrong.
    EOFError
        If the stream was cut short, also where an end marker was put behind the cut.
    """
    try:
        if syntax in RLE:
            samples = _decode_rle(stream, rows, columns, bytes_allocated, samples_per_pixel)
        elif samples_per_pixel == 3 and syntax in JPEG:
            samples = _decode_jpeg_components(stream)
        else:
            samples = _FUNCTIONS[syntax][1](stream)
    except (EOFError, MemoryError):
        raise
    except Exception as error:  # each codec has its own error type, and some raise plain RuntimeError
        raise ValueError(why(error)) from error
    shape = (rows, columns) if samples_per_pixel == 1 else (rows, columns, samples_per_pixel)
    if samples.shape != shape or samples.dtype.kind not in "ui" or samples.dtype.itemsize > 2:
        raise ValueError(f"decodes to {samples.dtype} {samples.shape}, expected integers {shape}")
    if syntax in JPEG and jpeg_is_cut(stream, samples, _decode_jpeg_components if samples.ndim == 3 else _decode_jpeg):
        raise EOFError("the codestream was cut short before its end marker")
    return samples


def _decode_rle(stream: bytes, rows: int, columns: int, bytes_allocated: int, samples_per_pixel: int) -> np.ndarray:
    if samples_per_pixel == 1:
        words = bytearray(rows * columns * bytes_allocated)
        try:
            if len(imagecodecs.dicomrle_decode(stream, f"<u{bytes_allocated}", out=words)) == len(words):
                return np.frombuffer(words, f"<u{bytes_allocated}").reshape(rows, columns)
        except Exception:
            pass
    planes = decode_rle(stream, rows, columns, bytes_allocated, samples_per_pixel)
    return planes[0] if samples_per_pixel == 1 else np.moveaxis(planes, 0, -1)


_ZEROS = 16  # bytes; each empty packet of a JPEG 2000 stream may be one


def check_codestream(
    syntax: str, stream: bytes, rows: int, columns: int, samples_per_pixel: int = 1
) -> Codestream | None:
    """Read the frame header of a codestream and compare it with the header, before a decoder allocates for it.

    Returns
    -------
    Codestream or None
        None for RLE, which has no header of its own.

    Raises
    ------
    ValueError
        If it is no codestream of the family, or of another size, or has no end.
    """
    if syntax in RLE:
        if len(stream) * _RLE_LARGEST_RATIO < rows * columns:
            raise EOFError(f"{len(stream)} bytes cannot hold {rows} x {columns} pixels")
        return None
    found = read_codestream(stream)
    is_jpeg_2000 = stream[:2] != b"\xff\xd8"
    if found is None or is_jpeg_2000 != (syntax in (*JPEG_2000, *HTJ2K)):
        raise ValueError(f"no frame header of {uid.UID(syntax).name}")
    if found.components != samples_per_pixel:
        raise ValueError(f"the codestream has {found.components} components, expected {samples_per_pixel}")
    if (found.rows, found.columns) != (rows, columns):
        raise ValueError(f"the codestream has {found.rows} x {found.columns} pixels, the header {rows} x {columns}")
    # OpenJPEG refuses streams that are cut, but not those whose end an interrupted copy left as zeros.
    if not found.complete and (syntax not in JPEG_2000 or not any(stream[-_ZEROS:])):
        raise EOFError("the codestream ends too early")
    if is_jpeg_2000 and found.complete and jpeg_2000_is_cut(stream):
        raise EOFError("the codestream was cut short before its end marker")
    check_structure(stream)
    return found


def _decode_frame(stream: bytes, runner: DecodeRunner) -> bytes:
    """Decode for pydicom (its plugin protocol); it tries its other plugins where this raises."""
    if runner.samples_per_pixel != 1:
        raise NotImplementedError("fastrace's imagecodecs plugin decodes monochrome frames only")
    syntax, rows, columns = str(runner.transfer_syntax), runner.rows, runner.columns
    found = check_codestream(syntax, stream, rows, columns)
    samples = decode_samples(syntax, stream, rows, columns, runner.bits_allocated // 8)
    if found is not None and samples.dtype.itemsize * 8 != runner.bits_allocated:
        runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    return samples.tobytes()


def decode_with_pydicom(syntax: str, stream: bytes, description: dict[str, Any]) -> tuple[np.ndarray, str]:
    """Decode by the first of pydicom's own plugins that can, for builds of imagecodecs without the codec.

    Parameters
    ----------
    syntax, stream
        As for `decode_samples`.
    description : dict
        The options of pydicom's decoders: rows, columns, bits_allocated and so on.

    Returns
    -------
    (numpy.ndarray, str)
        The samples, and the label of the plugin.

    Raises
    ------
    ValueError
        If there is none, or none decodes it; the message lists those installed.
    """
    from pydicom.encaps import encapsulate

    reasons = []
    try:
        decoder = get_decoder(uid.UID(syntax))
    except NotImplementedError:
        raise ValueError("no decoder of this transfer syntax is known") from None
    for label in _PYDICOM_PLUGINS:
        if label not in decoder.available_plugins or label == "gdcm":  # GDCM can abort the interpreter
            continue
        try:
            samples, _ = decoder.as_array(
                encapsulate([stream]),
                raw=True,
                decoding_plugin=label,
                **description,
            )
            return samples, label
        except Exception as error:  # as above: any type, any library
            reasons.append(f"{label}: {why(error)}")
    raise ValueError("; ".join(reasons) or "install imagecodecs with this codec")


def register() -> None:
    """Put this plugin before pydicom's own, for every syntax it decodes; calling it again changes nothing."""
    for syntax in DECODER_DEPENDENCIES:
        if syntax in JPEG_PROGRESSIVE:
            continue
        decoder = get_decoder(syntax)
        if LABEL in decoder.available_plugins or not is_available(syntax):
            continue
        behind = [label for label in _PYDICOM_PLUGINS if label in decoder.available_plugins]
        for label in behind:
            decoder.remove_plugin(label)
        decoder.add_plugin(LABEL, ("fastrace.dicom.codecs", "_decode_frame"))
        for label in behind:
            module = f"pydicom.pixels.decoders.{_PYDICOM_MODULES.get(label, label)}"
            decoder.add_plugin(label, (module, "_decode_frame"))
