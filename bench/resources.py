"""What every GPU kernel takes, found without a GPU: `python -m fastrace.bench.resources [--write]`.

Each Triton kernel in each of its configurations is compiled for every target, and each CUDA C++ source by NVRTC for the
NVIDIA ones; the machine code is then read back: registers, shared memory, stack, spills (ptxas), the widest access to
global memory (SASS or GCN assembly) and matrix instructions. The table is committed as ``bench/results/resources.json``
and a test compares it with what the sources give today.

Triton must not interpret here, so this runs in a process of its own. A kernel module lists its configurations by
``offline_cases()``: a list of dictionaries with the keys

    name              unique, for the table
    fn                the @triton.jit function
    signature         argument name -> type ("*fp32", "i32", "constexpr", ...)
    constexprs        argument name -> value
    divisible_by_16   names of the arguments that a launch would find divisible by 16; without them loads stay narrow
    options           num_warps, num_stages, ...
    access_bits       how wide its widest global load is meant to be
    store_bits        the same for stores, where wide ones are meant
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from fastrace.kernels.bandpass import jit, plans

MODULES = ("fastrace.kernels.window", "fastrace.kernels.noise", "fastrace.kernels.patches")
TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
TABLE = Path(__file__).resolve().parent / "results" / "resources.json"  # in a checkout; packages leave it out
_STORED = [f"{result}_{kind}" for result in ("float16", "bfloat16", "float32") for kind in jit.KINDS.values()]
# File -> kernels in it. The callbacks are compiled as kernels of their own: inside cuFFT their registers cannot be read.
CUDA_SOURCES: dict[str, tuple[str, ...]] = {
    "bandpass.cu": ("bandpass_mask_f32", "bandpass_mask_f64"),
    "callbacks.cu": (
        "bandpass_begin",
        "bandpass_cutoffs",
        *(f"bandpass_load_{pixel}" for pixel in ("uint8", "uint16", "float16", "float32")),
        *(f"bandpass_gain_{gains.lower()}" for gains in (jit.SHARED, jit.EACH)),
        *(f"bandpass_store_{stored}" for stored in _STORED),
    ),
}

Row = dict[str, Any]


def main(arguments: list[str]) -> None:
    """Print the table as JSON, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} instead of printing it")
    write = parser.parse_args(arguments).write
    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        sys.exit("TRITON_INTERPRET=1 makes kernels that cannot be compiled; unset it")
    if write and not TABLE.is_file():
        sys.exit("--write renews the committed table of a checkout, and this fastrace is not run from one")
    text = json.dumps(table(), indent=1)
    if write:
        TABLE.write_text(text + "\n")
    else:
        print(text)


def table() -> dict[str, Any]:
    """Compile everything; return versions and rows."""
    jobs = [
        (module, number, target) for module in MODULES for number in range(len(_cases(module))) for target in TARGETS
    ]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        rows = list(pool.map(triton_row, *zip(*jobs, strict=True)))
    rows += [row for source in CUDA_SOURCES for target in TARGETS for row in nvrtc_rows(source, target)]
    versions = {"triton": importlib.metadata.version("triton"), "nvrtc": nvrtc_version()}
    return {"versions": versions, "rows": rows}


def _cases(module: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = importlib.import_module(module).offline_cases()
    return cases


def triton_row(module: str, number: int, target: str) -> Row:
    """Compile one configuration for one target and read its machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    case = _cases(module)[number]
    names = list(case["fn"].arg_names)
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in case["divisible_by_16"]}
    source = ASTSource(case["fn"], case["signature"], constexprs=case["constexprs"], attrs=attributes)
    nvidia = target.startswith("sm_")
    gpu = GPUTarget("cuda", int(target[3:]), 32) if nvidia else GPUTarget("hip", target, 64)
    options = {"enable_fp_fusion": True, **case["options"]}  # the default differs between versions of triton
    try:
        compiled = triton.compile(source, target=gpu, options=options)
    except Exception as error:  # any backend's: the table states why a target cannot hold a kernel
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
        return {"kernel": case["name"], "target": target, "reason": f"{type(error).__name__}: {lines[-1]}"}
    row: Row = {"kernel": case["name"], "target": target, "warps": compiled.metadata.num_warps}
    if nvidia:
        row |= read_cubin(compiled.asm["cubin"], assemble(compiled.asm["ptx"]))
        row["shared_bytes"] = compiled.metadata.shared
    else:
        row |= read_amdgcn(compiled.asm["amdgcn"])
    return row | {"meant_load_bits": case["access_bits"], "meant_store_bits": case.get("store_bits", 0)}


def _tools() -> Path:
    import triton

    return Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stderr.strip()}")
    return done.stdout + done.stderr


def assemble(ptx: str) -> str:
    """Return what ptxas reports about spills; the wheel holds two, and the older refuses newer PTX."""
    architecture = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
    assert architecture is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        problem = ""
        for tool in ("ptxas", "ptxas-blackwell"):
            try:
                return _run(
                    _tools() / tool, "-v", f"-arch={architecture[1]}", path, "-o", Path(folder) / "kernel.cubin"
                )
            except (RuntimeError, FileNotFoundError) as error:
                problem += f"{error}; "
    raise RuntimeError(problem)


def read_cubin(cubin: bytes, log: str, kernel: str = r"\w+") -> Row:
    """Read resources from an ELF image and the assembler's report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        usage = _run(_tools() / "cuobjdump", "--dump-resource-usage", path)
        assembly = _run(_tools() / "nvdisasm", "-c", path)
    sections = re.split(r"^\.text\.", assembly, flags=re.MULTILINE)[1:]
    assembly = next((s for s in sections if re.match(rf"{kernel}:", s)), assembly)
    found = re.search(rf"Function {kernel}:\s*REG:(\d+) STACK:(\d+) SHARED:(\d+)", usage)
    spills = re.search(
        rf"properties for {kernel}\s+(?:ptxas\s+\.\s+)?\d+ bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads",
        log,
    )
    assert found is not None, usage
    assert spills is not None, log
    return {
        "registers": int(found[1]),
        "stack_bytes": int(found[2]),
        "shared_bytes": int(found[3]),
        "spill_store_bytes": int(spills[1]),
        "spill_load_bytes": int(spills[2]),
        "load_bits": _widest(re.findall(r"\bLDG(?:STS)?\.E(\S*)", assembly)),  # STS: straight into shared memory
        "store_bits": _widest(re.findall(r"\bSTG\.E(\S*)", assembly)),
        "matrix": sorted(set(re.findall(r"\b(HMMA|HGMMA|UTCHMMA|IMMA)\b", assembly))),
    }


def _widest(suffixes: list[str]) -> int:
    def bits(suffix: str) -> int:
        sizes = re.findall(r"\.(?:[US])?(8|16|64|128|256)\b", suffix)
        return int(sizes[0]) if sizes else 32

    return max(map(bits, suffixes), default=0)


def read_amdgcn(assembly: str) -> Row:
    """Read resources from GCN assembly; its compiler spills to scratch memory."""

    def number(field: str) -> int:
        found = re.search(rf"\.{field}:\s*(\d+)", assembly)
        assert found is not None, field
        return int(found[1])

    widths = {
        "ubyte": 8,
        "byte": 8,
        "ushort": 16,
        "short": 16,
        "dword": 32,
        "dwordx2": 64,
        "dwordx3": 96,
        "dwordx4": 128,
    }

    def widest(access: str) -> int:
        names = re.findall(rf"\b(?:global|buffer)_{access}_([a-z]+(?:x\d)?)\b", assembly)
        return max((widths.get(name, 0) for name in names), default=0)

    return {
        "registers": number("vgpr_count"),
        "stack_bytes": number("private_segment_fixed_size"),
        "shared_bytes": number("group_segment_fixed_size"),
        "spill_store_bytes": 4 * number("vgpr_spill_count"),
        "spill_load_bytes": 4 * number("vgpr_spill_count"),
        "load_bits": widest("load"),
        "store_bits": widest("store"),
        "matrix": sorted(set(re.findall(r"\bv_(mfma)_", assembly))),
    }


def nvrtc_version() -> str:
    """Version of the run-time compiler that CUDA builds of torch bring."""
    from cuda.bindings import nvrtc

    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


def nvrtc_rows(file: str, target: str) -> list[Row]:
    """Compile a CUDA C++ source as CuPy would, for one target."""
    kernels = CUDA_SOURCES[file]
    if not target.startswith("sm_"):
        return [
            {"kernel": k, "target": target, "reason": "CUDA C++ for CuPy on NVIDIA; not built for HIP"} for k in kernels
        ]
    text = jit.source(BEGIN=1, PASSES=1) if file == "callbacks.cu" else plans.SOURCE.read_text()
    cubin, log = compile_nvrtc(text, file, target)
    return [{"kernel": kernel, "target": target, **read_cubin(cubin, log, kernel)} for kernel in kernels]


def compile_nvrtc(text: str, name: str, target: str) -> tuple[bytes, str]:
    """Return the machine code of a source and the log; raise RuntimeError with the log if it does not compile."""
    from cuda.bindings import nvrtc

    # -ftz: CuPy adds it to the given options.
    options = [b"-std=c++17", b"-ftz=true", f"--gpu-architecture={target}".encode(), b"--ptxas-options=-v"]
    _, program = nvrtc.nvrtcCreateProgram(text.encode(), name.encode(), 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytes(size + 1)  # written into: never of length 1, since Python keeps one object for each of those
    nvrtc.nvrtcGetProgramLog(program, log)
    report = log.decode(errors="replace").strip("\0 \n")
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"{name} for {target}: {status.name}\n{report}")
    _, size = nvrtc.nvrtcGetCUBINSize(program)
    cubin = bytes(size + 1)
    nvrtc.nvrtcGetCUBIN(program, cubin)
    nvrtc.nvrtcDestroyProgram(program)
    return cubin[:size], report


if __name__ == "__main__":
    main(sys.argv[1:])
