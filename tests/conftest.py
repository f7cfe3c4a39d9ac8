"""What all tests share: how Triton runs, which tests run where, real files, hypothesis."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

CI = os.environ.get("CI", "").lower() in ("1", "true")
HAS_GPU = torch.cuda.is_available()

# Triton reads this when a kernel is decorated, so it has to be set before any test imports one. torch does not import
# triton by itself, and torch.compile on the CPU does not mind (tests/kernels compile in the same process). What needs
# the real compiler runs in a process without it.
if not HAS_GPU:
    os.environ["TRITON_INTERPRET"] = "1"

# Small matrices, as an audit's: threads of BLAS would spin for each other, and twice as much beside a second worker of
# pytest-xdist (tests/audit/test_audit_null.py: 66 s of processor time with two threads, 28 s with one).
threadpool_limits(1, user_api="blas")

# A shell starts what is in the background with Ctrl-C ignored, and commands that a test starts inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("fastrace", deadline=None, derandomize=CI)
settings.load_profile("fastrace")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a GPU where there is none."""
    if HAS_GPU:
        return
    without = [item for item in items if item.get_closest_marker("gpu") is None]
    if len(without) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("gpu")])
        items[:] = without


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in one order, whatever machine the tests run on."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real files: FASTRACE_TEST_DATA, else ../shared/data beside the checkout."""
    named = os.environ.get("FASTRACE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        message = f"no real files: {folder} does not exist; set FASTRACE_TEST_DATA to the folder that holds them"
        if CI:
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def cases(test_data: Path) -> Path:
    """Folder of small inputs on which something went wrong once; it lies beside that of the real files."""
    folder = test_data.parent / "cases"
    if not folder.is_dir():
        message = f"no cases: {folder} does not exist; they lie beside the real files"
        if CI:
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def lesser_processors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The C++ kernels as a processor without AVX-512, and one with SSE2 alone, would run them."""
    from fastrace.kernels import _extension

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers: whoever comes first compiles
    libraries = {}
    for name, macro in (("avx2", "FASTRACE_NO_AVX512"), ("baseline", "FASTRACE_BASELINE")):
        libraries[name] = folder / name / "kernels.so"
        libraries[name].parent.mkdir(exist_ok=True)
        with _extension._locked(folder / f"{name}.lock"):
            if not _extension._complete(libraries[name]):
                _extension._compile([*_extension._compiler(), f"-D{macro}"], libraries[name].parent)
    return libraries
