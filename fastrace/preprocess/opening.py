"""Opening an input file: what storage and memory do to it becomes a rejection of that file, and the others go on."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from fastrace.dicom import Frames, open_frames
from fastrace.errors import RejectedInput
from fastrace.execute.limits import end_if_grown
from fastrace.preprocess.task import Settings, Task

_HEAD_BYTES = 1 << 16


def opened(settings: Settings, task: Task, *, selection: bool = False) -> Frames:
    """Open the file of a task; ``selection`` as in `fastrace.dicom.open_frames`.

    Raises
    ------
    RejectedInput
    """
    if task.size == 0:
        raise RejectedInput("empty", "the file has 0 bytes; copy it again from its source")
    if task.size < 0:
        raise RejectedInput("unreadable", "cannot be read, or is no regular file; check its permissions and links")
    recipe = settings.recipe
    return open_frames(
        Path(task.path),
        voi=recipe.voi,
        preset_window=recipe.window,
        max_pixels=settings.max_pixels,
        selection=selection,
        reduce_to=recipe.size if recipe.decode == "reduced" else None,
    )


def unchanged(task: Task) -> bytes:
    """Compare the file with the scan, and its start with that of an earlier task; returns a digest of the start.

    Size and time of modification tell what was written since the scan; a file that took the place of another, with its size and
    time kept (rsync -t), is known by the first 64 KiB, which hold its UIDs. It costs 30 us.

    Raises
    ------
    RejectedInput
        ``changed``.
    """
    if task.size < 0 or task.mtime_ns < 0:
        return b""
    with open(task.path, "rb", opener=_without_waiting) as file:
        status = os.stat(file.fileno())
        head = xxhash.xxh3_128_digest(file.read(_HEAD_BYTES))
    if (status.st_size, status.st_mtime_ns) != (task.size, task.mtime_ns) or (task.head and head != task.head):
        raise RejectedInput(
            "changed",
            f"had {task.size} bytes when the archive was listed and has {status.st_size} now, or was written since; wait until "
            "nothing writes into the archive, then make the dataset again",
        )
    return head


def _without_waiting(path: str, flags: int) -> int:
    """Open what may have become a FIFO since the scan, which would wait for its other end for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def machine_errors() -> Iterator[None]:
    """Count a file that vanished, or that memory or disk could not give, as rejected; the other files go on.

    So does a mistake of fastrace itself: its place in the program is named, and nothing that the exception quotes.
    """
    try:
        yield
    except RejectedInput:
        raise
    except MemoryError:
        end_if_grown()
        raise RejectedInput("no_memory", "does not fit into memory; lower --jobs or --max-pixels") from None
    except OSError as error:
        raise RejectedInput(
            "unreadable", f"{error.strerror or type(error).__name__} while it was read; check its storage"
        ) from error
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise RejectedInput(
            "decoder_crashed",
            f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}: unexpected, please report it",
        ) from None
