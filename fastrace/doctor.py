"""What is installed here, which kernel would run where, and what to install for the rest. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import dataclass, field
from typing import Any

from fastrace.errors import FastraceError
from fastrace.execute.cpus import usable_cpus

_PACKAGES = (
    "torch", "triton", "torchvision", "timm", "numpy", "numba", "scipy", "scikit-learn", "pandas", "pyarrow", "pydicom",
    "imagecodecs", "click", "rich", "cupy-cuda13x", "cupy-cuda12x",
)  # fmt: skip


@dataclass
class Finding:
    """One line: what, its state, and what would improve it (empty if nothing)."""

    what: str
    state: str
    ok: bool = True
    remedy: str = ""


@dataclass
class Report:
    """Everything `fastrace doctor` prints."""

    machine: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """True if everything that is required works."""
        return all(finding.ok for finding in self.findings)


def examine() -> Report:
    """Look at the machine; compiles the extension if it is not there yet, as the first use would."""
    report = Report()
    report.machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": usable_cpus(),
    }
    for name in _PACKAGES:
        try:
            report.packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            report.packages[name] = "not installed"
    report.findings = [_platform(), _extension(), *_numba(), *_gpu(), *_codecs()]
    return report


def _platform() -> Finding:
    if sys.platform == "linux" and platform.machine() == "x86_64":
        return Finding("platform", "Linux x86-64")
    return Finding("platform", f"{sys.platform} {platform.machine()}: not tested, may work")


def _extension() -> Finding:
    from fastrace.kernels import _extension

    try:
        file = _extension.load()
    except FastraceError as error:
        return Finding(
            "C++ kernels on CPU",
            str(error),
            ok=False,
            remedy="install a C++ compiler, for example g++",
        )
    import torch

    origin = "installed with the package" if file == _extension.installed() else "compiled at first use, cached"
    return Finding(
        "C++ kernels on CPU",
        f"window, bandpass, gather, patches, ranking; {origin}; {torch.get_num_threads()} threads, {_simd()}",
    )


def _simd() -> str:
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def _numba() -> list[Finding]:
    return [
        Finding("noise on CPU", "numba, Philox-4x32-10"),
    ]


def _gpu() -> list[Finding]:
    import torch

    if not torch.cuda.is_available():
        return [Finding("CUDA", "no usable GPU: training and kernels run on the CPU")]
    name = torch.cuda.get_device_name(0)
    findings = [Finding("CUDA", f"{name}, torch {torch.__version__}")]
    try:
        import triton

        findings.append(Finding("window, noise, patches on CUDA", f"Triton {triton.__version__}"))
    except ImportError:
        findings.append(
            Finding(
                "window, noise, patches on CUDA",
                "Triton is missing",
                False,
                "install the CUDA build of torch, which brings it",
            )
        )
    try:
        import cupy  # noqa: F401  whether it is there

        from fastrace.kernels.bandpass import backend

        findings.append(Finding("bandpass on CUDA", backend("cuda")))
    except ImportError:
        extra = "cuda" if str(torch.version.cuda).startswith("13") else "cuda12"
        findings.append(Finding("bandpass on CUDA", "CuPy is missing", False, f"pip install 'fastrace[{extra}]'"))
    return findings


def _codecs() -> list[Finding]:
    from fastrace.dicom import codecs

    families = {
        "JPEG, JPEG Lossless": codecs.JPEG,
        "JPEG-LS": codecs.JPEG_LS,
        "JPEG 2000": codecs.JPEG_2000,
        "HTJ2K": codecs.HTJ2K,
        "RLE": codecs.RLE,
    }
    findings = []
    for name, syntaxes in families.items():
        if all(codecs.is_available(str(syntax)) for syntax in syntaxes):
            findings.append(Finding(f"decode {name}", "imagecodecs"))
        else:
            remedy = "install a build of imagecodecs with it: pip install --upgrade imagecodecs"
            findings.append(
                Finding(f"decode {name}", "not in this build of imagecodecs; pydicom's plugins", True, remedy)
            )
    return findings
