"""DICOM files as trees of elements that may lie: parse, mutate, write.

A node holds its value as bytes, as items (a sequence) or as fragments (encapsulated pixel data). Its VR and length can be
replaced by ones that do not fit, which no writer of DICOM allows.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR
from pydicom.uid import UID, AllTransferSyntaxes
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from fastrace.bench.studies.fuzz.random_bytes import bomb, cut, flip, number, text

_LONG = {vr.encode() for vr in EXPLICIT_VR_LENGTH_32}
_VRS = [vr.value.encode() for vr in VR if len(vr.value) == 2]
_UNDEFINED = 0xFFFFFFFF
_PIXELS = 0x7FE00010
_IMAGE = (
    0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120,
    0x00280121, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056, 0x00283000, 0x00283010, 0x20500020, 0x00020010,
    0x00080005, 0x00080008, 0x00080060, 0x00180015, 0x00185101, 0x00180088, 0x00181164, 0x00280030, 0x00101010, 0x7FE00001,
    0x7FE00002, 0x52009230, 0x52009229,
)  # fmt: skip
_TAGS = (*_IMAGE, *sorted(DicomDictionary)[:1500:7])


@dataclass
class Node:
    """One element; ``length`` replaces the true one."""

    tag: int
    vr: bytes
    value: bytes | list[list[Node]] | None = b""
    fragments: list[bytes] | None = None
    length: int | None = None
    delimited: bool = True


@dataclass
class File:
    """A file in parts; what follows the meta information is ``nodes``."""

    preamble: bytes
    meta: list[Node]
    nodes: list[Node] = field(default_factory=list)
    implicit: bool = False
    deflated: bool = False
    bomb: int = 0


def parse(content: bytes) -> File | None:
    """Read a little-endian file; None for what is none, or is too odd to be taken apart."""
    try:
        if content[128:132] != b"DICM":
            return None
        meta, place = _nodes(content, 132, len(content), False, stop_after_group=2)
        syntax = next((node.value for node in meta if node.tag == 0x00020010), b"")
        name = bytes(syntax or b"").rstrip(b"\0 ").decode() if isinstance(syntax, bytes) else ""
        if name == "1.2.840.10008.1.2.2":
            return None
        implicit, deflated = name == "1.2.840.10008.1.2", name == "1.2.840.10008.1.2.1.99"
        if deflated:
            content, place = zlib.decompress(content[place:], -zlib.MAX_WBITS), 0
        nodes, _ = _nodes(content, place, len(content), implicit)
        return File(content[:132] if not deflated else b"\0" * 128 + b"DICM", meta, nodes, implicit, deflated)
    except (struct.error, ValueError, zlib.error, RecursionError, UnicodeDecodeError):
        return None


def _nodes(content: bytes, place: int, end: int, implicit: bool, stop_after_group: int = 0) -> tuple[list[Node], int]:
    found: list[Node] = []
    while place + 8 <= end:
        group, element = struct.unpack_from("<HH", content, place)
        if stop_after_group and group != stop_after_group:
            break
        tag = group << 16 | element
        if tag in (0xFFFEE00D, 0xFFFEE0DD):
            return found, place + 8
        place += 4
        if implicit:
            vr, length, place = _known(tag), struct.unpack_from("<I", content, place)[0], place + 4
        else:
            vr, length = content[place : place + 2], struct.unpack_from("<H", content, place + 2)[0]
            place += 4
            if vr in _LONG:
                length, place = struct.unpack_from("<I", content, place)[0], place + 4
        node = Node(tag, vr)
        if length == _UNDEFINED and tag == _PIXELS:
            node.value, (node.fragments, place) = None, _fragments(content, place)
        elif vr == b"SQ" or length == _UNDEFINED:
            node.value, place = _items(content, place, end if length == _UNDEFINED else place + length, implicit)
            node.vr = b"SQ"
        else:
            node.value, place = content[place : place + length], place + length
        found.append(node)
    return found, place


def _known(tag: int) -> bytes:
    try:
        return dictionary_VR(tag)[:2].encode()
    except KeyError:
        return b"UN"


def _items(content: bytes, place: int, end: int, implicit: bool) -> tuple[list[list[Node]], int]:
    items: list[list[Node]] = []
    while place + 8 <= end:
        group, element, length = struct.unpack_from("<HHI", content, place)
        place += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            break
        if (group, element) != (0xFFFE, 0xE000):
            raise ValueError("no item")
        nodes, place = _nodes(content, place, end if length == _UNDEFINED else place + length, implicit)
        items.append(nodes)
    return items, place


def _fragments(content: bytes, place: int) -> tuple[list[bytes], int]:
    found = []
    while place + 8 <= len(content):
        group, element, length = struct.unpack_from("<HHI", content, place)
        place += 8
        if (group, element) != (0xFFFE, 0xE000):
            break
        found.append(content[place : place + length])
        place += length
    return found, place


def write(file: File) -> bytes:
    """Put a file together; the group length of the meta information is right unless it was made wrong."""
    body = b"".join(_written(node, file.implicit) for node in file.nodes)
    if file.deflated:
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        # Blocks of deflate follow each other: zeros that were deflated once come after the elements.
        flush = zlib.Z_FULL_FLUSH if file.bomb else zlib.Z_FINISH
        body = packer.compress(body) + packer.flush(flush) + (bomb(file.bomb, raw=True) if file.bomb else b"")
    meta = b"".join(_written(node, False) for node in file.meta if node.tag != 0x00020000)
    return file.preamble + _written(Node(0x00020000, b"UL", struct.pack("<I", len(meta))), False) + meta + body


def _written(node: Node, implicit: bool) -> bytes:
    head = struct.pack("<HH", node.tag >> 16, node.tag & 0xFFFF)
    delimiter = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if node.delimited else b""
    if node.fragments is not None:
        body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in node.fragments) + delimiter
        length = _UNDEFINED
    elif isinstance(node.value, list):
        body = b"".join(
            struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
            + b"".join(_written(inner, implicit) for inner in item)
            + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            for item in node.value
        )
        body, length = body + delimiter, _UNDEFINED
    else:
        body = node.value or b""
        length = len(body)
    length = length if node.length is None else node.length
    if implicit:
        return head + struct.pack("<I", length & 0xFFFFFFFF) + body
    if node.vr in _LONG:
        return head + node.vr + b"\0\0" + struct.pack("<I", length & 0xFFFFFFFF) + body
    return head + node.vr + struct.pack("<H", min(length, 0xFFFF)) + body


def _any(rng: np.random.Generator, file: File) -> Node:
    """Draw a node: mostly one that decides how an image is read, at any depth."""
    nodes = [node for node in file.nodes if node.tag in _IMAGE] if rng.integers(3) else file.nodes
    nodes = nodes or file.nodes or file.meta
    node = nodes[rng.integers(len(nodes))]
    while isinstance(node.value, list) and node.value and rng.integers(3):
        item = node.value[rng.integers(len(node.value))]
        if not item:
            break
        node = item[rng.integers(len(item))]
    return node


def _value(rng: np.random.Generator, vr: bytes) -> bytes:
    kinds = {b"US": "<H", b"SS": "<h", b"UL": "<I", b"SL": "<i", b"FL": "<f", b"FD": "<d", b"OW": "<H", b"AT": "<I"}
    if vr in kinds and rng.integers(4):
        size = struct.calcsize(kinds[vr])
        one = (number(rng) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        return one * int(rng.choice((1, 1, 1, 2, 3, 1000)))
    return str(number(rng)).encode() if rng.integers(3) == 0 else text(rng)


def set_value(rng: np.random.Generator, file: File) -> None:
    """Another value, of its VR or not."""
    node = _any(rng, file)
    node.fragments, node.value = None, _value(rng, node.vr)


def set_attribute(rng: np.random.Generator, file: File) -> None:
    """An attribute of images, which may not be there, with a number at an edge or a text."""
    tag = int(rng.choice(_IMAGE))
    vr = _known(tag)
    file.nodes = [node for node in file.nodes if node.tag != tag or rng.integers(8) == 0]
    file.nodes.append(Node(tag, vr, _value(rng, vr)))
    file.nodes.sort(key=lambda node: node.tag)


def set_vr(rng: np.random.Generator, file: File) -> None:
    """Another VR, or two bytes that are none."""
    _any(rng, file).vr = bytes(rng.choice(_VRS)) if rng.integers(6) else rng.bytes(2)


def set_length(rng: np.random.Generator, file: File) -> None:
    """A length that is not the value's."""
    node = _any(rng, file)
    true = len(node.value) if isinstance(node.value, bytes) else 0
    node.length = int(rng.choice((true + 1, max(0, true - 1), 0, 2 * true, _UNDEFINED, number(rng))))


def set_tag(rng: np.random.Generator, file: File) -> None:
    """Another tag, in place: ascending order is lost."""
    _any(rng, file).tag = int(rng.choice(_TAGS)) if rng.integers(4) else int(rng.integers(1 << 32))


def drop(rng: np.random.Generator, file: File) -> None:
    """Leave out, double or exchange elements."""
    if len(file.nodes) < 2:
        return
    first, second = (int(place) for place in rng.integers(0, len(file.nodes), 2))
    kind = rng.integers(3)
    if kind == 0:
        del file.nodes[first]
    elif kind == 1:
        file.nodes.insert(second, file.nodes[first])
    else:
        file.nodes[first], file.nodes[second] = file.nodes[second], file.nodes[first]


def nest(rng: np.random.Generator, file: File) -> None:
    """Put an element into sequences inside sequences, of defined or undefined length, or many items beside each other."""
    tag = int(rng.choice((0x00283010, 0x00283000, 0x52009230, 0x52009229, 0x00540220, 0x00082218, 0x00091010)))
    inner = _written(file.nodes[rng.integers(len(file.nodes))], file.implicit) if file.nodes else b""
    inner = inner[:4096]
    defined, depth = bool(rng.integers(2)), int(rng.choice((0, 1, 1, 3, 3, 30, 300, 2000)))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    value = item * int(rng.choice((0, 1, 1, 2, 2, 30, 30, 20_000 if len(inner) < 100 else 2)))
    for _ in range(depth):
        end = b"" if defined else struct.pack("<HHIHHI", 0xFFFE, 0xE0DD, 0, 0xFFFE, 0xE00D, 0)
        node = _written(Node(tag, b"SQ", value, length=None if defined else _UNDEFINED), file.implicit) + end
        value = struct.pack("<HHI", 0xFFFE, 0xE000, len(node) if defined else _UNDEFINED) + node
    value += b"" if defined else struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    node_at = Node(tag, b"SQ", value, length=None if defined else _UNDEFINED)
    file.nodes = sorted([*(n for n in file.nodes if n.tag != tag), node_at], key=lambda found: found.tag)


def huge_element(rng: np.random.Generator, file: File) -> None:
    """A private element, overlay or document before the pixel data that claims gigabytes, or holds megabytes."""
    tag = int(rng.choice((0x00091001, 0x00420011, 0x60003000, 0x00281201, 0x00104000, 0x7F000010)))
    node = Node(
        tag,
        bytes(rng.choice((b"OB", b"UN", b"UT", b"OW", b"LT", b"SQ"))),
        b"\0" * int(rng.choice((8, 1 << 21, 5 << 20))),
    )
    node.length = int(rng.choice(HUGE_LENGTHS)) if rng.integers(2) else None
    file.nodes = sorted([*file.nodes, node], key=lambda found: found.tag)


HUGE_LENGTHS = (1 << 24, 1 << 30, (1 << 31) - 1, (1 << 32) - 2)


def offsets(rng: np.random.Generator, file: File) -> None:
    """Offset tables that lie, and fragments that are cut, empty, many, doubled or in another order."""
    node = next((node for node in file.nodes if node.fragments), None)
    if node is None or not node.fragments:
        return set_attribute(rng, file)
    parts = node.fragments
    kind = rng.integers(8)
    if kind == 0:
        parts[0] = b"".join(struct.pack("<I", number(rng) & 0xFFFFFFFF) for _ in range(rng.integers(1, 9)))
    elif kind == 1 and len(parts) > 1:
        place = int(rng.integers(1, len(parts)))
        step = int(rng.choice((1, 7, 64, 1000)))
        parts[place : place + 1] = [parts[place][at : at + step] for at in range(0, len(parts[place]), step)]
    elif kind == 2:
        parts[1:1] = [b""] * int(rng.choice((1, 100, 300_000)))
    elif kind == 3:
        parts.append(parts[rng.integers(len(parts))])
    elif kind == 4:
        del parts[rng.integers(len(parts))]
    elif kind == 5:
        table = struct.pack("<3Q", *(number(rng) for _ in range(3)))
        file.nodes[0:0] = [Node(0x7FE00001, b"OV", table), Node(0x7FE00002, b"OV", table)]
        file.nodes.sort(key=lambda found: found.tag)
    elif kind == 6:
        rng.shuffle(parts)
    else:
        node.delimited = False
    return None


def syntax(rng: np.random.Generator, file: File) -> None:
    """Another transfer syntax than the file is written in."""
    name = str(rng.choice([str(UID(uid)) for uid in AllTransferSyntaxes]))
    for node in file.meta:
        if node.tag == 0x00020010:
            node.value = name.encode() + b"\0" * (len(name) % 2)
    file.deflated = file.deflated or bool(rng.integers(8) == 0)


def inflate_more(rng: np.random.Generator, file: File) -> None:
    """A deflated data set that goes on for megabytes."""
    file.deflated = True
    syntax_of = next((node for node in file.meta if node.tag == 0x00020010), None)
    if syntax_of is not None:
        syntax_of.value = b"1.2.840.10008.1.2.1.99"
    file.bomb = int(rng.choice((1 << 20, 1 << 20, 64 << 20)))


def damage_value(rng: np.random.Generator, file: File) -> None:
    """Change or cut bytes of one value."""
    node = _any(rng, file)
    if isinstance(node.value, bytes):
        node.value = (flip if rng.integers(2) else cut)(rng, node.value)


MUTATORS = (
    set_value, set_attribute, set_attribute, set_vr, set_length, set_tag, drop, nest, huge_element, offsets, offsets, syntax,
    inflate_more, damage_value,
)  # fmt: skip
