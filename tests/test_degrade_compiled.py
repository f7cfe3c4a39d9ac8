"""One call takes stored integers to the network's input: no graph break, no copy, and the passes that `operations` documents.

What Inductor schedules is read after its fusion, before code is made of it: kernels in order, with the bytes that each reads
and writes for a pixel. On a machine without a GPU the schedule for CUDA is made from fake tensors in another process, with a
device that exists in name only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fastrace.degrade.grammar import Variant
from fastrace.degrade.operations import NetworkInput, apply
from fastrace.degrade.parser import parse

N, SIDE = 512, 32  # so many images that the [n, n] matrices of blur and resolution do not count
Kernel = tuple[str, float]  # what, bytes for each pixel

IN, BETWEEN, OUT, ONLY = ("pointwise", 6), ("pointwise", 8), ("pointwise", 6), ("pointwise", 4)
BAND, NOISE, PRODUCT = ("bandpass", 8), ("noise", 8), ("product", 8)
TRITON_NOISE = ("noise_kernel, by Triton", 8)  # on CUDA: Inductor sees the kernel, not a closed operation
SCHEDULES: dict[tuple[str, Variant], list[Kernel]] = {
    ("none", "corrected"): [ONLY],
    ("patch:keep:4+clip:0.6", "corrected"): [ONLY],
    ("lowpass:5", "corrected"): [IN, BAND, OUT],
    ("band:3:9+clip:0.8+clip:0.6", "corrected"): [IN, BAND, OUT],
    ("lowpass:5+clip:0.6+patch:keep:4", "corrected"): [IN, BAND, OUT],
    ("notch:0.1:0.3lp/mm", "corrected"): [IN, ("bandpass_each", 8), OUT],
    ("band:3:9+noise:gaussian:0.1+clip:0.6", "corrected"): [IN, BAND, NOISE, OUT],
    ("clip:0.8+highpass:3+patch:remove:4+noise:poisson:0.5+clip:0.6", "corrected"): [IN, BAND, BETWEEN, NOISE, OUT],
    ("blur:1.5", "corrected"): [IN, PRODUCT, PRODUCT, OUT],
    ("resolution:12+clip:0.6", "corrected"): [IN, PRODUCT, PRODUCT, OUT],
    ("none", "released-code"): [ONLY],
    ("highpass:5+patch:remove:4+clip:0.6", "released-code"): [IN, BAND, OUT],
}
# There a filter loads stored pixels and stores what the network takes; other cases are as above.
FUSED = ("bandpass_fused", 4)
ON_CUDA: dict[tuple[str, Variant], list[Kernel]] = {
    ("lowpass:5", "corrected"): [FUSED],
    ("band:3:9+clip:0.8+clip:0.6", "corrected"): [FUSED],
    ("lowpass:5+clip:0.6+patch:keep:4", "corrected"): [("bandpass_fused", 6), OUT],
    ("notch:0.1:0.3lp/mm", "corrected"): [FUSED],
    ("band:3:9+noise:gaussian:0.1+clip:0.6", "corrected"): [("bandpass_fused", 6), TRITON_NOISE, OUT],
    ("clip:0.8+highpass:3+patch:remove:4+noise:poisson:0.5+clip:0.6", "corrected"): [
        IN, ("bandpass_fused", 8), BETWEEN, TRITON_NOISE, OUT,
    ],
}  # fmt: skip


def call(text: str, variant: Variant, network: NetworkInput | None = None) -> Any:
    degradation = parse(text, variant)
    network = network or NetworkInput(0.2, 0.3, torch.bfloat16)

    def one_call(pixels: Tensor, ids: Tensor, mm: Tensor, epoch: int = 1) -> Tensor:
        return apply(degradation, pixels, ids, mm, seed=3, epoch=epoch, network=network)

    return one_call


def stored(
    n: int, size: tuple[int, int] = (SIDE, SIDE), dtype: torch.dtype = torch.uint16
) -> tuple[Tensor, Tensor, Tensor]:
    values = np.random.default_rng(n).integers(0, torch.iinfo(dtype).max + 1, (n, *size))
    pixels = torch.from_numpy(values.astype("uint16" if dtype == torch.uint16 else "uint8"))
    return pixels, torch.arange(n), torch.full((n,), 0.5, dtype=torch.float64)


class Scheduled(Exception):
    """The schedule is known: nothing has to be compiled."""


def kernel_of(node: Any) -> Kernel:
    """What a scheduled node is, and the bytes it moves for each pixel of the batch."""
    names = type(node).__name__
    moved = node.get_read_write_buffers_sizes()
    inner = getattr(node, "node", None)
    what = "pointwise"
    if "Extern" in names:
        operation = getattr(inner, "op_overload", None)
        family, _, name = str(operation).partition(".")
        what = name.split(".")[0].replace("noise_cpu", "noise") if family == "fastrace" else "product"
        if type(inner).__name__ == "UserDefinedTritonKernel":
            what = f"{inner.get_kernel_and_metadata()[0].fn.__name__}, by Triton"
            moved -= 4 * N * SIDE**2  # what it writes into is counted as read, too
    return what, round(moved / (N * SIDE**2), 1)


@contextmanager
def schedules(found: list[Kernel]) -> Iterator[None]:
    """Append what Inductor schedules to `found` and stop it there; kernels that touch no batch are left out."""
    from torch._functorch import config as autograd
    from torch._inductor import config
    from torch._inductor.scheduler import Scheduler

    def record(self: Any, *_: object) -> None:
        found.extend(kernel for kernel in map(kernel_of, self.nodes) if kernel[1] >= 1)
        raise Scheduled

    torch._dynamo.reset()
    with (
        mock.patch.object(Scheduler, "codegen", record),
        config.patch(fx_graph_cache=False),
        autograd.patch(enable_autograd_cache=False),
    ):
        try:
            yield
        except Exception as error:
            if "Scheduled" not in f"{type(error).__name__} {error}":
                raise
    torch._dynamo.reset()


def schedule(text: str, variant: Variant, device: str) -> list[Kernel]:
    found: list[Kernel] = []
    pixels, ids, mm = stored(N)
    with schedules(found):
        torch.compile(call(text, variant), fullgraph=True)(pixels.to(device), ids.to(device), mm)
    return found


def on_cuda(case: tuple[str, Variant]) -> list[Kernel]:
    return ON_CUDA.get(case, SCHEDULES[case])


@pytest.mark.parametrize(("text", "variant"), SCHEDULES)
def test_the_passes_over_memory_are_those_documented(text: str, variant: Variant) -> None:
    assert schedule(text, variant, "cpu") == SCHEDULES[text, variant]


@pytest.mark.gpu
@pytest.mark.parametrize(("text", "variant"), SCHEDULES)
def test_the_passes_over_memory_are_those_documented_on_a_gpu(text: str, variant: Variant) -> None:
    assert schedule(text, variant, "cuda") == on_cuda((text, variant))


def storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # fake tensors have no address


class Passes(TorchDispatchMode):
    """Bytes that each operation reads and writes for a pixel, where it touches the batch and is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: list[float] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        given = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        made = [one for one in pytree.tree_leaves(result) if isinstance(one, Tensor)]
        in_place = operation._schema.is_mutable
        # Fake tensors also look up properties, such as their device, by operations.
        if made and (in_place or not {storage_of(one) for one in given} & {storage_of(one) for one in made}):
            sizes = (one.untyped_storage().nbytes() for one in given + made)
            moved = sum(size for size in sizes if size >= N * SIDE**2)
            self.bytes += [moved / (N * SIDE**2)] if moved else []
        return result


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("none", [6, 8, 8, 8, 6]),
        ("lowpass:5+noise:gaussian:0.1+clip:0.6", [6, 8, 8, 8, 8, 8, 8, 6]),
        ("blur:1.5+patch:keep:4", [6, 8, 8, 8, 8, 8, 8, 6]),
    ],
)
def test_the_eager_call_takes_the_passes_documented_for_it(text: str, passes: list[float]) -> None:
    inputs, one_call, eager = stored(N), call(text, "corrected"), Passes()
    with eager:
        one_call(*inputs)
    assert eager.bytes == passes


# ---- CUDA without a GPU -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("lowpass:5", [4]),
        ("lowpass:5+noise:gaussian:0.1+clip:0.6", [4]),
        ("lowpass:5+clip:0.6+clip:0.5", [4]),
        ("lowpass:5+noise:poisson:0.5+patch:keep:4", [6, 8, 8, 8, 6]),
        ("clip:0.8+lowpass:5", [6, 8, 8, 6]),
        ("lowpass:5+highpass:3", [6, 6]),
    ],
)
def test_an_eager_filter_takes_in_what_stands_around_it_on_cuda(text: str, passes: list[float]) -> None:
    with FakeTensorMode():
        pixels = torch.empty(N, SIDE, SIDE, dtype=torch.uint16, device="cuda")
        ids, mm = torch.empty(N, dtype=torch.int64, device="cuda"), torch.empty(N)
        with Passes() as eager:
            result = call(text, "corrected")(pixels, ids, mm)
    assert eager.bytes == passes
    assert (result.shape, result.dtype) == ((N, 1, SIDE, SIDE), torch.bfloat16)


def test_where_gradients_are_needed_nothing_is_fused() -> None:
    with FakeTensorMode():
        images, ids = torch.empty(N, SIDE, SIDE, device="cuda", requires_grad=True), torch.empty(N, dtype=torch.int64)
        with Passes() as eager:
            assert call("lowpass:5", "corrected")(images, ids, ids).requires_grad
    assert eager.bytes == [8, 8, 8, 6]


def schedule_for_a_gpu_that_is_not_there(text: str, variant: Variant) -> list[Kernel]:
    """What Inductor schedules for CUDA: traced with fake tensors, then scheduled for a device that exists in name."""
    from torch._dynamo.backends.common import aot_autograd
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table

    found: list[Kernel] = []
    device = SimpleNamespace(
        name="H100", major=9, minor=0, multi_processor_count=132, warp_size=32, max_threads_per_multi_processor=2048,
        regs_per_multiprocessor=65536, total_memory=80 << 30, L2_cache_size=50 << 20,
        shared_memory_per_block_optin=232448,
    )  # fmt: skip
    named = {
        "_lazy_init": None, "_exchange_device": 0, "_maybe_exchange_device": 0, "current_device": 0, "device_count": 1,
        "is_available": True, "get_device_capability": (9, 0), "get_device_properties": device,
        "get_rng_state": torch.zeros(16, dtype=torch.uint8), "set_rng_state": None,
    }  # fmt: skip

    def inner(graph: Any, inputs: Any) -> Any:
        with mock.patch.multiple(torch.cuda, **{key: lambda *_, value=value: value for key, value in named.items()}):
            return compile_fx_inner(graph, inputs)

    backend = aot_autograd(fw_compiler=inner, decompositions=select_decomp_table())
    with schedules(found), FakeTensorMode():
        pixels = torch.empty(N, SIDE, SIDE, dtype=torch.uint16, device="cuda")
        ids, mm = torch.empty(N, dtype=torch.int64, device="cuda"), torch.empty(N, dtype=torch.float64)
        torch.compile(call(text, variant), backend=backend, fullgraph=True)(pixels, ids, mm)
    return found


def main() -> None:
    """Print the schedules of all cases, in a process where Triton compiles instead of interpreting."""
    import triton
    from triton.backends.compiler import GPUTarget

    target = SimpleNamespace(get_current_target=lambda: GPUTarget("cuda", 90, 32), get_current_device=lambda: 0)
    triton.runtime.driver.set_active(target)
    # To multiply matrices Inductor needs more of a device than its name.
    cases = [case for case, kernels in SCHEDULES.items() if PRODUCT not in kernels]
    sys.stdout.write(json.dumps([[*case, schedule_for_a_gpu_that_is_not_there(*case)] for case in cases]))


def test_inductor_sees_the_triton_noise_and_adds_no_pass_on_cuda() -> None:
    pytest.importorskip("triton", reason="triton comes with the CUDA build of torch")
    if torch.version.cuda is None:
        pytest.skip("this build of torch has no CUDA")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, Path(__file__)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = {(text, variant): [tuple(one) for one in kernels] for text, variant, kernels in json.loads(done.stdout)}
    assert found == {case: on_cuda(case) for case in found}
    assert len(found) == len(SCHEDULES) - 2


# ---- what the compiled call computes ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_the_compiled_call_is_the_eager_one(dtype: torch.dtype) -> None:
    one_call = call("band:1:9+noise:gaussian:0.1+clip:0.6", "corrected", NetworkInput(0.1, 0.25, torch.float32))
    torch._dynamo.reset()
    inputs = stored(3, (24, 31), dtype)
    compiled = torch.compile(one_call, fullgraph=True)(*inputs)
    # Inductor multiplies by 1 / 65535 where the eager call divides: one rounding, then that of the transform.
    torch.testing.assert_close(compiled, one_call(*inputs), rtol=0, atol=4e-6)


def test_no_batch_size_or_epoch_breaks_the_graph() -> None:
    texts = ("lowpass:5+noise:gaussian:0.1", "blur:1+clip:0.5", "resolution:12", "lowpass:0.1lp/mm+patch:keep:4")
    for text in texts:
        torch._dynamo.reset()
        one_call = call(text, "corrected")
        compiled = torch.compile(one_call, backend="aot_eager", fullgraph=True)
        for n, epoch in ((5, 1), (3, 2), (1, 3), (0, 4)):
            inputs = (*stored(n, (24, 31)), epoch)
            assert torch.equal(compiled(*inputs), one_call(*inputs)), text


if __name__ == "__main__":
    main()
