"""Builds the C++ kernels if the environment that fastrace is installed into already has torch and a compiler.

torch is no build requirement: an isolated build would unpack its 5.5 GB a second time. An isolated build by pip still runs
the target environment's interpreter, whose site-packages sysconfig names; if torch is there, its headers are enough
(stable ABI: one library serves every later torch). Otherwise fastrace is installed without the library and compiles it at
first use. Everything else is in pyproject.toml.
"""

import os
import runpy
import shlex
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, setup

KERNELS = "fastrace/kernels"  # a link in the repository, a folder in a source distribution


def torch_folder() -> Path | None:
    found = find_spec("torch")
    folders = [Path(found.origin).parent] if found and found.origin else []
    folders += [Path(sysconfig.get_path(name)) / "torch" for name in ("purelib", "platlib")]
    return next((f for f in folders if (f / "include/torch/csrc/stable/library.h").exists()), None)


def extensions() -> list[Extension]:
    torch = torch_folder()
    compilers = [shlex.split(os.environ["CXX"])[0]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    if torch is None or not any(map(shutil.which, compilers)):
        return []
    shared = runpy.run_path(f"{KERNELS}/_extension.py")
    return [
        Extension(
            "fastrace.kernels._C",
            [f"{KERNELS}/{source}" for source in shared["SOURCES"]],
            depends=[f"{KERNELS}/{header}" for header in shared["HEADERS"]],
            extra_compile_args=[*shared["FLAGS"], "-isystem", str(torch / "include")],
            define_macros=[("FASTRACE_MARKER", f'"{shared["marker"]()}"')],
            extra_link_args=["-pthread"],
            library_dirs=[str(torch / "lib")],
            libraries=list(shared["LIBRARIES"]),
            language="c++",
            py_limited_api=True,
            optional=True,  # a compiler that fails here may be another at first use; the message is better there
        )
    ]


built = extensions()
setup(ext_modules=built, options={"bdist_wheel": {"py_limited_api": "cp310"}} if built else {})
