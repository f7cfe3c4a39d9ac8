"""Opening an input file: what storage and memory do to it becomes a rejection of that file, and the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastrace.dicom import Frames, open_frames
from fastrace.errors import RejectedInput
from fastrace.execute.limits import end_if_grown
from fastrace.preprocess.task import Settings, Task


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
    )


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
        raise RejectedInput("too_large", "does not fit into memory; lower --jobs or --max-pixels") from None
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
