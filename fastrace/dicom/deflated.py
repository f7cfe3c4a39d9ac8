"""A deflated file (PS3.5 A.5) as if it had been written without deflation, inflated in pieces and never as a whole.

Deflate makes up to 1,032 bytes of one. So nothing here holds more than a piece: bytes that nobody asked for are inflated and
dropped, and reading on is continued where the last reading ended, frame after frame.
"""

from __future__ import annotations

import io
import threading
import zlib
from pathlib import Path
from typing import Any

from fastrace.errors import RejectedInput

_PIECE = 1 << 16
LARGEST_RATIO = 1032  # of deflate: 258 bytes from two bits
LARGEST_INFLATED = 2 << 30
"""Bytes of a deflated data set that are inflated: 6 s of a processor. A length of 15 GB in a sparse file took 43."""


class Inflating(io.RawIOBase):
    """A readable, seekable stream of the inflated content; going back starts again from the beginning.

    Parameters
    ----------
    path : Path
        The file.
    start : int
        Its first deflated byte.
    meta : bytes
        What stands before it, preamble and meta information, as it should be read.
    """

    def __init__(self, path: Path, start: int, meta: bytes) -> None:
        super().__init__()
        self._path, self._start, self._meta = path, start, meta
        self._lock = threading.Lock()
        self._wanted = 0
        self._rewind()

    def again(self) -> Inflating:
        """The same content, to be read from the beginning by somebody else."""
        return Inflating(self._path, self._start, self._meta)

    def read_at(self, offset: int, buffer: Any) -> int:
        """Fill `buffer` from `offset` on; returns how much was there. One caller at a time."""
        with self._lock:
            self.seek(offset)
            return self.readinto(buffer)

    def _rewind(self) -> None:
        self._inflater: Any = zlib.decompressobj(-zlib.MAX_WBITS)
        self._reached = 0  # inflated bytes so far
        self._kept = b""  # the last of them: pydicom goes back by a few bytes, again and again
        self._next = self._start  # first byte of the file that was not given to the inflater

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the place of the next read; nothing is inflated before that read."""
        if whence not in (io.SEEK_SET, io.SEEK_CUR):
            raise io.UnsupportedOperation("the end of a deflated file is not known")
        self._wanted = max(0, offset if whence == io.SEEK_SET else self._wanted + offset)
        return self._wanted

    def tell(self) -> int:
        """The place of the next read."""
        return self._wanted

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as there is content.

        Raises
        ------
        RejectedInput
            ``decode_failed`` or ``truncated``: a deflated data set that is damaged, or has no end; ``too_large``.
        """
        view = memoryview(buffer).cast("B")
        done = self._take(view, self._meta, self._wanted)
        place = self._wanted + done - len(self._meta)  # in the inflated content
        with self._path.open("rb") as file:
            if done < len(view) and place < self._reached - len(self._kept):
                self._rewind()
            if done < len(view) and place < self._reached:
                again = self._take(view[done:], self._kept, place - self._reached + len(self._kept))
                done, place = done + again, place + again
            file.seek(self._next)
            while done < len(view):
                skipped = max(0, place - self._reached)
                piece = self._piece(file, min(_PIECE, skipped or len(view) - done))
                if not piece:
                    break
                self._reached += len(piece)
                if self._reached > LARGEST_INFLATED:
                    raise RejectedInput(
                        "too_large",
                        f"the deflated data set holds more than {LARGEST_INFLATED >> 20} MiB: write it without deflation",
                    )
                self._kept = (self._kept + piece)[-_PIECE:] if len(piece) < _PIECE else piece
                if not skipped:
                    view[done : done + len(piece)] = piece
                    done, place = done + len(piece), place + len(piece)
        self._wanted += done
        return done

    def _take(self, view: memoryview, known: bytes, place: int) -> int:
        """Copy what is known already."""
        found = known[place : place + len(view)]
        view[: len(found)] = found
        return len(found)

    def _piece(self, file: io.BufferedReader, most: int) -> bytes:
        """Inflate up to `most` bytes, none at the end of the data set."""
        try:
            while not self._inflater.eof:
                stored = self._inflater.unconsumed_tail or file.read(_PIECE)
                if not self._inflater.unconsumed_tail:
                    self._next += len(stored)
                piece: bytes = self._inflater.decompress(stored, most)
                if piece:
                    return piece
                if not stored:
                    raise RejectedInput("truncated", "the deflated data set ends too early: fetch the file again")
        except zlib.error as error:
            raise RejectedInput("decode_failed", "the deflated data set is damaged: fetch the file again") from error
        return b""
