"""Damage inside PNG, JPEG, JPEG 2000 and TIFF: at chunks, segments, markers and tags; what follows is still reached."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from fastrace.bench.studies.fuzz.random_bytes import bomb, cut, flip, number

_PNG = b"\x89PNG\r\n\x1a\n"


def mutate(rng: np.random.Generator, content: bytes) -> tuple[bytes, str]:
    """Damage a file or stream by what it is; returns it and the name of the mutator."""
    if content.startswith(_PNG):
        return png(rng, content), "png"
    if content[:2] == b"\xff\xd8":
        return jpeg(rng, content), "jpeg"
    if content[:4] == b"\xff\x4f\xff\x51":
        return jpeg_2000(rng, content), "jpeg_2000"
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        return tiff(rng, content), "tiff"
    return flip(rng, content), "bytes"


def png(rng: np.random.Generator, content: bytes) -> bytes:
    """Another header, chunks added, doubled, moved, made large; checksums are right, or they would end the reading."""
    chunks: list[tuple[bytes, bytes]] = []
    place = 8
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        chunks.append((name, content[place + 8 : place + 8 + length]))
        place += 12 + length
    kind = rng.integers(6)
    if kind == 0 and chunks:
        header = bytearray(chunks[0][1].ljust(13, b"\0"))
        if rng.integers(2):
            struct.pack_into(">I", header, int(rng.choice((0, 4))), number(rng) & 0xFFFFFFFF)
        else:
            header[8 + rng.integers(5)] = int(rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255)))
        chunks[0] = (b"IHDR", bytes(header))
    elif kind == 1:
        added = {
            b"zTXt": b"name\0\0" + bomb(16 << 20),
            b"iTXt": b"name\0\1\0\0\0" + bomb(16 << 20),
            b"iCCP": b"name\0\0" + bomb(16 << 20),
            b"tRNS": b"\0\1" * 200,
            b"PLTE": b"\1\2\3" * 300,
            b"acTL": b"\0\0\0\7\0\0\0\0",
            b"gAMA": b"\0\0\0\0",
            b"sBIT": b"\x20",
        }
        name = list(added)[rng.integers(len(added))]
        chunks[1:1] = [(name, added[name])] * int(rng.choice((1, 1, 2, 2000)))
    elif kind == 2:
        data = bomb(int(rng.choice((10, 1 << 20, 64 << 20))))
        chunks = [(name, data if name == b"IDAT" else body) for name, body in chunks]
    elif kind == 3 and len(chunks) > 1:
        first, second = rng.integers(0, len(chunks), 2)
        chunks[first], chunks[second] = chunks[second], chunks[first]
    else:
        place = int(rng.integers(len(chunks)))
        chunks[place] = (chunks[place][0], (flip if rng.integers(2) else cut)(rng, chunks[place][1]))
    written = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return _PNG + b"".join(written)


def jpeg(rng: np.random.Generator, content: bytes) -> bytes:
    """Another frame header, tables damaged, segments doubled or left out, many scans."""
    segments, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] not in (0xDA, 0xD9):
        length = struct.unpack_from(">H", content, place + 2)[0]
        segments.append(bytearray(content[place : place + 2 + length]))
        place += 2 + length
    rest = content[place:]
    frames = [
        part for part in segments if (0xC0 <= part[1] <= 0xCF and part[1] not in (0xC4, 0xC8, 0xCC)) or part[1] == 0xF7
    ]
    kind = rng.integers(6)
    if kind == 0 and frames and len(frames[0]) > 12:
        where = int(rng.choice((1, 4, 5, 7, 9, 10, 11, 12)))
        if where in (5, 7):
            struct.pack_into(">H", frames[0], where, number(rng) & 0xFFFF)
        else:
            frames[0][where] = int(
                rng.choice((0, 1, 2, 3, 4, 8, 12, 16, 0x11, 0x22, 0x44, 0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xF7, 255))
            )
    elif kind == 1 and segments:
        place = int(rng.integers(len(segments)))
        segments[place][4:] = flip(rng, bytes(segments[place][4:]))
    elif kind == 2 and segments:
        segments.insert(int(rng.integers(len(segments))), segments[rng.integers(len(segments))])
    elif kind == 3 and segments:
        del segments[rng.integers(len(segments))]
    elif kind == 4:
        scans = int(rng.choice((1, 10, 60, 3000)))
        rest = rest[: max(0, len(rest) - 2)] + rest[: int(rng.integers(2, 40))] * scans + b"\xff\xd9"
        for frame in frames[: int(rng.integers(2))]:
            frame[1] = 0xC2
    else:
        rest = (flip if rng.integers(2) else cut)(rng, rest[:-2]) + b"\xff\xd9"
    return content[:2] + b"".join(segments) + rest


def jpeg_2000(rng: np.random.Generator, content: bytes) -> bytes:
    """Numbers of SIZ, COD, QCD and SOT: sizes, tiles, components, precincts, layers, lengths of tile parts."""
    changed = bytearray(content)
    kind = rng.integers(5)
    coding = changed.find(b"\xff\x52")
    part = changed.find(b"\xff\x90")
    if kind == 0:
        struct.pack_into(">I", changed, 8 + 4 * int(rng.integers(8)), number(rng) & 0xFFFFFFFF)
    elif kind == 1:
        for place in (24, 28):  # tiles of a few pixels
            struct.pack_into(">I", changed, place, int(rng.choice((1, 2, 3, 8, 64))))
    elif kind == 2 and coding > 0:
        where = int(rng.choice((4, 5, 6, 8, 9, 10, 11, 12, 13)))
        if where == 6:
            struct.pack_into(">H", changed, coding + 6, number(rng) & 0xFFFF)
        else:
            changed[coding + where] = int(rng.choice((0, 1, 2, 3, 5, 6, 16, 32, 33, 64, 255)))
    elif kind == 3 and part > 0:
        struct.pack_into(">I", changed, part + 6, number(rng) & 0xFFFFFFFF)
        changed[part + 10 + rng.integers(2)] = rng.integers(256)
    else:
        end = max(50, part + 14)
        changed[end:] = (flip if rng.integers(2) else cut)(rng, bytes(changed[end:-2])) + b"\xff\xd9"
    return bytes(changed)


_TAGS = (
    254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347, 529, 530,
    32997, 32998, 34665,
)  # fmt: skip


def tiff(rng: np.random.Generator, content: bytes) -> bytes:
    """Entries of the first directory: another number, form or count, one more tag, a chain that goes round."""
    if content[2:3] == b"+":
        return flip(rng, content, 400)
    order = "<" if content[:2] == b"II" else ">"
    changed = bytearray(content)
    try:
        start = struct.unpack_from(order + "I", changed, 4)[0]
        count = struct.unpack_from(order + "H", changed, start)[0]
        place = start + 2 + 12 * int(rng.integers(max(1, count)))
        kind = rng.integers(6)
        if kind == 0:
            struct.pack_into(order + "I", changed, place + 8, number(rng) & 0xFFFFFFFF)
        elif kind == 1:
            struct.pack_into(order + "HH", changed, place + 8, number(rng) & 0xFFFF, 0)
        elif kind == 2:
            field = int(rng.choice((0, 2)))
            struct.pack_into(
                order + "H", changed, place + field, int(rng.choice(_TAGS) if field == 0 else rng.integers(20))
            )
        elif kind == 3:
            struct.pack_into(order + "I", changed, place + 4, number(rng) & 0xFFFFFFFF)
        elif kind == 4:
            entries = bytes(changed[start + 2 : start + 2 + 12 * count])
            added = struct.pack(
                order + "HHII", int(rng.choice(_TAGS)), int(rng.choice((3, 4))), 1, number(rng) & 0xFFFFFFFF
            )
            following = int(rng.choice((0, start, len(changed))))
            changed += struct.pack(order + "H", count + 1) + entries + added + struct.pack(order + "I", following)
            struct.pack_into(order + "I", changed, 4, len(content))
        else:
            return flip(rng, content)
    except struct.error:
        return flip(rng, content)
    return bytes(changed)
