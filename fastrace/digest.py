"""Digests: are these the bytes that were written, and is this document the one that was made?

Two functions, because they promise different things.

BLAKE2b, 256 bits (RFC 7693)
    Nobody can make other bytes with the same digest. The fingerprint of a dataset and the digest of an audit stand for every byte
    below them: whoever wrote one down elsewhere notices any change, also one made on purpose. 0.8 GB/s for each processor.
XXH3, 128 bits
    Finds accidents: a flipped bit, a file cut short, a file in the place of another. 6.5 GB/s, so that it can be computed
    before every use. It does not withstand someone who wants two files to have one digest.

Digests that lie beside what they describe can be rewritten together with it: nothing here is a signature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

PIECE_BYTES = 1 << 20
"""Read at once: stays in the cache of the processor between reading and hashing; hashlib releases the interpreter lock."""


@dataclass(frozen=True)
class Digests:
    """Both digests of a file, from one reading of it.

    Attributes
    ----------
    size : int
        Bytes.
    blake2b : str
        64 hexadecimal digits.
    xxh3 : str
        32 hexadecimal digits.
    head : bytes
        Its first 4096 bytes, for whoever must look at its header too.
    """

    size: int
    blake2b: str
    xxh3: str
    head: bytes


def file_digests(path: Path) -> Digests:
    """Both digests of a file, which is read once; memory is one piece.

    Raises
    ------
    OSError
    """
    strong, quick, size, head = hashlib.blake2b(digest_size=32), xxhash.xxh3_128(), 0, b""
    for piece in _pieces(path):
        if len(head) < 4096:
            head += bytes(piece[: 4096 - len(head)])
        strong.update(piece)
        quick.update(piece)
        size += len(piece)
    return Digests(size, strong.hexdigest(), quick.hexdigest(), head)


def file_hash(path: Path) -> str:
    """BLAKE2b-256 of a file, read in pieces.

    Raises
    ------
    OSError
    """
    digest = hashlib.blake2b(digest_size=32)
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def quick_hash(path: Path) -> str:
    """XXH3-128 of a file, read in pieces: against accidents.

    Raises
    ------
    OSError
    """
    digest = xxhash.xxh3_128()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def bytes_hash(content: bytes) -> str:
    """BLAKE2b-256 of bytes: what `file_hash` gives for a file of them."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def document_digest(document: Mapping[str, Any], *, without: str) -> str:
    """BLAKE2b-128 of a JSON document without the field that holds this digest.

    What is hashed is the content, not its layout: keys sorted, no spaces, UTF-8, numbers in the shortest form that reads back as
    the same float64. A document that was indented otherwise has the same digest.

    Parameters
    ----------
    document : mapping
        Plain types, as `json.loads` gives them.
    without : str
        The field to leave out, at the top.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    content = {key: value for key, value in document.items() if key != without}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _pieces(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(PIECE_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield buffer[:count]
