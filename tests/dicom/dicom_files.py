"""Small DICOM files of any convention, written by pydicom, and a lossless JPEG writer for what encoders do not offer."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended

VOLATILE = ("TransferSyntaxUID", "fragments_per_frame", "has_bot", "extended", "preamble", "codestreams")


def smooth(rows: int = 24, columns: int = 31, bits: int = 12, signed: bool = False, seed: int = 0) -> np.ndarray:
    """Return a gradient with noise that uses the whole range of the bits, as int64."""
    y, x = np.mgrid[:rows, :columns]
    shape = (x / (columns - 1) + y / (rows - 1)) / 2
    noisy = shape + np.random.default_rng(seed).normal(0, 0.02, shape.shape)
    values = np.clip(np.rint(noisy * ((1 << bits) - 1)), 0, (1 << bits) - 1).astype(np.int64)
    return values - (1 << bits - 1) if signed else values


def dataset(values: np.ndarray, *, bits: int = 12, signed: bool = False, **attributes: Any) -> Dataset:
    """Return a MONOCHROME2 image of integer values [rows, columns] or [frames, rows, columns], uncompressed.

    An attribute set to None is left out of the file.
    """
    allocated = attributes.get("BitsAllocated") or (8 if bits <= 8 else 16)
    high_bit = attributes.get("HighBit", bits - 1)
    order = ">" if attributes.get("TransferSyntaxUID") == uid.ExplicitVRBigEndian else "<"
    masked = (values.astype(np.int64) & ((1 << bits) - 1)) << ((high_bit or bits - 1) + 1 - bits)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = attributes.get("TransferSyntaxUID") or uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
    described: dict[str, Any] = {
        "PatientID": "somebody",
        "Modality": "DX",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": values.shape[-2],
        "Columns": values.shape[-1],
        "NumberOfFrames": values.shape[0] if values.ndim == 3 else None,
        "BitsAllocated": allocated,
        "BitsStored": bits,
        "HighBit": high_bit,
        "PixelRepresentation": int(signed),
    }
    described |= {keyword: value for keyword, value in attributes.items() if keyword not in VOLATILE}
    for keyword, value in described.items():
        if value is not None:
            setattr(ds, keyword, value)
    stored = masked.astype(f"{order}u{allocated // 8}").tobytes()
    if attributes.get("PixelData", b"") is not None:
        ds.PixelData = attributes.get("PixelData") or stored + b"\0" * (len(stored) % 2)
        ds["PixelData"].VR = "OW" if allocated == 16 else attributes.get("pixel_vr", "OB")
    return ds


def write(path: Path, values: np.ndarray, **options: Any) -> Path:
    """Write `dataset` to a file; ``codestreams`` (one per frame) makes it compressed."""
    codestreams = options.get("codestreams")
    ds = dataset(values, **options)
    syntax = ds.file_meta.TransferSyntaxUID
    if codestreams is not None:
        if options.get("extended"):
            ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(codestreams)
        else:
            ds.PixelData = encapsulate(
                codestreams, options.get("fragments_per_frame", 1), has_bot=options.get("has_bot", True)
            )
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    ds.save_as(
        path,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian,
        little_endian=syntax != uid.ExplicitVRBigEndian,
        enforce_file_format=options.get("preamble", True),
    )
    return path


def encode(syntax: str, values: np.ndarray, bits: int, signed: bool = False) -> bytes:
    """Encode one frame losslessly in a transfer syntax (as well as its encoder can)."""
    words = (values.astype(np.int64) & ((1 << bits) - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        return bytes(imagecodecs.jpeg8_encode(words, lossless=True, predictor=1, bitspersample=bits))
    if syntax == uid.JPEGBaseline8Bit:
        return bytes(imagecodecs.jpeg8_encode(words, 100))
    if syntax == uid.JPEGExtended12Bit:
        return bytes(imagecodecs.jpeg8_encode(words, 100, bitspersample=12))
    if syntax in (uid.JPEGLSLossless, uid.JPEGLSNearLossless):
        return bytes(imagecodecs.jpegls_encode(words))
    if syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        samples = values.astype(np.int8 if bits <= 8 else np.int16) if signed else words
        return bytes(
            imagecodecs.jpeg2k_encode(samples, level=0, codecformat="j2k", reversible=True, bitspersample=bits)
        )
    if syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K):
        return bytes(imagecodecs.htj2k_encode(words, reversible=True))
    if syntax == uid.RLELossless:
        return rle(words)
    raise AssertionError(syntax)


def rle(words: np.ndarray) -> bytes:
    """Encode as RLE Lossless by pydicom."""
    from pydicom.pixels.encoders import RLELosslessEncoder

    return bytes(
        RLELosslessEncoder.encode(
            words.tobytes(),
            encoding_plugin="pydicom",
            rows=words.shape[0],
            columns=words.shape[1],
            samples_per_pixel=1,
            bits_allocated=8 * words.itemsize,
            bits_stored=8 * words.itemsize,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
            number_of_frames=1,
        )
    )


def lossless_jpeg(samples: np.ndarray, bits: int, predictor: int, restart_rows: int = 0) -> bytes:
    """Encode lossless JPEG (ITU-T T.81 annex H) with any predictor and, unlike libraries, restart markers.

    Difference categories are written in fixed 5-bit Huffman codes: long, but valid and easy to check by eye.
    """
    rows, columns = samples.shape
    x = samples.astype(np.int64)
    left, above, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    left[:, 1:], above[1:], corner[1:, 1:] = x[:, :-1], x[:-1], x[:-1, :-1]
    predicted = {
        1: left, 2: above, 3: corner, 4: left + above - corner, 5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1), 7: (left + above) >> 1,
    }[predictor].copy()  # fmt: skip
    predicted[:, 0] = above[:, 0]
    for first in range(0, rows, restart_rows or rows):  # H.1.1: a scan or restart interval starts anew
        predicted[first, 1:] = left[first, 1:]
        predicted[first, 0] = 1 << bits - 1
    difference = (x - predicted + 32768) % 65536 - 32768
    header = b"\xff\xd8" + b"\xff\xc3" + struct.pack(">HBHHBBBB", 11, bits, rows, columns, 1, 1, 0x11, 0)
    counts = [0] * 16
    counts[4] = 17  # categories 0..16, all of length 5
    header += b"\xff\xc4" + struct.pack(">HB", 2 + 1 + 16 + 17, 0) + bytes(counts) + bytes(range(17))
    if restart_rows:
        header += b"\xff\xdd" + struct.pack(">HH", 4, restart_rows * columns)
    header += b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, predictor, 0, 0)
    scan = b""
    for number, first in enumerate(range(0, rows, restart_rows or rows)):
        scan += b"" if number == 0 else bytes([0xFF, 0xD0 + (number - 1) % 8])
        scan += _entropy_coded(difference[first : first + (restart_rows or rows)].ravel())
    return header + scan + b"\xff\xd9"


def _entropy_coded(differences: np.ndarray) -> bytes:
    bits = ""
    for d in differences.tolist():
        category = 16 if d == -32768 else abs(d).bit_length()
        bits += f"{category:05b}"
        if 0 < category < 16:
            bits += f"{d if d > 0 else d + (1 << category) - 1:0{category}b}"
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return coded.replace(b"\xff", b"\xff\x00")
