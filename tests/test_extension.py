"""The C++ kernels reach every user: built with the package, compiled at first use, or refused in one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fastrace.errors import BackendMissing
from fastrace.kernels import _extension

ROOT = Path(__file__).parents[1]
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"  # no virtual environment on it: a console script called by its path
pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="there is no C++ compiler on this machine"
)

USE = """
import sys, numpy as np, torch
from fastrace.errors import BackendMissing
from fastrace.kernels import _extension
from fastrace.kernels.window import Transfer, window
words = np.arange(64 * 50, dtype=np.uint16).reshape(64, 50)
try:
    out = window([words], [Transfer(12, scale=1 / 4095)], (8, 5))
except BackendMissing as error:
    sys.exit(f"BackendMissing: {error}")
print(int(out.to(torch.int64).sum()), _extension.load())
"""
ANSWER = 1023918  # of window_reference, but for rounding flips


def environment(package: Path, **rest: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("CXX", "PYTHONPATH", "PATH", "XDG_CACHE_HOME")}
    return {**kept, "PATH": SYSTEM_PATH, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", **rest}


def start(where: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "default::UserWarning", "-c", USE],
        cwd=where, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def answer(process: subprocess.Popen[str]) -> tuple[Path, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-3000:]
    total, library = out.split(maxsplit=1)
    assert abs(int(total) - ANSWER) <= 2
    return Path(library.strip()), err


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without anything built."""
    copy = tmp_path_factory.mktemp("sources") / "fastrace"
    copy.mkdir()
    files = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
    for name in (*files, "fastrace", "kernels", "cli", "bench"):
        if (ROOT / name).is_dir():
            built = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=built)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name)
    return copy


def compiler(folder: Path, body: str) -> str:
    """A stand-in for the compiler; it writes a line to `log` for each call."""
    script = folder / "compiler"
    script.write_text(f'#!/bin/sh\necho "$$ $*" >> {folder}/log\n{body}\n')
    script.chmod(0o755)
    return str(script)


def calls(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture(scope="module")
def library(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What four processes get that start together, with nothing compiled yet."""
    folder = tmp_path_factory.mktemp("four")
    env = environment(sources, XDG_CACHE_HOME=str(folder / "cache"), CXX=compiler(folder, 'exec c++ "$@"'))
    started = [start(folder, env) for _ in range(4)]
    libraries = {answer(process)[0] for process in started}
    assert len(libraries) == 1
    assert len(calls(folder)) == len(_extension.SOURCES) + 1  # compiled once, linked once
    kept = sorted(path.suffix for path in (folder / "cache" / "fastrace" / "kernels").iterdir())
    assert kept == [".lock", ".so"]
    return libraries.pop()


def ready(library: Path) -> str:
    """Shell that stands for compiling and linking: copies the library to the path after -o."""
    return f'while [ "$1" != -o ]; do shift; done; cp {library} "$2"'


@pytest.mark.slow
def test_four_processes_at_first_use_compile_once(library: Path, tmp_path: Path, sources: Path) -> None:
    env = environment(sources, XDG_CACHE_HOME=str(library.parents[2]), CXX=compiler(tmp_path, "exit 1"))
    assert answer(start(tmp_path, env))[0] == library
    assert calls(tmp_path) == []  # and the next process compiles nothing


@pytest.mark.slow
def test_a_killed_build_does_not_hang_or_poison_the_next(library: Path, tmp_path: Path, sources: Path) -> None:
    cache = tmp_path / "cache"
    env = environment(sources, XDG_CACHE_HOME=str(cache), CXX=compiler(tmp_path, "exec sleep 60"))
    first = start(tmp_path, env)
    deadline = time.monotonic() + 60
    while not calls(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    try:  # its compiler still runs
        env["CXX"] = compiler(tmp_path, ready(library))
        assert answer(start(tmp_path, env))[0].parent == cache / "fastrace" / "kernels"
    finally:
        os.kill(int(calls(tmp_path)[0].split()[0]), signal.SIGKILL)
        for stream in (first.stdout, first.stderr):
            if stream:
                stream.close()


@pytest.mark.slow
def test_a_damaged_library_in_the_cache_is_made_anew(library: Path, tmp_path: Path, sources: Path) -> None:
    kept = tmp_path / "cache" / "fastrace" / "kernels" / library.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(library.read_bytes()[:100_000])  # loading it would end the process: its pages are missing
    env = environment(sources, XDG_CACHE_HOME=str(tmp_path / "cache"), CXX=compiler(tmp_path, ready(library)))
    assert answer(start(tmp_path, env))[0] == kept
    assert kept.read_bytes().startswith(library.read_bytes())


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_a_compilation_and_a_message(
    library: Path, tmp_path: Path, sources: Path
) -> None:
    (tmp_path / "file").touch()
    env = environment(sources, XDG_CACHE_HOME=str(tmp_path / "file"), CXX=compiler(tmp_path, ready(library)))
    _, err = answer(start(tmp_path, env))
    assert "cannot be written (Not a directory)" in err
    assert "set XDG_CACHE_HOME" in err


@pytest.mark.parametrize(
    ("cxx", "sentence"),
    [
        (
            None,
            "the kernels have to be compiled once and no C++ compiler is on PATH: install one (Debian and Ubuntu: apt",
        ),
        ("no-such-compiler -O2", "compiled once and CXX names no-such-compiler -O2, which is not there: install one"),
        (
            "false",
            "the C++ compiler false failed on the kernels (it printed nothing): gcc 9 or clang 10 or newer is needed",
        ),
    ],
)
def test_a_machine_without_a_compiler_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cxx: str | None, sentence: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(_extension, "installed", lambda: None)
    if cxx is None:
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CXX", cxx)
    with pytest.raises(BackendMissing) as raised:
        _extension._load()
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("*.so"))


def test_a_compiler_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("not a program")
    script.chmod(0o755)
    with pytest.raises(BackendMissing, match=r"broken cannot be run .*set CXX to one"):
        _extension._compile([str(script)], tmp_path)


def test_a_library_of_other_sources_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = _extension.marker()
    monkeypatch.setattr(_extension, "FOLDER", tmp_path)
    monkeypatch.setattr(_extension, "marker", lambda: marker)
    (tmp_path / "_C.abi3.so").write_bytes(b"fastrace-kernels:0123")
    assert _extension.installed() is None
    (tmp_path / "_C.abi3.so").write_bytes(b"..." + marker.encode() + b"...")
    assert _extension.installed() == tmp_path / "_C.abi3.so"


def test_loading_twice_is_loading_once() -> None:
    assert _extension.load() == _extension.load()


# ---- packages ------------------------------------------------------------------------------------------------------


def in_sources(sources: Path, script: str, **rest: str) -> None:
    env = {**environment(sources, **rest), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=sources, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def names(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


@pytest.mark.slow
def test_sdist_to_wheel_holds_the_compiled_kernels_and_runs_without_a_compiler(sources: Path, tmp_path: Path) -> None:
    in_sources(sources, f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})")
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        assert not [member.name for member in tar if member.issym()]
        tar.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    in_sources(unpacked, f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})")
    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp310-abi3-linux_" in wheel.name
    inside = names(wheel)
    assert {name.split("/")[0] for name in inside} == {"fastrace"}
    wanted = {"_C.abi3.so", "_C.pyi", "_extension.py", "csrc/window.cpp", "window/cuda.py"}
    assert {f"fastrace/kernels/{name}" for name in wanted} <= inside
    assert "fastrace/cli/__init__.py" in inside
    assert {f"fastrace/bench/{file.name}" for file in (sources / "bench").glob("*.py")} <= inside
    assert not [name for name in inside if "/studies/" in name]  # they write docs and results of a checkout
    assert not [name for name in inside if "/results/" in name]  # the record of one machine stays in the repository
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = environment(tmp_path / "site", XDG_CACHE_HOME=str(tmp_path / "cache"), PATH=str(tmp_path))
    used, _ = answer(start(tmp_path, env))
    assert used == tmp_path / "site" / "fastrace" / "kernels" / "_C.abi3.so"
    assert not (tmp_path / "cache").exists()
    done = subprocess.run(
        [sys.executable, "-m", "fastrace.bench", "--write"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("fastrace: --write renews the committed results of a checkout")


@pytest.mark.slow
def test_a_wheel_is_also_made_where_there_is_no_compiler(sources: Path, tmp_path: Path) -> None:
    in_sources(
        sources, f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})", CXX="no-such-compiler"
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "fastrace/kernels/csrc/window.cpp" in names(wheel)
    assert not [name for name in names(wheel) if name.endswith(".so")]


@pytest.mark.slow
def test_every_instruction_set_gives_the_same_bits(lesser_processors: dict[str, Path]) -> None:
    script = """
import hashlib, sys, numpy as np, torch
from fastrace.kernels import _extension
from pathlib import Path
if len(sys.argv) > 1:
    _extension._loaded = Path(sys.argv[1])
    torch.ops.load_library(sys.argv[1])
from fastrace.kernels.window import Transfer, window
rng = np.random.default_rng(0)
digest = hashlib.sha256()
table = Transfer(12, table=rng.random(4096, np.float32))
for kind in (np.uint8, np.uint16):
    words = rng.integers(0, np.iinfo(kind).max, (301, 417), kind)
    for transfer in (Transfer(7, 1, True, 1 / 90, 0.4), Transfer(8, scale=1 / 201), *([table] if kind == np.uint16 else [])):
        for size in (None, (97, 101), (13, 3), (500, 500)):
            for dtype in (torch.uint8, torch.uint16, torch.float16, torch.float32):
                digest.update(window([words], [transfer], size, dtype=dtype, flips=[True]).numpy().tobytes())
print(digest.hexdigest())
from fastrace.kernels.bandpass import Filter, bandpass, bandpass_sweep
digest = hashlib.sha256()
for height, width in ((1, 1), (2, 30), (33, 17), (64, 49), (67, 61), (96, 224), (225, 40), (134, 131)):
    for dtype in (torch.float32, torch.float64):
        images = torch.from_numpy(rng.random((2, height, width))).to(dtype)
        for low, high in ((0, 4), (3, 17.5), (11, float("inf"))):
            digest.update(bandpass(images, Filter(low, high)).numpy().tobytes())
        digest.update(bandpass_sweep(images, [Filter(*edges, True) for edges in ((0, 5), (7, 9), (40, 1e9))]).numpy().tobytes())
print(digest.hexdigest())
"""
    results = [
        subprocess.run([sys.executable, "-c", script, *rest], capture_output=True, text=True, check=True).stdout
        for rest in ([], *([str(library)] for library in lesser_processors.values()))
    ]
    assert results[0] == results[1] == results[2]
    assert [len(line) for line in results[0].splitlines()] == [64, 64]


def test_half_floats_round_as_numpy_rounds() -> None:
    from fastrace.kernels.window import Transfer, window

    rng = np.random.default_rng(1)
    table = np.concatenate([rng.random(40000, np.float32), 2.0 ** -rng.uniform(0, 30, 25536).astype(np.float32)])
    table[:6] = [0, 1, 2.0**-14, 2.0**-24, 2.0**-25, 6.1e-5]
    words = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    got = window([words], [Transfer(16, table=table.astype(np.float32))], dtype=torch.float16).numpy().reshape(-1)
    np.testing.assert_array_equal(got, table.astype(np.float32).astype(np.float16))
