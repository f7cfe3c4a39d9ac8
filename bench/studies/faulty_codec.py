"""`fastrace` with a codec that fails at one file: it kills its process, hangs, or runs out of memory. For studies of faults.

    FAULT=kill|hang|memory FAULT_FILE=IM0000007 python -m fastrace.bench.studies.faulty_codec preprocess ...

Worker processes import the main module again: there the function that opens a file is replaced. All else is the command itself;
the time limit of a file is 3 seconds here.
"""

from __future__ import annotations

import importlib
import os
import signal
import time
from pathlib import Path
from typing import Any


def _replace_in_worker() -> None:
    opening: Any = importlib.import_module("fastrace.preprocess.opening")
    kind, name, opened = os.environ["FAULT"], os.environ["FAULT_FILE"], opening.open_frames

    def open_frames(path: Path, **options: Any) -> Any:
        if path.name == name and kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
        if path.name == name and kind == "hang":
            time.sleep(10**6)
        if path.name == name and kind == "memory":
            bytearray(1 << 46)  # 64 TiB: no system gives that
        return opened(path, **options)

    opening.open_frames = open_frames


if __name__ == "__mp_main__" and "FAULT" in os.environ:
    _replace_in_worker()

if __name__ == "__main__":
    import runpy

    from fastrace.preprocess import task

    task.LIMIT_SECONDS = 3.0
    runpy.run_module("fastrace.cli", run_name="__main__")
