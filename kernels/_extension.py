"""Finding, or making, the compiled C++ kernels.

Order: the library installed with the package (`_C.abi3.so`), one compiled earlier and cached, one compiled now. The last
happens in a fresh environment, where pip builds fastrace before it installs torch; it takes a few seconds, once.

Compiling is one call of the compiler per source, without torch.utils.cpp_extension and ninja: that would need
Python's headers (not on a machine with python3-venv and g++ only), load the library from a place that it leaves,
and in torch before 2.15 wait for ever on the lock file of a killed build. Here the lock is the operating system's, which
ends with its process; the work happens in a folder of its own; and a rename makes the result visible at once or not at
all. Processes that start together wait for the one that builds.

`setup.py` reads `SOURCES`, `FLAGS` and `marker` from this file, so it imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = ("csrc/window.cpp", "csrc/ranking.cpp", "csrc/bandpass.cpp", "csrc/gather.cpp", "csrc/patches.cpp")
HEADERS = (
    "csrc/threads.h",
    "csrc/pages.h",
    "csrc/aligned.h",
    "csrc/fft_plan.h",
    "csrc/fft_lanes.h",
    "csrc/bandpass_gains.h",
    "csrc/bandpass_image.h",
    "csrc/bandpass_lanes.h",
    "csrc/bandpass_sets.h",
    "csrc/window_image.h",
    "csrc/window_rows.h",
    "csrc/window_shares.h",
    "csrc/window_x86.h",
    "csrc/patches_lanes.h",
    "csrc/patches_sets.h",
)
FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-Wno-psabi",
    "-DTORCH_TARGET_VERSION=0x020a000000000000",  # the stable ABI of torch 2.10: runs on every later torch
    # The same bits on every processor, and clips of one instruction: see csrc/window.cpp.
    "-ffp-contract=off",
    "-fno-signed-zeros",
    "-ffinite-math-only",
    "-fno-trapping-math",
)
LIBRARIES = ("c10", "torch_cpu", "torch")
_COMPILERS = ("c++", "g++", "clang++")

_loaded: Path | None = None
_once = threading.Lock()


def marker() -> str:
    """Text compiled into the library: a library of other sources (an old editable build) is not used."""
    digest = hashlib.blake2b(digest_size=16)
    for source in (*SOURCES, *HEADERS):
        digest.update((FOLDER / source).read_bytes())
    digest.update(" ".join(FLAGS).encode())
    return f"fastrace-kernels:{digest.hexdigest()}"


def load() -> Path:
    """Load the C++ kernels into torch, once per process, and return from where.

    Raises
    ------
    BackendMissing
        Where they are not installed and cannot be compiled; one sentence names what to install.
    """
    global _loaded
    with _once:
        if _loaded is None:
            _loaded = _load()
        return _loaded


def installed() -> Path | None:
    """The library that came with the package, if it was built from these sources."""
    wanted = marker().encode()
    return next((path for path in sorted(FOLDER.glob("_C*.so")) if wanted in path.read_bytes()), None)


def cached() -> Path:
    """Where the library compiled at first use is, or would be, kept."""
    import torch

    version = ".".join(torch.__version__.split(".")[:2])
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = f"{marker().partition(':')[2]}-torch{version}-{platform.machine()}.so"
    return Path(base) / "fastrace" / "kernels" / name


def _load() -> Path:
    import torch

    path = installed() or cached()
    if path == cached() and not _complete(path):
        return _build_and_load(path)
    torch.ops.load_library(str(path))
    return path


def _complete(path: Path) -> bool:
    """Whether a cached library is there to its last byte (a full disk, a crash): loading half of one ends the process."""
    try:
        return path.read_bytes().endswith(marker().encode())
    except OSError:
        return False


def _build_and_load(path: Path) -> Path:
    import torch

    compiler = _compiler()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(prefix=path.stem + ".", suffix=".build", dir=path.parent)
    except OSError as error:
        warnings.warn(
            f"{path.parent} cannot be written ({error.strerror}), so every process compiles the kernels anew; "
            "set XDG_CACHE_HOME to a folder that can",
            stacklevel=2,
        )
        with tempfile.TemporaryDirectory(prefix="fastrace-kernels-") as folder:
            library = _compile(compiler, Path(folder))
            torch.ops.load_library(str(library))
        return library
    with work as folder, _locked(path.with_suffix(".lock")):
        if not _complete(path):
            _compile(compiler, Path(folder)).replace(path)
        for stale in path.parent.glob(
            f"{path.stem}.*.build"
        ):  # of builds that were killed: this process holds the lock
            if stale != Path(folder) and _old(stale):
                shutil.rmtree(stale, ignore_errors=True)
        torch.ops.load_library(str(path))
    return path


def _old(folder: Path) -> bool:
    """Whether a build folder is older than any build takes; a younger one may belong to another process."""
    import time

    try:
        return time.time() - folder.stat().st_mtime > 600
    except OSError:
        return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the operating system's lock on a file; it ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # no such lock here: the rename alone keeps processes from seeing half a library
        yield
        return
    with path.open("w") as file:
        with contextlib.suppress(OSError):  # a file system without locks: as above
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compiler() -> list[str]:
    from fastrace.errors import BackendMissing

    chosen = os.environ.get("CXX")
    command = shlex.split(chosen) if chosen else []
    if command and shutil.which(command[0]):
        return command
    if not command:
        found = next(filter(None, map(shutil.which, _COMPILERS)), None)
        if found:
            return [found]
    missing = f"CXX names {chosen}, which is not there" if command else "no C++ compiler is on PATH"
    raise BackendMissing(
        f"the kernels have to be compiled once and {missing}: install one (Debian and Ubuntu: apt install g++; "
        "Fedora: dnf install gcc-c++) and run the command again"
    )


def _compile(compiler: list[str], folder: Path) -> Path:
    """Compile the sources, at the same time, and link them."""
    import torch

    root = Path(torch.__file__).parent
    flags = [*FLAGS, f'-DFASTRACE_MARKER="{marker()}"', "-isystem", str(root / "include")]
    objects = [folder / f"{Path(source).stem}.o" for source in SOURCES]
    _run([[*compiler, *flags, "-c", str(FOLDER / s), "-o", str(o)] for s, o in zip(SOURCES, objects, strict=True)])
    library = folder / "kernels.so"
    link = [f"-L{root / 'lib'}", *(f"-l{name}" for name in LIBRARIES), "-o", str(library)]
    _run([[*compiler, "-shared", "-pthread", *map(str, objects), *link]])
    with library.open("ab") as file:  # what `_complete` looks for; loaders ignore it
        file.write(marker().encode())
    return library


def _run(commands: list[list[str]]) -> None:
    from fastrace.errors import BackendMissing

    running = []
    try:
        for command in commands:
            running.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
        outputs = [process.communicate()[0] for process in running]
    except OSError as error:
        raise BackendMissing(
            f"the C++ compiler {commands[0][0]} cannot be run ({error.strerror}): set CXX to one"
        ) from error
    finally:
        for process in running:  # Ctrl-C
            if process.poll() is None:
                process.kill()
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            lines = output.strip().splitlines() or ["it printed nothing"]
            first = next((line for line in lines if "error" in line), lines[0])
            raise BackendMissing(
                f"the C++ compiler {commands[0][0]} failed on the kernels ({first.strip()}): gcc 9 or clang 10 or newer "
                "is needed; set CXX to it and run the command again"
            )
