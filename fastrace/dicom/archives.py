"""Packed files by their first bytes: nothing is unpacked here, since a small file can hold terabytes."""

from __future__ import annotations

_TAR_AT = 257
_MAGIC = {
    b"PK\x03\x04": "ZIP",
    b"PK\x05\x06": "ZIP",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
HEAD = _TAR_AT + 5  # bytes needed to tell


def archive_kind(head: bytes) -> str | None:
    """Return the name of the format ("ZIP", "gzip", "tar", ...), None for anything else."""
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "tar"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
