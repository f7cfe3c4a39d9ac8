"""What a machine without a GPU can check of the GPU sources: what they compile to, and what their text computes.

Every Triton kernel and CUDA source is compiled for every target in another process and compared with the committed table;
csrc/bandpass.cu is also compiled by the host's compiler, with threads and blocks as loops, and run by the real launcher
on a stand-in for CuPy (csrc/callbacks.cu likewise in test_callbacks.py).
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host import Plan, compile_text, install

from fastrace.errors import UsageError
from fastrace.kernels.bandpass import TOLERANCE, bandpass_reference, choice, cuda, plans
from fastrace.kernels.radii import Filter, scaled_squares

ROOT = Path(__file__).resolve().parents[2]
INF = math.inf
TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")

# ---- the resource table -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((ROOT / "bench" / "results" / "resources.json").read_text())
    return table


@pytest.fixture(scope="module")
def today() -> dict[str, Any]:
    """The table that the sources give now; Triton must not interpret there, hence the other process."""
    pytest.importorskip("triton", reason="triton comes with the CUDA build of torch")
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC comes with the CUDA build of torch")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "fastrace.bench.resources"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"a GPU source does not compile:\n{done.stderr[-3000:]}"
    table: dict[str, Any] = json.loads(done.stdout)
    return table


def by_name(table: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    rows = {(row["kernel"], row["target"]): row for row in table["rows"]}
    assert len(rows) == len(table["rows"]), "two configurations have one name"
    return rows


REMEDY = "run `python -m fastrace.bench.resources --write`, look at the difference and commit it"


def test_the_table_lists_every_kernel_configuration_for_every_target(
    committed: dict[str, Any], today: dict[str, Any]
) -> None:
    assert by_name(committed).keys() == by_name(today).keys(), REMEDY
    kernels = {name for name, _ in by_name(today)}
    assert {(name, target) for name in kernels for target in TARGETS} == by_name(today).keys()
    assert {"noise gaussian", "noise poisson", "noise speckle", "noise salt_pepper", "bandpass_mask_f32"} <= kernels
    assert {"bandpass_load_uint16", "bandpass_gain_each", "bandpass_store_float16_gaussian"} <= kernels


def test_the_table_is_what_the_sources_give_today(committed: dict[str, Any], today: dict[str, Any]) -> None:
    now = by_name(today)
    for key, row in by_name(committed).items():
        compiler = "nvrtc" if key[0].startswith("bandpass_") else "triton"
        if committed["versions"][compiler] == today["versions"][compiler]:
            assert row == now[key], f"{key[0]} for {key[1]} has changed: {REMEDY}"
        else:  # another compiler counts other registers, but what the kernels are meant to have stays
            kept = ("load_bits", "store_bits", "matrix", "reason")
            assert {k: row.get(k) for k in kept} == {k: now[key].get(k) for k in kept}, f"{key}: {REMEDY}"


def test_nothing_spills_and_nothing_needs_a_stack(today: dict[str, Any]) -> None:
    for key, row in by_name(today).items():
        if "reason" not in row:
            for resource in ("spill_store_bytes", "spill_load_bytes", "stack_bytes"):
                assert row[resource] == 0, f"{key[0]} for {key[1]}: {resource} is {row[resource]}"


def test_loads_and_stores_are_as_wide_as_meant(today: dict[str, Any]) -> None:
    for key, row in by_name(today).items():
        for access in ("load", "store"):
            meant, got = row.get(f"meant_{access}_bits", 0), row.get(f"{access}_bits", 0)
            assert "reason" in row or got >= meant, f"{key[0]} for {key[1]}: widest {access} {got} bits, meant {meant}"


def test_matrix_products_run_on_tensor_cores(today: dict[str, Any]) -> None:
    """As three TF32 products on NVIDIA; Triton has none for gfx942, which takes the other configuration."""
    units = {"sm_80": "HMMA", "sm_90": "HMMA", "sm_100": "HMMA"}
    rows = by_name(today)
    for kernel in ("window area uint16 uint16", "window lanczos uint16 uint16"):
        for target, unit in units.items():
            assert unit in rows[kernel, target]["matrix"], (kernel, target)
        assert "mfma" in rows[f"{kernel} ieee", "gfx942"]["matrix"], kernel
    # 128 filters are enough rows for the larger units, which take their operands from shared memory.
    for kernel in ("patches 6x6 128 filters", "patches 12x12 128 filters"):
        for target, unit in (units | {"sm_90": "HGMMA", "sm_100": "UTCHMMA"}).items():
            assert unit in rows[kernel, target]["matrix"], (kernel, target)
    assert "HMMA" in rows["patches 5x5 16 filters", "sm_90"]["matrix"]
    assert "mfma" in rows["patches 6x6 128 filters ieee", "gfx942"]["matrix"]


def test_a_target_that_holds_no_kernel_has_a_reason(today: dict[str, Any]) -> None:
    for key, row in by_name(today).items():
        assert ("reason" in row) != ("registers" in row), key
        if key[1].startswith("sm_"):
            assert "reason" not in row, f"{key[0]} for {key[1]}: {row.get('reason')}"


# ---- what Inductor would be given ---------------------------------------------------------------------------------

TRACE = """
import torch, triton
from torch._functorch.aot_autograd import aot_function, make_boxed_func
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.backends.compiler import GPUTarget
from fastrace.kernels.noise import KINDS, noise

class Hopper:
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

def record(graph, inputs):
    for node in graph.graph.nodes:
        if node.op == "call_function":
            print(node.target, *node.kwargs.get("tensors_to_clone", []))
    return make_boxed_func(graph.forward)

triton.runtime.driver.set_active(Hopper())
with FakeTensorMode():
    images, ids = torch.empty(4, 32, 40, device="cuda"), torch.empty(4, dtype=torch.int64, device="cuda")
    for kind in KINDS:
        step = lambda a, b: noise(a * 2, b, kind, 0.1, seed=2**63 + 5, stream=2**32 - 1).clamp(0, 1)
        print("kind", kind)
        aot_function(step, record)(images, ids)
"""


def test_the_compiled_graph_holds_the_triton_kernel_itself_and_copies_only_its_output() -> None:
    pytest.importorskip("triton", reason="triton comes with the CUDA build of torch")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", TRACE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for graph in done.stdout.split("kind ")[1:]:
        kind, *calls = graph.splitlines()
        assert "triton_kernel_wrapper_functional out_ptr" in calls, (kind, calls)
        assert not any("fastrace" in call for call in calls), (kind, calls)


# ---- csrc/bandpass.cu on the host ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuda")


@pytest.fixture(scope="module")
def host(folder: Path) -> ctypes.CDLL:
    return compile_text(plans.SOURCE.read_text(), folder)


SIZES = [
    (1, 1),
    (1, 9),
    (9, 1),
    (2, 2),
    (7, 7),
    (64, 64),
    (223, 223),
    (224, 224),
    (225, 200),
    (1023, 512),
    (3, 4096),
    (30000, 7),
]
BANDS = [(0, 1), (0, 10), (5, 10), (10, 50), (50, INF), (200, INF), (0, INF), (7.5, 31.25)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_cuda_source_has_the_references_radii_and_gains(host: ctypes.CDLL, height: int, width: int) -> None:
    half = width // 2 + 1
    values, squares = np.empty((height, half)), np.empty((height, half), np.int64)
    for low, high in BANDS:
        for complement in (False, True):
            filter = Filter(low, high, complement)
            host.gains(
                height,
                width,
                *map(ctypes.c_longlong, filter.edges(height, width)),
                int(complement),
                values.ctypes.data_as(ctypes.c_void_p),
                squares.ctypes.data_as(ctypes.c_void_p),
            )
            assert np.array_equal(squares, scaled_squares(height, width)[:, :half])
            assert np.array_equal(values, filter.gain(height, width)[:, :half])


@pytest.fixture
def cupy_on_the_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The parts of CuPy that the launcher uses, on the host's memory; the kernel is the real source."""
    fake = install(monkeypatch, folder)
    monkeypatch.setattr(choice, "choose", lambda device: choice.Choice(choice.PLAIN, "as tested here"))
    return fake


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 1, 9), (1, 9, 1), (3, 7, 7), (19, 33, 40), (2, 65, 130)])
def test_the_launcher_and_the_kernel_compute_the_filter(
    cupy_on_the_host: SimpleNamespace, size: tuple[int, int, int]
) -> None:
    images = torch.from_numpy(np.random.default_rng(0).random(size))
    lows, highs = [0.25 * n for n in range(size[0])], [0.25 * n + 5 for n in range(size[0])]
    for dtype, tolerance in TOLERANCE.items():
        for low, high in ((0, 5), (2, 9.5), (4, INF)):
            for complement in (False, True):
                got = cuda.launch(images.to(dtype), [Filter(low, high, complement)])
                expected = bandpass_reference(images.numpy(), Filter(low, high, complement=complement))
                assert np.abs(got.numpy() - expected).max() < tolerance
        got = cuda.launch(images.to(dtype), [Filter(low, high) for low, high in zip(lows, highs, strict=True)])
        expected = bandpass_reference(images.numpy(), Filter(np.array(lows), np.array(highs)))
        assert np.abs(got.numpy() - expected).max() < tolerance


def test_images_beyond_the_count_of_a_plan_go_in_parts(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "MAX_ELEMENTS", 300)
    images = torch.from_numpy(np.random.default_rng(0).random((8, 9, 11)))
    got = cuda.launch(images, [Filter(2.0, 4.0)])
    assert np.abs(got.numpy() - bandpass_reference(images.numpy(), Filter(2, 4))).max() < TOLERANCE[torch.float64]
    assert {key.batch for key in plans._plans} == {3, 2}


def test_memory_off_by_one_float_is_aligned_first(cupy_on_the_host: SimpleNamespace) -> None:
    images = torch.rand(5 * 6 * 7 + 1)[1:].view(5, 6, 7)
    got = cuda.launch(images, [Filter(1.0, 3.0)])
    assert np.abs(got.numpy() - bandpass_reference(images.numpy(), Filter(1, 3))).max() < TOLERANCE[torch.float32]


def test_plans_are_made_once_kept_while_captured_and_dropped_in_the_end(
    cupy_on_the_host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(2, 6, 7)
    before = Plan.made
    for _ in range(3):
        cuda.launch(images, [Filter(1.0, 3.0)])
    assert Plan.made == before + 2
    with monkeypatch.context() as capture:
        capture.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        cuda.launch(images, [Filter(1.0, 3.0)])
        with pytest.raises(UsageError, match="call it once on the same stream before the capture"):
            cuda.launch(images[:1], [Filter(1.0, 3.0)])
    for n in range(1, plans.MAX_PLANS + 5):
        cuda.launch(torch.rand(1, 4, n), [Filter(1.0, 3.0)])
    assert len(plans._plans) == plans.MAX_PLANS
    assert any(key.batch == 2 for key in plans._plans), "the captured plan was dropped"


def test_the_stream_is_torchs_by_whichever_way_cupy_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Speaking:
        cuda_stream = 5

        def __cuda_stream__(self) -> tuple[int, int]:
            return 0, 5

    new = SimpleNamespace(cuda=SimpleNamespace(Stream=SimpleNamespace(from_external=lambda s: ("from", s.cuda_stream))))
    old = SimpleNamespace(
        cuda=SimpleNamespace(
            Stream=SimpleNamespace(), ExternalStream=lambda pointer, device: ("external", pointer, device)
        )
    )
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Speaking())
    assert plans.stream_of(new, 1) == ("from", 5)
    assert plans.stream_of(old, 1) == ("external", 5, 1)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=7))
    old.cuda.Stream.from_external = None
    assert plans.stream_of(old, 0) == ("external", 7, 0)
