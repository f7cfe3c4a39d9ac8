"""Whole files to begin with: real ones of a folder, and small ones of every syntax and container, made here."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended

from fastrace.bench.dicom_file import write_file

_LARGEST = 200_000  # bytes: a larger file is decoded too slowly to be tried thousands of times


def from_folders(folders: list[Path]) -> dict[str, bytes]:
    """Name -> content of every file that is not too large."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if (
                path.is_file()
                and 0 < path.stat().st_size <= _LARGEST
                and path.suffix not in (".csv", ".md", ".py", ".json")
            ):
                found[f"{folder.name}/{path.relative_to(folder)}"] = path.read_bytes()
    return found


def generated() -> dict[str, bytes]:
    """Name -> content of files made here: 40 x 56 pixels, each in another form."""
    y, x = np.mgrid[:40, :56]
    words = (
        ((x * 37 + y * 53) % 4096 + np.random.default_rng(0).integers(0, 9, x.shape)).clip(0, 4095).astype(np.uint16)
    )
    return {**_dicom(words), **_rasters((words >> 4).astype(np.uint8), words)}


def _dicom(words: np.ndarray) -> dict[str, bytes]:
    eight = (words >> 4).astype(np.uint8)
    streams: dict[uid.UID, bytes | bytearray] = {
        uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(words, lossless=True, predictor=1, bitspersample=12),
        uid.JPEGExtended12Bit: imagecodecs.jpeg8_encode(words, 95, bitspersample=12),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(words),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(
            words, level=0, codecformat="j2k", reversible=True, bitspersample=12
        ),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(words, reversible=True),
        uid.RLELossless: _rle(words),
    }
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"

        def add(name: str, syntax: uid.UID, stream: bytes | None, change: Any = None, **attributes: Any) -> None:
            write_file(path, words, syntax, stream, **attributes)
            if change is not None:
                ds = dcmread(path)
                change(ds)
                ds.save_as(path)
            found[f"generated/{name}"] = path.read_bytes()

        for syntax in (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian):
            add(syntax.keyword, syntax, None)
        for syntax, stream in streams.items():
            add(syntax.keyword, syntax, bytes(stream))
        add(
            "baseline",
            uid.JPEGBaseline8Bit,
            bytes(imagecodecs.jpeg8_encode(eight, 90)),
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
        )
        add("frames", uid.JPEGLosslessSV1, bytes(streams[uid.JPEGLosslessSV1]), lambda ds: _frames(ds, streams, False))
        add("extended", uid.JPEGLosslessSV1, bytes(streams[uid.JPEGLosslessSV1]), lambda ds: _frames(ds, streams, True))
        add("luts", uid.ExplicitVRLittleEndian, None, _luts)
        add("groups", uid.ExplicitVRLittleEndian, None, _groups)
    return found


def _frames(ds: Dataset, streams: dict[uid.UID, bytes | bytearray], extended: bool) -> None:
    frames = [bytes(streams[uid.JPEGLosslessSV1])] * 3
    ds.NumberOfFrames = 3
    if extended:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        ds.PixelData = encapsulate(frames, fragments_per_frame=2)


def _luts(ds: Dataset) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], np.arange(4096, dtype="<u2").tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    ds.VOILUTSequence, ds.ModalityLUTSequence = [table], [table]
    ds.ModalityLUTSequence[0].ModalityLUTType = "US"


def _groups(ds: Dataset) -> None:
    measures, window, item = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 1
    window.WindowCenter, window.WindowWidth = [40, 50], [400, 500]
    item.PixelMeasuresSequence, item.FrameVOILUTSequence = [measures], [window]
    ds.PerFrameFunctionalGroupsSequence, ds.SharedFunctionalGroupsSequence = [item, item], [item]
    ds.NumberOfFrames = 2
    ds.PixelData = bytes(ds.PixelData) * 2


def _rle(words: np.ndarray) -> bytes:
    """Two segments of literal runs."""
    segments = []
    for plane in (words >> 8, words & 0xFF):
        flat = plane.astype(np.uint8).tobytes()
        segments.append(
            b"".join(bytes([len(flat[at : at + 128]) - 1]) + flat[at : at + 128] for at in range(0, len(flat), 128))
        )
    offsets = [64, 64 + len(segments[0]), *[0] * 13]
    return struct.pack("<16I", 2, *offsets) + b"".join(segments)


def _rasters(eight: np.ndarray, words: np.ndarray) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def add(name: str, image: Image.Image, **options: Any) -> None:
        content = io.BytesIO()
        image.save(content, **options)
        found[f"generated/{name}"] = content.getvalue()

    grey, deep, color = Image.fromarray(eight), Image.fromarray(words), Image.fromarray(np.stack([eight] * 3, axis=-1))
    add("grey.png", grey, format="PNG")
    add("deep.png", deep, format="PNG")
    add("color.png", color, format="PNG")
    add("palette.png", grey.convert("P"), format="PNG")
    add("alpha.png", color.convert("RGBA"), format="PNG")
    add("grey.jpg", grey, format="JPEG", quality=95)
    add("progressive.jpg", grey, format="JPEG", quality=95, progressive=True)
    add("color.jpg", color, format="JPEG", quality=95)
    for compression in (None, "packbits", "tiff_lzw", "tiff_deflate", "jpeg", "lzma", "zstd"):
        add(f"{compression}.tif", grey, format="TIFF", compression=compression)
    add("deep.tif", deep, format="TIFF", compression="tiff_deflate")
    add("color.tif", color, format="TIFF", compression="tiff_lzw")
    add("pages.tif", grey, format="TIFF", save_all=True, append_images=[grey, grey])
    found["generated/tiles.tif"] = _tiled(eight)
    return found


def _tiled(eight: np.ndarray) -> bytes:
    """An uncompressed TIFF of 16 x 16 tiles."""
    rows, columns = eight.shape
    padded = np.zeros((-(-rows // 16) * 16, -(-columns // 16) * 16), np.uint8)
    padded[:rows, :columns] = eight
    tiles = [
        padded[y : y + 16, x : x + 16].tobytes()
        for y in range(0, len(padded), 16)
        for x in range(0, padded.shape[1], 16)
    ]
    count, entries = len(tiles), 11
    after = 8 + 2 + 12 * entries + 4
    places = [after + 8 * count + 256 * number for number in range(count)]
    tags = [
        (256, 3, 1, columns), (257, 3, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), (322, 3, 1, 16),
        (323, 3, 1, 16), (324, 4, count, after), (325, 4, count, after + 4 * count), (339, 3, 1, 1),
    ]  # fmt: skip
    directory = struct.pack("<H", entries) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    lists = struct.pack(f"<{count}I", *places) + struct.pack(f"<{count}I", *[256] * count)
    return b"II*\0" + struct.pack("<I", 8) + directory + lists + b"".join(tiles)
