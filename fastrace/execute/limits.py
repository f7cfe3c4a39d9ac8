"""What a worker process may take and show: memory above what it began with, and nothing on the terminal.

The limit is RLIMIT_DATA, relative to the process as it is after its imports. It counts private writable memory, which is what an
allocation costs; RLIMIT_AS would count the 2.3 GB of address space that torch's libraries map and never touch. Above it an
allocation fails: in Python as `MemoryError`, in a codec as its own error, and the worker goes on with the next file.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

# What is loaded with the first file that needs it: kernels, scipy.ndimage, codecs (24 MiB were measured).
_LOADED_LATER = 64 << 20
# A worker that has grown by this without a file in its hands has lost memory to a library.
_LEAKED = 256 << 20

_before_bytes: int | None = None


def limit_memory(above: int) -> None:
    """Let this process allocate at most `above` bytes more than it holds now. Linux only; elsewhere nothing is limited."""
    global _before_bytes
    held = _data_bytes()
    if held is None:
        return
    _before_bytes = held
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = held + above + _LOADED_LATER
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def end_if_grown() -> None:
    """End this process if memory is short because of earlier files: the file is then tried in a new one.

    Codecs written in C may lose memory at each damaged stream; the file at which it is gone is not the one to blame. To be
    called after a `MemoryError`, when nothing of the file is held.
    """
    held = _data_bytes()
    if _before_bytes is not None and held is not None and held - _before_bytes > _LEAKED:
        os._exit(1)


def silence() -> None:
    """Send what this process prints, and what its libraries print, nowhere.

    libjpeg, OpenJPH and pydicom quote what they find, and that may be a name. What matters comes back as an answer.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _data_bytes() -> int | None:
    """What RLIMIT_DATA counts."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), None)
